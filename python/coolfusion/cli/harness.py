"""Runs `coolfusion lm-eval`, the command line of lm-evaluation-harness, which then knows pools."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

__all__ = ["lm_eval"]


def lm_eval(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OPTIONS...",
            help="Options of lm_eval, for example --model coolfusion --model_args 'models=DIR_A|DIR_B,rule=mixture' "
            "--tasks gsm8k.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run lm-evaluation-harness with the model `coolfusion` (needs the extra `eval`)."""
    from lm_eval.__main__ import cli_evaluate

    import coolfusion.evaluation.harness  # noqa: F401 - registers the model, or says what to install

    sys.argv = ["lm_eval", *(arguments or ())]
    cli_evaluate()
