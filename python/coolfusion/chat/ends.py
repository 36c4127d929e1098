"""The control token with which a chat template ends the assistant's turn, and which so ends a member's text."""

from __future__ import annotations

from coolfusion._core import Tokenizer
from coolfusion.chat.encoding import controls_of
from coolfusion.chat.rendering import variables_of
from coolfusion.chat.template import TemplateRefusal, render
from coolfusion.errors import MissingPackageError

_ANSWER = "coolfusion-answer"


def chat_end_ids(tokenizer: Tokenizer) -> set[int]:
    """Returns the control tokens, or added tokens that are text, right after an assistant's words in chat templates.

    White space may stand between. For example, `<|im_end|>` is such a token in many templates. Templates have to be
    searched because model files do not always list the token among the END ids. A member could then never end its
    turn. Without jinja2 no tokens are found.

    Args:
        tokenizer: the tokenizer, with its chat templates.
    """
    found: set[int] = set()
    controls = controls_of(tokenizer) if tokenizer.chat_templates else None
    if controls is None:
        return found
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _ANSWER}]
    for source in tokenizer.chat_templates.values():
        for messages in ([*turns, {"role": "user", "content": "b"}], turns):
            try:
                text = render(source, variables_of(tokenizer, messages, generation=False))
            except (TemplateRefusal, MissingPackageError):
                continue
            after = text.partition(_ANSWER)[2].lstrip()
            ends = {**controls.texts, **controls.ids}
            content = max((each for each in ends if each.strip() and after.startswith(each)), key=len, default=None)
            if content is not None:
                found.add(ends[content])
                break
    return found
