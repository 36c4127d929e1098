"""Ctrl-C at the command line: what was written is printed, and the exit code is 130."""

from __future__ import annotations

import json
import os
import signal

import pytest

typer = pytest.importorskip("typer", reason="the command line needs typer: pip install 'coolfusion[hf]'")

from coolfusion import cli  # noqa: E402 - after the skip
from coolfusion.fusion import Fusion  # noqa: E402
from fusion_parts import toy, writer  # noqa: E402


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("options", [[], ["--json"], ["--rerank"]])
def test_what_was_written_is_printed_and_the_code_is_130(monkeypatch, capsys, options):
    calls = []
    members = [writer(toy(" cat", " sat", " on"), "a cat sat on"), writer(toy(), "a cat sat on")]
    rows = members[0].runner._logits

    def row(ids):
        calls.append(ids)
        if len(calls) == (9 if options == ["--rerank"] else 4):
            os.kill(os.getpid(), signal.SIGINT)
        return rows(ids)

    members[0].runner._logits = row
    fusion = Fusion(members, drafts=0)
    monkeypatch.setattr(Fusion, "from_pretrained", lambda *_, **__: fusion)
    with pytest.raises(SystemExit) as caught:
        cli.run(["generate", "--models", "x", "--prompt", "a", *options])
    assert caught.value.code == 130
    out, err = capsys.readouterr()
    text = json.loads(out)["text"] if options == ["--json"] else out.removesuffix("\n")
    assert text and " cat sat on".startswith(text)
    assert "finish: None" in err or options == ["--rerank"], "a rerank may have its fused text already"
