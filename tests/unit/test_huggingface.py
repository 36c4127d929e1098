from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from fusion_parts import BOS, END, toy_inner

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from coolfusion.errors import ArgumentError, ModelError  # noqa: E402 - behind the skip
from coolfusion.fusion import Fusion  # noqa: E402
from coolfusion.models import LanguageModel, loading  # noqa: E402
from coolfusion.models.huggingface import TIERS, HuggingFaceModel, position_limit  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own affairs

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
# The best tier that is right for an architecture, as the probe must find it.
ARCHITECTURES = {
    "llama": ("crop", lambda t: t.LlamaConfig(**SIZES)),
    "gpt2": ("crop", lambda t: t.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=96)),
    "sliding window": ("crop", lambda t: t.MistralConfig(**SIZES, sliding_window=8)),
    "alibi": ("crop", lambda t: t.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    "longrope": (
        "crop",
        lambda t: t.Phi3Config(
            **SIZES,
            original_max_position_embeddings=16,
            rope_parameters=LONGROPE,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        ),
    ),
    "hybrid": ("copy", lambda t: t.Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])),
    "recurrent, several tokens": (
        "copy",
        lambda t: t.RwkvConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32),
    ),
    "recurrent, single tokens": (
        "step",
        lambda t: t.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4),
    ),
}


def random_ids(count: int, seed: int = 1) -> list[int]:
    return torch.randint(97, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def build(name: str):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(ARCHITECTURES[name][1](transformers))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)  # random weights are so small that a wrong cache would hardly show
    return model.eval()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request):
    return request.param, build(request.param)


def full_logprobs(model, ids: list[int]):
    """(T, V) float64, from one pass without any cache."""
    with torch.inference_mode():
        return model(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)


def test_the_probe_finds_the_best_tier_that_is_right(architecture):
    name, model = architecture
    runner = HuggingFaceModel(model, name=name)
    assert runner.tier == ARCHITECTURES[name][0]
    assert isinstance(runner, LanguageModel)
    assert (runner.forward_passes, runner.tokens_processed) == (0, 0), "the probe is not the user's work"
    described = json.loads(json.dumps(runner.describe()))
    assert described["tier"] == runner.tier
    assert described["probe_errors"][runner.tier] < 1e-5


def test_case_g01_logits_after_a_rollback_equal_logits_from_scratch(architecture):
    name, model = architecture
    runner = HuggingFaceModel(model, name=name)
    ids = random_ids(40)
    runner.prefill(ids[:20])
    before = runner.next_logits()
    for lost in ([3], [4, 5, 6]):
        runner.extend(lost)
        runner.extend([7])
        runner.score(ids[20:24]) if len(lost) > 1 else runner.rollback()
        assert runner.next_logits() == before
    for at in range(20, 40, 4):
        runner.extend(ids[at : at + 4])
        runner.commit()
        expected = full_logprobs(model, ids[: at + 4])[-1]
        got = torch.tensor(runner.next_logits(), dtype=torch.float64).log_softmax(-1)
        assert float((got - expected).abs().max()) < 1e-4


def test_scores_are_those_of_a_pass_without_cache(architecture):
    name, model = architecture
    runner = HuggingFaceModel(model, name=name)
    ids = random_ids(36)
    runner.prefill(ids[:18])
    for n in (1, 2, 9, 18):
        rows = full_logprobs(model, ids[: 18 + n])
        expected = [float(rows[17 + i, ids[18 + i]]) for i in range(n)]
        assert runner.score(ids[18 : 18 + n]) == pytest.approx(expected, abs=1e-4)
    assert runner.pending() == ()


@pytest.mark.parametrize("tier", TIERS)
def test_all_tiers_of_one_model_agree(tier):
    model = build("llama")
    ids = random_ids(20)
    runner = HuggingFaceModel(model, name="llama", tier=tier)
    runner.prefill(ids[:10])
    runner.extend([1, 2])
    runner.rollback()
    runner.extend(ids[10:12])
    assert runner.pending() == tuple(ids[10:12])
    runner.commit()
    rows = full_logprobs(model, ids)
    assert runner.score(ids[12:]) == pytest.approx([float(rows[11 + i, ids[12 + i]]) for i in range(8)], abs=1e-5)


