"""Every public object says in one short line what it is."""

from __future__ import annotations

import inspect

import pytest

import coolfusion as cf
from coolfusion import executors, fusion, models, toy
from coolfusion.fusion import selection
from coolfusion.fusion.options import Request
from coolfusion.fusion.transcript import Transcript
from coolfusion.members.commands import Prefill
from coolfusion.members.session import Session
from coolfusion.records import MemberOutput
from fusion_parts import toy as toy_tokenizer
from fusion_parts import writer

PUBLIC = {
    (module.__name__, name)
    for module in (cf, executors, fusion, models, selection)
    for name in module.__all__
    if name != "__version__"
}
LONG = "a cat sat on the mat\n" * 500


def one_text():
    members = [writer(toy_tokenizer(" cat", " sat"), LONG, name=name) for name in ("ann", "bob")]
    return fusion.Fusion(members).generate("a", 40, rerank=True)


def things() -> dict[str, object]:
    """An object of each public class, by the name of the class; texts are long."""
    tokenizer = toy.tokenizer()
    ids = tokenizer.encode("the cat sat")
    segmenter = cf.Segmenter(tokenizer)
    segments = [segment for segment in map(segmenter.push, ids) if segment]
    members = [writer(toy_tokenizer(), LONG, name=name) for name in ("ann", "bob")]
    both = fusion.Fusion(members)
    output = one_text()
    step = output.steps[0]
    context = members[0].runner.new_context()
    encoder = cf.StreamEncoder(tokenizer)
    found = [
        *(tokenizer, segmenter, segments[0], encoder, encoder.push("the"), cf.StreamDecoder(tokenizer)),
        *(cf.align([tokenizer], LONG), both, both.engine, members[0], both.stream("a"), both.astream("a"), output),
        *(step, step.candidates[0], step.scores[0][0], output.members[0], output.continuations[0]),
        *(cf.Rejection(LONG, (0,), 1, "lossy", "why"), Request(prompt=LONG), Request(prompt=(list(range(9999)), LONG))),
        *(members[0].runner, models.ForgetfulModel(members[0].runner), context),
        *(executors.InlineExecutor(members), executors.ThreadExecutor(members)),
        *(selection.StepView(step.candidates, step.scores, (0, 1), ("ann", "bob"), history=output.steps), both.rule),
        *(selection.as_rule(name) for name in ("paper", "mixture", "primary", "without_outliers")),
        *(cf.Think(), cf.Rerank(), cf.Rerank(scores="others", vote=True, answer="number", samples=4)),
        *(selection.Uniform(), selection.Fixed({"ann": 1.0}), selection.ByEvidence(), selection.ByRecentText()),
        selection.Ranking((1.0, 2.0), (0.5, 0.5)),
        *(selection.Selection(0, (1.0,), 0.5, ()), fusion.Event(3, output.steps, output, None)),
        *(Session(members[0], Prefill(0, (5,)), [], context), Transcript(members[0], 0, LONG)),
        MemberOutput("ann", list(range(9999)), list(range(9999)), 0, 0, failed=LONG),
    ]
    return {f"{type(each).__name__}{number}": each for number, each in enumerate(found)}


THINGS = things()


def test_every_public_class_is_looked_at():
    seen = {type(each) for each in THINGS.values()}
    for module, name in PUBLIC:
        value = getattr(__import__(module, fromlist=[name]), name)
        assert not inspect.ismodule(value), f"{module}.{name} is hidden by a module of the same name"
        if not inspect.isclass(value) or issubclass(value, BaseException) or getattr(value, "_is_protocol", False):
            continue
        # A process is started for this one; test_executors.py looks at it.
        assert value in seen or value is executors.ProcessExecutor, f"{module}.{name}"
    assert len(seen) > 25


@pytest.mark.parametrize("name", sorted(THINGS))
def test_the_repr_is_one_short_line(name):
    thing = THINGS[name]
    kind = type(thing).__name__
    text = repr(thing)
    assert text.startswith(f"{kind}(")
    assert "\n" not in text and " object at 0x" not in text
    # Two records are shown with all that they hold of one segment; none of them holds a whole text.
    limit = 20_000 if kind in ("Rejection", "Event") else 200
    assert len(text) < limit


def test_what_a_text_holds_is_shown_from_both_ends():
    assert repr(one_text()).startswith("Output(' cat sat on")
    lost = MemberOutput("ann", [1, 2], [3], 0, 0, failed="no numbers")
    assert repr(lost) == "MemberOutput('ann', 2 tokens of prompt, 1 written, failed='no numbers')"
    assert repr(cf.Output("", (), None, (), error="why")) == "Output('', 0 steps, finish_reason=None, error='why')"
    assert repr(Request(prompt=(list(range(9999)), "a"))).startswith("Request(prompt=([0, 1, 2, 3, 4, 5, ...], 'a')")
