"""A member: one language model and the tokenizer that it was trained with.

A `Member` does not change. Its state of one text is a `Session` (in the worker) and a `Transcript` (in the engine).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from coolfusion._core import StreamEncoder, Tokenizer
from coolfusion.errors import ArgumentError, EmptyPromptError, ModelError, NoModelsError, UnrepresentableTextError
from coolfusion.members.endings import Ending, may_follow
from coolfusion.models.base import LanguageModel
from coolfusion.models.transformers.loading import from_objects

Prompt = str | Sequence[int]
# A worker asks for the rest of the protocol, because only it runs the model.
FACTS = (
    *("name", "logits_size", "max_model_len", "eos_token_ids", "device"),
    *("forward_passes", "processed_tokens", "batches_paths"),
)
OPERATIONS = ("new_context", "prefill", "forward")


@dataclass(frozen=True)
class Member:
    """One language model and its tokenizer.

    Attributes:
        runner: the model; no two members of a fusion may share it.
        tokenizer: a `coolfusion.Tokenizer`, or anything that `Tokenizer.wrap` takes.
        prefix_ids: ids that stand before every prompt, for example BOS.
        name: the name in messages and records; the runner's name if empty.
        suppress_tokens: ids that are never written, namely control tokens that do not end a text, holes of the
            vocabulary and rows above it. They stay in the softmax, so a probability is the model's own.

    Raises:
        ArgumentError: the runner is no `LanguageModel`.

    Example:
        >>> from coolfusion import toy
        >>> from coolfusion.models import ScriptedModel
        >>> model = ScriptedModel(lambda ids: [0.0] * 300, 300, name="even")
        >>> Member(model, toy.tokenizer())
        Member(name='even', model=ScriptedModel, vocab_size=...)
    """

    runner: LanguageModel
    tokenizer: Any
    prefix_ids: tuple[int, ...] = ()
    name: str = ""
    suppress_tokens: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_runner(self.runner, FACTS)
        tokenizer, size = self.tokenizer, self.runner.logits_size
        if not isinstance(tokenizer, Tokenizer):
            tokenizer = Tokenizer.wrap(tokenizer)
            object.__setattr__(self, "tokenizer", tokenizer)
        unwritable = {*tokenizer.control_ids, *tokenizer.unused_ids, *range(tokenizer.vocab_size, size)}
        written = (i for i in unwritable - set(self.runner.eos_token_ids) if i < size)
        object.__setattr__(self, "suppress_tokens", tuple(sorted(written)))
        object.__setattr__(self, "name", self.name or self.runner.name)

    def __repr__(self) -> str:
        kind = type(self.model).__name__
        return f"Member(name={self.name!r}, model={kind}, vocab_size={self.tokenizer.vocab_size})"

    @classmethod
    def from_transformers(
        cls,
        model: Any,
        tokenizer: Any = None,
        *,
        name: str | None = None,
        prefix_ids: Sequence[int] | None = None,
        eos_token_ids: Sequence[int] | None = None,
        max_model_len: int | None = None,
        trust_remote_code: bool = False,
    ) -> Member:
        """Returns a member made of a loaded transformers model and its tokenizer, as `Fusion.from_pretrained` makes it.

        Args:
            model: a transformers model with a language-model head; it is put into eval mode and stays where it is.
            tokenizer: anything that `Tokenizer.wrap` takes; None loads the one from where the model was loaded.
            name: the name in messages and records; None takes the last part of the path of the model.
            prefix_ids: ids that stand before every prompt; None takes the ids that the tokenizer puts before a text.
            eos_token_ids: ids that end a text; None takes those of the model's configurations and the tokenizer's EOS.
            max_model_len: most tokens of one context; None takes the number from the model's configuration.
            trust_remote_code: whether code that comes with the tokenizer may run; only where `tokenizer` is None.

        Raises:
            ArgumentError: no tokenizer, and the model does not say where it was loaded from.
            TokenizerError: the tokenizer cannot be loaded or used.
            ModelError: the model cannot be run.

        Complexity: some short passes of the model, where no earlier self-test of it is remembered.

        Example:
            >>> from transformers import AutoModelForCausalLM, AutoTokenizer
            >>> from coolfusion.embedded import folders
            >>> folder = folders()[0]
            >>> model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
            >>> Member.from_transformers(model, tokenizer)
            Member(name='ash', model=..., vocab_size=...)
        """
        loaded = from_objects(
            model,
            tokenizer,
            name=name,
            eos_token_ids=eos_token_ids,
            max_model_len=max_model_len,
            trust_remote_code=trust_remote_code,
        )
        prefix = loaded.prefix_ids if prefix_ids is None else tuple(prefix_ids)
        return cls(loaded.model, loaded.tokenizer, prefix)

    @property
    def model(self) -> Any:
        """Returns the model, which is the torch module where there is one, so that hooks can be added."""
        return getattr(self.runner, "module", self.runner)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Returns the prompt in this member's ids, with the prefix before a text; ids are taken as they are.

        Raises:
            EmptyPromptError: the prompt has no id, and the member has no prefix to start from.
            UnrepresentableTextError: the tokenizer cannot represent the prompt.
            ModelError: an id without a row of logits.
        """
        if isinstance(prompt, str):
            try:
                ids = [*self.prefix_ids, *self.tokenizer.encode(prompt, errors="strict")]
            except UnrepresentableTextError as err:
                raise UnrepresentableTextError(f"member {self.name} cannot say the prompt: {err}") from err
        else:
            ids = list(prompt)
        if not ids:
            raise EmptyPromptError(
                f"the prompt is empty and member {self.name} has no BOS to start from; expected at least one token"
            )
        size = self.runner.logits_size
        wrong = next((at for at, token_id in enumerate(ids) if not 0 <= token_id < size), None)
        if wrong is not None:
            raise ModelError(
                f"member {self.name}: prompt id {ids[wrong]} at position {wrong} has no row, expected 0..{size - 1}"
            )
        return ids

    def encoder(self, prompt: Prompt) -> StreamEncoder:
        """Returns a stream encoder that has read the prompt.

        A new text starts after a control token, so only the ids after the last control token of a prompt count.
        """
        encoder = StreamEncoder(self.tokenizer)
        if isinstance(prompt, str):
            encoder.push(prompt)
            return encoder
        control = set(self.tokenizer.control_ids)
        last = max((at for at, token_id in enumerate(prompt) if token_id in control), default=-1)
        encoder.push(self.tokenizer.decode(list(prompt[last + 1 :])))
        return encoder

    def ids_after(self, ending: Ending) -> tuple[int, ...]:
        """Returns the ids that may follow an ending, in ascending order, those of END included.

        Args:
            ending: the ending of the text before them, not "".

        Complexity: O(vocabulary), once for each ending.
        """
        return self._after(ending)[0]

    def may_follow(self, token_id: int, ending: Ending) -> bool:
        """Returns whether an id may follow an ending, as each id may after "".

        Args:
            token_id: the id.
            ending: the ending of the text before the id.

        Complexity: O(1), after O(vocabulary) once.
        """
        return not ending or token_id in self._after(ending)[1]

    def _after(self, ending: Ending) -> tuple[tuple[int, ...], frozenset[int]]:
        found = self._ids_by_ending.get(ending)
        if found is None:
            ids = {*self.runner.eos_token_ids}
            ids.update(token_id for token_id, data in self._written() if may_follow(data, ending))
            found = self._ids_by_ending[ending] = (tuple(sorted(ids)), frozenset(ids))
        return found

    @cached_property
    def _ids_by_ending(self) -> dict[Ending, tuple[tuple[int, ...], frozenset[int]]]:
        return {}

    def _written(self) -> Iterator[tuple[int, bytes]]:
        """Yields the ids that stand for text and have a row of logits, with their bytes."""
        tokenizer = self.tokenizer
        unwritable = {*tokenizer.control_ids, *tokenizer.unused_ids}
        for token_id in range(min(tokenizer.vocab_size, self.runner.logits_size)):
            if token_id not in unwritable:
                yield token_id, tokenizer.token_bytes(token_id)

    def ids_after_a_word(self, begins: bytes) -> tuple[int, ...]:
        """Returns the ids of END and of tokens that begin with one of some bytes of ASCII white space.

        Args:
            begins: the bytes.

        Complexity: O(vocabulary), once for all calls; then O(ids).
        """
        found = (token_id for byte in begins for token_id in self._ids_by_space.get(byte, ()))
        return tuple(sorted({*found, *self.runner.eos_token_ids}))

    @cached_property
    def _ids_by_space(self) -> dict[int, list[int]]:
        """Returns the ids of tokens that begin with ASCII white space, by their first byte."""
        found = dict[int, list[int]]()
        for token_id, data in self._written():
            if data[:1].isspace():
                found.setdefault(data[0], []).append(token_id)
        return found

    @property
    def kept_after_cut(self) -> int | None:
        """Returns the number of tokens that a cut context keeps, half of the model's limit, or None without a limit."""
        limit = self.runner.max_model_len
        return None if limit is None else max(1, limit // 2)


def check_runner(runner: object, names: Sequence[str]) -> None:
    """Raises ArgumentError unless a runner has all of these attributes of a `LanguageModel`."""
    missing = [name for name in names if not hasattr(runner, name)]
    if missing:
        raise ArgumentError(f"runner must be a LanguageModel; {runner!r} lacks {', '.join(missing)}")


def check_members(members: Iterable[Member]) -> tuple[Member, ...]:
    """Returns the members of a fusion.

    Raises:
        NoModelsError: there are none.
        ArgumentError: something is no `Member`.
    """
    if isinstance(members, Member) or not isinstance(members, Iterable):
        raise ArgumentError(f"members must be a list of Member, not {members!r}")
    found = tuple(members)
    for number, member in enumerate(found):
        if not isinstance(member, Member):
            raise ArgumentError(f"member {number} must be a Member, not {member!r}; see Member.from_transformers")
    if not found:
        raise NoModelsError("no models to fuse; expected at least one")
    return found
