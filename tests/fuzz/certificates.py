"""Tries to break the certificate of every tokenizer: ``python tests/fuzz/certificates.py --cuts 1000000``.

For hard random texts P and continuations s, each settled cut b of P must be what docs/definitions.md calls settled: the
tokens of T(P) before b are the first of T(P + s), and the rest is T'((P + s)[b:]). This is judged by our own whole
encoding and, for the ids, by the tokenizer's own library. Streams pushed in random parts must equal the whole without
ever widening, and boundaries must stay when text is appended and not depend on the order of the tokenizers.

One encoding of P + s judges the left half for all cuts of P at once, because their heads are prefixes of one another.
The right half takes one encoding for each cut: the last cuts of each text, where the danger is, and one more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import coolfusion as cf
from fixtures import DEFINED, FAMILIES, Family
from fuzz.texts import Dice

# A failure of one text and continuation: what is wrong, in words; None where nothing is.
Judge = Callable[[str, str], str | None]


@dataclass
class Report:
    """What was tested on one tokenizer."""

    name: str
    certificate: str
    cuts: int = 0
    restarts: int = 0
    judged: int = 0
    pushes: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


class Attack:
    """Everything that is known of one tokenizer, and the claims that may be wrong about it."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.tok = family.tok
        window = self.tok.describe()["window"]
        self.certificate: str = window["certificate"]
        self.proved = not self.certificate.startswith("none")
        self.exact, self.restarts = window["exact"], window["factorises_at_word_boundaries"]
        self.defined = family in DEFINED
        self.bytewise = self.tok.describe()["method"] == "bytes"

    def added(self) -> list[str]:
        """The contents of added tokens, control tokens too: their text must be text."""
        return (
            [token["content"] for token in self.family.definition["added_tokens"]] if self.defined else ["</s>", "<s>"]
        )

    def head(self, text: str, cut: int, encode: Callable[[str], list[int]], inside: Callable[[str], list[int]]) -> int:
        """How many tokens of ``text`` stand before ``cut``, or -1 where T' does not follow."""
        whole, rest = encode(text), inside(text[cut:])
        count = len(whole) - len(rest)
        return count if count >= 0 and whole[count:] == rest else -1

    def head_by_bytes(self, text: str, cut: int) -> int:
        """The same by the bytes of the tokens, or -1 where one stands across; for texts that come back."""
        ids = self.tok.encode(text)
        ends = [0, *accumulate(len(self.tok.token_bytes(n)) for n in ids)]
        dropped = ends[-1] - len(text.encode())
        wanted = len(text[:cut].encode()) + dropped
        return ends.index(wanted) if wanted in ends else -1

    def unsettled(self, text: str, more: str, cuts: list[int], sample: list[int]) -> str | None:
        """Why a cut of ``text`` is not settled when ``more`` follows; right halves for ``sample``."""
        tok, last = self.tok, cuts[-1]
        if self.restarts:
            before = self.head(text, last, tok.encode, lambda t: tok.encode(t, continues=True))
        else:
            before = self.head_by_bytes(text, last)
        if before < 0:
            return f"settled cut {last} is no cut of the tokens"
        ids, longer = tok.encode(text), tok.encode(text + more)
        if longer[:before] != ids[:before]:
            return f"settled cut {last}: the tokens before it changed"
        for cut in sample if self.restarts else []:
            rest = tok.encode(text[cut:] + more, continues=True)
            if len(rest) > len(longer) or longer[len(longer) - len(rest) :] != rest:
                return f"settled cut {cut}: encoding does not start again there"
            if longer[: len(longer) - len(rest)] != ids[: len(longer) - len(rest)]:
                return f"settled cut {cut}: the tokens before it changed"
        return None

    def unsettled_in_library(self, text: str, more: str, cuts: list[int], sample: list[int]) -> str | None:
        """The same, judged by the tokenizer's own library alone."""
        if not self.defined and not self.restarts:
            return None  # sentencepiece sums scores in 32 bits: of equally good segmentations it may take another
        ids, longer = self.family.ids(text), self.family.ids(text + more)
        if ids != self.tok.encode(text) or longer != self.tok.encode(text + more):
            return "the library gives other ids"
        if not (self.defined and self.family.made and self.restarts):
            return None
        for cut in sample:
            rest = self.family.inside_ids(text[cut:] + more)
            count = len(longer) - len(rest)
            if count < 0 or longer[count:] != rest or longer[:count] != ids[:count]:
                return f"settled cut {cut}: not for the library"
        return None

    def moved(self, text: str, more: str) -> str | None:
        """Whether a word boundary is not settled, or goes away when text is appended.

        After text that comes back otherwise, or where encoding never starts again, what is appended can take away the
        proof of a boundary, though not the boundary: such a tokenizer need not find all of them.
        """
        boundaries = self.tok.word_boundaries(text)
        if not set(boundaries) <= set(self.tok.settled_cuts(text)):
            return "a word boundary is not settled"
        certain = self.tok.represents(text + more) if self.bytewise else self.restarts
        if certain and not set(boundaries) <= set(self.tok.word_boundaries(text + more)):
            return "a word boundary goes away"
        return None

    def strayed(self, parts: list[str], words: int) -> str | None:
        """Whether a stream leaves the whole encoding, or widens its window where it claims to be exact."""
        encoder = cf.StreamEncoder(self.tok, context_words=words)
        rebuilt: list[int] = []
        for part in parts:
            edit = encoder.push(part)
            rebuilt = rebuilt[: len(rebuilt) - edit.drop] + edit.ids
        if not encoder.ids == rebuilt == self.tok.encode("".join(parts)):
            return f"a stream with {words} words of window has other ids than the whole"
        if self.exact and encoder.widened:
            return f"a stream with {words} words of window widened {encoder.widened} times"
        return None

    def cuts(self, text: str) -> list[int]:
        """The settled cuts, as far as the definition can be judged: without T' only where the text comes back."""
        if not self.restarts and not self.tok.represents(text):
            return []
        return self.tok.settled_cuts(text)

    def judge(self, text: str, more: str) -> str | None:
        """All claims about one text and continuation, every cut one by one; slow, for shrinking."""
        cuts = self.cuts(text)
        for check in (self.unsettled, self.unsettled_in_library):
            if cuts and (why := check(text, more, cuts, cuts)):
                return why
        return self.moved(text, more) if self.proved else None


