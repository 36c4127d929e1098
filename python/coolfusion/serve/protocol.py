"""Describes the bodies of requests: OpenAI's fields, and fields of a fusion (`extra_body` of the openai client)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coolfusion.fusion.options import Alignment, OnFailure, Overlong, Prefix
from coolfusion.members.endings import Granularity
from coolfusion.serve.characters import EMPTY

__all__ = ["ChatRequest", "CompletionRequest", "DetokenizeRequest", "TokenizeRequest", "WritingRequest"]

MAX_CHOICES = 128
Id = Annotated[int, Field(ge=0, le=EMPTY)]
Ids = Annotated[list[Id], Field(min_length=1)]
Texts = Annotated[list[str], Field(min_length=1)]
Stop = Annotated[str, Field(min_length=1)]
Zero = Annotated[float, Field(ge=0.0, le=0.0, description="Only 0: a fusion has no penalties.")]
Nothing = Annotated[None, Field(description="Not supported; only null.")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class StreamOptions(_Body):
    """The options of a stream, which concern its end."""

    include_usage: bool = Field(False, description="Whether a last chunk gives the usage.")
    include_obfuscation: bool | None = Field(None, description="Ignored.")


class Thinking(_Body):
    """The members' reasoning before they answer together, for example between <think> and </think>."""

    open: str = Field("<think>", min_length=1)
    close: str = Field("</think>", min_length=1)
    max_new_tokens: int = Field(1024, ge=1, description="Budget of each member's reasoning, in its own tokens.")


class Reranking(_Body):
    """The choice of the best of several whole continuations, with the fields of `Rerank`."""

    scores: Literal["all", "others"] = "all"
    length: Literal["rule", "token", "byte", "whole"] = "rule"
    end: bool = True
    margin: float = Field(0.0, ge=0.0, allow_inf_nan=False)
    unfinished: Literal["same", "last"] = "same"
    repetition: float | None = Field(None, gt=0.0, lt=1.0)
    vote: bool = False
    answer: Literal["exact", "number", "choice", "first_line", "last_line"] = "exact"
    samples: int = Field(0, ge=0, le=64)
    temperature: float = Field(0.7, gt=0.0, allow_inf_nan=False)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    stop_at: float | None = Field(0.95, gt=0.5, lt=1.0)


class WritingRequest(_Body):
    """The fields that completions and chats share."""

    model: str = Field(description="The fused model, or a member's name for that member alone; /v1/models lists them.")
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="The text is cut exactly before the first of them."
    )
    temperature: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] | None = Field(
        None, description="0 and null write greedily; more draws by the rule's own distribution."
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(None, description="Texts for each prompt.")
    stream: bool | None = Field(None, description="Whether segments come as server-sent events.")
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, description="Ignored.")
    metadata: dict[str, Any] | None = Field(None, description="Ignored.")
    store: bool | None = Field(None, description="Ignored; nothing is stored.")
    service_tier: str | None = Field(None, description="Ignored.")
    safety_identifier: str | None = Field(None, description="Ignored.")
    prompt_cache_key: str | None = Field(None, description="Ignored.")
    frequency_penalty: Zero | None = None
    presence_penalty: Zero | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = Field(
        None, description="Only empty: no token id means the same to all members."
    )

    rule: str | dict[str, Any] | None = Field(None, description="The selection rule: a name, or a spec.")
    granularity: Granularity | None = Field(None, description="The unit of text that one segment is.")
    alignment: Alignment | None = Field(None, description="Where segments end.")
    prefix: Prefix | None = Field(None, description="When prompts are read without BOS.")
    rerank: bool | Reranking | None = Field(None, description="Whether members also write alone, and the best is kept.")
    think: bool | Thinking | None = Field(None, description="Whether members reason, each alone, before they answer.")
    members: Annotated[list[str | int], Field(min_length=1)] | None = Field(
        None, description="Names or numbers of the members that write; null takes all."
    )
    on_failure: OnFailure | None = Field(None, description="What happens when a member fails.")
    overlong: Overlong | None = Field(None, description="What happens to a prompt above a member's limit.")


class CompletionRequest(WritingRequest):
    """The body of /v1/completions."""

    prompt: str | Texts | Ids | Annotated[list[Ids], Field(min_length=1)] = Field(
        description="A text, several texts, or ids of /tokenize, which are characters."
    )
    max_tokens: Annotated[int, Field(ge=0, lt=1 << 31)] | None = Field(
        None, description="Budget of each member in its own tokens, 16 if null; 0 needs echo."
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="How many candidates of each segment to tell, with their log-probabilities."
    )
    echo: bool | None = Field(None, description="Whether the prompt is part of the answer, and is scored.")
    context_length: Annotated[int, Field(ge=0)] | None = Field(
        None, description="With echo: characters at the start of the prompt that are given and not scored."
    )
    best_of: Annotated[int, Field(ge=1, le=1)] | None = Field(None, description="Only 1; rerank chooses among texts.")
    suffix: Nothing = None


class Message(BaseModel):
    """A message of a chat. Further fields are allowed, because the members' templates may read them."""

    model_config = ConfigDict(strict=True, extra="allow")
    role: str = Field(min_length=1)
    content: str | list[dict[str, Any]] | None = None


class ResponseFormat(BaseModel):
    """The form of an answer. Further fields are ignored, because they belong to other forms than text."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["text"]


class ChatRequest(WritingRequest):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, lt=1 << 31)] | None = Field(None, description="As max_completion_tokens.")
    max_completion_tokens: Annotated[int, Field(ge=1, lt=1 << 31)] | None = Field(
        None, description="Budget of each member in its own tokens, 256 if null."
    )
    logprobs: bool | None = Field(None, description="Whether each segment tells its log-probability.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="How many candidates of each segment to tell; needs logprobs."
    )
    tools: list[dict[str, Any]] | None = Field(None, description="Given to the members' templates.")
    tool_choice: Literal["auto", "none"] | None = Field(None, description="none leaves the tools out.")
    parallel_tool_calls: bool | None = Field(None, description="Ignored.")
    response_format: ResponseFormat | None = Field(None, description="Only text.")
    modalities: list[Literal["text"]] | None = Field(None, description="Only text.")
    continue_final: bool | None = Field(None, description="Whether the last message is written on.")
    template_options: dict[str, Any] | None = Field(None, description="Further variables of the members' templates.")


class TokenizeRequest(_Body):
    """The body of /tokenize."""

    prompt: str
    model: str | None = Field(None, description="Ignored: the ids are characters for all.")
    add_special_tokens: bool | None = Field(None, description="Ignored: there are none.")


class DetokenizeRequest(_Body):
    """The body of /detokenize."""

    tokens: list[Id]
    model: str | None = Field(None, description="Ignored.")
