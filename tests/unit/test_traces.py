"""Traces of real fusions: what they hold, what a broken one says, and how they are shown."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from cli_parts import call
from coolfusion.cli.view import shown
from coolfusion.errors import ArgumentError
from coolfusion.fusion.selection import as_rule, rule_from_spec
from coolfusion.records import Output
from coolfusion.traces import TraceWriter, page_of, parse_traces, read_trace, read_traces, write_page
from coolfusion.traces.authors import COLOURS, DARK_COLOURS, UNDERLINES, initials, safe, shares_of
from trace_parts import HOSTILE, fusion, hostile, written

NAMES = ("ann", "bob", "cid")


def lines(output):
    return [json.loads(line) for line in output.to_trace().splitlines()]


def test_a_trace_holds_how_the_text_was_asked_for():
    head, *_ = lines(written(seed=7, stop_strings="big"))
    assert (head["line"], head["schema"], head["members"]) == ("head", 1, list(NAMES))
    origin = head["origin"]
    assert (origin["prompt"], origin["rule"]) == ("a", "confident")
    assert rule_from_spec(origin["spec"]).name == as_rule("confident").name
    expected = {"max_new_tokens": 60, "stop_strings": ["big"], "seed": 7, "alignment": "aligned", "prefix": "always"}
    assert {name: origin["options"][name] for name in expected} == expected
    assert not {"prompt", "messages", "timeout"} & set(origin["options"])


def test_a_trace_has_a_line_for_each_step_and_ends_with_the_costs():
    output = written()
    _, *steps, end = lines(output)
    assert [step["text"] for step in steps] == [step.text for step in output.steps]
    assert end["finish_reason"] == "end"
    assert [each["forward_passes"] for each in end["members"]] == [each.forward_passes for each in output.members]
    assert end["seconds"] == pytest.approx(sum(end["phases"].values()))
    assert set(end["phases"]) == {"propose", "evaluate", "select", "commit"}


def test_prompts_that_are_no_common_text_are_told_as_they_were_given():
    output = fusion().generate(("a", [0, 66], "a"), 4)
    assert output.origin.prompt == ("a", None, "a")
    assert fusion().stream("a").output.origin.prompt == "a"


def test_messages_are_told_and_shown():
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "who?"}]
    output = fusion().generate(messages=messages, max_new_tokens=4)
    assert output.origin.prompt is None and list(output.origin.messages) == messages
    [trace] = parse_traces(output.to_trace())
    assert trace.output.origin == output.origin
    shown = terminal(trace)
    assert "system: be short\nuser: who?\n" in shown
    [text] = json.loads(Tags(page_of([trace])).scripts[0])["texts"]
    assert text["prompts"] == [["system", "be short"], ["user", "who?"]]
    assert text["notes"] == [safe(note) for note in output.notes]


def test_the_texts_of_one_request_stay_together(tmp_path):
    output = written(temperature=1.0, seed=3, n=3)
    file = tmp_path / "run.jsonl"
    with TraceWriter(file) as writer:
        writer.write(output)
        writer.write(written())
    first, second = read_traces(file)
    assert first.output == output and len(first.output.choices) == 3 and not second.output.others
    assert [each.output.origin.options["seed"] for each in first.choices] == [3, 4, 5]
    assert all(step.probabilities for each in first.choices for step in each.output.steps)
    texts = json.loads(Tags(page_of([first, second])).scripts[0])["texts"]
    assert len(texts) == 4
    assert ["".join(step["text"] for step in text["steps"]) for text in texts[:3]] == [
        safe(each.text) for each in output.choices
    ]


def test_a_rule_of_the_caller_has_a_name_and_no_spec():
    def longest(row):
        return float(-row[0].n_bytes)

    origin = fusion(longest).generate("a", 4).origin
    assert (origin.rule, origin.spec) == ("longest", None)


def test_every_way_to_write_says_how_it_was_asked():
    reranked = written(rerank=True, think=("<think>", "</think>"))
    assert reranked.origin.options["rerank"] is True
    assert reranked.origin.options["think"] == ["<think>", "</think>"]
    [many] = fusion().generate(["a"], 4)
    assert many.origin.options["max_new_tokens"] == 4
    assert parse_traces(reranked.to_trace())[0].output == reranked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].update(schema=2), "line 1: schema is 2; expected 1"),
        (lambda rows: rows[0].update(schema=True), "line 1: schema is True; expected 1"),
        (lambda rows: rows[0].update(more=1), "line 1: has the fields ['choice', 'coolfusion', 'members', 'more'"),
        (lambda rows: rows[0].update(choice=1), "line 1: choice is 1; expected 0"),
        (lambda rows: rows[1].update(weights=[1.0]), "line 2: number of weights is 1; expected 3"),
        (lambda rows: rows[1].update(probabilities=[0.5, 0.5]), "line 2: number of probabilities is 2; expected 1"),
        (lambda rows: rows[0].update(members=["ann", 3]), "line 1: members[1] is 3; expected a text"),
        (lambda rows: rows[1].update(line="stop"), 'line 2: line is \'stop\'; expected "head", "step" or "end"'),
        (lambda rows: rows.pop(0), "line 1: is a line of kind 'step'; expected the head of a text before it"),
        (lambda rows: rows.pop(1), "line 2: index is 1; expected 0"),
        (lambda rows: rows[1].update(winner=9), "line 2: winner is 9; expected a number from 0 to 0"),
        (lambda rows: rows[1].update(winner=True), "line 2: winner is True; expected a whole number"),
        (lambda rows: rows[1].update(margin="wide"), "line 2: margin is 'wide'; expected a number, \"inf\""),
        (lambda rows: rows[1].update(margin=10**400), "line 2: margin is 0x"),
        (lambda rows: rows[1].update(values=[]), "line 2: number of values is 0; expected 1"),
        (lambda rows: rows[1].update(primary=3), "line 2: a member has the number 3; expected one from 0 to 2"),
        (lambda rows: rows[1]["scores"][0].pop(), "line 2: number of scores[0] is 2; expected 3"),
        (
            lambda rows: rows[1]["scores"][0][1].pop("n_tokens"),
            "line 2: scores[0][1].n_tokens is missing; expected the",
        ),
        (lambda rows: rows[1]["candidates"][0].update(odd=1), "line 2: candidates[0].odd is unknown; expected the"),
        (lambda rows: rows[1]["candidates"][0].update(members=[5]), "line 2: a member has the number 5"),
        (
            lambda rows: rows[1]["members"][0].update(context=[1]),
            "line 2: members[0].context is [1]; expected a list of 2",
        ),
        (
            lambda rows: rows[-1].update(finish_reason="won"),
            "finish_reason is 'won'; expected 'end' or 'length' or 'stop'",
        ),
        (lambda rows: rows[-1].update(author=3), "author is 3; expected a number from 0 to 2"),
        (lambda rows: rows[-1].pop("seconds"), "has the fields"),
        (
            lambda rows: rows[-1]["members"][0].update(name="eve"),
            "other names; expected those of the head: ann, bob, cid",
        ),
        (lambda rows: rows.append(dict(rows[-1])), "is a line of kind 'end'; expected the head of a text before it"),
    ],
)
def test_what_is_wrong_with_a_trace_is_said_with_its_line(change, message):
    rows = lines(written())
    change(rows)
    with pytest.raises(ArgumentError) as caught:
        parse_traces("".join(json.dumps(row) + "\n" for row in rows), "run.jsonl")
    assert str(caught.value).startswith("run.jsonl, line ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; expected a head"),
        (b"\n\n", "is empty; expected a head"),
        (b"[1]\n", "line 1: is [1]; expected an object"),
        (b'{"line": NaN}\n', "line 1: no JSON (NaN is no JSON number)"),
        (b"{\xff}\n", "line 1: no JSON ("),
        (b"[" * 100_000 + b"\n", "line 1: no JSON ("),
        (b'{"line":"head","schema":1', "line 1: no JSON ("),
        (b'{"line":"head","schema":' + b"9" * 5000 + b"}\n", "line 1: no JSON ("),
    ],
)
def test_what_is_no_trace_is_refused(data, message):
    with pytest.raises(ArgumentError) as caught:
        parse_traces(data)
    assert message in str(caught.value)


def test_a_number_that_json_cannot_hold_is_refused_when_it_is_written():
    output = written(seed=10**5000)
    with pytest.raises(ArgumentError, match="a head has no JSON form"):
        output.to_trace()


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"none\.jsonl: cannot be read"):
        read_trace(tmp_path / "none.jsonl")
    with pytest.raises(ArgumentError, match="cannot be written"):
        TraceWriter(tmp_path / "none" / "run.jsonl")
    with pytest.raises(ArgumentError, match="cannot be written"):
        write_page(tmp_path, parse_traces(written().to_trace()))


def test_an_interrupted_run_leaves_its_steps(tmp_path):
    output = written()
    with TraceWriter(tmp_path / "run.jsonl") as trace:
        trace.begin(NAMES, output.origin)
        for step in output.steps[:3]:
            trace.step(step)
        found = read_trace(tmp_path / "run.jsonl")  # also while it is written
    assert found.output.steps == output.steps[:3]
    assert found.output.text == "".join(step.text for step in output.steps[:3])
    assert found.output.finish_reason is None and found.seconds is None
    assert found.problem.endswith("no end line after step 2; the writing was interrupted")
    passes = [sum(step.members[at].forward_passes for step in output.steps[:3]) for at in range(3)]
    assert [each.forward_passes for each in found.output.members] == passes


def test_a_text_without_an_end_does_not_hide_the_next(tmp_path):
    whole = written().to_trace()
    half = "".join(whole.splitlines(keepends=True)[:2])
    first, second = parse_traces(half + whole)
    assert "no end line" in first.problem
    assert second.problem is None


def test_shares_are_of_the_steps():
    output = written()
    shares = shares_of(output.steps, 3)
    authors = [step.candidates[step.winner].members for step in output.steps]
    assert any(len(each) == 1 for each in authors) and any(len(each) == 3 for each in authors)
    assert sum(shares.won) == pytest.approx(1.0)
    assert shares.proposed[0] == sum(0 in each for each in authors) / len(authors)
    assert shares.agreement == pytest.approx(sum(map(len, authors)) / len(authors) / 3)
    assert shares.unanimous == sum(len(each) == 3 for each in authors) / len(authors)


def test_every_author_has_a_colour_and_a_second_cue():
    assert len(set(COLOURS)) == len(set(DARK_COLOURS)) == len(COLOURS) == len(DARK_COLOURS)
    pairs = {(at % len(COLOURS), at % len(UNDERLINES)) for at in range(40)}
    assert len(pairs) == 40
    for colours, page in ((COLOURS, "#fbfaf8"), (DARK_COLOURS, "#16171a")):
        for colour in colours:
            assert contrast(colour, page) >= 3.0, "of lines and bars, WCAG 1.4.11"


def contrast(one, other):
    light = sorted((luminance(one), luminance(other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("names", [["a", "b"], ["a", "a"], ["", "x"], ["smol", "small"], ["é", "b"], [HOSTILE] * 30])
def test_initials_differ_and_are_letters(names):
    found = initials(names)
    assert len(set(found)) == len(names)
    assert all(each.isalnum() and each.isascii() and len(each) <= 2 for each in found)


def test_what_steers_a_terminal_becomes_visible():
    shown = safe("a\x1b[2J\r\x07\x9b\x7f\u202e\u2066\ud800\u2028\tb\n")
    assert shown == "a␛[2J␍␇<U+009B>␡<U+202E><U+2066>\ufffd<U+2028>\tb\n"


# The terminal.


def terminal(trace, width=100, steps=99, **options):
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, **options)
    console.print(shown(trace, console, steps))
    return file.getvalue()


def test_the_terminal_shows_text_steps_and_shares():
    [trace] = parse_traces(written().to_trace())
    text = terminal(trace)
    assert "ann (a) won " in text and "agreement " in text and "rule: confident" in text
    assert "[all] cat" in text
    flat = re.sub(r"\[[a-z+]+\]|\s", "", text)
    assert re.sub(r"\s", "", trace.output.text) in flat
    assert all(f"{step.index} " in text for step in trace.output.steps)
    assert "more steps" in terminal(trace, steps=2)


def test_colours_name_the_authors_and_no_color_takes_signs_instead():
    [trace] = parse_traces(written().to_trace())
    in_colour = terminal(trace, force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[35m off" in in_colour or "\x1b[36m on" in in_colour
    assert "[all]" not in in_colour
    without = terminal(trace, force_terminal=True, color_system="standard", no_color=True)
    assert "[all] cat" in without and not re.search(r"\x1b\[[0-9;]*3[1-6]m", without)


@pytest.mark.parametrize("width", [20, 30, 45, 60, 80, 200])
def test_lines_fit_the_terminal(width):
    for output in (written(), hostile()):
        [trace] = parse_traces(output.to_trace())
        assert max(map(len, terminal(trace, width).splitlines())) <= width


def test_a_hostile_text_steers_no_terminal():
    [trace] = parse_traces(hostile().to_trace())
    assert not {"\x1b", "\u202e", "\ud800"} & set(terminal(trace))


def test_view_reads_a_file_and_writes_a_page(tmp_path, capsys):
    file, page = tmp_path / "run.jsonl", tmp_path / "run.html"
    file.write_text(written().to_trace() + written("a cat").to_trace(), encoding="utf-8")
    call(["view", file])
    out = capsys.readouterr().out
    assert "text 1 of 2" in out and "text 2 of 2" in out
    call(["view", file, "--text", 2])
    assert "text 1 of 2" not in capsys.readouterr().out
    call(["view", file, "--html", page])
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_text(encoding="utf-8") == page_of(read_traces(file))
    call(["view", file, "--text", 3], code=2)
    assert "holds 2 texts; expected 1 to 2" in capsys.readouterr().err
    call(["view", tmp_path / "none"], code=2)
    assert "cannot be read" in capsys.readouterr().err


def test_view_shows_what_an_interrupted_run_left(tmp_path, capsys):
    file = tmp_path / "run.jsonl"
    text = written().to_trace()
    file.write_text(text[: len(text) // 2], encoding="utf-8")
    call(["view", file])
    out = " ".join(capsys.readouterr().out.split())
    assert "was cut off after" in out and "finish: unfinished" in out


# The page and the card.


class Tags(HTMLParser):
    """All tags of a page with their attributes, and the data of scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


