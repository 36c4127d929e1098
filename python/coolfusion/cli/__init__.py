"""The command line: parses, calls the library and prints, with no logic of its own.

Text goes to stdout, everything about it to stderr. Errors of the library are one line and exit code 2.
"""

from coolfusion.cli.app import run

__all__ = ["run"]
