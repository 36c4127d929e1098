"""Rerank: the paper's Cool+R. Every member also writes alone, and all judge all k + 1 whole continuations.

The rule is the one of the steps, by default the mean over members of the perplexity, over the whole continuation.
Ids under a member: the author's own where they say exactly the text, the committed ones for the fused text, canonical
ids otherwise. A continuation that its author ended carries END as one more event, so that stopping in the middle of
a sentence has its price; one that was cut (budget, stop string) does not. Ties go to the bytewise smaller text, then
to the fused one. Definitions: docs/design.md, "rerank".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coolfusion.errors import CoolFusionError, UnrepresentableTextError
from coolfusion.fusion import Fusion
from coolfusion.generation import Generation
from coolfusion.member import MemberState
from coolfusion.records import Author, Continuation, MemberOutput, Output, Rejection, Score
from coolfusion.scoring import total
from coolfusion.selection import select


def rerank(generation: Generation) -> Output:
    """Let each member write alone under the same prompt, budget and stop strings, and choose among all.

    Args:
        generation: a finished generation; its fusion's models are used and hold another context afterwards.

    Returns:
        the fused output with the chosen text, its finish reason and author, and all continuations. If none can be
        judged, the fused text stays. `steps` and `members` remain those of the fused text.

    Raises:
        CoolFusionError: a member cannot write alone; `partial` is the fused output.

    Complexity: k plain greedy generations and (k + 1) * k scoring passes over prompt and continuation.
    """
    fused = generation.output
    try:
        alone = [_write_alone(generation, number) for number in range(len(generation.states))]
        authors: list[tuple[Author, Output]] = [("fusion", fused), *enumerate(alone)]
        judged = [_judge(generation, author, written) for author, written in authors]
        best, judged = _choose(generation, judged)
    except CoolFusionError as err:
        err.partial = fused
        raise
    return replace(
        fused,
        text=best.text,
        finish_reason=best.finish_reason,
        author=best.author,
        continuations=tuple(judged),
    )


def _choose(generation: Generation, judged: list[Continuation]) -> tuple[Continuation, list[Continuation]]:
    """The best continuation, and all with their values; the fused one if none could be scored."""
    open_ones = [n for n, each in enumerate(judged) if each.rejected is None]
    if not open_ones:
        return judged[0], judged
    names = [state.member.name for state in generation.states]
    texts, scores = [judged[n].text for n in open_ones], [judged[n].scores for n in open_ones]
    winner, values, _ = select(texts, scores, generation.fusion.rule, names)
    for n, value in zip(open_ones, values, strict=True):
        judged[n] = replace(judged[n], value=value)
    return judged[open_ones[winner]], judged


def _write_alone(generation: Generation, number: int) -> Output:
    """One member's greedy continuation: a fusion of this member alone."""
    fusion = generation.fusion
    solo = Fusion([fusion.members[number]], alignment=fusion.alignment, rule=fusion.rule, schedule=fusion.schedule)
    written = solo.stream([generation.prompts[number]], generation.max_new_tokens, stop_strings=generation.stops)
    for _ in written:
        pass
    return written.output


def _judge(generation: Generation, author: Author, written: Output) -> Continuation:
    """Score one whole continuation under all members."""
    scores: list[Score] = []
    cuts: list[int] = []
    reason = written.finish_reason or "length"
    if not written.text and reason != "end":
        refusal = Rejection("", (), 0, "empty", "nothing was written, and nothing says that it ends here")
        return Continuation(author, "", reason, rejected=refusal)
    for state in generation.states:
        own = _own_ids(state, author, written.members)
        ids = _ids_under(state, author, written.text, own)
        if isinstance(ids, Rejection):
            return Continuation(author, written.text, reason, rejected=ids)
        score, n_cuts = _score_whole(state, ids, written.text, ended=reason == "end")
        scores.append(score)
        cuts.append(n_cuts)
    return Continuation(author, written.text, reason, tuple(scores), context_cuts=tuple(cuts))


def _own_ids(state: MemberState, author: Author, members: Sequence[MemberOutput]) -> list[int] | None:
    """The ids that this member wrote or committed of the continuation, if it took part in it."""
    if author == "fusion":
        return members[state.number].token_ids
    return members[0].token_ids if author == state.number else None


def _ids_under(state: MemberState, author: Author, text: str, own: list[int] | None) -> list[int] | Rejection:
    """The ids of a continuation under a member.

    Its own ids hold more than the text where a stop string cut it; then, as for other members' texts, the canonical
    ids behind the prompt count, or those of the text by itself if the prompt's last tokens would be rewritten.
    """
    tokenizer = state.member.tokenizer
    if own is not None and b"".join(tokenizer.token_bytes(i) for i in own) == text.encode():
        return own
    if not text:
        return []
    edit = state.member.encoder(state.prompt).peek(text)
    ids, why = list(edit.ids), "" if edit.lossless else f"its tokenizer cannot say {text!r}"
    if edit.drop:
        try:
            ids, why = tokenizer.encode(text, continues=True, errors="strict"), ""
        except UnrepresentableTextError as err:
            why = str(err)
    if any(i >= state.member.model.n_rows for i in ids):
        why = "a token has no row in the model"
    if why and author == "fusion" and own:
        return own
    return state.reject("lossy", text, (), why) if why else ids


def _score_whole(state: MemberState, ids: Sequence[int], text: str, *, ended: bool) -> tuple[Score, int]:
    """The score of a whole continuation behind the prompt, and how often the context was cut for it.

    Where the limit is reached the newest half of it is kept as context, as in a generation.
    """
    model = state.member.model
    everything = [*state.ids[: state.n_prompt], *ids]
    limit = len(everything) if model.limit is None else model.limit
    at, start, cuts = state.n_prompt, 0, 0
    logprobs: list[float] = []
    while True:
        if at - start > limit or (at - start == limit and at < len(everything)):
            start, cuts = at - max(1, limit // 2), cuts + 1
        model.prefill(everything[start:at])
        block = everything[at : start + limit]
        logprobs.extend(model.score(block))
        at += len(block)
        if at == len(everything):
            break
    if ended:
        model.extend(block)
        logprobs.append(model.next_logprob(model.end_ids))
    return Score(total(logprobs), len(logprobs), len(text.encode())), cuts