def test_the_page_is_self_contained_and_holds_no_markup_of_the_data():
    plain, bad = (page_of(parse_traces(output.to_trace())) for output in (written(), hostile()))
    assert [tag for tag, _ in Tags(plain).tags] == [tag for tag, _ in Tags(bad).tags]
    names = {tag for tag, _ in Tags(bad).tags}
    assert not names & {"img", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in Tags(bad).tags:
        assert not {"src", "href", "onclick", "onerror", "style", "srcdoc"} & set(attributes)
    assert "innerHTML" not in bad and "insertAdjacentHTML" not in bad and "eval(" not in bad
    addresses = set(re.findall(r"https?://[^\s\"']+", bad))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name of XML, which nothing loads"
    bad.encode()  # no lone surrogate is left


def test_the_policy_allows_nothing_but_the_own_style_and_script():
    [policy] = [a["content"] for tag, a in Tags(page_of(parse_traces(written().to_trace()))).tags if "http-equiv" in a]
    parts = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert set(parts) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", parts["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", parts["style-src"])


def test_the_data_of_the_page_is_that_of_the_trace():
    output = written()
    data = json.loads(Tags(page_of(parse_traces(output.to_trace()))).scripts[0])
    [text] = data["texts"]
    assert text["members"] == list(NAMES) and text["prompts"] == [["", "a"]]
    assert "".join(step["text"] for step in text["steps"]) == output.text
    places = "@DATA@ @SCRIPT@ @POLICY@"
    placed = fusion().generate(places, 4)
    assert json.loads(Tags(page_of(parse_traces(placed.to_trace()))).scripts[0])["texts"][0]["prompts"] == [
        ["", places]
    ]


def test_a_page_needs_a_text():
    with pytest.raises(ArgumentError, match="no texts to show"):
        page_of([])


def test_notebooks_get_a_small_escaped_card():
    output = written()
    card = output._repr_html_()
    assert "<script" not in card and "ann" in card and "finish: end" in card
    assert re.sub(r"<[^>]*>", "", card).startswith(output.text.strip("\n")[:20])
    bad = hostile()._repr_html_()
    assert "<img" not in bad and "</script" not in bad and "\x1b" not in bad
    bad.encode()
    kinds = {tag for tag, _ in Tags(bad).tags}
    assert kinds == {"div", "span"}


def test_the_card_of_a_long_text_stays_small():
    output = written()
    long = output.steps * 1000
    text = "".join(step.text for step in long)
    card = Output(text, long, "end", output.members)._repr_html_()
    assert len(card) < 120_000
    assert f"… {len(long) - 400} more segments" in card


def test_the_card_of_a_reranked_text_shows_that_text():
    output = written()
    assert "another &lt;text" in Output("another <text", output.steps, "end", output.members, author=1)._repr_html_()
