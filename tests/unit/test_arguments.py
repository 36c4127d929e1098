"""A wrong argument is found before torch is imported and anything is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from coolfusion import executors
from coolfusion.embedded import folders
from coolfusion.errors import ArgumentError, ModelError, NoModelsError
from coolfusion.fusion import Fusion
from coolfusion.fusion import fusion as module

WRONG = [
    ({"alignment": "sideways"}, "alignment 'sideways' is unknown; expected 'aligned' or 'shortest'"),
    ({"rule": 3}, "rule must be a name, a spec, a SelectionRule or"),
    ({"rule": "papre"}, "rule 'papre' is unknown; expected one of boldest, confident, geometric"),
    ({"drafts": -1}, "drafts must be None or a whole number"),
    ({"drafts": True}, "drafts must be None or a whole number"),
    ({"executor": "clouds"}, "executor 'clouds' is unknown; expected None or 'processes'"),
    ({"pass_timeout": 0.0}, "pass_timeout must be None or a positive number"),
    ({"max_concurrent_requests": 0}, "max_concurrent_requests must be a whole number"),
    ({"max_cached_tokens": 1.5}, "max_cached_tokens must be a whole number"),
    ({"threads": 0}, "threads must be None or a whole number"),
    ({"device": ["cpu"]}, "1 devices for 3 models"),
    ({"dtype": "float31"}, "dtype 'float31' is unknown"),
]


@pytest.fixture
def nothing_loads(monkeypatch):
    def fail(*_, **__):
        pytest.fail("loaded before the arguments were checked")

    monkeypatch.setattr(module, "load_models", fail)
    monkeypatch.setattr(executors.processes.ProcessWorker, "__init__", fail)


@pytest.mark.parametrize("executor", [None, "processes"])
@pytest.mark.parametrize(("options", "message"), WRONG, ids=[next(iter(options)) for options, _ in WRONG])
def test_a_wrong_argument_is_found_before_anything_is_loaded(nothing_loads, options, message, executor):
    with pytest.raises(ArgumentError, match=message):
        Fusion.from_pretrained(folders(), **{"executor": executor, **options})


@pytest.mark.parametrize("executor", [None, "processes"])
def test_a_wrong_name_is_found_before_a_process_is_started(nothing_loads, executor, tmp_path):
    with pytest.raises(ModelError, match="no such directory"):
        Fusion.from_pretrained([*folders(), tmp_path / "none"], executor=executor)
    with pytest.raises(NoModelsError):
        Fusion.from_pretrained([], executor=executor)


@pytest.mark.parametrize("old", ["time_limit", "texts_in_step"])
def test_the_old_names_are_checked_too(nothing_loads, old):
    with pytest.warns(DeprecationWarning, match=old), pytest.raises(ArgumentError, match="-1"):
        Fusion.from_pretrained(folders(), **{old: -1})


def test_torch_is_not_imported_for_it():
    code = (
        "import sys\nfrom coolfusion import Fusion, ArgumentError\nfrom coolfusion.embedded import folders\n"
        "for wrong in ({'alignment': 'x'}, {'dtype': 'x'}, {'device': []}, {'rule': 'x'}, {'drafts': 'x'}):\n"
        "    try: Fusion.from_pretrained(folders(), **wrong)\n"
        "    except ArgumentError: print(next(iter(wrong)))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["alignment", "dtype", "device", "rule", "drafts"]
