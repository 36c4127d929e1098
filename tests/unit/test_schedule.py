from __future__ import annotations

import math

import pytest

from coolfusion.errors import CoolFusionWarning, EmptyPromptError, ModelError, UnrepresentableTextError
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ScriptedModel
from coolfusion.records import Score
from fusion_parts import BOS, END, Judge, byte_id, cycle, lean, toy, writer

WORDS = (" the", " cat", " category", " sat", " on", " mat")


@pytest.fixture(scope="module")
def tokenizer():
    return toy(*WORDS)


@pytest.fixture(scope="module")
def letters():
    return toy()


def first_step(members, prompt="a", budget=32, **options):
    return next(Fusion(members, rule="paper", **options).stream(prompt, budget))


def test_case_e06_equal_texts_of_different_tokens_are_one_candidate_and_nothing_is_scored_twice(tokenizer, letters):
    members = [writer(tokenizer, "a cat sat", name="words"), writer(letters, "a cat sat", name="letters")]
    step = first_step(members, drafts=0)
    [candidate] = step.candidates
    assert (candidate.text, candidate.members) == (" cat", (0, 1))
    assert [len(ids) for ids in candidate.token_ids] == [1, 4]
    # Prompt and own tokens only: with agreement every score comes from the pass that generated the text.
    assert [cost.forward_passes for cost in step.members] == [1 + 1, 1 + 4]


def test_case_f09_the_score_of_the_own_proposal_is_the_teacher_forced_one_without_a_second_pass(tokenizer, letters):
    members = [writer(tokenizer, "a cat sat"), writer(letters, "a cat sat", chance=0.7)]
    step = first_step(members)
    for number, member in enumerate(members):
        judge = Judge(member, [BOS, *member.tokenizer.encode("a")])
        forced = judge.score(step.candidates[0].token_ids[number])
        assert step.scores[0][number].logprob == pytest.approx(math.fsum(forced), abs=1e-12)


def test_every_member_scores_every_candidate_given_its_own_context(tokenizer, letters):
    members = [writer(tokenizer, "a cat sat"), writer(letters, "a mat sat", chance=0.99)]
    step = first_step(members)
    assert [candidate.text for candidate in step.candidates] == [" cat", " mat"]
    for i, candidate in enumerate(step.candidates):
        for number, member in enumerate(members):
            judge = Judge(member, [BOS, *member.tokenizer.encode("a")])
            expected = math.fsum(judge.score(candidate.token_ids[number]))
            score = step.scores[i][number]
            assert score == Score(pytest.approx(expected), len(candidate.token_ids[number]), 4)


def test_case_f10_a_score_does_not_depend_on_how_likely_the_prompt_is(tokenizer):
    row = lean(tokenizer.vocab_size, {tokenizer.encode(" cat")[0]: 0.5})

    def after(prompt):
        model = ScriptedModel(lambda ids: row, tokenizer.vocab_size, eos_token_ids=(END,))
        return first_step([Member(model, tokenizer, (BOS,))], prompt).scores

    assert after("a") == after("z" * 1000) == ((Score(pytest.approx(math.log(0.5)), 1, 4),),)


def test_case_e02_end_is_one_candidate_and_its_probability_the_sum_over_a_models_own_set():
    tokenizer = toy(" cat", specials=("<s>", "</s>", "<stop>"))
    both = lean(tokenizer.vocab_size, {1: 0.25, 2: 0.5})
    one = lean(tokenizer.vocab_size, {1: 0.4})
    members = [
        Member(ScriptedModel(lambda ids: both, tokenizer.vocab_size, eos_token_ids=(1, 2)), tokenizer, (BOS,)),
        Member(ScriptedModel(lambda ids: one, tokenizer.vocab_size, eos_token_ids=(1,)), tokenizer, (BOS,)),
    ]
    step = first_step(members)
    [end] = step.candidates
    assert (end.text, end.end, end.members, end.token_ids) == ("", True, (0, 1), ((), ()))
    assert step.scores[0] == (Score(pytest.approx(math.log(0.75)), 1), Score(pytest.approx(math.log(0.4)), 1))


def test_a_member_without_an_end_never_ends(tokenizer):
    members = [writer(tokenizer, "a"), writer(tokenizer, "a cat sat", end_ids=())]
    step = first_step(members)
    assert [candidate.text for candidate in step.candidates] == ["", " cat"]
    assert step.scores[0][1].logprob == -math.inf
    assert step.text == " cat"


