"""The command line: parse, call the library, print. No logic of its own.

Text goes to stdout, everything about it to stderr. Errors of the library are one line and exit code 2.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import coolfusion
from coolfusion.embedded import folders
from coolfusion.errors import CoolFusionError, ModelError
from coolfusion.fusion import Fusion
from coolfusion.records import Candidate, Output, Score, Step, to_jsonable
from coolfusion.scoring import perplexity

INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
# A text for each trade: ash tells stories, birch has learnt sums, cedar puzzles.
DEMO_PROMPTS = (
    "Once upon a time",
    "Question: Tom has 23 apples. He gives away 9. How many apples are left? Answer:",
    "Puzzle: What is tiger spelled backwards? Answer:",
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def run(arguments: Sequence[str]) -> None:
    """Run one command; an error of the library is one line on stderr and exit code 2."""
    try:
        app(spread_models(arguments), prog_name="coolfusion")
    except KeyboardInterrupt as err:
        raise SystemExit(INTERRUPTED) from err
    except CoolFusionError as err:
        print(f"error: {err}", file=sys.stderr)
        raise SystemExit(2) from err


def spread_models(arguments: Sequence[str]) -> list[str]:
    """Write `--models A B` as `--models A --models B`, which is what the parser understands."""
    spread: list[str] = []
    taking = False
    for argument in arguments:
        if argument.startswith("-"):
            taking = argument == "--models"
            if not taking:
                spread.append(argument)
        elif taking:
            spread += ["--models", argument]
        else:
            spread.append(argument)
    return spread


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Several language models write one text."""
    if version:
        print(coolfusion.__version__)
        raise typer.Exit


