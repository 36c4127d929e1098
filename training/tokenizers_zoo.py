"""Trains the three tokenizers, one per family, and saves them for transformers."""

import json
from itertools import islice
from pathlib import Path

import corpus
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# The split of cl100k and LLaMA 3: words with one leading mark, numbers of up to
# three digits, runs of punctuation, line ends, other white space.
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{value:02X}>" for value in range(256)]
ASCII = [chr(code) for code in range(33, 127)]
SAMPLE_DOCUMENTS = 20000


def _texts(seed, mix):
    """Return the sample of training documents (a list of text) that a tokenizer is trained on."""
    return [d.text for d in islice(corpus.documents(f"{seed}/tokenizer", mix), SAMPLE_DOCUMENTS)]


def byte_level_bpe(texts, size):
    """Byte-level BPE with an explicit split; returns a `Tokenizer` of `size` pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def _spaces_decoder():
    """Return the decoder of LLaMA 2: marks to spaces, bytes to text, first space dropped."""
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                              decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def sentencepiece_bpe(texts, size):
    """SentencePiece-like BPE with byte fallback; returns a `Tokenizer` of `size` pieces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    # Only while training: merges must cross neither words, line ends, marks nor digits.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("\n", "removed"), pre_tokenizers.Metaspace(prepend_scheme="first"),
        pre_tokenizers.Punctuation("isolated"), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size - len(BYTES), special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False, initial_alphabet=[*ASCII, "▁"]))
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    first = ["<unk>", "<s>", "</s>", *BYTES]
    learnt = [piece for piece in sorted(vocab, key=vocab.get) if piece not in first]
    state["model"]["vocab"] = {piece: i for i, piece in enumerate(first + learnt)}
    state["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = _spaces_decoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def unigram(texts, size):
    """Unigram with byte fallback; returns a `Tokenizer` of `size` pieces.

    The trainer adds up in an order that varies: the pieces are the same at every run, but
    their scores move in the third decimal, and with them the order of the ids.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    lines = [line for text in texts for line in text.split("\n")]  # no line end in any piece
    tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(
        vocab_size=size - len(BYTES), special_tokens=["<unk>", "</s>"], unk_token="<unk>",
        show_progress=False, initial_alphabet=[*ASCII, "▁"]))
    state = json.loads(tokenizer.to_str())
    head, learnt = state["model"]["vocab"][:2], state["model"]["vocab"][2:]
    # Far below every other score, so that the literal text "<0x41>" is never read as
    # a byte piece; byte fallback itself does not look at the score.
    state["model"]["vocab"] = head + [[piece, -200.0] for piece in BYTES] + learnt
    state["model"]["byte_fallback"] = True
    specials = {t["content"]: i for i, t in enumerate(state["added_tokens"])}
    if specials != {"<unk>": 0, "</s>": 1}:
        raise ValueError(f"unexpected ids of the special tokens: {specials}")
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = _spaces_decoder()
    return tokenizer


FAMILIES = {"byte-level BPE": byte_level_bpe, "SentencePiece BPE": sentencepiece_bpe,
            "Unigram": unigram}

PROBES = ["Once upon a time there was a fox.", "It's 12 + 7 = 19.\nYes!\r\n\tNo?", "a  b   c ",
          "naïve café, Straße, 東京, Привет", "🙂👩‍👩‍👧 end", "", "x\n\n\ny",
          "<0x41> literal <0x0A>",
          "\x00\x7f~^`|{}", "ﬁ ① ＡＢ e\u0301", "".join(map(chr, range(33, 127)))]


def check(tokenizer):
    """Raise ValueError unless decoding an encoding gives back each probe text exactly."""
    for text in PROBES:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        back = tokenizer.decode(ids, skip_special_tokens=False)
        if back != text:
            raise ValueError(f"{text!r} came back as {back!r}")


def build(folder, family, size, seed, mix, bos, eos, context):
    """Train one tokenizer and save it.

    Args:
        folder: where tokenizer.json and tokenizer_config.json go.
        family: a key of `FAMILIES`.
        size: number of pieces.
        seed, mix: which text to train on, see `corpus.documents`.
        bos, eos: the special tokens that start and end a document.
        context: positions of the model, in tokens.
    Returns:
        The `Tokenizer`.
    """
    tokenizer = FAMILIES[family](_texts(seed, mix), size)
    check(tokenizer)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # ensure_ascii=False and no indent keep the published file small.
    compact = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact + "\n", encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos,
              "model_max_length": context, "clean_up_tokenization_spaces": False}
    if tokenizer.token_to_id("<unk>") is not None:
        config["unk_token"] = "<unk>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return tokenizer
