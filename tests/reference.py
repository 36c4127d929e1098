"""Slow, obvious twins of the primitives, written from the definitions in docs/definitions.md and nothing else.

Nothing here calls an algorithm of coolfusion. Encoders come in as functions: ``encode(text)`` is the canonical encoding
T of a text, ``inside(text)`` that of a text which stands after other text. Positions are characters.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

import regex
import tokenizers

Encode = Callable[[str], list[int]]

# Unicode 15, PropList.txt, White_Space. Not str.isspace(): that has U+001C to U+001F besides.
WHITE_SPACE = frozenset(
    [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
)

# What may be written next and has changed the tokens before it in some tokenizer.
SUFFIXES = (
    *("", " ", "  ", "   x", "\n", "\n\n", "\r\n", " \n", "\t", "\u00a0", "\u3000", "\u2009a"),
    *("a", "s", "t know", "'s", "'t", "'ll be", "’s", "ed", "ing of the world", "A", "HTTP", "x y"),
    *("1", "12", "345 ", "½", ".", "...", ",", "!", "=", "===", "--", "- ", "_", "/", "://", "\\", "(", '")', "}$"),
    *("\u0301", "\u0323\u0301", "\u200d", "\u200d👩", "\ufe0f", "🏽", "😀", "🇵", "\u093e", "\u0e31", "\u1160", "ᄀ"),
    *("的", "。你", "の", "ส", "कि", "세계", "ш", "ﬁ", "\ufffd", "\u2581", "\x00", "\x03", "\U00013000"),
    *("<|endoftext|>", "</s>", "<0x0A>", ">", "<unk>", "<tool_call>", "<｜User｜>", "rlosag", "twhen", "abababab"),
)


# Decoding ------------------------------------------------------------------------------------------------------------


def byte_alphabet() -> dict[str, int]:
    """GPT-2's stand-in characters -> bytes (Radford et al. 2019, ``bytes_to_unicode``)."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + n): byte for n, byte in enumerate(hidden)}


def kinds_of_decoder(definition: dict[str, Any]) -> list[str]:
    """The names of the decoder's stages."""
    decoder = definition["decoder"] or {}
    return [stage["type"] for stage in decoder.get("decoders", [decoder] if decoder else [])]


def token_bytes(definition: dict[str, Any], is_control: Callable[[dict[str, Any]], bool]) -> dict[int, bytes]:
    """The bytes of every id, read from the definition: none for control tokens and for the unknown token."""
    vocab = definition["model"]["vocab"]
    pieces = pieces_by_id(definition)
    named = {piece: token_id for token_id, piece in pieces.items()}
    kinds = kinds_of_decoder(definition)
    alphabet = byte_alphabet()
    letters = set(alphabet)
    wordpiece = kinds == ["WordPiece"]
    table = {}
    for token_id, piece in pieces.items():
        if kinds == ["ByteLevel"]:
            table[token_id] = bytes(alphabet[c] for c in piece) if letters.issuperset(piece) else piece.encode()
        elif wordpiece:
            table[token_id] = _cleaned(definition, piece[2:] if piece.startswith("##") else " " + piece)
        elif "ByteFallback" in kinds and piece.startswith("<0x") and regex.fullmatch(r"<0x[0-9A-F]{2}>", piece):
            table[token_id] = bytes([int(piece[3:5], 16)])
        elif kinds == ["BPEDecoder"]:
            table[token_id] = piece.removesuffix(definition["decoder"]["suffix"]).encode()
        else:
            table[token_id] = (piece.replace("\u2581", " ") if kinds else " " + piece).encode()
    for token in definition["added_tokens"]:
        spaced = "Replace" in kinds or "Metaspace" in kinds
        content = token["content"].replace("\u2581", " ") if spaced else token["content"]
        # The library shows a normalized token in its normal form, which may begin with the dummy prefix.
        prefixed = token["normalized"] and '"Prepend"' in json.dumps(definition["normalizer"])
        before = " " if wordpiece or not kinds or prefixed else ""
        # The library gives an added token the id of its piece.
        table[named.get(token["content"], token["id"])] = (
            b"" if is_control(token) else _cleaned(definition, before + content)
        )
    model = definition["model"]
    unknown = model.get("unk_id")
    if unknown is None and model.get("unk_token") is not None:
        unknown = vocab.get(model["unk_token"])
    if unknown is not None:
        table[unknown] = b""
    return table


