"""Parts of the tests of the command line: one call of it, and a stand-in for models that are loaded."""

from __future__ import annotations

import pytest

from coolfusion.cli import run
from coolfusion.fusion import Fusion


def call(arguments, code=0):
    """Runs a command in this process; it must end with the code."""
    with pytest.raises(SystemExit) as caught:
        run([str(each) for each in arguments])
    assert (caught.value.code or 0) == code


class Loaded:
    """Takes the place of `Fusion.from_pretrained`: notes how it is called, and returns what `make` makes."""

    def __init__(self, monkeypatch, make):
        self.calls, self._make = [], make
        monkeypatch.setattr(Fusion, "from_pretrained", self)

    def __call__(self, names, **options):
        self.calls.append((names, options))
        return self._make(options)
