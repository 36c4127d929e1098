"""Renders one member's prompt for a conversation by its own template, with parts that have no place in it as text.

Nothing is read from the name of a model. A rendering shows whether a template has a place for a system message, for
tools and for their results. Without a place the template raises, or a text does not appear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from coolfusion._core import Tokenizer
from coolfusion.chat.encoding import controls_of, encoded
from coolfusion.chat.marks import Marker, free_characters, texts_in
from coolfusion.chat.messages import Chat, Message, as_text, folded, with_arguments, without_tools
from coolfusion.chat.template import TemplateRefusal, render
from coolfusion.errors import ArgumentError

KEPT = ("role", "type")  # templates compare them, and their values are checked or part of a schema


class ChatPrompt(NamedTuple):
    """The prompt of one member, for example ids after `<|im_start|>user`.

    Attributes:
        prompt: ids, or a text for a member without a template.
        notes: one sentence for each change to the conversation.
    """

    prompt: str | list[int]
    notes: tuple[str, ...] = ()


class _Form(NamedTuple):
    """A conversation in a form that a template takes, its rendering, and a rendering with other words as contents."""

    messages: list[Message]
    tools: list[Message] | None
    text: str
    bare: str
    notes: tuple[str, ...]


def variables_of(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    tools: Sequence[Message] | None = None,
    *,
    generation: bool = True,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the variables that a template may read.

    Args:
        tokenizer: the tokenizer, which gives `bos_token` and `eos_token`.
        messages: the messages of the conversation.
        tools: their descriptions, or None.
        generation: whether the assistant's turn is opened at the end.
        options: further variables.
    """
    names = {token_id: content for content, token_id in tokenizer.control_tokens.items()}
    roles = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    tokens = {role: names[token_id] for role, token_id in roles.items() if token_id in names}
    return {
        **tokens,
        **(options or {}),
        "messages": list(messages),
        "tools": list(tools) if tools else None,
        "add_generation_prompt": generation,
    }


def chat_prompt(name: str, tokenizer: Tokenizer, chat: Chat) -> ChatPrompt:
    """Returns the prompt of one member.

    Args:
        name: the name of the member, for messages.
        tokenizer: the tokenizer of the member, with its chat templates.
        chat: the conversation.

    Raises:
        ArgumentError: the template refuses the conversation or leaves out a message of it. Or a text spells a control
            token, and the template looks into the text so that the two cannot be told apart.
        MissingPackageError: jinja2 is not installed.

    Complexity: some renderings of the template, and the encoding of the text.
    """
    source = _template(tokenizer, chat)
    if source is None:
        messages = without_tools(chat.messages, chat.tools) if chat.uses_tools else list(chat.messages)
        note = f"member {name} has no chat template; the turns are plain text"
        return ChatPrompt(as_text(messages, continue_final=chat.continue_final), (note,))
    now = datetime.now()
    form = _form(name, tokenizer, chat, source, now)
    return ChatPrompt(_ids(name, tokenizer, chat, source, form, now), form.notes)


def _template(tokenizer: Tokenizer, chat: Chat) -> str | None:
    """Returns the template for a conversation, or None where there is none."""
    templates = tokenizer.chat_templates
    if chat.uses_tools and "tool_use" in templates:
        return templates["tool_use"]
    return templates.get("default") or next(iter(templates.values()), None)


def _form(name: str, tokenizer: Tokenizer, chat: Chat, source: str, now: datetime) -> _Form:
    """Returns the first form of a conversation that a template takes and writes in full."""
    given = list(chat.messages)
    if "developer" not in source:
        given = [{**each, "role": "system"} if each["role"] == "developer" else each for each in given]
    refusal = None
    for plain in (False, True) if chat.uses_tools else (False,):
        tools = list(chat.tools) if chat.tools and not plain else None
        messages = without_tools(given, chat.tools) if plain else given
        for fold in (False, True) if any(each["role"] == "system" for each in messages) else (False,):
            for as_json in (False, True) if any(each.get("tool_calls") for each in messages) else (False,):
                shown = with_arguments(folded(messages) if fold else messages, as_text=as_json)
                options = {"generation": not chat.continue_final, "options": chat.options}

                def rendered(texts: Sequence[Message], tools: Any = tools, options: Any = options) -> str:
                    return render(source, variables_of(tokenizer, texts, tools, **options), now)

                try:
                    text = rendered(shown)
                    bare, missing = _missing(shown, tools, text, rendered)
                except TemplateRefusal as err:
                    missing = str(err)
                if not missing:
                    return _Form(shown, tools, text, bare, _notes(name, plain=plain, fold=fold))
                refusal = refusal or missing
    raise ArgumentError(f"the chat template of member {name} does not take the messages: {refusal}")


