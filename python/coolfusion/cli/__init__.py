"""Parses the command line, calls the library and prints, with no logic of its own.

Text goes to stdout and everything about it to stderr, because scripts read stdout. An error of the library is one line
on stderr, with the exit code 2.
"""

from coolfusion.cli.app import run

__all__ = ["run"]
