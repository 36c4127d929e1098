"""Runs of an evaluation on scripted members: rows, votes, resumed files, failing items, and the tables."""

from __future__ import annotations

import json
import math

import pytest

from coolfusion import cli
from coolfusion.embedded import folders
from coolfusion.errors import ArgumentError, ModelError
from coolfusion.evaluation.data import read_records
from coolfusion.evaluation.experiment import load_task, run_experiment
from coolfusion.evaluation.presets import paper_rows, single_rows, standard_rows
from coolfusion.evaluation.rows import Row, answer_items
from coolfusion.evaluation.runner import run_task
from coolfusion.evaluation.sample_file import SampleFile, SampleRecord
from coolfusion.evaluation.statistics import is_development
from coolfusion.evaluation.summary import summarize
from coolfusion.evaluation.tasks import items_of, task_named
from coolfusion.fusion import Fusion
from fusion_parts import toy, writer

TOKENIZERS = (toy(" cat", " mat", "="), toy(), toy(" ca", "t\n"))
WORDS = {"tac": "cat", "tam": "mat", "god": "dog", "nus": "sun", "yks": "sky", "der": "red"}
RECORDS = [{"context": f"{key} =", "completion": f" {word}"} for key, word in WORDS.items()]


def speller(number, knows, *, chance=0.9, name=None):
    """A member that turns the words around that it knows, and says `no` of the others."""

    def follow(text):
        key, _, written = text.rpartition(" =")
        wanted = f" {WORDS[key[-3:]] if key[-3:] in knows else 'no'}\n"
        return wanted[len(written) :] if wanted.startswith(written) else ""

    return writer(TOKENIZERS[number], follow, chance=chance, name=name or f"m{number}")


def pool():
    return Fusion(
        [speller(0, WORDS), speller(1, ["tac", "tam"], chance=0.6), speller(2, ["god"], chance=0.5)], rule="paper"
    )


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "words.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in RECORDS), encoding="utf-8")
    return path


def test_rows_are_answered_as_the_fusion_itself_answers():
    fusion, task = pool(), task_named("unscramble")
    items = items_of(task, RECORDS)
    prompts = [item.sample.prompt for item in items]
    for number, row in enumerate(single_rows(fusion)):
        [answers] = answer_items(fusion, task, [row], items)
        alone = Fusion([fusion.members[number]]).generate(prompts, task.max_new_tokens, stop_strings=task.stops)
        assert [answer.text for answer in answers] == [output.text for output in alone]
        assert [answer.costs for answer in answers] == [
            {number: (output.members[0].forward_passes, output.members[0].processed_tokens)} for output in alone
        ]
    for rule, alignment, granularity in (("paper", "aligned", None), ("mixture", "shortest", "pre_token")):
        [answers] = answer_items(fusion, task, [Row("r", (0, 2), rule, alignment, granularity)], items)
        members = [fusion.members[0], fusion.members[2]]
        other = Fusion(members, rule=rule, alignment=alignment, granularity=granularity)
        outputs = other.generate(prompts, 24, stop_strings=task.stops)
        assert [answer.text for answer in answers] == [output.text for output in outputs]


def test_a_rerank_of_the_members_own_texts_leaves_the_fused_one_out():
    fusion, task = pool(), task_named("unscramble")
    items = items_of(task, RECORDS)
    rows = [Row("alone", (0, 1, 2), rerank="alone"), Row("with", (0, 1, 2), rerank="fused")]
    alone, fused = answer_items(fusion, task, rows, items)
    outputs = fusion.generate([item.sample.prompt for item in items], 24, stop_strings=task.stops, rerank=True)
    assert [answer.text for answer in fused] == [output.text for output in outputs]
    for answer, other, output in zip(alone, fused, outputs, strict=True):
        assert answer.text == min(output.continuations[1:], key=lambda each: each.value).text
        assert all(0 < answer.costs[j][1] < other.costs[j][1] for j in range(3)), "without the fused text"
    with pytest.raises(ArgumentError, match="need different work"):
        answer_items(fusion, task, [rows[0], Row("other", (0, 1), rerank="fused")], items)


