"""Every kind of architecture with its best strategy: random walks, each row compared with a pass over the whole text.

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

from architectures import ARCHITECTURES, HEAD, OTHERS, SIZES, build, from_config  # noqa: E402 - after the skip
from coolfusion.models import LanguageModel  # noqa: E402
from coolfusion.models.transformers import measure, selftest  # noqa: E402
from coolfusion.models.transformers.model import HuggingFaceModel  # noqa: E402
from coolfusion.models.transformers.strategies.registry import STRATEGIES  # noqa: E402
from model_walks import Walk  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers warns of its own affairs

EAGER_ONLY = {"gemma2", "bloom, alibi", "mpt, alibi", "rwkv", "mamba2", "mamba"}
BOTH = [(name, attention) for name in ARCHITECTURES for attention in ("sdpa", "eager")]
OTHERS_EAGER_ONLY = {"gpt_oss", "gpt_neo, local", "falcon_mamba", "openai-gpt, no cache", "xlnet, looks ahead"}
BUILT = [pair for pair in BOTH if pair[1] == "eager" or pair[0] not in EAGER_ONLY]


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
def test_case_g01_the_self_test_finds_the_best_strategy_and_all_its_rows_are_right(name, attention):
    runner = HuggingFaceModel(build(name, attn_implementation=attention), name=name)
    assert runner.strategy == ARCHITECTURES[name][0], runner.selftest_errors
    assert isinstance(runner, LanguageModel)
    assert (runner.forward_passes, runner.processed_tokens) == (0, 0), "the self-test is not the user's work"
    described = json.loads(json.dumps(runner.describe()))
    assert described["selftest_errors"][runner.strategy] < 5e-5
    assert walked(runner, range(3)) < 5e-5


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("count", [1, 3])
def test_case_f12_all_strategies_of_one_model_are_right_alone_and_among_others(strategy, count):
    runner = HuggingFaceModel(build("llama"), name="llama", strategy=strategy)
    assert walked(runner, range(10), count) < 1e-6


@pytest.mark.parametrize("strategy", ["tree", "crop"])
def test_in_float64_a_tree_differs_by_its_last_bits_alone(strategy):
    runner = HuggingFaceModel(build("glm4").double(), name="glm4", strategy=strategy)
    assert walked(runner, range(5)) < 1e-13


@pytest.mark.parametrize("name", OTHERS)
def test_architectures_that_nobody_asked_for_are_right_too(name):
    attention = "eager" if name in OTHERS_EAGER_ONLY else "sdpa"
    runner = HuggingFaceModel(build(name, attn_implementation=attention), name=name)
    assert runner.strategy == OTHERS[name][0], runner.selftest_errors
    assert walked(runner, range(2)) < 5e-5


# Rows of passes over other shapes differ by some units of the dtype, in recurrent models by more.
@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.08), ("float16", 0.01)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision_takes_the_strategies_of_float32(name, dtype, tolerance):
    attention = "eager" if name in EAGER_ONLY else "sdpa"
    runner = HuggingFaceModel(build(name, attn_implementation=attention).to(getattr(torch, dtype)), name=name)
    assert runner.strategy == ARCHITECTURES[name][0], runner.selftest_errors
    assert next(runner.module.parameters()).dtype == getattr(torch, dtype), "the copy was converted, not the model"
    assert walked(runner, range(2)) < tolerance


def test_in_half_precision_rounding_hides_no_wrong_tree():
    """MPT in a tree is off by less than what sixteen units of bfloat16 would allow."""
    model = build("mpt, alibi", attn_implementation="eager").to(torch.bfloat16)
    runner = HuggingFaceModel(model, name="mpt")
    assert 1e-2 < runner.selftest_errors["tree"] < 16 * torch.finfo(torch.bfloat16).eps
    assert runner.strategy == "batch"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_a_model_too_large_to_be_copied_takes_no_chances(dtype, monkeypatch):
    monkeypatch.setattr(selftest, "LARGEST_COPY", 0)

    def strategy(name):
        model = build(name, attn_implementation="eager").to(getattr(torch, dtype))
        return HuggingFaceModel(model, name=name).strategy

    assert strategy("llama") == strategy("gemma3") == strategy("mixtral") == "tree"
    assert strategy("mpt, alibi") == strategy("bloom, alibi") == "batch"
    states = {strategy(name) for name in ("lfm2, hybrid", "mamba", "mamba2")}
    assert states == {"stepwise"}, "never several tokens at a time"


def test_mpt_in_a_tree_would_be_silently_wrong():
    model = build("mpt, alibi", attn_implementation="eager")
    assert walked(HuggingFaceModel(model, name="mpt", strategy="tree"), [0]) > 1e-2
    assert HuggingFaceModel(model, name="mpt").selftest_errors["tree"] > 1e-2


def test_mamba_over_several_tokens_would_be_silently_wrong():
    model = build("mamba", attn_implementation="eager")
    assert walked(HuggingFaceModel(model, name="mamba", strategy="copy"), [0]) > 1e-2


def test_a_hybrid_cache_is_never_cropped_whatever_the_numbers_say():
    runner = HuggingFaceModel(build("falcon_h1, hybrid"), name="falcon_h1")
    for strategy in ("tree", "batch", "crop"):  # in a batch the padding would go into the state
        assert "more than one entry" in runner.selftest_errors[strategy]


@pytest.mark.parametrize("attention", ["flash_attention_2", "flash_attention_3", "flex_attention"])
def test_attention_that_takes_no_mask_of_a_tree_is_given_none(attention):
    runner = HuggingFaceModel(build("llama"), name="llama", strategy="recompute")
    runner.module.config._attn_implementation = attention
    tree, batch = STRATEGIES["tree"], STRATEGIES["batch"]
    assert "no mask of a tree" in tree.obstacle(runner.passes, "entry per position", exact=True)
    assert batch.obstacle(runner.passes, "entry per position", exact=True) is None


def test_attention_that_nobody_knows_reads_rows():
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register("nobodys", sdpa_attention_forward)
    AttentionMaskInterface.register("nobodys", sdpa_mask)
    runner = HuggingFaceModel(build("llama", attn_implementation="nobodys"), name="llama")
    assert (runner.strategy, runner.batches_paths) == ("batch", True)
    assert walked(runner, range(2)) < 1e-5


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lengths", [(22, 30), (10, 26), (24, 25), (28, 8)])
def test_positions_that_change_with_the_length_are_right_on_both_sides_and_across(lengths, strategy):
    """Phi-3's longrope: a text over 24 tokens has other positions from its first token on."""
    runner = HuggingFaceModel(build("phi3, longrope"), name="phi3", strategy=strategy)
    for seed in range(4):
        walk = Walk(runner, seed)
        walk.begin(lengths)
        for _ in range(6):
            walk.turn()
        assert walk.error < 1e-5


