"""A real LiteLLM proxy before a live server, with the file of docs/guides/litellm.md."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extras serve and test")
pytest.importorskip("uvicorn", reason="needs the extras serve and test")
pytest.importorskip("prometheus_client", reason="needs the extras serve and test")
pytest.importorskip("httpx", reason="needs the extras serve and test")
pytest.importorskip("openai", reason="needs the extras serve and test")

import httpx
import openai

from coolfusion.serve import ServerSettings
from fusion_parts import writer
from serve_parts import TEXT, WORDS, pair, served, until

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "litellm.md"
COMMAND = os.environ.get("COOLFUSION_LITELLM") or shutil.which("litellm")
KEY, MASTER = "KEY_OF_THE_FUSION", "sk-KEY_OF_THE_PROXY_WITH_MANY_LETTERS"
MESSAGES = [{"role": "user", "content": "a"}]
PAIR, ENDLESS = {"members": ["words", "letters"]}, {"members": ["endless"]}
SECONDS = 120.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        COMMAND is None, reason="LiteLLM's proxy has its own environment: COOLFUSION_LITELLM names its command"
    ),
]


def story(text: str) -> str:
    """The rest of TEXT after as much of it as stands at the end of a prompt, in chats too."""
    return next(TEXT[at:] for at in range(len(TEXT), -1, -1) if text.endswith(TEXT[:at]))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def server():
    members = [*pair(story), writer(WORDS, lambda text: " cat", name="endless")]
    with served(members, settings=ServerSettings(port=0, api_key=KEY)) as made:
        yield made


def proxy_of(server, folder: Path):
    """Yields a client of a proxy that runs the page's file."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found and KEY in found[1] and MASTER in found[1]
    config = folder / "config.yaml"
    config.write_text(found[1].replace("http://127.0.0.1:8000", server.address), encoding="utf-8")
    port = free_port()
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | quiet
    command = [COMMAND, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            until(lambda: process.poll() is not None or lives(port), SECONDS)
            log.seek(0)
            assert process.poll() is None, log.read()
            with openai.OpenAI(
                base_url=f"http://127.0.0.1:{port}/v1", api_key=MASTER, max_retries=0, timeout=SECONDS
            ) as client:
                yield client
        finally:
            process.terminate()
            process.wait(60)


def lives(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    yield from proxy_of(server, tmp_path_factory.mktemp("litellm"))


@pytest.fixture(scope="module")
def direct(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_texts_are_those_of_the_server(client, direct):
    samples = {"prompt": "a", "n": 3, "temperature": 1.0, "seed": 4}
    for options in ({"prompt": "a"}, {"prompt": ["a", "a cat"]}, {"prompt": "a", "stop": [" on"]}, samples):
        found, want = (
            [
                (choice.text, choice.finish_reason, choice.logprobs.token_logprobs)
                for choice in ask.completions.create(model=model, extra_body=PAIR, logprobs=2, **options).choices
            ]
            for ask, model in ((client, "fusion"), (direct, "coolfusion"))
        )
        assert found == want
    found = client.completions.create(model="fusion", prompt="a", max_tokens=64, extra_body=PAIR)
    assert found.choices[0].text == TEXT
    assert [member["name"] for member in found.usage.coolfusion["members"]] == ["words", "letters"]


def test_chats_are_those_of_the_server(client, direct):
    for options in ({}, {"max_completion_tokens": 3}, {"stop": "sat"}, {"n": 2, "temperature": 1.0, "seed": 4}):
        found, want = (
            [
                (choice.message.content, choice.finish_reason, [each.token for each in choice.logprobs.content])
                for choice in ask.chat.completions.create(
                    model=model, messages=MESSAGES, extra_body=PAIR, logprobs=True, top_logprobs=2, **options
                ).choices
            ]
            for ask, model in ((client, "fusion"), (direct, "coolfusion"))
        )
        assert found == want


def test_streams_come_in_segments_and_end_with_the_usage(client):
    options = {"model": "fusion", "stream": True, "stream_options": {"include_usage": True}, "extra_body": PAIR}
    chunks = list(client.completions.create(prompt="a", max_tokens=64, **options))
    parts = [choice.text for chunk in chunks for choice in chunk.choices if choice.text]
    assert parts == [" cat", " sat", " on", " the", " mat"]
    assert chunks[-1].usage.completion_tokens > 0
    chat = list(client.chat.completions.create(messages=MESSAGES, **options))
    parts = [choice.delta.content for chunk in chat for choice in chunk.choices if choice.delta.content]
    assert parts == [" cat", " sat", " on", " the", " mat"]
    assert chat[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_errors_keep_status_and_message(client, stream):
    with pytest.raises(openai.BadRequestError, match="temperature is -1"):
        client.completions.create(model="fusion", prompt="a", temperature=-1, stream=stream)
    with pytest.raises(openai.BadRequestError, match="rule 'no' is unknown"):
        client.chat.completions.create(model="fusion", messages=MESSAGES, extra_body={"rule": "no"}, stream=stream)


def test_other_interfaces_are_answered_with_chats(client):
    chat = client.chat.completions.create(model="fusion", messages=MESSAGES, max_tokens=16, extra_body=PAIR)
    want = chat.choices[0].message.content
    assert want == " cat sat on the "
    found = client.responses.create(model="fusion", input="a", max_output_tokens=16, extra_body=PAIR)
    assert found.output_text == want
    body = {"model": "fusion", "messages": MESSAGES, "max_tokens": 16, **PAIR}
    address = str(client.base_url).removesuffix("/v1/")
    answer = httpx.post(f"{address}/v1/messages", json=body, headers={"Authorization": f"Bearer {MASTER}"}, timeout=60)
    assert answer.json()["content"] == [{"type": "text", "text": want}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_text(client, server, stream):
    engine = server.service.fusion.engine

    async def main():
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=MASTER, max_retries=0) as ask:
            create = ask.completions.create(
                model="fusion", prompt="a", max_tokens=1_000_000, extra_body=ENDLESS, stream=stream
            )
            asked = asyncio.create_task(create)
            await asyncio.to_thread(until, lambda: engine.n_running == 1)
            if stream:
                await (await asked).close()
            else:
                asked.cancel()
            await asyncio.to_thread(until, lambda: not engine.has_unfinished)

    asyncio.run(main())
