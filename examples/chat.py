"""A chat with three models that answer together. Reads questions from standard input, one a line.

    python examples/chat.py
    echo "Tom has 3 apples. He buys 4 more. How many apples does Tom have?" | python examples/chat.py

The embedded models have no chat template, so turns are plain words. Models with templates take ``messages=``; see
docs/guides/chat.md.
"""

import sys

from coolfusion import Fusion
from coolfusion.embedded import folders

MODELS = folders()  # or hub names, such as "Qwen/Qwen2.5-1.5B"
TURNS_KEPT = 3


def main() -> None:
    """Answers each line, word by word."""
    history: list[str] = []
    with Fusion.from_pretrained(MODELS, device="cpu") as fusion:
        if sys.stdin.isatty():
            print("Ask something, end with Ctrl-D.")
        for question in filter(None, map(str.strip, sys.stdin)):
            history.append(f"Question: {question} Answer:")
            generation = fusion.stream("\n".join(history[-TURNS_KEPT:]), 48, stop_strings=["Question:", "\n"])
            for step in generation:
                print(step.text, end="", flush=True)
            print()
            history[-1] += generation.output.text


if __name__ == "__main__":
    main()
