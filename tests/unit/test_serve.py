"""The server, asked by the real openai client."""

from __future__ import annotations

import asyncio
import json
import math
import threading

import pytest

pytest.importorskip("fastapi", reason="needs the extras serve and test")
pytest.importorskip("uvicorn", reason="needs the extras serve and test")
pytest.importorskip("prometheus_client", reason="needs the extras serve and test")
pytest.importorskip("openai", reason="needs the extras serve and test")
pytest.importorskip("httpx", reason="needs the extras serve and test")

import httpx
import openai

from chat_parts import TURNS, talker
from coolfusion.fusion import Fusion
from coolfusion.models import ScriptedModel
from fusion_parts import again, gambler, writer
from serve_parts import LETTERS, TEXT, WORDS, Held, empty, pair, served, until

MODEL = "coolfusion"


def client(server, **options):
    return openai.OpenAI(base_url=f"{server.address}/v1", **{"api_key": "none", "max_retries": 0, **options})


@pytest.fixture(scope="module")
def server():
    with served(pair()) as found:
        yield found


@pytest.fixture(scope="module")
def ask(server):
    with client(server) as found:
        yield found


def complete(ask, **options):
    return ask.completions.create(**{"model": MODEL, "prompt": "a", "max_tokens": 64, **options})


def test_models_are_the_fusion_and_each_member(ask):
    assert [model.id for model in ask.models.list()] == ["words", "letters", MODEL]
    assert ask.models.retrieve(MODEL).coolfusion["members"] == ["words", "letters"]
    with pytest.raises(openai.NotFoundError, match="expected one of words, letters, coolfusion"):
        ask.models.retrieve("other/model")


def test_a_completion_has_the_text_and_the_costs_of_generate(ask):
    expected = Fusion(pair(), drafts=0).generate("a")
    found = complete(ask)
    [choice] = found.choices
    assert (choice.text, choice.finish_reason, choice.index) == (TEXT, "stop", 0)
    assert expected.text == TEXT
    members = [
        {
            "name": each.name,
            "prompt_tokens": len(each.prompt_ids),
            "completion_tokens": each.committed_tokens,
            "forward_passes": each.forward_passes,
            "processed_tokens": each.processed_tokens,
        }
        for each in expected.members
    ]
    assert found.usage.coolfusion == {"members": members}
    assert found.usage.completion_tokens == max(each["completion_tokens"] for each in members)
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_several_prompts_keep_their_order(ask):
    found = complete(ask, prompt=["a", "a cat", "a cat sat"])
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    texts = [choice.text for choice in found.choices]
    assert texts == [TEXT, TEXT.removeprefix(" cat"), TEXT.removeprefix(" cat sat")]
    rows = {row["name"]: row for row in found.usage.coolfusion["members"]}
    assert rows["words"]["prompt_tokens"] == 2 + 3 + 4


def test_stop_budget_and_their_reasons(ask):
    assert [choice.text for choice in complete(ask, stop=" on").choices] == [" cat sat"]
    assert [choice.finish_reason for choice in complete(ask, stop=["xx", " on"]).choices] == ["stop"]
    cut = complete(ask, max_tokens=4)
    assert cut.choices[0].finish_reason == "length"
    assert cut.choices[0].text == Fusion(pair(), drafts=0).generate("a", 4).text
    assert cut.usage.completion_tokens <= 4


def test_a_stream_has_whole_segments_and_the_usage_at_its_end(ask):
    chunks = list(complete(ask, prompt=["a", "a cat"], stream=True, stream_options={"include_usage": True}))
    texts, reasons = ["", ""], [[], []]
    for chunk in chunks[:-1]:
        [choice] = chunk.choices
        texts[choice.index] += choice.text
        reasons[choice.index].append(choice.finish_reason)
        if choice.text:
            assert choice.text in TEXT.replace(" ", "| ").split("|"), "a segment is never cut"
            assert choice.coolfusion == {"authors": ["words", "letters"]}
    assert texts == [TEXT, TEXT.removeprefix(" cat")]
    assert all(each[-1] == "stop" and set(each[:-1]) == {None} for each in reasons)
    whole = complete(ask, prompt=["a", "a cat"])
    assert chunks[-1].choices == []
    assert chunks[-1].usage.coolfusion == whole.usage.coolfusion
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in complete(ask, stream=True))


