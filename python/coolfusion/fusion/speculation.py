"""Chooses the leader and the length of drafts by the costs of passes and the agreement of the text's members.

A draft changes passes, never text in exact arithmetic, so everything here may be an estimate. It must not be a
measurement of time, because passes of another shape round otherwise. A leader writes D words in a row, and each other
member reads all of them in one pass. The words are good as long as the leader's win. The time of one word on one device
is modelled by:

- n_j, the tokens in a word of member j, and c_j(q), the seconds of a pass over q tokens;
- a, the share of words on which all agree, and w_j, the share of words that j wins;
- d_j, the share of words on which j differs from the leader.

::

    without draft    sum_j n_j c_j(1)  +  (1 - w_j) c_j(n_j)                                          +  s
    with D words     (D n_L c_L(1) + sum_j c_j(D n_j)) / E  +  sum_j d_j n_j c_j(1)  +  (1 - w_L) c_L(n_L)  +  s
                     where E = 1 + w_L + ... + w_L^(D - 1) words of a draft are used
    scores           s = (1 - a) sum_j min(1, n_j - 1) c_j(k): a word of one token has its score without a pass
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coolfusion.members.cost import PassCost

LENGTHS = (1, 2, 3, 4, 6, 8)
RATE = 0.1  # of the moving means: the last ten words count most
FIRST_GUESS = 0.75  # of agreement, before anything was seen
GAIN = 0.97  # the greatest share of the present seconds that a new plan, or a first draft, may take
GAIN_CONCURRENT = 0.8  # with threads, whose exchanges and interrupted passes no model here knows
WORDS_BETWEEN_PLANS = 4


class Speculation:
    """A planner of the next word of one text.

    Args:
        costs: (M,) the costs of the members' passes.
        batches_paths: (M,) whether the members read a draft in one pass; those that do not gain nothing by it.
        drafts: number of words to write ahead, 0 for none; None adapts.
        concurrent: whether each model has a device of its own.
    """

    def __init__(
        self,
        costs: Sequence[PassCost],
        batches_paths: Sequence[bool] | None = None,
        *,
        drafts: int | None = None,
        concurrent: bool = False,
    ) -> None:
        self._costs = costs
        self._batches_paths = [True] * len(costs) if batches_paths is None else list(batches_paths)
        self._drafts = drafts
        self._concurrent = concurrent
        count = len(costs)
        self._tokens = [1.2] * count  # per word
        self._same = [[FIRST_GUESS if i != j else 1.0 for j in range(count)] for i in range(count)]
        self._wins = [FIRST_GUESS] * count
        self._all_agree = FIRST_GUESS
        self._plan: tuple[int, int] | None = None
        self._age = 0
        self._begun = False

    def plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        """Returns the leader among these members, and the number of words that it writes ahead.

        Complexity: O(members^2), every few words.
        """
        if len(numbers) < 2 or self._drafts == 0 or not any(self._batches_paths[j] for j in numbers):
            return numbers[0], 0
        if self._drafts is None and not self._begun:
            return numbers[0], 0  # the first word shows whether the members agree at all
        if self._plan is None or self._plan[0] not in numbers or self._age >= WORDS_BETWEEN_PLANS:
            self._age = 0
            self._plan = self._concurrent_plan(numbers) if self._concurrent else self._shared_plan(numbers)
        return self._plan

    def observe(self, texts: Mapping[int, str | None], winner: str, tokens: Mapping[int, int]) -> None:
        """Notes a word that was decided.

        Args:
            texts: the text that each member proposed.
            winner: the text that was committed.
            tokens: the number of the winner's tokens under each member.
        """
        if len(texts) < 2:
            return
        self._age += 1
        self._begun = True
        self._all_agree += RATE * ((len(set(texts.values())) == 1) - self._all_agree)
        for i, text in texts.items():
            self._wins[i] += RATE * ((text == winner) - self._wins[i])
            self._tokens[i] += RATE * (max(1, tokens[i]) - self._tokens[i])
            for j, other in texts.items():
                self._same[i][j] += RATE * ((text == other) - self._same[i][j])

    def _shared_plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        plans = {
            (leader, words): self._seconds(numbers, leader, words) for leader in numbers for words in self._lengths()
        }
        if self._drafts is None:
            plans[numbers[0], 0] = GAIN * self._seconds_without(numbers)
        best = min(plans, key=lambda plan: (plans[plan], plan))
        if self._plan in plans and plans[best] > GAIN * plans[self._plan]:
            return self._plan
        return best

    def _lengths(self) -> Sequence[int]:
        """Returns the lengths of drafts that come into question."""
        return LENGTHS if self._drafts is None else (self._drafts,)

    def _seconds_without(self, numbers: Sequence[int]) -> float:
        """Returns the seconds of a word without a draft."""
        return sum(self._seconds_of_own(j) for j in numbers) + self._seconds_of_scores(numbers)

    def _seconds(self, numbers: Sequence[int], leader: int, words: int) -> float:
        """Returns the seconds of a word with a draft of `words` words."""
        tokens, costs = self._tokens, self._costs
        others = [j for j in numbers if j != leader and self._batches_paths[j]]
        alone = sum(self._seconds_of_own(j) for j in numbers if j != leader and not self._batches_paths[j])
        wins = min(self._wins[leader], 0.999)
        used = (1.0 - wins**words) / (1.0 - wins)
        draft = words * tokens[leader] * costs[leader].of(1) + sum(costs[j].of(words * tokens[j]) for j in others)
        own = sum((1.0 - self._same[leader][j]) * tokens[j] * costs[j].of(1) for j in others)
        lost = (1.0 - wins) * costs[leader].of(tokens[leader])
        return draft / used + own + lost + alone + self._seconds_of_scores(numbers)

    def _seconds_of_own(self, j: int) -> float:
        """Returns the seconds of a member that writes its own word, and reads the winner's where it has lost."""
        cost, tokens = self._costs[j], self._tokens[j]
        return tokens * cost.of(1) + (1.0 - self._wins[j]) * cost.of(tokens)

    def _seconds_of_scores(self, numbers: Sequence[int]) -> float:
        """Returns the seconds of the scores of others' words; a word of one token has its score without a pass."""
        longer = sum(min(1.0, self._tokens[j] - 1.0) * self._costs[j].of(len(numbers)) for j in numbers)
        return (1.0 - self._all_agree) * longer

    def _concurrent_plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        """Returns the leader that writes on while the others read, if that is clearly faster."""
        plans = {
            (leader, words): self._seconds_concurrent(numbers, leader, words)
            for leader in numbers
            for words in self._lengths()
            if self._drafts is not None or words == 1 or self._wins[leader] ** words > 0.5
        }
        least = min(plans.values())
        # Of equals the longest, because the followers of a slower leader read whenever a draft is full.
        best = max((plan for plan in plans if plans[plan] <= least / GAIN), key=lambda plan: (plan[1], -plan[0]))
        without = max(self._seconds_of_own(j) for j in numbers)
        return best if self._drafts is not None or plans[best] < GAIN_CONCURRENT * without else (best[0], 0)

    def _seconds_concurrent(self, numbers: Sequence[int], leader: int, words: int) -> float:
        """Returns the seconds of a word for the slower of leader and followers, with a leader `words` words ahead.

        After a word that lost, the leader begins again, and its present pass has been in vain.
        """
        tokens, costs, wins = self._tokens, self._costs, min(self._wins[leader], 0.999)
        pace = tokens[leader] * costs[leader].of(1)
        slowest = pace + (1.0 - wins) * 2.0 * costs[leader].of(tokens[leader])
        for j in numbers:
            if j == leader:
                continue
            if not self._batches_paths[j]:
                slowest = max(slowest, self._seconds_of_own(j))
                continue
            pass_of = costs[j].of(words * tokens[j])
            # The words that the leader wrote while a pass of the follower ran, or all where it was waited for.
            used = min((1.0 - wins**ahead) / (1.0 - wins) for ahead in (words, max(1.0, pass_of / max(pace, 1e-9))))
            own = (1.0 - self._same[leader][j]) * tokens[j] * costs[j].of(1)
            slowest = max(slowest, pass_of / used + own)
        return slowest
