"""Parts of the tests of traces: a fusion of scripted members, and outputs with hostile names and texts."""

from __future__ import annotations

from dataclasses import replace

from coolfusion.fusion import Fusion
from coolfusion.records import Origin, Output
from fusion_parts import toy, writer

WISHES = (
    "a cat sat on the mat.\nIt was big",
    "a cat sat off the mat.\nHe was big",
    "a cat lay on the mat.\nIt was big",
)
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;\ud800`${x}"


def fusion(rule: str = "confident") -> Fusion:
    """Three members that agree on most words."""
    words = [toy(" cat", " the"), toy(" sat", " mat"), toy()]
    names = ("ann", "bob", "cid")
    members = [writer(tok, wish, name=name) for tok, wish, name in zip(words, WISHES, names, strict=True)]
    return Fusion(members, rule=rule)


def written(prompt: str = "a", **options: object) -> Output:
    """A text of theirs."""
    return fusion().generate(prompt, 60, **options)


def hostile() -> Output:
    """A text whose every name, prompt and segment would do harm where it is not escaped."""
    output = written()
    first = output.steps[0]
    candidates = tuple(replace(each, text=HOSTILE) for each in first.candidates)
    step = replace(first, text=HOSTILE, candidates=candidates)
    members = tuple(replace(each, name=f"{HOSTILE}{at}") for at, each in enumerate(output.members))
    steps = (step, *output.steps[1:])
    text = "".join(each.text for each in steps)
    return replace(
        output,
        text=text,
        steps=steps,
        members=members,
        error=HOSTILE,
        origin=Origin(HOSTILE, HOSTILE, None, {HOSTILE: HOSTILE}),
    )
