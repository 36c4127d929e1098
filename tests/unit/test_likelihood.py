"""Likelihoods of given texts: each member's own, and the fused one, against a slow twin that reads full rows."""

from __future__ import annotations

import functools
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coolfusion as cf
from coolfusion.errors import ArgumentError, EmptyPromptError, ModelError, UnrepresentableTextError
from coolfusion.evaluation import bits_per_byte, score_texts
from coolfusion.evaluation.likelihood import weights_of
from coolfusion.evaluation.words import common_cuts
from coolfusion.executors import ProcessExecutor, ThreadExecutor
from coolfusion.fusion import Fusion, Member
from coolfusion.fusion.selection import as_rule
from coolfusion.fusion.selection.weights import ByEvidence, ByRecentText, Fixed, Uniform
from coolfusion.members import continuations
from coolfusion.models import ScriptedModel
from coolfusion.toy import spaced_tokenizer
from fixtures import examples
from fusion_parts import BOS, END, Judge, gambler, lean, toy, writer

TOKENIZERS = (toy(" cat", " sat", " on", " the", " mat"), toy(), toy(" ca", "t ", " on the", "n."))
WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat.", "naïve", "a\nb", "\t"]), min_size=1, max_size=5)


def pool(*seeds: int, limit: int | None = None) -> list[Member]:
    return [gambler(TOKENIZERS[n], seed, limit=limit, name=f"m{n}") for n, seed in enumerate(seeds)]


def twin(members, context: str, text: str, found) -> float:
    """The formula of the definition over the words that were found, read from scratch for each word."""
    whole = []
    for t, word in enumerate(found.words):
        past = context + "".join(found.words[:t])
        terms = []
        for member, weight in zip(members, found.weights[t], strict=True):
            encode = member.tokenizer.encode
            n = len(encode(past)) if t else len(encode(context))
            ids = [BOS, *encode(context + text)[: len(encode(past + word))]]
            judge = Judge(member, ids[: n + 1])
            term = math.fsum(judge.score(ids[n + 1 :]))
            if t + 1 < len(found.words):
                term += Judge(member, ids).next_logprob(member.ids_after("space"))
            if t:
                term -= judge.next_logprob(member.ids_after("space"))
            terms.append(weight * math.exp(term))
        whole.append(math.log(math.fsum(terms)))
    return math.fsum(whole)


@pytest.mark.slow
@examples(0.5)
@given(words=WORDS, seed=st.integers(0, 99))
def test_the_slow_twin_agrees_on_any_text(words, seed):
    members = pool(seed, seed + 1, seed + 2)
    text = " " + " ".join(words)
    for weights in (Uniform(), Fixed({"m0": 1.0, "m2": 3.0})):
        [found] = score_texts(Fusion(members), [("the cat", text)], weights=weights)
        assert "".join(found.words) == text
        # All white space of these tokenizers ends words, or the twin would have to know the followers.
        assert found.logprob == pytest.approx(twin(members, "the cat", text, found), abs=1e-9)
        for member, logprob, n_tokens in zip(members, found.members, found.n_tokens, strict=True):
            prompt = [BOS, *member.tokenizer.encode("the cat")]
            ids = [BOS, *member.tokenizer.encode("the cat" + text)][len(prompt) :]
            assert (n_tokens, logprob) == (len(ids), pytest.approx(math.fsum(Judge(member, prompt).score(ids))))