def test_a_member_that_ends_inside_a_word_proposes_the_word_then_end(tokenizer):
    fusion = Fusion([writer(tokenizer, "a cat")])
    output = fusion.generate("a")
    assert [(step.text, step.candidates[0].end) for step in output.steps] == [(" cat", False), ("", True)]
    assert output.members[0].token_ids == tokenizer.encode(" cat"), "END leaves no id"


def raw_writer(tokenizer, ids, name="raw"):
    """A member that writes exactly these ids, then END."""
    start = 1 + len(tokenizer.encode("a"))

    def row(context):
        at = len(context) - start
        return lean(tokenizer.vocab_size, {ids[at] if at < len(ids) else END: 0.9})

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=name), tokenizer, (BOS,))


def test_case_e05_bytes_that_are_no_text_before_end_leave_end(letters):
    step = first_step([raw_writer(letters, [byte_id(0xE5)])])
    assert (step.candidates[0].end, step.text) == (True, "")
    [rejection] = step.rejected
    assert (rejection.reason, rejection.members, rejection.member) == ("invalid", (0,), 0)


def test_case_e05_the_other_candidates_are_unaffected(tokenizer, letters):
    invalid = raw_writer(letters, [byte_id(0xFF), *letters.encode(" cat sat")])
    step = first_step([invalid, writer(tokenizer, "a cat sat")])
    assert [candidate.text for candidate in step.candidates] == [" cat"]
    assert [rejection.reason for rejection in step.rejected] == ["invalid"]
    assert step.text == " cat"


def test_an_incomplete_character_before_end_is_left_out_of_the_word(letters):
    output = Fusion([raw_writer(letters, [*letters.encode(" hi"), byte_id(0xC3)])]).generate("a")
    assert (output.text, output.finish_reason) == (" hi", "end")


def test_a_member_keeps_what_it_wrote_where_that_is_not_canonical(tokenizer):
    ids = tuple(byte_id(byte) for byte in b" cat")
    step = first_step([raw_writer(tokenizer, ids), writer(tokenizer, "a cat")])
    [candidate] = step.candidates
    assert candidate.token_ids == (ids, tuple(tokenizer.encode(" cat")))


def test_a_cut_inside_a_canonical_token_is_committed_as_it_is_and_counted():
    joined, letters = toy(".\n"), toy()
    members = [writer(letters, "a.\nb", name="letters"), writer(joined, "a.\nb", chance=0.4, name="joined")]
    fusion = Fusion(members, alignment="shortest")
    output = fusion.generate("a.", 4)
    forced = [step.members[1].forced_cut for step in output.steps]
    expected = joined.encode("a.", continues=True)
    assert output.members[1].prompt_ids == [BOS, *expected]
    assert joined.decode(output.members[1].token_ids) == output.text == "\nb"
    assert output.members[1].forced_cuts == sum(forced)


def test_what_a_member_cannot_say_is_rejected_with_its_name_and_the_text():
    import tokenizers

    vocab = {"<unk>": 0, "</s>": 1, "a": 2, " ": 3, "c": 4, "t": 5}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    inner.add_special_tokens(["<unk>", "</s>"])
    inner.decoder = tokenizers.decoders.Fuse()
    import coolfusion as cf

    small = cf.Tokenizer.wrap(inner)
    letters = toy()
    members = [writer(letters, "a dog"), writer(small, "a cat", name="small", prefix_ids=())]
    step = first_step(members)
    assert [candidate.text for candidate in step.candidates] == [" cat"]
    [rejection] = step.rejected
    assert (rejection.reason, rejection.text, rejection.members, rejection.member) == ("lossy", " dog", (0,), 1)
    assert "small" in rejection.detail
    with pytest.raises(UnrepresentableTextError, match="small"):
        Fusion(members).generate("x")


def test_case_f05_rows_without_text_are_never_written_but_stay_in_the_softmax(tokenizer):
    rows = tokenizer.vocab_size + 8
    cat = tokenizer.encode(" cat")[0]
    row = lean(rows, {rows - 1: 0.5, BOS: 0.3, cat: 0.1})
    model = ScriptedModel(lambda ids: row, rows, eos_token_ids=(END,))
    member = Member(model, tokenizer, (BOS,))
    assert {BOS, *range(tokenizer.vocab_size, rows)} <= set(member.suppress_tokens)
    assert END not in member.suppress_tokens
    step = first_step([member])
    assert step.text == " cat"
    assert step.scores[0][0].logprob == pytest.approx(math.log(0.1))


