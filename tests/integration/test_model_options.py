"""Adapters, quantised weights, placement and half precision on the way through transformers to the loop.

Each is run on the models of the package: fused texts and scores are those of the literal schedule, and adapters and
quantisation are really there, since they change the scores.
"""

from __future__ import annotations

import importlib.util
import warnings

import pytest

from fusion_parts import literal, same_steps

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

from coolfusion.embedded import folders  # noqa: E402 - after the skip
from coolfusion.fusion import Fusion, Member  # noqa: E402
from coolfusion.models.transformers.model import HuggingFaceModel  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("one_thread"),
]  # transformers and its companions warn of their own affairs

PROMPTS = ["Once upon a time", "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:"]
BUDGET = 24


def needs(*names):
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}: pip install 'coolfusion[test]'")


@pytest.fixture(scope="module")
def plain():
    """What the models write as they are, in float32."""
    return written(Fusion.from_pretrained(folders(), device="cpu", dtype="float32"))


def written(fusion):
    """Texts of the fast schedule, each checked against the literal one."""
    outputs = []
    for prompt in PROMPTS:
        ours, theirs = fusion.generate(prompt, BUDGET), literal(fusion.members).generate(prompt, BUDGET)
        same_steps(ours, theirs, tolerance=1e-4)
        outputs.append(ours)
    assert sum(len(each.steps) for each in outputs) > 20
    return outputs


def scores(outputs):
    return [score.logprob for each in outputs for row in each.steps[0].scores for score in row]


def adapted(folder, seed):
    """The model with a LoRA adapter whose weights are random and not zero."""
    import peft

    torch.manual_seed(seed)
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    options = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    module = peft.get_peft_model(base, options)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "lora_" in name:
                weight.normal_(0.0, 0.05)
    return module.eval()


@needs("peft", "accelerate")
def test_adapters_as_objects_and_from_their_directories(plain, tmp_path):
    loaded = Fusion.from_pretrained(folders(), device="cpu", dtype="float32")
    members, places = [], []
    for number, (folder, member) in enumerate(zip(folders(), loaded.members, strict=True)):
        module = adapted(folder, number)
        places.append(tmp_path / str(number))
        module.save_pretrained(places[-1])
        runner = HuggingFaceModel(module, name=member.name, eos_token_ids=member.runner.eos_token_ids)
        assert runner.strategy == member.runner.strategy == "tree"
        members.append(Member(runner, member.tokenizer, member.prefix_ids))
    objects = written(Fusion(members))
    assert scores(objects) != pytest.approx(scores(plain), abs=1e-3), "the adapters do something"
    assert not any(place.joinpath("tokenizer.json").exists() for place in places), "the tokenizer is the base model's"
    from_disk = Fusion.from_pretrained(places, device="cpu", dtype="float32")
    for ours, theirs in zip(written(from_disk), objects, strict=True):
        same_steps(ours, theirs, tolerance=1e-4)


@needs("accelerate")
@pytest.mark.parametrize("device_map", ["cpu", {"": "cpu"}, "auto"])
def test_device_maps(plain, device_map):
    fusion = Fusion.from_pretrained(folders(), dtype="float32", device_map=device_map)
    if not torch.cuda.is_available():
        assert {member.runner.device for member in fusion.members} == {"cpu"}
    for ours, theirs in zip(written(fusion), plain, strict=True):
        same_steps(ours, theirs, tolerance=1e-4)


@needs("torchao")
def test_weights_quantised_by_torchao(plain):
    from torchao.quantization import Int8WeightOnlyConfig

    config = transformers.TorchAoConfig(quant_type=Int8WeightOnlyConfig())
    fusion = Fusion.from_pretrained(folders(), device="cpu", dtype="float32", quantization_config=config)
    assert [member.runner.strategy for member in fusion.members] == ["tree"] * 3
    found = scores(written(fusion))
    assert found != pytest.approx(scores(plain), abs=1e-5), "the weights are others"
    assert found == pytest.approx(scores(plain), abs=0.5)


def test_activations_quantised_by_the_range_of_a_pass_have_a_pass_for_each_row(plain):
    """Rows then depend on what else is in their pass: only passes of their own make them a function of the text."""
    members = []
    for folder, member in zip(folders(), Fusion.from_pretrained(folders(), device="cpu").members, strict=True):
        module = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather have torchao
            module = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
        runner = HuggingFaceModel(module, name=member.name, eos_token_ids=member.runner.eos_token_ids)
        assert runner.strategy == "recompute_each", runner.selftest_errors
        members.append(Member(runner, member.tokenizer, member.prefix_ids))
    assert scores(written(Fusion(members))) != pytest.approx(scores(plain), abs=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_writes_what_the_literal_schedule_writes_up_to_near_ties(dtype):
    fusion = Fusion.from_pretrained(folders(), device="cpu", dtype=dtype)
    assert [member.runner.strategy for member in fusion.members] == ["tree"] * 3
    equal = everything = 0
    for prompt in PROMPTS:
        ours, theirs = fusion.generate(prompt, BUDGET), literal(fusion.members).generate(prompt, BUDGET)
        everything += len(theirs.steps)
        for one, other in zip(ours.steps, theirs.steps, strict=False):
            if one.candidates != other.candidates:
                break  # a member's own choice was a near-tie
            for row, wanted in zip(one.scores, other.scores, strict=True):
                expected = [pytest.approx(score.logprob, rel=0.05, abs=0.1) for score in wanted]
                assert [score.logprob for score in row] == expected
            if one.winner != other.winner:
                assert other.margin < 0.2
                break
            equal += 1
    assert equal > everything / 2 > 10