def pieces_by_id(definition: dict[str, Any]) -> dict[int, str]:
    """The pieces of the model."""
    vocab = definition["model"]["vocab"]
    if isinstance(vocab, list):
        return {n: entry[0] for n, entry in enumerate(vocab)}
    return {n: piece for piece, n in vocab.items()}


# The library's clean-up of each token (`cleanup` of its WordPiece decoder).
_CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " do not", " 's", " 've", " 're")


def _cleaned(definition: dict[str, Any], token: str) -> bytes:
    if (definition["decoder"] or {}).get("cleanup"):
        for form in _CLEANED:
            token = token.replace(form, " don't" if form == " do not" else form.strip())
    return token.encode()


def drops_first_space(definition: dict[str, Any]) -> bool:
    """Whether decoding takes one space from the start of a text: where the decoder does, or the encoder adds one."""
    if definition["decoder"] is None:
        return True
    decoder = definition["decoder"]
    for stage in decoder.get("decoders", [decoder]):
        if stage.get("type") == "Strip" and stage["content"] == " " and stage["start"] > 0:
            return True
        if stage.get("type") == "WordPiece" or (stage.get("type") == "Metaspace" and _marks_the_start(stage)):
            return True
    normalizer, pre_tokenizer = definition["normalizer"] or {}, definition["pre_tokenizer"] or {}
    stages = [*normalizer.get("normalizers", [normalizer]), *pre_tokenizer.get("pretokenizers", [pre_tokenizer])]
    return any(
        (stage.get("type") == "Prepend" and stage["prepend"] == "\u2581")
        or (stage.get("type") == "ByteLevel" and stage["add_prefix_space"])
        or (stage.get("type") == "Metaspace" and _marks_the_start(stage))
        for stage in stages
    )


def _marks_the_start(metaspace: dict[str, Any]) -> bool:
    return metaspace.get("prepend_scheme", "always") != "never" and metaspace.get("add_prefix_space") is not False


def decode(definition: dict[str, Any], table: dict[int, bytes], ids: Iterable[int]) -> bytes:
    """The bytes of ``ids`` one after the other, without the dummy space at the start, with spaces where words end."""
    kinds, drops = kinds_of_decoder(definition), drops_first_space(definition)
    # Only these decoders look at the spelling of a piece once its bytes are known.
    pieces = pieces_by_id(definition) if kinds in (["WordPiece"], ["BPEDecoder"]) else {}
    # The piece "##" adds nothing to a text that has begun, and itself to one that it begins.
    bare = kinds == ["WordPiece"]
    spoken = [token_id for token_id in ids if table[token_id] or (bare and pieces.get(token_id) == "##")]
    parts = [table[token_id] for token_id in spoken]
    if kinds == ["WordPiece"] and spoken and pieces.get(spoken[0], "").startswith("##"):
        parts[0] = _cleaned(definition, pieces[spoken[0]])
    if kinds == ["BPEDecoder"]:
        suffix = definition["decoder"]["suffix"]
        parts[:-1] = [
            part + b" " * pieces.get(n, "").endswith(suffix) for n, part in zip(spoken, parts[:-1], strict=False)
        ]
    data = b"".join(parts)
    return data[1:] if drops and data.startswith(b" ") else data


# Lead bytes and what may follow them (The Unicode Standard 15, table 3-7).
_CONTINUATION = (0x80, 0xBF)
_WELL_FORMED = (
    ((0xC2, 0xDF), _CONTINUATION),
    ((0xE0, 0xE0), (0xA0, 0xBF), _CONTINUATION),
    ((0xE1, 0xEC), _CONTINUATION, _CONTINUATION),
    ((0xED, 0xED), (0x80, 0x9F), _CONTINUATION),
    ((0xEE, 0xEF), _CONTINUATION, _CONTINUATION),
    ((0xF0, 0xF0), (0x90, 0xBF), _CONTINUATION, _CONTINUATION),
    ((0xF1, 0xF3), _CONTINUATION, _CONTINUATION, _CONTINUATION),
    ((0xF4, 0xF4), (0x80, 0x8F), _CONTINUATION, _CONTINUATION),
)


def held(data: bytes) -> bytes:
    """The bytes at the end that may still become a character: a well-formed sequence that is not yet complete."""
    return _held(data[-3:])


