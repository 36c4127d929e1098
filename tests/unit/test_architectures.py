"""Every kind of architecture in its best tier: random walks, each row compared with a pass over the whole text.

The traps of each are named where they are tested: masks of trees (bool is wrong for eager attention, windows belong
into the mask, several layer types take several), positions that must be told, biases that ignore them (MPT is wrong
without a word), caches that cannot be cropped, recurrent models that continue by single tokens only, positions that
change with the length of the text.
"""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from architectures import ARCHITECTURES, build  # noqa: E402 - behind the skip
from coolfusion.models import LanguageModel  # noqa: E402
from coolfusion.models.huggingface import TIERS, HuggingFaceModel  # noqa: E402
from model_walks import Walk  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own affairs

EAGER_ONLY = {"gemma2", "bloom, alibi", "mpt, alibi", "rwkv", "mamba2", "mamba"}
BOTH = [(name, attention) for name in ARCHITECTURES for attention in ("sdpa", "eager")]
BUILT = [pair for pair in BOTH if pair[1] == "eager" or pair[0] not in EAGER_ONLY]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def walked(runner, seeds, count=2, turns=5):
    """The largest error of some walks."""
    worst = checked = 0
    for seed in seeds:
        walk = Walk(runner, seed, count)
        walk.begin([5 + 4 * at for at in range(count)])
        for _ in range(turns):
            walk.turn()
        worst, checked = max(worst, walk.error), checked + walk.checked
    assert checked > 20 * len(seeds)
    return worst


@pytest.mark.parametrize(("name", "attention"), BUILT)
def test_case_g01_the_probe_finds_the_best_tier_and_all_its_rows_are_right(name, attention):
    runner = HuggingFaceModel(build(name, attn_implementation=attention), name=name)
    assert runner.tier == ARCHITECTURES[name][0], runner.probe_errors
    assert isinstance(runner, LanguageModel)
    assert (runner.forward_passes, runner.processed_tokens) == (0, 0), "the probe is not the user's work"
    described = json.loads(json.dumps(runner.describe()))
    assert described["probe_errors"][runner.tier] < 1e-5
    assert walked(runner, range(3)) < 5e-5


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("count", [1, 3])
def test_case_f12_all_tiers_of_one_model_are_right_alone_and_among_others(tier, count):
    runner = HuggingFaceModel(build("llama"), name="llama", tier=tier)
    assert walked(runner, range(10), count) < 1e-6


@pytest.mark.parametrize("tier", ["tree", "crop"])
def test_in_float64_a_tree_differs_by_its_last_bits_alone(tier):
    runner = HuggingFaceModel(build("glm4").double(), name="glm4", tier=tier)
    assert walked(runner, range(5)) < 1e-13


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.15), ("float16", 0.02)])
def test_half_precision_is_run_in_trees_too(dtype, tolerance):
    runner = HuggingFaceModel(build("llama").to(getattr(torch, dtype)), name="llama")
    assert runner.tier == "tree"
    assert walked(runner, range(2)) < tolerance


def test_mpt_in_a_tree_would_be_silently_wrong():
    model = build("mpt, alibi", attn_implementation="eager")
    assert walked(HuggingFaceModel(model, name="mpt", tier="tree"), [0]) > 1e-2
    assert HuggingFaceModel(model, name="mpt").probe_errors["tree"] > 1e-2


def test_mamba_over_several_tokens_would_be_silently_wrong():
    model = build("mamba", attn_implementation="eager")
    assert walked(HuggingFaceModel(model, name="mamba", tier="copy"), [0]) > 1e-2


def test_a_hybrid_cache_is_never_cropped_whatever_the_numbers_say():
    runner = HuggingFaceModel(build("falcon_h1, hybrid"), name="falcon_h1")
    assert "more than one entry" in runner.probe_errors["crop"]
    assert "more than one entry" in runner.probe_errors["tree"]


def test_attention_that_takes_no_mask_of_a_tree_is_given_none():
    model = build("llama")
    model.config._attn_implementation = "flex_attention"
    runner = HuggingFaceModel(model, name="llama")
    assert "no mask of a tree" in str(runner.probe_errors["tree"])
    assert runner.tier != "tree"


@pytest.mark.parametrize("lengths", [(22, 30), (10, 26), (24, 25), (28, 8)])
def test_positions_that_change_with_the_length_are_right_on_both_sides_and_across(lengths):
    """Phi-3's longrope: a text over 24 tokens has other positions from its first token on."""
    runner = HuggingFaceModel(build("phi3, longrope"), name="phi3")
    for seed in range(4):
        walk = Walk(runner, seed)
        walk.begin(lengths)
        for _ in range(6):
            walk.turn()
        assert walk.error < 1e-5


def test_a_window_that_is_longer_than_the_probe_is_still_in_the_mask():
    import transformers

    from architectures import SIZES

    torch.manual_seed(0)
    config = transformers.MistralConfig(**{**SIZES, "max_position_embeddings": 2048}, sliding_window=600)
    model = transformers.MistralForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    runner = HuggingFaceModel(model, name="mistral")
    assert runner.tier == "tree"
    walk = Walk(runner, 0)
    walk.begin([640, 700])
    for _ in range(3):
        walk.turn()
    assert walk.error < 1e-5