def shrink(text: str, more: str, judge: Judge) -> tuple[str, str]:
    """A text and continuation that still fail, from which nothing can be left out."""

    def smaller(text: str, more: str) -> Iterator[tuple[str, str]]:
        for size in (64, 16, 4, 1):
            for at in range(0, len(text), size):
                yield text[:at] + text[at + size :], more
            for at in range(0, len(more), size):
                yield text, more[:at] + more[at + size :]

    while True:
        found = next((pair for pair in smaller(text, more) if judge(*pair)), None)
        if found is None:
            return text, more
        text, more = found


def shrunk_parts(parts: list[str], strays: Callable[[list[str]], str | None]) -> list[str]:
    """Parts that still fail, from which no character and no part can be left out."""

    def smaller() -> Iterator[list[str]]:
        for n, part in enumerate(parts):
            yield parts[:n] + parts[n + 1 :]
            for at in range(len(part)):
                yield [*parts[:n], part[:at] + part[at + 1 :], *parts[n + 1 :]]

    while (found := next((candidate for candidate in smaller() if strays(candidate)), None)) is not None:
        parts = found
    return parts


def attack(family: Family, cuts: int, seed: int, seconds: float) -> Report:
    """Tests at least ``cuts`` settled cuts of ``family``, or as many as fit into ``seconds``; stops at a failure."""
    claims = Attack(family)
    report = Report(family.name, claims.certificate)
    dice = Dice(claims.tok, claims.added(), seed)
    began = time.monotonic()
    texts = 0
    while not report.failures and report.cuts < cuts and time.monotonic() - began < seconds:
        texts += 1
        text = dice.text() if claims.restarts or claims.bytewise else dice.sober_text()
        if texts % 4 == 0 or not claims.proved:
            parts, words = dice.parts(text), dice.random.randint(0, 6)
            report.pushes += len(parts)
            if claims.strayed(parts, words):
                parts = shrunk_parts(parts, lambda parts, words=words: claims.strayed(parts, words))  # type: ignore[misc]
                report.failures.append(f"{claims.strayed(parts, words)}: parts {parts!a}")
                break
        if not claims.proved:
            # Nothing is claimed but that streams are right; each takes the place of a few cuts.
            cuts -= 10
            continue
        found = claims.cuts(text)
        if not found:
            continue
        more = dice.continuation(text)
        sample = [*found[-2:], dice.random.choice(found)]
        why = claims.unsettled(text, more, found, sample)
        if why is None and texts % 4 == 1:
            why = claims.unsettled_in_library(text, more, found, sample[-2:]) or claims.moved(text, more)
            report.judged += len(found)
        if why is not None:
            text, more = shrink(text, more, claims.judge)
            report.failures.append(f"{claims.judge(text, more) or why}: text {text!a}, continuation {more!a}")
        report.cuts += len(found)
        report.restarts += len(sample) if claims.restarts else 0
    report.seconds = time.monotonic() - began
    if claims.proved and not report.cuts and not report.failures:
        report.failures.append(f"no settled cut in {texts} texts, but describe() claims: {claims.certificate}")
    return report


