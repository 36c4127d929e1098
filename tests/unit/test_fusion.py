from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolfusion.errors import (
    ArgumentError,
    ModelError,
    NoCandidateError,
    NoModelsError,
)
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from fusion_parts import BOS, END, again, byte_id, cycle, gambler, greedy, lean, toy, writer

WORDS = (" the", " cat", " sat", " on", " mat", "ab", "abc")
TOKENIZERS = [toy(*WORDS), toy(), toy(" ca", "t ", " o", "n.")]
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10_000)


def group(seed, count=3, limit=None):
    return [gambler(TOKENIZERS[n], seed + n, limit=limit) for n in range(count)]


@given(seed=seeds, budget=st.integers(1, 24))
@FEW
def test_case_f06_one_member_writes_its_own_greedy_text_token_for_token(seed, budget):
    member = gambler(TOKENIZERS[seed % 3], seed)
    output = Fusion([member]).generate("the", budget)
    expected = greedy(again(member), "the", budget)
    assert output.members[0].token_ids == expected
    assert output.finish_reason == ("length" if len(expected) == budget else "end")


@given(seed=seeds, budget=st.integers(1, 24))
@FEW
def test_case_f07_a_member_with_itself_writes_its_own_greedy_text(seed, budget):
    member = gambler(TOKENIZERS[seed % 3], seed)
    output = Fusion([member, again(member)]).generate("the", budget)
    assert [held.token_ids for held in output.members] == [greedy(again(member), "the", budget)] * 2


@pytest.mark.slow
@given(seed=seeds)
@FEW
def test_case_f08_permuted_members_write_the_same_text(seed):
    texts = set()
    for order in itertools.permutations(range(3)):
        members = group(seed)
        output = Fusion([members[n] for n in order]).generate("the", 10)
        texts.add((output.text, output.finish_reason, tuple(len(step.candidates) for step in output.steps)))
    assert len(texts) == 1


@given(seed=seeds, budget=st.integers(1, 20), limit=st.sampled_from([None, 16, 40]))
@FEW
def test_every_members_ids_say_the_same_text_within_its_budget(seed, budget, limit):
    members = group(seed, limit=limit)
    output = Fusion(members).generate("the", budget)
    for member, held in zip(members, output.members, strict=True):
        assert member.tokenizer.decode(held.token_ids) == output.text
        assert len(held.token_ids) <= budget
        assert held.prompt_ids == [BOS, *member.tokenizer.encode("the")]


@given(seed=seeds)
@FEW
def test_case_g07_the_steps_in_a_row_are_the_text_and_each_is_valid_unicode(seed):
    fusion = Fusion(group(seed))
    generation = fusion.stream("the", 12)
    seen = ""
    for step in generation:
        step.text.encode("utf-8")
        seen += step.text
        assert generation.output.text == seen
    assert generation.output.text == seen
    assert generation.output.finish_reason in ("end", "length")
    assert [step.index for step in generation.output.steps] == list(range(len(generation.output.steps)))


@given(seed=seeds, at=st.integers(0, 10), length=st.integers(1, 6))
@FEW
def test_case_g03_a_stop_string_anywhere_in_the_text_cuts_exactly_before_it(seed, at, length):
    whole = Fusion(group(seed)).generate("the", 12)
    stop = whole.text[at : at + length]
    if not stop:
        return
    output = Fusion(group(seed)).generate("the", 12, stop_strings=[stop])
    assert output.text == whole.text[: whole.text.index(stop)]
    assert output.finish_reason == "stop"
    assert "".join(step.text for step in output.steps) == output.text


@pytest.mark.slow
@given(seed=seeds)
@FEW
def test_held_back_text_is_handed_out_at_the_end_and_kept_back_where_a_larger_budget_might_complete_it(seed):
    whole = Fusion(group(seed)).generate("the", 12)
    stop = whole.text[-2:] + "\x00"
    output = Fusion(group(seed)).generate("the", 12, stop_strings=stop)
    expected = whole.text if whole.finish_reason == "end" else whole.text[:-2]
    assert (output.text, output.finish_reason) == (expected, whole.finish_reason)
    assert "".join(step.text for step in output.steps) == expected
    assert len(output.steps) == len(whole.steps)


