"""Executors: in-line, threads and processes make the same passes; processes are killed, hang and are slow."""

from __future__ import annotations

import functools
import os
import signal
import time

import pytest

from coolfusion.errors import CoolFusionError, FusionError, ModelError
from coolfusion.executors import Executor, InlineExecutor, ProcessExecutor, ThreadExecutor
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, gambler, toy, writer

VOCABULARIES = ((" cat", " sat", " on", " the", " mat"), (), (" ca", "t ", " o", "n."))
TEXT = " cat sat on the mat"
# Processes import what they run.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:multiprocessing")


def source(number, seed, device="cpu"):
    """A member that every process makes alike."""
    member = gambler(toy(*VOCABULARIES[number]), seed + number, name=f"member{number}")
    member.runner.device = device
    member.runner.pass_seconds = (1.0 + number / 3, 0.01)
    return member


def writing(number, *, wait=0.0, die_at=None, name=""):
    """A member that writes a text; from the context length `die_at` on it kills its process."""
    member = writer(toy(*VOCABULARIES[number]), f"a{TEXT}", name=name or f"member{number}")
    rows = member.runner._logits

    def row(ids):
        if die_at is not None and len(ids) >= die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(wait)
        return rows(ids)

    runner = ScriptedModel(row, member.runner.logits_size, eos_token_ids=(END,), name=member.name)
    return Member(runner, member.tokenizer, (BOS,))


def broken():
    raise ModelError("no such model")


def sources(seed, apart):
    return [functools.partial(source, n, seed, f"device {n}" if apart else "cpu") for n in range(3)]


def decided(output):
    """All that a run decides, and every pass that it makes."""
    return [
        (step.text, step.winner, step.scores, [(cost.forward_passes, cost.processed_tokens) for cost in step.members])
        for step in output.steps
    ]


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("drafts", [None, 0, 2])
def test_all_executors_make_the_same_passes(apart, drafts):
    prompts = ["the", "a cat", "on the mat sat", "q"]
    found = []
    for kind in (InlineExecutor, ThreadExecutor, ProcessExecutor):
        if kind is ProcessExecutor:
            executor = kind(sources(3, apart))
            members = executor.members
        else:
            members = [make() for make in sources(3, apart)]
            executor = kind(members)
        assert isinstance(executor, Executor)
        with Fusion(members, executor=executor, drafts=drafts) as fusion:
            outputs = [fusion.generate(prompts[0], 24), *fusion.generate(prompts, 24)]
            outputs += fusion.generate(prompts[:2], 8, rerank=True)
            found.append([decided(output) for output in outputs])
    assert found[0] == found[1] == found[2]
    assert sum(len(steps) for steps in found[0]) > 20


@pytest.mark.slow
def test_members_of_other_processes_are_described_and_not_called():
    with ProcessExecutorFusion([functools.partial(writing, n) for n in range(2)]) as fusion:
        assert fusion.generate("a").text == TEXT
        assert [each["model"]["kind"] for each in fusion.describe()["members"]] == ["scripted"] * 2
        assert "RemoteModel" in repr(fusion.members[0])
        with pytest.raises(ModelError, match="computes in another process"):
            fusion.members[0].runner.new_context()


def ProcessExecutorFusion(functions, **options):
    executor = ProcessExecutor(functions, **options)
    return Fusion(executor.members, executor=executor, drafts=0)


@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_a_process_that_is_killed_loses_its_member(on_failure):
    with ProcessExecutorFusion([functools.partial(writing, 0, die_at=4), functools.partial(writing, 1)]) as fusion:
        if on_failure == "continue":
            output = fusion.generate("a", on_failure="continue")
            assert output.text == TEXT
            assert "process ended with exit code -9" in output.members[0].failed
        else:
            with pytest.raises(ModelError, match="member member0: its process ended with exit code -9") as caught:
                fusion.generate("a")
            assert caught.value.partial.text == " cat"
        assert fusion.generate("a", on_failure="continue").text == TEXT


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_one_that_is_slow_is_not():
    slow, hanging = functools.partial(writing, 0, wait=0.02), functools.partial(writing, 1, wait=30.0)
    began = time.monotonic()
    with ProcessExecutorFusion([slow, hanging], pass_timeout=2.0) as fusion:
        processes = [worker.process for worker in fusion.engine._executor._workers]
        output = fusion.generate("a", on_failure="continue")
        assert output.text == TEXT
        assert "a pass has not come back within the time limit of 2.0 s" in output.members[1].failed
        assert not processes[1].is_alive() and processes[0].is_alive()
    assert time.monotonic() - began < 25
    assert not processes[0].is_alive(), "a closed fusion leaves no process"


def test_a_member_that_cannot_be_loaded_is_an_error_and_leaves_no_process():
    with pytest.raises(ModelError, match="no such model"):
        ProcessExecutor([functools.partial(writing, 0), broken])


def test_a_fork_needs_an_executor_of_its_own():
    with ProcessExecutorFusion([functools.partial(writing, 0)]) as fusion:
        assert fusion.generate("a").text == TEXT
        with pytest.raises(FusionError, match="forked"):
            fusion.engine._executor.forked()
    assert issubclass(FusionError, CoolFusionError)


def test_an_executor_names_its_members_and_the_lost_ones():
    with ProcessExecutorFusion([functools.partial(writing, 0, die_at=4), functools.partial(writing, 1)]) as fusion:
        executor = fusion.engine._executor
        names = [member.name for member in fusion.members]
        assert repr(executor) == f"ProcessExecutor([{names[0]}, {names[1]}])"
        fusion.generate("a", on_failure="continue")
        assert repr(executor) == f"ProcessExecutor([{names[0]} (lost), {names[1]}])"
