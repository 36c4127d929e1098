"""Parts of the tests of conversations: small tokenizers with chat templates that disagree about nearly everything."""

from __future__ import annotations

import tokenizers

import coolfusion as cf
from fusion_parts import toy_inner

# ChatML, as many models have it: any role, BOS written by the template.
CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Gemma's manner: no system message, roles take turns, contents are trimmed.
TURNS = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
# Leaves out system messages without a word, as Phi-3 does.
SILENT = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% elif m.role == 'assistant' %}"
    "{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
# Describes tools and writes calls, with arguments as objects.
TOOLS = (
    "{% if tools %}<|im_start|>tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
    "CALL {{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %})"
    "{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = {
    CHATML: ("<s>", "</s>", "<|im_start|>", "<|im_end|>"),
    TURNS: ("<bos>", "<eos>", "<turn>", "<end>"),
    SILENT: ("<s>", "</s>", "[INST]", "[/INST]"),
    TOOLS: ("<s>", "</s>", "<|im_start|>", "<|im_end|>"),
}


def inner_of(template: str, *words: str) -> tokenizers.Tokenizer:
    """The tokenizer in the `tokenizers` library, whose control tokens are 0 to 3."""
    return toy_inner(*words, specials=SPECIALS[template])


def talker(template: str, *words: str) -> cf.Tokenizer:
    """A tokenizer with a chat template; BOS is 0 and EOS is 1."""
    return cf.Tokenizer.wrap(inner_of(template, *words))._declaring(0, 1, [0], {"default": template})


def says(role: str, content: object, **more: object) -> dict[str, object]:
    """A message."""
    return {"role": role, "content": content, **more}
