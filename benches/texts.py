"""The texts: those of COOLFUSION_DATA where it is set, else made here; the standard library's source in both cases."""

from __future__ import annotations

import argparse
import inspect
import json
import random
import re
import tarfile
import typing
from pathlib import Path

DOCUMENT = 1000  # characters
# The first article onwards of the Universal Declaration of Human Rights, one file for each script.
SCRIPTS = {
    "Latin": "eng",
    "Cyrillic": "rus",
    "Greek": "ell_monotonic",
    "Arabic": "arb",
    "Devanagari": "hin",
    "Thai": "tha",
    "Han": "cmn_hans",
    "Kana": "jpn",
    "Hangul": "kor",
    "Ethiopic": "tir",
}
# The Unicode property White_Space.
SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BEFORE_SPACE = re.compile(f"(?<=[^{SPACE}])(?=[{SPACE}])")
# What is pushed into a stream at once: a word with the white space before it, or a part of a long one.
PIECE = re.compile(rf"[{SPACE}]*[^{SPACE}]{{1,12}}")

WORDS = {
    "Latin": "the a quick brown fox jumps over lazy dog it's never been 42 late, again weil Größe nicht alles ist",
    "Cyrillic": "быстрая лиса прыгает через ленивую собаку и не знает зачем",
    "Greek": "η γρήγορη αλεπού πηδά πάνω από το τεμπέλικο σκυλί",
    "Arabic": "الثعلب السريع يقفز فوق الكلب الكسول ولا يعرف لماذا",
    "Devanagari": "तेज़ लोमड़ी आलसी कुत्ते के ऊपर कूदती है और सोचती है",
    "Thai": "สุนัขจิ้งจอก กระโดด ข้าม สุนัข ขี้เกียจ",
    "Han": "敏捷的 狐狸 跳过 懒惰的 狗。 今天 天气 很好， 我们 去 公园",
    "Kana": "速い 狐が のろまな 犬を 飛び越える。 今日は とても 寒い、 と 思った",
    "Hangul": "빠른 여우가 게으른 개를 뛰어넘고 이유를 모른다",
    "Ethiopic": "ፈጣን ቀበሮ በሰነፍ ውሻ ላይ ይዘላል ለምን እንደሆነ አያውቅም",
}


def generated(script: str, length: int) -> str:
    """Sentences of few words from a fixed seed: nothing that anyone wrote."""
    dice = random.Random(20261123)
    glue = "" if script in ("Han", "Kana", "Thai") else " "
    parts, size = [], 0
    while size < length:
        sentence = glue.join(dice.choices(WORDS[script].split(" "), k=dice.randint(4, 14)))
        parts.append(sentence + dice.choice([".", ".", "!", ",", ".\n\n"]) + glue)
        size += len(parts[-1])
    return "".join(parts)


def python_source() -> str:
    """Modules of the standard library, which are there wherever this runs."""
    modules = (argparse, inspect, tarfile, typing)
    return "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)


def texts(data: Path | None) -> dict[str, str]:
    """Name -> a text of some thousand to a million characters."""
    if data is None:
        made = {f"{script} (made)": generated(script, 30_000) for script in SCRIPTS}
        return {**made, "Python source": python_source()}
    folder = data / "text"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    problems = map(json.loads, read("gsm8k/train.jsonl").splitlines())
    return {
        "English book": read("books/pride_and_prejudice.txt")[20_000:],
        "Japanese book": read("books/wagahai.txt")[5_000:],
        "Python source": python_source(),
        "GSM8K": "\n".join(f"{each['question']}\n{each['answer']}" for each in problems),
        **{f"{script} (UDHR)": read(f"udhr/{file}.txt") for script, file in SCRIPTS.items()},
        # A piece of each, so that no script is most of it.
        "UDHR, 77 languages": "".join(
            read(f"udhr/{path.name}")[2_000:5_000] for path in sorted((folder / "udhr").glob("*.txt"))
        ),
    }


def documents(text: str, count: int) -> list[str]:
    """At most `count` documents of 1,000 characters from the beginning of `text`."""
    return [text[at : at + DOCUMENT] for at in range(0, min(len(text), count * DOCUMENT), DOCUMENT)]