@lru_cache(maxsize=2**14)
def _held(end: bytes) -> bytes:
    """What is held of the last three bytes; a character has at most four, so no more can be incomplete."""
    for size in (3, 2, 1):
        tail = end[-size:] if len(end) >= size else b""
        for ranges in _WELL_FORMED:
            fits = all(low <= byte <= high for byte, (low, high) in zip(tail, ranges, strict=False))
            if tail and len(tail) < len(ranges) and fits:
                return tail
    return b""


def certain_text(data: bytes) -> str:
    """The text of ``data`` that nothing appended can change."""
    # Not Python's incremental decoder: that one waits after ED A0, for the sake of its surrogatepass handler.
    return data[: len(data) - len(held(data))].decode("utf-8", "replace")


def stream_text(prompt: bytes, data: bytes) -> str:
    """What a stream owes after ``prompt``: the text of all bytes, less the whole characters of the prompt."""
    shown = certain_text(prompt)
    whole = (prompt + data).decode("utf-8", "replace")
    assert whole.startswith(shown)
    return whole[len(shown) :]


# Encoding ------------------------------------------------------------------------------------------------------------


class NaiveBPE:
    """Byte-pair encoding as it is defined: of all neighbours merge the pair of the lowest rank, the leftmost first.

    Normalizer and pre-tokenizer are the library's own objects; added tokens are found first, the longest at each place.
    """

    def __init__(
        self, definition: dict[str, Any], oracle: tokenizers.Tokenizer, is_control: Callable[[dict[str, Any]], bool]
    ) -> None:
        model = definition["model"]
        self.vocab: dict[str, int] = model["vocab"]
        pairs = (tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"])
        self.ranks: dict[tuple[str, str], int] = {pair: rank for rank, pair in enumerate(pairs)}
        self.ignore_merges = bool(model.get("ignore_merges"))
        self.byte_fallback = bool(model.get("byte_fallback"))
        self.unknown = model.get("unk_token")
        self.prefix = model.get("continuing_subword_prefix") or ""
        self.suffix = model.get("end_of_word_suffix") or ""
        self.fuse_unknown = bool(model.get("fuse_unk"))
        self.normalizer, self.pre_tokenizer = oracle.normalizer, oracle.pre_tokenizer
        self.only_first = "first" in str(definition["pre_tokenizer"])  # Metaspace's prefix
        added = [token for token in definition["added_tokens"] if not is_control(token) and token["content"]]
        self.after_normalizer = any(token["normalized"] for token in added)
        self.added = {token["content"]: token["id"] for token in added}
        if self.after_normalizer and self.normalizer is not None:
            self.added = {self.normalizer.normalize_str(text): token_id for text, token_id in self.added.items()}
        self.longest_added = max(map(len, self.added), default=0)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``."""
        if self.after_normalizer and self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        ids = []
        gap, at = 0, 0
        while at < len(text):
            sizes = range(min(self.longest_added, len(text) - at), 0, -1)
            size = next((size for size in sizes if text[at : at + size] in self.added), 0)
            if size:
                ids += self._stretch(text[gap:at], gap == 0)
                ids.append(self.added[text[at : at + size]])
                gap = at + size
            at += size or 1
        return ids + self._stretch(text[gap:], gap == 0)

    def _stretch(self, text: str, first: bool) -> list[int]:
        if not text:
            return []
        if self.normalizer is not None and not self.after_normalizer:
            text = self.normalizer.normalize_str(text)
        if self.pre_tokenizer is None:
            words = [text]
        elif not first and self.only_first:
            words = [text.replace(" ", "\u2581")]
        else:
            words = [word for word, _ in self.pre_tokenizer.pre_tokenize_str(text)]
        return [token_id for word in words for token_id in self.word(word)]

    def word(self, word: str) -> list[int]:
        """The ids of one pre-token, spelled as in the vocabulary."""
        if self.ignore_merges and word in self.vocab:
            return [self.vocab[word]]
        symbols: list[str] = []
        characters = [self.prefix * (at > 0) + c for at, c in enumerate(word)]
        for character in [*characters[:-1], *(last + self.suffix for last in characters[-1:])]:
            data = [f"<0x{byte:02X}>" for byte in character.encode()]
            if character in self.vocab:
                symbols.append(character)
            elif self.byte_fallback and all(piece in self.vocab for piece in data):
                symbols += data
            elif self.unknown is not None and not (self.fuse_unknown and symbols and symbols[-1] == ""):
                symbols.append("")  # stands for the unknown token
        while True:
            ranked = [(self.ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in self.ranks]
            if not ranked:
                break
            _, at = min(ranked)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1].removeprefix(self.prefix)]
        return [self.vocab[symbol or self.unknown] for symbol in symbols]


class NaiveWords:
    """Unigram and WordPiece as they are defined: of all segmentations that with the best sum; the longest piece first.

    Normalizer and pre-tokenizer are the library's own objects. Added tokens are left out: the texts must not hold any.
    """

    def __init__(self, definition: dict[str, Any], oracle: tokenizers.Tokenizer) -> None:
        model = definition["model"]
        self.model = model
        if model["type"] == "Unigram":
            self.scores = dict(model["vocab"])
            self.vocab = {piece: token_id for token_id, (piece, _) in enumerate(model["vocab"])}
            self.unknown = model["unk_id"]
            self.unknown_score = min(self.scores.values()) - 10
        else:
            self.vocab = model["vocab"]
            self.unknown = self.vocab[model["unk_token"]]
        self.byte_fallback = bool(model.get("byte_fallback"))
        self.normalizer, self.pre_tokenizer = oracle.normalizer, oracle.pre_tokenizer
        self.longest = max(map(len, self.vocab))

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``."""
        if self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        words = [text]
        if self.pre_tokenizer is not None:
            words = [word for word, _ in self.pre_tokenizer.pre_tokenize_str(text)]
        by_model = self.unigram if self.model["type"] == "Unigram" else self.wordpiece
        return [token_id for word in words if word for token_id in by_model(word)]

    def unigram(self, word: str) -> list[int]:
        """Of equal sums, added up from the left, that whose last piece begins first wins, at every position."""
        best: list[tuple[float, int]] = [(0.0, 0)]  # the sum up to here, and where its last piece begins
        for end in range(1, len(word) + 1):
            ways = []
            for start in range(max(0, end - self.longest), end):
                piece = word[start:end]
                score = self.scores.get(piece, self.unknown_score if end - start == 1 else None)
                if score is not None:
                    ways.append((score + best[start][0], start))
            best.append(max(ways, key=lambda way: (way[0], -way[1])))
        pieces: list[str] = []
        end = len(word)
        joins = False
        while end > 0:
            start = best[end][1]
            piece = word[start:end]
            unknown = piece not in self.vocab or self.vocab[piece] == self.unknown
            if unknown and joins:
                pieces[-1] = piece + pieces[-1]
            else:
                pieces.append(piece)
            end, joins = start, unknown
        return [token_id for piece in reversed(pieces) for token_id in self._spelled(piece)]

    def _spelled(self, piece: str) -> list[int]:
        if piece in self.vocab:
            return [self.vocab[piece]]
        data = [f"<0x{byte:02X}>" for byte in piece.encode()]
        if self.byte_fallback and all(name in self.vocab for name in data):
            return [self.vocab[name] for name in data]
        return [self.unknown]

    def wordpiece(self, word: str) -> list[int]:
        """The longest piece at each position; a word that does not come out is unknown."""
        ids = []
        at = 0
        while at < len(word) <= self.model["max_input_chars_per_word"]:
            prefix = self.model["continuing_subword_prefix"] if at else ""
            ends = (end for end in range(len(word), at, -1) if prefix + word[at:end] in self.vocab)
            end = next(ends, None)
            if end is None:
                break
            ids.append(self.vocab[prefix + word[at:end]])
            at = end
        return ids if at == len(word) else [self.unknown]


@dataclass
class NaiveStreamEncoder:
    """Encodes everything again at every push; ``edit`` is how the ids of before and after differ."""

    encode: Encode
    text: str = ""
    ids: list[int] = field(default_factory=list)

    def push(self, text: str) -> tuple[int, list[int]]:
        """(how many ids to drop, which to append)."""
        self.text += text
        before, self.ids = self.ids, self.encode(self.text)
        same = 0
        while same < min(len(before), len(self.ids)) and before[same] == self.ids[same]:
            same += 1
        return len(before) - same, self.ids[same:]


# Cuts and boundaries -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Oracle:
    """What the definition of a settled cut speaks of: T, T' and the bytes of tokens.

    ``inside`` is None where encoding cannot start again at a cut because rounding decides between equally good
    segmentations (Unigram models that read the whole text as one word); then only the definition's left half holds.
    """

    encode: Encode
    inside: Encode | None
    decode_bytes: Callable[[list[int]], bytes]

    def head(self, text: str, cut: int) -> list[int] | None:
        """The tokens of T(text) before ``cut``, or None where a token stands across it or T' does not follow."""
        whole = self.encode(text)
        if self.inside is None:
            counts = (n for n in range(1, len(whole)) if self.decode_bytes(whole[:n]) == text[:cut].encode())
            return next((whole[:count] for count in counts), None)
        rest = self.inside(text[cut:])
        count = len(whole) - len(rest)
        return whole[:count] if count >= 0 and whole[count:] == rest else None

    def unsettling_suffix(self, text: str, cut: int, suffixes: Iterable[str] = SUFFIXES) -> str | None:
        """A text that, appended, shows that ``cut`` is not settled; None where none of ``suffixes`` does."""
        head = self.head(text, cut)
        if head is None:
            return ""
        for suffix in suffixes:
            whole = self.encode(text + suffix)
            if whole[: len(head)] != head:
                return suffix
            if self.inside is not None and whole[len(head) :] != self.inside(text[cut:] + suffix):
                return suffix
        return None

    def word_boundaries(self, text: str, suffixes: Sequence[str] = SUFFIXES) -> list[int]:
        """The positions of ``text`` that nothing here shows to be no word boundary.

        That a cut is settled is a statement about all texts: with finitely many suffixes these are all the word
        boundaries and perhaps a few more.
        """
        return [at for at in space_starts(text) if self.unsettling_suffix(text, at, suffixes) is None]


def space_starts(text: str) -> list[int]:
    """Interior positions with White_Space on the right and something else on the left."""
    return [at for at in range(1, len(text)) if ord(text[at]) in WHITE_SPACE and ord(text[at - 1]) not in WHITE_SPACE]


def common(boundaries: Sequence[Sequence[int]]) -> list[int]:
    """What all lists hold."""
    return sorted(set.intersection(*map(set, boundaries)))


# Alignment -----------------------------------------------------------------------------------------------------------

Span = tuple[int, int]


def byte_spans(table: Callable[[int], bytes], ids: Iterable[int], drops: bool) -> list[Span]:
    """Where each token stands, in bytes: one after the other, the dummy space at the start left out."""
    spans, data = [], b""
    for token_id in ids:
        token = table(token_id)
        size = len(token) - (drops and data == b"" and token.startswith(b" "))
        # The dummy space is dropped once: an empty one has been it.
        drops = drops and token == b""
        data += token[len(token) - size :]
        spans.append((len(data) - size, len(data)))
    return spans


def aligned(text: bytes, encodings: Sequence[Sequence[Span]], characters: bool = False) -> list[tuple[int, list[int]]]:
    """(cut, tokens before it in each encoding) of all common cuts, from the definition and position by position."""

    def before(spans: Sequence[Span], at: int) -> int | None:
        """The least number of tokens before ``at`` that leaves none on both sides of it; None where there is none."""
        for count in range(len(spans) + 1):
            if all(end <= at for _, end in spans[:count]) and all(start >= at for start, _ in spans[count:]):
                return count
        return None

    found = [(0, [0] * len(encodings))]
    for at in range(1, len(text)):
        counts = [before(spans, at) for spans in encodings]
        if None in counts or (characters and text[at] in range(0x80, 0xC0)):
            continue
        if counts != found[-1][1]:  # or nobody has a token between
            found.append((at, counts))
    whole = [len(spans) for spans in encodings]
    if len(found) > 1 and found[-1][1] == whole:
        found.pop()
    return [*found, (len(text), whole)]


# Segments ------------------------------------------------------------------------------------------------------------

# Scripts of line-breaking classes ID and SA (UAX #14), CJK punctuation, full-width forms.
_SPACELESS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}"
    r"\p{Balinese}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Tangut}\p{Nushu}\u3001-\u303f\uff01-\uffef]"
)


