"""Hard texts and continuations for one tokenizer, from a seeded dice: what its own vocabulary and added tokens suggest.

`strategies.py` holds the fragments that have hurt any tokenizer; this adds what hurts *this* one: its pieces glued in
random order, its added tokens and their beginnings, and continuations that complete a piece begun at the end of a text.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import coolfusion as cf
from conftest import data_folder
from fixtures import CORPUS
from reference import SUFFIXES
from strategies import CHARACTERS, CODE, CONTRACTIONS, FRAGMENTS, MARKERS, MARKS, NUMBERS, SCRIPTS, SPACES, WORDS

# Hangul letters that compose, marks that reorder, joiners: what normalizers and NFC's horizon are about.
_COMPOSING = (
    *("\u1100", "\u1161", "\u11a8", "\u1112\u1161\u11ab", "가\u11a8", "\u0301", "\u0323", "\u0327", "\u0345", "\u0338"),
    *(
        "e",
        "o",
        "a",
        "=",
        "<",
        "\u0915\u093c",
        "\u09c7\u09be",
        "\u0dd9\u0dcf",
        "\u1025\u102e",
        "\u3099",
        "か",
        "\u309a",
    ),
    *("\u200d", "\u200c", "\ufe0f", "\U0001f3fd", "👩", "🇩", "\u0f71\u0f72", "\u212b", "\u2126", "\ufb01", "\u1e9b"),
)
_CONTROLS = tuple(chr(code) for code in [*range(0x20), 0x7F, *range(0x80, 0xA1), 0xAD, 0x2028, 0xFEFF, 0xFFFD, 0x2581])
_PUNCTUATED = tuple(
    mark + end for mark in (".", ",", "!)", "]", '"', "*/", "};", "。") for end in ("\n", "\n\n", "\r\n")
)


@cache
def corpus() -> tuple[str, ...]:
    """Pages of real text where COOLFUSION_DATA is set, and the page that the self-made tokenizers are trained on."""
    data = data_folder()
    names = (
        "udhr/*.txt",
        "gsm8k/test.jsonl",
        "blns/blns.json",
        "books/*.txt",
        "unicode15/NormalizationTest.txt",
        "mgsm/*.tsv",
    )
    files: list[Path] = [path for name in names for path in sorted((data / "text").glob(name))] if data else []
    assert not data or len(files) > 70
    pages = [path.read_text(encoding="utf-8", errors="ignore")[:200_000] for path in files]
    source = Path(__file__).read_text(encoding="utf-8")
    return (*CORPUS, "\n".join(CORPUS), source, *(page for page in pages if page))


class Dice:
    """Draws texts and continuations for ``tok``; the same seed draws the same."""

    def __init__(self, tok: cf.Tokenizer, added: Sequence[str], seed: int) -> None:
        # The name of the file alone: the folder of made tokenizers is another one in each process.
        self.random = random.Random(f"{Path(tok.name).name} {seed}")
        self.added = [content for content in added if content]
        every = range(tok.vocab_size)
        unused = set(tok.unused_ids)
        ids = [n for n in (every if len(every) <= 10_000 else self.random.sample(every, 10_000)) if n not in unused]
        # Pieces of a few bytes of a character are glued too: their characters come out of neighbours, or are lost.
        self.pieces = [data for n in ids if (data := tok.token_bytes(n))]
        self.beginnings: dict[str, list[str]] = {}
        for data in self.pieces:
            piece = data.decode("utf-8", "ignore")
            for size in range(1, min(len(piece), 9)):
                self.beginnings.setdefault(piece[:size], []).append(piece[size:])
        for content in self.added:
            for size in range(1, len(content)):
                self.beginnings.setdefault(content[:size][-12:], []).append(content[size:])
        self.makers: list[Callable[[], str]] = [
            *(self._fragment, self._fragment, self._page, self._page, self._vocabulary, self._vocabulary),
            *(self._run, self._characters, self._composing, self._added_token, self._script, self._anything),
        ]

    def _fragment(self) -> str:
        kind = self.random.choice(
            (WORDS, SPACES, CONTRACTIONS, NUMBERS, CODE, SCRIPTS, MARKS, MARKERS, _PUNCTUATED, FRAGMENTS)
        )
        return "".join(self.random.choices(kind, k=self.random.randint(1, 3)))

    def _page(self) -> str:
        page = self.random.choice(corpus())
        at = self.random.randrange(len(page))
        return page[at : at + self.random.randint(1, 40)]

    def _vocabulary(self) -> str:
        return b"".join(self.random.choices(self.pieces, k=self.random.randint(1, 6))).decode("utf-8", "ignore")

    def _run(self) -> str:
        unit = self.random.choice(
            (" ", "\n", "\t", "\r\n", "a", "ab", "1", "=", "的", "\u0301", "\u2581", "'", "ส", " \n", "\u00a0", "😀")
        )
        return unit * self.random.choice((2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 70))

    def _characters(self) -> str:
        return "".join(self.random.choices(self.random.choice((CHARACTERS, _CONTROLS)), k=self.random.randint(1, 6)))

    def _composing(self) -> str:
        return "".join(self.random.choices(_COMPOSING, k=self.random.randint(1, 6)))

    def _added_token(self) -> str:
        if not self.added:
            return self._fragment()
        content = self.random.choice(self.added)
        part = content[: self.random.randint(1, len(content))] if self.random.random() < 0.5 else content
        return self.random.choice(("", " ", "\n", "a")) + part + self.random.choice(("", "", " ", "b"))

    def _script(self) -> str:
        first = self.random.choice(
            (0x20, 0xA1, 0x370, 0x5D0, 0x621, 0x905, 0xE01, 0x1100, 0x1780, 0x2000, 0x3041, 0x4E00, 0xAC00, 0x1F600)
        )
        return "".join(chr(first + self.random.randrange(40)) for _ in range(self.random.randint(1, 8)))

    def _anything(self) -> str:
        code = self.random.choice((self.random.randrange(0x110000), self.random.randrange(0x3000)))
        return "" if 0xD800 <= code < 0xE000 else chr(code)

    def text(self) -> str:
        """A text of one to ten parts, a few to a few hundred characters."""
        makers = self.random.choices(self.makers, k=self.random.randint(1, 10))
        glue = self.random.choice(("", "", "", " ", "\n"))
        return glue.join(make() for make in makers)

    def sober_text(self) -> str:
        """A text that most normalizers leave alone: composed, ASCII for the most part, with single spaces."""
        text = " ".join(unicodedata.normalize("NFKC", self.text()).split())
        return text if self.random.random() < 0.2 else " ".join(text.encode("ascii", "ignore").decode().split())

    def continuation(self, text: str) -> str:
        """Something to append: often what completes a piece or an added token that begins at the end of ``text``."""
        if self.random.random() < 0.5:
            sizes = [size for size in range(1, 13) if text[-size:] in self.beginnings and size <= len(text)]
            if sizes:
                rest = self.random.choice(self.beginnings[text[-self.random.choice(sizes) :]])
                return rest + (self.text() if self.random.random() < 0.2 else "")
        if self.random.random() < 0.3:
            return self.random.choice(SUFFIXES)
        return self.random.choice(self.makers)() if self.random.random() < 0.7 else self.text()

    def parts(self, text: str) -> list[str]:
        """The text cut at random places, also inside grapheme clusters."""
        places = sorted(self.random.randrange(len(text) + 1) for _ in range(self.random.randint(0, 8)))
        return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
