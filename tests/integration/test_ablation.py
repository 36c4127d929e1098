"""`coolfusion ablation` on random LLaMA, Phi-3 and GLM models of toy size, over all tasks of the paper."""

from __future__ import annotations

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="the ablation runs transformers models: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the ablation runs transformers models")

from coolfusion import Tokenizer, cli  # noqa: E402 - after the skip
from coolfusion.embedded import folders  # noqa: E402
from coolfusion.evaluation.presets import PAPER_TASKS  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": None,
}
CONFIGURATIONS = {
    "llama": lambda **more: transformers.LlamaConfig(**SIZES, **more),
    "phi3": lambda **more: transformers.Phi3Config(**SIZES, **more),
    "glm4": lambda **more: transformers.Glm4Config(**SIZES, head_dim=8, **more),
}
STORY = {"story": "Ann has a dog.", "questions": ["Who has a dog?", "What has Ann?"], "answers": ["Ann", "a dog"]}
RECORDS = {
    "gsm8k": [{"question": "What is 3 + 4?", "answer": "#### 7"}, {"question": "What is 2 + 2?", "answer": "#### 4"}],
    "coqa": [STORY],
    "drop": [{"passage": "Ann has 2 dogs.", "question": "How many?", "answer": {"number": "2"}}] * 2,
    "triviaqa": [{"question": "Who has a dog?", "answer": {"value": "Ann", "aliases": ["Anna"]}}] * 2,
    "unscramble": [{"context": "nna =", "completion": " ann"}, {"context": "odg =", "completion": " dog"}],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of random models, each with the tokenizer of an embedded one."""
    made = []
    for (name, configuration), donor in zip(CONFIGURATIONS.items(), folders(), strict=True):
        tokenizer = Tokenizer.from_pretrained(donor)
        torch.manual_seed(len(made))
        config = configuration(
            vocab_size=tokenizer.vocab_size, bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id
        )
        folder = tmp_path_factory.mktemp("models") / name
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        for file in donor.glob("*token*"):
            shutil.copy(file, folder)
        made.append(str(folder))
    return made


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name, records in RECORDS.items():
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "mgsm.tsv").write_text("Was ist 3 + 4?\t7\nWas ist 2 + 2?\t4\n", encoding="utf-8")
    return folder


def test_one_command_runs_the_rows_of_the_paper_on_all_its_tasks(models, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")
    out = tmp_path / "records.jsonl"
    options = ["--data", str(data), "--max-new-tokens", "3", "--out", str(out), "--device", "cpu", "--dtype", "float32"]
    with pytest.raises(SystemExit) as done:
        cli.run(["ablation", "--models", *models, *options])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    rows = ["llama", "phi3", "glm4", "Cool2", "Rerank3", "Cool3 shortest", "Cool3 aligned", "Cool3+R"]
    for name in (*rows, "majority vote", "random member", "oracle"):
        assert shown.count(f" {name} ") >= len(PAPER_TASKS)
    head, *lines = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert head["setup"]["members"] == ["llama", "phi3", "glm4"]
    assert len(lines) == len(PAPER_TASKS) * len(rows) * 2
    assert {line["task"] for line in lines} == set(PAPER_TASKS)
    # Random models write bytes that are no text; such items fail, and the run goes on.
    errors = [line["error"] for line in lines if line["error"]]
    assert len(errors) < len(lines) / 4 and all(error.startswith("NoCandidateError") for error in errors)
    flops = dict.fromkeys(rows, 0.0)
    for line in lines:
        flops[line["row"]] += line["flops"]
    assert flops["Cool3+R"] > flops["Rerank3"] > flops["llama"] > 0
    assert flops["Cool3+R"] > flops["Cool3 aligned"] > flops["Cool2"] > 0
