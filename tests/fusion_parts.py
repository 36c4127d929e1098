"""Parts for the tests of the loop: toy tokenizers, scripted members, and an independent greedy loop."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import tokenizers

import coolfusion as cf
from coolfusion.fusion import Fusion, Member
from coolfusion.models import ForgetfulModel, ScriptedModel
from coolfusion.records import Output

BOS, END = 0, 1
SPECIALS = ("<s>", "</s>")
ASCII = " abcdefghijklmnopqrstuvwxyz.,\n"


def toy(*words: str, specials: Sequence[str] = SPECIALS) -> cf.Tokenizer:
    """`toy_inner` as the core sees it."""
    return cf.Tokenizer.wrap(toy_inner(*words, specials=specials))


def toy_inner(*words: str, specials: Sequence[str] = SPECIALS) -> tokenizers.Tokenizer:
    """A byte-level BPE tokenizer: `<s>` is 0, `</s>` is 1, then the 256 bytes, then every prefix of `words`."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: number for number, piece in enumerate([*specials, *letters])}
    merges = []
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in words:
        [(spelled, _)] = split.pre_tokenize_str(word)
        for n in range(2, len(spelled) + 1):
            if spelled[:n] not in vocab:
                vocab[spelled[:n]] = len(vocab)
                merges.append((spelled[: n - 1], spelled[n - 1]))
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    inner.add_special_tokens(list(specials))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    return inner


@functools.cache
def byte_id(byte: int) -> int:
    """The id of a single byte in every toy tokenizer."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    return len(SPECIALS) + alphabet.index(byte_letter(byte))


@functools.cache
def byte_letter(byte: int) -> str:
    """The printable letter of a byte in GPT-2's alphabet."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))


def lean(n_rows: int, chances: dict[int, float]) -> list[float]:
    """A row of logits: the given probabilities, and what is left over all other ids alike."""
    rest = max(1.0 - sum(chances.values()), 1e-9) / max(n_rows - len(chances), 1)
    row = [math.log(rest)] * n_rows
    for token_id, chance in chances.items():
        row[token_id] = math.log(chance)
    return row


def writer(
    tokenizer: cf.Tokenizer,
    wish: str | Callable[[str], str],
    *,
    chance: float = 0.9,
    name: str = "writer",
    end_ids: Sequence[int] = (END,),
    limit: int | None = None,
    extra_rows: int = 0,
    prefix_ids: Sequence[int] = (BOS,),
) -> Member:
    """A member that wishes to write a text.

    Args:
        tokenizer: its tokenizer.
        wish: the whole text, prompt included, or what should follow a given text; "" is END.
        chance: probability of the first token of what it wishes.
        name: its name.
        end_ids: its END set.
        limit: most tokens of context.
        extra_rows: rows above the vocabulary.
        prefix_ids: what stands before its prompts.
    """
    n_rows = tokenizer.vocab_size + extra_rows

    def follow(text: str) -> str:
        if callable(wish):
            return wish(text)
        return wish[len(text) :] if wish.startswith(text) else ""

    def row(ids: tuple[int, ...]) -> list[float]:
        written = tokenizer.decode_bytes(list(ids))
        text = written.decode("utf-8", errors="ignore")
        wanted = follow(text)
        half = written[len(text.encode()) :]
        if half and wanted.encode().startswith(half):  # inside a character
            return lean(n_rows, {byte_id(wanted.encode()[len(half)]): chance})
        if not wanted:
            return lean(n_rows, {end_ids[0]: chance} if end_ids else {})
        return lean(n_rows, {tokenizer.encode(wanted, continues=True)[0]: chance})

    model = ScriptedModel(row, n_rows, eos_token_ids=end_ids, max_model_len=limit, name=name)
    return Member(model, tokenizer, tuple(prefix_ids))


def cycle(pattern: str) -> Callable[[str], str]:
    """A wish for `pattern` again and again, told by the last character alone, as a short context needs it."""

    def follow(text: str) -> str:
        at = pattern.find(text[-1:]) + 1 if text[-1:] in pattern else 0
        return pattern[at:] or pattern

    return follow


def gambler(tokenizer: cf.Tokenizer, seed: int, *, limit: int | None = None, name: str = "") -> Member:
    """A member whose logits are random, fixed by the last ids; it prefers ASCII so that it writes text."""
    n_rows = tokenizer.vocab_size
    readable = [i for i in range(2, n_rows) if all(b in ASCII.encode() for b in tokenizer.token_bytes(i))]

    # Budgets, twins and drafts ask for the same rows again and again.
    @functools.lru_cache(maxsize=2**12)
    def drawn(last: tuple[int, ...]) -> list[float]:
        dice = random.Random(f"{seed}/{last}")
        logits = [-9.0] * n_rows
        logits[END] = -1.0
        for i in readable:
            logits[i] = dice.gauss(0.0, 1.5)
        return logits

    def row(ids: tuple[int, ...]) -> list[float]:
        return drawn(ids[-3:]).copy()

    model = ScriptedModel(row, n_rows, eos_token_ids=(END,), max_model_len=limit, name=name or f"gambler{seed}")
    return Member(model, tokenizer, (BOS,))


