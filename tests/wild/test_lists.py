"""One text of a list that cannot be written, prompts that are too long, and the user's Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import pytest
from test_budgets import LOSSY

from coolfusion.errors import (
    ArgumentError,
    CoolFusionError,
    CoolFusionWarning,
    EmptyPromptError,
    PromptTooLongError,
    UnrepresentableTextError,
)
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, again, cycle, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def pair():
    return [writer(WORDS, "a cat sat", name="words"), writer(LOSSY, "a cat sat", name="small")]


@pytest.mark.parametrize("rerank", [False, True])
@pytest.mark.parametrize("texts_in_step", [1, 2, 32])
def test_one_prompt_that_a_member_cannot_say_does_not_fail_the_others(rerank, texts_in_step):
    prompts = ["a", "a\n", "a cat", "a!"]
    fusion = Fusion(pair(), max_concurrent_requests=texts_in_step)
    outputs = fusion.generate(prompts, on_failure="continue", rerank=rerank)
    assert [output.text for output in outputs] == [" cat sat", "", " sat", ""]
    assert [output.finish_reason for output in outputs] == ["end", None, "end", None]
    assert [output.error is None for output in outputs] == [True, False, True, False]
    assert outputs[1].error.startswith("prompt 1: member small cannot say the prompt")
    assert outputs[3].error.startswith("prompt 3: member small cannot say the prompt")
    assert [[held.name for held in output.members] for output in outputs] == [["words", "small"]] * 4
    with pytest.raises(UnrepresentableTextError, match="prompt 1: member small cannot say the prompt") as caught:
        fusion.generate(prompts, rerank=rerank)
    assert [output.text for output in caught.value.partial] == [" cat sat", "", " sat", ""]
    with pytest.raises(UnrepresentableTextError, match=r"^member small cannot say the prompt"):
        fusion.generate("a\n", on_failure="continue")
    with pytest.raises(ArgumentError, match="a prompt must be"):
        fusion.generate(["a", 7], on_failure="continue")


def test_what_ends_one_text_on_the_way_stands_in_its_output():
    stuck = writer(toy("!"), lambda text: "!" if text == "a" else "a cat"[len(text) :], name="stuck")
    size = LOSSY.vocab_size
    mute = ScriptedModel(lambda ids: [float("nan")] * size, size, eos_token_ids=(END,), name="mute")
    fusion = Fusion([stuck, Member(mute, LOSSY, (BOS,))])
    one, other = fusion.generate(["a", "a c"], on_failure="continue")
    assert one.error is not None and "cannot say" in one.error
    assert (other.text, other.finish_reason, other.error) == ("at", "end", None)
    with pytest.raises(CoolFusionError):
        fusion.generate("a", on_failure="continue")


def test_an_empty_prompt_is_named_too():
    members = [writer(WORDS, "a cat", prefix_ids=())]
    assert [o.error is None for o in Fusion(members).generate(["a", ""], on_failure="continue")] == [True, False]
    with pytest.raises(EmptyPromptError, match="prompt 1: the prompt is empty"):
        Fusion(members).generate(["a", ""])


def test_a_prompt_above_a_limit_warns_and_can_be_refused():
    members = [writer(LETTERS, cycle(" bcd"), limit=12, name="short"), writer(WORDS, cycle(" bcd"), name="long")]
    fusion = Fusion(members)
    said = r"the prompt has 25 tokens of member short, whose limit is 12: only the last 6 are read, and 19 are left out"
    with pytest.warns(CoolFusionWarning, match=f"^{said}") as caught:
        written = fusion.generate(" bcd" * 6, 8)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert written.text == " bcd" * 2
    with pytest.warns(CoolFusionWarning, match=f"^{said}") as caught:
        fusion.stream(" bcd" * 6, 8)
    assert caught[0].filename == __file__
    with pytest.warns(CoolFusionWarning, match=f"^prompt 1: {said}") as caught:
        fusion.generate(["b", " bcd" * 6], 8, rerank=True)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fusion.generate(" bcd" * 2, 8)
        with pytest.raises(PromptTooLongError, match=r"the prompt has 25 tokens of member short, whose limit is 12$"):
            fusion.generate(" bcd" * 6, 8, overlong="error")
        with pytest.raises(PromptTooLongError, match="member short"):
            fusion.stream(" bcd" * 6, 8, overlong="error")
        outputs = fusion.generate([" bcd" * 6, "b"], 8, overlong="error", on_failure="continue")
    assert outputs[0].error.startswith("prompt 0: the prompt has 25 tokens of member short")
    assert outputs[1].text and outputs[1].error is None
    with pytest.raises(ArgumentError, match="overlong 'cut' is unknown"):
        fusion.generate("b", overlong="cut")


def interrupting(member, after):
    """The member, whose model sends the process Ctrl-C in its pass number `after`."""
    inner, calls = again(member).runner, []

    def row(ids):
        calls.append(ids)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.2)
        return inner._logits(ids)

    model = ScriptedModel(row, inner.logits_size, eos_token_ids=inner.eos_token_ids, name=inner.name)
    return Member(model, member.tokenizer, (BOS,))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("rerank", [False, True])
def test_an_interrupt_carries_what_was_written_and_the_fusion_goes_on(apart, rerank):
    members = [interrupting(writer(WORDS, "a cat sat on"), 60 if rerank else 25), writer(LETTERS, "a cat sat on")]
    if apart:
        for number, member in enumerate(members):
            member.runner.device = f"device {number}"
    fusion = Fusion(members, max_concurrent_requests=2)
    prompts = ["a", "a cat", "a cat sat"] * 6
    with pytest.raises(KeyboardInterrupt) as caught:
        fusion.generate(prompts, rerank=rerank)
    whole = [" cat sat on", " sat on", " on"] * 6
    texts = [output.text for output in caught.value.partial]
    assert len(texts) == len(whole)
    assert all(text.startswith(part) for text, part in zip(whole, texts, strict=True))
    assert texts[0] == whole[0] and texts[-1] == ""
    assert [output.text for output in fusion.generate(prompts, rerank=rerank)] == whole


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("apart", [False, True])
def test_an_interrupt_of_one_text_and_of_a_stream(apart):
    def fusion():
        members = [interrupting(writer(WORDS, "a cat sat on the mat"), 4), writer(LETTERS, "a cat sat on the mat")]
        for number, member in enumerate(members):
            member.runner.device = f"device {number}" if apart else "script"
        return Fusion(members, drafts=0)

    with pytest.raises(KeyboardInterrupt) as caught:
        fusion().generate("a")
    assert " cat sat on the mat".startswith(caught.value.partial.text) and caught.value.partial.text
    assert caught.value.partial.finish_reason is None
    seen = []
    with pytest.raises(KeyboardInterrupt) as caught:
        seen.extend(step.text for step in fusion().stream("a"))
    assert " cat sat on the mat".startswith(caught.value.partial.text)
