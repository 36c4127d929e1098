"""Given texts: `echo` and `logprobs` of a completion, and the harness's client of servers beside our model of it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs real models: pip install 'coolfusion[hf]'")
pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("openai", reason="needs the extra test")

import openai

import harness_parts
from coolfusion.embedded import folders
from coolfusion.evaluation import score_texts
from coolfusion.evaluation.prompts import prompt_of
from coolfusion.fusion import Fusion
from coolfusion.serve.characters import EMPTY, ids_of, texts_of
from harness_parts import DOCUMENTS, SUM, WRITTEN, instances
from serve_parts import served

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

PAIRS = [
    *harness_parts.PAIRS,
    (SUM, " 8"),
    ("Once upon a ti", "me, there was"),
    ("Emoji \U0001f600 and caf\u00e9,\n\t", "then"),
]


@pytest.fixture(scope="module", params=["mixture", "confident"])
def server(request):
    members = Fusion.from_pretrained(folders(), device="cpu", dtype="float64").members
    with served(members, rule=request.param) as found:
        yield found


@pytest.fixture(scope="module")
def ask(server):
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as found:
        yield lambda **options: found.completions.create(model="coolfusion", **options)


def test_ids_are_characters_and_mark_the_ends_of_texts():
    for texts in (["a"], ["a", "bc"], ["", "a"], ["\U0001f600é", " ", "\0"], ["\U0010ffff"]):
        assert texts_of([token_id for text in texts for token_id in ids_of(text)]) == texts
    assert ids_of("") == [EMPTY] and texts_of([]) == []
    assert texts_of([*ids_of("ab")[:1], *ids_of("c")]) == ["ac"], "a row that was cut"


def test_words_of_a_text_have_the_fused_likelihood(ask, server):
    fusion = server.service.fusion
    texts = ["Once upon a time, there was", SUM]
    found = ask(prompt=texts, echo=True, logprobs=1, max_tokens=0)
    start = prompt_of(fusion.members, "")
    every = score_texts(fusion, [(start, text) for text in texts])
    for choice, text, expected in zip(found.choices, texts, every, strict=True):
        given = choice.logprobs
        assert choice.text == text and choice.finish_reason == "length"
        assert tuple(given.tokens) == expected.words and "".join(given.tokens) == text
        assert given.token_logprobs == pytest.approx(expected.fused, abs=1e-9)
        assert given.text_offset == [len("".join(given.tokens[:at])) for at in range(len(given.tokens))]
    rows = found.usage.coolfusion["members"]
    assert [row["prompt_tokens"] for row in rows] == [sum(each.n_tokens[j] for each in every) for j in range(3)]


@pytest.mark.parametrize("kind", ["ids", "context_length"])
def test_a_continuation_is_scored_after_its_context(ask, server, kind):
    fusion = server.service.fusion
    for context, text in PAIRS:
        if kind == "ids":
            found = ask(prompt=[*ids_of(context), *ids_of(text)], echo=True, logprobs=0, max_tokens=0)
        else:
            extra = {"context_length": len(context)}
            found = ask(prompt=context + text, echo=True, logprobs=0, max_tokens=0, extra_body=extra)
        [expected] = score_texts(fusion, [(prompt_of(fusion.members, context), text)])
        given = found.choices[0].logprobs
        pieces = zip(given.text_offset, given.token_logprobs, strict=True)
        assert found.choices[0].text == context + text
        known = [(at, logprob) for at, logprob in pieces if logprob is not None]
        assert all(at >= len(context) for at, _ in known)
        assert sum(logprob for _, logprob in known) == pytest.approx(expected.logprob, abs=1e-9)


def test_top_logprobs_tell_what_the_pool_would_write(ask, server):
    context = "Once upon a time"
    written = server.service.fusion.generate(context, 12).text
    for text, differs in ((written, False), (f"{written[:9]}zz", True), (" zebra", True)):
        found = ask(prompt=[*ids_of(context), *ids_of(text)], echo=True, logprobs=1, max_tokens=1)
        given = found.choices[0].logprobs
        assert len(given.tokens) == len(context) + len(text) + 1, "one more token is written"
        tops = list(zip(given.tokens, given.token_logprobs, given.top_logprobs, strict=True))[len(context) : -1]
        unlike = [(token, top) for token, logprob, top in tops if max(top.values()) != logprob]
        assert len(unlike) == differs
        for token, top in unlike:
            [other] = set(top) - {token}
            assert top[other] == 0.0 and other and other in written and not text.startswith(other)


def test_an_echo_is_continued(ask, server):
    expected = server.service.fusion.generate("Once upon a time", 6)
    found = ask(prompt="Once upon a time", echo=True, max_tokens=6, logprobs=1)
    assert found.choices[0].text == "Once upon a time" + expected.text
    assert "".join(found.choices[0].logprobs.tokens) == "Once upon a time" + expected.text
    chunks = list(ask(prompt="Once upon a time", echo=True, max_tokens=6, logprobs=1, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == found.choices[0].text
    tokens = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.tokens]
    assert tokens == found.choices[0].logprobs.tokens


@pytest.mark.parametrize("concurrent", [1, 4])
def test_the_harness_gets_from_the_server_what_it_gets_from_the_model(server, concurrent):
    pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'coolfusion[eval]'")
    pytest.importorskip("tenacity", reason="the harness's clients of servers need tenacity")
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    from coolfusion.evaluation.harness import CoolFusionLM

    ours = CoolFusionLM(server.service.fusion)
    theirs = LocalCompletionsAPI(
        model="coolfusion",
        base_url=f"{server.address}/v1/completions",
        tokenizer_backend="remote",
        max_length=100_000,
        num_concurrent=concurrent,
    )
    expected, found = ours.loglikelihood(instances(PAIRS)), theirs.loglikelihood(instances(PAIRS), disable_tqdm=True)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert any(greedy for _, greedy in expected)
    assert [logprob for logprob, _ in found] == pytest.approx([logprob for logprob, _ in expected], abs=1e-9)
    whole = theirs.loglikelihood_rolling(instances(DOCUMENTS), disable_tqdm=True)
    assert whole == pytest.approx(ours.loglikelihood_rolling(instances(DOCUMENTS)), abs=1e-9)
    assert theirs.generate_until(instances(WRITTEN), disable_tqdm=True) == ours.generate_until(instances(WRITTEN))
