"""The model of lm-evaluation-harness: one member gives what the harness's own `hf` gives, on the embedded models."""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the harness runs real models: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the harness runs real models")

import harness_parts  # noqa: E402
from coolfusion import cli  # noqa: E402 - after the skip
from coolfusion.embedded import folders  # noqa: E402
from coolfusion.errors import ArgumentError, MissingPackageError  # noqa: E402
from coolfusion.evaluation import bits_per_byte, score_texts  # noqa: E402
from coolfusion.evaluation.prompts import start_ids  # noqa: E402
from coolfusion.fusion import Fusion  # noqa: E402
from harness_parts import DOCUMENTS, PAIRS, SUM, instances  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

WRITTEN = [*harness_parts.WRITTEN, ("Once upon a time", {"until": "girl", "max_new_tokens": 24})]


@pytest.fixture(scope="module")
def harness():
    pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'coolfusion[eval]'")
    from coolfusion.evaluation import harness

    return harness


@pytest.fixture(scope="module")
def pool():
    return Fusion.from_pretrained(folders(), device="cpu", dtype="float64", rule="mixture")


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_one_member_has_the_cross_entropy_of_transformers(folder):
    fusion = Fusion.from_pretrained([folder], device="cpu", dtype="float64")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    [member] = fusion.members
    start = start_ids(member)
    for text, found in zip(DOCUMENTS, score_texts(fusion, [((start,), text) for text in DOCUMENTS]), strict=True):
        ids = torch.tensor([[*start, *member.tokenizer.encode(text)]])
        with torch.no_grad():
            found_by_model = model(ids, labels=ids)
        n_tokens = ids.shape[1] - len(start)
        rows, targets = found_by_model.logits[0, len(start) - 1 : -1], ids[0, len(start) :]
        nats = float(torch.nn.functional.cross_entropy(rows, targets, reduction="sum"))
        assert found.n_tokens == (n_tokens,)
        assert found.logprob == pytest.approx(-nats, abs=1e-9)
        # The loss of transformers is computed in float32 whatever the model's dtype.
        assert found.logprob == pytest.approx(-float(found_by_model.loss) * n_tokens, rel=1e-6)
        assert bits_per_byte(found.logprob, found.n_bytes) == pytest.approx(nats / math.log(2) / len(text.encode()))


@pytest.mark.parametrize("folder", folders()[:2], ids=lambda folder: folder.name)
def test_one_member_answers_as_the_models_of_the_harness_do(harness, folder):
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(pretrained=str(folder), dtype="float64", device="cpu")
    ours = harness.CoolFusionLM(str(folder), dtype="float64", device="cpu")
    [member] = ours.fusion.members
    for (logprob, greedy), (expected, is_greedy) in zip(
        ours.loglikelihood(instances(PAIRS)), theirs.loglikelihood(instances(PAIRS), disable_tqdm=True), strict=True
    ):
        assert logprob == pytest.approx(expected, abs=1e-5), "the harness adds up in float32"
        assert greedy == is_greedy
    whole = ours.loglikelihood_rolling(instances(DOCUMENTS))
    if theirs.tok_encode("a") == member.tokenizer.encode("a"):  # else the harness predicts a second BOS
        assert whole == pytest.approx(theirs.loglikelihood_rolling(instances(DOCUMENTS), disable_tqdm=True), abs=1e-4)
    answers = theirs.generate_until(instances(WRITTEN), disable_tqdm=True)
    # The harness decodes what was written alone, where SentencePiece leaves the space of the first word out.
    extra = " " if "SentencePiece" in member.tokenizer.describe()["family"] else ""
    assert ours.generate_until(instances(WRITTEN)) == [f"{extra}{answer}" for answer in answers]
    assert all(answers)


def test_a_pool_says_what_it_would_write(harness, pool):
    lm = harness.CoolFusionLM(pool)
    written = pool.generate("Once upon a time", 16).text
    asked = [("Once upon a time", text) for text in (written[:9], written, written[:9] + "zz", " zebra")]
    found = lm.loglikelihood(instances(asked))
    assert [greedy for _, greedy in found] == [True, True, False, False]
    scores = score_texts(pool, asked)
    assert [logprob for logprob, _ in found] == [each.logprob for each in scores]
    for each in scores[:2]:
        assert min(each.members) - 1e-9 <= each.logprob <= 0.0


