"""Texts that hurt, for hypothesis: every script and every trick that has changed tokens, boundaries or streams."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = (
    *("the", " the", " cat", "Hello", " world", "It costs", " don", "don't", "I'm", "O'Reilly", " she'll", "IT'S"),
    *("camelCase", "HTTPParser", "naïve", " café", " of the", " in the United States of America", "rest of it"),
    *("orbispcircula", "rlosag", "anglicky", "benchrawdownload", "ababab", "1212", "aaaa", " unreachable"),
)
CONTRACTIONS = ("'", "'s", "'t", "'ll", "'re", "'ve", "'d", "'m", "’s", " 'rest", "'S", "'LL", "n't", "'ſ")
NUMBERS = ("1", "12", "123", "1234", "12345678901234567890", "$1,234.50", "3.14e-5", "½", "²", "Ⅷ", "٣٤", "१२", "0")
SPACES = (
    *(" ", "  ", "   ", "    ", "        ", " " * 33, "\n", "\n\n", "\n\n\n", "\r\n", "\r"),
    *("\t", "\t\t", " \n ", "\n    "),
    *("\u00a0", "\u3000", "\u2009", "\u202f", "\u2028", "\u0085", "\u1680", "\u200b", "\x0b", "\x0c", "\x1c", "\ufeff"),
)
CODE = (
    *("def f(x):\n    return x", "foo_bar()", " => ", "!==", "}}", "};\n", ".append", "(self", "//", "/* */", "\\n"),
    *("http://x.org/a_b?c=1&d=%20", "https", "://", "user@mail.example", "C:\\dir", "a/b/c", "#include <x>\n"),
    *("\\frac{1}{2}$ so", "\\", "$", "{", "OL/zGGXifCn9qtU5KbRu/oNnVmsyW1EXuF0EVo11cLQEYlSEn0uD9RAc", "--------", "=="),
    *(".", ",", "...", "?!", '"', "“", "”", "—", "…", "(", ") ", "[1]", "*", "**bold**", "|", "`", "~"),
)
SCRIPTS = (
    *("你好", "世界", "我们认为", "。", "，人人生而平等。", "中华人民共和国", "日本語", "の", "カタカナ", "ｶﾅ", "、"),
    *("สวัสดีครับ", "ผมชื่อ", "ส", "ั", "ខ្មែរ", "မြန်မာ", "བོད་", "ລາວ"),
    *("नमस्ते", " दुनिया", "क्षि", "ा", "্য", "தமிழ்", "ಕನ್ನಡ", "안녕하세요", " 세계", "가", "\u1100\u1161\u11a8", "각"),
    *("Привет", " мир", "Ωμέγα", "ς", "שלום", "مرحبا", " بالعالم", "\u200f", "\u202b"),
    *("ქართ", "ꀀ", "𞤀", "ⴰ", "İ", "ß", "ﬁ"),
)
MARKS = (
    *("e\u0301", "\u0301", "a\u0323\u0302", "\u1e9b\u0323", "o\u0302\u0301\u0303", "\u0345"),
    *("é", "ﬀ", "ｆｕｌｌ", "\u212b"),
    *("👨‍👩‍👧‍👦", "👨", "\u200d", "👩🏽", "🇯🇵", "🇨", "❤️", "😀", "\U0001f3fd", "\ufe0f", "1️⃣", "𓀀", "𓀁", "\U000e0067"),
)
MARKERS = (
    *("\ufffd", "\ufffd\ufffd", "▁", "▁▁", "▁the", "\x00", "\x01", "\x03", "\x1f", "\x7f", "\x80"),
    *("\x03\x03 the", "\u200d\u200b the", " \x03", "\x7f\x01"),
    *("\ue000", "\uffff", "\U0010ffff"),
    *("\U0010fffe control <s>", "<s>", "</s>", " </s> "),
    *("<unk>", "<|endoftext|>", "<|end|>\n ", "<|eot_id|>", "[CLS]", "[UNK]", "<pad>", "<0x0A>", "<0x0A"),
    *("    <tool_call>", "x\n    ", " \t<｜User｜>", "a<table>b", " <table> "),
    *("<tool_call>\u0338", "<tool_call>\u0301\u0338x", "<\u212a>", "<K>", "\u0338"),
    *("the\u0301", " the cat", "▁<table>"),
    *("<tool_call>", "</tool_call", "<table>", "[@BOS@]", "<｜User｜>", "Ġ", "Ċ", "##ing", "<mask>", "\U0010fffd"),
)
FRAGMENTS = (*WORDS, *CONTRACTIONS, *NUMBERS, *SPACES, *CODE, *SCRIPTS, *MARKS, *MARKERS)
CHARACTERS = sorted(set("".join(FRAGMENTS)) - set("\U0010ffff"))

# Mostly fragments, which meet at their ends; single hard characters; now and then any character at all.
pieces = st.one_of(
    st.sampled_from(FRAGMENTS),
    st.sampled_from(FRAGMENTS),
    st.sampled_from((*WORDS, *SPACES)),
    st.sampled_from(CHARACTERS),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3),
)


def texts(max_pieces: int = 8, min_pieces: int = 0) -> st.SearchStrategy[str]:
    """A text made of up to ``max_pieces`` fragments."""
    return st.lists(pieces, min_size=min_pieces, max_size=max_pieces).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn, max_pieces: int = 8, max_cuts: int = 6) -> list[str]:
    """The parts of a text that is cut anywhere, also inside a grapheme cluster or between CR and LF; some are empty."""
    text = draw(texts(max_pieces))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=max_cuts)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def cut_bytes(draw: st.DrawFn, max_pieces: int = 6, max_cuts: int = 6) -> list[bytes]:
    """The parts of the UTF-8 bytes of a text, cut anywhere, also inside a character."""
    data = draw(texts(max_pieces)).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=max_cuts)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


# Bytes of which some are no UTF-8: lone continuations, cut characters, overlong forms, surrogates, beyond U+10FFFF.
ILL_FORMED = (
    *(b"\x80", b"\xbf", b"\xc3", b"\xe5\xb2", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xc0\x80", b"\xed\xa0\x80"),
    *(b"\xff", b"\xfe"),
    *(b"\xf5\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xe0\x80", b"\xf0\x8f", b"\x81\xe5\xb2\x81"),
)
broken_bytes = st.lists(
    st.one_of(st.sampled_from(ILL_FORMED), pieces.map(str.encode), st.binary(min_size=1, max_size=3)),
    max_size=6,
).map(b"".join)
