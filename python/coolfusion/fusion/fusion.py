"""Fuses several models with different tokenizers, which write one text (Cool-Fusion, arXiv 2407.19807).

`Fusion` is the front door. It loads members, and its methods are thin wrappers around one `FusionEngine`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from coolfusion.chat import as_chats
from coolfusion.errors import ArgumentError, CoolFusionError, NoModelsError
from coolfusion.executors.base import Executor
from coolfusion.executors.processes import ProcessExecutor
from coolfusion.fusion.engine import Entry, FusionEngine
from coolfusion.fusion.generation import AsyncGeneration, Driver, Generation, error_of, written
from coolfusion.fusion.options import (
    Alignment,
    OneText,
    OnFailure,
    Overlong,
    Prefix,
    Request,
    check_choice,
    check_engine,
)
from coolfusion.fusion.prompts import warn_caller, warn_of_spelled
from coolfusion.fusion.reasoning import Think
from coolfusion.fusion.recipe import Recipe, Source, read_recipe
from coolfusion.fusion.rerank_options import Rerank
from coolfusion.fusion.selection import DEFAULT_RULE, Rule, SelectionRule
from coolfusion.members.endings import Granularity
from coolfusion.members.member import Member
from coolfusion.models.transformers.loading import check_arguments, load_models, spread_devices
from coolfusion.records import MemberOutput, Output

_DEFAULTS: dict[str, Any] = {"alignment": "aligned", "granularity": None, "prefix": "always", "rule": DEFAULT_RULE}


class _Options(TypedDict, total=False):
    """The options of `Fusion.generate`, for its overloads."""

    tools: Any
    continue_final: bool
    template_options: Any
    stop_strings: str | Iterable[str]
    rerank: bool | Rerank | None
    think: tuple[str, str] | Think | None
    on_failure: OnFailure
    overlong: Overlong
    temperature: float
    top_p: float
    min_p: float
    seed: int | None
    n: int
    logprobs: bool
    schedule: str | None


class Fusion:
    """Several models that write texts together.

    Args:
        members: one or more members, each with a runner of its own.
        alignment: "aligned" ends segments where the tokenizers of all members have a boundary, "shortest" where the
            writing member has one.
        granularity: the unit of text that one segment is. "word" is a word with its punctuation, "pre_token" one
            without, and "phrase", "sentence" and "line" hold several words. None takes pre-tokens for rules that count
            the end of a segment, and words for others.
        prefix: "always" puts the prefix of each tokenizer, mostly BOS, before every prompt. "likelier" leaves it out
            where a member finds the prompt likelier without it, at the cost of one more reading of the prompt.
        rule: the name of a rule ("paper", "mixture", ...), a `SelectionRule`, a function of one candidate's scores, or
            a spec as `rule_from_spec` reads it.
        drafts: the number of words that the leader writes ahead, 0 for none. None adapts it to how often the members
            agree on the text, never to measured time. Drafts change passes, but never the text in exact arithmetic.
        executor: the executor that runs the members. None takes one for this process, with a thread for each device if
            there are several.
        pass_timeout: seconds that a pass of a model may take, or None. A longer pass is a failure, and its member is
            lost for this fusion.
        max_concurrent_requests: the number of texts that are written at the same time. It bounds the memory of caches.
        max_cached_tokens: the number of tokens that the caches of all texts and members may hold together, or None.
        time_limit: deprecated, now `pass_timeout`.
        texts_in_step: deprecated, now `max_concurrent_requests`.

    Attributes:
        engine: the engine that writes the texts. Loops of your own call `engine.add` and `engine.step`.

    Raises:
        NoModelsError: there are no members.
        ArgumentError: two members share a runner, the alignment is unknown, or a number is outside its range.

    Example:
        ``fusion = Fusion.from_pretrained(["dir/a", "dir/b"]); print(fusion.generate("Once").text)``
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        alignment: Alignment = "aligned",
        granularity: Granularity | None = None,
        prefix: Prefix = "always",
        rule: Rule = DEFAULT_RULE,
        drafts: int | None = None,
        executor: Executor | None = None,
        pass_timeout: float | None = None,
        max_concurrent_requests: int = 32,
        max_cached_tokens: int | None = None,
        time_limit: float | None = None,
        texts_in_step: int | None = None,
    ) -> None:
        pass_timeout = _renamed("pass_timeout", pass_timeout, "time_limit", time_limit)
        max_concurrent_requests = _renamed(
            "max_concurrent_requests", max_concurrent_requests, "texts_in_step", texts_in_step
        )
        self.engine = FusionEngine(
            members,
            alignment=alignment,
            granularity=granularity,
            prefix=prefix,
            rule=rule,
            drafts=drafts,
            executor=executor,
            pass_timeout=pass_timeout,
            max_concurrent_requests=max_concurrent_requests,
            max_cached_tokens=max_cached_tokens,
        )
        self._driver = Driver(self.engine)
        self._rerank = False

    def __repr__(self) -> str:
        return f"Fusion([{', '.join(member.name for member in self.members)}], rule={self.rule.name})"

    def __enter__(self) -> Fusion:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def members(self) -> tuple[Member, ...]:
        """The members."""
        return self.engine.members

    @property
    def rule(self) -> SelectionRule:
        """The selection rule."""
        return self.engine.rule

    @property
    def alignment(self) -> Alignment:
        """The alignment of segments, "aligned" or "shortest"."""
        return self.engine.alignment

    @property
    def granularity(self) -> Granularity:
        """The unit of text that one segment is."""
        return self.engine.granularity

    @property
    def reranks(self) -> bool:
        """Returns whether `generate` reranks by default, because a recipe may ask for it."""
        return self._rerank

    @classmethod
    def from_pretrained(
        cls,
        names: Sequence[str | Path],
        *,
        device: str | Sequence[str] | None = None,
        dtype: Any = "auto",
        trust_remote_code: bool = False,
        threads: int | None = None,
        alignment: Alignment | None = None,
        granularity: Granularity | None = None,
        prefix: Prefix | None = None,
        rule: Rule | None = None,
        recipe: Source | Recipe | None = None,
        drafts: int | None = None,
        executor: Literal["processes"] | None = None,
        pass_timeout: float | None = None,
        max_concurrent_requests: int = 32,
        max_cached_tokens: int | None = None,
        time_limit: float | None = None,
        texts_in_step: int | None = None,
        **model_options: Any,
    ) -> Fusion:
        """Loads transformers models from local directories or hub names, but only safetensors weights.

        Args:
            names: the models. A name that stands twice is loaded once and gives two members.
            device: one torch device for all models, or one for each. None takes a GPU if there is one.
            dtype: "auto" for the checkpoint's own, or a torch dtype or its name.
            trust_remote_code: whether code that comes with a model may run.
            threads: the number of CPU threads that torch takes for one operation, from now on and in the whole process.
                None leaves it as it is. Take 1 for models of some million parameters, and where other work shares the
                cores. With `executor="processes"` it holds in each process.
            alignment: see `Fusion`. None takes that of the recipe, or else "aligned".
            granularity: see `Fusion`. None takes that of the recipe, or else one that suits the rule.
            prefix: see `Fusion`. None takes that of the recipe, or else "always".
            rule: see `Fusion`. None takes that of the recipe, or else "confident".
            recipe: a file that `coolfusion pool` wrote, or an object of its form. It sets rule, alignment,
                granularity, prefix and the default of `rerank`. The models must have the names of its members.
            drafts: see `Fusion`.
            executor: "processes" loads and runs each member in a process of its own. None runs all in this one.
            pass_timeout: see `Fusion`.
            max_concurrent_requests: see `Fusion`.
            max_cached_tokens: see `Fusion`.
            time_limit: deprecated, now `pass_timeout`.
            texts_in_step: deprecated, now `max_concurrent_requests`.
            model_options: passed on to transformers, for example `device_map` or `quantization_config`.

        Raises:
            NoModelsError: there are no names.
            ModelError: a directory is missing or incomplete, holds only pickled weights, or cannot be loaded.
            TokenizerError: the tokenizer of a model cannot be loaded.
            ArgumentError: a value is outside its range, or a device or dtype is unknown. Nothing is loaded then. The
                same holds for a recipe that is wrong or of other models, and for an argument that it sets too.
        """
        names = [names] if isinstance(names, str | Path) else list(names)
        if not names:
            raise NoModelsError("no models to fuse; expected at least one name or directory")
        check_choice("executor", executor, (None, "processes"))
        pass_timeout = _renamed("pass_timeout", pass_timeout, "time_limit", time_limit)
        max_concurrent_requests = _renamed(
            "max_concurrent_requests", max_concurrent_requests, "texts_in_step", texts_in_step
        )
        given = {"alignment": alignment, "granularity": granularity, "prefix": prefix, "rule": rule}
        how, rerank = _how(recipe, names, given)
        common: dict[str, Any] = {
            **how,
            "drafts": drafts,
            "max_concurrent_requests": max_concurrent_requests,
            "max_cached_tokens": max_cached_tokens,
        }
        check_engine(pass_timeout=pass_timeout, **common)
        check_arguments(names, device=device, dtype=dtype, threads=threads)
        options = {"dtype": dtype, "trust_remote_code": trust_remote_code, "threads": threads, **model_options}
        if executor is None:
            fusion = cls(_load(names, device=device, **options), pass_timeout=pass_timeout, **common)
            fusion._rerank = rerank
            return fusion
        places = zip(names, spread_devices(device, len(names)), strict=True)
        sources = [functools.partial(_load_one, str(name), device=place, **options) for name, place in places]
        processes = ProcessExecutor(sources, pass_timeout)
        fusion = cls(processes.members, executor=processes, **common)
        fusion._rerank = rerank
        return fusion

    @overload
    def generate(self, prompt: OneText, max_new_tokens: int = 64, **options: Unpack[_Options]) -> Output: ...
    @overload
    def generate(self, prompt: list[Any], max_new_tokens: int = 64, **options: Unpack[_Options]) -> list[Output]: ...
    @overload
    def generate(
        self,
        prompt: None = None,
        max_new_tokens: int = 64,
        *,
        messages: Sequence[Mapping[str, Any]],
        **options: Unpack[_Options],
    ) -> Output: ...
    @overload
    def generate(
        self,
        prompt: None = None,
        max_new_tokens: int = 64,
        *,
        messages: Sequence[Sequence[Mapping[str, Any]]],
        **options: Unpack[_Options],
    ) -> list[Output]: ...
    def generate(
        self,
        prompt: OneText | list[Any] | None = None,
        max_new_tokens: int = 64,
        *,
        messages: Any = None,
        tools: Any = None,
        continue_final: bool = False,
        template_options: Any = None,
        stop_strings: str | Iterable[str] = (),
        rerank: bool | Rerank | None = None,
        think: tuple[str, str] | Think | None = None,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
        temperature: float = 0.0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        n: int = 1,
        logprobs: bool = False,
        schedule: str | None = None,
    ) -> Output | list[Output]:
        """Writes one text, or many that share the passes of the models.

        Args:
            prompt: one text for all members, or a tuple of one prompt for each member, or a list of such prompts for a
                list of outputs. A member's prompt is a text, or its ids in any usual container, for example from a chat
                template. The members share the written text, but need not share the prompt. A text that spells control
                tokens of a member is encoded as text, and a warning says so.
            max_new_tokens: the greatest number of ids that any member commits. The last word may be partial.
            messages: a conversation in place of a prompt, as a list of objects with `role` and `content`. A list of
                such lists gives a list of outputs. Each member reads it in its own template; see docs/guides/chat.md.
            tools: descriptions of tools in OpenAI's form, for the templates.
            continue_final: whether the last message, the assistant's, is continued.
            template_options: further variables of the templates.
            stop_strings: texts that end the text. It is cut exactly before the first of them.
            rerank: whether each member also writes its own continuation (the paper's Cool+R). The answer is the best
                of all by the same rule, and all stay in `continuations`. A `Rerank` asks for votes, samples and other
                likelihoods. None takes the recipe's choice, or else False.
            think: the reasoning of members before they answer, each alone and with a budget of its own. It is a pair of
                markers such as `("<think>", "</think>")`, a `Think`, or None. The text is the answer, and `reasoning`
                has the rest.
            on_failure: the reaction to a model that raises, gives no numbers, or takes longer than `pass_timeout`.
                "stop" ends the text with an error. "continue" continues without the member, and `failed` of the
                member and `rejected` of the steps say so. In a list "continue" also keeps an error of one text from
                ending the call, and that output has it in `error`.
            overlong: the treatment of a prompt above a member's limit. "truncate" cuts it at the left to the newest
                half of the limit and warns, and "error" refuses it.
            temperature: 0 is greedy. Above 0 members draw their words, and the winner is drawn from the rule's
                distribution over the candidates (docs/guides/sampling.md).
            top_p: the total probability of the tokens, and candidates, that are drawn. They are the fewest most likely
                ones that reach it.
            min_p: the least probability of tokens, and candidates, that are drawn, as a share of the most likely one's.
            seed: the seed of all random numbers. The same seed gives the same text, and None takes a new one.
            n: the number of texts, for the seeds `seed`, `seed + 1` and so on. They are `choices` of the output.
            logprobs: whether greedy steps hold the probabilities of their candidates too.
            schedule: deprecated, because the literal loop now stands in `coolfusion.fusion.reference`.

        Returns:
            the output, with its steps and its cost for each member, or a list of outputs in the order of the prompts.

        Raises:
            ArgumentError: an argument is outside its range.
            EmptyPromptError: a member has nothing to start from.
            UnrepresentableTextError: a member cannot say the prompt.
            PromptTooLongError: a prompt is longer than a member's limit, and `overlong` is "error".
            NoCandidateError: no member's proposal can be said by all. `partial` holds the output so far.
            ModelError: a model failed. `partial` holds the output so far. Of many texts the first error is raised when
                all have ended. `partial` is then the list of all outputs, and a message about a prompt gives its
                number.
            KeyboardInterrupt: the user pressed Ctrl-C. `partial` holds the output so far, or a list for a list.

        Complexity: about one pass of each model for each token of its own; fewer where drafts are good. Memory for the
            caches of at most `max_concurrent_requests` texts at a time.

        Source: arXiv 2407.19807, section 3; the fast schedule is docs/proofs/engine-equals-reference-loop.md.

        Example:
            >>> from coolfusion.embedded import fusion
            >>> fusion().generate("Once upon a time", max_new_tokens=8).text
            '...'
        """
        _check_schedule(schedule)
        requests = self._requests(
            prompt,
            messages=messages,
            tools=tools,
            continue_final=continue_final,
            template_options=template_options,
            max_new_tokens=max_new_tokens,
            stop_strings=stop_strings,
            rerank=self._rerank if rerank is None else rerank,
            think=think,
            on_failure=on_failure,
            overlong=overlong,
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            n=n,
            logprobs=logprobs,
        )
        if isinstance(prompt, list) or as_chats(messages) is not None:
            return self._write_list(requests, raises=on_failure != "continue")
        return self._write_one(requests[0])

    def stream(
        self,
        prompt: OneText | None = None,
        max_new_tokens: int = 64,
        *,
        messages: Any = None,
        tools: Any = None,
        continue_final: bool = False,
        template_options: Any = None,
        stop_strings: str | Iterable[str] = (),
        think: tuple[str, str] | Think | None = None,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
        temperature: float = 0.0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        logprobs: bool = False,
        schedule: str | None = None,
    ) -> Generation:
        """Returns the steps of `generate` as they come. Arguments and errors are those of `generate`, checked at once.

        Streams share the passes of the models, whenever they were opened.
        """
        _check_schedule(schedule)
        [request] = self._requests(
            prompt,
            one=True,
            messages=messages,
            tools=tools,
            continue_final=continue_final,
            template_options=template_options,
            max_new_tokens=max_new_tokens,
            stop_strings=stop_strings,
            think=think,
            on_failure=on_failure,
            overlong=overlong,
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            logprobs=logprobs,
        )
        return Generation(self.engine, self.engine.open(request))

    def astream(
        self,
        prompt: OneText | None = None,
        max_new_tokens: int = 64,
        *,
        messages: Any = None,
        tools: Any = None,
        continue_final: bool = False,
        template_options: Any = None,
        stop_strings: str | Iterable[str] = (),
        think: tuple[str, str] | Think | None = None,
        on_failure: OnFailure = "stop",
        overlong: Overlong = "truncate",
        temperature: float = 0.0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        logprobs: bool = False,
        timeout: float | None = None,
    ) -> AsyncGeneration:
        """Returns the steps of `generate` for a coroutine, for example ``async for step in fusion.astream(...)``.

        The models run in a thread, so the event loop stays free. Cancelling the task that waits ends the text.

        Args:
            prompt: see `generate`.
            max_new_tokens: see `generate`.
            messages: see `generate`.
            tools: see `generate`.
            continue_final: see `generate`.
            template_options: see `generate`.
            stop_strings: see `generate`.
            think: see `generate`.
            on_failure: see `generate`.
            overlong: see `generate`.
            temperature: see `generate`.
            top_p: see `generate`.
            min_p: see `generate`.
            logprobs: see `generate`.
            seed: see `generate`.
            timeout: seconds after which the text ends with a `RequestTimeoutError`, or None.

        Raises:
            CoolFusionError: as `generate`.
        """
        [request] = self._requests(
            prompt,
            one=True,
            messages=messages,
            tools=tools,
            continue_final=continue_final,
            template_options=template_options,
            max_new_tokens=max_new_tokens,
            stop_strings=stop_strings,
            think=think,
            on_failure=on_failure,
            overlong=overlong,
            temperature=temperature,
            top_p=top_p,
            min_p=min_p,
            seed=seed,
            logprobs=logprobs,
            timeout=timeout,
        )
        return AsyncGeneration(self._driver, self.engine.open(request))

    def describe(self) -> dict[str, Any]:
        """Returns the members' models and tokenizers, as values that JSON can hold."""
        members = [
            {"name": m.name, "model": m.runner.describe(), "tokenizer": m.tokenizer.describe()} for m in self.members
        ]
        return {
            "alignment": self.alignment,
            "granularity": self.granularity,
            "prefix": self.engine.prefix,
            "rule": self.rule.name,
            "members": members,
        }

    def close(self) -> None:
        """Ends all texts, and the threads and processes of this fusion. A closed fusion writes no text.

        Called inside a step of the same thread, for example by a signal handler, it takes effect after that step.
        """
        self.engine.close()

    def _requests(self, prompt: Any, *, messages: Any, one: bool = False, **options: Any) -> list[Request]:
        """Returns a request for each prompt or conversation of a list."""
        prompts = prompt if isinstance(prompt, list) and not one else [prompt]
        chats = as_chats(messages)
        if prompt is not None:
            warn_of_spelled(prompts, self.engine.readers)
        if chats is None or one or prompt is not None:
            return [Request(prompt=each, messages=messages, **options) for each in prompts]
        return [Request(messages=each, **options) for each in chats]

    def _write_one(self, request: Request) -> Output:
        entry = self.engine.open(request)
        self._write([entry], lambda: written(entry))
        error = error_of(entry)
        if error is not None:
            raise error
        return entry.running.output

    def _write_list(self, requests: list[Request], *, raises: bool) -> list[Output]:
        # All prompts are opened before any pass, because a wrong argument must not cost the passes of the others.
        opened = [self._opened(request, number) for number, request in enumerate(requests)]

        def outputs() -> list[Output]:
            return [each.running.output if isinstance(each, Entry) else self._refused(each) for each in opened]

        self._write([each for each in opened if isinstance(each, Entry)], outputs)
        errors = (error_of(each) if isinstance(each, Entry) else each for each in opened)
        error = next((each for each in errors if each is not None), None)
        if error is not None and (raises or not isinstance(error, CoolFusionError)):
            error.partial = outputs()  # type: ignore[attr-defined]
            raise error
        return outputs()

    def _opened(self, request: Request, number: int) -> Entry | CoolFusionError:
        """Returns the entry of a request, or the error that keeps it from starting, with the number of the prompt."""
        where = f"prompt {number}: "
        try:
            return self.engine.open(request, where=where)
        except ArgumentError:
            raise
        except CoolFusionError as err:
            found = type(err)(f"{where}{err}")
            found.__cause__ = err
            return found

    def _write(self, entries: Sequence[Entry], partial: Callable[[], Any]) -> None:
        """Writes texts to their ends. The texts of an interrupted call are given up."""
        for entry in entries:
            self.engine.submit(entry)
        try:
            self.engine.step_until(lambda: all(entry.running.is_finished for entry in entries))
        except KeyboardInterrupt as err:
            err.partial = partial()  # type: ignore[attr-defined]
            raise
        finally:
            for entry in entries:
                if not entry.running.is_finished:
                    self.engine.abort(entry.number)

    def _refused(self, error: CoolFusionError) -> Output:
        """Returns the output of a text that could not start."""
        members = tuple(MemberOutput(member.name, [], [], 0, 0) for member in self.members)
        return Output("", (), None, members, error=str(error))


