"""A text as every member of a pool reads it after a prompt, parted at the common cuts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.errors import UnrepresentableTextError
from coolfusion.evaluation.words import common_cuts
from coolfusion.members.commands import Mark, WholeText
from coolfusion.members.member import Member, Prompt

__all__ = ["Reading", "read"]


class Reading(NamedTuple):
    """A text under all members.

    Attributes:
        edges: (T + 1,) byte positions of the ends of its words, 0 and the length of the text included.
        prompts: (M,) the ids that stand before the scored ones.
        texts: (M,) the scored ids with their marks.
        with_prompt: (M,) whether the first scored part is the prompt's.
    """

    edges: tuple[int, ...]
    prompts: tuple[tuple[int, ...], ...]
    texts: tuple[WholeText, ...]
    with_prompt: tuple[bool, ...]


def read(
    members: Sequence[Member], prompts: Sequence[Prompt], text: str, *, score_prompt: bool, greedy: bool
) -> Reading:
    """Returns a text as all members read it after their prompts.

    The ids after a prompt are canonical for prompt and text together. Where these would rewrite the prompt's last
    tokens, the text is encoded alone.

    Args:
        members: the members.
        prompts: (M,) a text or ids for each.
        text: the text to score, not "".
        score_prompt: whether the prompt is scored too, its first id and the prefix apart.
        greedy: whether to ask if each id of the text is the most likely one.

    Raises:
        UnrepresentableTextError: a member cannot represent the text, or a token of it has no row in the model.
        EmptyPromptError: a member has nothing to start from.

    Complexity: as `common_cuts`, and one encoding by each member.
    """
    data = text.encode()
    encoded = [_encode(member, prompt, text) for member, prompt in zip(members, prompts, strict=True)]
    cuts = common_cuts([member.tokenizer for member in members], [each.before for each in encoded], data)
    # A text that was encoded alone may have other tokens than the certificate speaks of; a cut inside one is none.
    cuts = [cut for cut in cuts if all(cut.position in each.n_tokens for each in encoded)]
    heads, texts, with_prompt = [], [], []
    for member, each in zip(members, encoded, strict=True):
        head = max(1, len(member.prefix_ids)) if score_prompt else len(each.prompt_ids)
        scored = each.prompt_ids[head:]
        marks = [Mark(len(scored))] if scored else []
        marks += [Mark(len(scored) + each.n_tokens[cut.position], cut.followers) for cut in cuts]
        heads.append(each.prompt_ids[:head])
        texts.append(WholeText((*scored, *each.ids), marks=tuple(marks), greedy_from=len(scored) if greedy else None))
        with_prompt.append(bool(scored))
    edges = (0, *(cut.position for cut in cuts), len(data))
    return Reading(edges, tuple(heads), tuple(texts), tuple(with_prompt))


class _Encoded(NamedTuple):
    """A text under one member: the prompt in ids and in bytes, the text's ids, and tokens by the bytes before them."""

    prompt_ids: tuple[int, ...]
    before: bytes
    ids: tuple[int, ...]
    n_tokens: dict[int, int]


def _encode(member: Member, prompt: Prompt, text: str) -> _Encoded:
    tokenizer, prompt_ids = member.tokenizer, tuple(member.prompt_ids(prompt))
    encoder = member.encoder(prompt)
    before, edit = encoder.text.encode(), encoder.peek(text)
    ids, lossless = edit.ids, edit.lossless
    if edit.drop:
        before, ids = b"", tokenizer.encode(text, continues=True)
        lossless = tokenizer.represents(text, continues=True)
    if not lossless:
        raise UnrepresentableTextError(f"member {member.name} cannot say {text!r:.80}: its tokens have other bytes")
    size = member.runner.logits_size
    if any(token_id >= size for token_id in ids):
        raise UnrepresentableTextError(f"member {member.name} has no row for a token of {text!r:.80}, it has {size}")
    return _Encoded(prompt_ids, before, tuple(ids), _places(tokenizer, ids, text.encode()))


def _places(tokenizer: Tokenizer, ids: Sequence[int], data: bytes) -> dict[int, int]:
    """Returns the number of tokens that end at each byte; only the whole where the tokens' bytes are not the text.

    The first token of a text may hold a space that decoding takes away (the dummy prefix). Tokens of some vocabularies
    hold the space after a word (CLIP), which is no part of the text at its end.
    """
    pieces = [tokenizer.token_bytes(token_id) for token_id in ids]
    spelled = b"".join(pieces)
    if spelled not in (data, b" " + data):
        return {len(data): len(ids)}
    extra = len(spelled) - len(data)
    return {end - extra: n for n, end in enumerate(accumulate(map(len, pieces)), 1)}
