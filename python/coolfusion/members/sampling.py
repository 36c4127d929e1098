"""A whole text that one member draws from its own probabilities."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from coolfusion._core import StreamDecoder
from coolfusion.errors import ModelError
from coolfusion.members.commands import DrawnText, DrawText
from coolfusion.members.member import Member
from coolfusion.members.session import ForwardRequest, Task
from coolfusion.models.base import Context
from coolfusion.models.numerics import logsumexp


def draw_text(member: Member, context: Context, command: DrawText) -> Task[DrawnText]:
    """Draws a text token by token until END, a stop string or the budget ends it.

    The draws depend on the seed and on the member's probabilities alone, one random number a token. If the context
    grows over the model's limit, its newest half is kept, as in a generation.

    Complexity: a pass for each token, shared with all texts that wait; O(V log V) beside it.
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


def draw(logits: Sequence[float], barred: set[int], temperature: float, top_p: float, number: float) -> int | None:
    """Returns the id at which the cumulated probability passes a number; None where there is no distribution.

    Ids are in the order of falling probability, then of their numbers, so the order of a sum is always the same.

    Args:
        logits: (V,) of the model.
        barred: ids that are never written; their probability goes to the others.
        temperature: above 0.
        top_p: only the fewest most likely ids with this probability in all count.
        number: from 0 on and below 1.

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
    whole, kept, nucleus = math.fsum(masses.values()), 0.0, list[int]()
    for token_id in order:
        nucleus.append(token_id)
        kept += masses[token_id]
        if kept >= top_p * whole:
            break
    wanted, sofar = number * kept, 0.0
    for token_id in nucleus:
        sofar += masses[token_id]
        if wanted < sofar:
            return token_id
    return nucleus[-1]
