"""The loop on the small real models of COOLFUSION_DATA: greedy identity, scores without a cache, limits, texts."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from loop_parts import after, full_rows, plain_greedy, twin  # noqa: E402

from coolfusion.errors import EmptyPromptError, UnrepresentableTextError  # noqa: E402
from coolfusion.fusion import Fusion  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]

TRIO = ("stories260K", "babyllama361-yarn3", "tlm6000")
PROMPTS = (
    "Once upon a time, there was a little girl named",
    "Once upon a time",
    "Tom and Lily went to the park. They",
    "The dog ran after the ball and",
    "One day, a boy named Tim found a",
    'Mom said, "You can not',
    "She was very happy because",
    "The little bird could not fly.",
    "It was a sunny day and the children",
    "Ben had a red car. He liked to",
)


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    return data / "models"


@pytest.fixture(scope="module")
def trio(folder) -> Fusion:
    return Fusion.from_pretrained([folder / name for name in TRIO], device="cpu", dtype="float32")


@pytest.mark.parametrize("number", range(3), ids=TRIO)
def test_case_f06_f07_one_model_and_a_model_with_itself_write_its_greedy_text(trio, number):
    member = trio.members[number]
    for prompt in PROMPTS[:4]:
        expected = plain_greedy(member, prompt, 30)
        one = Fusion([member]).generate(prompt, 30)
        two = Fusion([member, twin(member)]).generate(prompt, 30)
        assert one.members[0].token_ids == expected
        assert [held.token_ids for held in two.members] == [expected, expected]
        assert one.text == two.text == after(member, prompt, expected)


@pytest.mark.parametrize("number", range(3), ids=TRIO)
def test_the_greedy_text_is_that_of_transformers_generate(trio, number):
    member = trio.members[number]
    ids = member.prompt_ids(PROMPTS[0])
    module = member.model
    written = module.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=30, do_sample=False
    )[0, len(ids) :].tolist()
    ends = [at for at, token_id in enumerate(written) if token_id in member.runner.eos_token_ids]
    assert Fusion([member]).generate(PROMPTS[0], 30).members[0].token_ids == written[: ends[0] if ends else None]


def test_two_hundred_characters_from_ten_prompts_are_the_same_text_in_every_members_tokens(trio):
    for prompt in PROMPTS:
        output = trio.generate(prompt, 260)
        assert len(output.text) >= 200 or output.finish_reason == "end", (prompt, output.text)
        for member, held in zip(trio.members, output.members, strict=True):
            assert after(member, prompt, held.token_ids) == output.text
            assert member.tokenizer.decode(held.prompt_ids + held.token_ids) == prompt + output.text
            assert len(held.token_ids) <= 260
        assert "".join(step.text for step in output.steps) == output.text


def test_case_f09_f10_every_score_equals_a_pass_without_cache_over_the_recorded_context(trio):
    output = trio.generate(PROMPTS[0], 100)
    compared = 0
    for number, (member, held) in enumerate(zip(trio.members, output.members, strict=True)):
        ids = held.prompt_ids + held.token_ids
        for step in output.steps:
            start, end = step.members[number].context
            for candidate, scores in zip(step.candidates, step.scores, strict=True):
                own = list(candidate.token_ids[number])
                rows = full_rows(member, ids[start:end] + own)
                if candidate.end:
                    expected = float(rows[-1, list(member.runner.eos_token_ids)].logsumexp(0))
                else:
                    expected = math.fsum(float(rows[end - start - 1 + i, t]) for i, t in enumerate(own))
                assert scores[number].logprob == pytest.approx(expected, abs=2e-4)
                assert scores[number].n_tokens == max(len(own), 1)
                compared += 1
    assert compared > 3 * len(output.steps)


def test_case_f08_the_order_of_the_models_does_not_change_the_text(trio):
    texts = set()
    for order in itertools.permutations(trio.members):
        texts.add(Fusion(order).generate(PROMPTS[3], 60).text)
    assert len(texts) == 1


def test_case_g05_a_hard_limit_of_64_positions_is_respected_and_reported(trio):
    output = trio.generate(PROMPTS[0], 330)
    short = output.members[2]
    assert trio.members[2].runner.max_model_len == 64
    assert len(short.prompt_ids) + len(short.token_ids) > 64
    assert short.dropped_context > 0
    assert output.members[0].dropped_context == 0
    for step in output.steps:
        start, end = step.members[2].context
        longest = max(len(candidate.token_ids[2]) for candidate in step.candidates)
        assert end - start + longest <= 64


def test_case_g05_a_prompt_longer_than_a_limit_is_cut_at_the_left_and_reported(trio):
    prompt = "Once upon a time there was a dog. " * 12 + "The dog"
    output = trio.generate(prompt, 8)
    assert len(output.members[2].prompt_ids) > 64
    start, end = output.steps[0].members[2].context
    assert (end, end - start) == (len(output.members[2].prompt_ids), 32)
    assert output.members[2].dropped_context > 0


def test_case_g03_a_stop_string_of_the_real_text_stops_before_it_at_every_place(trio):
    whole = trio.generate(PROMPTS[2], 40).text
    for at in range(1, len(whole) - 8, 7):
        stop = whole[at : at + 8]
        output = trio.generate(PROMPTS[2], 40, stop_strings=stop)
        assert (output.text, output.finish_reason) == (whole[: whole.index(stop)], "stop")
        assert "".join(step.text for step in output.steps) == output.text


def test_a_lossy_member_rejects_what_it_cannot_say_and_says_so(folder):
    names = ("stories260K", "babyllama105-yarn3")
    fusion = Fusion.from_pretrained([folder / name for name in names], device="cpu")
    with pytest.raises(UnrepresentableTextError, match="babyllama105-yarn3"):
        fusion.generate("Once upon a time 漢字")
    output = fusion.generate(PROMPTS[0], 120)
    for member, held in zip(fusion.members, output.members, strict=True):
        assert after(member, PROMPTS[0], held.token_ids) == output.text


def test_a_recurrent_model_takes_part_with_scores_that_hold_without_a_cache(folder):
    fusion = Fusion.from_pretrained([folder / "rwkv4-660k", folder / "aidreams260K"], device="cpu")
    assert [member.runner.strategy for member in fusion.members] == ["copy", "tree"]
    output = fusion.generate("The sky over the city", 40)
    member, held = fusion.members[0], output.members[0]
    ids = held.prompt_ids + held.token_ids
    for step in output.steps[:8]:
        start, end = step.members[0].context
        for candidate, scores in zip(step.candidates, step.scores, strict=True):
            own = list(candidate.token_ids[0])
            rows = full_rows(member, ids[start:end] + own)
            expected = math.fsum(float(rows[end - start - 1 + i, t]) for i, t in enumerate(own))
            if not candidate.end:
                assert scores[0].logprob == pytest.approx(expected, abs=2e-4)


def test_an_empty_prompt_names_the_member_that_has_no_bos(trio):
    with pytest.raises(EmptyPromptError, match="tlm6000"):
        trio.generate("")
    assert Fusion(trio.members[:2]).generate("", 12).text


def test_a_rerank_lists_all_continuations_and_answers_with_the_best(trio):
    output = trio.generate(PROMPTS[0], 40, rerank=True)
    assert [each.author for each in output.continuations] == ["fusion", 0, 1, 2]
    for member, each in zip(trio.members, output.continuations[1:], strict=True):
        assert each.text == after(member, PROMPTS[0], plain_greedy(member, PROMPTS[0], 40))
    scored = [each for each in output.continuations if each.rejected is None]
    assert output.continuations[0] in scored
    assert output.text == min(scored, key=lambda each: each.value).text
