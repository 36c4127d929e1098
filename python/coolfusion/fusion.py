"""Several models with different tokenizers write one text (Cool-Fusion, arXiv 2407.19807).

`Fusion` owns the members and says how they work together: alignment of segments, selection rule, schedule. The loop
itself is `generation`; who runs the models, and when, are `crew` and `schedule`. Invariants: docs/design.md.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from coolfusion.crew import Crew
from coolfusion.drafting import Drafting
from coolfusion.errors import ArgumentError, CoolFusionError, NoModelsError
from coolfusion.generation import Generation, OnFailure, Overlong, Plan
from coolfusion.member import Member
from coolfusion.opening import OneText, open_texts
from coolfusion.prompts import Reader, warn_of_spelled
from coolfusion.records import MemberOutput, Output
from coolfusion.schedule import FastSchedule, LiteralSchedule, Schedule
from coolfusion.selection import SelectionRule, arithmetic_mean_perplexity
from coolfusion.stops import check_stop_strings

__all__ = ["Fusion", "Generation", "Member"]

Alignment = Literal["aligned", "shortest"]
ScheduleName = Literal["auto", "literal"]


class Fusion:
    """Several models that write one text together.

    Args:
        members: one or more; each with a runner of its own.
        alignment: "aligned" ends segments where the tokenizers of all members have a boundary, "shortest" where the
            writing member has one.
        rule: the selection rule.
        drafts: how many words the leader of the fast schedule writes ahead, 0 for none; None adapts to how often the
            members agree on the text, never to measured time. Changes passes, never text in exact arithmetic.
        time_limit: seconds that a pass of a model may take, or None. A pass that takes longer is a failure; its
            member is lost for this fusion.
        texts_in_step: how many texts of a list are written at the same time, which bounds the memory of caches.

    Raises:
        NoModelsError: no members.
        ArgumentError: two members share a runner, an unknown alignment, or numbers outside their range.

    Example:
        ``fusion = Fusion.from_pretrained(["dir/a", "dir/b"]); print(fusion.generate("Once").text)``
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        alignment: Alignment = "aligned",
        rule: SelectionRule = arithmetic_mean_perplexity,
        drafts: int | None = None,
        time_limit: float | None = None,
        texts_in_step: int = 32,
    ) -> None:
        self.members = tuple(members)
        if not self.members:
            raise NoModelsError("no models to fuse; expected at least one")
        if len({id(member.runner) for member in self.members}) < len(self.members):
            raise ArgumentError("two members share one runner; make one for each member (they may share the weights)")
        if alignment not in ("aligned", "shortest"):
            raise ArgumentError(f"alignment {alignment!r} is unknown; expected 'aligned' or 'shortest'")
        if drafts is not None and (isinstance(drafts, bool) or not isinstance(drafts, int) or drafts < 0):
            raise ArgumentError(f"drafts must be None or a whole number of words from 0 on, not {drafts!r}")
        if time_limit is not None and not 0.0 < time_limit < float("inf"):
            raise ArgumentError(f"time_limit must be None or a positive number of seconds, not {time_limit!r}")
        if isinstance(texts_in_step, bool) or not isinstance(texts_in_step, int) or texts_in_step < 1:
            raise ArgumentError(f"texts_in_step must be a whole number of at least 1, not {texts_in_step!r}")
        self._readers = [Reader(member.name, member.tokenizer) for member in self.members]
        self.alignment = alignment
        self.rule = rule
        self._texts_in_step = texts_in_step
        self._crew = Crew(self.members, time_limit)
        packs = [member.runner.packs for member in self.members]
        self._drafting = functools.partial(Drafting, self._crew.costs, packs, drafts=drafts, apart=self._crew.apart)

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
        drafts: int | None = None,
        time_limit: float | None = None,
        texts_in_step: int = 32,
        **model_options: Any,
    ) -> Fusion:
        """Load transformers models from local directories or hub names; safetensors weights only.

        Args:
            names: the models; a name that stands twice is loaded once and gives two members.
            device: one torch device for all, or one for each; None takes a GPU if there is one.
            dtype: "auto" as the checkpoint says, or a torch dtype or its name.
            trust_remote_code: whether code that comes with a model may run.
            alignment: see `Fusion`.
            rule: see `Fusion`.
            drafts: see `Fusion`.
            time_limit: see `Fusion`.
            texts_in_step: see `Fusion`.
            model_options: passed on to transformers, such as `device_map` or `quantization_config`.

        Raises:
            NoModelsError: no names.
            ModelError: a directory is missing or incomplete, holds only pickled weights, or cannot be loaded.
            TokenizerError: its tokenizer cannot be loaded.
            ArgumentError: an unknown device or dtype.
        """
        names = [names] if isinstance(names, str | Path) else list(names)
        if not names:
            raise NoModelsError("no models to fuse; expected at least one name or directory")
        from coolfusion.models.loading import load_models

        loaded = load_models(names, device=device, dtype=dtype, trust_remote_code=trust_remote_code, **model_options)
        members = [Member(each.model, each.tokenizer, each.prefix_ids) for each in loaded]
        return cls(
            members,
            alignment=alignment,
            rule=rule,
            drafts=drafts,
            time_limit=time_limit,
            texts_in_step=texts_in_step,
        )

    @overload
    def generate(
        self,
        prompt: OneText,
        max_new_tokens: int = 64,
        *,
        stop_strings: str | Iterable[str] = (),
        rerank: bool = False,
        schedule: ScheduleName = "auto",
        score_all: bool = False,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
    ) -> Output: ...
    @overload
    def generate(
        self,
        prompt: list[OneText],
        max_new_tokens: int = 64,
        *,
        stop_strings: str | Iterable[str] = (),
        rerank: bool = False,
        schedule: ScheduleName = "auto",
        score_all: bool = False,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
    ) -> list[Output]: ...
    def generate(
        self,
        prompt: OneText | list[OneText],
        max_new_tokens: int = 64,
        *,
        stop_strings: str | Iterable[str] = (),
        rerank: bool = False,
        schedule: ScheduleName = "auto",
        score_all: bool = False,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
    ) -> Output | list[Output]:
        """Write a text, or many in step, which share the passes of the models.

        Args:
            prompt: one text for all members; or a tuple of one prompt for each member, a text or ids of that member
                (a chat template, for instance) in any usual container; or a list of such prompts, for a list of
                outputs. The written text is shared by the members, the prompts need not be. A text that spells control
                tokens of a member is encoded as text, and a warning says so.
            max_new_tokens: no member's committed ids are ever more. The last word may be partial.
            stop_strings: the text is cut exactly before the first of them.
            rerank: let each member also write its own continuation, and answer with the best of all by the same
                rule (the paper's Cool+R); all stay in `continuations`.
            schedule: "auto" is the fast one, "literal" the paper's loop as it is written, for comparison.
            score_all: ask for the scores of all candidates under all members. The present schedules have them for
                nothing and leave none out.
            on_failure: what happens when a model raises, gives no numbers, or takes longer than the time limit:
                "stop" ends the text with an error, "continue" goes on without the member and says so (`failed` of
                the member, `rejected` of the steps). In a list it also keeps what ended one text, or kept it from being
                begun, from ending the call: it stands in `error` of that text's output.
            overlong: what happens to a prompt that is longer than a member's limit: "truncate" cuts it at the left to
                the newest half of the limit and warns, "error" refuses it.

        Returns:
            what was written, with its steps and what it cost each member; for a list of prompts a list, in their order.

        Raises:
            ArgumentError: an argument outside its range.
            EmptyPromptError: a member has nothing to start from.
            UnrepresentableTextError: a member cannot say the prompt.
            PromptTooLongError: a prompt is longer than a member's limit, and `overlong` is "error".
            NoCandidateError: no member's proposal can be said by all; `partial` holds what was written.
            ModelError: a model failed; `partial` holds what was written. Of many texts the first error is raised when
                all have ended; `partial` is then the list of all outputs, and what concerns a prompt gives its number.
            KeyboardInterrupt: of the user; `partial` holds what was written, a list for a list.

        Complexity: about one pass of each model for each token of its own; fewer where drafts are good. Memory for the
            caches of at most `texts_in_step` texts at a time.

        Source: arXiv 2407.19807, section 3; the fast schedule is docs/design.md, section 11.

        Example:
            ``one, two = fusion.generate(["Once", "Twice"], 24); print(one.text, one.members[0].forward_passes)``
        """
        listed = isinstance(prompt, list)
        prompts = prompt if isinstance(prompt, list) else [prompt]
        warn_of_spelled(prompts, self._readers)
        plan = self._plan(max_new_tokens, stop_strings, schedule, on_failure, overlong)
        groups = [prompts[at : at + self._texts_in_step] for at in range(0, len(prompts), self._texts_in_step)]
        # All prompts are looked at before the first is read.
        texts: list[Generation | CoolFusionError] = []
        spare = []
        for group in groups:
            contexts = self._contexts(len(group) * (2 if rerank else 1))
            texts += open_texts(self.members, group, plan, contexts, first=len(texts) if listed else None)
            spare.append(contexts)
        found: dict[int, Output] = {}
        errors: dict[int, CoolFusionError] = {n: each for n, each in enumerate(texts) if isinstance(each, Exception)}

        def outputs() -> list[Output]:
            return [found.get(number) or self._output(each) for number, each in enumerate(texts)]

        try:
            for number, contexts in enumerate(spare):
                start = number * self._texts_in_step
                group_texts = enumerate(texts[start : start + self._texts_in_step], start)
                writing = {n: each for n, each in group_texts if isinstance(each, Generation)}
                generations = list(writing.values())
                if rerank:
                    from coolfusion.rerank import write_and_rerank

                    written, failed = write_and_rerank(generations, contexts)
                else:
                    self._crew.run([generation.all_steps() for generation in generations])
                    written, failed = [each.output for each in generations], [each.error for each in generations]
                found |= zip(writing, written, strict=True)
                errors |= {n: err for n, err in zip(writing, failed, strict=True) if err is not None}
                for row in contexts[len(generations) if rerank else 0 :]:
                    self._crew.close(self.members, row)  # of prompts that were refused
        except KeyboardInterrupt as err:
            err.partial = outputs() if listed else outputs()[0]  # type: ignore[attr-defined]
            raise
        if errors and not (listed and on_failure == "continue"):
            error = errors[min(errors)]
            if listed:
                error.partial = outputs()
            raise error
        return outputs() if listed else outputs()[0]

    def stream(
        self,
        prompt: OneText,
        max_new_tokens: int = 64,
        *,
        stop_strings: str | Iterable[str] = (),
        schedule: ScheduleName = "auto",
        score_all: bool = False,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
    ) -> Generation:
        """The steps of `generate` as they come. Arguments and errors are those of `generate`, checked at once."""
        warn_of_spelled([prompt], self._readers)
        plan = self._plan(max_new_tokens, stop_strings, schedule, on_failure, overlong)
        [text] = open_texts(self.members, [prompt], plan, self._contexts(1), first=None)
        if isinstance(text, CoolFusionError):
            raise text
        return text

    def describe(self) -> dict[str, Any]:
        """The members' models and tokenizers, as values that JSON can hold."""
        members = [
            {"name": m.name, "model": m.runner.describe(), "tokenizer": m.tokenizer.describe()} for m in self.members
        ]
        return {"alignment": self.alignment, "rule": getattr(self.rule, "__name__", "custom"), "members": members}

    def _plan(
        self,
        max_new_tokens: int,
        stop_strings: str | Iterable[str],
        schedule: ScheduleName,
        on_failure: OnFailure,
        overlong: Overlong,
    ) -> Plan:
        if schedule not in ("auto", "literal"):
            raise ArgumentError(f"schedule {schedule!r} is unknown; expected 'auto' or 'literal'")

        def scheduled() -> Schedule:
            if schedule == "literal":
                return LiteralSchedule()
            # Each text has drafts of its own: what the texts before it have shown must not change its passes.
            return FastSchedule(self._drafting(), apart=self._crew.apart)

        stops = check_stop_strings(stop_strings)
        return Plan(
            self._crew, scheduled, self.rule, self.alignment == "aligned", max_new_tokens, stops, on_failure, overlong
        )

    def _contexts(self, count: int) -> list[tuple[Any, ...]]:
        """So many rows of one context of each member; those of a member share passes."""
        return list(zip(*(member.runner.open(count) for member in self.members), strict=True))

    def _output(self, text: Generation | CoolFusionError) -> Output:
        """What was written of a text, or that it was not begun."""
        if isinstance(text, Generation):
            return text.output
        members = tuple(MemberOutput(member.name, [], [], 0, 0) for member in self.members)
        return Output("", (), None, members, error=str(text))
