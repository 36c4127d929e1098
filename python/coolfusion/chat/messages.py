"""Checks the messages and tools of callers, and writes them as text where a template lacks a place for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coolfusion.errors import ArgumentError

Message = dict[str, Any]
_ROLE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_TOOLS = (
    "You can call these tools, one JSON object a line:\n{tools}\n"
    'To call one, answer with a JSON object and nothing else: {{"name": NAME, "arguments": {{...}}}}'
)


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation that was checked.

    Attributes:
        messages: each with a `role`; `content` is a text, or None where tools are called.
        tools: descriptions of tools in OpenAI's form.
        continue_final: whether the last message, which is the assistant's, is continued.
        options: further variables of the templates, for example `enable_thinking`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Message, ...] = ()
    continue_final: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Chat({len(self.messages)} messages, {len(self.tools)} tools)"

    @property
    def uses_tools(self) -> bool:
        """Returns whether tools are described, called or answered in the conversation."""
        return bool(self.tools) or any(each["role"] == "tool" or each.get("tool_calls") for each in self.messages)


def as_messages(given: Any, *, continue_final: bool = False, where: str = "messages") -> tuple[Message, ...]:
    """Returns the messages of a conversation; parts of type text are joined by line breaks.

    Args:
        given: a list of objects with `role` and `content`, as OpenAI's clients send it.
        continue_final: whether the last one is to be continued.
        where: the path of the conversation, for errors.

    Raises:
        ArgumentError: the value is no conversation; the message names the path.

    Example:
        >>> as_messages([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
        ({'role': 'user', 'content': 'Hi'},)
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not given:
        raise ArgumentError(f"{where} is {given!r:.60}; expected a list of at least one message")
    found = tuple(_message(each, f"{where}[{at}]") for at, each in enumerate(given))
    if continue_final and (found[-1]["role"] != "assistant" or not isinstance(found[-1]["content"], str)):
        raise ArgumentError(f"continue_final needs an assistant's text as the last message, not {found[-1]!r:.60}")
    return found


def as_chats(given: Any) -> list[Any] | None:
    """Returns the conversations in a list of them, or None for one conversation or a value that is no list.

    Args:
        given: messages, or a list of such lists.

    Example:
        >>> as_chats([{"role": "user", "content": "Hi"}]) is None
        True
    """
    many = isinstance(given, list) and bool(given) and all(isinstance(each, list | tuple) for each in given)
    return list(given) if many else None


def as_tools(given: Any) -> tuple[Message, ...]:
    """Returns descriptions of tools as plain objects; None stands for no tools.

    Args:
        given: a list of objects, or None.

    Raises:
        ArgumentError: the value is neither.
    """
    if given is None:
        return ()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise ArgumentError(f"tools is {given!r:.60}; expected a list of objects")
    found = tuple(_plain(each, f"tools[{at}]") for at, each in enumerate(given))
    for at, each in enumerate(found):
        if not isinstance(each, dict):
            raise ArgumentError(f"tools[{at}] is {each!r:.60}; expected an object")
    return found


def as_options(given: Any) -> dict[str, Any]:
    """Returns variables of templates as plain values.

    Args:
        given: an object, or None for none.

    Raises:
        ArgumentError: the value is neither, or a variable has a name that the messages have.
    """
    if given is None:
        return {}
    found = _plain(given, "template_options")
    if not isinstance(found, dict):
        raise ArgumentError(f"template_options is {given!r:.60}; expected an object")
    taken = sorted({"messages", "tools", "add_generation_prompt"}.intersection(found))
    if taken:
        raise ArgumentError(f"template_options.{taken[0]} is set by the request; expected other names")
    return found


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{where} is {given!r:.60}; expected an object with `role` and `content`")
    found: Message = _plain(given, where)
    role = found.get("role")
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise ArgumentError(f"{where}.role is {role!r:.60}; expected a name such as 'user'")
    calls = found.get("tool_calls")
    if calls is not None and (not isinstance(calls, list) or not all(isinstance(each, dict) for each in calls)):
        raise ArgumentError(f"{where}.tool_calls is {calls!r:.60}; expected a list of objects")
    if not calls:
        found.pop("tool_calls", None)
    found["content"] = _content(found.get("content"), f"{where}.content", may_be_none=bool(calls))
    return found


def _content(given: Any, where: str, *, may_be_none: bool) -> str | None:
    if isinstance(given, str) or (given is None and may_be_none):
        return given
    if not isinstance(given, list):
        raise ArgumentError(f"{where} is {given!r:.60}; expected a text, or a list of parts of type text")
    texts = []
    for at, part in enumerate(given):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ArgumentError(f'{where}[{at}] is {part!r:.60}; expected {{"type": "text", "text": ...}}')
        texts.append(part["text"])
    return "\n".join(texts)


def _plain(value: Any, where: str) -> Any:
    """Returns a copy made of values that JSON knows."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise ArgumentError(f"{where} has a name that is no text; expected an object as JSON has it")
        return {name: _plain(each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{at}]") for at, each in enumerate(value)]
    raise ArgumentError(f"{where} is {value!r:.60} of type {type(value).__name__}; expected a value as JSON has it")


# Forms of a conversation for templates that lack a place for one of its parts.


def folded(messages: Sequence[Message]) -> list[Message]:
    """Returns the messages with the text of all system messages before that of the first user message.

    Args:
        messages: the messages of a conversation.
    """
    texts = [each["content"] for each in messages if each["role"] == "system" and each["content"]]
    rest = [dict(each) for each in messages if each["role"] != "system"]
    first = next((each for each in rest if each["role"] == "user"), None)
    if first is None:
        first = {"role": "user", "content": ""}
        rest.insert(0, first)
    first["content"] = "\n\n".join(filter(None, [*texts, first["content"]]))
    return rest


def without_tools(messages: Sequence[Message], tools: Sequence[Message]) -> list[Message]:
    """Returns a conversation in which tools are text.

    A system message lists the tools, and messages of the user report the results of their calls.

    Args:
        messages: the messages of a conversation.
        tools: their descriptions.
    """
    found: list[Message] = []
    for each in messages:
        if each["role"] == "tool":
            name = each.get("name") or each.get("tool_call_id") or ""
            text = f"Result of the tool{f' {name}' if name else ''}:\n{each['content']}"
            if found and found[-1].get("of_tool"):
                found[-1]["content"] += "\n\n" + text
            else:
                found.append({"role": "user", "content": text, "of_tool": True})
        elif each.get("tool_calls"):
            calls = [json.dumps(_call(call), ensure_ascii=False) for call in each["tool_calls"]]
            found.append({"role": each["role"], "content": "\n".join(filter(None, [each["content"], *calls]))})
        else:
            found.append(dict(each))
    if tools:
        described = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        text = _TOOLS.format(tools=described)
        if found and found[0]["role"] == "system":
            found[0]["content"] = f"{found[0]['content']}\n\n{text}"
        else:
            found.insert(0, {"role": "system", "content": text})
    return [{name: value for name, value in each.items() if name != "of_tool"} for each in found]


def _call(call: Message) -> Message:
    function = call.get("function") if isinstance(call.get("function"), dict) else call
    return {"name": (function or {}).get("name"), "arguments": parsed((function or {}).get("arguments"))}


def parsed(arguments: Any) -> Any:
    """Returns the arguments of a call as an object; OpenAI's clients send them as a text of JSON."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def with_arguments(messages: Sequence[Message], *, as_text: bool) -> list[Message]:
    """Returns messages whose calls hold their arguments as a text of JSON, or as objects.

    Args:
        messages: the messages of a conversation.
        as_text: whether a text is wanted.
    """
    found = []
    for each in messages:
        if each.get("tool_calls"):
            each = {**each, "tool_calls": [_with_arguments(call, as_text) for call in each["tool_calls"]]}
        found.append(each)
    return found


def _with_arguments(call: Message, as_text: bool) -> Message:
    inner = call.get("function")
    if isinstance(inner, dict):
        return {**call, "function": _with_arguments(inner, as_text)}
    if "arguments" not in call:
        return call
    value = parsed(call["arguments"])
    return {**call, "arguments": json.dumps(value, ensure_ascii=False) if as_text else value}


def as_text(messages: Sequence[Message], *, continue_final: bool) -> str:
    """Returns a conversation as a member without a template reads it, each role on a line before its content.

    Args:
        messages: the messages of a conversation, without tools.
        continue_final: whether the text ends with the last message, and not with the assistant's turn.

    Example:
        >>> as_text([{"role": "user", "content": "Hi"}], continue_final=False)
        'User:\\nHi\\n\\nAssistant:\\n'
    """
    turns = [f"{each['role'].capitalize()}:\n{each['content'] or ''}" for each in messages]
    return "\n\n".join(turns if continue_final else [*turns, "Assistant:\n"])
