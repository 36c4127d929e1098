"""Configuration files and weights with wrong values: a folder loads, or an error of ours names file and field."""

from __future__ import annotations

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from safetensors.torch import load_file, save_file  # noqa: E402 - after the skip

from architectures import SIZES, from_config  # noqa: E402
from coolfusion.errors import CoolFusionError, CoolFusionWarning, ModelError  # noqa: E402
from coolfusion.fusion import Fusion  # noqa: E402
from fusion_parts import END, toy_inner  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs

WRONG = (None, "two", "", -1, 0, 2.5, True, [], {}, 10**9, 10**30)


def saved(config, path):
    """A folder with a toy tokenizer and random weights."""
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=toy_inner(" cat"), bos_token="<s>", eos_token="</s>"
    )
    from_config(config).save_pretrained(path)
    wrapped.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Whole folders of several architectures, by name."""
    rows = {"vocab_size": toy_inner(" cat").get_vocab_size() + 4}
    made = tmp_path_factory.mktemp("models")
    ids = {"bos_token_id": 0, "eos_token_id": END, "pad_token_id": 0}
    t = transformers
    gpt = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96}
    configs = {
        "llama": t.LlamaConfig(**{**SIZES, **rows, **ids}, tie_word_embeddings=False),
        "gpt2": t.GPT2Config(**gpt, **rows, **ids),
        "gemma3": t.Gemma3TextConfig(**{**SIZES, **rows, **ids}, head_dim=8, sliding_window=8),
        "qwen3": t.Qwen3Config(**{**SIZES, **rows, **ids}, head_dim=8),
        "mamba": t.MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4, **rows, **ids),
    }
    return {name: saved(config, made / name) for name, config in configs.items()}


@pytest.fixture
def copied(folders, tmp_path):
    """A function: a copy of a folder, of which one JSON file may be changed."""

    def copy(name="llama", file=None, **changes):
        path = tmp_path / "copy"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(folders[name], path)
        if file is not None:
            found = json.loads((path / file).read_text(encoding="utf-8"))
            (path / file).write_text(json.dumps(found | changes), encoding="utf-8")
        return path

    return copy


def load(path):
    return Fusion.from_pretrained([path], device="cpu")


def refused(path, *words):
    with pytest.raises(ModelError) as caught:
        load(path)
    for word in words:
        assert word in str(caught.value), caught.value


# Mamba is left out because its scan runs in Python: all of its wrong values take seven minutes.
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "qwen3"])
def test_every_field_with_every_wrong_value_loads_or_is_refused_by_us(name, folders, copied):
    fields = json.loads((folders[name] / "config.json").read_text(encoding="utf-8"))
    refusals = loads = 0
    for field in sorted(fields):
        for value in WRONG:
            path = copied(name, "config.json", **{field: value})
            try:
                fusion = load(path)
                fusion.generate("a cat", 2)
                loads += 1
            except CoolFusionError as err:
                assert field in str(err) or "weights" in str(err), (field, value, err)
                refusals += 1
    assert refusals > 60 and loads > 20


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("num_hidden_layers", "two", "'two'"),
        ("num_hidden_layers", 10**9, "1000000000"),
        ("num_hidden_layers", 2.0, "2.0"),
        ("num_hidden_layers", True, "True"),
        ("num_attention_heads", 0, "0"),
        ("num_attention_heads", 5, "5"),
        ("num_key_value_heads", 3, "3"),
        ("hidden_size", -32, "-32"),
        ("vocab_size", 10**12, "1000000000000"),
        ("max_position_embeddings", None, "None"),
        ("max_position_embeddings", "2048", "'2048'"),
        ("max_position_embeddings", 0, "0, expected at least 1"),
        ("hidden_act", "nope", "nope"),
        ("rms_norm_eps", "x", "'x'"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_file(copied, field, value, shown):
    path = copied("llama", "config.json", **{field: value})
    refused(path, field, shown, "config.json", str(path))


@pytest.mark.parametrize("value", ["</s>", 1.0, [["a"]], {"a": 1}, True, [True], [1, "2"], -1, 10**6, [1, 10**6]])
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_an_end_that_is_no_id_is_named(copied, file, value):
    refused(copied("llama", file, eos_token_id=value), file, "eos_token_id", str(value))


@pytest.mark.parametrize(("value", "ends"), [(None, {END}), (3, {3, END}), ([3, 4], {3, 4, END}), ([], {END})])
def test_an_end_may_be_null_an_id_or_a_list(copied, value, ends):
    fusion = load(copied("llama", "generation_config.json", eos_token_id=value))
    assert set(fusion.members[0].runner.eos_token_ids) == ends


def test_a_default_that_nobody_chose_may_lie_outside(tmp_path):
    """GPT-2's class says 50256, and so does every file that a small model of it is saved to."""
    config = transformers.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4)
    path = saved(config, tmp_path / "gpt2")
    assert json.loads((path / "generation_config.json").read_text())["eos_token_id"] == 50256
    assert load(path).members[0].runner.logits_size == 97


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{", "", "[" * 10**5])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_file_that_holds_no_object_is_named(copied, file, text):
    path = copied()
    (path / file).write_text(text, encoding="utf-8")
    refused(path, file)


def test_what_is_no_causal_language_model_is_named(copied, tmp_path):
    refused(copied("llama", "config.json", model_type="abacus"), "model_type 'abacus'", "config.json")
    refused(copied("llama", "config.json", model_type=None), "model_type is None")
    refused(copied("llama", "config.json", model_type="t5"), "'t5' is no causal language model")
    bert = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, vocab_size=97
    )
    path = copied()
    transformers.BertForMaskedLM(bert).save_pretrained(path)
    refused(path, "BertForMaskedLM", "expected BertLMHeadModel")
    remote = {"auto_map": {"AutoModelForCausalLM": "code.Mine"}, "model_type": "mine"}
    refused(copied("llama", "config.json", **remote), "auto_map", "trust_remote_code=True")
    path = copied()
    (path / "config.json").unlink()
    refused(path, "no config.json")


def test_shards_that_are_missing_and_files_that_were_cut_off_are_named(copied):
    path = copied()
    weights = load_file(path / "model.safetensors")
    whole = (path / "model.safetensors").read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (path / "model.safetensors").write_bytes(whole[:size])
        refused(path, "model.safetensors", "cut off")
    (path / "model.safetensors").write_bytes(whole + b"x")
    refused(path, "cut off or changed")
    (path / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, path / file, metadata={"format": "pt"})
    placed = {name: file for file, held in shards.items() for name in held}
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": placed}), encoding="utf-8")
    assert load(path).generate("a cat", 2).finish_reason
    index.write_text(json.dumps({"weight_map": placed | {"more": "model-00002-of-00002.safetensors"}}))
    refused(path, "index.json", "more")
    for wrong in ({}, {"weight_map": 3}, {"weight_map": {}}, {"weight_map": {"a": 1}}, {"weight_map": {"a": "../b"}}):
        index.write_text(json.dumps(wrong), encoding="utf-8")
        refused(path, "model.safetensors.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": placed}), encoding="utf-8")
    (path / "model-00002-of-00002.safetensors").unlink()
    refused(path, "1 of 2 files", "model-00002-of-00002.safetensors")


