"""A member made of a loaded model and tokenizer is the member that `Fusion.from_pretrained` makes of the folder."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the loop on real models needs torch: pip install 'coolfusion[hf]'")
transformers = pytest.importorskip("transformers", reason="the loop on real models needs transformers")

import tokenizers  # noqa: E402 - after the skip

import coolfusion as cf  # noqa: E402
from coolfusion.embedded import folders  # noqa: E402
from coolfusion.fusion import Fusion, Member  # noqa: E402
from fusion_parts import BOS, END, toy_inner  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("one_thread")]
PROMPT = "Question: Ann has 9 pens. She buys 8 more. How many pens does Ann have? Answer:"


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def expected() -> Fusion:
    return Fusion.from_pretrained(folders(), device="cpu", dtype="float32")


def same(member: Member, wanted: Member) -> None:
    """Asserts that two members are alike in all that a fusion sees of them."""
    assert (member.name, member.prefix_ids) == (wanted.name, wanted.prefix_ids)
    assert member.runner.eos_token_ids == wanted.runner.eos_token_ids
    assert member.runner.max_model_len == wanted.runner.max_model_len
    assert member.suppress_tokens == wanted.suppress_tokens
    for own, other in [(member.tokenizer, wanted.tokenizer)]:
        assert (own.bos_id, own.eos_id, own.prefix_ids) == (other.bos_id, other.eos_id, other.prefix_ids)
        assert own.chat_templates == other.chat_templates
        assert own.vocab_size == other.vocab_size
    assert member.prompt_ids(PROMPT) == wanted.prompt_ids(PROMPT)


@pytest.mark.parametrize("how", ["object", "none", "coolfusion"])
def test_the_members_and_their_text_are_those_of_from_pretrained(expected, how):
    make = {
        "object": transformers.AutoTokenizer.from_pretrained,
        "none": lambda folder: None,
        "coolfusion": cf.Tokenizer.from_pretrained,
    }[how]
    members = [Member.from_transformers(load(folder), make(folder)) for folder in folders()]
    for member, wanted in zip(members, expected.members, strict=True):
        same(member, wanted)
    output, other = Fusion(members).generate(PROMPT, 24), expected.generate(PROMPT, 24)
    assert output.text == other.text
    assert [each.token_ids for each in output.members] == [each.token_ids for each in other.members]


def wrapped() -> transformers.PreTrainedTokenizerFast:
    """A tokenizer of an object alone, with BOS before a text, EOS and a chat template."""
    inner = toy_inner(" cat", " sat")
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", END)]
    )
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    found.chat_template = "{{ messages[0].content }}"
    return found


def tiny(**options):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=270, num_key_value_heads=2, **sizes, **options)
    return transformers.LlamaForCausalLM(config)


def test_what_an_object_declares_is_found():
    member = Member.from_transformers(tiny(eos_token_id=7), wrapped())
    assert (member.name, member.prefix_ids, member.runner.eos_token_ids) == ("LlamaForCausalLM", (BOS,), (END, 7))
    assert (member.tokenizer.bos_id, member.tokenizer.eos_id) == (BOS, END)
    assert member.tokenizer.chat_templates == {"default": "{{ messages[0].content }}"}
    inner = Member.from_transformers(tiny(eos_token_id=7), wrapped().backend_tokenizer)
    assert (inner.prefix_ids, inner.runner.eos_token_ids) == ((BOS,), (7,)), "a definition names no END"


def test_what_is_given_holds():
    options = {"name": "ann", "prefix_ids": [5, 6], "eos_token_ids": [9], "max_model_len": 12}
    member = Member.from_transformers(tiny(), wrapped(), **options)
    assert (member.name, member.prefix_ids, member.runner.eos_token_ids) == ("ann", (5, 6), (9,))
    assert member.runner.max_model_len == 12
    assert member.runner.module.training is False


def test_a_model_its_strategy_and_its_contexts_have_short_reprs():
    runner = Member.from_transformers(tiny(), wrapped(), name="ann").runner
    assert repr(runner) == f"HuggingFaceModel('ann', LlamaForCausalLM, {runner.strategy!r}, 'cpu')"
    assert repr(runner.runner) == f"{type(runner.runner).__name__}('ann')"
    context = runner.new_context()
    runner.prefill([(context, [5, 6])])
    assert repr(context) == f"{type(context).__name__}('ann', 2 tokens)"
    context.close()
    assert repr(context) == f"{type(context).__name__}('ann', closed)"


def test_a_tokenizer_of_a_class_says_what_stands_before_a_text():
    class Slow:
        """The interface of a tokenizer of transformers that is no definition."""

        bos_token_id, eos_token_id, name_or_path = 0, 1, "slow"
        vocab_size = 258

        def __init__(self):
            self.chat_template = {"default": "{{ a }}", "tool_use": "{{ b }}"}

        def encode(self, text, add_special_tokens=False):
            return [byte + 2 for byte in text.encode()]

        def decode(self, ids, **_):
            return bytes(each - 2 for each in ids if each > 1).decode("utf-8", errors="replace")

        def build_inputs_with_special_tokens(self, ids):
            return [0, *ids, 1]

    member = Member.from_transformers(tiny(), Slow())
    assert member.prefix_ids == (0,)
    assert (member.tokenizer.bos_id, member.tokenizer.eos_id) == (0, 1)
    assert member.tokenizer.chat_templates == Slow().chat_template
    assert member.prompt_ids("a") == [0, ord("a") + 2]


def test_without_a_tokenizer_and_a_place_it_is_said():
    with pytest.raises(cf.ArgumentError, match="LlamaForCausalLM does not say where it was loaded from"):
        Member.from_transformers(tiny())
    with pytest.raises(cf.UnsupportedTokenizerError, match="cannot use an object of type builtins"):
        Member.from_transformers(tiny(), 3)