def test_a_stream_ends_with_done(server):
    body = {"model": MODEL, "prompt": "a", "max_tokens": 64, "stream": True}
    answer = httpx.post(f"{server.address}/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert "".join(json.loads(line[6:])["choices"][0]["text"] for line in lines[:-1]) == TEXT


def test_many_clients_of_both_kinds_share_passes(server, ask):
    prompts = ["a", "a cat", "a cat sat"] * 4
    want = [TEXT.removeprefix(prompt[1:]) for prompt in prompts]

    async def every():
        async with openai.AsyncOpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as found:
            asked = [found.completions.create(model=MODEL, prompt=prompt, max_tokens=64) for prompt in prompts]
            return [answer.choices[0].text for answer in await asyncio.gather(*asked)]

    async def streams():
        async with openai.AsyncOpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as found:

            async def one(prompt):
                stream = await found.completions.create(model=MODEL, prompt=prompt, max_tokens=64, stream=True)
                return "".join([chunk.choices[0].text async for chunk in stream])

            return await asyncio.gather(*map(one, prompts))

    assert asyncio.run(every()) == want
    assert asyncio.run(streams()) == want
    whole = Fusion([again(member) for member in pair()], drafts=0)
    alone = complete(ask).usage.coolfusion["members"][0]["forward_passes"]
    before = server.service.fusion.members[0].runner.forward_passes
    complete(ask, prompt=["a"] * 8)
    assert server.service.fusion.members[0].runner.forward_passes - before == alone
    assert whole.generate(["a"] * 8)[0].members[0].forward_passes == alone


def test_options_of_a_fusion_reach_the_engine():
    quick, slow = writer(WORDS, "a cat sat", name="quick"), writer(LETTERS, "a cat ran", chance=0.6, name="slow")
    with served([quick, slow]) as server, client(server) as ask:

        def text(**extra):
            return complete(ask, extra_body=extra).choices[0].text

        fusion = server.service.fusion
        assert text() == fusion.generate("a").text == " cat sat"
        assert text(members=["slow"]) == text(members=[1]) == " cat ran"
        assert complete(ask, model="slow").choices[0].text == " cat ran"
        both = [writer(WORDS, "a cat sat", name="quick"), writer(LETTERS, "a cat ran", chance=0.6, name="slow")]
        for option in ({"rule": "paper"}, {"rule": {"kind": "power_mean", "exponent": 1.0}}, {"granularity": "line"}):
            other = Fusion([again(each) for each in both], drafts=0, **option)
            found = complete(ask, stream=True, extra_body=option)
            want = [step.text for step in other.generate("a").steps if not step.candidates[step.winner].end]
            assert [chunk.choices[0].text for chunk in found][:-1] == want
        reranked = complete(ask, extra_body={"rerank": True}).choices[0]
        best = fusion.generate("a", rerank=True)
        assert reranked.text == best.text
        author = best.author if best.author == "fusion" else fusion.members[best.author].name
        assert reranked.coolfusion["author"] == author
        chunks = list(complete(ask, stream=True, extra_body={"rerank": {"length": "byte"}}))
        assert [chunk.choices[0].text for chunk in chunks] == [best.text]


def test_reasoning_stands_apart_from_the_answer():
    def wish(text):
        whole = "a<think>so</think> cat"
        return whole[len(text) :] if whole.startswith(text) else ""

    with served(pair(wish)) as server, client(server) as ask:
        [choice] = complete(ask, extra_body={"think": {"max_new_tokens": 32}}).choices
        assert choice.text == " cat"
        assert choice.coolfusion["reasoning"] == dict.fromkeys(("words", "letters"), "<think>so</think>")


@pytest.mark.parametrize(
    ("options", "status", "param", "message"),
    [
        ({"model": "x"}, 404, "model", "model 'x' is unknown"),
        ({"max_tokens": -1}, 400, "max_tokens", "max_tokens is -1"),
        ({"max_tokens": 0}, 400, "max_tokens", "expected at least 1 without echo"),
        ({"max_tokens": "5"}, 400, "max_tokens", "max_tokens is '5'"),
        ({"max_tokens": True}, 400, "max_tokens", "max_tokens is True"),
        ({"top_p": 0}, 400, "top_p", "top_p is 0"),
        ({"prompt": []}, 400, "prompt", "prompt is []"),
        ({"prompt": ["a", 1]}, 400, "prompt", "prompt"),
        ({"prompt": [99_999_999]}, 400, "prompt", "prompt.0 is 99999999"),
        ({"prompt": [0xD800]}, 400, "prompt", "id 55296 at position 0"),
        ({"stop": ""}, 400, "stop", "stop is ''"),
        ({"stop": ["a", ""]}, 400, "stop", "stop.1 is ''"),
        ({"suffix": "x"}, 400, "suffix", "suffix is 'x'"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty", "frequency_penalty is 1"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", "stream_options needs stream"),
        ({"extra_body": {"rul": "paper"}}, 400, "rul", "parameter 'rul' is unknown"),
        ({"extra_body": {"rule": "no"}}, 400, "rule", "rule 'no' is unknown; expected one of"),
        ({"extra_body": {"rule": {"kind": "power_mean", "exponent": "x"}}}, 400, "rule", "rule.exponent"),
        ({"extra_body": {"granularity": "page"}}, 400, "granularity", "granularity is 'page'"),
        ({"extra_body": {"members": ["nobody"]}}, 400, "members", "members has 'nobody'"),
        ({"extra_body": {"members": [7]}}, 400, "members", "members has 7"),
        ({"extra_body": {"members": [True]}}, 400, "members", "members"),
        ({"extra_body": {"members": [0]}, "model": "words"}, 400, "members", "members needs the model coolfusion"),
        ({"extra_body": {"context_length": 1}}, 400, "context_length", "context_length needs echo"),
        ({"extra_body": {"context_length": 9}, "echo": True}, 400, "context_length", "the prompt has 1 characters"),
    ],
)
def test_wrong_values_name_the_parameter(ask, options, status, param, message):
    with pytest.raises(openai.APIStatusError) as caught:
        complete(ask, **options)
    assert caught.value.status_code == status
    assert caught.value.param == param
    assert message in caught.value.body["message"]
    assert caught.value.type == "invalid_request_error" and caught.value.code


def test_what_the_members_cannot_say_is_an_error_of_the_caller():
    member = writer(WORDS, "a cat")
    short = ScriptedModel(member.runner._logits, member.runner.logits_size - 3, eos_token_ids=(1,), name="short")
    with served([type(member)(short, WORDS, (0,))]) as server, client(server) as ask:
        with pytest.raises(openai.APIStatusError) as caught:
            complete(ask, prompt="a mat")
        assert caught.value.status_code in (400, 500) and "short" in caught.value.body["message"]


def test_a_model_that_fails_is_a_server_error_and_the_next_request_works():
    member = writer(WORDS, "a cat")
    rows, broken = member.runner._logits, threading.Event()

    def row(ids):
        if broken.is_set():
            raise RuntimeError("out of order")
        return rows(ids)

    model = ScriptedModel(row, member.runner.logits_size, eos_token_ids=(1,), name="weak")
    with served([type(member)(model, WORDS, (0,))]) as server, client(server) as ask:
        broken.set()
        with pytest.raises(openai.InternalServerError, match="out of order"):
            complete(ask)
        broken.clear()
        assert complete(ask).choices[0].text == " cat"
        empty(server.service.fusion)


def test_an_error_in_a_stream_is_its_last_event():
    member = writer(WORDS, "a cat sat")
    rows, passes = member.runner._logits, []

    def row(ids):
        passes.append(ids)
        if len(ids) > 3:
            raise RuntimeError("out of order")
        return rows(ids)

    model = ScriptedModel(row, member.runner.logits_size, eos_token_ids=(1,), name="weak")
    with served([type(member)(model, WORDS, (0,))]) as server, client(server) as ask:
        stream, texts = complete(ask, stream=True), []
        with pytest.raises(openai.APIError, match="out of order"):
            texts.extend(chunk.choices[0].text for chunk in stream)
        until(lambda: server.service.places.taken == 0)


def test_logprobs_are_those_of_the_candidates(ask, server):
    found = complete(ask, logprobs=2).choices[0].logprobs
    output = server.service.fusion.generate("a", logprobs=True)
    steps = [step for step in output.steps if not step.candidates[step.winner].end]
    texts = [step.text for step in steps]
    assert found.tokens == texts
    assert found.text_offset == [len("".join(texts[:at])) for at in range(len(texts))]
    for step, logprob, top in zip(steps, found.token_logprobs, found.top_logprobs, strict=True):
        assert logprob == pytest.approx(step.logprob)
        assert top[step.candidates[step.winner].text] == logprob
        assert math.fsum(math.exp(each) for each in top.values()) == pytest.approx(1.0)
    pieces = [chunk.choices[0].logprobs for chunk in complete(ask, logprobs=2, stream=True)]
    assert [each.tokens[0] for each in pieces if each] == found.tokens
    assert [each.text_offset[0] for each in pieces if each] == found.text_offset


def test_health_and_metrics(server, ask):
    health = httpx.get(f"{server.address}/health").json()
    assert health == {"status": "ok", "running": 0, "waiting": 0, "places": server.service.places.most}

    def value(name):
        page = httpx.get(f"{server.address}/metrics").text
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))

    names = ('coolfusion_requests_total{route="/v1/completions",status="200"}', "coolfusion_segments_total")
    before = [value(name) for name in names]
    until(lambda: value("coolfusion_places_taken") == 0)
    complete(ask)
    n_steps = len(server.service.fusion.generate("a").steps)
    until(lambda: value(names[0]) == before[0] + 1)
    assert value("coolfusion_segments_total") == before[1] + 2 * n_steps, "both members proposed all of them"
    assert value('coolfusion_texts_total{reason="end"}') > 0
    assert value('coolfusion_tokens_total{member="words"}') > 0


