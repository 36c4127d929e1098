"""How fusions end: closing, steps inside steps, generations that are given up, and the end of the interpreter."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from coolfusion.errors import ArgumentError, FusionError
from coolfusion.fusion import Fusion, FusionEngine, Member, Request, SelectionRule
from coolfusion.fusion.selection import Ranking
from fusion_parts import cycle, toy, writer

WORDS, LETTERS = toy(" the", " cat"), toy()


def pair():
    return [writer(WORDS, cycle(" the cat"), name="ann"), writer(LETTERS, cycle(" the cat"), name="bob")]


@pytest.mark.parametrize("options", [{}, {"pass_timeout": 60.0}], ids=["in-line", "threads"])
@pytest.mark.parametrize("used", [False, True])
def test_a_closed_fusion_says_so(options, used):
    fusion = Fusion(pair(), **options)
    if used:
        next(fusion.stream("the", 20))
    fusion.close()
    fusion.close()
    for use in (fusion.generate, fusion.stream, fusion.astream, lambda _: fusion.engine.step()):
        with pytest.raises(FusionError, match="closed"):
            use("the")
    with pytest.raises(FusionError, match="closed"):
        fusion.engine.add(Request(prompt="the"))
    assert fusion.engine.n_running == fusion.engine.n_waiting == 0


class Meddler(SelectionRule):
    """A rule that does something inside a step."""

    name = "meddler"

    def __init__(self):
        self.action = lambda: None

    def values(self, step):
        self.action()
        return [0.0 for _ in step.candidates]


@pytest.mark.parametrize("action", ["generate", "stream", "step"])
def test_a_step_inside_a_step_is_an_error_of_that_text(action):
    rule = Meddler()
    fusion = Fusion(pair(), rule=rule)
    inside = {
        "generate": lambda: fusion.generate("the", 4),
        "stream": lambda: next(fusion.stream("the", 4)),
        "step": fusion.engine.step,
    }
    rule.action = inside[action]
    with pytest.raises(FusionError, match="a step is being made by this thread"):
        fusion.generate("the", 8)
    rule.action = lambda: None
    assert fusion.generate("the", 8).text
    assert fusion.engine.n_running == fusion.engine.n_waiting == 0


def test_a_fusion_that_is_closed_inside_a_step_is_closed_after_it():
    rule = Meddler()
    fusion = Fusion(pair(), rule=rule)
    rule.action = fusion.close
    with pytest.raises(FusionError, match="closed"):
        fusion.generate("the", 8)
    with pytest.raises(FusionError, match="closed"):
        fusion.generate("the", 8)


def test_a_text_that_is_aborted_by_a_rule_ends_and_its_neighbour_does_not():
    rule = Meddler()
    engine = FusionEngine(pair(), rule=rule)
    first, second = (engine.add(Request(prompt="the", max_new_tokens=8)) for _ in range(2))
    rule.action = lambda: engine.abort(first)
    outputs = {}
    while engine.has_unfinished:
        outputs |= {event.request_id: event.output for event in engine.step() if event.output}
    assert outputs[first].finish_reason is None and outputs[second].finish_reason == "length"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signal")
def test_a_signal_handler_may_close_the_fusion():
    fusion = Fusion(pair())
    before = signal.signal(signal.SIGALRM, lambda *_: fusion.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(FusionError, match="closed"):
            while True:
                fusion.generate("the", 2000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_a_closed_generation_gives_no_further_step():
    fusion = Fusion(pair(), drafts=0)
    one, other = fusion.stream("the", 20), fusion.stream("the", 20)
    first = next(one)
    assert len(list(other)) > 3  # the other one's loop writes this text too
    one.close()
    assert list(one) == [] and one.output.text == first.text and one.output.finish_reason is None


def test_an_async_generation_that_was_closed_before_or_after_its_first_step_gives_no_further_step():
    async def use():
        fusion = Fusion(pair())
        early = fusion.astream("the", 4)
        await early.aclose()
        assert [step async for step in early] == []
        late = fusion.astream("the", 20)
        first = await anext(late)
        await late.aclose()
        assert [step async for step in late] == [] and late.output.text == first.text
        assert late.error is None

    asyncio.run(use())


def test_a_text_belongs_to_its_loop_and_ends_with_it():
    fusion = Fusion(pair())
    kept = fusion.astream("the", 4000)

    async def one():
        return await anext(kept)

    asyncio.run(one())
    for thread in threading.enumerate():
        if thread.name == "coolfusion: engine":
            thread.join(30)
    assert fusion.engine.n_running == 0
    again = fusion.astream("the", 400)

    async def two():
        return await anext(again)

    asyncio.run(two())
    with pytest.raises(FusionError, match="another event loop"):
        asyncio.run(two())


@pytest.mark.slow
def test_the_interpreter_ends_in_order_while_a_coroutine_is_kept():
    script = """
        import asyncio, coolfusion as cf
        from coolfusion.embedded import folders
        fusion = cf.Fusion.from_pretrained(folders()[:1], device="cpu")
        async def held():
            global keep
            keep = fusion.astream("Once upon a time there was a", 400)
            await anext(keep)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(held())
        print("end", flush=True)
    """
    pytest.importorskip("transformers")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_processes_without_a_main_guard_are_explained(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import functools
            from coolfusion.errors import ModelError
            from coolfusion.executors import ProcessExecutor
            def load(): raise SystemExit
            try:
                ProcessExecutor([load])
            except ModelError as err:
                print(err)
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert 'needs `if __name__ == "__main__":`' in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fusion(pair()[0]), "members must be a list of Member"),
        (lambda: Fusion(3), "members must be a list of Member, not 3"),
        (lambda: Fusion(["gpt2"]), "member 0 must be a Member, not 'gpt2'; see Member.from_transformers"),
        (lambda: Member(None, WORDS), "runner must be a LanguageModel; None lacks name, logits_size"),
        (lambda: Fusion(pair(), executor="processes"), "executor must be None or an Executor, not 'processes'"),
        (lambda: FusionEngine(pair()).add("text"), "expected a Request, not 'text'"),
        (lambda: Request(prompt="a", stop_strings=5), "stop strings must be a text or a list of texts, not 5"),
        (lambda: Request(prompt="a", rerank="yes"), "rerank must be True or False, not 'yes'"),
    ],
)
def test_arguments_of_another_kind_are_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("given", [None, ["x"], [None], "x", 3])
def test_a_rule_that_gives_no_numbers_is_named(given):
    rule = Meddler()
    rule.values = lambda step: given
    with pytest.raises(ArgumentError, match=r"rule meddler gave .* expected a number for each of"):
        Fusion(pair(), rule=rule).generate("the", 8)


def test_weights_that_are_none_are_named():
    rule = Meddler()
    rule.values = lambda step: Ranking(tuple(0.0 for _ in step.candidates), (1.0,))
    with pytest.raises(ArgumentError, match=r"rule meddler gave the weights \(1.0,\), expected a number for each of 2"):
        Fusion(pair(), rule=rule).generate("the", 8)


def test_a_rule_that_raises_is_named_and_a_list_goes_on():
    rule, calls = Meddler(), []

    def fail():
        calls.append(None)
        if len(calls) > 1:
            assert False  # noqa: B011

    rule.action = fail
    with pytest.raises(FusionError, match="rule meddler failed at step 1: AssertionError") as caught:
        Fusion(pair(), rule=rule).generate("the", 9)
    assert isinstance(caught.value.__cause__, AssertionError) and caught.value.partial.text
    outputs = Fusion(pair(), rule=rule).generate(["the", "cat"], 9, on_failure="continue")
    assert all("AssertionError" in output.error for output in outputs)


def test_half_a_model_is_refused_where_it_would_run():
    class Facts:
        name, logits_size, max_model_len, eos_token_ids, device = "half", 300, None, (), "cpu"
        forward_passes = processed_tokens = 0
        batches_paths = True

    member = Member(Facts(), WORDS)
    with pytest.raises(ArgumentError, match="lacks new_context, prefill, forward"):
        Fusion([member])
