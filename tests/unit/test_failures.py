"""Failing, hanging and shared models: what a text keeps, and what its neighbours notice."""

from __future__ import annotations

import gc
import math
import threading
import time

import pytest

from coolfusion.errors import ArgumentError, FusionError, ModelError
from coolfusion.fusion import Fusion, Member
from coolfusion.members.commands import Commit, Prefill, Propose, WriteAhead
from coolfusion.members.worker import ModelWorker
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, again, gambler, lean, literal, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def failing(tokenizer, how, *, after=3, name="failing"):
    """A member that writes " cat sat on" and, on contexts longer than `after`, does `how` first."""
    inner = writer(tokenizer, "a cat sat on", name=name)

    def row(ids):
        if len(ids) > after:
            how()
        return inner.runner._logits(ids)

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=name), tokenizer, (BOS,))


def on_devices(members):
    for number, member in enumerate(members):
        member.runner.device = f"device {number}"
    return members


def raising(error):
    def how():
        raise error

    return how


@pytest.mark.parametrize("apart", [False, True])
def test_a_model_that_raises_ends_the_text_with_what_was_committed(apart):
    members = [failing(WORDS, raising(RuntimeError("out of memory"))), writer(LETTERS, "a cat sat on")]
    fusion = Fusion(on_devices(members) if apart else members, drafts=0)
    with pytest.raises(ModelError, match=r"member failing: .*RuntimeError: out of memory") as caught:
        fusion.generate("a")
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == (" cat", None)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
def test_the_others_go_on_if_the_user_asks_for_it_and_the_output_says_so(apart, forgets, caplog):
    members = [failing(WORDS, raising(RuntimeError("broken"))), writer(LETTERS, "a cat sat on")]
    members = on_devices(members) if apart else members
    fusion = literal(members) if forgets else Fusion(members, drafts=0)
    output = fusion.generate("a", on_failure="continue")
    assert (output.text, output.finish_reason) == (" cat sat on", "end")
    lost, kept = output.members
    assert "broken" in lost.failed and kept.failed is None
    assert WORDS.decode(lost.token_ids) == " cat", "its ids end where it was lost"
    assert [step.excluded for step in output.steps] == [(), (0,), (0,), (0,)]
    assert {r.reason for step in output.steps[1:] for r in step.rejected} == {"failed"}
    assert "goes on without member failing" in caplog.text


def test_a_text_that_loses_all_members_while_they_score_says_why():
    def scorer(wish, stranger, why):
        inner = writer(LETTERS, wish)

        def row(ids):
            if stranger in LETTERS.decode(list(ids)):  # the other member's candidate
                raise RuntimeError(why)
            return inner.runner._logits(ids)

        return Member(ScriptedModel(row, LETTERS.vocab_size, eos_token_ids=(END,), name=why), LETTERS, (BOS,))

    members = [scorer("a cat", "d", "first"), scorer("a dog", "c", "second")]
    with pytest.raises(ModelError, match=r"no model can go on: .*first.*second"):
        Fusion(members, drafts=0).generate("a", on_failure="continue")


def test_a_thread_that_is_ended_leaves_nobody_waiting():
    members = [failing(WORDS, raising(SystemExit("killed")), name="gone"), writer(LETTERS, "a cat sat on")]
    fusion = Fusion(on_devices(members), drafts=0)
    with pytest.raises(ModelError, match="member gone: its thread was ended by SystemExit: killed") as caught:
        fusion.generate("a")
    assert caught.value.partial.text == " cat"
    assert fusion.generate("a", on_failure="continue").text == " cat sat on"


def test_all_models_failing_is_an_error_also_if_the_others_were_to_go_on():
    members = [failing(WORDS, raising(RuntimeError(name)), name=name) for name in ("one", "two")]
    with pytest.raises(ModelError, match=r"no model can go on.*one.*two") as caught:
        Fusion(members).generate("a", on_failure="continue")
    assert caught.value.partial.text in ("", " cat")


class Hang:
    """Hangs once, until it is let go."""

    def __init__(self):
        self.free = threading.Event()

    def __call__(self):
        self.free.wait(30)


@pytest.fixture
def hang():
    waiting = Hang()
    yield waiting
    waiting.free.set()


@pytest.mark.parametrize("apart", [False, True])
def test_case_g06_a_pass_that_hangs_ends_the_text_after_the_time_limit(apart, hang):
    members = [failing(WORDS, hang, name="slow"), writer(LETTERS, "a cat sat on")]
    fusion = Fusion(on_devices(members) if apart else members, drafts=0, pass_timeout=1.0)
    began = time.monotonic()
    with pytest.raises(
        ModelError, match=r"member slow: a pass has not come back within the time limit of 1.0 s"
    ) as caught:
        fusion.generate("a")
    assert time.monotonic() - began < 10
    assert caught.value.partial.text == " cat"
    with pytest.raises(ModelError, match="member slow"):
        fusion.generate("a")  # nobody waits for it a second time