LONG = {**SIZES, "max_position_embeddings": 2048}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["mistral, sliding window", "gemma3"])
def test_windows_are_right_in_every_strategy(name, strategy):
    """transformers' own sliding layers forget what a cut would bring back: no strategy that crops may hold them."""
    runner = HuggingFaceModel(build(name), name=name, strategy=strategy)
    assert walked(runner, range(3), turns=7) < 1e-5


def test_a_window_that_is_longer_than_the_probe_is_still_in_the_mask():
    import transformers

    runner = HuggingFaceModel(from_config(transformers.MistralConfig(**LONG, sliding_window=600)), name="mistral")
    assert runner.strategy == "tree"
    assert long_walk(runner) < 1e-5


def long_walk(runner):
    walk = Walk(runner, 0)
    walk.begin([640, 700])
    for _ in range(3):
        walk.turn()
    return walk.error


@pytest.mark.parametrize("length", [300, 600])
def test_attention_that_forgets_by_a_rule_of_its_own_is_given_no_mask(length):
    """Llama-4 looks back to the last multiple of a length; a probe over fewer tokens would see nothing of it."""
    import transformers

    config = transformers.Llama4TextConfig(
        **LONG,
        **HEAD,
        intermediate_size_mlp=48,
        num_local_experts=2,
        attention_chunk_size=length,
        layer_types=["chunked_attention", "full_attention"],
        no_rope_layers=[1, 0],
    )
    runner = HuggingFaceModel(from_config(config), name="llama4")
    assert runner.passes.hidden_windows == [length]
    assert runner.strategy == "batch", runner.selftest_errors
    assert long_walk(runner) < 1e-5
    tree = HuggingFaceModel(runner.module, name="llama4", strategy="tree")
    assert long_walk(tree) > 1e-2, "there is something to see"


def test_masks_are_numbers_and_one_for_each_type_of_layers():
    """A boolean mask is added by eager attention, and silently wrong."""
    seen = []

    def look(module, arguments, options):
        seen.append(options.get("attention_mask"))

    for name in ("llama", "cohere2, windows"):
        runner = HuggingFaceModel(build(name, attn_implementation="eager"), name=name)
        runner.module.register_forward_pre_hook(look, with_kwargs=True)
        context = runner.new_context()
        runner.prefill([(context, [1, 2, 3])])
        runner.forward([(context, [(4, 5), (6,)])])
    plain, by_type = seen[1], seen[3]
    assert plain.dtype == torch.float32 and plain.shape == (1, 1, 3, 7)
    assert set(by_type) == {"full_attention", "sliding_attention"}
    assert all(mask.dtype == torch.float32 for mask in by_type.values())


def test_the_head_computes_no_rows_that_nobody_asks_for():
    runner = HuggingFaceModel(build("llama"), name="llama")
    rows = []
    runner.module.lm_head.register_forward_hook(lambda _, arguments, out: rows.append(out.shape[-2]))
    context = runner.new_context()
    runner.prefill([(context, [1, 2, 3, 4, 5])])
    context.commit((6, 7, 8))
    runner.forward([(context, [(9,), (10, 11)])])
    assert rows == [1, 4], "the end of the prompt; the end of the text and three nodes, not two tokens inside it"


def test_numbers_that_are_missing_on_one_side_are_a_difference():
    nan, inf = float("nan"), float("inf")
    row = torch.tensor([1.0, nan, -inf, inf])
    assert measure.difference(row, row.clone()) == 0.0
    for at in range(4):
        other = row.clone()
        other[at] = 2.0
        assert measure.difference(row, other) == measure.difference(other, row) == (1.0 if at == 0 else inf)
