"""One way from a folder to its tokenizer: the file is the truth, the configuration files declare the rest."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import coolfusion as cf

tokenizers = pytest.importorskip("tokenizers", reason="makes and judges tokenizer files")

from folder_parts import CLASSES, SWITCHES, TEXTS, byte_level, folder, spaced, truth  # noqa: E402 - after the skip

BASES = {"byte level": byte_level, "spaced": spaced}


def load(path: Path) -> cf.Tokenizer:
    return cf.Tokenizer.from_pretrained(path)


def set_ups() -> list[tuple[str, bool, str, dict[str, Any]]]:
    """Every class with some switches, over both bases."""
    draw = random.Random(12)
    picked = [
        (base, bos, name, switches)
        for base, bos, name in itertools.product(sorted(BASES), (False, True), CLASSES)
        for switches in draw.sample(SWITCHES, 2)
    ]
    assert len(picked) > 200
    return picked


def test_every_class_and_switch_gives_the_tokenizer_of_the_file(tmp_path: Path) -> None:
    for at, (base, bos, name, switches) in enumerate(set_ups()):
        inner = BASES[base](bos=bos)
        config = {"tokenizer_class": name, "bos_token": "<s>", "eos_token": "</s>", **switches}
        tokenizer = load(folder(tmp_path / str(at), inner, tokenizer_config=config))
        for text in TEXTS:
            assert tokenizer.encode(text) == truth(inner, text), (base, name, switches, text)
        assert tokenizer.bos_id == inner.token_to_id("<s>")
        assert tokenizer.eos_id == inner.token_to_id("</s>")
        assert tokenizer.prefix_ids == ([tokenizer.bos_id] if bos else [])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one layer with more rows than any tokenizer here has ids."""
    torch = pytest.importorskip("torch", reason="models need torch")
    transformers = pytest.importorskip("transformers", reason="models need transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.LlamaConfig(vocab_size=512, max_position_embeddings=64, **sizes, eos_token_id=None)
    path = tmp_path_factory.mktemp("weights")
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


def fused(path: Path, weights: Path) -> tuple[Any, list[str]]:
    """The member that `Fusion.from_pretrained` makes of a folder, and our warnings."""
    for file in weights.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fusion = cf.Fusion.from_pretrained([path, path], device="cpu")
    ours = [str(each.message) for each in caught if issubclass(each.category, cf.CoolFusionWarning)]
    return fusion.members[0], ours


@pytest.mark.parametrize("name", ["GPT2Tokenizer", "LlamaTokenizer", "PreTrainedTokenizerFast", "T5Tokenizer", None])
@pytest.mark.parametrize("base", sorted(BASES))
def test_a_fusion_takes_the_same_tokenizer(base: str, name: str | None, tmp_path: Path, weights: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="rebuilds tokenizers")
    inner = BASES[base](bos=True)
    config = {"bos_token": "<s>", "eos_token": "</s>", **({"tokenizer_class": name} if name else {})}
    path = folder(tmp_path / "model", inner, tokenizer_config=config)
    member, ours = fused(path, weights)
    alone = load(path)
    for text in TEXTS:
        assert member.tokenizer.encode(text) == alone.encode(text) == truth(inner, text)
    assert member.tokenizer.control_ids == alone.control_ids
    assert member.prefix_ids == tuple(alone.prefix_ids) == (inner.token_to_id("<s>"),)
    assert member.runner.eos_token_ids == (alone.eos_id,)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rebuilt = transformers.AutoTokenizer.from_pretrained(path)
            differs = any(rebuilt.encode(text, add_special_tokens=False) != truth(inner, text) for text in TEXTS)
    except Exception:  # noqa: BLE001 - what transformers cannot load is no difference
        differs = False
    assert (len(ours) == 1) >= differs, ours
    for message in ours:
        assert "transformers rebuilds this tokenizer as" in message
        assert " there and " in message or "before a text" in message


def test_the_rebuilt_gpt2_is_warned_of_with_text_and_ids(tmp_path: Path, weights: Path) -> None:
    inner = byte_level()
    config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    _, ours = fused(folder(tmp_path / "model", inner, tokenizer_config=config), weights)
    assert len(ours) == 1
    assert "GPT2Tokenizer" in ours[0]
    assert " there and [" in ours[0]


@pytest.mark.parametrize("name", ["GPT2Tokenizer", "LlamaTokenizer", "Qwen2Tokenizer", "T5Tokenizer"])
def test_real_llama3_under_any_class(name: str, data: Path, tmp_path: Path) -> None:
    file = data / "tokenizers" / "llama3" / "tokenizer.json"
    inner = tokenizers.Tokenizer.from_file(str(file))
    (tmp_path / "tokenizer.json").symlink_to(file)
    folder(tmp_path, tokenizer_config={"tokenizer_class": name, "add_prefix_space": True, "legacy": False})
    tokenizer = load(tmp_path)
    assert tokenizer.encode("2023") == [2366, 18]
    for text in TEXTS:
        assert tokenizer.encode(text) == truth(inner, text)


def test_real_llama2_keeps_the_first_space(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").symlink_to(data / "tokenizers" / "llama2" / "tokenizer.json")
    folder(tmp_path, tokenizer_config={"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"})
    tokenizer = load(tmp_path)
    assert tokenizer.encode(" Hello") == [29871, 15043]
    assert tokenizer.prefix_ids == [1]


# Declared tokens.


def test_added_tokens_beside_a_sentencepiece_model(data: Path, tmp_path: Path) -> None:
    """What the slow tokenizer did: the text between added tokens is encoded part by part."""
    spm = pytest.importorskip("sentencepiece", reason="judges SentencePiece files")
    file = data / "tokenizers" / "llama2" / "tokenizer.model"
    judge = spm.SentencePieceProcessor(model_file=str(file))
    set_ups: list[dict[str, Any]] = [
        {"added_tokens": {"<|im_end|>": 32000, "kuća": 32001}, "special_tokens_map": {"eos_token": "<|im_end|>"}},
        {
            "tokenizer_config": {
                "eos_token": "<|im_end|>",
                "added_tokens_decoder": {
                    "32000": {"content": "<|im_end|>", "special": True},
                    "32001": {"content": "kuća", "special": False, "normalized": False},
                },
            }
        },
    ]
    for at, files in enumerate(set_ups):
        path = folder(tmp_path / str(at), **files)
        (path / "tokenizer.model").symlink_to(file)
        tokenizer = load(path)
        assert tokenizer.vocab_size == 32002
        assert 32000 in tokenizer.control_ids
        assert tokenizer.eos_id == 32000
        assert tokenizer.control_tokens["<|im_end|>"] == 32000
        assert tokenizer.encode("kuća") == [32001]
        for text in ("stara kuća je", "kućakuća", "Hello world", "x kuća"):
            parts = text.split("kuća")
            right = [judge.encode(parts[0])] if parts[0] else [[]]
            for part in parts[1:]:
                right += [[32001], judge.encode(part) if part else []]
            assert tokenizer.encode(text) == [token_id for ids in right for token_id in ids], text
        assert tokenizer.decode([32000]) == ""
        segmenter = cf.Segmenter(tokenizer)
        for token_id in (15043, 32000):
            segmenter.push(token_id)
        ends = [segment.end for segment in iter(segmenter.finish, None)]
        assert ends[-1] is True


def test_what_is_declared_is_added_and_made_special(tmp_path: Path) -> None:
    inner = byte_level()
    path = folder(
        tmp_path,
        inner,
        tokenizer_config={
            "bos_token": {"content": "<s>", "lstrip": False},
            "eos_token": "<|end|>",
            "additional_special_tokens": ["<|user|>", {"content": "<|tool|>"}],
            "added_tokens_decoder": {
                "400": {"content": "<|end|>", "special": True},
                "401": {"content": "<|tool|>", "special": False},
                "402": {"content": "kuća", "special": False},
            },
        },
        added_tokens={"<|late|>": 410},
    )
    tokenizer = load(path)
    assert tokenizer.vocab_size == 411
    assert tokenizer.eos_id == 400
    assert tokenizer.bos_id == 0
    assert set(tokenizer.control_ids) == {0, 1, 2, 400, 401}
    assert tokenizer.encode("a kuća<|late|>")[-2:] == [402, 410]
    assert [each for each in tokenizer.unused_ids if each >= 400] == list(range(403, 410))


CONFLICTS: dict[str, tuple[dict[str, Any], str]] = {
    "one id, two contents": (
        {"tokenizer_config": {"added_tokens_decoder": {"1": {"content": "<other>", "special": True}}}},
        r"id 1 is '</s>' in the file and '<other>' in tokenizer_config\.json",
    ),
    "one content, two ids": (
        {"added_tokens": {"</s>": 405}},
        r"'</s>' is id 1 in the file and 405 in added_tokens\.json",
    ),
    "a piece of the vocabulary": (
        {"added_tokens": {"other": 10}},
        r"id 10 is '.*' in the file and 'other' in added_tokens\.json",
    ),
    "two declarations": (
        {
            "tokenizer_config": {"added_tokens_decoder": {"400": {"content": "<a>"}}},
            "added_tokens": {"<b>": 400, "<a>": 402},
        },
        r"id 400 is '<a>' in tokenizer_config\.json and '<b>' in added_tokens\.json; "
        r"'<a>' is id 400 in tokenizer_config\.json and 402 in added_tokens\.json",
    ),
}


@pytest.mark.parametrize("name", sorted(CONFLICTS))
def test_of_a_conflict_the_first_holds_and_it_is_said(name: str, tmp_path: Path) -> None:
    files, message = CONFLICTS[name]
    inner = byte_level()
    path = folder(tmp_path, inner, **files)
    with pytest.warns(cf.CoolFusionWarning, match=message) as caught:
        tokenizer = load(path)
    assert len(caught) == 1
    assert tokenizer.control_tokens["</s>"] == 1
    assert [tokenizer.encode(text) for text in TEXTS] == [truth(inner, text) for text in TEXTS]
    if name == "two declarations":
        assert tokenizer.encode("<a>") == [400]
        assert tokenizer.vocab_size == 401


def test_a_token_that_is_spelled_in_bytes_is_no_conflict(tmp_path: Path) -> None:
    inner = byte_level()
    definition = json.loads(inner.to_str())
    definition["model"]["vocab"]["kuÄĩa"] = 400
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    folder(tmp_path, tokenizer_config={"added_tokens_decoder": {"400": {"content": "kuća", "special": False}}})
    assert load(tmp_path).encode("kuća") == [400]


@pytest.mark.parametrize("decoder", [{}, {"1": {"content": "</s>", "special": True}}])
def test_special_tokens_map_wins_where_there_is_no_decoder(decoder: dict[str, Any], tmp_path: Path) -> None:
    config = {"eos_token": "</s>", **({"added_tokens_decoder": decoder} if decoder else {})}
    path = folder(tmp_path, byte_level(), tokenizer_config=config, special_tokens_map={"eos_token": "<|user|>"})
    assert load(path).eos_id == (1 if decoder else 2)


# Chat templates.


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, {}),
        ({"tokenizer_config": {"chat_template": "A"}}, {"default": "A"}),
        ({"chat_template": {"chat_template": "B"}}, {"default": "B"}),
        ({"tokenizer_config": {"chat_template": "A"}, "chat_template": {"chat_template": "B"}}, {"default": "A"}),
        ({"tokenizer_config": {"chat_template": "A"}, "chat_template__jinja": "C\n"}, {"default": "C\n"}),
        (
            {
                "tokenizer_config": {
                    "chat_template": [{"name": "default", "template": "A"}, {"name": "t", "template": "T"}]
                }
            },
            {"default": "A", "t": "T"},
        ),
    ],
)
def test_chat_templates(files: dict[str, Any], expected: dict[str, str], tmp_path: Path) -> None:
    path = folder(tmp_path, byte_level(), **files)
    assert load(path).chat_templates == expected
    if expected:
        (path / "additional_chat_templates").mkdir()
        (path / "additional_chat_templates" / "rag.jinja").write_text("R")
        assert load(path).chat_templates["rag"] == "R"


