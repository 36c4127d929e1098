"""Declares the commands of `coolfusion`, for example `coolfusion generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from coolfusion._core import Tokenizer, __version__
from coolfusion.cli.chat import chat
from coolfusion.cli.demo import demo
from coolfusion.cli.evaluate import ablation, evaluate
from coolfusion.cli.harness import lm_eval
from coolfusion.cli.loading import load, names_of
from coolfusion.cli.many import INTERRUPTED, TextFile, write_many
from coolfusion.cli.one import stream_one, write_one
from coolfusion.cli.pool import pool
from coolfusion.cli.prompts import read_prompt, read_prompts
from coolfusion.cli.sampling import (
    MessagesFile,
    MinP,
    Number,
    Samples,
    Seed,
    Temperature,
    ThinkMarkers,
    TopP,
    Vote,
    read_messages,
    reranking,
    several,
)
from coolfusion.cli.serve import serve
from coolfusion.cli.view import view
from coolfusion.errors import ArgumentError, CoolFusionError
from coolfusion.fusion import Request
from coolfusion.fusion.options import PREFIXES, check_choice
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.members.endings import GRANULARITIES
from coolfusion.traces import TraceWriter

INPUT, LOADING, WRITING, OUTPUT = "Input", "Loading", "Writing", "Output"  # panels of --help

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("eval")(evaluate)
app.command()(ablation)
app.command()(chat)
app.command()(demo)
app.command()(pool)
app.command()(serve)
app.command()(view)
# All options, --help included, go to the harness as they are, because it parses them.
app.command("lm-eval", context_settings={"ignore_unknown_options": True}, add_help_option=False)(lm_eval)


class Executor(StrEnum):
    """The executors that the command line offers."""

    auto = "auto"
    processes = "processes"


def run(arguments: Sequence[str]) -> None:
    """Runs one command. An error of the library is one line on stderr, with the exit code 2."""
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
    n: Number = 1,
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

    Exit codes: 0 all is written. 1 the output has no reader. 2 an error, which is one line. 3 some of many texts ended
    with an error, and all others are written. 130 Ctrl-C, and the text so far is printed.
    """
    names = names_of(models, more_models)
    if prompt is not None and prompts_file is not None:
        raise ArgumentError("--prompt and --prompts-file exclude each other")
    if out is not None and prompts_file is None:
        raise ArgumentError("--out is for many texts; expected --prompts-file FILE too")
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "stop_strings": stop or (), "seed": seed}
    options |= {"temperature": temperature, "top_p": top_p, "min_p": min_p, "think": think}
    options |= several(n, temperature)
    prompts: list[Any] = [None]
    if messages is not None:
        options |= read_messages(messages, prompt, prompts_file)
    else:
        prompts = [read_prompt(prompt)] if prompts_file is None else read_prompts(prompts_file)
    Request(prompt=prompts[0], **options)  # checks the options first, because loading takes long
    as_rule(DEFAULT_RULE if rule is None else rule)
    plan = None if recipe is None else read_recipe(recipe)
    how = reranking(rerank or (plan is not None and plan.rerank), vote, samples)
    if granularity is not None:
        check_choice("granularity", granularity, GRANULARITIES)
    if prefix is not None:
        check_choice("prefix", prefix, PREFIXES)
    decides = {"models": names, "dtype": dtype, "rule": rule, "recipe": None if plan is None else plan.as_dict()}
    setup = {
        **decides,
        **options,
        "rerank": how if isinstance(how, bool) else repr(how),
        "granularity": granularity,
        "prefix": prefix,
    }
    file = None if out is None else TextFile(out, setup, prompts, as_json, n)
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
            whole = {**options, "rerank": how}
            code = write_many(fusion, prompts, whole, console, as_json=as_json, file=file, trace=writer)
        elif as_json or how or n > 1:
            code = write_one(fusion, prompts[0], {**options, "rerank": how}, as_json, console, writer)
        else:
            code = stream_one(fusion, prompts[0], options, console, writer)
    if code:
        raise typer.Exit(code)


@app.command()
def describe(path: Annotated[str, typer.Argument(help="A tokenizer file, a directory or a hub name.")]) -> None:
    """Print the facts that the load probe of a tokenizer found, as JSON."""
    load = Tokenizer.from_file if Path(path).is_file() else Tokenizer.from_pretrained
    print(json.dumps(load(path).describe(), ensure_ascii=False, indent=2))
