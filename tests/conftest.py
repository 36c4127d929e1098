"""Hypothesis profiles, the folder of real data, and fixtures that the project makes itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Proofs of earlier runs are no proofs of this code; the tests of the memory set a folder of their own.
os.environ["COOLFUSION_CACHE"] = "off"
settings.register_profile(
    "dev", max_examples=25, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples at every run of the same tests, so that a red run is the change's own; `nightly` looks further.
settings.register_profile("ci", parent=settings.get_profile("dev"), max_examples=60, derandomize=True, database=None)
settings.register_profile("nightly", parent=settings.get_profile("dev"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


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