def test_a_token_without_a_row_in_the_model_is_rejected(tokenizer):
    rows = tokenizer.encode(" sat")[0]  # the model was trained before " sat" was added

    def row(ids):
        return lean(rows, {tokenizer.encode(" cat")[0]: 0.9})

    small = Member(ScriptedModel(row, rows, eos_token_ids=(END,), name="small"), tokenizer, (BOS,))
    step = first_step([small, writer(tokenizer, "a sat", name="big")])
    assert [rejection.reason for rejection in step.rejected] == ["vocabulary"]
    assert step.text == " cat"
    with pytest.raises(ModelError, match="small: prompt id"):
        Fusion([small]).generate(" sat")


def test_a_segment_is_decided_without_the_budget_and_cut_to_it(tokenizer, letters):
    def members():
        return [writer(tokenizer, "a category", chance=0.99), writer(letters, "a cat sat")]

    whole = first_step(members())
    assert whole.text == " category"
    for budget, text in ((9, " category"), (8, " categor"), (4, " cat"), (1, " ")):
        output = Fusion(members()).generate("a", budget)
        [step] = output.steps[:1]
        assert step.text == text
        assert [candidate.text for candidate in step.candidates] == [c.text for c in whole.candidates]
        assert output.text == text and output.finish_reason == "length"
        assert [tokenizer.decode(output.members[0].token_ids), letters.decode(output.members[1].token_ids)] == [
            text
        ] * 2


def test_the_context_is_cut_at_the_left_and_the_step_says_the_range(letters):
    member = writer(letters, cycle(" bcd"), limit=12, name="short")
    output = Fusion([member]).generate("x", 24)
    assert output.text == " bcd" * 6
    for step in output.steps:
        start, end = step.members[0].context
        longest = max(len(candidate.token_ids[0]) for candidate in step.candidates)
        assert end - start + longest <= 12
    starts = [step.members[0].context[0] for step in output.steps]
    assert starts == sorted(starts)
    assert output.members[0].dropped_context == starts[-1] > 0


def test_scores_after_a_cut_hold_under_the_recorded_range():
    letters, words = toy(), toy(" bcd", " bcx")

    def seen(ids):
        return lean(words.vocab_size, {2 + (sum(ids) * 7 + len(ids)) % (words.vocab_size - 2): 0.5})

    short = ScriptedModel(seen, words.vocab_size, eos_token_ids=(END,), max_model_len=9, name="short")
    gambling = Member(short, words, (BOS,))
    steady = writer(letters, "a" + " bcd" * 8, name="steady", chance=0.999)
    output = Fusion([gambling, steady]).generate("a", 30)
    everything = [output.members[0].prompt_ids + output.members[0].token_ids]
    assert output.members[0].dropped_context > 0
    for step in output.steps:
        start, end = step.members[0].context
        for candidate, scores in zip(step.candidates, step.scores, strict=True):
            judge = Judge(gambling, everything[0][start:end])
            ids = candidate.token_ids[0]
            expected = math.fsum(judge.score(ids)) if ids else judge.next_logprob((END,))
            assert scores[0].logprob == pytest.approx(expected, abs=1e-12)


def test_a_prompt_longer_than_the_limit_is_cut_and_a_segment_longer_than_it_rejected(letters):
    short = writer(letters, cycle(" no"), limit=6, name="short")
    long = writer(letters, "abcdefghijkl extraordinary", chance=0.99, name="long")
    with pytest.warns(CoolFusionWarning, match="13 tokens of member short, whose limit is 6"):
        step = first_step([short, long], prompt="abcdefghijkl")
    assert step.members[0].context == (10, 13), "the newest half of 6 of BOS and 12 letters"
    assert [(r.reason, r.member) for r in step.rejected] == [("limit", 0)]
    assert step.candidates[0].members == (0,)


def test_an_empty_prompt_needs_something_to_start_from(tokenizer):
    member = writer(tokenizer, " cat", prefix_ids=(), name="bare")
    with pytest.raises(EmptyPromptError, match="member bare has no BOS"):
        Fusion([member]).generate("")
    assert Fusion([writer(tokenizer, " cat")]).generate("").text == " cat"