@pytest.mark.parametrize("text", [" cat sat on the mat", "x", " on\nthe  mat, and\tsat.\n"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_member_has_its_own_likelihood_and_two_equal_ones_the_same(number, text):
    def member():
        return gambler(TOKENIZERS[number], 5)

    [alone] = score_texts(Fusion([member()]), [("a mat", text)])
    [twice] = score_texts(Fusion([member(), member()]), [("a mat", text)])
    assert alone.logprob == pytest.approx(alone.members[0], abs=1e-9)
    assert twice.logprob == pytest.approx(alone.members[0], abs=1e-9)


def test_a_pool_is_never_worse_than_its_best_member_by_more_than_its_weight():
    members = pool(1, 2, 3)
    [found] = score_texts(Fusion(members, rule="paper"), [("the", " cat sat on the mat")])
    # Words are mixed one by one, so the bound of a mixture of whole texts holds for each word.
    for fused, weights in zip(found.fused, found.weights, strict=True):
        assert weights == (pytest.approx(1 / 3),) * 3 and fused < 0.0
    assert len(found.words) > 3


def sums_of_first_words(cuts_of) -> float:
    """The sum of q over all first words, after one that has just ended, of all short texts."""
    plain, spaced = toy_pair()
    vocabulary = [" on", " the", " cat", " sat"]
    q = {}
    for texts in itertools.product(vocabulary, repeat=4):
        text = "".join(texts)
        cuts = cuts_of([plain, spaced], text)
        if len(cuts) > 1 and cuts[0] == len(texts[0]):
            word = text[cuts[0] : cuts[1]]
            judge = Judge(STRICT, [plain.encode("a" + texts[0])[-1]])
            ids = plain.encode(word)
            mass = Judge(STRICT, [*plain.encode("a" + texts[0])[-1:], *ids]).next_logprob(STRICT.ids_after("space"))
            q[texts[0], word] = math.exp(math.fsum(judge.score(ids)) + mass)
    sums = {}
    for (past, _), value in q.items():
        sums[past] = sums.get(past, 0.0) + value
    return max(sums.values())


def toy_pair():
    return toy(" cat", " sat", " on", " the"), spaced_tokenizer()  # " on the" is one token of the second


def _strict() -> Member:
    """A member that is sure of ` on` and ` the` in turn."""
    tokenizer = toy_pair()[0]
    on, the = (tokenizer.encode(word)[0] for word in (" on", " the"))

    def row(ids):
        return lean(tokenizer.vocab_size, {the if ids[-1] == on else on: 0.99})

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,)), tokenizer, (BOS,))


STRICT = _strict()


def test_the_words_of_a_pool_are_disjoint_events():
    def ours(tokenizers, text):
        return [cut.position for cut in common_cuts(tokenizers, [b"", b""], text.encode())]

    def by_word_boundaries(tokenizers, text):
        return cf.common_boundaries(tokenizers, text)

    assert 0.9 < sums_of_first_words(ours) <= 1.0
    # " on" and " on the" are words that both end at a word boundary, and one event counts for both.
    assert sums_of_first_words(by_word_boundaries) > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_words_after_a_past_have_a_sum_of_at_most_one(seed):
    plain, spaced = toy_pair()
    members = [strict_or_random(plain, seed), strict_or_random(spaced, seed + 10)]
    texts = ["".join(words) for words in itertools.product([" on", " the", " cat", " sat"], repeat=4)]
    sums: dict[str, dict[str, float]] = {}
    for found in score_texts(Fusion(members), [("a", text) for text in texts]):
        for t in range(len(found.words) - 1):  # the last word of a text has no end
            past = "".join(found.words[:t])
            sums.setdefault(past, {})[found.words[t]] = math.exp(found.fused[t])
    assert all(math.fsum(words.values()) <= 1.0 + 1e-9 for words in sums.values())
    assert max(math.fsum(words.values()) for words in sums.values()) > 0.5
    assert any(" on the" in words and " on" not in words for words in sums.values())


def strict_or_random(tokenizer: cf.Tokenizer, seed: int) -> Member:
    """A member that mostly writes one of four words, with chances that are fixed by the last id."""
    starts = [tokenizer.encode(f"a{word}")[-1] for word in (" on", " the", " cat", " sat")]

    def row(ids):
        dice = random.Random(f"{seed}/{ids[-1]}")
        chances = [dice.random() for _ in starts]
        return lean(tokenizer.vocab_size, {i: 0.97 * c / sum(chances) for i, c in zip(starts, chances, strict=True)})

    return Member(ScriptedModel(row, tokenizer.vocab_size, eos_token_ids=(END,), name=f"s{seed}"), tokenizer, (BOS,))


