"""Everything that can be done with a tokenizer, on a few short texts; the streams must agree with the whole."""

from __future__ import annotations

import coolfusion as cf

TEXTS = (
    "",
    "the the  é\n12 <end><tool> <l> <s>\u0301 \u2581the<0x41>",
    "\u1100\u1161\u11a8 t",
    "\x00\U0010ffff \u200d",
)


def use(tokenizer: cf.Tokenizer) -> None:
    """Encodes, decodes, cuts and streams; raises what goes wrong."""
    tokenizer.describe()
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert all(0 <= n < tokenizer.vocab_size for n in ids)
        tokenizer.represents(text)
        cuts = tokenizer.settled_cuts(text)
        assert set(tokenizer.word_boundaries(text)) <= set(cuts) or not cuts
        encoder = cf.StreamEncoder(tokenizer)
        for character in text:
            encoder.push(character)
        assert encoder.ids == ids
        decoder = cf.StreamDecoder(tokenizer)
        assert "".join(decoder.push(n) for n in ids) + decoder.flush() == tokenizer.decode(ids)
        assert tokenizer.decode_bytes(ids).decode("utf-8", "replace") == tokenizer.decode(ids)
    unused, controls = set(tokenizer.unused_ids), set(tokenizer.control_ids)
    for token_id in range(min(tokenizer.vocab_size, 300)):
        try:
            tokenizer.token_bytes(token_id)
        except cf.UnknownTokenError:
            assert token_id in unused
    segmenter = cf.Segmenter(tokenizer)
    for token_id in tokenizer.encode(TEXTS[1]):
        if token_id not in controls:
            segmenter.push(token_id)
    while segmenter.finish() is not None:
        pass
