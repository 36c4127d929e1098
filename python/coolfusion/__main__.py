"""`python -m coolfusion` and the command `coolfusion`, which run the command line or name a missing package."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line with the process's arguments."""
    try:
        import rich  # noqa: F401 - the test is whether they can be imported
        import typer  # noqa: F401
    except ImportError as err:  # they are dependencies, and an installation without dependencies is possible
        print(f"coolfusion: the command line needs {err.name}: pip install {err.name}", file=sys.stderr)
        raise SystemExit(2) from err
    from coolfusion.cli import run

    run(sys.argv[1:])


if __name__ == "__main__":
    main()
