"""Members that reason apart and answer together."""

from __future__ import annotations

import asyncio

import pytest

from coolfusion import FusionEngine, Request, Rerank, Think
from coolfusion.errors import ArgumentError, CoolFusionError, PromptTooLongError
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.reasoning import does_not_reason, is_open, reasoning_of
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat", "</think>"), toy()
MARKERS = ("<think>", "</think>")


def reasoner(tokenizer, thought, answer, **options):
    """A member that thinks, and whose answer needs its own thought to be read before it."""

    def follow(text):
        whole = f"Q:<think>{thought}</think>{answer}"
        if whole.startswith(text):
            return whole[len(text) :]
        # Without its own thought it answers nonsense.
        return " lost"

    return writer(tokenizer, follow, **options)


def pair():
    return [
        reasoner(WORDS, " the cat", " mat 7", name="ann"),
        reasoner(LETTERS, " two and five", " mat 7", name="bob"),
    ]


def test_each_member_answers_after_its_own_reasoning_alone():
    output = Fusion(pair()).generate("Q:", 16, think=MARKERS)
    assert output.text == " mat 7" and output.finish_reason == "end"
    assert output.reasoning == ("<think> the cat</think>", "<think> two and five</think>")
    for member, held, trace in zip(pair(), output.members, output.reasoning, strict=True):
        assert member.tokenizer.decode(held.prompt_ids[1:]) == f"Q:{trace}"
    assert Fusion(pair()).generate("Q:", 16).text != " mat 7", "without it one of them is lost"


def test_the_answer_is_that_of_a_fusion_with_these_prompts():
    output = Fusion(pair()).generate("Q:", 16, think=MARKERS)
    prompts = tuple(list(held.prompt_ids) for held in output.members)
    again = Fusion(pair()).generate(prompts, 16)
    assert [step.scores for step in again.steps] == [step.scores for step in output.steps]
    assert (again.text, again.members[0].token_ids) == (output.text, output.members[0].token_ids)


def test_peers_score_the_answer_and_never_the_reasoning():
    members = [reasoner(WORDS, " the cat", " mat 7", name="ann"), reasoner(LETTERS, " two", " sat 8", name="bob")]
    output = Fusion(members).generate("Q:", 16, think=MARKERS, rerank=Rerank(scores="others"))
    alone = [each for each in output.continuations if each.author != "fusion"]
    assert [each.text for each in alone] == [" mat 7", " sat 8"]
    for each in alone:
        assert "think" not in each.text
        [judge] = each.judges
        ids = members[judge].tokenizer.encode(each.text, continues=True)
        assert each.scores[judge].n_tokens == len(ids) + 1, "END is one more event"


def test_a_vote_counts_answers_after_reasoning():
    members = [*pair(), reasoner(WORDS, " 5 on 5", " 9", name="cyd")]
    settings = Rerank(vote=True, answer="number", samples=1, temperature=0.05)
    output = Fusion(members).generate("Q:", 16, think=Think(), rerank=settings)
    assert output.text == " mat 7"
    assert {"7", "9"} <= {each.answer for each in output.continuations} <= {"7", "9", ""}, "no reasoning votes"
    assert output.reasoning[2] == "<think> 5 on 5</think>"


def test_a_member_that_does_not_reason_answers_from_its_prompt():
    plain = writer(LETTERS, "Q: mat 7", name="bob")
    output = Fusion([pair()[0], plain]).generate("Q:", 16, think=MARKERS)
    assert output.reasoning == ("<think> the cat</think>", "")
    assert output.text == " mat 7"
    assert output.members[1].prompt_ids == [BOS, *LETTERS.encode("Q:")]
    few = Fusion([writer(LETTERS, "Q: mat" + " mat" * 99, name="bob")])
    few.generate("Q:", 4, think=Think(max_new_tokens=200))
    assert few.members[0].runner.processed_tokens < 60, "its reasoning ends as soon as it has none"


def test_a_reasoning_that_its_budget_cuts_is_closed():
    endless = reasoner(WORDS, " the cat" * 50, " lost", name="ann")
    output = Fusion([endless]).generate("Q:", 8, think=Think(max_new_tokens=12))
    [trace] = output.reasoning
    assert trace.startswith("<think>") and trace.endswith("</think>") and trace.count("</think>") == 1
    assert WORDS.decode(output.members[0].prompt_ids[1:]) == f"Q:{trace}"
    assert output.text.startswith(" "), "it is lost, because its reasoning is another"


def test_a_prompt_may_open_the_reasoning():
    member = writer(WORDS, "Q:<think> cat</think> mat")
    output = Fusion([member]).generate("Q:<think>", 8, think=MARKERS)
    assert (output.reasoning, output.text) == ((" cat</think>",), " mat")