def _notes(name: str, *, plain: bool, fold: bool) -> tuple[str, ...]:
    found = []
    if plain:
        found.append(f"the chat template of member {name} has no place for tools; they are text")
    if fold:
        place = "its text stands before the first user message"
        found.append(f"the chat template of member {name} has no place for a system message; {place}")
    return tuple(found)


def _missing(
    messages: Sequence[Message],
    tools: Sequence[Message] | None,
    text: str,
    rendered: Callable[[Sequence[Message]], str],
) -> tuple[str, str]:
    """Returns a rendering with other words as contents, and the part of a conversation that it leaves out, "" for none.

    Contents are replaced by words that stand nowhere else. A template that takes no such words is asked for the
    contents themselves.
    """
    filled = [at for at, each in enumerate(messages) if (each["content"] or "").strip()]
    words = {at: f"content{at}of{len(messages)}zq" for at in filled}
    probe = [{**each, "content": words.get(at, each["content"])} for at, each in enumerate(messages)]
    try:
        bare = rendered(probe)
    except TemplateRefusal:
        words, bare = {at: messages[at]["content"].strip() for at in filled}, text
    for at, word in words.items():
        if word not in bare:
            return bare, f"it leaves out message {at} of the role {messages[at]['role']!r}"
    for at, tool in enumerate(tools or ()):
        name = _name_of(tool)
        if name is not None and name not in text:
            return bare, f"it leaves out tool {at}, {name!r}"
    names = [_name_of(call) for each in messages for call in each.get("tool_calls") or ()]
    absent = [each for each in names if each is not None and each not in text]
    return bare, f"it leaves out a call of {absent[0]!r}" if absent else ""


def _name_of(tool: Message) -> str | None:
    """Returns the name of a tool or of a call of one."""
    inner = tool.get("function")
    name = inner.get("name") if isinstance(inner, dict) else tool.get("name")
    return name if isinstance(name, str) else None


def _ids(name: str, tokenizer: Tokenizer, chat: Chat, source: str, form: _Form, now: datetime) -> list[int]:
    """Returns the ids of a conversation, in which no text of it becomes a control token."""
    callers = [*texts_in(form.messages), *texts_in(form.tools), *texts_in(chat.options)]
    free = free_characters(3, source, *callers)
    if len(free) < 3:
        raise ArgumentError("the messages hold nearly all noncharacters U+FDD0 to U+FDEF; expected texts without them")
    guard, cut, end = free
    controls = controls_of(tokenizer)
    structure = source + form.bare
    written = [each for each in controls.texts if each.strip() and len(each) > 1 and each in structure]
    marker = Marker(list(controls.ids), written, guard, cut)
    messages = [marker.marked_value(each, cuts=each["role"] != "assistant", kept=KEPT) for each in form.messages]
    tools = marker.marked_value(form.tools)
    # The names of variables are the template's.
    options = {option: marker.marked_value(value) for option, value in chat.options.items()}
    rest = ""
    if chat.continue_final:
        last = messages[-1]["content"]
        rest = last[len(last.rstrip()) :]
        messages[-1]["content"] = last.rstrip() + end + rest
    marks = str.maketrans(dict.fromkeys(free, ""))
    text = form.text
    if (messages, tools, options) != (form.messages, form.tools, dict(chat.options)):
        found = variables_of(tokenizer, messages, tools, generation=not chat.continue_final, options=options)
        try:
            text = render(source, found, now)
        except TemplateRefusal as err:
            raise ArgumentError(_unclear(name, str(err))) from err
        if text.translate(marks) != form.text:
            raise ArgumentError(_unclear(name, "it writes the messages otherwise if they are marked"))
    if chat.continue_final:
        if text.count(end) != 1:
            raise ArgumentError(f"the chat template of member {name} writes the last message {text.count(end)} times")
        text = text[: text.index(end)] + rest
    return encoded(tokenizer, text, guard, cut)


def _unclear(name: str, why: str) -> str:
    what = "a control token that a message spells, or the end of the last message, cannot be told from the template's"
    return f"the chat template of member {name} looks into the texts: {what} ({why})"