def test_a_position_embedding_that_changes_with_the_length_is_read_anew_at_the_change():
    model = build("longrope")
    runner = HuggingFaceModel(model, name="longrope")
    ids = random_ids(24)
    runner.prefill(ids[:14])
    before = runner.next_logits()
    runner.extend(ids[14:20])  # passes 16
    after = torch.tensor(runner.next_logits(), dtype=torch.float64).log_softmax(-1)
    assert float((after - full_logprobs(model, ids[:20])[-1]).abs().max()) < 1e-5
    runner.rollback()
    assert runner.next_logits() == before
    runner.extend(ids[14:16])
    back = torch.tensor(runner.next_logits(), dtype=torch.float64).log_softmax(-1)
    assert float((back - full_logprobs(model, ids[:16])[-1]).abs().max()) < 1e-5


def test_case_f12_a_score_is_the_same_alone_and_among_others():
    # The literal schedule never pads: every candidate is read by itself behind the same cache.
    runner = HuggingFaceModel(build("llama"), name="llama")
    ids = random_ids(30)
    runner.prefill(ids[:10])
    alone = runner.score(ids[10:13])
    runner.score(ids[13:30])
    runner.score(ids[20:22])
    assert runner.score(ids[10:13]) == alone


def test_greedy_and_sums_follow_the_distribution():
    model = build("llama")
    runner = HuggingFaceModel(model, name="llama")
    ids = random_ids(10)
    runner.prefill(ids)
    row = full_logprobs(model, ids)[-1]
    best = [int(i) for i in row.topk(2).indices]
    assert runner.greedy(()) == best[0]
    assert runner.greedy((best[0],)) == best[1]
    assert runner.greedy(tuple(range(97))) is None
    assert runner.next_logprob(best) == pytest.approx(float(row[best].logsumexp(0)), abs=1e-6)
    assert runner.next_logprob(()) == -math.inf


def test_a_model_that_gives_no_numbers_says_so_and_raises_nothing():
    model = build("llama")
    runner = HuggingFaceModel(model, name="llama")
    with torch.no_grad():
        model.lm_head.weight[5, 0] = math.nan
    runner.prefill([1, 2])
    assert runner.greedy(()) is None
    assert math.isnan(runner.next_logprob((3,)))
    assert math.isnan(runner.next_logprob(()))
    assert all(math.isnan(value) for value in runner.score([1, 2]))


def test_what_a_model_cannot_read_is_refused_before_it_is_read():
    runner = HuggingFaceModel(build("gpt2"), name="gpt2")
    assert runner.limit == 96
    with pytest.raises(ModelError, match="limit is 96"):
        runner.prefill([1] * 97)
    with pytest.raises(ModelError, match="token id 97 has no row"):
        runner.prefill([97])
    runner.prefill([1])
    with pytest.raises(ModelError, match="no row"):
        runner.score([-1])


def test_limits_are_read_under_all_their_names():
    assert position_limit(transformers.GPT2Config(n_positions=7)) == 7
    assert position_limit(transformers.MptConfig(max_seq_len=9)) == 9
    assert position_limit(transformers.BloomConfig()) is None


def test_passes_and_tokens_are_counted():
    runner = HuggingFaceModel(build("llama"), name="llama")
    runner.prefill([1, 2, 3])
    runner.score([4])
    assert (runner.forward_passes, runner.tokens_processed) == (1, 3)
    runner.score([4, 5])
    runner.extend([])
    assert (runner.forward_passes, runner.tokens_processed) == (2, 4)


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
    fusion = Fusion.from_pretrained([folder, str(folder)], device="cpu", dtype="float64")
    assert "%|" not in capfd.readouterr().err, "no progress bars on stderr"
    one, two = fusion.members
    assert one.prefix_ids == (BOS,), "the BOS in front, not the EOS behind"
    assert one.model.end_ids == (END,)
    assert one.model.describe()["dtype"] == "float64"
    assert one.model is not two.model
    assert one.model._model is two.model._model
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
    refuse(path, "cannot be loaded: SafetensorError")
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


def test_a_name_that_is_no_path_is_left_to_transformers():
    assert loading.check_model_name("org/model") == "org/model"
    assert loading.check_model_name("gpt2") == "gpt2"
