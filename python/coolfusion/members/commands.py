"""The commands to a member's worker, and its replies, which are plain values that pickle.

A *session* is one text under one member, for example the second prompt of a list. Its context and segmenter live in the
worker. A command names the session and carries everything else that the worker needs. So a command can cross a thread,
a pipe or a network, and can be executed again after a failure.
"""

from __future__ import annotations

from typing import NamedTuple

from coolfusion.members.endings import Ending, Granularity
from coolfusion.models.base import TokenPath
from coolfusion.records import RejectionReason, Score


class Commit(NamedTuple):
    """A command part that appends the winner of a step to a session.

    Attributes:
        token_ids: the segment in the member's ids.
        text: the segment, for the segmenter.
        ending: the kind of ending that the next segment has to follow, if this one owns the boundary after it. "" if
            it does not.
    """

    token_ids: TokenPath
    text: str
    ending: Ending = ""


class Prefill(NamedTuple):
    """A command that opens a session and reads its prompt.

    Attributes:
        session: number of the new session.
        token_ids: the prompt, at least one id. Ids above the model's limit are left out at the left.
        align_with: numbers of the members whose word boundaries end the session's segments too.
        score: whether the reply's value is the `Score` of the prompt without its first id and control tokens.
        granularity: the unit of text that one segment is.
        ending: the kind of ending that the first segment has to follow, if the prompt owns the boundary after it. ""
            if it does not.
        optional_prefix: number of ids at the start of the prompt that are left out if it is likelier without them.
    """

    session: int
    token_ids: tuple[int, ...]
    align_with: tuple[int, ...] = ()
    score: bool = False
    granularity: Granularity = "word"
    ending: Ending = ""
    optional_prefix: int = 0


class Dice(NamedTuple):
    """The random numbers and filters by which a segment is drawn, instead of the most likely one.

    Attributes:
        seed: the seed of the text.
        origin: number of the step in which the member's present stream of random numbers begins.
        offset: number of random numbers of the stream that are used up.
        temperature: divisor of the logits, above 0.
        top_p: only the fewest most likely tokens with this probability in all are drawn.
        min_p: least share of the most likely token's probability that a token needs to be drawn.
    """

    seed: int
    origin: int
    offset: int
    temperature: float
    top_p: float = 1.0
    min_p: float = 0.0


class Propose(NamedTuple):
    """A command that asks for the next segment.

    The reply's value is a tuple of `Proposal`, the member's own greedy one first.

    Attributes:
        session: number of the session.
        commits: the segments that won since the last command.
        budget: most tokens to write, at least 1.
        drafts: paths that are read in the first pass too. These are another member's segments, all and the first alone.
        ahead: number of segments to write in all, as long as no draft of the member is left. 0 writes none ahead.
        alternatives: number of further segments to write, each after one of the next most likely first tokens.
        dice: the random numbers for drawing the segment. A drawn segment has no alternatives and no segments ahead.
            None writes the most likely segment.
    """

    session: int
    commits: tuple[Commit, ...] = ()
    budget: int = 1
    drafts: tuple[TokenPath, ...] = ()
    ahead: int = 0
    alternatives: int = 0
    dice: Dice | None = None


class ScoredPath(NamedTuple):
    """A candidate in the ids of one member, for its score.

    Attributes:
        token_ids: the ids of the candidate under the member; () for END.
        end: whether the candidate is END.
        n_bytes: number of UTF-8 bytes of its text.
        ending: the kind of ending, if the probability of its followers is to be measured, else "".
    """

    token_ids: TokenPath
    end: bool
    n_bytes: int
    ending: Ending = ""


class ScoreCandidates(NamedTuple):
    """A command that asks for the scores of all candidates of a step.

    The reply's value is a tuple of `Score`, one for each candidate.

    Attributes:
        session: number of the session.
        commits: the segments that won since the last command.
        candidates: the candidates to score.
        boundary_mass: whether to measure the probabilities that each candidate ends where it does, and that a segment
            starts where the candidates do.
    """

    session: int
    commits: tuple[Commit, ...]
    candidates: tuple[ScoredPath, ...]
    boundary_mass: bool = False


class WriteAhead(NamedTuple):
    """A command that writes further segments as if each of them won, while the member has no other command.

    A reply without a value, but with the segments in `Usage.ahead`, follows each segment. The next command for the
    session ends this one.

    Attributes:
        session: number of the session.
        commits: the segments that won since the last command.
        budget: most tokens to write.
        words: number of segments to write.
    """

    session: int
    commits: tuple[Commit, ...]
    budget: int
    words: int


class Mark(NamedTuple):
    """A place inside a text at which its score is parted, mostly the end of a word.

    Attributes:
        n_tokens: number of tokens of the text before the place, at least 1 and fewer than all.
        begins: bytes of ASCII white space. The reply holds the probability that the text ends here, or that a token
            follows which begins with one of these bytes. b"" parts the score and asks for no probability.
    """

    n_tokens: int
    begins: bytes = b""


