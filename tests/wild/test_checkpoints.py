"""Checkpoints that lack something: every architecture, every kind of weight, every way of writing them down."""

from __future__ import annotations

import re
import shutil

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from safetensors.torch import load_file, save_file  # noqa: E402 - after the skip

from architectures import ARCHITECTURES, OTHERS, build  # noqa: E402
from coolfusion.errors import ModelError  # noqa: E402
from coolfusion.models.transformers.weights import load_module  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs

ALL = [*ARCHITECTURES, *OTHERS]
LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


def load(folder):
    return load_module(str(folder), "auto", False, {})


def rewritten(folder, change):
    """The weights of a folder, changed."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def kinds(names):
    """One name of each kind of weight: those of other layers are left out."""
    found = {}
    for name in sorted(names):
        found.setdefault(LAYER.sub("*", name), name)
    return sorted(found.values())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A function: the saved checkpoint of an architecture."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("checkpoint") / "model"
            build(name).save_pretrained(made[name])
        return made[name]

    return folder


@pytest.mark.parametrize("name", ALL)
def test_whole_checkpoints_of_every_architecture_load_and_none_that_lacks_a_weight(name, folders, tmp_path):
    whole = folders(name)
    module = load(whole)
    wanted = build(name).state_dict()
    for key, value in module.state_dict().items():
        assert torch.equal(value, wanted[key]), key
    names = kinds(load_file(whole / "model.safetensors"))
    parameters = set(dict(module.named_parameters(remove_duplicate=False)))
    accepted = []
    for number, lost in enumerate(names):
        path = tmp_path / str(number)
        shutil.copytree(whole, path)
        rewritten(path, lambda weights, lost=lost: weights.pop(lost))
        try:
            again = load(path)
        except ModelError as err:
            assert str(path) in str(err)
            # Several weights of a file may become one of the model, as those of experts do.
            assert lost in str(err) or any(key in str(err) for key in wanted if key not in names), err
        else:
            # Whatever loads must be what it was: tables that a model computes.
            for key, value in again.state_dict().items():
                assert torch.equal(value, wanted[key]), (lost, key)
            accepted.append(lost)
        shutil.rmtree(path)
    assert len(names) - len(accepted) >= 5
    assert not set(accepted) & parameters, "a parameter came from nowhere"
