"""Parts for the tests of reranks: members that write given or random texts, and what is compared."""

from __future__ import annotations

from fusion_parts import gambler, toy, writer

WORDS, LETTERS = toy(" cat", " sat", " on", " the", " mat"), toy()


def cast(*texts, chance=0.9):
    """Members that each write a text after "a"; tokenizers alternate."""
    tokenizers = (WORDS, LETTERS)
    return [
        writer(tokenizers[n % 2], f"a{text}", chance=chance, name=name)
        for n, (text, name) in enumerate(zip(texts, ("ann", "bob", "cyd"), strict=False))
    ]


def same(one, other):
    assert one.text == other.text and one.author == other.author
    assert one.continuations == other.continuations


def drawn(output):
    return [each for each in output.continuations if each.sample is not None]


def gamblers(seed=0):
    return [gambler(tokenizer, seed + n, name=f"g{n}") for n, tokenizer in enumerate((WORDS, LETTERS))]