class WholeText(NamedTuple):
    """A whole text in the ids of one member, for its score.

    Attributes:
        token_ids: the ids of the text under the member.
        end: whether END follows the text.
        marks: the places at which the score is parted, in ascending order.
        greedy_from: index of the first id for which the reply says if each is the most likely one. None asks for no
            such answer.
    """

    token_ids: TokenPath
    end: bool = False
    marks: tuple[Mark, ...] = ()
    greedy_from: int | None = None


class ScoreContinuations(NamedTuple):
    """A command that asks for the scores of whole texts after a prompt.

    The reply's value is a tuple of `WholeScore`, one for each text. A new session ends with the reply. A session that a
    `Prefill` has opened with the same prompt does not read it again, and takes no further command but its `Close`.

    Attributes:
        session: number of a new session, or of one that has read the prompt.
        prompt_ids: the prompt, at least one id.
        texts: the texts to score.
    """

    session: int
    prompt_ids: tuple[int, ...]
    texts: tuple[WholeText, ...]


class DrawText(NamedTuple):
    """A command that draws a whole text from the member's probabilities, in a session that ends with the reply.

    The reply's value is a `DrawnText`.

    Attributes:
        session: number of a new session.
        prompt_ids: the prompt, at least one id.
        budget: most tokens to write, at least 1.
        temperature: divisor of the logits, above 0.
        top_p: only the fewest most likely tokens with this probability in all are drawn.
        seed: the seed of the random numbers.
        stops: stop strings. The text ends as soon as it holds one of them.
    """

    session: int
    prompt_ids: tuple[int, ...]
    budget: int
    temperature: float
    top_p: float
    seed: str
    stops: tuple[str, ...] = ()


class Close(NamedTuple):
    """A command that ends a session with its commands and frees its memory. It has no reply."""

    session: int


Command = Prefill | Propose | ScoreCandidates | WriteAhead | ScoreContinuations | DrawText | Close


class Refusal(NamedTuple):
    """A text that a member generated and could not propose, for example bytes that are no UTF-8.

    Attributes:
        reason: the reason, as in `Rejection.reason`.
        text: the generated text.
        detail: one sentence with the values.
    """

    reason: RejectionReason
    text: str
    detail: str


class Proposal(NamedTuple):
    """A segment that a member would write next.

    Attributes:
        text: the segment, "" for END, None if the member proposes nothing.
        end: whether the proposal is END.
        ids: the generated ids of the segment; () for END.
        refusals: generated texts that were left out because they could not be proposed.
        cut: whether the segment is unfinished because the budget ended.
        whole: whether it ends at a stop of its granularity, for example at the end of a word or a sentence.
    """

    text: str | None
    end: bool
    ids: TokenPath = ()
    refusals: tuple[Refusal, ...] = ()
    cut: bool = False
    whole: bool = False


class WholeScore(NamedTuple):
    """The score of a whole text.

    Attributes:
        logprob: sum of ln p, in nats.
        n_tokens: number of tokens in the sum. END is one more.
        context_cuts: number of cuts of the context at the left.
        parts: sum of ln p of each part between two marks, one more than there are marks. END belongs to the last.
        masses: for each mark ln of the probability that it asks for, nan if it asks for none.
        greedy: whether each id from `greedy_from` on is the most likely one that may be written; False without
            `greedy_from`.
    """

    logprob: float
    n_tokens: int
    context_cuts: int
    parts: tuple[float, ...] = ()
    masses: tuple[float, ...] = ()
    greedy: bool = False


class DrawnText(NamedTuple):
    """A text that was drawn from a member's probabilities.

    Attributes:
        token_ids: the ids of the text. They hold more than the text if a stop string ends inside them.
        end: whether END came after the text.
    """

    token_ids: TokenPath
    end: bool


class Ahead(NamedTuple):
    """The segments that a member would write if all of them won.

    Attributes:
        commits: number of segments that were committed before the first of them.
        texts: the segments.
    """

    commits: int
    texts: tuple[str, ...]


class Usage(NamedTuple):
    """The cost of a session so far, and the start of its context.

    Attributes:
        start: index of the first id of the context in the prompt and the committed ids.
        forward_passes: number of passes of the model with tokens of the session.
        processed_tokens: number of the session's tokens in those passes.
        ahead: the segments that the member has written ahead.
    """

    start: int
    forward_passes: int
    processed_tokens: int
    ahead: Ahead = Ahead(0, ())


Value = tuple[Proposal, ...] | tuple[Score, ...] | tuple[WholeScore, ...] | Score | DrawnText | None


class Reply(NamedTuple):
    """The answer of a worker.

    Attributes:
        member: number of the member.
        session: number of the session.
        value: the value that the command asked for. None for an error, and for a command that asks for no value.
        error: the reason for a missing value, or None.
        usage: the usage of the session, also of one that ends with the reply. None if it was never opened, or is lost.
        background: whether the reply answers a `WriteAhead`.
        last: whether the command has ended.
    """

    member: int
    session: int
    value: Value = None
    error: Exception | None = None
    usage: Usage | None = None
    background: bool = False
    last: bool = True
