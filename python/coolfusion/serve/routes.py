"""Declares the routes of the server, for example /v1/completions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from coolfusion.serve.characters import EMPTY, ids_of, texts_of
from coolfusion.serve.chats import chat
from coolfusion.serve.completions import complete
from coolfusion.serve.protocol import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from coolfusion.serve.service import Service

__all__ = ["router_of"]

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_REASONS = {
    400: "The request is wrong; the message names the value and what was expected.",
    401: "The API key is wrong or missing.",
    403: "The request was meant for another host.",
    404: "The model is unknown.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    422: "No candidate can be said by every member.",
    429: "All places are taken; try again later.",
    500: "A model failed.",
    503: "The server stops.",
    504: "The request did not end in time.",
}
_OF_ALL = (400, 401, 403, 503)
_OF_WRITING = (400, 401, 403, 404, 408, 413, 422, 429, 500, 503, 504)


def _answers(statuses: tuple[int, ...], **success: Any) -> dict[int | str, dict[str, Any]]:
    """Returns the description of a route's answers."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"description": _REASONS[status], "content": {"application/json": {"schema": _ERROR}}}
        for status in statuses
    }
    return {200: {"description": "The answer.", **success}, **errors}


_EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
_STREAM = {"content": {"application/json": {}, "text/event-stream": {"schema": _EVENT}}}


def router_of(service: Service) -> APIRouter:
    """Returns the routes of a service.

    Args:
        service: the service.
    """
    router = APIRouter()

    @router.get("/health", responses=_answers((403, 503)))
    async def health() -> Response:
        """Returns the numbers of running and waiting texts and of free places, or 503 while the server stops."""
        engine, places = service.fusion.engine, service.places
        state = {"running": engine.n_running, "waiting": engine.n_waiting, "places": places.most - places.taken}
        places.check_open()
        return JSONResponse({"status": "ok", **state})

    @router.get("/metrics", responses=_answers(_OF_ALL, content={"text/plain": {"schema": {"type": "string"}}}))
    async def metrics() -> Response:
        """Returns the metrics, for Prometheus."""
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/v1/models", responses=_answers(_OF_ALL))
    async def models() -> dict[str, Any]:
        """Returns the fused model, and each member under its own name."""
        return {"object": "list", "data": [_model(service, name) for name in service.models]}

    @router.get("/v1/models/{model:path}", responses=_answers((*_OF_ALL, 404)))
    async def model(model: str) -> dict[str, Any]:
        """Returns one model."""
        service.numbers_of(model)
        return _model(service, model)

    @router.post("/v1/completions", responses=_answers(_OF_WRITING, **_STREAM))
    async def completions(body: CompletionRequest) -> Response:
        """Continues texts, and scores given ones with `echo`."""
        return await complete(service, body)

    @router.post("/v1/chat/completions", responses=_answers(_OF_WRITING, **_STREAM))
    async def chat_completions(body: ChatRequest) -> Response:
        """Answers a chat. Each member reads it in its own template."""
        return await chat(service, body)

    described = _answers((400, 401, 403, 408, 413, 429, 503))

    @router.post("/tokenize", responses=described)
    async def tokenize(body: TokenizeRequest) -> dict[str, Any]:
        """Returns the ids of a text, which are its characters, the last of them marked."""
        ids = ids_of(body.prompt)
        return {"tokens": ids, "count": len(ids), "max_model_len": service.settings.max_body_bytes}

    @router.post("/detokenize", responses=described)
    async def detokenize(body: DetokenizeRequest) -> dict[str, Any]:
        """Returns the text of ids."""
        return {"prompt": "".join(texts_of(body.tokens))}

    @router.get("/tokenizer_info", responses=_answers(_OF_ALL))
    async def tokenizer_info() -> dict[str, Any]:
        """Returns facts about the ids, in the form that lm-evaluation-harness reads."""
        about = {"tokenizer_class": "characters", "vocab_size": EMPTY + 1}
        return {**about, "bos_token": "", "eos_token": None, "pad_token": None, "chat_template": None}

    return router


def _model(service: Service, name: str) -> dict[str, Any]:
    fusion = service.fusion
    members = [fusion.members[number].name for number in service.models[name]]
    about = {"members": members, "rule": fusion.rule.name, "granularity": fusion.granularity}
    head = {"id": name, "object": "model", "created": service.created, "owned_by": "coolfusion"}
    return {**head, "coolfusion": about}
