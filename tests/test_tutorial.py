"""The tutorial runs as a newcomer runs it: its console and python blocks in order, in one empty folder and one shell.

Commands of coolfusion run in this process, because each would import torch again;
the server and the rest are the shell's.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
PORT = "8000"  # in the page; here a free one stands for it
END = "--end of the output--"


class Part(NamedTuple):
    """A python block, or a command with the output that the page shows."""

    line: int
    kind: str
    code: str
    output: str = ""


def parts(text: str) -> list[Part]:
    """The parts of a page; lines of a console block that begin with `$ ` are commands."""
    found: list[Part] = []
    for block in re.finditer(r"^```(python|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, block.start()) + 2
        if block[1] == "python":
            found.append(Part(line, "python", block[2]))
            continue
        assert block[2].startswith("$ "), f"line {line}: a console block begins with a command"
        commands = re.finditer(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block[2], re.MULTILINE)
        found += [Part(line + block[2].count("\n", 0, each.start()), "console", each[1], each[2]) for each in commands]
    return found


def agrees(expected: str, output: str) -> bool:
    """Whether an output is the one of the page, but for `...` and the numbers of spaces."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected, output, flags)


class Shell:
    """One bash in a folder; `run` returns the standard output of a command that must succeed."""

    def __init__(self, folder: Path) -> None:
        programs = folder / ".programs"
        programs.mkdir()
        for name, module in (("python", ""), ("coolfusion", " -m coolfusion")):
            (programs / name).write_text(
                f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{module} "$@"\n', encoding="utf-8"
            )
            (programs / name).chmod(0o755)
        self._errors = (folder / ".errors").open("w+", encoding="utf-8")
        environment = {**os.environ, "PYTHONUTF8": "1", "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        self._bash = subprocess.Popen(
            ["bash", "-m"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            encoding="utf-8", env=environment,
        )  # fmt: skip

    def run(self, command: str) -> str:
        assert self._bash.stdin and self._bash.stdout
        self._bash.stdin.write(f"{command}\ncode=$?; echo; echo '{END}' $code\n")
        self._bash.stdin.flush()
        lines = []
        for line in self._bash.stdout:
            if line.startswith(END):
                assert line.split()[-1] == "0", f"{command}\n{''.join(lines)}{self.errors()}"
                break
            lines.append(line)
        return "".join(lines)[:-1]

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def close(self) -> None:
        """Ends the shell and the programs that it runs in the background, and waits for them."""
        assert self._bash.stdin
        self._bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit\n")
        try:
            self._bash.communicate(timeout=60)
        finally:
            self._errors.close()


@pytest.fixture
def shell(tmp_path):
    made = Shell(tmp_path)
    yield made
    made.close()


def in_this_process(arguments: list[str], capsys) -> str:
    from coolfusion.cli import run

    with pytest.raises(SystemExit) as caught:
        run(arguments)
    told = capsys.readouterr()
    assert not caught.value.code, told.err
    return told.out


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def test_parts_of_a_page():
    text = "x\n```console\n$ ls\na\n...\n$ true\n```\n\n```sh\nno\n```\n```python\ny = 1\n```\n"
    assert parts(text) == [
        Part(3, "console", "ls", "a\n...\n"),
        Part(6, "console", "true"),
        Part(13, "python", "y = 1\n"),
    ]
    assert agrees("a\n...\nb...\n", "a \n1\n2\nbcd\n") and not agrees("a\n", "b\n")


def test_a_command_that_fails_is_an_error(shell):
    assert shell.run("X=3; echo $X") == "3\n"
    with pytest.raises(AssertionError, match="no_such_command"):
        shell.run("no_such_command")


@pytest.mark.slow
def test_the_tutorial_runs(shell, tmp_path, monkeypatch, capsys):
    if Path(__file__).with_name("test_wheel.py").is_file() and not os.environ.get("COOLFUSION_TUTORIAL"):
        pytest.skip("test_wheel.py runs this page from the wheel; COOLFUSION_TUTORIAL=1 runs it on the sources")
    for package in ("torch", "transformers", "fastapi", "uvicorn", "prometheus_client", "openai"):
        pytest.importorskip(package, reason=f"the tutorial needs {package}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    port, namespace = free_port(), {"__name__": "__main__"}
    every = parts(PAGE.read_text(encoding="utf-8"))
    assert [each.kind for each in every].count("python") >= 4 and len(every) > 14
    for part in every:
        code = part.code.replace(PORT, port)
        if part.kind == "python":
            exec(compile("\n" * (part.line - 1) + code, str(PAGE), "exec"), namespace)
            continue
        if code.startswith("coolfusion ") and not code.endswith("&"):
            words = shlex.split(shell.run(f"printf '%q ' {code}"))
            output = in_this_process(words[1:], capsys)
        else:
            output = shell.run(code)
        if part.output or not code.endswith("&"):
            assert agrees(part.output, output), f"line {part.line}: {code}\nexpected:\n{part.output}\ngot:\n{output}"
