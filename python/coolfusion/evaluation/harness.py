"""A pool as a model of lm-evaluation-harness (``pip install coolfusion[eval]``).

Importing this module registers the model under the name "coolfusion". The harness has no entry points for models of
other packages, so its own command line does not find the name. ``coolfusion lm-eval`` registers it and then runs that
command line with all its options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from coolfusion.errors import ArgumentError, MissingPackageError
from coolfusion.evaluation.likelihood import TextLikelihood, is_written, score_texts
from coolfusion.evaluation.prompts import prompt_of
from coolfusion.extras import install_command
from coolfusion.fusion import Fusion
from coolfusion.fusion.selection import DEFAULT_RULE
from coolfusion.records import Output

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError as err:
    raise MissingPackageError(f"lm-evaluation-harness is not installed: {install_command('eval')} ({err})") from err

__all__ = ["CoolFusionLM"]

NAME = "coolfusion"
MAX_GEN_TOKS = 256  # as for the harness's own models
# In the order in which the harness looks at them.
_BUDGETS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_OF_SAMPLING = ("temperature", "top_p", "top_k")


@register_model(NAME)
class CoolFusionLM(LM):  # type: ignore[misc]
    """A pool for lm-evaluation-harness.

    A loglikelihood is the fused one of `score_texts`, with the weights of the rule. Texts are written by the pool's
    loop, so they are greedy. All requests of a call share the passes of the models.

    Args:
        models: a `Fusion`, or folders and hub names: a list, or one text with "|" between them.
        rule: the selection rule; with a `Fusion` it is the fusion's own.
        alignment: "aligned" or "shortest", as in `Fusion`.
        device: a torch device, or one for each model with "|" between them.
        dtype: as in `Fusion.from_pretrained`.
        executor: "processes" or None.
        threads: CPU threads of one operation.
        trust_remote_code: whether code that comes with a model may run.
        max_concurrent_requests: number of texts that share passes.
        max_gen_toks: most tokens of each member, for tasks without a number of their own.
        batch_size: not used. The harness gives it to every model, and `max_concurrent_requests` is used in its place.
        max_batch_size: not used, as `batch_size`.

    Raises:
        ArgumentError: a value outside its range.
        ModelError: a model cannot be loaded.

    Example:
        ``lm_eval.simple_evaluate(model=CoolFusionLM(fusion), tasks=["lambada_openai"])``
    """

    def __init__(
        self,
        models: Fusion | str | Sequence[str],
        rule: Any = DEFAULT_RULE,
        alignment: Any = "aligned",
        device: str | None = None,
        dtype: Any = "auto",
        executor: Any = None,
        threads: int | None = None,
        trust_remote_code: bool = False,
        max_concurrent_requests: int = 32,
        max_gen_toks: int = MAX_GEN_TOKS,
        batch_size: Any = None,
        max_batch_size: Any = None,
    ) -> None:
        super().__init__()
        self.max_gen_toks = int(max_gen_toks)
        if isinstance(models, Fusion):
            self.fusion = models
            return
        names = models.split("|") if isinstance(models, str) else list(models)
        devices = device.split("|") if device is not None else [None]
        self.fusion = Fusion.from_pretrained(
            names,
            rule=rule,
            alignment=alignment,
            device=devices[0] if len(devices) == 1 else [str(each) for each in devices],
            dtype=dtype,
            executor=executor,
            threads=threads,
            trust_remote_code=trust_remote_code,
            max_concurrent_requests=max_concurrent_requests,
        )

    def __repr__(self) -> str:
        return f"CoolFusionLM({self.fusion!r})"

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Returns ln p of each continuation after its context, and whether the pool would write it.

        White space at the end of a context belongs to the continuation, as in the harness.

        Args:
            requests: instances with `args` (context, continuation).
            disable_tqdm: not used.

        Returns:
            nats, and whether the greedy text after the context begins with the continuation. Control tokens that no
            member writes are left out of the comparison, which the harness's own models do not.

        Complexity: as `score_texts`; of several members also one generation for each context.
        """
        pairs = []
        for context, continuation in (request.args for request in requests):
            kept = context.rstrip()
            pairs.append((kept, context[len(kept) :] + continuation))
        members = self.fusion.members
        texts = [(prompt_of(members, context), text) for context, text in pairs]
        found = score_texts(self.fusion, texts, greedy=True)
        written = [each.greedy[0] for each in found] if len(members) == 1 else self._are_written(pairs, found)
        answers = [(each.logprob, greedy) for each, greedy in zip(found, written, strict=True)]
        self._remember("loglikelihood", requests, answers)
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Returns ln p of whole documents, in nats.

        Where a document is longer than a member's limit, the newest half of the limit is kept as context. The harness's
        own models keep one token, so only documents that fit give them the same number.

        Args:
            requests: instances with `args` (document,).
            disable_tqdm: not used.
        """
        start = prompt_of(self.fusion.members, "")
        found = score_texts(self.fusion, [(start, request.args[0]) for request in requests])
        answers = [each.logprob for each in found]
        self._remember("loglikelihood_rolling", requests, answers)
        return answers

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Returns the text of the pool after each context, cut before the first stop string.

        Args:
            requests: instances with `args` (context, options). Options are `until`, `max_gen_toks` (or one of its other
                names in the harness), and `do_sample`, which must not be true.
            disable_tqdm: not used.

        Raises:
            ArgumentError: sampling is asked for, or an option is unknown.
        """
        answers = [""] * len(requests)
        groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for at, request in enumerate(requests):
            groups.setdefault(_options(request.args[1], self.max_gen_toks), []).append(at)
        for (budget, stops), group in groups.items():
            outputs = self._write([requests[at].args[0] for at in group], budget, stops)
            for at, output in zip(group, outputs, strict=True):
                answers[at] = output.text
        self._remember("generate_until", requests, answers)
        return answers

    @property
    def tokenizer_name(self) -> str:
        """Returns the names of the members, for the harness's cache of requests."""
        return "|".join(member.name for member in self.fusion.members)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> NoReturn:
        """Raises ArgumentError, because each member has its own template, and the harness takes one text for all.

        Args:
            chat_history: messages.
            add_generation_prompt: whether an answer follows.
        """
        raise ArgumentError(
            "chat templates cannot be applied to a pool: each member has one with control tokens of its own, and "
            "the harness takes one text for all. Run the task without apply_chat_template; docs/guides/chat.md shows "
            "chat prompts for `Fusion.generate`"
        )

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Returns "" if no template is asked for.

        Args:
            chat_template: whether to apply one, or its name.

        Raises:
            ArgumentError: a template is asked for, as `apply_chat_template`.
        """
        if chat_template:
            self.apply_chat_template([])
        return ""

    def get_model_info(self) -> dict[str, Any]:
        """Returns facts for the harness's results: the members, their sizes, and the rule."""
        members = [{"name": each.name, "model": each.runner.describe()} for each in self.fusion.members]
        return {"members": members, "rule": self.fusion.rule.name, "alignment": self.fusion.alignment}

    def _write(self, contexts: Sequence[str], budget: int, stops: Sequence[str]) -> list[Output]:
        prompts = [prompt_of(self.fusion.members, context) for context in contexts]
        return self.fusion.generate(prompts, budget, stop_strings=stops)

    def _are_written(self, pairs: Sequence[tuple[str, str]], found: Sequence[TextLikelihood]) -> list[bool]:
        """Returns whether the pool writes each text after its context, by writing."""
        budgets: dict[str, int] = {}
        for (context, _), each in zip(pairs, found, strict=True):
            budgets[context] = max(budgets.get(context, 1), *each.n_tokens)
        answers: list[bool | None] = [None] * len(pairs)
        while open_ones := [at for at, answer in enumerate(answers) if answer is None]:
            contexts = sorted({pairs[at][0] for at in open_ones})
            budget = max(budgets[context] for context in contexts)
            outputs = dict(zip(contexts, self._write(contexts, budget, ()), strict=True))
            for at in open_ones:
                context, text = pairs[at]
                answers[at] = is_written(text, outputs[context])
                budgets[context] = 2 * budget
        return [bool(answer) for answer in answers]

    def _remember(self, kind: str, requests: Iterable[Any], answers: Iterable[Any]) -> None:
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial(kind, request.args, answer)


def _options(given: Mapping[str, Any], default: int) -> tuple[int, tuple[str, ...]]:
    """Returns the budget and the stop strings of a request."""
    options = dict(given)
    until = options.pop("until", None) or []
    stops = [until] if isinstance(until, str) else list(until)
    budgets = [options.pop(name, None) for name in _BUDGETS]
    budget = next((int(each) for each in budgets if each is not None), default)
    sampling = options.pop("do_sample", None)
    if sampling or (sampling is None and float(options.get("temperature") or 0.0) > 0.0):
        raise ArgumentError(
            f"a pool writes greedily and cannot sample, but the task asks for {dict(given)}; set do_sample to false"
        )
    unknown = sorted(set(options) - set(_OF_SAMPLING))
    if unknown:
        raise ArgumentError(f"options {', '.join(unknown)} are unknown; expected until, {_BUDGETS[0]} and do_sample")
    return budget, tuple(stop for stop in stops if stop)