def test_case_g08_all_members_end_at_once_and_the_loop_ends():
    output = Fusion([writer(TOKENIZERS[0], "a cat"), writer(TOKENIZERS[1], "a cat")]).generate("a")
    assert (output.text, output.finish_reason) == (" cat", "end")
    assert output.steps[-1].candidates[0].members == (0, 1)


def test_case_g08_an_end_that_lost_is_proposed_again_and_can_win():
    eager = writer(TOKENIZERS[0], "a", chance=0.5, name="eager")  # would end at once, and at every place
    steady = writer(TOKENIZERS[0], "a cat sat", chance=0.999, name="steady")
    output = Fusion([eager, steady]).generate("a")
    ends = [next((c for c in step.candidates if c.end), None) for step in output.steps]
    assert all(end is not None and 0 in end.members for end in ends)
    assert [step.candidates[step.winner].end for step in output.steps] == [False, False, True]
    assert (output.text, output.finish_reason) == (" cat sat", "end")


def test_case_e03_end_against_a_word_is_decided_by_the_same_rule():
    ender, writing = writer(TOKENIZERS[0], "a", chance=0.999), writer(TOKENIZERS[0], "a cat", chance=0.6)
    [step] = Fusion([ender, writing]).generate("a").steps
    end, _ = step.scores
    assert [score.n_tokens for score in end] == [1, 1]
    assert step.candidates[step.winner].end
    assert step.values[0] < step.values[1]


def test_case_e07_nested_candidates_are_both_scored_and_ranked():
    tokenizer = TOKENIZERS[0]
    members = [writer(tokenizer, "a mat on"), writer(tokenizer, "a matter on", chance=0.7)]
    step = next(Fusion(members).stream("a"))
    assert [candidate.text for candidate in step.candidates] == [" mat", " matter"]
    assert step.winner == step.values.index(min(step.values))


def test_a_tie_goes_to_the_bytewise_smaller_text():
    tokenizer = TOKENIZERS[0]
    members = [writer(tokenizer, "a sat"), writer(tokenizer, "a cat")]
    for order in (members, members[::-1]):
        step = next(Fusion([again(member) for member in order]).stream("a"))
        assert step.values[0] == step.values[1]
        assert step.text == " cat"


def broken(tokenizer, value, when=lambda ids: True, name="broken"):
    """A member whose rows hold `value` where `when` says so."""

    def row(ids):
        logits = lean(tokenizer.vocab_size, {tokenizer.encode(" cat")[0]: 0.5})
        return [value, *logits[1:]] if when(ids) else logits

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=name), tokenizer, (BOS,))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_case_f04_a_model_without_numbers_is_left_out_and_reported(value):
    tokenizer = TOKENIZERS[0]
    fusion = Fusion([broken(tokenizer, value), writer(tokenizer, "a cat sat")])
    output = fusion.generate("a", on_failure="continue")
    assert (output.text, output.finish_reason) == (" cat sat", "end")
    assert all(step.excluded == (0,) for step in output.steps)
    assert {rejection.reason for step in output.steps for rejection in step.rejected} == {"numbers"}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_without_numbers_ends_the_text_unless_the_user_asks_to_go_on(value):
    tokenizer = TOKENIZERS[0]
    late = broken(tokenizer, value, lambda ids: len(ids) > 3)
    with pytest.raises(ModelError, match="broken: its logits after 4 tokens") as caught:
        Fusion([late, writer(tokenizer, "a cat sat", chance=0.99)]).generate("a")
    assert caught.value.partial.text == " cat"
    assert caught.value.partial.finish_reason is None