def test_the_table_votes_draws_and_knows_the_best():
    fusion = pool()
    rows = standard_rows(fusion, ["mixture"])
    task = task_named("unscramble")
    items = items_of(task, RECORDS)
    file = SampleFile(None, {})
    counted = []
    run_task(fusion, task, items, rows, file, chunk=4, progress=counted.append)
    assert sum(counted) == len(rows) * len(items) == len(file.records)
    ids = [item.id for item in items]
    summary = summarize(task, file.records.values(), ids, ["m0", "m1", "m2"], [row.name for row in rows])
    report = [key for key, each in zip(WORDS, ids, strict=True) if not is_development(each)]
    shares = {line.row: line.report for line in summary.lines}
    assert 0 < len(report) < 6 and summary.n_report == len(report)
    knows = {"m0": set(WORDS), "m1": {"tac", "tam"}, "m2": {"god"}}
    for name, known in knows.items():
        assert shares[name] == pytest.approx(sum(key in known for key in report) / len(report))
    # m1 and m2 say `no` together where neither knows the word; else the first of three answers wins.
    assert shares["majority vote"] == pytest.approx(sum(key in ("tac", "tam", "god") for key in report) / len(report))
    assert shares["random member"] == pytest.approx(sum(shares[name] for name in knows) / 3)
    assert shares["oracle"] == 1.0 and summary.co_failure == 0.0
    assert summary.baseline == "m0"
    assert next(line for line in summary.lines if line.row == "m0").gain == (0.0, 0.0, 0.0)
    lost = next(line for line in summary.lines if line.row == "m2")
    assert lost.gain.difference == pytest.approx(shares["m2"] - 1.0)
    costs = {line.row: line.passes for line in summary.lines}
    assert costs["oracle"] == pytest.approx(costs["m0"] + costs["m1"] + costs["m2"])