@app.command()
def generate(
    models: Annotated[list[str], typer.Option(help="Model directories or hub names; several may follow.")],
    prompt: Annotated[str, typer.Option(help="The text to continue.")],
    max_new_tokens: Annotated[int, typer.Option(help="Budget of each model, in its own tokens.")] = 64,
    stop: Annotated[list[str] | None, typer.Option(help="A text to stop before; may be repeated.")] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Also let each model write alone, and choose.")] = False,
    device: Annotated[str | None, typer.Option(help="A torch device; the first GPU if there is one.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 or float64.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Continue a prompt with several models."""
    console = Console(stderr=True)
    console.print(f"loading {len(models)} models: {' '.join(Path(name).name for name in models)}", style="dim")
    fusion = Fusion.from_pretrained(models, device=device, dtype=dtype)
    begun = perf_counter()
    interrupted = False
    try:
        if as_json or rerank:
            with console.status("writing"):
                output = fusion.generate(prompt, max_new_tokens, stop_strings=stop or (), rerank=rerank)
        else:
            output = _stream(fusion, prompt, max_new_tokens, stop or (), console)
    except KeyboardInterrupt as err:
        if getattr(err, "partial", None) is None:
            raise
        output, interrupted = err.partial, True  # type: ignore[attr-defined]
    if as_json or rerank:
        print(json.dumps(to_jsonable(output), ensure_ascii=False, allow_nan=False) if as_json else output.text)
    console.print(_summary(output, perf_counter() - begun), style="dim", markup=False)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def demo(max_new_tokens: Annotated[int, typer.Option(help="Budget of each model, in its own tokens.")] = 64) -> None:
    """Let the three models of this package write together, and show who wrote which word."""
    _one_thread()
    console = Console()
    models = folders()
    if not models:
        raise ModelError("this installation holds no embedded models; expected folders below coolfusion/embedded")
    fusion = Fusion.from_pretrained(models, device="cpu", dtype="float32")
    names = Text("models: ")
    for number, member in enumerate(fusion.members):
        about = member.runner.describe()
        names.append(f"{member.name} ({about['kind']}, {member.tokenizer.vocab_size} tokens)  ", _colour(number))
    console.print(names)
    order = " ".join(member.name for member in fusion.members)
    legend = f"each line: the segment, who proposed it, its perplexity under {order} | what it won over"
    console.print(legend, style="dim")
    for prompt in DEMO_PROMPTS:
        begun = perf_counter()
        console.print(Text(f"\n{prompt}", "bold"))
        generation = fusion.stream(prompt, max_new_tokens)
        for step in generation:
            console.print(_explain(step, fusion))
        line = Text(prompt, "bold")
        for step in generation.output.steps:
            line.append(step.text, _colour(*step.candidates[step.winner].members))
        console.print(line)
        console.print(_summary(generation.output, perf_counter() - begun), style="dim", markup=False)


@app.command()
def describe(path: Annotated[str, typer.Argument(help="A tokenizer file, a directory or a hub name.")]) -> None:
    """Print what the load probe of a tokenizer found, as JSON."""
    load = coolfusion.Tokenizer.from_file if Path(path).is_file() else coolfusion.Tokenizer.from_pretrained
    print(json.dumps(load(path).describe(), ensure_ascii=False, indent=2))


def _one_thread() -> None:
    """Threads cost more than they bring in matrices as small as the demo's."""
    with suppress(ImportError):  # said better where the models are loaded
        import torch

        torch.set_num_threads(1)


def _stream(fusion: Fusion, prompt: str, max_new_tokens: int, stops: Sequence[str], console: Console) -> Output:
    """Print the text as it comes; a counter on stderr where stdout is not the terminal that shows it."""
    generation = fusion.stream(prompt, max_new_tokens, stop_strings=stops)
    counting = console.is_terminal and not sys.stdout.isatty()
    with ExitStack() as stack:
        stack.callback(print, flush=True)  # ends the line, also after an error
        status = stack.enter_context(console.status("writing")) if counting else None
        try:
            for step in generation:
                print(step.text, end="", flush=True)
                if status is not None:
                    status.update(f"{step.index + 1} steps, {len(generation.output.text)} characters")
        except KeyboardInterrupt as err:
            err.partial = generation.output  # type: ignore[attr-defined]
            raise
    return generation.output


def _summary(output: Output, seconds: float) -> str:
    passes = [sum(step.members[j].forward_passes for step in output.steps) for j in range(len(output.members))]
    parts = [f"{len(output.steps)} steps in {seconds:.2f} s", f"finish: {output.finish_reason}"]
    if output.continuations:
        names = [member.name for member in output.members]
        parts.append(f"best: {output.author if output.author == 'fusion' else names[output.author]}")
    for member, n_passes in zip(output.members, passes, strict=True):
        cut = f", {member.dropped_context} dropped from its context" if member.dropped_context else ""
        parts.append(f"{member.name}: {len(member.token_ids)} tokens, {n_passes} passes{cut}")
    return " | ".join(parts)


def _explain(step: Step, fusion: Fusion) -> Text:
    """The winner with its proposers and its perplexity under each member; then, best first, what it won over."""
    line = Text("  ")
    order = sorted(range(len(step.candidates)), key=lambda i: (i != step.winner, step.values[i]))
    for i in order:
        candidate, scores = step.candidates[i], step.scores[i]
        everybody = len(candidate.members) == len(fusion.members)
        by = "all agree" if everybody else "+".join(fusion.members[j].name for j in candidate.members)
        shown = f"{_shown(candidate):<14} " if i == step.winner else f"  | {_shown(candidate)} "
        line.append(shown, f"{'bold ' if i == step.winner else ''}{_colour(*candidate.members)}")
        line.append(f"{by} {' '.join(_priced(score) for score in scores)}", "dim")
    return line


def _shown(candidate: Candidate) -> str:
    return "END" if candidate.end else repr(candidate.text)[1:-1].replace(" ", "·")


def _priced(score: Score) -> str:
    value = perplexity(score)
    return f"{value:.1f}" if value < 1000 else f"{value:.0e}"


def _colour(*members: int) -> str:
    """A colour for one author, white for several."""
    return COLOURS[members[0] % len(COLOURS)] if len(members) == 1 else "white"