def again(member: Member) -> Member:
    """The same member with a runner of its own."""
    old = member.runner
    assert isinstance(old, ScriptedModel)
    ends, longest = old.eos_token_ids, old.max_model_len
    model = ScriptedModel(old._logits, old.logits_size, eos_token_ids=ends, max_model_len=longest, name=old.name)
    return Member(model, member.tokenizer, member.prefix_ids)


def literal(members: Sequence[Member], **options: Any) -> Fusion:
    """A fusion that runs the paper's loop as it is written; the members may be used elsewhere before and after."""
    twins = [
        Member(ForgetfulModel(member.runner), member.tokenizer, member.prefix_ids, member.name) for member in members
    ]
    return Fusion(twins, drafts=0, **options)


class Judge:
    """A member's probabilities after a context, read without anything that the loop uses."""

    def __init__(self, member: Member, ids: Sequence[int]) -> None:
        self._model = again(member).runner
        self._context = self._model.new_context()
        self._model.prefill([(self._context, list(ids))])

    def score(self, ids: Sequence[int]) -> list[float]:
        """ln p of each of the ids in turn."""
        self._model.forward([(self._context, [tuple(ids)])])
        return self._context.logprobs(tuple(ids))

    def next_logprob(self, ids: Sequence[int]) -> float:
        """ln p that one of the ids comes next."""
        return self._context.next_logprob((), ids)


def greedy(member: Member, prompt: str, n_tokens: int) -> list[int]:
    """Plain greedy decoding by full rows of logits, sharing nothing with the loop."""
    ids = [*member.prefix_ids, *member.tokenizer.encode(prompt)]
    start = len(ids)
    context = member.runner.new_context()
    while len(ids) < start + n_tokens:
        member.runner.prefill([(context, ids)])
        row = list(context.next_logits(()))
        for banned in member.suppress_tokens:
            row[banned] = -math.inf
        best = row.index(max(row))
        if best in member.runner.eos_token_ids:
            break
        ids.append(best)
    return ids[start:]


def plain_sample(
    member: Member,
    ids: Sequence[int],
    number: Callable[[int], float],
    budget: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> tuple[list[int], bool]:
    """An ordinary sample of one member, by full rows and a search through the cumulated distribution.

    `number` gives the random number of a token from its place; the result is the new ids, and whether END was drawn.
    """
    new: list[int] = []
    context = member.runner.new_context()
    while len(new) < budget:
        member.runner.prefill([(context, [*ids, *new])])
        row = list(context.next_logits(()))
        for banned in member.suppress_tokens:
            row[banned] = -math.inf
        powers = [math.exp((value - max(row)) / temperature) for value in row]
        order = sorted((-power / sum(powers), i) for i, power in enumerate(powers) if power)
        cumulated = list(itertools.accumulate(-minus for minus, _ in order))
        n_kept = next((n for n, mass in enumerate(cumulated, 1) if mass >= top_p), len(order))
        n_kept = min(n_kept, sum(minus <= min_p * order[0][0] for minus, _ in order))
        wanted = number(len(new)) * cumulated[n_kept - 1]
        token = next(i for (_, i), mass in zip(order, cumulated, strict=True) if mass > wanted)
        if token in member.runner.eos_token_ids:
            return new, True
        new.append(token)
    return new, False


def same_steps(ours: Output, theirs: Output, tolerance: float = 1e-12) -> None:
    """Asserts that two outputs decide everything alike, the passes apart; scores up to `tolerance` in nats."""
    assert [step.text for step in ours.steps] == [step.text for step in theirs.steps]
    assert (ours.text, ours.finish_reason, ours.rejected) == (theirs.text, theirs.finish_reason, theirs.rejected)
    for one, other in zip(ours.steps, theirs.steps, strict=True):
        assert one.candidates == other.candidates
        assert (one.winner, one.excluded, one.rejected) == (other.winner, other.excluded, other.rejected)
        assert [each.context for each in one.members] == [each.context for each in other.members]
        for row, expected in zip(one.scores, other.scores, strict=True):
            for score, wanted in zip(row, expected, strict=True):
                assert (score.n_tokens, score.n_bytes) == (wanted.n_tokens, wanted.n_bytes)
                expected_logprob = pytest.approx(wanted.logprob, rel=tolerance, abs=tolerance, nan_ok=True)
                assert score.logprob == expected_logprob, (one.index, score.logprob, wanted.logprob)
    for one, other in zip(ours.members, theirs.members, strict=True):
        assert (one.prompt_ids, one.token_ids) == (other.prompt_ids, other.token_ids)
        assert (one.dropped_context, one.forced_cuts) == (other.dropped_context, other.forced_cuts)
