"""A fusion with threads in a forked process: there are no threads there but the one that forked."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

SCRIPT = """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    sys.path.insert(0, {tests!r})
    from coolfusion.fusion import Fusion
    from fusion_parts import toy, writer

    tokenizers = [toy(" cat", " sat"), toy()]
    members = [writer(each, "a cat sat on the mat") for each in tokenizers]
    for number, member in enumerate(members):
        member.runner.device = f"device {{number}}" if {apart} else "script"
    fusion = Fusion(members, pass_timeout={limit})
    fusion.generate("a")
    stream, other = fusion.stream("a"), fusion.stream("a cat sat")
    assert next(stream).text == " cat"
    pid = os.fork()
    if pid == 0:
        rest = "".join(step.text for step in stream)
        more = "".join(step.text for step in other)
        text = fusion.generate("a").text
        os._exit(0 if (text, rest, more) == (" cat sat on the mat", " sat on the mat", " on the mat") else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert fusion.generate("a").text == " cat sat on the mat"
    assert "".join(step.text for step in stream) == " sat on the mat"
"""


@pytest.mark.parametrize(("apart", "limit"), [(False, 20.0), (True, None), (True, 20.0), (False, None)])
def test_a_forked_child_writes_as_its_parent_does(apart, limit):
    script = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parents[1]), apart=apart, limit=limit)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_forked_child_runs_models_with_weights():
    pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
    pytest.importorskip("transformers", reason="the loop on real models needs transformers")
    script = """
        import os, warnings
        warnings.simplefilter("ignore")
        import torch
        torch.set_num_threads(1)
        from coolfusion.embedded import folders
        from coolfusion.fusion import Fusion

        fusion = Fusion.from_pretrained(folders()[:2], device="cpu", pass_timeout=100.0)
        text = fusion.generate("Once upon a time", 8).text
        pid = os.fork()
        if pid == 0:
            os._exit(0 if fusion.generate("Once upon a time", 8).text == text else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
