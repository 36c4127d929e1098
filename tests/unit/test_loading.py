from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from fusion_parts import BOS, END, toy_inner

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from architectures import SIZES  # noqa: E402 - after the skip
from coolfusion.errors import ArgumentError, ModelError  # noqa: E402
from coolfusion.fusion import Fusion  # noqa: E402
from coolfusion.models.transformers import loading  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own affairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A complete model directory with random weights and a toy tokenizer that puts BOS in front."""
    import tokenizers

    inner = toy_inner(" cat", " sat")
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", END)]
    )
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**{**SIZES, "vocab_size": inner.get_vocab_size() + 4}, eos_token_id=[END])
    path = tmp_path_factory.mktemp("models") / "tiny"
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    wrapped.save_pretrained(path)
    return path


def test_a_directory_becomes_a_member_and_twice_the_same_shares_the_weights(folder, capfd):
    fusion = Fusion.from_pretrained([folder, str(folder)], device="cpu", dtype="float64", rule="paper")
    assert "%|" not in capfd.readouterr().err, "no progress bars on stderr"
    one, two = fusion.members
    assert one.prefix_ids == (BOS,), "the BOS in front, not the EOS after"
    assert one.runner.eos_token_ids == (END,)
    assert one.runner.describe()["dtype"] == "float64"
    assert one.runner is not two.runner
    assert one.model is two.model is one.runner.module
    output = fusion.generate("a cat", 8)
    assert output.members[0].prompt_ids[0] == BOS
    assert output.members[0].token_ids == output.members[1].token_ids


def damaged(folder: Path, tmp_path: Path, *remove: str) -> Path:
    path = tmp_path / "damaged"
    shutil.copytree(folder, path)
    for name in remove:
        (path / name).unlink()
    return path


def test_what_is_wrong_with_a_directory_is_said(folder, tmp_path):
    def refuse(name, match):
        with pytest.raises(ModelError, match=match):
            Fusion.from_pretrained([name])

    refuse(tmp_path / "none", "no such directory")
    refuse(str(tmp_path / "none"), "no such directory")
    refuse("./none", "no such directory")
    (tmp_path / "file").write_text("x")
    refuse(tmp_path / "file", "a file")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", "no config.json")
    path = damaged(folder, tmp_path, "model.safetensors")
    refuse(path, "no weights; expected")
    (path / "pytorch_model.bin").write_bytes(b"\x80\x04not opened")
    refuse(path, "pickle .pytorch_model.bin.*convert them to safetensors")
    (path / "model.safetensors").write_bytes(b"broken")
    refuse(path, "model.safetensors: no safetensors file, or cut off")
    (path / "tokenizer.json").write_text("{broken")
    refuse(path, "tokenizer.json: not JSON")
    (path / "config.json").write_text("")
    refuse(path, "config.json: not JSON")


def test_every_name_is_checked_before_anything_is_loaded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_load_one", lambda *_: pytest.fail("loaded too early"))
    with pytest.raises(ModelError, match="no such directory"):
        Fusion.from_pretrained([folder, folder, tmp_path / "none"])
    with pytest.raises(ArgumentError, match="device 'abacus'"):
        Fusion.from_pretrained([folder], device="abacus")
    with pytest.raises(ArgumentError, match="2 devices for 1 models"):
        Fusion.from_pretrained([folder], device=["cpu", "cpu"])
    for wrong in ("float31", "int64", 32):
        with pytest.raises(ArgumentError, match="dtype"):
            Fusion.from_pretrained([folder], dtype=wrong)


def test_threads_are_set_when_asked_for_and_never_else(folder):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        Fusion.from_pretrained([folder])
        assert torch.get_num_threads() == 2
        Fusion.from_pretrained([folder], threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_name_that_is_no_path_is_left_to_transformers():
    assert loading.check_model_name("org/model") == "org/model"
    assert loading.check_model_name("gpt2") == "gpt2"


def test_options_of_transformers_are_passed_on(folder):
    fusion = Fusion.from_pretrained([folder], attn_implementation="eager")
    assert fusion.members[0].model.config._attn_implementation == "eager"
    assert fusion.generate("a cat", 4).finish_reason is not None
    with pytest.raises(ModelError, match="cannot be loaded"):
        Fusion.from_pretrained([folder], attn_implementation="abacus")


def test_a_device_map_is_left_to_transformers(folder):
    if importlib.util.find_spec("accelerate") is None:
        with pytest.raises(ModelError, match="accelerate"):
            Fusion.from_pretrained([folder], device_map="cpu")
    else:
        assert Fusion.from_pretrained([folder], device_map="cpu").generate("a cat", 4).finish_reason is not None


def test_an_adapter_needs_its_base_and_says_so(folder, tmp_path):
    path = damaged(folder, tmp_path, "config.json")
    (path / "adapter_config.json").write_text('{"base_model_name_or_path": "./none", "peft_type": "LORA"}')
    with pytest.raises(ModelError, match=r"\./none: no local directory"):
        Fusion.from_pretrained([path])
