"""Runs `coolfusion serve`, a server with OpenAI's interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coolfusion.cli.loading import Device, Dtype, Models, MoreModels, Processes, Threads, load, names_of
from coolfusion.errors import ArgumentError
from coolfusion.fusion.options import check_choice
from coolfusion.fusion.recipe import read_recipe
from coolfusion.fusion.selection import DEFAULT_RULE, as_rule
from coolfusion.members.endings import GRANULARITIES

__all__ = ["serve"]

INTERRUPTED = 130
LISTENING, LIMITS, WRITING = "Listening", "Limits", "Writing"  # panels of --help


def serve(
    more_models: MoreModels = None,
    models: Models = None,
    host: Annotated[str, typer.Option(help="The address to listen on.", rich_help_panel=LISTENING)] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes any.", rich_help_panel=LISTENING)] = 8000,
    name: Annotated[str, typer.Option(help="The name of the fused model.", rich_help_panel=LISTENING)] = "coolfusion",
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Clients must send it. Other users of this machine see options, so prefer the variable.",
            envvar="COOLFUSION_API_KEY",
            show_envvar=True,
            show_default=False,
            rich_help_panel=LISTENING,
        ),
    ] = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Serve other machines without a key.", rich_help_panel=LISTENING)
    ] = False,
    max_running: Annotated[
        int, typer.Option(help="Texts that are written at the same time.", rich_help_panel=LIMITS)
    ] = 32,
    max_waiting: Annotated[
        int, typer.Option(help="Texts that may wait for room; more get the status 429.", rich_help_panel=LIMITS)
    ] = 64,
    max_cached_tokens: Annotated[
        int | None, typer.Option(help="Tokens that all caches may hold together.", rich_help_panel=LIMITS)
    ] = None,
    max_connections: Annotated[int, typer.Option(help="Open connections.", rich_help_panel=LIMITS)] = 512,
    max_body_bytes: Annotated[int, typer.Option(help="Size of a request's body.", rich_help_panel=LIMITS)] = 1 << 20,
    timeout: Annotated[float, typer.Option(help="Seconds that an answer may take.", rich_help_panel=LIMITS)] = 300.0,
    shutdown_timeout: Annotated[
        float, typer.Option(help="Seconds for running requests at the end.", rich_help_panel=LIMITS)
    ] = 30.0,
    device: Device = None,
    dtype: Dtype = "auto",
    threads: Threads = None,
    processes: Processes = False,
    pass_timeout: Annotated[
        float | None, typer.Option(help="Seconds that a pass of a model may take.", rich_help_panel=LIMITS)
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="The rule of requests that name none.", rich_help_panel=WRITING)
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A file of `coolfusion pool`, in place of a rule.", rich_help_panel=WRITING)
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(help=f"The unit of requests that name none: {', '.join(GRANULARITIES)}.", rich_help_panel=WRITING),
    ] = None,
) -> None:
    """Serve the fused models with OpenAI's interface (needs the extra `serve`)."""
    from coolfusion.serve import ServerSettings
    from coolfusion.serve import serve as run

    names = names_of(models, more_models)
    settings = ServerSettings(
        name=name,
        host=host,
        port=port,
        api_key=api_key or None,
        without_key=without_key,
        max_waiting=max_waiting,
        max_connections=max_connections,
        max_body_bytes=max_body_bytes,
        timeout=timeout,
        shutdown_timeout=shutdown_timeout,
    )
    as_rule(DEFAULT_RULE if rule is None else rule)
    plan = None if recipe is None else read_recipe(recipe)
    if granularity is not None:
        check_choice("granularity", granularity, GRANULARITIES)
    console = Console(stderr=True)
    fusion = load(
        names,
        console,
        device=device,
        dtype=dtype,
        threads=threads,
        processes=processes,
        pass_timeout=pass_timeout,
        rule=rule,
        recipe=plan,
        granularity=granularity,
        max_concurrent_requests=max_running,
        max_cached_tokens=max_cached_tokens,
    )

    def tell(address: str) -> None:
        line = f"{settings.name} listens on {address}/v1 (Ctrl-C ends it)"
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with fusion:
        try:
            interrupted = run(fusion, settings, tell)
        except OSError as err:
            raise ArgumentError(f"{host}:{port} cannot be listened on ({err.strerror}); expected a free port") from err
    if interrupted:
        raise typer.Exit(INTERRUPTED)