def test_case_f04_an_impossible_logit_is_a_number():
    tokenizer = TOKENIZERS[0]
    output = Fusion([broken(tokenizer, -math.inf), writer(tokenizer, "a cat sat")]).generate("a", 1)
    assert (output.text, output.steps[0].excluded) == (" cat", ())


def test_case_f04_no_model_with_numbers_is_an_error_with_the_text_so_far():
    tokenizer = TOKENIZERS[0]
    late = [broken(tokenizer, math.nan, lambda ids: len(ids) > 3, name) for name in ("one", "two")]
    with pytest.raises(ModelError, match="one: its logits") as caught:
        Fusion(late).generate("a")
    assert caught.value.partial.text == " cat"
    assert caught.value.partial.finish_reason is None


def test_case_g04_a_budget_that_ends_inside_a_word_writes_the_partial_word():
    member = writer(TOKENIZERS[1], "a cat sat")
    output = Fusion([member]).generate("a", 6)
    assert (output.text, output.finish_reason) == (" cat s", "length")
    assert len(output.members[0].token_ids) == 6


def test_case_g04_a_budget_that_ends_inside_a_character_drops_the_incomplete_one():
    tokenizer = TOKENIZERS[1]
    for budget, text in ((3, " \u00e9"), (4, " \u00e9"), (5, " \u00e9\u00e9"), (2, " ")):
        output = Fusion([writer(tokenizer, "a \u00e9\u00e9")]).generate("a", budget)
        assert (output.text, output.finish_reason) == (text, "length")


def test_a_character_that_does_not_fit_ends_the_text_and_the_output_says_so():
    members = [writer(TOKENIZERS[0], "a \u00e9"), writer(TOKENIZERS[1], "a \u00e9")]
    output = Fusion(members).generate("a", 2)
    assert (output.text, output.finish_reason) == (" ", "length")
    members = [writer(TOKENIZERS[0], "a\u00e9"), writer(TOKENIZERS[1], "a\u00e9")]
    output = Fusion(members).generate("a", 1)
    assert (output.text, output.finish_reason) == ("", "length")
    assert [(rejection.reason, rejection.member) for rejection in output.rejected] == [("budget", 0), ("budget", 1)]


def lossy_pair():
    """Two members that can say only their own letters."""
    import tokenizers

    import coolfusion as cf

    members = []
    for letter in "xy":
        vocab = {"<unk>": 0, "</s>": 1, "a": 2, " ": 3, letter: 4}
        inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
        inner.add_special_tokens(["<unk>", "</s>"])
        inner.decoder = tokenizers.decoders.Fuse()
        wish = f"a a {letter} a"
        members.append(writer(cf.Tokenizer.wrap(inner), wish, name=f"only-{letter}", prefix_ids=()))
    return members


def test_no_candidate_that_all_can_say_is_an_error_that_keeps_the_text():
    with pytest.raises(NoCandidateError, match="only-y") as caught:
        Fusion(lossy_pair()).generate("a")
    partial = caught.value.partial
    assert partial.text == " a"
    assert partial.finish_reason is None
    assert {rejection.reason for rejection in partial.rejected} == {"lossy"}


def test_text_held_for_a_stop_string_is_handed_out_before_the_error():
    generation = Fusion(lossy_pair()).stream("a", stop_strings=[" a!"])
    assert next(generation).text == " a"
    with pytest.raises(NoCandidateError) as caught:
        next(generation)
    assert caught.value.partial.text == " a"


def test_case_e08_each_member_has_its_own_prompt_and_the_text_is_shared():
    tokenizer = TOKENIZERS[0]
    chat = [BOS, *tokenizer.encode("user: a"), END, *tokenizer.encode("a")]
    members = [writer(tokenizer, "user: aa cat sat", name="chat"), writer(TOKENIZERS[1], "a cat sat", name="base")]
    output = Fusion(members).generate((chat, "a"))
    assert output.text == " cat sat"
    assert output.members[0].prompt_ids == chat
    for member, held in zip(members, output.members, strict=True):
        assert member.tokenizer.decode(held.token_ids) == output.text
        assert not set(held.token_ids) & {BOS, END}
    assert output.steps[0].members[0].context == (0, len(chat))