def test_texts_after_one_context_are_read_in_one_pass():
    members = pool(1, 2)
    found = score_texts(Fusion(members, rule="paper"), [("the", " cat"), ("the", " mat sat"), ("the", " on the mat")])
    assert [each.costs[0][0] for each in found] == [2, 0, 0]
    assert [member.runner.forward_passes for member in members] == [2, 2]
    for each, text in zip(found, (" cat", " mat sat", " on the mat"), strict=True):
        [again] = score_texts(Fusion(pool(1, 2), rule="paper"), [("the", text)])
        assert (again.logprob, again.members, again.words) == (each.logprob, each.members, each.words)


def test_texts_of_several_contexts_share_passes():
    members = pool(1, 2)
    score_texts(Fusion(members), [(f"the {word}", " cat sat") for word in ("a", "b", "c", "d")])
    assert [member.runner.forward_passes for member in members] == [2, 2]


def test_long_texts_are_read_in_blocks_and_short_contexts_keep_their_newest_half(monkeypatch):
    text = " cat sat on the mat" * 4
    [expected] = score_texts(Fusion(pool(1, 2)), [("the", text)], greedy=True)
    monkeypatch.setattr(continuations, "TOKENS_AT_A_TIME", 7)
    members = pool(1, 2)
    [found] = score_texts(Fusion(members), [("the", text)], greedy=True)
    assert found._replace(costs=()) == expected._replace(costs=())
    assert members[0].runner.forward_passes > 3
    # The scripted models look at three ids, so a cut context of six changes nothing.
    [cut] = score_texts(Fusion(pool(1, 2, limit=12)), [("the", text)], greedy=True)
    assert cut._replace(costs=()) == expected._replace(costs=())


def test_greedy_says_whether_a_member_writes_the_text():
    members = [writer(TOKENIZERS[0], "the cat sat"), writer(TOKENIZERS[1], "the mat")]
    found = score_texts(Fusion(members), [("the", " cat sat"), ("the", " mat"), ("the", " on")], greedy=True)
    assert [each.greedy for each in found] == [(True, False), (False, True), (False, False)]


def test_weights_follow_the_evidence_of_the_context_and_of_the_words():
    members = [writer(TOKENIZERS[0], "the cat sat on", name="a"), writer(TOKENIZERS[1], "mat on on on", name="b")]
    [found] = score_texts(Fusion(members, rule="mixture"), [("the cat", " sat on mat")])
    assert isinstance(weights_of(as_rule("primary")), ByEvidence)
    engine = Fusion(members, rule="mixture").generate("the cat", 4).steps[0]
    assert found.weights[0] == pytest.approx(engine.weights), "as the loop weighs its first step"
    assert found.weights[0][0] > 0.9
    [recent] = score_texts(Fusion(members), [("the cat", " sat on mat")], weights=ByRecentText())
    assert recent.weights[0] == (0.5, 0.5) and recent.weights[1][0] > 0.6


def source(number: int) -> Member:
    return gambler(TOKENIZERS[number], number, name=f"m{number}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:multiprocessing")
def test_every_executor_gives_the_same_scores():
    texts = [("the", " cat sat"), ("the", " mat"), ("a cat", " on the mat.")]
    expected = score_texts(Fusion([source(n) for n in range(2)], rule="mixture"), texts, greedy=True)
    members = [source(n) for n in range(2)]
    with Fusion(members, executor=ThreadExecutor(members), rule="mixture") as fusion:
        assert score_texts(fusion, texts, greedy=True) == expected
    executor = ProcessExecutor([functools.partial(source, n) for n in range(2)])
    with Fusion(executor.members, executor=executor, rule="mixture") as fusion:
        assert score_texts(fusion, texts, greedy=True) == expected


def test_some_members_may_score_alone():
    members = pool(1, 2, 3)
    [both] = score_texts(Fusion(members), [("the", " cat sat")], members=[0, 2])
    assert len(both.members) == 2 and members[1].runner.forward_passes == 0
    [alone] = score_texts(Fusion(pool(1, 2, 3)), [("the", " cat sat")], members=[2])
    assert alone.logprob == pytest.approx(both.members[1])