def changed(path, change):
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def test_weights_of_other_shapes_and_without_values_are_named(copied):
    head = "lm_head.weight"

    def cut(weights):
        weights[head] = weights[head][:-1].clone()

    refused(changed(copied(), cut), head, "another shape")
    refused(changed(copied(), lambda weights: weights.pop(head)), "lacks 1 weights", head)
    refused(changed(copied(), lambda weights: weights[head].fill_(float("nan"))), "nothing but nan", head)
    norm = "model.layers.0.input_layernorm.weight"
    # One number of a norm: every row of logits is nan, though no weight is so throughout.
    refused(changed(copied(), lambda weights: weights[norm][3:4].fill_(float("nan"))), "no number")


def test_weights_for_more_layers_than_the_configuration_tells_of_give_a_warning(copied):
    path = copied("llama", "config.json", num_hidden_layers=1)
    with pytest.warns(CoolFusionWarning, match=r"weights for more layers.*model\.layers\.1"):
        load(path)


def test_an_adapter_that_lacks_a_weight_is_refused(folders, tmp_path):
    peft = pytest.importorskip("peft", reason="adapters need peft")
    for lost in ("adapter", "base"):
        base = tmp_path / f"base-{lost}"
        shutil.copytree(folders["llama"], base)
        module = peft.get_peft_model(
            transformers.AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(r=2, target_modules="all-linear")
        )
        path = tmp_path / lost
        module.save_pretrained(path)
        assert load(path).members[0].runner.strategy == "tree"
        file = path / "adapter_model.safetensors" if lost == "adapter" else base / "model.safetensors"
        weights = load_file(file)
        weights.pop(sorted(weights)[-1])
        save_file(weights, file, metadata={"format": "pt"})
        refused(path, "lacks 1 weights")
