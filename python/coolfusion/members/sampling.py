"""Tokens and whole texts that one member draws from its own probabilities."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

from coolfusion._core import StreamDecoder
from coolfusion.errors import ModelError
from coolfusion.members.commands import Dice, DrawnText, DrawText
from coolfusion.members.endings import Ending
from coolfusion.members.member import Member
from coolfusion.members.session import ForwardRequest, Session, Task
from coolfusion.models.base import Context, TokenPath
from coolfusion.models.numerics import logsumexp, n_kept, random_number


def draw_text(member: Member, context: Context, command: DrawText) -> Task[DrawnText]:
    """Draws a text token by token until END, a stop string or the budget ends it.

    The draws depend on the seed and on the member's probabilities alone, one random number a token. If the context
    grows over the model's limit, its newest half is kept, as in a generation.

    Complexity: a pass for each token, shared with all texts that wait, and O(V log V) for the draw.
    """
    limit, kept = member.runner.max_model_len, member.kept_after_cut
    everything, start, ids = list(command.prompt_ids), 0, list[int]()
    if limit is not None and kept is not None and len(everything) > limit:
        start = len(everything) - kept
    yield ForwardRequest(context, (), everything[start:])
    decoder, dice = StreamDecoder(member.tokenizer, everything), random.Random(command.seed)
    longest, tail = max(map(len, command.stops), default=0), ""
    ends, barred = set(member.runner.eos_token_ids), set(member.suppress_tokens)
    while len(ids) < command.budget:
        token_id = draw(context.next_logits(()), barred, command.temperature, command.top_p, dice.random())
        if token_id is None:
            raise ModelError(f"member {member.name}: its logits after {len(everything)} tokens are no distribution")
        if token_id in ends:
            return DrawnText(tuple(ids), True)
        ids.append(token_id)
        everything.append(token_id)
        tail += decoder.push(token_id)
        if any(stop in tail for stop in command.stops) or len(ids) == command.budget:
            break
        tail = tail[max(0, len(tail) - longest) :]
        if limit is not None and kept is not None and len(everything) - start > limit:
            start = len(everything) - kept
            yield ForwardRequest(context, (), everything[start:])
        else:
            context.commit((token_id,))
            yield ForwardRequest(context, ((),))
    return DrawnText(tuple(ids), False)


def draw(
    logits: Sequence[float],
    barred: Collection[int],
    temperature: float,
    top_p: float,
    number: float,
    min_p: float = 0.0,
) -> int | None:
    """Returns the id at which the cumulated probability passes a number, or None for logits of no distribution.

    Ids are in the order of falling probability, then of their numbers, so the order of a sum is always the same.

    Args:
        logits: (V,) the logits of the model.
        barred: ids that are never written, so that their probability goes to the others.
        temperature: divisor of the logits, above 0.
        top_p: only the fewest most likely ids with this probability in all count.
        number: a random number, at least 0 and below 1.
        min_p: only ids that are at least so likely, as a share of the most likely one, count.

    Complexity: O(V log V).

    Example:
        >>> [draw([0.0, math.log(3.0), 0.0], {2}, 1.0, 1.0, number) for number in (0.0, 0.74, 0.76)]
        [1, 1, 0]
    """
    if not math.isfinite(logsumexp(logits)):
        return None
    allowed = [i for i, logit in enumerate(logits) if i not in barred and logit > -math.inf]
    if not allowed:
        return None
    top = max(logits[i] for i in allowed)
    masses = {i: math.exp((logits[i] - top) / temperature) for i in allowed}
    order = sorted(allowed, key=lambda i: (-masses[i], i))
    falling = [masses[i] for i in order]
    kept = n_kept(falling, math.fsum(falling), top_p, min_p)
    sums = list(accumulate(falling[:kept]))
    at = bisect_right(sums, number * sums[-1])
    return order[min(at, kept - 1)]


def draw_next(session: Session, path: TokenPath, dice: Dice, at: int, *, ending: Ending = "") -> int | None:
    """Returns the token that a member draws after a computed path, or None for logits of no distribution.

    A token that may not follow the ending is drawn again, from those that may. So the result has the probabilities of
    these tokens given that one of them comes. A token that may follow is the same with and without the ending.

    Args:
        session: the text under the member.
        path: the tokens that were drawn before.
        dice: the random numbers and filters.
        at: number of tokens of the segment that were drawn before.
        ending: the ending that the token has to follow, or "".
    """
    member = session.member
    key = (dice.seed, member.name, dice.origin, dice.offset + at)
    token_id = _drawn(session, path, member.suppress_tokens, dice, random_number(*key))
    if token_id is None or member.may_follow(token_id, ending):
        return token_id
    barred = set(range(member.runner.logits_size)).difference(member.ids_after(ending))
    return _drawn(session, path, barred, dice, random_number(*key, "again"))


def _drawn(session: Session, path: TokenPath, barred: Collection[int], dice: Dice, number: float) -> int | None:
    """Draws on the device of the logits if the context can, or else from a list of the logits."""
    context, filters = session.context, (dice.temperature, dice.top_p, number, dice.min_p)
    on_device = getattr(context, "draw", None)
    if on_device is not None:
        found: int | None = on_device(path, sorted(barred), *filters)
        return found
    return draw(context.next_logits(path), frozenset(barred), *filters)
