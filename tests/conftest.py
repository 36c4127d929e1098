"""Hypothesis profiles, the folder of real data, and fixtures that the project makes itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Proofs of earlier runs are no proofs of this code; the tests of the memory set a folder of their own.
os.environ["COOLFUSION_CACHE"] = "off"
# Processes of `pytest -n` share the cores, because threads of torch that wait for a core cost more than they bring.
# Processes that a test starts inherit the number.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    cores = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))
settings.register_profile(
    "dev", max_examples=25, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples at every run of the same tests, so that a red run is the change's own; `nightly` looks further.
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, database=None)
settings.register_profile("nightly", parent=settings.get_profile("dev"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Files of one test that takes a minute on all cores. Begun last, it would end alone.
LONGEST = ("test_same_passes.py",)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of `LONGEST` first, because the processes of `pytest -n` begin at the front; no others move."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def data_folder() -> Path | None:
    """The folder of real tokenizers, texts and models, or None where the variable is unset."""
    value = os.environ.get("COOLFUSION_DATA")
    if not value:
        return None
    folder = Path(value)
    if not (folder / "tokenizers").is_dir():
        raise pytest.UsageError(
            f"COOLFUSION_DATA is {value!r}: expected a folder that holds tokenizers/, text/ and models/"
        )
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; the test is skipped, with the reason, where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("COOLFUSION_DATA is not set: this test reads real tokenizers, texts or models")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums of floats in one order, and no fight for the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also in a background job of a shell, which starts its processes without that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
