"""Runs `coolfusion demo`, in which the models of this package write together."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from coolfusion.cli.show import colour, explained, summary
from coolfusion.embedded import folders
from coolfusion.errors import ModelError
from coolfusion.fusion import Fusion

# A text for each trade, because each member has learnt another one: ash tells stories, birch does sums, cedar puzzles.
DEMO_PROMPTS = (
    "Once upon a time",
    "Question: Tom has 23 apples. He gives away 9. How many apples are left? Answer:",
    "Puzzle: What is tiger spelled backwards? Answer:",
)


def demo(
    max_new_tokens: Annotated[int, typer.Option(help="Budget of each model, in its own tokens.")] = 64,
    threads: Annotated[int, typer.Option(help="CPU threads of one operation.")] = 1,
) -> None:
    """Let the three models of this package write together, and show who wrote which word."""
    console = Console()
    models = folders()
    if not models:
        raise ModelError("this installation holds no embedded models; expected folders below coolfusion/embedded")
    fusion = Fusion.from_pretrained(models, device="cpu", dtype="float32", threads=threads)
    names = Text("models: ")
    for number, member in enumerate(fusion.members):
        about = member.runner.describe()
        names.append(f"{member.name} ({about['kind']}, {member.tokenizer.vocab_size} tokens)  ", colour(number))
    console.print(names)
    order = " ".join(member.name for member in fusion.members)
    legend = f"each line: the segment, who proposed it, its perplexity under {order} | the proposals that lost"
    console.print(legend, style="dim")
    for prompt in DEMO_PROMPTS:
        begun = perf_counter()
        console.print(Text(f"\n{prompt}", "bold"))
        generation = fusion.stream(prompt, max_new_tokens)
        for step in generation:
            console.print(explained(step, fusion))
        line = Text(prompt, "bold")
        for step in generation.output.steps:
            line.append(step.text, colour(*step.candidates[step.winner].members))
        console.print(line)
        console.print(summary(generation.output, perf_counter() - begun), style="dim", markup=False)
