"""`coolfusion chat`: turns, commands, Ctrl-C, traces."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

pytest.importorskip("torch", reason="the command line's models need torch: pip install 'coolfusion[hf]'")

from cli_parts import Loaded, call
from coolfusion.cli.chat import talk
from coolfusion.cli.conversation import HELP, Conversation, Leave
from coolfusion.errors import ArgumentError
from coolfusion.fusion import Fusion
from coolfusion.traces import read_traces
from fusion_parts import toy, writer

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]


class Speaker:
    """What a member answers: its word, then END. It notes what it reads; Ctrl-C comes once after `interrupts`."""

    def __init__(self, word, interrupts=None):
        self.word, self.interrupts, self.read = word, interrupts, []

    def __call__(self, text):
        self.read.append(text)
        if self.interrupts is not None and text.endswith(self.interrupts):
            self.interrupts = None
            raise KeyboardInterrupt
        written = text.rpartition("Assistant:\n")[2]
        return self.word[len(written) :] if self.word.startswith(written) else ""


def pool(*words, **options):
    speakers = [Speaker(word, **options) for word in words]
    names = ("ann", "bob", "cid")
    vocab = toy("a cat", "a dog", " sat", " ran")
    return speakers, [
        writer(vocab, speaker, name=name, chance=0.9 - at / 10)
        for at, (name, speaker) in enumerate(zip(names, speakers, strict=False))
    ]


def conversation(members, **options):
    return Conversation(tuple(members), {"rule": "paper", "drafts": 0}, {"max_new_tokens": 40}, **options)


def talked(monkeypatch, members, *lines, **options):
    """Talks; returns the conversation and what was printed."""
    found = conversation(members, **options)
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    talk(found, Console(file=file, width=100, highlight=False))
    return found, file.getvalue()


def prompts(speaker):
    """The conversations that a member has read, each once, as a member without a template reads them."""
    return list(dict.fromkeys(text for text in speaker.read if text.endswith("Assistant:\n")))


def test_a_chat_has_several_turns(monkeypatch):
    [speaker], members = pool("a cat sat")
    found, shown = talked(monkeypatch, members, "who?", "", "and?", system="be short")
    assert found.turns == [("who?", "a cat sat"), ("and?", "a cat sat")]
    first, second = prompts(speaker)
    assert "be short" in first and "who?" in first and "and?" not in first
    assert second.index("who?") < second.index("a cat sat") < second.index("and?")
    assert shown.count("a cat sat") == 2 and "finish: end" in shown
    assert shown.count("member ann has no chat template") == 1, "a note is told once"


def test_words_tell_their_authors_with_and_without_colours(monkeypatch):
    _, members = pool("a cat sat", "a cat ran")
    _, shown = talked(monkeypatch, members, "who?")
    assert "[all]a cat[a] sat" in shown
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO("who?\n"))
    talk(conversation(members), Console(file=file, force_terminal=True, color_system="standard", no_color=False))
    assert "a cat\x1b[36m sat" in file.getvalue()


def test_members_leave_and_come_back(monkeypatch):
    (ann, _), members = pool("a cat sat", "a cat ran")
    found, shown = talked(
        monkeypatch, members, "/members", "/drop ann", "/members", "who?", "/add 0", "/drop bob", "and?"
    )
    assert "0  ann\n1  bob" in shown and "0  ann  (dropped)" in shown
    assert [answer for _, answer in found.turns] == ["a cat ran", "a cat sat"]
    assert not any("who?" in text and "and?" not in text for text in ann.read)
    assert found.names == ["ann"]


def test_the_rule_changes_between_answers(monkeypatch):
    _, members = pool("a cat sat", "a cat ran")
    found, shown = talked(monkeypatch, members, "/rule", "/rule boldest", "who?", "/rule nonsense")
    assert "rule: arithmetic_mean_perplexity" in shown or "rule: paper" in shown
    assert found.fusion.rule.name == "boldest"
    assert "error: " in shown and "nonsense" in shown


def test_undo_reset_and_system(monkeypatch):
    [speaker], members = pool("a cat sat")
    found, shown = talked(
        monkeypatch, members, "/undo", "who?", "why?", "/undo", "/system be kind", "how?", "/reset", "/system", "last?"
    )
    assert "error: nothing to undo" in shown and "taken back: why?" in shown
    *_, before, last = prompts(speaker)
    assert "who?" in before and "why?" not in before and "be kind" in before
    assert "who?" not in last and "be kind" not in last
    assert [question for question, _ in found.turns] == ["last?"]


def test_quit_leaves_at_once_and_help_lists_all_commands(monkeypatch):
    _, members = pool("a cat sat")
    found, shown = talked(monkeypatch, members, "/help", "/quit", "who?")
    assert found.turns == [] and "/rule NAME" in shown
    with pytest.raises(Leave):
        found.command("/quit")
    assert all(f"{name} " in HELP or f"{name}\n" in HELP for name in found._commands if name != "/add")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/what", "/what is unknown; expected one of /rule /members"),
        ("/drop", "no member ''; expected 0 or ann, 1 or bob"),
        ("/drop 2", "no member '2'"),
        ("/drop -1", "no member '-1'"),
        ("/drop " + "9" * 5000, "no member '9999"),
        ("/trace /no/such/folder/x", "cannot be written"),
    ],
)
def test_a_wrong_command_changes_nothing(line, message):
    _, members = pool("a cat sat", "a cat ran")
    found = conversation(members)
    with pytest.raises(ArgumentError) as caught:
        found.command(line)
    assert message in str(caught.value)
    assert found.names == ["ann", "bob"] and found.turns == []


def test_the_last_member_stays():
    _, members = pool("a cat sat")
    with pytest.raises(ArgumentError, match="ann is the last member"):
        conversation(members).command("/drop ann")


def test_ctrl_c_stops_an_answer_and_keeps_its_text(monkeypatch):
    [speaker], members = pool("a cat sat")
    speaker.interrupts = "a cat"
    found, shown = talked(monkeypatch, members, "who?", "and?")
    assert "stopped, the text is kept" in shown
    assert found.turns[0][0] == "who?" and "a cat sat".startswith(found.turns[0][1])
    assert found.turns[1] == ("and?", "a cat sat"), "the chat goes on"


def test_answers_are_traced(monkeypatch, tmp_path):
    _, members = pool("a cat sat", "a cat ran")
    file = tmp_path / "chat.jsonl"
    found, _ = talked(monkeypatch, members, "no", f"/trace {file}", "who?", "/drop bob", "and?", "/trace", "no")
    first, second = read_traces(file)
    assert (first.names, second.names) == (("ann", "bob"), ("ann",))
    assert [trace.output.text for trace in (first, second)] == [answer for _, answer in found.turns[1:3]]
    assert first.problem is None and first.seconds > 0


def test_the_command_loads_and_talks(monkeypatch, capsys):
    _, members = pool("a cat sat")
    loaded = Loaded(monkeypatch, lambda options: Fusion(members))
    monkeypatch.setattr(sys, "stdin", io.StringIO("who?\n"))
    call(["chat", "m", "--rule", "paper", "--max-new-tokens", "40", "--system", "be short"])
    assert "a cat sat" in capsys.readouterr().out
    assert loaded.calls[0][0] == ["m"]
    call(["chat", "m", "--rule", "nonsense"], code=2)
    call(["chat", "m", "--temperature", "-1"], code=2)
    assert len(loaded.calls) == 1


def test_a_hostile_answer_steers_no_terminal(monkeypatch):
    _, members = pool("a \x1b[2J cat\x07")
    _, shown = talked(monkeypatch, members, "who?")
    assert "\x1b" not in shown and "\x07" not in shown and "␛[2J" in shown