@pytest.mark.parametrize("apart", [False, True])
def test_a_pass_that_hangs_loses_its_member_and_not_its_neighbour_on_the_device(apart, hang):
    members = [failing(WORDS, hang, name="slow"), writer(LETTERS, "a cat sat on"), writer(WORDS, "a cat sat on")]
    fusion = Fusion(on_devices(members) if apart else members, drafts=0, pass_timeout=1.0)
    output = fusion.generate("a", on_failure="continue")
    assert output.text == " cat sat on"
    assert [each.failed is None for each in output.members] == [False, True, True]


@pytest.mark.parametrize("drafts", [0, None])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("on_failure", ["stop", "continue"])
@pytest.mark.parametrize("failure", ["raises", "no numbers", pytest.param("hangs", marks=pytest.mark.slow)])
def test_case_g07_every_failure_of_one_or_many_texts_on_one_device_or_several(
    failure, on_failure, many, apart, drafts, hang
):
    bad = failing(
        WORDS, {"raises": raising(RuntimeError("broken")), "hangs": hang, "no numbers": lambda: None}[failure]
    )
    if failure == "no numbers":
        rows = bad.runner._logits
        bad.runner._logits = lambda ids: [math.nan] * WORDS.vocab_size if len(ids) > 3 else rows(ids)
    members = [bad, writer(LETTERS, "a cat sat on"), writer(WORDS, "a cat sat on", name="well")]
    limit = 0.5 if failure == "hangs" else None
    fusion = Fusion(on_devices(members) if apart else members, drafts=drafts, pass_timeout=limit)
    whole = {"a": " cat sat on", "a cat": " sat on"} if many else {"a": " cat sat on"}
    prompt = list(whole) if many else "a"
    if on_failure == "continue":
        outputs = fusion.generate(prompt, on_failure="continue")
        for output, text in zip(outputs if many else [outputs], whole.values(), strict=True):
            assert (output.text, output.finish_reason) == (text, "end")
            assert [each.failed is None for each in output.members] == [failure == "no numbers", True, True]
            assert output.steps[-1].excluded == (0,)
            assert output.steps[-1].rejected, "and says so"
        return
    with pytest.raises(ModelError, match="failing") as caught:
        fusion.generate(prompt)
    partial = caught.value.partial if many else [caught.value.partial]
    for output, text in zip(partial, whole.values(), strict=True):
        assert text.startswith(output.text) and output.text != text
        assert output.text == "".join(step.text for step in output.steps)
        assert output.finish_reason is None
    if not many:
        assert partial[0].text == " cat"


def test_threads_end_with_their_fusion():
    others = set(threading.enumerate())
    fusion = Fusion(on_devices([writer(WORDS, "a cat"), writer(LETTERS, "a cat")]))
    ours = [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("coolfusion")]
    assert len(ours) == 2
    assert fusion.generate("a").text == " cat"
    del fusion
    gc.collect()
    for thread in ours:
        thread.join(5)
        assert not thread.is_alive()


def test_a_background_task_waits_for_those_in_front_and_ends_with_the_next_command():
    """Tasks of a session share its segmenter: a background task that began early would write into another's words."""
    member = writer(WORDS, "a cat sat on the mat")
    worker = ModelWorker(member, 0, [member.tokenizer])
    replies = []

    def run(*commands):
        for command in commands:
            worker.deliver(command)
        for _ in range(20):
            found = worker.advance()
            if not found and worker.prepare() is not None:
                worker.make_pass()
                found = worker.settle()
            replies.extend(found)

    run(Prefill(7, (BOS, *WORDS.encode("a"))))
    worker.deliver(Propose(7, (), 9))
    worker.deliver(WriteAhead(7, (), 9, 3))
    assert worker.advance() == [], "a pass is needed first"
    run()
    kinds = [(reply.background, reply.last) for reply in replies]
    assert kinds[:2] == [(False, True), (False, True)] and all(background for background, _ in kinds[2:])
    assert replies[1].value[0].text == " cat"
    assert replies[-1].usage.ahead.texts == (" cat", " sat", " on") and replies[-1].last
    replies.clear()
    worker.deliver(WriteAhead(7, (), 20, 6))
    worker.advance()
    run(Propose(7, (Commit((WORDS.encode(" cat", continues=True)[0],), " cat"),), 9))
    assert [reply.background for reply in replies if reply.last] == [False], "the next command has ended it"
    assert replies[-1].value[0].text == " sat"


def test_a_draft_that_finds_no_end_of_a_word_is_short():
    """After a word that loses a leader may write what never ends: its draft was once as long as the budget."""

    def stray(text):
        return " " * 20 if " mat" in text else " mat" if text == "a cat" else "a cat sat on"[len(text) :]

    members = [writer(WORDS, stray, chance=0.4), *(writer(WORDS, "a cat sat on", chance=0.99) for _ in range(2))]
    output = Fusion(members, drafts=6).generate("a", 400)
    assert output.text == " cat sat on"
    assert output.members[0].processed_tokens < 60


