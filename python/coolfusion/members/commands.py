"""Commands to a member's worker, and its replies: plain values that pickle.

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
    """A segment that won.

    Attributes:
        token_ids: the segment in the member's ids.
        text: the segment, for the segmenter.
        ending: what the next segment has to follow, if this one owns the boundary after it; "" if it does not.
    """

    token_ids: TokenPath
    text: str
    ending: Ending = ""


class Prefill(NamedTuple):
    """Opens a session and reads its prompt.

    Attributes:
        session: the new session.
        token_ids: the prompt, at least one id; ids above the model's limit are left out at the left.
        align_with: numbers of the members whose word boundaries end the session's segments too.
        score: whether the reply's value is the `Score` of the prompt, its first id and control tokens apart.
        granularity: the unit of text that one segment is.
        ending: what the first segment has to follow, if the prompt owns the boundary after it; "" if it does not.
        optional_prefix: how many ids at the start of the prompt are left out if it is likelier without them.
    """

    session: int
    token_ids: tuple[int, ...]
    align_with: tuple[int, ...] = ()
    score: bool = False
    granularity: Granularity = "word"
    ending: Ending = ""
    optional_prefix: int = 0


class Dice(NamedTuple):
    """How a segment is drawn instead of being the most likely one.

    Attributes:
        seed: of the text.
        origin: step in which the member's present stream of numbers begins.
        offset: how many numbers of the stream are used up.
        temperature: logits are divided by it; above 0.
        top_p: only the fewest most likely tokens with this probability in all are drawn.
        min_p: only tokens are drawn that are at least so likely, as a share of the most likely one.
    """

    seed: int
    origin: int
    offset: int
    temperature: float
    top_p: float = 1.0
    min_p: float = 0.0


class Propose(NamedTuple):
    """Asks for the next segment. The reply's value is a tuple of `Proposal`, the member's own greedy one first.

    Attributes:
        session: the session.
        commits: the segments that won since the last command.
        budget: most tokens to write, at least 1.
        drafts: paths that are read along with the first pass: another member's segments, whole and the first alone.
        ahead: how many segments to write in all, as long as no draft of the member is left; 0 writes none ahead.
        alternatives: how many further segments to write, each after one of the next most likely first tokens.
        dice: how the segment is drawn; None writes the most likely one. Nothing is written ahead or beside it then.
    """

    session: int
    commits: tuple[Commit, ...] = ()
    budget: int = 1
    drafts: tuple[TokenPath, ...] = ()
    ahead: int = 0
    alternatives: int = 0
    dice: Dice | None = None


class ScoredPath(NamedTuple):
    """A candidate as one member reads it.

    Attributes:
        token_ids: its ids under the member; () for END.
        end: whether it is END.
        n_bytes: UTF-8 bytes of its text.
        ending: what may follow it, if the probability of that is to be measured.
    """

    token_ids: TokenPath
    end: bool
    n_bytes: int
    ending: Ending = ""


class ScoreCandidates(NamedTuple):
    """Asks for the scores of all candidates of a step. The reply's value is a tuple of `Score`, one per candidate.

    Attributes:
        session: the session.
        commits: the segments that won since the last command.
        candidates: what is scored.
        boundary_mass: whether to measure the probabilities that each candidate ends where it does, and that a segment
            starts where the candidates do.
    """

    session: int
    commits: tuple[Commit, ...]
    candidates: tuple[ScoredPath, ...]
    boundary_mass: bool = False


class WriteAhead(NamedTuple):
    """Writes further segments as if each of them won, while nothing else is asked of the member.

    A reply without a value, but with the segments in `Usage.ahead`, follows each segment. The next command for the
    session ends it.

    Attributes:
        session: the session.
        commits: the segments that won since the last command.
        budget: most tokens to write.
        words: how many segments to write.
    """

    session: int
    commits: tuple[Commit, ...]
    budget: int
    words: int


class Mark(NamedTuple):
    """A place inside a text where its score is parted, mostly the end of a word.

    Attributes:
        n_tokens: tokens of the text before it, at least 1 and fewer than all.
        begins: ASCII white space; the reply tells the probability that the text ends here, or that a token follows
            which begins with one of these bytes. b"" parts the score and asks for no probability.
    """

    n_tokens: int
    begins: bytes = b""


class WholeText(NamedTuple):
    """A whole text as one member reads it.

    Attributes:
        token_ids: its ids under the member.
        end: whether END follows it.
        marks: where the score is parted, in ascending order.
        greedy_from: the id from which on to tell if each one is the most likely; None asks for nothing.
    """

    token_ids: TokenPath
    end: bool = False
    marks: tuple[Mark, ...] = ()
    greedy_from: int | None = None


class ScoreContinuations(NamedTuple):
    """Asks for the scores of whole texts after a prompt. The reply's value is a tuple of `WholeScore`, one per text.

    A new session ends with the reply. One that a `Prefill` has opened with the same prompt does not read it again, and
    is asked for nothing more before its `Close`.

    Attributes:
        session: a new session, or one that has read the prompt.
        prompt_ids: the prompt, at least one id.
        texts: what is scored.
    """

    session: int
    prompt_ids: tuple[int, ...]
    texts: tuple[WholeText, ...]


class DrawText(NamedTuple):
    """Asks for a whole text that is drawn from the member's probabilities, in a session that ends with the reply.

    The reply's value is a `DrawnText`.

    Attributes:
        session: a new session.
        prompt_ids: the prompt, at least one id.
        budget: most tokens to write, at least 1.
        temperature: logits are divided by it; above 0.
        top_p: only the fewest most likely tokens with this probability in all are drawn.
        seed: of the random numbers.
        stops: the text ends as soon as it holds one of them.
    """

    session: int
    prompt_ids: tuple[int, ...]
    budget: int
    temperature: float
    top_p: float
    seed: str
    stops: tuple[str, ...] = ()


class Close(NamedTuple):
    """Ends a session with its commands, and frees its memory. It has no reply."""

    session: int


Command = Prefill | Propose | ScoreCandidates | WriteAhead | ScoreContinuations | DrawText | Close


class Refusal(NamedTuple):
    """Text that a member generated and could not propose.

    Attributes:
        reason: why, as in `Rejection.reason`.
        text: what was generated.
        detail: one sentence with the values.
    """

    reason: RejectionReason
    text: str
    detail: str


class Proposal(NamedTuple):
    """A segment that a member would write next.

    Attributes:
        text: the segment, "" for END, None if the member proposes nothing.
        end: whether it is END.
        ids: the generated ids of the segment; () for END.
        refusals: what the member generated that has no text and was therefore left out.
        cut: whether it is unfinished because the budget ended; the segment would be longer.
        whole: whether it ends where its granularity wants it: a word ends after it, or a sentence.
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
        n_tokens: number of tokens in the sum; END is one more.
        context_cuts: how often the context was cut at the left.
        parts: sum of ln p of each part between two marks, one more than there are marks; END belongs to the last.
        masses: for each mark ln of the probability that it asks for, nan where it asks for none.
        greedy: whether each id from `greedy_from` on is the most likely one that may be written; False where that was
            not asked for.
    """

    logprob: float
    n_tokens: int
    context_cuts: int
    parts: tuple[float, ...] = ()
    masses: tuple[float, ...] = ()
    greedy: bool = False


class DrawnText(NamedTuple):
    """A text that was drawn.

    Attributes:
        token_ids: its ids; they hold more than the text where a stop string ends inside them.
        end: whether END came after it.
    """

    token_ids: TokenPath
    end: bool


class Ahead(NamedTuple):
    """The segments that a member would write if all of them won.

    Attributes:
        commits: how many segments were committed before the first of them.
        texts: the segments.
    """

    commits: int
    texts: tuple[str, ...]


class Usage(NamedTuple):
    """The cost of a session so far, and the start of its context.

    Attributes:
        start: the context is ids[start:] of the prompt and the committed ids.
        forward_passes: passes of the model in which the session had a part.
        processed_tokens: the session's tokens that went through them.
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
        session: the session.
        value: what the command asked for; None for an error, and where nothing was asked for.
        error: why there is no value, or None.
        usage: of the session, also of one that ends with the reply; None where it was never opened, or is lost.
        background: whether it answers a `WriteAhead`.
        last: whether the command has ended.
    """

    member: int
    session: int
    value: Value = None
    error: Exception | None = None
    usage: Usage | None = None
    background: bool = False
    last: bool = True
