"""Renders the output of the command line on a terminal: steps, costs and colours."""

from __future__ import annotations

from rich.text import Text

from coolfusion.fusion import Fusion
from coolfusion.fusion.selection import perplexity
from coolfusion.records import Candidate, Output, Score, Step

__all__ = ["colour", "explained", "summary"]

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


def summary(output: Output, seconds: float) -> str:
    """Returns one line about an output: steps, time, the reason of its end, and the cost of each member."""
    passes = [sum(step.members[j].forward_passes for step in output.steps) for j in range(len(output.members))]
    parts = [f"{len(output.steps)} steps in {seconds:.2f} s", f"finish: {output.finish_reason}"]
    if output.continuations:
        names = [member.name for member in output.members]
        parts.append(f"best: {output.author if output.author == 'fusion' else names[output.author]}")
    for member, n_passes in zip(output.members, passes, strict=True):
        cut = f", {member.dropped_context} dropped from its context" if member.dropped_context else ""
        parts.append(f"{member.name}: {len(member.token_ids)} tokens, {n_passes} passes{cut}")
    return " | ".join([*parts, *(f"note: {note}" for note in output.notes)])


def explained(step: Step, fusion: Fusion) -> Text:
    """Returns the winner with its proposers and its perplexity under each member, and then its rivals, best first."""
    line = Text("  ")
    order = sorted(range(len(step.candidates)), key=lambda i: (i != step.winner, step.values[i]))
    for i in order:
        candidate, scores = step.candidates[i], step.scores[i]
        everybody = len(candidate.members) == len(fusion.members)
        by = "all agree" if everybody else "+".join(fusion.members[j].name for j in candidate.members)
        shown = f"{_shown(candidate):<14} " if i == step.winner else f"  | {_shown(candidate)} "
        line.append(shown, f"{'bold ' if i == step.winner else ''}{colour(*candidate.members)}")
        line.append(f"{by} {' '.join(_priced(score) for score in scores)}", "dim")
    return line


def colour(*members: int) -> str:
    """Returns the colour of one author, or the terminal's own for several."""
    return COLOURS[members[0] % len(COLOURS)] if len(members) == 1 else ""


def _shown(candidate: Candidate) -> str:
    return "END" if candidate.end else repr(candidate.text)[1:-1].replace(" ", "·")


def _priced(score: Score) -> str:
    value = perplexity(score)
    return f"{value:.1f}" if value < 1000 else f"{value:.0e}"