def test_requests_share_passes(harness, pool):
    lm = harness.CoolFusionLM(pool)
    before = [member.runner.forward_passes for member in pool.members]
    lm.loglikelihood_rolling(instances(DOCUMENTS * 4))
    assert [member.runner.forward_passes - n for member, n in zip(pool.members, before, strict=True)] == [2, 2, 2]


def test_options_that_cannot_be_followed_are_refused(harness, pool):
    lm = harness.CoolFusionLM(pool)
    with pytest.raises(ArgumentError, match="cannot sample"):
        lm.generate_until(instances([("a", {"do_sample": True})]))
    with pytest.raises(ArgumentError, match="cannot sample"):
        lm.generate_until(instances([("a", {"temperature": 0.7})]))
    with pytest.raises(ArgumentError, match="options best_of are unknown"):
        lm.generate_until(instances([("a", {"best_of": 3})]))
    with pytest.raises(ArgumentError, match="each member has one with control tokens of its own"):
        lm.apply_chat_template([{"role": "user", "content": "hello"}])
    with pytest.raises(ArgumentError, match="chat templates cannot be applied to a pool"):
        lm.chat_template(True)


def test_without_the_harness_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delitem(sys.modules, "coolfusion.evaluation.harness", raising=False)
    with pytest.raises(MissingPackageError, match=r"pip install .*\[eval\]"):
        __import__("coolfusion.evaluation.harness")


def local_tasks(folder: Path) -> None:
    """Three tasks of the harness over local files."""
    (folder / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in DOCUMENTS))
    sums = [{"question": SUM, "answer": "7", "choices": [" 6", " 7"], "label": 1}]
    (folder / "sums.jsonl").write_text("".join(json.dumps(each) + "\n" for each in sums))

    def task(name, file, lines):
        head = f"task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / file}\n"
        (folder / f"{name}.yaml").write_text(head + "test_split: test\n" + lines)

    bits = "metric_list:\n  - metric: bits_per_byte\n"
    task(
        "local_bits",
        "docs.jsonl",
        "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n" + bits,
    )
    choice = "doc_to_text: '{{question}}'\ndoc_to_choice: '{{choices}}'\ndoc_to_target: label\n"
    task("local_choice", "sums.jsonl", "output_type: multiple_choice\n" + choice + "metric_list:\n  - metric: acc\n")
    until = "generation_kwargs:\n  until: ['\\n']\n  max_gen_toks: 8\n  do_sample: false\n"
    exact = "doc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\nmetric_list:\n  - metric: exact_match\n"
    task("local_sums", "sums.jsonl", "output_type: generate_until\n" + exact + until)


def test_tasks_of_the_harness_run_on_a_pool(harness, pool, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import lm_eval
    from lm_eval.tasks import TaskManager

    local_tasks(tmp_path)
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    tasks = ["local_bits", "local_choice", "local_sums"]
    model = harness.CoolFusionLM(pool)
    found = lm_eval.simple_evaluate(model=model, tasks=tasks, task_manager=manager, bootstrap_iters=0)["results"]
    start = tuple(start_ids(member) for member in pool.members)
    scores = score_texts(pool, [(start, text) for text in DOCUMENTS])
    bits = bits_per_byte(math.fsum(each.logprob for each in scores), sum(each.n_bytes for each in scores))
    assert found["local_bits"]["bits_per_byte,none"] == pytest.approx(bits)
    assert found["local_choice"]["acc,none"] in (0.0, 1.0)
    answer = pool.generate(SUM, 8, stop_strings=["\n"]).text
    assert found["local_sums"]["exact_match,none"] == float(answer == "7")


def test_the_command_line_of_the_harness_knows_the_model(harness, tmp_path, monkeypatch, capsys):
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    # Reading the thousands of tasks of the harness takes 20 s.
    own = functools.partialmethod(TaskManager.__init__, include_defaults=False)
    monkeypatch.setattr(TaskManager, "__init__", own)
    local_tasks(tmp_path)
    models = "|".join(str(folder) for folder in folders()[:2])
    arguments = f"models={models},rule=mixture,dtype=float32,threads=1"
    options = ["--model", "coolfusion", "--model_args", arguments, "--tasks", "local_choice", "--device", "cpu"]
    with pytest.raises(SystemExit) as done:
        cli.run(["lm-eval", *options, "--include_path", str(tmp_path)])
    assert done.value.code == 0
    assert "local_choice" in capsys.readouterr().out