def is_spaceless(text: str, cut: int) -> bool:
    """Whether a character beside ``cut`` belongs to a script that is written without spaces."""
    return bool(_SPACELESS.search(text[max(0, cut - 1) : cut + 1]))


_CONSONANT, _LINKER = regex.compile(r"\p{InCB=Consonant}"), regex.compile(r"\p{InCB=Linker}")
_EXTEND, _PREPEND = regex.compile(r"[\p{InCB=Extend}\p{InCB=Linker}]"), regex.compile(r"\p{GCB=Prepend}")


def _joins_consonants(text: str, at: int) -> bool:
    """Rule GB9c of UAX 29: a linker between two consonants, with extenders around it, holds them together."""
    start = at
    while start > 0 and _EXTEND.match(text[start - 1]):
        start -= 1
    return bool(start > 0 and _CONSONANT.match(text[start - 1]) and _LINKER.search(text[start:at]))


def cluster_starts(text: str) -> set[int]:
    """Where grapheme clusters begin (UAX 29)."""
    starts = set()
    at = 0
    for cluster in regex.findall(r"\X", text):
        starts.add(at)
        for inside in range(at + 1, at + len(cluster)):
            # The regex package joins a consonant to a linker also where no consonant stands before that.
            joined = _PREPEND.match(text[inside - 1]) or _joins_consonants(text, inside)
            if _CONSONANT.match(text[inside]) and not joined:
                starts.add(inside)
        at += len(cluster)
    return starts


