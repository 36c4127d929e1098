"""The commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console

from coolfusion._core import Tokenizer, __version__
from coolfusion.cli.demo import demo
from coolfusion.cli.evaluate import ablation, evaluate
from coolfusion.cli.harness import lm_eval
from coolfusion.cli.loading import load, names_of
from coolfusion.cli.pool import pool
from coolfusion.cli.prompts import read_prompt, read_prompts
from coolfusion.cli.sampling import (
    MessagesFile,
    MinP,
    Samples,
    Seed,
    Temperature,
    ThinkMarkers,
    TopP,
    Vote,
    read_messages,
    reranking,
)
from coolfusion.cli.serve import serve
from coolfusion.cli.show import summary
from coolfusion.errors import ArgumentError, CoolFusionError
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.options import PREFIXES, check_choice
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.members.endings import GRANULARITIES
from coolfusion.records import Output, to_jsonable

INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended
INPUT, LOADING, WRITING = "Input", "Loading", "Writing"  # panels of --help

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("eval")(evaluate)
app.command()(ablation)
app.command()(demo)
app.command()(pool)
app.command()(serve)
# Options go on to the harness as they are, --help included.
app.command("lm-eval", context_settings={"ignore_unknown_options": True}, add_help_option=False)(lm_eval)


class Executor(StrEnum):
    """The executors that the command line offers."""

    auto = "auto"
    processes = "processes"


def run(arguments: Sequence[str]) -> None:
    """Runs one command; an error of the library is one line on stderr and exit code 2."""
    try:
        app(list(arguments), prog_name="coolfusion")
    except KeyboardInterrupt as err:
        raise SystemExit(INTERRUPTED) from err
    except CoolFusionError as err:
        print(f"error: {err}", file=sys.stderr)
        raise SystemExit(2) from err


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Several language models write one text."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def generate(
    more_models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Model directories or hub names.", show_default=False),
    ] = None,
    models: Annotated[list[str] | None, typer.Option(help="The same; further ones may follow the first.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="The text to continue; - or none reads standard input.", rich_help_panel=INPUT)
    ] = None,
    prompts_file: Annotated[
        str | None,
        typer.Option(
            help='Many texts: JSON lines, each a text or {"prompt": text}; - is standard input. '
            "Prints a JSON line for each.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    messages: MessagesFile = None,
    device: Annotated[
        str | None, typer.Option(help="A torch device; the first GPU if there is one.", rich_help_panel=LOADING)
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="auto, float32, bfloat16, float16 or float64.", rich_help_panel=LOADING)
    ] = "auto",
    executor: Annotated[
        Executor,
        typer.Option(help="auto runs the models in this process, processes each in its own.", rich_help_panel=LOADING),
    ] = Executor.auto,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads of one operation; 1 if all models are small, else as torch takes.",
            rich_help_panel=LOADING,
        ),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(help="Budget of each model, in its own tokens.", rich_help_panel=WRITING)
    ] = 64,
    stop: Annotated[
        list[str] | None, typer.Option(help="A text to stop before; may be repeated.", rich_help_panel=WRITING)
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Also let each model write alone, and choose.", rich_help_panel=WRITING)
    ] = False,
    rule: Annotated[
        str | None,
        typer.Option(help="Selects among the models' words, for example paper or boldest.", rich_help_panel=WRITING),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="A file of `coolfusion pool`, in place of a rule.", rich_help_panel=WRITING),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(
            help=f"The unit that the models propose and choose: {', '.join(GRANULARITIES)}.", rich_help_panel=WRITING
        ),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            help="always puts BOS before a prompt; likelier leaves it out where the prompt is likelier so.",
            rich_help_panel=WRITING,
        ),
    ] = None,
    vote: Vote = None,
    samples: Samples = 0,
    think: ThinkMarkers = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    seed: Seed = None,
    pass_timeout: Annotated[
        float | None, typer.Option(help="Seconds that a pass of a model may take.", rich_help_panel=WRITING)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is known as JSON.")] = False,
) -> None:
    """Continue a prompt with several models."""
    names = names_of(models, more_models)
    if prompt is not None and prompts_file is not None:
        raise ArgumentError("--prompt and --prompts-file exclude each other")
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop_strings": stop or (), "seed": seed}
    options |= {"temperature": temperature, "top_p": top_p, "min_p": min_p, "think": think}
    prompts: list[Any] = [None]
    if messages is not None:
        options |= read_messages(messages, prompt, prompts_file)
    else:
        prompts = [read_prompt(prompt)] if prompts_file is None else read_prompts(prompts_file)
    Request(prompt=prompts[0], **options)  # checks them before anything is loaded
    as_rule(DEFAULT_RULE if rule is None else rule)
    plan = None if recipe is None else read_recipe(recipe)
    how = reranking(rerank or (plan is not None and plan.rerank), vote, samples)
    if granularity is not None:
        check_choice("granularity", granularity, GRANULARITIES)
    if prefix is not None:
        check_choice("prefix", prefix, PREFIXES)
    console = Console(stderr=True)
    fusion = load(
        names,
        console,
        device=device,
        dtype=dtype,
        processes=executor is Executor.processes,
        threads=threads,
        rule=rule,
        recipe=plan,
        granularity=granularity,
        prefix=prefix,
        pass_timeout=pass_timeout,
    )
    with fusion:
        if prompts_file is not None:
            interrupted = _write_many(fusion, prompts, {**options, "rerank": how}, as_json, console)
        elif as_json or how:
            interrupted = _write_whole(fusion, prompts[0], {**options, "rerank": how}, as_json, console)
        else:
            interrupted = _stream(fusion, prompts[0], options, console)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@app.command()
def describe(path: Annotated[str, typer.Argument(help="A tokenizer file, a directory or a hub name.")]) -> None:
    """Print what the load probe of a tokenizer found, as JSON."""
    load = Tokenizer.from_file if Path(path).is_file() else Tokenizer.from_pretrained
    print(json.dumps(load(path).describe(), ensure_ascii=False, indent=2))


def _stream(fusion: Fusion, prompt: str | None, options: dict[str, Any], console: Console) -> bool:
    """Prints the text as it comes; a counter on stderr where stdout is not the terminal that shows it.

    Returns whether Ctrl-C ended it, as the other ways of writing do.
    """
    begun, interrupted = perf_counter(), False
    generation = fusion.stream(prompt, **options)
    counting = console.is_terminal and not sys.stdout.isatty()
    with ExitStack() as stack:
        stack.callback(print, flush=True)  # ends the line, also after an error
        status = stack.enter_context(console.status("writing")) if counting else None
        try:
            for step in generation:
                print(step.text, end="", flush=True)
                if status is not None:
                    status.update(f"{step.index + 1} steps, {len(generation.output.text)} characters")
        except KeyboardInterrupt:
            interrupted = True
    console.print(summary(generation.output, perf_counter() - begun), style="dim", markup=False)
    return interrupted


def _write_whole(fusion: Fusion, prompt: str | None, options: dict[str, Any], as_json: bool, console: Console) -> bool:
    begun = perf_counter()
    output, interrupted = _generate(fusion, prompt, options, console)
    print(_json(output) if as_json else output.text)
    console.print(summary(output, perf_counter() - begun), style="dim", markup=False)
    return interrupted


def _write_many(fusion: Fusion, prompts: list[str], options: dict[str, Any], as_json: bool, console: Console) -> bool:
    """Prints a JSON line for each prompt, also where one of them ends with an error."""
    begun, error = perf_counter(), None
    try:
        outputs, interrupted = _generate(fusion, prompts, options, console)
    except CoolFusionError as err:
        if not isinstance(err.partial, list):
            raise
        outputs, interrupted, error = err.partial, False, err
    for prompt, output in zip(prompts, outputs, strict=True):
        short = {"text": output.text, "finish_reason": output.finish_reason, "error": output.error}
        print(_json(output) if as_json else _json({"prompt": prompt, **short}))
    line = f"{len(outputs)} texts in {perf_counter() - begun:.2f} s"
    console.print(line, style="dim", markup=False)
    if error is not None:
        raise error
    return interrupted


def _generate(fusion: Fusion, prompt: Any, options: dict[str, Any], console: Console) -> tuple[Any, bool]:
    """Returns what was written, and whether Ctrl-C ended it."""
    try:
        with console.status("writing"):
            return fusion.generate(prompt, **options), False
    except KeyboardInterrupt as err:
        partial: Output | list[Output] | None = getattr(err, "partial", None)
        if partial is None:
            raise
        return partial, True


def _json(value: Any) -> str:
    shown = json.dumps(to_jsonable(value), ensure_ascii=False, allow_nan=False)
    try:
        shown.encode()
    except UnicodeEncodeError:  # a prompt may hold lone surrogates, which only an escape can spell
        return json.dumps(to_jsonable(value), allow_nan=False)
    return shown