# Refusals.

WRONG = (7, 1.5, True, ["x", 3], [[1]], {"a": 1}, "text", [None])
FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token", "cls_token"), (str,)),
    **dict.fromkeys(("additional_special_tokens", "extra_special_tokens"), ()),
    **dict.fromkeys(("add_bos_token", "do_lower_case", "strip_accents", "tokenize_chinese_chars"), (bool,)),
    **dict.fromkeys(("tokenizer_class", "chat_template"), (str,)),
    "added_tokens_decoder": (),
}


@pytest.mark.parametrize("key", sorted(FIELDS))
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_field_of_a_wrong_type_is_refused_by_name(key: str, value: Any, tmp_path: Path) -> None:
    path = folder(tmp_path, byte_level(), tokenizer_config={key: value})
    if isinstance(value, FIELDS[key]):
        load(path)
        return
    with pytest.raises(cf.TokenizerFileError, match=rf"tokenizer_config\.json: {key}.* is .*: expected"):
        load(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"added_tokens": {"x": True}}, r"added_tokens\.json: 'x' is True: expected an id"),
        ({"added_tokens": {"x": -1}}, r"'x' is -1: expected an id"),
        ({"added_tokens": {"x": 1.0}}, r"'x' is 1\.0: expected an id"),
        ({"added_tokens": {"x": 1 << 40}}, r"'x' is 1099511627776: expected an id"),
        ({"added_tokens": ["x"]}, r"added_tokens\.json: a JSON list"),
        ({"special_tokens_map": {"eos_token": 2}}, r"special_tokens_map\.json: eos_token is 2: expected"),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"x": {"content": "a"}}}},
            r"added_tokens_decoder\['x'\].*an id",
        ),
        ({"tokenizer_config": {"added_tokens_decoder": {"-1": {"content": "a"}}}}, r"added_tokens_decoder\['-1'\]"),
        ({"tokenizer_config": {"added_tokens_decoder": {"4": {"content": 4}}}}, r"added_tokens_decoder\['4'\] is"),
        (
            {"tokenizer_config": {"added_tokens_decoder": {"4": {"content": "a", "special": "yes"}}}},
            r"added_tokens_decoder\['4'\]\.special is 'yes': expected true or false",
        ),
        ({"tokenizer_config": {"chat_template": [{"name": "x"}]}}, r"chat_template\[0\]"),
        ({"tokenizer_config__json": "{"}, r"tokenizer_config\.json: cannot be read as JSON"),
        ({"tokenizer_config": []}, r"tokenizer_config\.json: a JSON list"),
    ],
)
def test_what_is_broken_is_refused(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = folder(tmp_path, byte_level(), **files)
    with pytest.raises(cf.TokenizerFileError, match=message):
        load(path)


@pytest.mark.parametrize("name", CLASSES)
def test_a_folder_without_a_vocabulary_is_refused(name: str, tmp_path: Path) -> None:
    path = folder(tmp_path, tokenizer_config={"tokenizer_class": name, "eos_token": "</s>"})
    with pytest.raises(
        cf.TokenizerFileError, match=r"no vocabulary, found tokenizer_config\.json: expected tokenizer\.json"
    ):
        load(path)


def test_a_rebuilt_tokenizer_without_text_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="rebuilds tokenizers")
    path = folder(tmp_path, tokenizer_config={"tokenizer_class": "LlamaTokenizer"}, merges__txt="")
    with pytest.raises(cf.TokenizerFileError, match=r"no tokens but its special ones|cannot load this tokenizer"):
        load(path)