def _load(names: Sequence[str | Path], **options: Any) -> list[Member]:
    loaded = load_models(names, **options)
    return [Member(each.model, each.tokenizer, each.prefix_ids) for each in loaded]


def _load_one(name: str, **options: Any) -> Member:
    """Loads one member. The process executor calls this in the member's own process."""
    return _load([name], **options)[0]


def _how(
    recipe: Source | Recipe | None, names: Sequence[str | Path], given: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Returns the options of a fusion, and whether it reranks by default. A recipe sets all that it can hold."""
    set_by_caller = {name: value for name, value in given.items() if value is not None}
    if recipe is None:
        return {**_DEFAULTS, **set_by_caller}, False
    found = read_recipe(recipe)
    if set_by_caller:
        raise ArgumentError(f"{min(set_by_caller)} is given, and the recipe sets it; expected one of them")
    found.check_names([Path(name).name for name in names])
    return {name: getattr(found, name) for name in _DEFAULTS}, found.rerank


def _check_schedule(schedule: str | None) -> None:
    if schedule is not None:
        check_choice("schedule", schedule, ("auto", "literal"))
        _deprecated("schedule", "coolfusion.fusion.reference, whose text the engine writes")


def _renamed(name: str, value: Any, old: str, given: Any) -> Any:
    """Returns the value of an option that may still be given under its old name."""
    if given is None:
        return value
    _deprecated(old, name)
    return given


def _deprecated(old: str, new: str) -> None:
    warn_caller(f"{old} is deprecated: use {new}", DeprecationWarning)
