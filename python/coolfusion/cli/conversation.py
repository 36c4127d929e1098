"""Holds the state of a chat: messages, members, the rule, a trace, and the commands that change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion, Generation, Member
from coolfusion.fusion.selection import as_rule
from coolfusion.records import Output, Step
from coolfusion.traces import TraceWriter

__all__ = ["Conversation", "Leave"]

HELP = """/rule NAME      choose by another rule, for example paper or mixture
/members        list the members
/drop NAME      go on without a member; /add NAME takes it back
/system TEXT    set the system message; without a text remove it
/trace FILE     write the steps of each answer to a file; without a file stop
/undo           take back the last question and its answer
/reset          forget all questions and answers
/help           this list
/quit           leave, as Ctrl-D does; Ctrl-C stops an answer and keeps its text"""


class Leave(Exception):
    """An exception that ends the chat, because the user leaves."""


class Conversation:
    """A conversation of a user with some members.

    Args:
        members: all members. Some may be dropped later.
        how: options of `Fusion`, for example the rule and the granularity.
        options: options of `Fusion.stream` for each answer, for example the budget and the temperature.
        system: the system message, or None.

    Attributes:
        fusion: the fusion of the members that take part, with the present rule.
        turns: questions with their answers.
        system: the system message, or None.
    """

    def __init__(
        self,
        members: tuple[Member, ...],
        how: Mapping[str, Any],
        options: Mapping[str, Any],
        system: str | None = None,
    ) -> None:
        self._all, self._how, self._options = members, dict(how), dict(options)
        self._kept = list(range(len(members)))
        self.system = system
        self.turns: list[tuple[str, str]] = []
        self._trace: TraceWriter | None = None
        self._begun = 0.0
        self._noted: set[str] = set()
        self.fusion = Fusion(members, **self._how)
        self._commands: dict[str, Callable[[str], str]] = {
            "/rule": self._rule,
            "/members": self._members,
            "/drop": self._drop,
            "/add": self._add,
            "/system": self._system,
            "/trace": self._trace_to,
            "/undo": self._undo,
            "/reset": self._reset,
            "/help": lambda _: HELP,
            "/quit": self._quit,
        }

    def __repr__(self) -> str:
        return f"Conversation({len(self.turns)} turns, {self.fusion!r})"

    @property
    def names(self) -> list[str]:
        """The names of the members that take part."""
        return [member.name for member in self.fusion.members]

    @property
    def numbers(self) -> list[int]:
        """The numbers of these members among all members, because a member keeps its colour when another is dropped."""
        return self._kept

    def command(self, line: str) -> str:
        """Executes a line that begins with a slash, and returns the reply. For example, /reset gives "forgotten".

        Raises:
            Leave: the user leaves.
            CoolFusionError: the command is unknown, or its argument is wrong. Nothing has changed then.
        """
        name, _, argument = line.partition(" ")
        if name not in self._commands:
            raise ArgumentError(f"{name} is unknown; expected one of {' '.join(self._commands)}")
        return self._commands[name](argument.strip())

    def ask(self, question: str) -> Generation:
        """Begins the answer to a question. `answered` takes the output at its end.

        Raises:
            CoolFusionError: a member cannot read the messages.
        """
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        turns = [
            {"role": role, "content": text}
            for turn in self.turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        messages = [*system, *turns, {"role": "user", "content": question}]
        generation = self.fusion.stream(messages=messages, **self._options)
        self._begun = perf_counter()
        if self._trace is not None:
            self._trace.begin(self.names, generation.output.origin)
        return generation

    def step(self, step: Step) -> None:
        """Notes a step of the answer in the trace."""
        if self._trace is not None:
            self._trace.step(step)

    def answered(self, question: str, output: Output) -> None:
        """Takes an answer, also one that was stopped. An empty answer of a text that failed leaves no turn."""
        if self._trace is not None:
            self._trace.end(output, perf_counter() - self._begun)
        if output.text or output.error is None:
            self.turns.append((question, output.text))

    def new_notes(self, output: Output) -> list[str]:
        """Returns the notes of an answer that no earlier answer had."""
        found = [note for note in output.notes if note not in self._noted]
        self._noted.update(found)
        return found

    def close(self) -> None:
        """Ends the fusion and the trace."""
        self._close_trace()
        self.fusion.close()

    # Commands.

    def _rule(self, name: str) -> str:
        if name:
            as_rule(name)
            self._change(self._kept, {**self._how, "rule": name})
        return f"rule: {self.fusion.rule.name}"

    def _members(self, _: str) -> str:
        lines = []
        for number, member in enumerate(self._all):
            lines.append(f"{number}  {member.name}{'' if number in self._kept else '  (dropped)'}")
        return "\n".join(lines)

    def _drop(self, name: str) -> str:
        number = self._number(name)
        left = [each for each in self._kept if each != number]
        if not left:
            raise ArgumentError(f"{self._all[number].name} is the last member; expected another to stay")
        self._change(left, self._how)
        return f"members: {', '.join(self.names)}"

    def _add(self, name: str) -> str:
        self._change(sorted({*self._kept, self._number(name)}), self._how)
        return f"members: {', '.join(self.names)}"

    def _number(self, name: str) -> int:
        names = [member.name for member in self._all]
        if name in names:
            return names.index(name)
        if name.isdecimal() and name.isascii() and int(name[:9]) < len(names):
            return int(name[:9])
        listed = ", ".join(f"{number} or {each}" for number, each in enumerate(names))
        raise ArgumentError(f"no member {name!r:.40}; expected {listed}")

    def _change(self, kept: list[int], how: dict[str, Any]) -> None:
        """Replaces the members or the rule. The models stay loaded, because loading takes long."""
        fusion = Fusion([self._all[number] for number in kept], **how)
        self.fusion.close()
        self.fusion, self._kept, self._how = fusion, kept, how

    def _system(self, text: str) -> str:
        self.system = text or None
        return "system message set" if text else "no system message"

    def _trace_to(self, file: str) -> str:
        trace = TraceWriter(Path(file).expanduser()) if file else None
        self._close_trace()
        self._trace = trace
        return f"each answer is traced to {file}" if file else "no trace"

    def _close_trace(self) -> None:
        if self._trace is not None:
            self._trace.close()
            self._trace = None

    def _undo(self, _: str) -> str:
        if not self.turns:
            raise ArgumentError("nothing to undo; expected a question before")
        question, _ = self.turns.pop()
        return f"taken back: {question}"

    def _reset(self, _: str) -> str:
        self.turns.clear()
        return "forgotten"

    def _quit(self, _: str) -> str:
        raise Leave