def splits_cleanly(text: str, cut: int) -> bool:
    """Whether ``cut`` divides neither a number nor a grapheme cluster of ``text``."""
    numeric = all(unicodedata.category(c) in ("Nd", "Nl", "No") for c in (text[cut - 1], text[cut]))
    return not numeric and cut in cluster_starts(text)


NEWLINES = "\n\r\v\f\x85\u2028\u2029"
TERMINAL, PAUSING = ".!?\u2026\u3002\uff01\uff0e\uff1f\u0964\u061f\u06d4", ",;:\u2014\u3001\uff0c\uff1b\uff1a\u060c"
CLOSING, FULL_WIDTH = "\"')]}\u00bb\u2019\u201d\u300d\u300f\uff09", "\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f"


def character_class(c: str) -> str:
    """White space, a mark (punctuation and symbols but those that stand inside words), or part of a word."""
    if ord(c) in WHITE_SPACE:
        return "space"
    return "mark" if unicodedata.category(c)[0] in "PS" and c not in "'\u2019_\ufffd" else "word"


def is_stop(text: str, cut: int, granularity: str) -> bool:
    """Whether a granularity wants a segment to end at ``cut``, from the text alone."""
    if granularity == "word":
        return cut in space_starts(text)
    left, right = character_class(text[cut - 1]), character_class(text[cut])
    if granularity == "pre_token":
        return left != "space" and left != right and splits_cleanly(text, cut)
    said = text[:cut].rstrip("".join(map(chr, WHITE_SPACE)))
    if not said.strip("".join(map(chr, WHITE_SPACE))):
        return False
    if left == "space":  # newlines that a tokenizer has joined to the mark before them
        return text[cut - 1] in NEWLINES and right != "space"
    mark = said.rstrip(CLOSING)[-1:]
    if right != "space" and not (mark and mark in FULL_WIDTH and text[cut] not in CLOSING):
        return False
    if text[cut] in NEWLINES:
        return True
    ends = {"phrase": TERMINAL + PAUSING, "sentence": TERMINAL, "line": ""}[granularity]
    return bool(mark and mark in ends) or (granularity == "phrase" and text[cut - 1] in CLOSING)


