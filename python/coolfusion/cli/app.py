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
from rich.text import Text

from coolfusion._core import Tokenizer, __version__
from coolfusion.cli.chat import chat
from coolfusion.cli.evaluate import ablation, evaluate
from coolfusion.cli.harness import lm_eval
from coolfusion.cli.loading import load, names_of
from coolfusion.cli.many import INTERRUPTED, TextFile, as_line, write_many
from coolfusion.cli.pool import pool
from coolfusion.cli.prompts import read_prompt, read_prompts
from coolfusion.cli.show import colour, explained, summary
from coolfusion.cli.view import view
from coolfusion.embedded import folders
from coolfusion.errors import ArgumentError, CoolFusionError, ModelError
from coolfusion.fusion import Fusion, Request
from coolfusion.fusion.options import PREFIXES, check_choice
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.members.endings import GRANULARITIES
from coolfusion.records import Output
from coolfusion.traces import TraceWriter

# A text for each trade: ash tells stories, birch has learnt sums, cedar puzzles.
DEMO_PROMPTS = (
    "Once upon a time",
    "Question: Tom has 23 apples. He gives away 9. How many apples are left? Answer:",
    "Puzzle: What is tiger spelled backwards? Answer:",
)
INPUT, LOADING, WRITING, OUTPUT = "Input", "Loading", "Writing", "Output"  # panels of --help

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("eval")(evaluate)
app.command()(ablation)
app.command()(pool)
app.command()(chat)
app.command()(view)
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
    seed: Annotated[int | None, typer.Option(help="For selection rules that draw.", rich_help_panel=WRITING)] = None,
    pass_timeout: Annotated[
        float | None, typer.Option(help="Seconds that a pass of a model may take.", rich_help_panel=WRITING)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything that is known as JSON.", rich_help_panel=OUTPUT)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Of --prompts-file: write the texts to this file, JSON lines; a run that ended is resumed from it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write every step to this file, for `coolfusion view`.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Continue a prompt with several models.

    Exit codes: 0 all is written. 1 no one reads the output. 2 an error, which is one line. 3 some of many texts ended
    with an error, and all others are written. 130 Ctrl-C, and what was written is printed.
    """
    names = names_of(models, more_models)
    if prompt is not None and prompts_file is not None:
        raise ArgumentError("--prompt and --prompts-file exclude each other")
    if out is not None and prompts_file is None:
        raise ArgumentError("--out is for many texts; expected --prompts-file FILE too")
    prompts = [read_prompt(prompt)] if prompts_file is None else read_prompts(prompts_file)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop_strings": stop or (), "seed": seed}
    Request(prompt=prompts[0], **options)  # checks them before anything is loaded
    as_rule(DEFAULT_RULE if rule is None else rule)
    plan = None if recipe is None else read_recipe(recipe)
    rerank = rerank or (plan is not None and plan.rerank)
    if granularity is not None:
        check_choice("granularity", granularity, GRANULARITIES)
    if prefix is not None:
        check_choice("prefix", prefix, PREFIXES)
    decides = {"models": names, "dtype": dtype, "rule": rule, "recipe": None if plan is None else plan.as_dict()}
    setup = {**decides, **options, "rerank": rerank, "granularity": granularity, "prefix": prefix}
    file = None if out is None else TextFile(out, setup, prompts, as_json)
    console = Console(stderr=True)
    if file is not None and file.is_complete:
        console.print(f"{out}: all {len(prompts)} texts were written before", style="dim", markup=False, soft_wrap=True)
        return
    with ExitStack() as stack:
        writer = None if trace is None else stack.enter_context(TraceWriter(trace))
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
        stack.enter_context(fusion)
        if prompts_file is not None:
            whole = {**options, "rerank": rerank}
            code = write_many(fusion, prompts, whole, console, as_json=as_json, file=file, trace=writer)
        elif as_json or rerank:
            code = _write_whole(fusion, prompts[0], {**options, "rerank": rerank}, as_json, console, writer)
        else:
            code = _stream(fusion, prompts[0], options, console, writer)
    if code:
        raise typer.Exit(code)


@app.command()
def demo(
    max_new_tokens: Annotated[int, typer.Option(help="Budget of each model, in its own tokens.")] = 64,
    threads: Annotated[int, typer.Option(help="CPU threads of one operation.")] = 1,
) -> None:
    """Let the three models of this package write together, and show who wrote which word."""
    console = Console()
    models = folders()
    if not models:
        raise ModelError("this installation holds no embedded models; expected folders below coolfusion/embedded")
    fusion = Fusion.from_pretrained(models, device="cpu", dtype="float32", threads=threads)
    names = Text("models: ")
    for number, member in enumerate(fusion.members):
        about = member.runner.describe()
        names.append(f"{member.name} ({about['kind']}, {member.tokenizer.vocab_size} tokens)  ", colour(number))
    console.print(names)
    order = " ".join(member.name for member in fusion.members)
    legend = f"each line: the segment, who proposed it, its perplexity under {order} | what it won over"
    console.print(legend, style="dim")
    for prompt in DEMO_PROMPTS:
        begun = perf_counter()
        console.print(Text(f"\n{prompt}", "bold"))
        generation = fusion.stream(prompt, max_new_tokens)
        for step in generation:
            console.print(explained(step, fusion))
        line = Text(prompt, "bold")
        for step in generation.output.steps:
            line.append(step.text, colour(*step.candidates[step.winner].members))
        console.print(line)
        console.print(summary(generation.output, perf_counter() - begun), style="dim", markup=False)


@app.command()
def describe(path: Annotated[str, typer.Argument(help="A tokenizer file, a directory or a hub name.")]) -> None:
    """Print what the load probe of a tokenizer found, as JSON."""
    load = Tokenizer.from_file if Path(path).is_file() else Tokenizer.from_pretrained
    print(json.dumps(load(path).describe(), ensure_ascii=False, indent=2))


def _stream(fusion: Fusion, prompt: str, options: dict[str, Any], console: Console, trace: TraceWriter | None) -> int:
    """Prints the text as it comes; a counter on stderr where stdout is not the terminal that shows it.

    Returns the exit code, as the other ways of writing do.
    """
    begun, code = perf_counter(), 0
    generation = fusion.stream(prompt, **options)
    counting = console.is_terminal and not sys.stdout.isatty()
    with ExitStack() as stack:
        stack.callback(print, flush=True)  # ends the line, also after an error
        if trace is not None:
            trace.begin([member.name for member in fusion.members], generation.output.origin)
            stack.callback(lambda: trace.end(generation.output, perf_counter() - begun))
        status = stack.enter_context(console.status("writing")) if counting else None
        try:
            for step in generation:
                print(step.text, end="", flush=True)
                if trace is not None:
                    trace.step(step)
                if status is not None:
                    status.update(f"{step.index + 1} steps, {len(generation.output.text)} characters")
        except KeyboardInterrupt:
            code = INTERRUPTED
    console.print(summary(generation.output, perf_counter() - begun), style="dim", markup=False)
    return code


def _write_whole(
    fusion: Fusion,
    prompt: str,
    options: dict[str, Any],
    as_json: bool,
    console: Console,
    trace: TraceWriter | None,
) -> int:
    begun, code = perf_counter(), 0
    output: Output | None = None
    try:
        with console.status("writing"):
            output = fusion.generate(prompt, **options)
    except KeyboardInterrupt as err:
        output, code = getattr(err, "partial", None), INTERRUPTED
        if output is None:
            raise
    except CoolFusionError as err:
        output = err.partial
        raise
    finally:
        if trace is not None and output is not None:
            trace.write(output, perf_counter() - begun)
    print(as_line(output) if as_json else output.text)
    console.print(summary(output, perf_counter() - begun), style="dim", markup=False)
    return code
