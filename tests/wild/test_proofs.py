"""The load probe: what it remembers, when it forgets, and the faults of windows that it must find."""

from __future__ import annotations

import json
import sys
import warnings

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from architectures import HEAD, SIZES, build, from_config  # noqa: E402 - after the skip
from coolfusion import Tokenizer  # noqa: E402
from coolfusion.errors import CoolFusionWarning  # noqa: E402
from coolfusion.models.transformers import proofs, rebuilt, selftest, short_window  # noqa: E402
from coolfusion.models.transformers.model import HuggingFaceModel  # noqa: E402
from coolfusion.models.transformers.strategies.tree import TreeStrategy  # noqa: E402
from fusion_parts import toy_inner  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs

LONG = {**SIZES, "max_position_embeddings": 2048}


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty folder of proofs that is in use."""
    monkeypatch.setenv("COOLFUSION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "proofs"


def run(module, name="tiny"):
    runner = HuggingFaceModel(module, name=name)
    return runner, runner.proof["how"]


@pytest.mark.parametrize("name", ["llama", "mpt, alibi", "mamba", "gemma3", "bamba", "xlnet, looks ahead"])
def test_a_proof_is_remembered_and_says_so(name, memory):
    attention = "eager" if name in ("mpt, alibi", "mamba", "xlnet, looks ahead") else "sdpa"
    first, how = run(build(name, attn_implementation=attention))
    assert how == "tested"
    second, how = run(build(name, attn_implementation=attention))
    assert how == "remembered"
    assert (second.strategy, second.selftest_errors) == (first.strategy, first.selftest_errors)
    assert json.loads(json.dumps(second.describe()))["proof"]["seconds"] > 0
    assert (second.forward_passes, second.processed_tokens) == (0, 0)
    assert [file.suffix for file in memory.iterdir()] == [".json"], "no halves of files"


def test_what_a_proof_depends_on_is_in_its_key(memory, monkeypatch):
    config = transformers.LlamaConfig(**SIZES)
    keys = set()

    def key(module):
        found = proofs.key_of(HuggingFaceModel(module, name="tiny", strategy="recompute").passes)
        assert found is not None
        keys.add(found)
        return found

    assert key(from_config(config)) == key(from_config(config))
    key(from_config(config, attn_implementation="eager"))
    key(from_config(config).double())
    key(
        from_config(
            transformers.LlamaConfig(**{**SIZES, "rope_parameters": {"rope_type": "default", "rope_theta": 5.0}})
        )
    )
    other = from_config(config)
    with torch.no_grad():
        other.lm_head.weight[0, 0] += 1.0
    key(other)
    with monkeypatch.context() as patch:
        patch.setattr(proofs, "own_code", lambda: "other code")
        key(from_config(config))
    runner = HuggingFaceModel(from_config(config), name="tiny", strategy="recompute")
    monkeypatch.setattr(type(runner.module.model.layers[0].self_attn), "forward", lambda *arguments: None)
    keys.add(proofs.key_of(runner.passes))
    assert len(keys) == 7 and None not in keys


@pytest.mark.parametrize("library", ["transformers", "torch", "coolfusion"])
def test_another_version_of_a_library_is_another_key(memory, monkeypatch, library):
    runner, _ = run(build("llama"))
    before = proofs.key_of(runner.passes)
    # Not the object at the top of this file: transformers replaces its package in sys.modules while it imports a model.
    monkeypatch.setattr(sys.modules[library], "__version__", "0.0.1")
    after = proofs.key_of(runner.passes)
    assert None not in (before, after) and before != after
    assert run(build("llama"))[1] == "tested"
    monkeypatch.undo()
    assert proofs.key_of(runner.passes) == before


def test_a_comparison_of_tokenizers_is_remembered(memory, monkeypatch, tmp_path):
    place = tmp_path / "tokenizer"
    inner = toy_inner(" cat")
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>").save_pretrained(place)
    tokenizer, made, said = Tokenizer.from_pretrained(place), [], ["a difference"]

    def compare(*_):
        made.append(1)
        return said[0]

    monkeypatch.setattr(rebuilt, "_difference", compare)

    def warned(trust_remote_code=False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CoolFusionWarning)
            rebuilt.warn_of_rebuilt("tiny", tokenizer, str(place), trust_remote_code)
        return [str(each.message) for each in caught if each.category is CoolFusionWarning], len(made)

    first, count = warned()
    assert "a difference" in first[0] and count == 1
    assert warned() == (first, 1), "remembered, and told again"
    said[0] = None
    file = place / "tokenizer_config.json"
    file.write_text(file.read_text() + " ")
    assert warned() == warned() == ([], 2)
    assert warned(trust_remote_code=True)[1] == 3, "code of the folder may read anything"
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["transformers"], "__version__", "0.0.1")
        assert warned()[1] == 4
    [entry, *_] = (memory.parent / "rebuilt").iterdir()
    for each in (memory.parent / "rebuilt").iterdir():
        each.write_text('{"difference": 3}')
    assert warned() == ([], 5) and entry.suffix == ".json"


def test_a_module_that_somebody_steps_into_is_never_remembered(memory):
    hooked = build("llama")
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    patched = build("llama")
    patched.model.norm.forward = patched.model.norm.forward
    for module in (hooked, patched):
        assert run(module)[1] == run(module)[1] == "tested"
    assert not memory.exists()


def only(memory):
    [file] = memory.iterdir()
    return file


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"version": 2, "strategy": "tree"}',
        '{"version": 2, "strategy": "best", "errors": {}}',
        '{"version": 2, "strategy": 3, "errors": {}}',
        '{"strategy": "tree", "errors": {}}',
        '{"version": 1, "strategy": "tree", "errors": {}}',
        '{"tier": "tree", "errors": {}}',
        "[" * 10**5,
    ],
)
def test_a_proof_that_cannot_be_read_is_made_again(memory, text):
    run(build("llama"))
    only(memory).write_text(text, encoding="utf-8")
    assert run(build("llama"))[1] == "tested"
    assert run(build("llama"))[1] == "remembered"


@pytest.mark.parametrize(
    ("name", "wrong"), [("mpt, alibi", "tree"), ("mamba", "copy"), ("falcon_h1, hybrid", "stepwise")]
)
def test_a_remembered_proof_that_is_wrong_is_found_and_replaced(memory, name, wrong):
    attention = "sdpa" if "hybrid" in name else "eager"
    right, _ = run(build(name, attn_implementation=attention))
    only(memory).write_text(json.dumps({"version": proofs.VERSION, "strategy": wrong, "errors": {}}), encoding="utf-8")
    again, how = run(build(name, attn_implementation=attention))
    if wrong != "stepwise":  # slower, and right
        assert (how, again.strategy) == ("tested", right.strategy)
        assert json.loads(only(memory).read_text())["strategy"] == right.strategy
    else:
        assert (how, again.strategy) == ("remembered", "stepwise")


def test_a_fault_that_came_after_the_proof_is_found(memory, monkeypatch):
    assert run(build("llama"))[0].strategy == "tree"
    whole = TreeStrategy._mask

    def open_mask(self, *arguments):
        return whole(self, *arguments) * 0.0  # everything sees everything

    monkeypatch.setattr(TreeStrategy, "_mask", open_mask)
    runner, how = run(build("llama"))
    assert how == "tested" and runner.strategy != "tree"


@pytest.mark.parametrize("value", ["off", "OFF", "0"])
def test_the_memory_can_be_switched_off(monkeypatch, tmp_path, value):
    monkeypatch.setenv("COOLFUSION_CACHE", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run(build("llama"))[1] == run(build("llama"))[1] == "tested"
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("COOLFUSION_CACHE")
    assert [run(build("llama"))[1], run(build("llama"))[1]] == ["tested", "remembered"]
    assert (tmp_path / "coolfusion" / "proofs").is_dir()


def test_a_folder_that_cannot_be_written_to_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("COOLFUSION_CACHE", str(tmp_path / "file"))
    assert run(build("llama"))[1] == run(build("llama"))[1] == "tested"


def windowed(window, kind="gemma3"):
    if kind == "mistral":
        return from_config(transformers.MistralConfig(**LONG, sliding_window=window))
    return from_config(transformers.Gemma3TextConfig(**LONG, **HEAD, sliding_window=window))


def tokens_of_the_probe(module):
    """How many tokens the load reads, and the runner."""
    read = []
    hook = module.register_forward_hook(lambda _, arguments, out: read.append(arguments[0].numel()))
    runner = HuggingFaceModel(module, name="tiny")
    hook.remove()
    return sum(read), runner


@pytest.mark.parametrize("kind", ["gemma3", "mistral"])
@pytest.mark.parametrize("window", [100, 512, 1024])
def test_a_long_window_is_proved_with_a_short_one(kind, window):
    module = windowed(window, kind)
    read, runner = tokens_of_the_probe(module)
    assert runner.strategy == "tree"
    assert read < 500 + 2.1 * (window if window <= 512 else 0), "a walk over the whole window reads six times it"
    assert runner.passes.window == window
    assert module.config.sliding_window == window
    assert {part.sliding_window for part in module.modules() if getattr(part, "sliding_window", None)} <= {window}
    assert module.config.num_hidden_layers == 2


def masks_by(monkeypatch, window_of):
    """Lets the model's own masks have another window than its configuration says."""
    from transformers.models.gemma3 import modeling_gemma3 as gemma

    make = gemma.create_sliding_window_causal_mask

    def changed(config, *arguments, **options):
        said = config.sliding_window
        config.sliding_window = window_of(said)
        try:
            return make(config, *arguments, **options)
        finally:
            config.sliding_window = said

    monkeypatch.setattr(gemma, "create_sliding_window_causal_mask", changed)
    if hasattr(gemma, "create_masks_for_generate"):
        monkeypatch.setattr(gemma, "create_masks_for_generate", gemma.create_masks_for_generate)