def test_a_text_inside_a_token_of_the_context_is_encoded_alone():
    [found] = score_texts(Fusion(pool(1, 2)), [("the c", "at sat")])
    assert found.words == ("at", " sat")
    judge = Judge(gambler(TOKENIZERS[0], 1), [BOS, *TOKENIZERS[0].encode("the c")])
    assert found.members[0] == pytest.approx(math.fsum(judge.score(TOKENIZERS[0].encode("at sat", continues=True))))


def test_errors_name_what_is_wrong():
    fusion = Fusion(pool(1, 2))
    assert score_texts(fusion, [("the", "")])[0].logprob == 0.0
    with pytest.raises(ArgumentError, match="a prompt must be a text"):
        score_texts(fusion, [(5, " cat")])
    with pytest.raises(EmptyPromptError, match="writer has no BOS"):
        score_texts(Fusion([writer(TOKENIZERS[0], "a", prefix_ids=())]), [("", "a")])
    small = Member(ScriptedModel(lambda ids: [0.0] * 259, 259, name="small"), TOKENIZERS[0], (BOS,))
    with pytest.raises(UnrepresentableTextError, match="member small has no row for a token of ' cat'"):
        score_texts(Fusion([small]), [("a", " cat")])
    nan = Member(ScriptedModel(lambda ids: [math.nan] * 300, 300, name="nan"), TOKENIZERS[1], (BOS,))
    with pytest.raises(ModelError, match="member nan gives no numbers to ' cat'"):
        score_texts(Fusion([nan]), [("a", " cat")])


def test_a_score_that_fails_frees_its_memory_and_the_engine_goes_on():
    class Counting(ScriptedModel):
        opened = closed = 0

        def new_context(self):
            self.opened += 1
            context = super().new_context()
            close = context.close

            def closing():
                self.closed += 1
                close()

            context.close = closing
            return context

    def members(broken):
        made = []
        for number in range(2):
            rows = pool(1, 2)[number].runner._logits

            def row(ids, rows=rows, number=number):
                if number == broken and ids[-1] == TOKENIZERS[number].encode("q")[0]:
                    raise ValueError("q is no letter")
                return rows(ids)

            model = Counting(row, TOKENIZERS[number].vocab_size, eos_token_ids=(END,), name=f"m{number}")
            made.append(Member(model, TOKENIZERS[number], (BOS,)))
        return made

    for broken in (0, 1):
        fusion = Fusion(members(broken))
        with pytest.raises(
            ModelError, match=f"member m{broken}: a pass over . texts failed: ValueError: q is no letter"
        ):
            score_texts(fusion, [("the", " cat"), ("q", " cat sat")])
        assert not fusion.engine.has_unfinished
        [found] = score_texts(fusion, [("the", " cat")])
        assert found.logprob == score_texts(Fusion(pool(1, 2)), [("the", " cat")])[0].logprob
        assert all(member.runner.opened == member.runner.closed > 1 for member in fusion.members)


def test_a_word_without_probability_has_none_and_needs_no_further_numbers():
    table = {(): dict.fromkeys(range(2, 258), 1.0)}
    model = ScriptedModel.from_table(table, TOKENIZERS[0].vocab_size, eos_token_ids=(END,), name="bytes")
    members = [Member(model, TOKENIZERS[0], (BOS,)), gambler(TOKENIZERS[1], 2)]
    [found] = score_texts(Fusion(members), [("a", " cat sat")])
    assert found.members[0] == -math.inf and -math.inf < found.logprob < 0.0


def test_bits_per_byte_are_those_of_the_whole_text():
    dice = random.Random(1)
    logprobs = [dice.random() for _ in range(5)]
    assert bits_per_byte(-math.fsum(logprobs), 10) == pytest.approx(math.fsum(logprobs) / math.log(2) / 10)
    assert math.isnan(bits_per_byte(-1.0, 0))