def test_a_cancelled_request_leaves_the_engine_while_others_are_written():
    held = Held(writer(WORDS, lambda text: " cat", name="held"))
    with served([held.member], running=1) as server:
        engine, service = server.service.fusion.engine, server.service

        async def main():
            async with openai.AsyncOpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as ask:

                def create(**options):
                    return ask.completions.create(model=MODEL, prompt="a", **options)

                first = asyncio.create_task(create(max_tokens=100_000))
                await asyncio.to_thread(held.waiting.wait, 30)
                waiting = asyncio.create_task(create(max_tokens=100_000))
                await asyncio.to_thread(until, lambda: engine.n_waiting == 1)
                waiting.cancel()
                await asyncio.to_thread(until, lambda: service.places.taken == 1)
                first.cancel()
                await asyncio.to_thread(until, lambda: service.places.taken == 0)
                held.free.set()
                await asyncio.to_thread(until, lambda: not engine.has_unfinished)
                empty(server.service.fusion)
                stream = await create(max_tokens=100_000, stream=True)
                async for _ in stream:
                    break
                await stream.close()
                await asyncio.to_thread(until, lambda: not engine.has_unfinished)
                empty(server.service.fusion)
                return (await create(max_tokens=3)).choices[0].text

        assert asyncio.run(main()) == " cat cat cat"


