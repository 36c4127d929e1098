"""Ctrl-C at the command line: what was written is printed, and the exit code is 130."""

from __future__ import annotations

import json
import os
import signal

import pytest

from coolfusion import cli
from coolfusion.fusion import Fusion
from fusion_parts import toy, writer


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("options", [[], ["--json"], ["--rerank"], ["--prompts-file"]])
def test_what_was_written_is_printed_and_the_code_is_130(monkeypatch, capsys, tmp_path, options):
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
    prompt = ["--prompt", "a"]
    if options == ["--prompts-file"]:
        file = tmp_path / "prompts.jsonl"
        file.write_text('"a"\n', encoding="utf-8")
        prompt, options = [], ["--prompts-file", str(file)]
    with pytest.raises(SystemExit) as caught:
        cli.run(["generate", "--models", "x", *prompt, *options])
    assert caught.value.code == 130
    out, err = capsys.readouterr()
    text = json.loads(out)["text"] if options == ["--json"] or not prompt else out.removesuffix("\n")
    assert text and " cat sat on".startswith(text)
    if not prompt:
        assert json.loads(out)["finish_reason"] is None
    else:
        assert "finish: None" in err or options == ["--rerank"], "a rerank may have its fused text already"