@pytest.mark.parametrize("post", [{"type": "TemplateProcessing"}, {"type": "BertProcessing", "cls": 7}, 7])
def test_a_broken_post_processor_is_refused(post: Any, tmp_path: Path) -> None:
    definition = json.loads(byte_level().to_str())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**definition, "post_processor": post}))
    with pytest.raises(cf.TokenizerFileError, match=r"tokenizer\.json: post_processor is broken"):
        load(tmp_path)


# Hub names.


def test_a_hub_name_is_a_folder_of_the_cache(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="resolves hub names")
    commit = "0" * 40
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / commit
    config = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>", "chat_template": "X"}
    inner = byte_level(bos=True)
    folder(snapshot, inner, tokenizer_config=config)
    refs = tmp_path / "hub" / "models--org--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    code = (
        "import coolfusion as cf, json\n"
        "t = cf.Tokenizer.from_pretrained('org/name')\n"
        "print(json.dumps([t.name, t.encode(' Hello 2023'), t.eos_id, t.prefix_ids, t.chat_templates]))"
    )
    settings = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **settings}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["org/name", truth(inner, " Hello 2023"), 1, [0], {"default": "X"}]
    missing = code.replace("org/name", "org/other")
    done = subprocess.run(
        [sys.executable, "-c", missing], capture_output=True, text=True, check=False, env={**os.environ, **settings}
    )
    assert "TokenizerFileError: org/other: no local directory, and as a hub name not to be had" in done.stderr
