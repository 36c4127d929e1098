"""Several models with different tokenizers write one text (Cool-Fusion, arXiv 2407.19807).

`Fusion` owns the members and says how they work together: alignment of segments, selection rule, schedule. The loop
itself is `generation`. Invariants: docs/design.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from coolfusion import Tokenizer
from coolfusion.errors import ArgumentError, NoModelsError
from coolfusion.generation import Generation
from coolfusion.member import Member, Prompt
from coolfusion.records import Output
from coolfusion.schedule import LiteralSchedule, Schedule
from coolfusion.selection import SelectionRule, arithmetic_mean_perplexity
from coolfusion.stops import check_stop_strings

__all__ = ["Fusion", "Generation", "Member"]

Alignment = Literal["aligned", "shortest"]


class Fusion:
    """Several models that write one text together.

    Args:
        members: one or more; each with a runner of its own.
        alignment: "aligned" ends segments where the tokenizers of all members have a boundary, "shortest" where the
            writing member has one.
        rule: the selection rule.
        schedule: when models run; the literal one if None.

    Raises:
        NoModelsError: no members.
        ArgumentError: two members share a runner, or an unknown alignment.

    Example:
        ``fusion = Fusion.from_pretrained(["dir/a", "dir/b"]); print(fusion.generate("Once").text)``
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        alignment: Alignment = "aligned",
        rule: SelectionRule = arithmetic_mean_perplexity,
        schedule: Schedule | None = None,
    ) -> None:
        self.members = tuple(members)
        if not self.members:
            raise NoModelsError("no models to fuse; expected at least one")
        if len({id(member.model) for member in self.members}) < len(self.members):
            raise ArgumentError("two members share one runner; a runner holds one context, make one for each member")
        if alignment not in ("aligned", "shortest"):
            raise ArgumentError(f"alignment {alignment!r} is unknown; expected 'aligned' or 'shortest'")
        self.alignment = alignment
        self.rule = rule
        self.schedule: Schedule = LiteralSchedule() if schedule is None else schedule
        self._current: Generation | None = None

    @classmethod
    def from_pretrained(
        cls,
        names: Sequence[str | Path],
        *,
        device: str | Sequence[str] | None = None,
        dtype: Any = "auto",
        trust_remote_code: bool = False,
        alignment: Alignment = "aligned",
        rule: SelectionRule = arithmetic_mean_perplexity,
    ) -> Fusion:
        """Load transformers models from local directories or hub names; safetensors weights only.

        Args:
            names: the models; a name that stands twice is loaded once and gives two members.
            device: one torch device for all, or one for each; None takes a GPU if there is one.
            dtype: "auto" as the checkpoint says, or a torch dtype or its name.
            trust_remote_code: whether code that comes with a model may run.
            alignment: see `Fusion`.
            rule: see `Fusion`.

        Raises:
            NoModelsError: no names.
            ModelError: a directory is missing or incomplete, holds only pickled weights, or cannot be loaded.
            ArgumentError: an unknown device or dtype.
        """
        names = [names] if isinstance(names, str | Path) else list(names)
        if not names:
            raise NoModelsError("no models to fuse; expected at least one name or directory")
        from coolfusion.models.loading import load_models

        loaded = load_models(names, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        tokenizers = {id(each.tokenizer): Tokenizer.wrap(each.tokenizer) for each in loaded}
        members = [Member(each.model, tokenizers[id(each.tokenizer)], each.prefix_ids) for each in loaded]
        return cls(members, alignment=alignment, rule=rule)

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt],
        max_new_tokens: int = 64,
        *,
        stop_strings: str | Iterable[str] = (),
        rerank: bool = False,
    ) -> Output:
        """Write a text.

        Args:
            prompt: one text for all; or one prompt for each member, a text or ids of that member (a chat template,
                for instance). The written text is shared, the prompts need not be.
            max_new_tokens: no member's committed ids are ever more. The last word may be partial.
            stop_strings: the text is cut exactly before the first of them.
            rerank: let each member also write its own continuation, and answer with the best of all by the same
                rule (the paper's Cool+R); all stay in `continuations`.

        Raises:
            ArgumentError: an argument outside its range.
            EmptyPromptError: a member has nothing to start from.
            UnrepresentableTextError: a member cannot say the prompt.
            NoCandidateError: no member's proposal can be said by all; `partial` holds what was written.
            ModelError: a model failed; `partial` holds what was written.
        """
        generation = self.stream(prompt, max_new_tokens, stop_strings=stop_strings)
        for _ in generation:
            pass
        if not rerank:
            return generation.output
        from coolfusion.rerank import rerank as rerank_continuations

        return rerank_continuations(generation)

    def stream(
        self, prompt: Prompt | Sequence[Prompt], max_new_tokens: int = 64, *, stop_strings: str | Iterable[str] = ()
    ) -> Generation:
        """The steps of `generate` as they come. Arguments and errors are those of `generate`, checked at once."""
        return Generation(self, prompt, max_new_tokens, check_stop_strings(stop_strings))

    def describe(self) -> dict[str, Any]:
        """The members' models and tokenizers, as values that JSON can hold."""
        members = [
            {"name": m.name, "model": m.model.describe(), "tokenizer": m.tokenizer.describe()} for m in self.members
        ]
        return {"alignment": self.alignment, "rule": getattr(self.rule, "__name__", "custom"), "members": members}
