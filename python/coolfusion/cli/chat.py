"""Runs `coolfusion chat`, with several turns in the terminal and each word in the colour of its author."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from coolfusion.cli.conversation import Conversation, Leave
from coolfusion.cli.loading import Device, Dtype, Models, MoreModels, Threads, load, names_of
from coolfusion.cli.sampling import MinP, Seed, Temperature, TopP
from coolfusion.cli.show import colour
from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Request
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.records import Output, Step
from coolfusion.traces.authors import initials, safe

__all__ = ["chat"]


def chat(
    more_models: MoreModels = None,
    models: Models = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Budget of each model for an answer.")] = 256,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    seed: Seed = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    rule: Annotated[str | None, typer.Option(help="Selects among the models' words.")] = None,
    device: Device = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Talk with several models that answer together. /help lists the commands inside the chat."""
    names = names_of(models, more_models)
    chosen = DEFAULT_RULE if rule is None else rule
    as_rule(chosen)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "seed": seed}
    options |= {"temperature": temperature, "top_p": top_p, "min_p": min_p}
    Request(prompt="", **options)  # checks the options first, because loading takes long
    with load(names, Console(stderr=True), device=device, dtype=dtype, threads=threads, rule=rule) as fusion:
        conversation = Conversation(fusion.members, {"rule": chosen}, options, system)
        try:
            talk(conversation, Console(highlight=False))
        finally:
            conversation.close()


def talk(conversation: Conversation, console: Console) -> None:
    """Reads lines and answers them until the user leaves."""
    interactive = sys.stdin.isatty()
    if interactive:
        with suppress(ImportError):
            import readline  # noqa: F401 - gives `input` its keys and a history
        console.print(_legend(conversation))
        console.print("/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves", style="dim")
    while True:
        try:
            line = (input("> ") if interactive else input()).strip()
        except EOFError:
            return
        except KeyboardInterrupt:  # gives up the line, and keeps the chat
            console.print()
            continue
        if not line:
            continue
        try:
            if line.startswith("/"):
                console.print(Text(safe(conversation.command(line)), "dim"))
            else:
                _answer(conversation, console, line)
        except Leave:
            return
        except CoolFusionError as err:
            console.print(Text(f"error: {safe(str(err))}", "red"))


def _answer(conversation: Conversation, console: Console, question: str) -> None:
    """Writes an answer as it comes. Ctrl-C stops it and keeps its text."""
    generation = conversation.ask(question)
    printer = _Printer(conversation, console)
    stopped = False
    try:
        try:
            for step in generation:
                printer.step(step)
                conversation.step(step)
        except KeyboardInterrupt:
            stopped = True
    finally:
        generation.close()
        console.print()
        conversation.answered(question, generation.output)
    for note in conversation.new_notes(generation.output):
        console.print(Text(safe(note), "dim"))
    console.print(Text(_told(generation.output, stopped), "dim"))


class _Printer:
    """Prints steps, each in the colour of its author. Without colours a sign names the authors, for example [all]."""

    def __init__(self, conversation: Conversation, console: Console) -> None:
        self._names, self._numbers, self._console = conversation.names, conversation.numbers, console
        self._plain = console.no_color or console.color_system is None
        self._before: tuple[int, ...] | None = None

    def step(self, step: Step) -> None:
        """Prints a step."""
        authors = step.candidates[step.winner].members
        if self._plain and step.text and authors != self._before and len(self._names) > 1:
            everybody = len(authors) == len(self._names)
            sign = "all" if everybody else "+".join(initials(self._names)[at] for at in authors)
            self._console.out(f"[{sign}]", end="", highlight=False)
            self._before = authors
        style = colour(*(self._numbers[at] for at in authors)) if len(self._names) > 1 else ""
        self._console.out(safe(step.text), style=style or None, end="", highlight=False)


def _legend(conversation: Conversation) -> Text:
    line = Text()
    for number, name, short in zip(conversation.numbers, conversation.names, initials(conversation.names), strict=True):
        line.append("   " if line else "").append(f"{safe(name)} ({short})", colour(number))
    return line


def _told(output: Output, stopped: bool) -> str:
    ended = "stopped, the text is kept" if stopped else f"finish: {output.finish_reason}"
    agreed = [len(step.candidates[step.winner].members) == len(output.members) for step in output.steps]
    share = "" if not agreed or len(output.members) == 1 else f" | all agreed in {sum(agreed) / len(agreed):.0%}"
    return f"{len(output.steps)} steps | {ended}{share}"