@pytest.mark.slow
def test_a_resumed_file_is_completed_and_nothing_is_answered_twice(data, tmp_path):
    loaded, out = load_task("unscramble", data), tmp_path / "records.jsonl"
    fusion = pool()
    rows = standard_rows(fusion, ["mixture"])
    expected = run_experiment(fusion, [loaded], rows, out=tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    assert len(whole) == 1 + len(rows) * len(RECORDS)
    # A run that was killed while it wrote.
    out.write_text("".join(whole[:9]) + whole[9][:20])
    run_experiment(pool(), [loaded], rows, out=out)
    lines = out.read_text().splitlines()
    keys = [tuple(json.loads(line)[name] for name in ("task", "row", "item")) for line in lines[1:]]
    assert len(keys) == len(set(keys)) == len(whole) - 1
    fresh = pool()
    again = run_experiment(fresh, [loaded], rows, out=out)
    assert [member.runner.forward_passes for member in fresh.members] == [0, 0, 0]
    assert [line._replace(ms=0.0) for line in again[0].lines] == [line._replace(ms=0.0) for line in expected[0].lines]


def test_a_file_of_another_set_up_is_refused(data, tmp_path):
    loaded, out = load_task("unscramble", data), tmp_path / "records.jsonl"
    rows = single_rows(pool())
    run_experiment(pool(), [loaded], rows, out=out, setup={"models": ["a"]})
    before = out.read_bytes()
    with pytest.raises(ArgumentError, match=r"another set-up: models was \['a'\] and is \['b'\]; expected a new file"):
        run_experiment(pool(), [loaded], rows, out=out, setup={"models": ["b"]})
    with pytest.raises(ArgumentError, match="max_new_tokens was None and is 3"):
        run_experiment(pool(), [loaded], rows, out=out, setup={"models": ["a"]}, max_new_tokens=3)
    data.write_text(json.dumps(RECORDS[0]) + "\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match="another set-up: tasks was"):
        run_experiment(pool(), [load_task("unscramble", data)], rows, out=out, setup={"models": ["a"]})
    assert out.read_bytes() == before
    out.write_text("no json\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match="line 1: no JSON"):
        SampleFile(out, {})
    out.write_text('{"digest": "x"}\n', encoding="utf-8")
    with pytest.raises(ArgumentError, match="another set-up: it has no set-up"):
        SampleFile(out, {})


def test_records_come_back_as_they_were(tmp_path):
    record = SampleRecord("t", "i", "r", "x\u2028\ud800", "a", {"em": math.nan}, None, 2.0, 3, 4, 5.0, 0.5, "why")
    SampleFile(tmp_path / "f", {}).add([record])
    [found] = SampleFile(tmp_path / "f", {}).records.values()
    assert math.isnan(found.scores["em"]) and found._replace(scores={}) == record._replace(scores={})


def test_an_item_that_fails_counts_as_wrong_and_is_reported(data, tmp_path):
    def row_that_fails(ids):
        if TOKENIZERS[0].decode(list(ids)).startswith("nus"):
            raise ModelError("broken at nus")
        return rows(ids)

    fusion = pool()
    rows = fusion.members[0].runner._logits
    fusion.members[0].runner._logits = row_that_fails
    out = tmp_path / "records.jsonl"
    [summary] = run_experiment(fusion, [load_task("unscramble", data)], single_rows(fusion), out=out)
    assert [line.errors for line in summary.lines[:3]] == [1, 0, 0]
    [failed] = [each for each in map(json.loads, out.read_text().splitlines()[1:]) if each["error"]]
    assert failed["error"].startswith("ModelError: ") and "broken at nus" in failed["error"]
    assert failed["scores"] == {"accuracy": 0.0} and failed["correct"] is False


def test_bits_per_byte_are_measured_by_every_row(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("tac = cat\n\ngod = dog and\nsun", encoding="utf-8")
    fusion = pool()
    rows = standard_rows(fusion, ["mixture"])
    [summary] = run_experiment(fusion, [load_task("bits_per_byte", path)], rows)
    assert [line.row for line in summary.lines] == [
        *("m0", "m1", "m2", "fused: paper", "fused: mixture"),
        *("random member", "oracle"),
    ]
    assert math.isnan(summary.co_failure) and all(math.isnan(line.p) for line in summary.lines)
    assert len(read_records(path)) == 2


def test_presets_have_the_rows_of_the_paper():
    fusion = pool()
    assert [row[1:] for row in paper_rows(fusion)[3:]] == [
        ((0, 1), "paper", "aligned", None, "no"),
        ((0, 1, 2), "paper", "aligned", None, "alone"),
        ((0, 1, 2), "paper", "shortest", None, "no"),
        ((0, 1, 2), "paper", "aligned", None, "no"),
        ((0, 1, 2), "paper", "aligned", None, "fused"),
    ]
    units = {row.name: row.granularity for row in standard_rows(fusion, ["mixture"], granularity="phrase")[3:]}
    assert units == {"fused: paper": None, "fused: mixture": "phrase", "rerank: mixture": "phrase"}
    assert standard_rows(fusion, ["paper"], granularity="phrase")[3].granularity == "phrase"
    twins = Fusion([speller(0, WORDS, name="a"), speller(0, WORDS, name="a")])
    assert [row.name for row in single_rows(twins)] == ["a", "a #2"]
    assert [row.name for row in standard_rows(Fusion([speller(0, WORDS)]), ["mixture"])] == ["m0"]
    with pytest.raises(ArgumentError, match="rule 'best' is unknown"):
        standard_rows(fusion, ["best"])
    with pytest.raises(ArgumentError, match="must have different names and hold the single members"):
        run_experiment(fusion, [], [Row("m0", (0,))])


def test_shots_come_from_a_file(data):
    assert load_task("unscramble", data, shots=2, shots_data=data).items[0].sample.prompt.count("=") == 3
    with pytest.raises(ArgumentError, match="2 examples are to be shown; expected a file"):
        load_task("unscramble", data, shots=2)
    with pytest.raises(ArgumentError, match="holds 6 records, and 7 examples are to be shown"):
        load_task("unscramble", data, shots=7, shots_data=data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "sums", "--data", "{data}", "--models", "a"], "task 'sums' is unknown"),
        (["eval", "gsm8k", "--models", "a"], "1 tasks and 0 files"),
        (["eval", "unscramble", "--data", "{data}"], "no models; expected directories or hub names"),
        (["eval", "unscramble", "--data", "{data}", "--rule", "best", "--models", "a"], "rule 'best' is unknown"),
        (["eval", "unscramble", "--data", "{data}", "--granularity", "verse"], "granularity 'verse' is unknown"),
        (["ablation", "--models", "a"], "no folder of data"),
        (["ablation", "--models", "a", "--data", "."], "holds no file of gsm8k"),
    ],
)
def test_the_command_line_refuses_before_it_loads(data, capsys, arguments, message):
    with pytest.raises(SystemExit) as done:
        cli.run([each.format(data=data) for each in arguments])
    assert done.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_command_line_prints_a_table_and_resumes(data, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch", reason="runs the embedded models")
    pytest.importorskip("transformers", reason="runs the embedded models")
    monkeypatch.setenv("COLUMNS", "160")
    models = [str(folder) for folder in folders()[:2]]
    arguments = ["eval", "unscramble", "--models", *models, "--data", str(data), "--limit", "3", "--threads", "1"]
    arguments += ["--rule", "product", "--max-new-tokens", "4", "--out", str(tmp_path / "out.jsonl")]
    for _ in range(2):
        with pytest.raises(SystemExit) as done:
            cli.run(arguments)
        assert done.value.code == 0
        shown = capsys.readouterr().out
        for name in ("ash", "birch", "fused: paper", "fused: product", "rerank: product", "majority vote", "oracle"):
            assert name in shown
        assert "unscramble: accuracy" in shown and "co-failure beta" in shown
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1 + 5 * 3
