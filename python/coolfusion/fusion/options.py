"""The requests of callers, and the settings by which a fusion writes all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from coolfusion.chat import Chat, as_messages, as_options, as_tools
from coolfusion.errors import ArgumentError
from coolfusion.fusion.reasoning import Think, as_think
from coolfusion.fusion.rerank_options import Rerank, as_rerank
from coolfusion.fusion.selection import SelectionRule, as_rule
from coolfusion.fusion.speculation import Speculation
from coolfusion.fusion.stop_strings import check_stop_strings
from coolfusion.members.endings import GRANULARITIES, Granularity
from coolfusion.records import SHORT

OneText = str | tuple[Any, ...]
OnFailure = Literal["stop", "continue"]
Overlong = Literal["truncate", "error"]
Alignment = Literal["aligned", "shortest"]
Prefix = Literal["always", "likelier"]
PREFIXES: tuple[Prefix, ...] = get_args(Prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one text.

    Attributes:
        prompt: one text for all members, or a tuple of one prompt for each, a text or ids of that member. None if there
            are messages.
        messages: a conversation in place of a prompt, as OpenAI's clients send it. Each member reads it in its own chat
            template. Exactly one of prompt and messages is given.
        tools: descriptions of tools for the templates; only with messages.
        continue_final: whether the last message, the assistant's, is continued; only with messages.
        template_options: further variables of the templates, for example ``{"enable_thinking": False}``.
        max_new_tokens: budget of each member, in its own tokens.
        stop_strings: texts that end the output, which is cut exactly before the first of them.
        rerank: whether each member also writes alone, and the best continuation is the answer (Cool+R). A `Rerank`
            holds the settings of the choice; True takes the paper's.
        think: the markers of the reasoning that each member writes alone before the answer. This is a pair of markers,
            a `Think`, or None for no reasoning.
        on_failure: the reaction to a member that fails. "stop" ends the text with the error, "continue" drops the
            member.
        overlong: the reaction to a prompt above a member's limit. "truncate" cuts it at the left and warns, "error"
            refuses it.
        priority: requests of a lower number are begun first; of equals, the one that came first.
        temperature: 0 takes the most likely words and the best candidate. Above 0 members draw their words, and the
            winner is drawn from the rule's distribution over the candidates.
        top_p: the fewest most likely tokens, and candidates, with this probability in all are drawn.
        min_p: tokens, and candidates, are drawn whose probability is at least this share of the most likely one's.
        seed: the seed of all random numbers; None takes a new one for a sampled text, which `Output.seed` holds.
            Selection rules that draw find it in `StepView.seed`.
        n: number of texts. Text k is that of the seed `seed + k`; all stand in `Output.choices`.
        logprobs: whether greedy steps hold the probabilities of their candidates too.
        whole_prompt: whether the prompt ends where a segment does, so that the first segment starts a new one. After
            "The cat" it is never the "s" of "The cats". Must be False for a prompt that ends inside a word.
        timeout: seconds from `add` on after which the request ends with a `RequestTimeoutError`, or None.

    Raises:
        ArgumentError: a value outside its range.

    Example:
        ``engine.add(Request(prompt="Once upon a time", max_new_tokens=32))``
    """

    prompt: OneText | None = None
    messages: Any = None
    tools: Any = None
    continue_final: bool = False
    template_options: Any = None
    max_new_tokens: int = 64
    stop_strings: str | Iterable[str] = ()
    rerank: bool | Rerank = False
    think: tuple[str, str] | Think | None = None
    on_failure: OnFailure = "stop"
    overlong: Overlong = "truncate"
    priority: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    n: int = 1
    logprobs: bool = False
    whole_prompt: bool = False
    timeout: float | None = None

    def __post_init__(self) -> None:
        self._check_conversation()
        check_between("temperature", self.temperature, 0.0, math.inf)
        check_between("top_p", self.top_p, 0.0, 1.0, open_below=True)
        check_between("min_p", self.min_p, 0.0, 1.0)
        check_count("n", self.n)
        object.__setattr__(self, "stop_strings", check_stop_strings(self.stop_strings))
        check_count("max_new_tokens", self.max_new_tokens)
        check_choice("on_failure", self.on_failure, ("stop", "continue"))
        check_choice("overlong", self.overlong, ("truncate", "error"))
        as_rerank(self.rerank)
        as_think(self.think)
        for name, flag in (("whole_prompt", self.whole_prompt), ("logprobs", self.logprobs)):
            if not isinstance(flag, bool):
                raise ArgumentError(f"{name} must be True or False, not {flag!r}")
        check_seconds("timeout", self.timeout)
        for name, value in (("priority", self.priority), ("seed", self.seed)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ArgumentError(f"{name} must be a whole number, not {value!r}")

    def __repr__(self) -> str:
        name = "prompt" if self.messages is None else "messages"
        return f"Request({name}={SHORT.repr(getattr(self, name))}, max_new_tokens={self.max_new_tokens})"

    def _check_conversation(self) -> None:
        if not isinstance(self.continue_final, bool):
            raise ArgumentError(f"continue_final must be True or False, not {self.continue_final!r}")
        if (self.prompt is None) == (self.messages is None):
            given = "neither" if self.prompt is None else "both"
            raise ArgumentError(f"exactly one of prompt and messages must be given, not {given}")
        if self.messages is not None:
            messages = as_messages(self.messages, continue_final=self.continue_final)
            object.__setattr__(self, "messages", messages)
            object.__setattr__(self, "tools", as_tools(self.tools) or None)
            object.__setattr__(self, "template_options", as_options(self.template_options))
        elif self.tools is not None or self.continue_final or self.template_options is not None:
            raise ArgumentError("tools, continue_final and template_options belong to messages; this is a prompt")

    @property
    def chat(self) -> Chat | None:
        """Returns the conversation, or None for a prompt."""
        if self.messages is None:
            return None
        return Chat(self.messages, self.tools or (), self.continue_final, self.template_options or {})

    @property
    def stops(self) -> tuple[str, ...]:
        """Returns the stop strings."""
        return self.stop_strings  # type: ignore[return-value]  # __post_init__ has made it a tuple


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings by which a fusion writes all its texts.

    Attributes:
        rule: the selection rule.
        aligned: whether segments end where all tokenizers have a boundary.
        granularity: the unit of text that one segment is.
        may_drop_prefix: whether a prompt is read without BOS if it is likelier without it.
        concurrent: whether a member can write ahead while others read.
        speculation: the function that makes a planner of drafts for the members of some numbers, once for each text.
    """

    rule: SelectionRule
    aligned: bool
    granularity: Granularity
    may_drop_prefix: bool
    concurrent: bool
    speculation: Callable[[tuple[int, ...]], Speculation]


def check_engine(
    *,
    alignment: Any,
    granularity: Any,
    prefix: Any,
    rule: Any,
    drafts: Any,
    pass_timeout: Any,
    max_concurrent_requests: Any,
    max_cached_tokens: Any,
) -> SelectionRule:
    """Checks the options of an engine before any model is loaded for it, and returns the rule.

    Raises:
        ArgumentError: a value outside its range.
    """
    check_choice("alignment", alignment, ("aligned", "shortest"))
    check_choice("granularity", granularity, (None, *GRANULARITIES))
    check_choice("prefix", prefix, PREFIXES)
    if drafts is not None and (isinstance(drafts, bool) or not isinstance(drafts, int) or drafts < 0):
        raise ArgumentError(f"drafts must be None or a whole number of words from 0 on, not {drafts!r}")
    check_seconds("pass_timeout", pass_timeout)
    check_count("max_concurrent_requests", max_concurrent_requests)
    if max_cached_tokens is not None:
        check_count("max_cached_tokens", max_cached_tokens)
    return as_rule(rule)


def check_choice(name: str, value: Any, choices: tuple[str | None, ...]) -> None:
    """Raises ArgumentError unless `value` is one of `choices`."""
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise ArgumentError(f"{name} {value!r} is unknown; expected {expected}")


def check_count(name: str, value: Any) -> None:
    """Raises ArgumentError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")


def check_between(name: str, value: Any, low: float, high: float, *, open_below: bool = False) -> None:
    """Raises ArgumentError unless `value` is a finite number from `low` to `high`, or above `low`."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (open_below and value == low):
        least = f"above {low:g}" if open_below else f"of at least {low:g}"
        most = "" if high == math.inf else f" and at most {high:g}"
        raise ArgumentError(f"{name} must be a number {least}{most}, not {value!r}")


def check_seconds(name: str, value: Any) -> None:
    """Raises ArgumentError unless `value` is None or a positive finite number."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ArgumentError(f"{name} must be None or a positive number of seconds, not {value!r}")