def test_two_threads_may_use_one_fusion():
    fusion = Fusion([gambler(WORDS, 1), gambler(LETTERS, 2)])
    expected = Fusion([gambler(WORDS, 1), gambler(LETTERS, 2)]).generate("the", 12).text
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(fusion.generate("the", 12).text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [expected] * 4


def test_many_texts_share_the_passes_of_every_model():
    members = [writer(WORDS, "a cat sat on"), writer(LETTERS, "a cat sat on")]
    alone = Fusion([again(each) for each in members], drafts=0)
    one = alone.generate("a")
    together = Fusion(members, drafts=0)
    outputs = together.generate(["a"] * 8)
    assert [output.text for output in outputs] == [one.text] * 8
    for few, many in zip(alone.members, together.members, strict=True):
        assert many.runner.forward_passes == few.runner.forward_passes
        assert many.runner.processed_tokens == 8 * few.runner.processed_tokens


def test_texts_of_unequal_length_share_passes_too():
    members = [writer(WORDS, lambda text: "a cat sat on the mat"[len(text) :]), writer(LETTERS, "a cat sat on the mat")]
    fusion = Fusion(members, drafts=0)
    outputs = fusion.generate(["a", "a cat", "a cat sat on"])
    assert [output.text for output in outputs] == [" cat sat on the mat", " sat on the mat", " the mat"]
    longest = max(output.members[1].forward_passes for output in outputs)
    assert fusion.members[1].runner.forward_passes <= 1.5 * longest


def test_an_error_in_one_of_many_texts_keeps_all():
    members = [failing(WORDS, raising(RuntimeError("late")), after=4), writer(LETTERS, "a cat sat on")]
    fusion = Fusion(members, drafts=0)
    with pytest.raises(ModelError, match="late") as caught:
        fusion.generate(["a", "a cat sat on"])
    assert [output.text for output in caught.value.partial] == [" cat sat", ""]


def test_memory_goes_back_when_a_text_ends_or_is_given_up():
    class Counting(ScriptedModel):
        closed = 0

        def new_context(self):
            context = super().new_context()
            inner = context.close
            context.close = lambda: (setattr(Counting, "closed", Counting.closed + 1), inner())
            return context

    inner = writer(WORDS, "a cat sat").runner
    fusion = Fusion([Member(Counting(inner._logits, inner.logits_size, eos_token_ids=(END,)), WORDS, (BOS,))])
    fusion.generate("a")
    assert Counting.closed == 1
    generation = fusion.stream("a")
    next(generation)
    del generation
    gc.collect()
    assert Counting.closed == 2


@pytest.mark.parametrize("time_limit", [0, -1.0, float("inf"), float("nan")])
def test_a_time_limit_that_is_none_is_refused(time_limit):
    with pytest.raises(ArgumentError, match="pass_timeout"):
        Fusion([writer(WORDS, "a")], pass_timeout=time_limit)


def test_options_that_do_not_exist_are_refused():
    fusion = Fusion([writer(WORDS, "a cat")])
    with pytest.raises(ArgumentError, match="schedule 'fast' is unknown"):
        fusion.generate("a", schedule="fast")
    for schedule in ("auto", "literal"):
        with pytest.warns(DeprecationWarning, match="coolfusion.fusion.reference"):
            assert fusion.generate("a", schedule=schedule).text == " cat"
    with pytest.raises(ArgumentError, match="on_failure 'ignore' is unknown"):
        fusion.generate("a", on_failure="ignore")
    for texts in (0, 2.5, True):
        with pytest.raises(ArgumentError, match="max_concurrent_requests"):
            Fusion([writer(WORDS, "a cat")], max_concurrent_requests=texts)
    for drafts in (-1, 1.5, True):
        with pytest.raises(ArgumentError, match="drafts"):
            Fusion([writer(WORDS, "a cat")], drafts=drafts)


def test_a_bug_in_a_rule_is_raised_and_not_swallowed():
    def rule(row):
        raise ZeroDivisionError("a bug")

    for members in ([writer(WORDS, "a cat")], on_devices([writer(WORDS, "a cat"), writer(LETTERS, "a cat")])):
        with pytest.raises(FusionError, match="rule rule failed at step 0: ZeroDivisionError: a bug") as caught:
            Fusion(members, rule=rule).generate("a")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_near_tie_is_logged_with_its_margin(caplog):
    members = [writer(WORDS, "a sat"), writer(WORDS, "a cat")]
    with caplog.at_level("INFO", logger="coolfusion"):
        step = next(Fusion(members).stream("a"))
    assert step.margin == 0.0
    assert "near-tie at step 0: margin 0 nats" in caplog.text
    assert lean(2, {0: 0.5})