@pytest.mark.parametrize("answer", ["A", ", mat", "\n\nmat"])
def test_an_answer_that_shares_a_segment_with_the_marker_begins_after_it(answer):
    member = writer(LETTERS, f"Q:<think> cat</think>{answer}")
    output = Fusion([member]).generate("Q:", 12, think=MARKERS)
    assert (output.reasoning, output.text) == (("<think> cat</think>",), answer)


def test_a_stop_string_of_the_answer_does_not_end_the_reasoning():
    output = Fusion(pair()).generate("Q:", 16, think=MARKERS, stop_strings=[" 7", " cat"])
    assert (output.text, output.finish_reason) == (" mat", "stop")
    assert output.reasoning[0] == "<think> the cat</think>"


def test_streams_show_the_answer_alone():
    stream = Fusion(pair()).stream("Q:", 16, think=MARKERS)
    assert "".join(step.text for step in stream) == " mat 7" == stream.output.text
    assert stream.output.reasoning[1] == "<think> two and five</think>"

    async def read():
        return [step.text async for step in Fusion(pair()).astream("Q:", 16, think=MARKERS)]

    assert "".join(asyncio.run(read())) == " mat 7"


class Failing(ScriptedModel):
    """Fails in every pass of its first context, which reasons."""

    def new_context(self):
        found = super().new_context()
        self.__dict__.setdefault("first", found)
        return found

    def prefill(self, prompts):
        if any(context is self.first for context, _ in prompts):
            raise CoolFusionError("worn out")
        super().prefill(prompts)


def failing(member):
    model = Failing(member.runner._logits, member.runner.logits_size, eos_token_ids=(END,), name=member.name)
    return Member(model, member.tokenizer, member.prefix_ids)


def test_a_member_that_fails_while_it_reasons_ends_the_text_or_answers_without_reasoning():
    with pytest.raises(CoolFusionError, match="worn out") as caught:
        Fusion([failing(pair()[0]), pair()[1]]).generate("Q:", 8, think=MARKERS)
    assert caught.value.partial.text == ""
    output = Fusion([failing(pair()[0]), pair()[1]]).generate("Q:", 8, think=MARKERS, on_failure="continue")
    assert output.reasoning == ("", "<think> two and five</think>")
    assert [held.failed for held in output.members] == [None, None]


def test_a_prompt_that_the_reasoning_makes_too_long_is_refused_where_that_was_asked_for():
    member = reasoner(LETTERS, " two and five", " mat", limit=24)
    with pytest.raises(PromptTooLongError, match="whose limit is 24"):
        Fusion([member]).generate("Q:", 4, think=Think(max_new_tokens=40), overlong="error")


def test_texts_that_reason_share_an_engine_with_others_and_can_be_given_up():
    engine = FusionEngine(pair())
    kept = engine.add(Request(prompt="Q:", max_new_tokens=8, think=MARKERS))
    gone = engine.add(Request(prompt="Q:", max_new_tokens=8, think=MARKERS, rerank=True))
    engine.step()
    engine.abort(gone)
    events = [event for _ in range(400) if engine.has_unfinished for event in engine.step() if event.output is not None]
    outputs = {event.request_id: event.output for event in events}
    assert outputs[kept].text == " mat 7"
    assert outputs[gone].text == "" and not engine.has_unfinished
    assert engine.n_cached_tokens == 0


@pytest.mark.parametrize(
    ("before", "text", "reason", "trace"),
    [
        ("Q:", "<think>1", "stop", "<think>1</think>"),
        ("Q:", "<think>1", "end", "<think>1</think>"),
        ("Q:", "2", "end", ""),
        ("Q:", "2", None, ""),
        ("Q:<think>", "2", "length", "2</think>"),
        ("<think>x</think>Q:", "2", "length", ""),
    ],
)
def test_the_reasoning_is_read_out_of_what_was_written(before, text, reason, trace):
    assert reasoning_of(before, text, reason, Think()) == trace


def test_what_cannot_become_a_reasoning_is_known_early():
    think = Think()
    assert is_open("a <think>\n", think) and not is_open("a", think)
    assert [does_not_reason("Q:", text, think) for text in ("", "\n<", "<think> a", "<b", "The")] == [
        *(False, False, False),
        *(True, True),
    ]
    assert not does_not_reason("<think>", "The", think)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("<think>", "think must be None, a pair of markers or a Think, not '<think>'"),
        (("a", ""), "close must be a text of at least one character, not ''"),
        ((1, "b"), "open must be a text of at least one character, not 1"),
    ],
)
def test_markers_that_are_none_are_named(given, message):
    with pytest.raises(ArgumentError, match=message):
        Request(prompt="a", think=given)
    with pytest.raises(ArgumentError, match="max_new_tokens of the reasoning must be"):
        Think(max_new_tokens=0)
