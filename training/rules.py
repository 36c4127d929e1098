"""Compares selection rules on held-out documents with the embedded models.

    python training/rules.py [--documents N] [--seed TEXT] [--rule NAME ...] [--granularity NAME] [--rerank]

An answer counts if the text begins with the exact one. Each member alone comes first. The last column is the difference
of the mean to the best member alone, with a 95 % bootstrap over documents. A second table compares each kind with the
member that is best at it, and adds the exact p of McNemar's test.
"""

import argparse
from itertools import islice, product

import corpus
import torch

from coolfusion.embedded import folders
from coolfusion.evaluation.rows import PAPERS_RERANK, SAFE_RERANK
from coolfusion.evaluation.statistics import mcnemar, paired_bootstrap
from coolfusion.fusion import Fusion

KINDS = (("sums", "heldout"), ("puzzle", "heldout"), ("sums", "unseen"))
BUDGET, AT_A_TIME = 64, 50


def right(fusion, documents, *, rerank=False):
    """Return whether the text of each document begins with its answer."""
    outputs = []
    for at in range(0, len(documents), AT_A_TIME):
        prompts = [each.prompt for each in documents[at : at + AT_A_TIME]]
        outputs += fusion.generate(prompts, BUDGET, rerank=rerank, stop_strings=["\n"])
    return [float(output.text.startswith(each.answer)) for output, each in zip(outputs, documents, strict=True)]


def shown(gain):
    """Return a difference and its interval."""
    return f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def beside_best(name, kind, rows, singles):
    """Return the row of a writer beside the member that is best at a kind."""
    best = max(singles, key=lambda single: sum(rows[single][kind]))
    ours, theirs = rows[name][kind], rows[best][kind]
    gain = paired_bootstrap(ours, theirs)
    chance = mcnemar([bool(each) for each in ours], [bool(each) for each in theirs])
    return f"| {name} | {kind} | {best}, {sum(theirs) / len(theirs):.3f} | {shown(gain)} | {chance:.3f} |"


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", default="dev", help="of the documents")
    parser.add_argument("--rule", action="append", help="may be repeated; paper and confident if left out")
    parser.add_argument("--granularity", default="word")
    parser.add_argument("--rerank", action="store_true", help="also choose among whole continuations")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = {"device": "cpu", "dtype": "float32", "granularity": given.granularity}
    kinds = {
        f"{split} {kind}": list(islice(corpus.documents(given.seed, {kind: 1.0}, split), given.documents))
        for kind, split in KINDS
    }
    fusions = {folder.name: Fusion.from_pretrained([folder], **options) for folder in folders()}
    singles = list(fusions)
    for rule in given.rule or ["paper", "confident"]:
        fusions[rule] = Fusion.from_pretrained(folders(), rule=rule, **options)
    rows = {name: {kind: right(each, found) for kind, found in kinds.items()} for name, each in fusions.items()}
    if given.rerank:
        for rule in set(fusions) - set(singles):
            settings = PAPERS_RERANK if rule == "paper" else SAFE_RERANK
            again = {kind: right(fusions[rule], found, rerank=settings) for kind, found in kinds.items()}
            rows[f"{rule}, rerank"] = again
    flat = {name: [each for kind in kinds for each in cells[kind]] for name, cells in rows.items()}
    best = max(singles, key=lambda name: sum(flat[name]))
    print(f"| writer | {' | '.join(kinds)} | mean | more than {best} |\n|---|{'---|' * len(kinds)}---|---|")
    for name, cells in rows.items():
        gain = paired_bootstrap(flat[name], flat[best])
        shares = " | ".join(f"{sum(cell) / len(cell):.3f}" for cell in cells.values())
        mean = sum(flat[name]) / len(flat[name])
        print(f"| {name} | {shares} | {mean:.3f} | {shown(gain)} |", flush=True)
    print("\n| writer | kind | best member of the kind | difference | McNemar |\n|---|---|---|---|---|")
    for name, kind in product(rows, kinds):
        if name not in singles:
            print(beside_best(name, kind, rows, singles))


if __name__ == "__main__":
    main()
