"""Compares forms of rerank on held-out documents with the embedded models.

    python training/rerank.py [--documents N] [--seed TEXT] [--rule NAME] [--samples N]

All texts are written once, the samples included. Each form then chooses among them from the records alone, and a form
with an adaptive budget sees a round of samples only if it would have asked for it.
"""

import argparse
import re
from itertools import islice

import corpus
import torch

from coolfusion import Rerank
from coolfusion.embedded import fusion
from coolfusion.fusion.ranking import Pool, ranked
from coolfusion.fusion.selection import ByEvidence, as_rule
from coolfusion.fusion.voting import ballot_weights, is_settled, tally, with_ballots

KINDS = (("sums", "heldout"), ("puzzle", "heldout"), ("sums", "unseen"))
BUDGET, AT_A_TIME = 40, 25


def answer(text):
    """Return the answer of a document, its first sentence; "" if it has no end."""
    found = re.match(r"\s*[^.\n]*\.", text)
    return found[0].strip() if found else ""


def forms(samples):
    """Return the forms by name; all read answers in the same way."""
    found = {}
    for scores in ("all", "others"):
        for length in ("rule", "token", "byte", "whole"):
            found[f"{scores}, {length}"] = {"scores": scores, "length": length}
    for scores, length in (("all", "rule"), ("all", "whole"), ("others", "byte"), ("others", "whole")):
        for weights in ("", "evidence, "):
            vote = {"scores": scores, "length": length, "vote": True, "answer": answer}
            if weights:
                vote["weights"] = ByEvidence(10.0)
            found[f"vote, {weights}{scores}, {length}"] = vote
            if samples:
                found[f"vote, {weights}{scores}, {length}, {samples} samples, stop_at .95"] = {
                    **vote, "samples": samples}
                found[f"vote, {weights}{scores}, {length}, {samples} samples, to the end"] = {
                    **vote, "samples": samples, "stop_at": None}
    return {name: Rerank(**options) for name, options in found.items()}


def choose(output, settings, rule):
    """Return the text that a form chooses, and how many rounds of samples it asked for."""
    names = tuple(member.name for member in output.members)
    members = range(len(names))
    prompt = tuple(member.prompt_score for member in output.members)
    prompt = prompt if all(prompt) else ()
    weights = tuple(ballot_weights(settings.weights, names, prompt, members))
    rounds = 0
    while True:
        seen = [each for each in output.continuations if each.sample is None or each.sample < rounds]
        left = (settings.samples - rounds) * sum(weights)
        votes = tally(with_ballots(seen, settings, weights))
        if rounds >= settings.samples or is_settled(votes, left, settings.stop_at):
            break
        rounds += 1
    order = ranked(seen, settings, Pool(names, as_rule(rule), prompt, weights, None))
    return next(each.text for each in order if each.rank == 0), rounds


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--seed", default="dev-rerank")
    parser.add_argument("--rule", default="paper")
    parser.add_argument("--samples", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    pool = fusion(device="cpu", dtype="float32", rule=given.rule)
    shares = {}
    for kind, split in KINDS:
        documents = list(islice(corpus.documents(given.seed, {kind: 1.0}, split), given.documents))
        outputs = []
        for at in range(0, len(documents), AT_A_TIME):
            prompts = [each.prompt for each in documents[at:at + AT_A_TIME]]
            outputs += pool.generate(prompts, BUDGET, rerank=Rerank(samples=given.samples), seed=1)
        pairs = list(zip(outputs, (each.answer for each in documents), strict=True))

        def note(name, texts, rounds=0.0, pairs=pairs):
            right = [text.startswith(gold) for text, (_, gold) in zip(texts, pairs, strict=True)]
            shares.setdefault(name, []).append((sum(right) / len(right), rounds))

        for number, author in enumerate(["fused", *(member.name for member in pool.members)]):
            note(f"{author} alone", [output.continuations[number].text for output, _ in pairs])
        for name, settings in forms(given.samples).items():
            found = [choose(output, settings, given.rule) for output, _ in pairs]
            note(name, [text for text, _ in found], sum(rounds for _, rounds in found) / len(found))
    for name, cells in shares.items():
        row = " | ".join(f"{share:.2f}" for share, _ in cells)
        mean, rounds = (sum(part) / len(cells) for part in zip(*cells, strict=True))
        print(f"| {name} | {row} | {mean:.3f} | {rounds:.2f} |")


if __name__ == "__main__":
    main()