@dataclass
class SharedCuts:
    """The cuts of a text that all tokenizers share: the settled ones, and those of the canonical encodings."""

    settled: set[int]
    tokens: set[int]


@dataclass(frozen=True)
class NaiveSegment:
    """A segment as the twin sees it."""

    text: str
    token_ids: tuple[int, ...]
    end: bool
    level: str
    whole: bool


class NaiveSegmenter:
    """The ladder of docs/definitions.md over the whole text, computed anew from the first byte at every token.

    ``bytes_of(id)`` gives the bytes of a token or None for a control token, ``shared(text)`` the cuts of a text
    that all tokenizers have in common.
    """

    def __init__(
        self,
        bytes_of: Callable[[int], bytes | None],
        shared: Callable[[str], SharedCuts],
        prompt: Sequence[int],
        drops: bool,
        max_bytes: int,
        granularity: str = "word",
    ) -> None:
        self.granularity = granularity
        self.bytes_of, self.shared, self.max_bytes, self.drops = bytes_of, shared, max_bytes, drops
        self.ids = list(prompt)
        self.first = len(self.ids)  # index of the first pending token
        self.start = self._ends(final=False)[-1][0]  # length of the text before it
        self.ready: list[NaiveSegment] = []
        self.over = False

    def _text(self, final: bool) -> str:
        data = b"".join(self.bytes_of(token_id) or b"" for token_id in self.ids)
        data = data[self.drops and data.startswith(b" ") :]
        return data.decode("utf-8", "replace") if final else certain_text(data)

    def _ends(self, final: bool) -> list[tuple[int, bool]]:
        """(length of the text, whether it ends with a whole character) before each token and at the end."""
        ends = []
        for joined in accumulate((self.bytes_of(token_id) or b"" for token_id in self.ids), initial=b""):
            data = joined[self.drops and joined.startswith(b" ") :]
            ends.append((len(certain_text(data)), not held(data)))
        if final:
            ends[-1] = (len(self._text(final)), True)
        return ends

    def push(self, token_id: int) -> NaiveSegment | None:
        """One token more."""
        if self.bytes_of(token_id) is None:
            self._close()
            self.ready.append(NaiveSegment("", (token_id,), True, "end", True))
        else:
            self.ids.append(token_id)
            self._collect(final=False)
        return self.ready.pop(0) if self.ready else None

    def finish(self) -> NaiveSegment | None:
        """What is left."""
        if not self.over:
            self._close()
        return self.ready.pop(0) if self.ready else None

    def _close(self) -> None:
        self._collect(final=True)
        if self.first < len(self.ids):
            self._emit(len(self.ids), "rest", False, final=True)
        self.over = True

    def _collect(self, final: bool) -> None:
        while (found := self._next(final)) is not None:
            self._emit(*found, final=final)

    def _emit(self, until: int, level: str, whole: bool, final: bool) -> None:
        end = self._ends(final)[until][0]
        text = self._text(final)[self.start : end]
        self.ready.append(NaiveSegment(text, tuple(self.ids[self.first : until]), False, level, whole))
        self.first, self.start = until, end

    def _next(self, final: bool) -> tuple[int, str, bool] | None:
        """(one past the last token, level, whether it is whole) of the next segment, if it is known."""
        whole = self._text(final)
        pending = whole[self.start :]
        ends = list(enumerate(self._ends(final)))[self.first + 1 :]
        cuts = [(until, end - self.start) for until, (end, is_whole) in ends if is_whole]
        cuts = [(until, cut) for until, cut in cuts if 0 < cut < len(pending)]
        if not cuts:
            return None
        shared = self.shared(whole)
        settled = {at - self.start for at in shared.settled}
        tokens = {at - self.start for at in shared.tokens}
        for until, cut in cuts:  # 1: the first stop that all can have; at the end of the text any cut will do
            if is_stop(pending, cut, self.granularity) and cut in settled:
                return until, "word" if cut in space_starts(pending) else "pre_token", True
            if is_stop(pending, cut, self.granularity) and final and cut in tokens:
                return until, "token", False
        size = len(pending.encode())
        short = [(until, cut) for until, cut in cuts if len(pending[:cut].encode()) <= self.max_bytes]
        found = None
        several = self.granularity in ("phrase", "sentence", "line")
        if several and size >= self.max_bytes * 3 // 4:  # the last word boundary of a unit that is too long
            for until, cut in short:
                if cut in space_starts(pending) and cut in settled:
                    found = until, "word", True
            if found is not None:
                return found
        for until, cut in short:  # 2: pre-token cuts: the first in a script without spaces, the last in a long word
            dense = is_spaceless(pending, cut) and not several
            if (
                (dense or size >= self.max_bytes * 3 // (4 if several else 8))
                and cut in settled
                and splits_cleanly(pending, cut)
            ):
                found = until, "pre_token", False
                if dense:
                    break
        if found is not None:
            return found
        for until, cut in short:  # 3: the last token cut of all
            enough = 12 if is_spaceless(pending, cut) and not several else self.max_bytes * 3 // 4
            if size >= enough and cut in tokens and splits_cleanly(pending, cut):
                found = until, "token", False
        if found is not None or size < self.max_bytes:
            return found
        return (short[-1] if short else cuts[0])[0], "code_point", False  # 4: the hard cap