def test_chats_are_answered_as_generate_does(ask, server):
    fusion = server.service.fusion
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}]
    want = fusion.generate(messages=messages, max_new_tokens=8, logprobs=True)
    found = ask.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=8)
    [choice] = found.choices
    assert (choice.message.role, choice.message.content) == ("assistant", want.text)
    assert choice.coolfusion.get("notes", []) == list(want.notes)
    assert found.usage.completion_tokens == max(member.committed_tokens for member in want.members)
    given = {"model": MODEL, "messages": messages, "max_tokens": 8, "stream": True, "logprobs": True, "top_logprobs": 2}
    chunks = list(ask.chat.completions.create(**given, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == want.text
    assert chunks[-2].choices[0].finish_reason and chunks[-1].usage.coolfusion == found.usage.coolfusion
    entries = [
        entry for chunk in chunks[:-1] if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content
    ]
    steps = [step for step in want.steps if not step.candidates[step.winner].end]
    assert [entry.token for entry in entries] == [step.text for step in steps]
    assert [entry.logprob for entry in entries] == pytest.approx([step.logprob for step in steps])
    assert all(bytes(entry.bytes).decode() == entry.token for entry in entries)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"tools": ["search"]}, "tools"),
        ({"extra_body": {"continue_final": True}}, "continue_final"),
    ],
)
def test_wrong_chats_name_the_parameter(ask, options, param):
    given = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], **options}
    with pytest.raises(openai.BadRequestError) as caught:
        ask.chat.completions.create(**given)
    assert caught.value.param == param, caught.value.message


def test_calls_of_tools_stay_text():
    call = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    def rest(text):
        return next(call[at:] for at in range(len(call), -1, -1) if text.endswith(call[:at]))

    with served([writer(LETTERS, rest, name="caller")]) as server, client(server) as ask:
        messages = [{"role": "user", "content": "a"}]
        found = ask.chat.completions.create(model=MODEL, messages=messages, tools=tools, modalities=["text"])
    [choice] = found.choices
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (call, None, "stop")


def test_messages_that_a_template_refuses_are_to_blame():
    member = writer(talker(TURNS), "a", name="strict")
    refused = pytest.raises(openai.BadRequestError, match="Roles must alternate")
    with served([member]) as server, client(server) as ask, refused as caught:
        ask.chat.completions.create(model=MODEL, messages=[{"role": "assistant", "content": "a"}] * 2)
    assert caught.value.param == "messages"


def test_samples_are_those_of_generate():
    with served([gambler(WORDS, 1), gambler(LETTERS, 2)]) as server, client(server) as ask:
        drawn = {"temperature": 1.0, "top_p": 0.95, "seed": 7}
        want = server.service.fusion.generate("a", 16, n=3, **drawn)
        assert len({each.text for each in want.choices}) > 1
        found = complete(ask, max_tokens=16, n=3, **drawn)
        assert [choice.text for choice in found.choices] == [each.text for each in want.choices]
        assert [choice.coolfusion["seed"] for choice in found.choices] == [7, 8, 9]
        texts = ["", "", ""]
        for chunk in complete(ask, max_tokens=16, n=3, stream=True, **drawn):
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert texts == [each.text for each in want.choices]
        one = complete(ask, max_tokens=16, temperature=1.0).choices[0]
        again_ = complete(ask, max_tokens=16, temperature=1.0, seed=one.coolfusion["seed"])
        assert again_.choices[0].text == one.text, "the seed that was told gives the text again"