@pytest.mark.parametrize(
    "window_of",
    [
        lambda said: said + 1,
        lambda said: said - 1,
        lambda said: said // 2,
        lambda said: 256,
        lambda said: min(said, 256),
    ],
    ids=["one more", "one less", "half", "a number of its own", "at most a number of its own"],
)
def test_a_window_that_is_not_the_one_of_the_configuration_is_found(monkeypatch, window_of):
    """The last one agrees with every short window that is set."""
    masks_by(monkeypatch, window_of)
    runner = HuggingFaceModel(windowed(512), name="tiny")
    assert runner.strategy != "tree", runner.selftest_errors


def test_a_window_that_cannot_be_set_is_probed_in_its_length(monkeypatch):
    masks_by(monkeypatch, lambda said: 100)
    module = windowed(100)
    assert not short_window.window_acts(HuggingFaceModel(module, name="tiny", strategy="recompute").passes)
    read, runner = tokens_of_the_probe(module)
    assert runner.strategy == "tree" and read > 600


def test_half_precision_with_a_long_window_takes_the_tree(monkeypatch):
    runner = HuggingFaceModel(windowed(512).to(torch.bfloat16), name="tiny")
    assert runner.strategy == "tree" and runner.passes.window == 512
    monkeypatch.setattr(selftest, "LARGEST_COPY", 0)
    assert HuggingFaceModel(windowed(512).to(torch.bfloat16), name="tiny").strategy == "tree"
