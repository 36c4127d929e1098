"""Coroutines: streams share passes, the event loop stays free, and what is cancelled or given up leaves nothing."""

from __future__ import annotations

import asyncio
import gc

import pytest

from coolfusion.errors import FusionError, ModelError, RequestTimeoutError
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()
TEXT = " cat sat on the mat"


def pair(wish="a cat sat on the mat"):
    return [writer(WORDS, wish), writer(LETTERS, wish)]


async def text_of(generation):
    return "".join([step.text async for step in generation])


def test_many_coroutines_write_their_texts():
    fusion = Fusion(pair(), drafts=0)

    async def main():
        return await asyncio.gather(*(text_of(fusion.astream(prompt)) for prompt in ["a", "a cat"] * 8))

    assert asyncio.run(main()) == [TEXT, TEXT.removeprefix(" cat")] * 8
    assert asyncio.run(main()) == [TEXT, TEXT.removeprefix(" cat")] * 8, "in another event loop too"
    assert fusion.generate("a").text == TEXT


def test_the_event_loop_runs_while_models_compute():
    slow = pair()
    rows = slow[0].runner._logits

    def wait(ids):
        import time

        time.sleep(0.02)
        return rows(ids)

    slow[0] = Member(ScriptedModel(wait, WORDS.vocab_size, eos_token_ids=(1,), name="slow"), WORDS, (BOS,))
    ticks = 0

    async def main():
        nonlocal ticks

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        text = await text_of(Fusion(slow, drafts=0).astream("a"))
        ticking.cancel()
        return text

    assert asyncio.run(main()) == TEXT
    assert ticks > 20


def test_a_cancelled_task_ends_its_text_and_disturbs_no_one():
    fusion = Fusion(pair(lambda text: " cat"))

    async def main():
        endless = fusion.astream("a", 100_000)
        gone = asyncio.create_task(text_of(endless))
        kept = asyncio.create_task(text_of(fusion.astream("a", 8)))
        await kept
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        while fusion.engine.has_unfinished:
            await asyncio.sleep(0.01)
        return kept.result(), endless.output.finish_reason

    text, reason = asyncio.run(main())
    assert text == " cat cat" and reason is None
    assert fusion.engine.n_cached_tokens == 0


def test_errors_and_timeouts_reach_the_coroutine():
    rows = pair()[0].runner._logits
    broken = ScriptedModel(lambda ids: rows(ids) if len(ids) < 5 else 1 / 0, WORDS.vocab_size, eos_token_ids=(1,))
    fusion = Fusion([Member(broken, WORDS, (BOS,)), pair()[1]], drafts=0)
    with pytest.raises(ModelError, match="ZeroDivisionError") as caught:
        asyncio.run(text_of(fusion.astream("a")))
    assert TEXT.startswith(caught.value.partial.text) and caught.value.partial.text
    endless = Fusion(pair(lambda text: " cat"))
    with pytest.raises(RequestTimeoutError, match=r"timeout of 0.3 s"):
        asyncio.run(text_of(endless.astream("a", 1_000_000, timeout=0.3)))
    assert not endless.engine.has_unfinished


def test_a_stream_that_is_left_or_dropped_ends():
    fusion = Fusion(pair(lambda text: " cat"))

    async def main():
        async with fusion.astream("a", 100_000) as stream:
            async for step in stream:
                assert step.text == " cat"
                break
        dropped = fusion.astream("a", 100_000)
        await anext(dropped)
        del dropped
        gc.collect()
        never = fusion.astream("a")
        await never.aclose()
        while fusion.engine.has_unfinished:
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert fusion.engine.n_cached_tokens == 0


def test_a_coroutine_that_waits_learns_that_the_fusion_was_closed():
    fusion = Fusion(pair(lambda text: " cat"))

    async def main():
        stream = fusion.astream("a", 100_000)
        await anext(stream)
        waiting = asyncio.create_task(text_of(stream))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(fusion.close)
        with pytest.raises(FusionError, match="the engine was closed"):
            await asyncio.wait_for(waiting, 20)

    asyncio.run(main())