def test_case_g05_a_limit_is_never_passed_and_the_output_says_what_was_dropped():
    members = [writer(TOKENIZERS[1], cycle(" cat"), limit=16), writer(TOKENIZERS[0], cycle(" cat"))]
    output = Fusion(members).generate("x", 36)
    assert output.text == " cat" * 9
    assert [held.dropped_context > 0 for held in output.members] == [True, False]


def test_each_step_says_its_times_passes_and_tokens():
    output = Fusion([writer(TOKENIZERS[0], "a cat sat"), writer(TOKENIZERS[1], "a cat on")]).generate("a")
    for step in output.steps:
        assert all(seconds >= 0.0 for seconds in step.seconds)
        assert len(step.seconds) == 4
    total = sum(cost.forward_passes for step in output.steps for cost in step.members)
    assert total > 0


def test_generations_of_one_fusion_stand_side_by_side():
    fusion = Fusion([writer(TOKENIZERS[0], "a cat sat on"), writer(TOKENIZERS[1], "a cat sat on")])
    older = fusion.stream("a")
    assert next(older).text == " cat"
    assert fusion.generate("a").text == " cat sat on"
    assert [step.text for step in older] == [" sat", " on", ""]


def test_a_finished_generation_stays_finished():
    generation = Fusion([writer(TOKENIZERS[0], "a cat")]).stream("a")
    assert [step.text for step in generation] == [" cat", ""]
    assert list(generation) == []


def test_one_members_fusion_runs_the_passes_of_plain_greedy_decoding():
    member = writer(TOKENIZERS[0], "a cat sat on the mat")
    output = Fusion([member]).generate("a")
    assert member.runner.forward_passes == 1 + len(output.members[0].token_ids)


@pytest.mark.parametrize("budget", [0, -1, True, 2.0, "4", None])
def test_a_budget_that_is_no_number_of_tokens_is_refused(budget):
    with pytest.raises(ArgumentError, match="max_new_tokens"):
        Fusion([writer(TOKENIZERS[0], "a cat")]).generate("a", budget)


@pytest.mark.parametrize("prompt", [None, 3, ("a",), ("a", "b", "c"), ([1], 3), [3], ["a", ("a",)]])
def test_a_prompt_that_is_no_text_and_not_one_for_each_is_refused(prompt):
    with pytest.raises(ArgumentError, match="prompt"):
        Fusion([writer(TOKENIZERS[0], "a"), writer(TOKENIZERS[1], "a")]).generate(prompt)


def test_no_models_shared_runners_and_unknown_alignments_are_refused():
    member = writer(TOKENIZERS[0], "a")
    with pytest.raises(NoModelsError):
        Fusion([])
    with pytest.raises(NoModelsError):
        Fusion.from_pretrained([])
    with pytest.raises(ArgumentError, match="share one runner"):
        Fusion([member, member])
    with pytest.raises(ArgumentError, match="alignment"):
        Fusion([member], alignment="longest")


def test_describe_is_json():
    import json

    value = Fusion([writer(TOKENIZERS[0], "a", name="one")]).describe()
    assert json.loads(json.dumps(value))["members"][0]["name"] == "one"


def test_the_loop_needs_no_torch():
    code = (
        "import sys, coolfusion, coolfusion.fusion, coolfusion.models.transformers.model\n"
        "heavy = {'torch', 'transformers', 'typer', 'rich', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_invalid_bytes_of_a_single_byte_member_are_dropped_at_the_budget():
    tokenizer = TOKENIZERS[1]
    row = lean(tokenizer.vocab_size, {byte_id(0xFF): 0.9})
    member = Member(ScriptedModel(lambda ids: row, tokenizer.vocab_size, eos_token_ids=(END,)), tokenizer, (BOS,))
    output = Fusion([member]).generate("a", 3)
    assert (output.text, output.finish_reason) == ("", "length")
