"""The engine: requests that join and leave at any step, share passes, wait in order, end, and leave nothing."""

from __future__ import annotations

import math
import pickle
import random
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion.errors import ArgumentError, FusionError, ModelError, RequestTimeoutError
from coolfusion.fusion import Fusion, FusionEngine, Member, Request, SelectionRule
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, again, cycle, gambler, same_steps, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()
SLOW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


class Counted(ScriptedModel):
    """A model that knows how many of its contexts are open, and how many were at most."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.open = self.most = 0

    def new_context(self):
        context, close = super().new_context(), None
        close = context.close
        self.open += 1
        self.most = max(self.most, self.open)
        state = {"open": True}

        def counted():
            self.open -= state["open"]
            state["open"] = False
            close()

        context.close = counted
        return context


def counted(member, *, rows=None):
    old = member.runner
    model = Counted(rows or old._logits, old.logits_size, eos_token_ids=old.eos_token_ids, name=old.name)
    return Member(model, member.tokenizer, member.prefix_ids)


def pair(**options):
    return [
        counted(writer(WORDS, "a cat sat on the mat", **options)),
        counted(writer(LETTERS, "a cat sat on the mat", **options)),
    ]


def run(engine):
    """All events until the engine is empty, by request."""
    found = {}
    while engine.has_unfinished:
        for event in engine.step():
            steps, _ = found.get(event.request_id, ((), None))
            found[event.request_id] = (steps + event.steps, event)
    return found


def test_requests_join_at_any_step_and_their_steps_and_outputs_come_out():
    with FusionEngine(pair()) as engine:
        first = engine.add(Request(prompt="a"))
        for _ in range(6):
            assert all(event.request_id == first for event in engine.step())
        second = engine.add(Request(prompt="a cat", max_new_tokens=8))
        events = run(engine)
    texts = {number: "".join(step.text for step in steps) for number, (steps, _) in events.items()}
    assert " cat sat on the mat".endswith(texts[first]) and texts[second] == " sat on "
    assert events[first][1].output.text == " cat sat on the mat"
    assert events[second][1].output.finish_reason == "length"
    assert [member.runner.open for member in engine.members] == [0, 0]


def test_streams_opened_at_different_times_share_passes_as_one_list_does():
    alike = [Fusion(pair(), drafts=0) for _ in range(3)]
    expected = alike[0].generate(["a"] * 8)
    streams = [alike[1].stream("a") for _ in range(8)]
    written = [[] for _ in streams]
    for _ in range(20):
        for stream, steps in zip(streams, written, strict=True):
            steps.extend([step] if (step := next(stream, None)) is not None else [])
    assert ["".join(step.text for step in steps) for steps in written] == [each.text for each in expected]
    for _ in range(8):
        alike[2].generate("a")
    passes = [[member.runner.forward_passes for member in fusion.members] for fusion in alike]
    assert passes[1] == passes[0]
    assert [many * 8 for many in passes[0]] == passes[2]


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), count=st.integers(2, 7), most=st.integers(1, 4), drafts=st.sampled_from([None, 0]))
@SLOW
def test_a_text_does_not_depend_on_its_neighbours_however_they_come_and_go(seed, count, most, drafts):
    """Scripted models compute in float64, so records are equal to the last bit."""
    dice = random.Random(seed)
    members = [gambler(tokenizer, seed + n) for n, tokenizer in enumerate((WORDS, LETTERS))]
    prompts = dice.choices(["a", "a cat", "the", "on the mat", "q"], k=count)
    engine = FusionEngine([again(each) for each in members], max_concurrent_requests=most, drafts=drafts)
    waiting, numbers, gone, events = list(enumerate(prompts)), {}, set(), {}
    while waiting or engine.has_unfinished:
        if waiting and dice.random() < 0.3:
            at, prompt = waiting.pop(0)
            numbers[engine.add(Request(prompt=prompt, max_new_tokens=12, rerank=dice.random() < 0.2))] = at
        if numbers and dice.random() < 0.02:
            number = dice.choice(list(numbers))
            engine.abort(number)
            gone.add(number)
        for event in engine.step():
            if event.output is not None:
                events[event.request_id] = event
        assert engine.n_running <= most
    for number, event in events.items():
        if number in gone:
            continue
        alone = Fusion([again(each) for each in members], drafts=0)
        rerank = bool(event.output.continuations)
        same_steps(event.output, alone.generate(prompts[numbers[number]], 12, rerank=rerank))
    assert set(events) == set(numbers)


def test_requests_beyond_the_limit_wait_in_order_of_priority_and_arrival():
    engine = FusionEngine(pair(), max_concurrent_requests=1)
    numbers = [engine.add(Request(prompt="a", priority=priority)) for priority in (1, 0, 1, -1)]
    order = []
    while engine.has_unfinished:
        order += [event.request_id for event in engine.step() if event.output is not None]
        assert engine.n_running <= 1
    assert order == [numbers[3], numbers[1], numbers[0], numbers[2]]
    assert max(member.runner.most for member in engine.members) == 1


def test_a_limit_of_cached_tokens_holds_and_what_can_never_fit_is_refused():
    engine = FusionEngine(pair(), max_cached_tokens=60)
    for _ in range(4):
        engine.add(Request(prompt="a", max_new_tokens=8))  # (2 + 8) tokens of each member
    most = 0
    while engine.has_unfinished:
        engine.step()
        most = max(most, engine.n_cached_tokens)
        assert engine.n_cached_tokens <= 60
    assert most == 60 and max(member.runner.most for member in engine.members) == 3
    with pytest.raises(ArgumentError, match="may need 68 cached tokens, max_cached_tokens is 60"):
        engine.add(Request(prompt="a", max_new_tokens=32))


@pytest.mark.parametrize("rerank", [False, True])
def test_an_aborted_request_frees_its_memory_at_once_and_disturbs_no_one(rerank):
    engine = FusionEngine(pair())
    kept, gone = engine.add(Request(prompt="a")), engine.add(Request(prompt="a", rerank=rerank))
    for _ in range(5):
        engine.step()
    before = engine.members[0].runner.open
    engine.abort(gone)
    # A rerank holds the fused text, the member's own, and the prompt for the judgement.
    assert engine.members[0].runner.open == before - (3 if rerank else 1) == 1
    events = run(engine)
    assert events[kept][1].output.text == " cat sat on the mat"
    assert events[gone][1].output.finish_reason is None and events[gone][1].error is None
    waiting = engine.add(Request(prompt="a"))
    engine.abort(waiting)
    engine.abort(12345)
    assert run(engine).get(waiting, ((), None))[0] == ()
    assert [member.runner.open for member in engine.members] == [0, 0]


def test_a_failing_request_ends_alone():
    members = pair()
    rows = members[0].runner._logits
    members[0] = counted(members[0], rows=lambda ids: rows(ids) if len(ids) < 7 else 1 / 0)
    engine = FusionEngine(members, drafts=0)
    long, short = engine.add(Request(prompt="a cat sat on the")), engine.add(Request(prompt="a", max_new_tokens=6))
    events = run(engine)
    assert isinstance(events[long][1].error, ModelError)
    assert events[short][1].error is None and events[short][1].output.text == " cat s"
    assert [member.runner.open for member in engine.members] == [0, 0]


def test_a_rule_that_breaks_ends_its_text_and_no_other():
    def rule(row):
        if math.isclose(row[0].logprob, row[1].logprob):
            raise ZeroDivisionError("a bug in a rule")
        return -row[0].logprob

    engine = FusionEngine([counted(writer(WORDS, "a cat")), counted(writer(WORDS, "a cat"))], rule=rule)
    bad = engine.add(Request(prompt="a"))
    events = run(engine)
    assert isinstance(events[bad][1].error.__cause__, ZeroDivisionError)
    assert [member.runner.open for member in engine.members] == [0, 0]


def test_a_request_that_takes_too_long_ends_and_keeps_its_text():
    members = pair()
    rows, wait = members[0].runner._logits, threading.Event()
    members[0] = counted(members[0], rows=lambda ids: (wait.wait(0.05), rows(ids))[1])
    engine = FusionEngine(members, drafts=0, max_concurrent_requests=1)
    slow, queued = engine.add(Request(prompt="a", timeout=0.3)), engine.add(Request(prompt="a", timeout=0.2))
    events = run(engine)
    for number in (slow, queued):
        assert isinstance(events[number][1].error, RequestTimeoutError)
    assert " cat sat on the mat".startswith(events[slow][1].output.text)
    assert events[queued][1].output.text == ""
    assert [member.runner.open for member in engine.members] == [0, 0]
    with pytest.raises(ArgumentError, match="timeout must be None or a positive number of seconds, not 0"):
        Request(prompt="a", timeout=0)


@pytest.mark.slow
def test_a_thousand_requests_leave_nothing():
    engine = FusionEngine([counted(writer(WORDS, cycle(" cat sat"), name="one"))], drafts=0)
    for _ in range(250):
        for _ in range(4):
            engine.add(Request(prompt="a", max_new_tokens=2))
        run(engine)
    runner = engine.members[0].runner
    assert runner.open == 0 and runner.most == 4
    assert all(not held for held in (engine._running, engine._entries, engine._sessions, engine._watched))
    assert engine._executor._workers[0].worker.n_sessions == 0


def test_a_closed_engine_ends_its_requests():
    engine = FusionEngine(pair())
    engine.add(Request(prompt="a"))
    engine.step()
    stream = Fusion(pair())
    generation = stream.stream("a")
    next(generation)
    engine.close()
    stream.close()
    assert [member.runner.open for member in (*engine.members, *stream.members)] == [0, 0, 0, 0]
    with pytest.raises(FusionError, match="the engine was closed") as caught:
        list(generation)
    assert caught.value.partial.text == " cat"


def test_threads_share_an_engine():
    fusion = Fusion(pair(), drafts=0)
    texts, started = [], threading.Barrier(4)

    def write():
        started.wait()
        texts.append("".join(step.text for step in fusion.stream("a")))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert texts == [" cat sat on the mat"] * 4


def test_requests_and_records_pickle_and_everything_has_a_short_repr():
    fusion = Fusion(pair())
    request = Request(prompt="a", stop_strings="x", seed=3)
    assert pickle.loads(pickle.dumps(request)) == request
    output = fusion.generate("a")
    assert pickle.loads(pickle.dumps(output)) == output
    things = (fusion, fusion.engine, fusion.members[0], fusion.stream("a"), fusion.astream("a"), fusion.rule)
    for thing in things:
        assert "\n" not in repr(thing) and len(repr(thing)) < 200 and "object at" not in repr(thing), repr(thing)


def test_the_seed_reaches_the_rule_and_rules_may_ask_for_more():
    seen = []

    class Rule(SelectionRule):
        name, boundary_mass, alternatives = "curious", True, 2

        def values(self, step):
            seen.append(step)
            return [-score.logprob for score in (step.row(at)[0] for at in range(len(step.candidates)))]

    members = [gambler(WORDS, 4), gambler(LETTERS, 5)]
    output = Fusion(members, rule=Rule()).generate("a", 6, seed=11)
    assert {step.seed for step in seen} == {11}
    assert any(len(step.candidates) > len(members) for step in seen), "alternatives are candidates"
    for step in seen:
        for candidate, row in zip(step.candidates, step.scores, strict=True):
            assert all((score.boundary_logprob is None) is candidate.end for score in row)
            assert all(score.boundary_logprob <= 0.0 for score in row if score.boundary_logprob is not None)
    assert len(seen[-1].history) == len(seen) - 1
    committed = [step.scores[step.winner][0].logprob for step in output.steps[: len(seen) - 1]]
    assert seen[-1].so_far[0].logprob == pytest.approx(sum(committed)) and seen[-1].prompt == ()


def test_boundary_mass_is_the_probability_that_a_word_begins_or_the_text_ends():
    member = gambler(WORDS, 7)

    class Rule(SelectionRule):
        name, boundary_mass = "boundary", True

        def values(self, step):
            return [0.0 for _ in step.candidates]

    step = next(Fusion([again(member), again(member)], rule=Rule(), granularity="word").stream("a", 12))
    [candidate] = step.candidates
    ids = (BOS, *WORDS.encode("a"), *candidate.token_ids[0])
    row = member.runner._logits(ids)
    chances = [math.exp(value) for value in row]
    begins = [i for i in range(2, WORDS.vocab_size) if WORDS.token_bytes(i)[:1].isspace()]
    expected = math.log(sum(chances[i] for i in (*begins, END)) / sum(chances))
    assert step.scores[0][0].boundary_logprob == pytest.approx(expected)


def test_a_stream_that_is_dropped_while_another_thread_makes_steps_ends_with_that_step():
    fusion = Fusion(pair(), drafts=0)
    rows, dropped = fusion.members[0].runner._logits, []

    def row(ids):
        if dropped:
            dropped.clear()  # the collector runs in the middle of a pass, in the thread that makes the step
        return rows(ids)

    fusion.members[0].runner._logits = row
    dropped.append(fusion.stream("a"))
    assert fusion.generate("a").text == " cat sat on the mat"
    assert not fusion.engine.has_unfinished
    assert [member.runner.open for member in fusion.members] == [0, 0]


def test_a_request_may_have_members_a_rule_and_an_alignment_of_its_own():
    members = [gambler(toy(*words), seed) for seed, words in enumerate(((" cat", " sat"), (), (" ca", "t ")))]
    engine = FusionEngine(members)
    request = Request(prompt="a cat", max_new_tokens=12)
    entries = [
        engine.open(request, members=[0, 2], rule="product", alignment="shortest"),
        engine.open(request, members=[1]),
        engine.open(request),
    ]
    for entry in entries:
        engine.submit(entry)
    engine.step_until(lambda: all(entry.running.is_finished for entry in entries))
    alike = [
        Fusion([again(members[0]), again(members[2])], rule="product", alignment="shortest"),
        Fusion([again(members[1])]),
        Fusion([again(member) for member in members]),
    ]
    for entry, fusion in zip(entries, alike, strict=True):
        same_steps(entry.running.output, fusion.generate("a cat", 12))
    costs = [sorted(entry.running.costs) for entry in entries]
    assert costs == [[0, 2], [1], [0, 1, 2]]
    for entry in entries:
        of_output = [(each.forward_passes, each.processed_tokens) for each in entry.running.output.members]
        assert [entry.running.costs[number] for number in sorted(entry.running.costs)] == of_output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": []}, r"members must be some of the engine's, not \[\]; expected ascending numbers out of 0..1"),
        ({"members": [0, 2]}, r"not \[0, 2\]"),
        ({"members": [1, 0]}, r"not \[1, 0\]"),
        ({"rule": "best"}, "rule 'best' is unknown"),
        ({"alignment": "long"}, "alignment 'long' is unknown"),
    ],
)
def test_options_of_one_request_are_checked(options, message):
    engine = FusionEngine([gambler(toy(), 1), gambler(toy(), 2)])
    with pytest.raises(ArgumentError, match=message):
        engine.open(Request(prompt="a"), **options)
    assert not engine.has_unfinished
