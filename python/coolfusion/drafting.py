"""Who leads, and how many words ahead: chosen by what passes cost and how often the members agreed of late.

A draft changes passes, never text, so that everything here may be an estimate. With a leader that writes D words in a
row, the others read all of them in one pass each; the words are good as long as the leader's win. Model of the time
of one word on one device, with n_j tokens in a word of member j, c_j(q) seconds for a pass over q tokens, a the share
of words on which all agree, w the share that the leader wins and d_j the share on which j differs from the leader::

    without draft    sum_j n_j c_j(1)  +  (1 - a) sum_j c_j(k)
    with D words     (D n_L c_L(1) + sum_j c_j(D n_j)) / E  +  sum_j d_j n_j c_j(1)  +  (1 - a) c_L(k)
                     where E = 1 + w + ... + w^(D - 1) words of a draft are used
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LENGTHS = (1, 2, 3, 4, 6, 8)
RATE = 0.1  # of the moving means: the last ten words or passes count most
FIRST_GUESS = 0.75  # of agreement, before anything was seen
GAIN = 0.97  # a change of plan must save so much
WORDS_BETWEEN_PLANS = 4


class PassCost:
    """What a pass of one model takes: a straight line in the number of its tokens."""

    def __init__(self) -> None:
        self._single: float | None = None
        self._slope = 0.0

    def observe(self, seconds: float, tokens: float) -> None:
        """A pass over so many tokens of each text; an outlier, such as a first pass, counts little."""
        if tokens <= 1.0:
            old = self._single
            self._single = seconds if old is None else old + RATE * (min(seconds, 2.0 * old) - old)
        elif self._single is not None:
            slope = max(0.0, (seconds - self._single) / (tokens - 1.0))
            self._slope += RATE * (min(slope, self._single) - self._slope)

    def of(self, tokens: float) -> float:
        """Seconds; 1 for every pass, whatever its size, where nothing was measured yet."""
        if self._single is None:
            return 1.0
        return self._single + self._slope * max(0.0, tokens - 1.0)


class Drafting:
    """The plan for the next word.

    Args:
        costs: (M,) what the members' passes take; others keep them up to date.
        packs: (M,) whether the members read a draft in one pass; those that do not gain nothing by it.
        drafts: words to write ahead, 0 for none; None adapts.
        apart: whether each model has a device of its own.
    """

    def __init__(
        self,
        costs: Sequence[PassCost],
        packs: Sequence[bool] | None = None,
        *,
        drafts: int | None = None,
        apart: bool = False,
    ) -> None:
        self._costs = costs
        self._packs = [True] * len(costs) if packs is None else list(packs)
        self._drafts = drafts
        self._apart = apart
        count = len(costs)
        self._tokens = [1.2] * count  # per word
        self._same = [[FIRST_GUESS if i != j else 1.0 for j in range(count)] for i in range(count)]
        self._wins = [FIRST_GUESS] * count
        self._all_agree = FIRST_GUESS
        self._plan: tuple[int, int] | None = None
        self._age = 0

    def plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        """The leader among these members, and how many words it writes ahead.

        Complexity: O(members^2), every few words.
        """
        if len(numbers) < 2 or not any(self._packs[j] for j in numbers):
            return numbers[0], 0
        if self._plan is None or self._plan[0] not in numbers or self._age >= WORDS_BETWEEN_PLANS:
            self._age = 0
            self._plan = self._apart_plan(numbers) if self._apart else self._shared_plan(numbers)
        return self._plan

    def observe(self, texts: Mapping[int, str | None], winner: str, tokens: Mapping[int, int]) -> None:
        """A word was decided.

        Args:
            texts: what each member proposed.
            winner: what was committed.
            tokens: in how many tokens of each member.
        """
        if len(texts) < 2:
            return
        self._age += 1
        self._all_agree += RATE * ((len(set(texts.values())) == 1) - self._all_agree)
        for i, text in texts.items():
            self._wins[i] += RATE * ((text == winner) - self._wins[i])
            self._tokens[i] += RATE * (max(1, tokens[i]) - self._tokens[i])
            for j, other in texts.items():
                self._same[i][j] += RATE * ((text == other) - self._same[i][j])

    def _shared_plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        lengths = LENGTHS if self._drafts is None else (self._drafts,)
        plans = {
            (leader, words): self._seconds(numbers, leader, words) for leader in numbers for words in lengths if words
        }
        if not self._drafts:
            plans[numbers[0], 0] = self._seconds_without(numbers)
        best = min(plans, key=lambda plan: (plans[plan], plan))
        if self._plan in plans and plans[best] > GAIN * plans[self._plan]:
            return self._plan
        return best

    def _seconds_without(self, numbers: Sequence[int]) -> float:
        """Of a word, without a draft."""
        writing = sum(self._tokens[j] * self._costs[j].of(1) for j in numbers)
        return writing + (1.0 - self._all_agree) * sum(self._costs[j].of(len(numbers)) for j in numbers)

    def _seconds(self, numbers: Sequence[int], leader: int, words: int) -> float:
        """Of a word, with a draft of so many words."""
        tokens, costs = self._tokens, self._costs
        others = [j for j in numbers if j != leader and self._packs[j]]
        alone = sum(tokens[j] * costs[j].of(1) for j in numbers if j != leader and not self._packs[j])
        wins = min(self._wins[leader], 0.999)
        used = (1.0 - wins**words) / (1.0 - wins)
        draft = words * tokens[leader] * costs[leader].of(1) + sum(costs[j].of(words * tokens[j]) for j in others)
        own = sum((1.0 - self._same[leader][j]) * tokens[j] * costs[j].of(1) for j in others)
        return draft / used + own + alone + (1.0 - self._all_agree) * costs[leader].of(len(numbers))

    def _apart_plan(self, numbers: Sequence[int]) -> tuple[int, int]:
        """The fastest writer leads; it writes on while the others read, as far as its words are likely to be used."""
        speed = {j: self._tokens[j] * self._costs[j].of(1) for j in numbers}
        leader = min(numbers, key=lambda j: (speed[j], j))
        if self._drafts is not None:
            return leader, self._drafts
        useful = [words for words in LENGTHS if self._wins[leader] ** words > 0.5]
        return leader, max(useful, default=0) if speed[leader] < 0.9 * max(speed.values()) else 0
