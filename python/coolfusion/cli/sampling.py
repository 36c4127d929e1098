"""Defines the options of `generate` for conversations, sampling, votes and reasoning."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coolfusion.cli.prompts import STDIN
from coolfusion.errors import ArgumentError
from coolfusion.fusion import Rerank

INPUT, WRITING, DRAWING = "Input", "Writing", "Sampling"  # panels of --help

MessagesFile = Annotated[
    str | None,
    typer.Option(
        help="A conversation: a JSON file with a list of messages, or an object with `messages` and `tools`; "
        "- is standard input. Each model reads it in its own chat template.",
        rich_help_panel=INPUT,
    ),
]
Temperature = Annotated[float, typer.Option(help="0 is greedy; 1 draws as the models say.", rich_help_panel=DRAWING)]
TopP = Annotated[
    float,
    typer.Option("--top-p", help="Draw from the fewest most likely with this probability.", rich_help_panel=DRAWING),
]
MinP = Annotated[
    float,
    typer.Option(
        "--min-p", help="Draw among candidates of at least this share of the most likely one.", rich_help_panel=DRAWING
    ),
]
Seed = Annotated[int | None, typer.Option(help="The same seed writes the same text.", rich_help_panel=DRAWING)]
Number = Annotated[
    int,
    typer.Option(
        "--n",
        help="Texts for each prompt, for the seeds --seed, --seed + 1 and so on; needs --temperature.",
        rich_help_panel=DRAWING,
    ),
]
Vote = Annotated[
    str | None,
    typer.Option(
        metavar="ANSWER",
        help="Let each model also write alone, and vote on answers: number, choice, first_line, last_line or exact.",
        rich_help_panel=WRITING,
    ),
]
Samples = Annotated[
    int, typer.Option(help="Texts that each model draws besides its greedy one, for --vote.", rich_help_panel=WRITING)
]
ThinkMarkers = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="START END", help="Let each model reason alone first, between two markers.", rich_help_panel=WRITING
    ),
]


def several(n: int, temperature: float) -> dict[str, int]:
    """Returns the number of texts for each prompt as an option of a request, or {} for one because it needs none.

    Args:
        n: the number of texts.
        temperature: the temperature at which they are drawn.

    Raises:
        ArgumentError: several texts are greedy, so that they would all be the same.

    Example:
        >>> several(1, 0.0), several(3, 0.8)
        ({}, {'n': 3})
    """
    if n > 1 and temperature == 0.0:
        raise ArgumentError(f"--n {n} at temperature 0 would be {n} equal texts; expected --temperature above 0")
    return {} if n == 1 else {"n": n}


def reranking(rerank: bool, vote: str | None, samples: int) -> bool | Rerank:
    """Returns the option `rerank` of a request, which is False where whole texts are not compared.

    Args:
        rerank: whether the paper's rerank is asked for.
        vote: the way to read an answer, for example "number", or None.
        samples: the number of texts that each model draws.

    Raises:
        ArgumentError: samples without a vote or a rerank, or an unknown answer.

    Example:
        >>> reranking(False, None, 0), reranking(False, "number", 2)
        (False, Rerank(scores='others', length='byte', vote=True, answer='number', samples=2))
    """
    if vote is not None:
        return Rerank(vote=True, answer=vote, scores="others", length="byte", samples=samples)
    if samples and not rerank:
        raise ArgumentError("--samples is for whole texts that are compared; expected --vote ANSWER or --rerank too")
    return Rerank(samples=samples) if samples else rerank


def read_messages(file: str, *others: str | None) -> dict[str, Any]:
    """Returns the messages of a file, and its tools, as options of a request.

    Args:
        file: a file of JSON, or "-" for standard input.
        others: further inputs, which exclude the file.

    Raises:
        ArgumentError: there is another input, the file cannot be read, or it is no JSON.
    """
    if any(each is not None for each in others):
        raise ArgumentError("--messages excludes --prompt and --prompts-file")
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as err:
        raise ArgumentError(f"{file}: cannot be read ({err.strerror}); expected a JSON file of messages") from err
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise ArgumentError(f"{file}: no JSON ({err}); expected a list of messages") from err
    if not isinstance(value, dict):
        return {"messages": value}
    unknown = sorted(set(value) - {"messages", "tools"})
    if unknown or "messages" not in value:
        raise ArgumentError(f"{file}: the object has {sorted(value)}; expected `messages` and perhaps `tools`")
    return {name: value[name] for name in ("messages", "tools") if name in value}
