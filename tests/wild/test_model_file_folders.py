"""Folders as they are downloaded with one model file: GGUF alone, or a SentencePiece model and its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf
from sentencepiece_models import BPE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, Model, byte_pieces

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")

TEXTS = ("hello  the\n\n cat", "  a b", "don't 12 日本", "<bos>x", "<|end|> a", "")


def _model(*, gemma: bool) -> Model:
    names = ("<pad>", "<eos>", "<bos>") if gemma else ("<s>", "</s>")
    pieces = [("<unk>", 0.0, UNKNOWN), *((name, 0.0, CONTROL) for name in names)]
    pieces = [*pieces[1:], pieces[0]] if gemma else pieces
    pieces += byte_pieces()
    pieces += [(text, 0.0, USER_DEFINED) for text in ("▁▁", "▁▁▁", "\n\n", "<start_of_turn>")] if gemma else []
    contents = ("he", "ll", "hell", "hello", "th", "the", "▁the", "▁t", "ca", "cat", "▁a", *"▁helotcabdnx'12")
    pieces += [(text, -float(rank), NORMAL) for rank, text in enumerate(contents)]
    ids = {number: names.index(name) for number, name in ((41, "<bos>"), (42, "<eos>"), (43, "<pad>"))} if gemma else {}
    trainer = ids | {40: len(names)} if gemma else {}
    return Model(pieces, BPE, byte_fallback=True, add_dummy_prefix=not gemma, trainer=trainer)


@pytest.mark.parametrize("gemma", [True, False], ids=["gemma", "llama"])
def test_a_sentencepiece_model_and_its_configuration(tmp_path: Path, gemma: bool) -> None:
    model = bytes(_model(gemma=gemma))
    (tmp_path / "tokenizer.model").write_bytes(model)
    first = "<bos>" if gemma else "<s>"
    last = "<eos>" if gemma else "</s>"
    config: dict[str, Any] = {
        "tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer",
        "add_bos_token": True, "add_eos_token": False, "bos_token": first, "eos_token": last, "unk_token": "<unk>",
        "legacy": False, "chat_template": "{{ bos_token }}{{ messages[0]['content'] }}",
    }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    judge = sentencepiece.SentencePieceProcessor(model_proto=model)
    tok = cf.Tokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tok.encode(text) == judge.encode(text), text
    assert (tok.bos_id, tok.eos_id) == (judge.piece_to_id(first), judge.piece_to_id(last))
    assert list(tok.prefix_ids) == [tok.bos_id]
    assert tok.chat_templates


@pytest.mark.parametrize("gemma", [True, False], ids=["gemma", "llama"])
def test_a_folder_with_a_gguf_file_alone(tmp_path: Path, gemma: bool) -> None:
    from test_file_formats import ggml, gguf

    model = _model(gemma=gemma)
    judge = sentencepiece.SentencePieceProcessor(model_proto=bytes(model))
    first = "<bos>" if gemma else "<s>"
    names = [text.replace("▁", " ") if kind == USER_DEFINED else text for text, _, kind in model.pieces]
    entries = ggml(
        model="llama", tokens=names, scores=[score for _, score, _ in model.pieces],
        token_type=[kind for *_, kind in model.pieces], add_space_prefix=not gemma,
        bos_token_id=judge.piece_to_id(first), add_bos_token=True,
    )  # fmt: skip
    entries["tokenizer.chat_template"] = "{{ messages[0]['content'] }}"
    (tmp_path / "model-q4_k_m.gguf").write_bytes(gguf(entries))
    tok = cf.Tokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tok.encode(text) == judge.encode(text), text
    assert tok.bos_id == judge.piece_to_id(first)
    assert list(tok.prefix_ids) == [tok.bos_id]
    assert list(tok.chat_templates) == ["default"]
