r"""The likelihood of a text under a pool: ln p of each member, and of the fused pool, without writing anything.

The common cuts of the text part it into words s_1 ... s_T. Under member u, P_u(s_t) is the product of the probabilities
of its tokens. B_u(t) is the probability that a word ends after s_t: that END follows, or a token that begins with a
follower. Then::

    q_u(s_t) = P_u(s_t) * B_u(t) / B_u(t - 1)        B_u(0) = B_u(T) = 1
    ln p     = sum over t of ln (sum over u of w_u(t) q_u(s_t))

The weights w(t) are those of the pool's rule, and see only the text before s_t. With one member the boundaries cancel,
so ln p is the member's own token log-likelihood. With several members q_u is the probability of the word given that one
begins here. So members with other tokens, or other habits at the ends of words, are compared over the same events.

For each past the q_u(s) of all words s, END included, have a sum of at most 1, and so has their mixture. The words are
disjoint events, because the text up to the next byte decides whether a word ends (`coolfusion.evaluation.words`). Each
event is counted through its canonical tokens alone, so the sum may be less than 1. The proof and its limits
are in docs/definitions.md, "fused likelihood".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from coolfusion.errors import ModelError
from coolfusion.evaluation.encoding import Reading, read
from coolfusion.evaluation.history import History
from coolfusion.evaluation.score_request import Asked, ScoreRequest, score_all
from coolfusion.fusion import Fusion
from coolfusion.fusion.prompts import per_member
from coolfusion.fusion.selection.weights import Uniform, Weights
from coolfusion.members.commands import WholeScore, WholeText
from coolfusion.members.member import Member
from coolfusion.models.numerics import logsumexp, total
from coolfusion.records import Output

__all__ = ["TextLikelihood", "TextPlan", "bits_per_byte", "is_written", "plan_texts", "score_texts", "weights_of"]


class TextLikelihood(NamedTuple):
    """The likelihood of a text after a context, under a pool.

    Attributes:
        logprob: ln p of the text under the fused pool, in nats.
        members: (M,) ln p of the text under each member: the sum over its own tokens, in nats.
        greedy: (M,) whether each of a member's tokens is the one that it would write; False where not asked for.
        n_bytes: UTF-8 bytes of the text.
        n_tokens: (M,) tokens of the text under each member.
        words: (T,) the words over which the members were mixed.
        fused: (T,) ln of the mixture for each word; their sum is `logprob`.
        weights: (T, M) the weight of each member at each word.
        costs: (M,) passes in which the text had a part, and tokens that went through them. Texts after one context are
            one request, which is counted at the first of them.
    """

    logprob: float
    members: tuple[float, ...]
    greedy: tuple[bool, ...]
    n_bytes: int
    n_tokens: tuple[int, ...]
    words: tuple[str, ...]
    fused: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    costs: tuple[tuple[int, int], ...]


def score_texts(
    fusion: Fusion,
    texts: Sequence[tuple[Any, str]],
    *,
    weights: Weights | None = None,
    members: Sequence[int] | None = None,
    greedy: bool = False,
) -> list[TextLikelihood]:
    """Returns the likelihoods of texts under a pool, each after a context.

    Args:
        fusion: the pool; any executor.
        texts: (context, text) pairs. A context is a prompt as in `Fusion.generate`: a text, or a tuple with one prompt
            for each member. "" needs members with a prefix, for example BOS.
        weights: of the members; None takes those of the fusion's rule, as `weights_of` finds them.
        members: numbers of the members that take part; None takes all.
        greedy: whether to ask if members would write the text.

    Returns:
        one for each pair, in their order.

    Raises:
        UnrepresentableTextError: a member cannot represent a text.
        EmptyPromptError: a context is empty and a member has nothing to start from.
        ModelError: a model failed, or gave no numbers.

    Complexity: two passes of each member for each context: one reads the context, and one all of its texts. Texts of
        more than 512 tokens take one more for each 512. Contexts share passes, as prompts do.

    Example:
        >>> from coolfusion.embedded import fusion
        >>> [found] = score_texts(fusion(), [("Once upon a time", " there was a little girl")])
        >>> found.words
        (' there', ' was', ' a', ' little', ' girl')
        >>> bool(min(found.members) < found.logprob < 0.0)
        True
    """
    plan = plan_texts(fusion, texts, weights=weights, members=members, greedy=greedy)
    return plan.fused(score_all(fusion.engine, plan.numbers, plan.asked))


class TextPlan(NamedTuple):
    """Texts that were read and are to be scored; `score_texts` in two halves, for callers that wait in their own way.

    Attributes:
        numbers: the members that score.
        asked: the requests, for `enter_scores` or `score_all`.
        parts: the texts with their readings and groups, the members, their weights, and whether to ask for greedy.
    """

    numbers: list[int]
    asked: list[Asked]
    parts: tuple[list[str], dict[int, Reading], list[list[int]], list[Member], Weights, bool]

    def fused(self, requests: Sequence[ScoreRequest]) -> list[TextLikelihood]:
        """Returns the likelihoods of the texts.

        Args:
            requests: the finished requests, in the order of `asked`.

        Raises:
            ModelError: a member gave no numbers.
        """
        texts, readings, groups, pool, weights, greedy = self.parts
        many = len(pool)
        nothing = TextLikelihood(0.0, (0.0,) * many, (greedy,) * many, 0, (0,) * many, (), (), (), ())
        found = [nothing] * len(texts)
        for group, request in zip(groups, requests, strict=True):
            for n, at in enumerate(group):
                row = [request.scores[number][n] for number in self.numbers]
                costs = tuple(request.costs.get(number, (0, 0)) if n == 0 else (0, 0) for number in self.numbers)
                found[at] = _fused(texts[at], readings[at], row, pool, weights)._replace(costs=costs)
        return found


def plan_texts(
    fusion: Fusion,
    texts: Sequence[tuple[Any, str]],
    *,
    weights: Weights | None = None,
    members: Sequence[int] | None = None,
    greedy: bool = False,
) -> TextPlan:
    """Returns texts as the members read them; arguments and errors are those of `score_texts`.

    Args:
        fusion: the pool.
        texts: (context, text) pairs.
        weights: of the members.
        members: numbers of the members that take part.
        greedy: whether to ask if members would write the text.
    """
    numbers = list(range(len(fusion.members))) if members is None else list(members)
    pool = [fusion.members[number] for number in numbers]
    weights = weights_of(fusion.rule) if weights is None else weights
    readings: dict[int, Reading] = {}
    groups: dict[Any, list[int]] = {}
    for at, (context, text) in enumerate(texts):
        prompts = per_member(context, fusion.engine.readers)
        if text:
            own = [prompts[number] for number in numbers]
            readings[at] = read(pool, own, text, score_prompt=weights.prompt_scores, greedy=greedy)
            # Texts after one context are read together, but for those that are scored along with it.
            groups.setdefault(at if weights.prompt_scores else readings[at].prompts, []).append(at)
    asked: list[Asked] = []
    for group in groups.values():
        columns = [tuple(readings[at].texts[j] for at in group) for j in range(len(pool))]
        asked.append((readings[group[0]].prompts, columns))
    only = [text for _, text in texts]
    return TextPlan(numbers, asked, (only, readings, list(groups.values()), pool, weights, greedy))


def weights_of(rule: object) -> Weights:
    """Returns the weights of a rule; rules around another rule have those of the inner one, others count all alike.

    Args:
        rule: a selection rule.

    Example:
        >>> from coolfusion.fusion.selection import as_rule
        >>> weights_of(as_rule("mixture")), weights_of(as_rule("paper"))
        (ByEvidence(kappa=3), Uniform())
    """
    while hasattr(rule, "rule"):
        rule = rule.rule
    weights: Weights = getattr(rule, "weights", None) or Uniform()
    return weights


def is_written(text: str, output: Output) -> bool | None:
    """Returns whether the output of a pool begins with a text, or None if only a larger budget can tell.

    A text that its budget ends may go on with the text that is asked for, because the members may write other tokens.

    Args:
        text: the text.
        output: of a generation after the same context.
    """
    cut = output.finish_reason == "length" and text.startswith(output.text)
    return None if cut and text != output.text else output.text.startswith(text)


def bits_per_byte(logprob: float, n_bytes: int) -> float:
    """Returns bits per UTF-8 byte of a text. Example: ln p = -7 over 10 bytes gives 1.01 bits.

    Args:
        logprob: ln p of the text, in nats.
        n_bytes: its bytes; nan for none.
    """
    return -logprob / math.log(2.0) / n_bytes if n_bytes else math.nan


def _fused(
    text: str, reading: Reading, row: Sequence[WholeScore], pool: Sequence[Member], weights: Weights
) -> TextLikelihood:
    """Returns the mixture over the words of one text."""
    names = [member.name for member in pool]
    wrong = next((name for name, score in zip(names, row, strict=True) if math.isnan(score.logprob)), None)
    if wrong is not None:
        raise ModelError(f"member {wrong} gives no numbers to {text!r:.80}")
    data, history = text.encode(), History(names, prompts=weights.prompt_scores)
    columns = [_Column.of(score, whole, skip) for score, whole, skip in zip(row, *reading[2:], strict=True)]
    for j, column in enumerate(columns):
        if column.prompt is not None:
            ids = reading.texts[j].token_ids[: column.prompt[1]]
            history.note_prompt(j, *column.prompt, sum(len(pool[j].tokenizer.token_bytes(i)) for i in ids))
    fused, used, words = [], [], []
    for t, (start, end) in enumerate(pairwise(reading.edges)):
        share = weights.of(history.view())
        terms = (math.log(w) + column.word(t) for w, column in zip(share, columns, strict=True) if w)
        fused.append(logsumexp(terms))
        used.append(tuple(share))
        words.append(data[start:end].decode())
        history.note(words[-1], [(column.parts[t], column.n_tokens[t]) for column in columns])
    return TextLikelihood(
        total(fused),
        tuple(total(column.parts) for column in columns),
        tuple(score.greedy for score in row),
        len(data),
        tuple(sum(column.n_tokens) for column in columns),
        tuple(words),
        tuple(fused),
        tuple(used),
        (),
    )


class _Column(NamedTuple):
    """One member's numbers for the words of a text.

    Attributes:
        parts: (T,) ln P_u of each word.
        masses: (T + 1,) ln B_u at the edges of the words, 0 at both ends.
        n_tokens: (T,) tokens of each word.
        prompt: ln p and tokens of the context, where it is scored.
    """

    parts: tuple[float, ...]
    masses: tuple[float, ...]
    n_tokens: tuple[int, ...]
    prompt: tuple[float, int] | None

    @classmethod
    def of(cls, score: WholeScore, whole: WholeText, with_prompt: bool) -> _Column:
        """Returns the numbers of a member, without those of the context."""
        skip = int(with_prompt)
        ends = [0, *(mark.n_tokens for mark in whole.marks), len(whole.token_ids)]
        counts = [end - start for start, end in pairwise(ends)]
        prompt = (score.parts[0], counts[0]) if with_prompt else None
        return cls(score.parts[skip:], (0.0, *score.masses[skip:], 0.0), tuple(counts[skip:]), prompt)

    def word(self, t: int) -> float:
        """Returns ln q_u of a word; -inf where the text before it has no probability."""
        before = self.masses[t]
        return -math.inf if before == -math.inf else self.parts[t] + self.masses[t + 1] - before