def unordered(families: list[Family], rounds: int, seed: int) -> list[str]:
    """Failures of `common_boundaries`: an order that matters, or a boundary that appended text takes away."""
    dice = Dice(families[0].tok, ["</s>", "<|endoftext|>"], seed)
    failures = []
    for _ in range(rounds):
        some = [family.tok for family in dice.random.sample(families, 3)]
        text = dice.text()
        longer = text + dice.continuation(text)
        found = cf.common_boundaries(some, text)
        if any(cf.common_boundaries(order, text) != found for order in (some[::-1], some[1:] + some[:1])):
            failures.append(f"{[tok.name for tok in some]}: the order matters for {text!a}")
        certain = all(tok.describe()["method"] == "bytes" and tok.represents(longer) for tok in some)
        if certain and not set(found) <= set(cf.common_boundaries(some, longer)):
            failures.append(f"{[tok.name for tok in some]}: a common boundary of {text!a} goes away in {longer!a}")
    return failures


def main() -> int:
    """Attacks what the command line asks for and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cuts", type=int, default=1_000_000, help="settled cuts for each tokenizer")
    parser.add_argument("--tokenizer", action="append", help="only this one (a name of tests/fixtures.py); repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most this long for each tokenizer")
    options = parser.parse_args()
    chosen = [family for family in FAMILIES if not options.tokenizer or family.name in options.tokenizer]
    if not chosen or len(chosen) < len(options.tokenizer or []):
        parser.error(f"--tokenizer {options.tokenizer}: expected some of {[family.name for family in FAMILIES]}")
    row = "{:28} {:>9} {:>9} {:>10} {:>7} {:>7}  {}; {}"
    print(row.format("tokenizer", "cuts", "restarts", "in library", "pushes", "seconds", "result", "certificate"))
    failed = 0
    for family in chosen:
        report = attack(family, options.cuts, options.seed, options.seconds)
        short = (
            report.cuts < options.cuts and not report.certificate.startswith("none") and options.seconds == float("inf")
        )
        failed += bool(report.failures) or short
        result = "FAILED" if report.failures else "TOO FEW" if short else "held"
        counts = (report.cuts, report.restarts, report.judged, report.pushes, round(report.seconds, 1))
        print(row.format(report.name, *counts, result, report.certificate), flush=True)
        for failure in report.failures:
            print("    ", failure, flush=True)
    proved = [family for family in chosen if family.certified]
    if len(proved) >= 3:
        failures = unordered(proved, 300, options.seed)
        failed += bool(failures)
        print("common boundaries:", "FAILED" if failures else "the same in any order, and stay")
        for failure in failures[:5]:
            print("    ", failure)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
