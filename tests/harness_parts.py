"""Texts of the tests with lm-evaluation-harness: its requests to our model, and the same to our server."""

from __future__ import annotations

from types import SimpleNamespace

SUM = "Question: Tom has 3 apples. He buys 4 more. How many apples does Tom have? Answer:"
PAIRS = [
    ("Once upon a time", ", there was a little girl."),
    ("Once upon a time", ", there was a dog named Max.\nHe liked to play."),
    (SUM, " 7"),
    ("Once upon ", "a time"),
    ("", "Once upon a time, there was"),
]
DOCUMENTS = ["Once upon a time, there was a little girl named Lily.\n\nShe liked to  play.", SUM + " 3 + 4 = 7."]
WRITTEN = [
    ("Once upon a time", {"until": ["."], "max_gen_toks": 24, "do_sample": False, "temperature": 0.0}),
    (SUM, {"until": ["\n", "Question:"], "max_gen_toks": 12}),
]


def instances(arguments):
    """Requests as the harness makes them."""
    return [SimpleNamespace(args=each if isinstance(each, tuple) else (each,)) for each in arguments]
