"""Builds the application of one fusion from its service, its routes, and the gate before the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from coolfusion._core import __version__
from coolfusion.errors import CoolFusionError
from coolfusion.fusion import Fusion
from coolfusion.serve.errors import ApiError, on_api_error, on_http_error, on_validation_error
from coolfusion.serve.gate import Gate
from coolfusion.serve.routes import router_of
from coolfusion.serve.service import Service
from coolfusion.serve.settings import ServerSettings

__all__ = ["create_app"]


def create_app(fusion: Fusion, settings: ServerSettings | None = None) -> FastAPI:
    """Returns the application of a fusion, for any ASGI server. Its `Service` is `app.state.service`.

    Args:
        fusion: the fusion, which the caller closes.
        settings: name, key and limits, with the host and the port of the ASGI server.

    Example:
        ``uvicorn.run(create_app(fusion), host="127.0.0.1")``
    """
    service = Service(fusion, ServerSettings() if settings is None else settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.runner.start()
        yield
        await service.runner.stop()

    about = "Several language models write one text: OpenAI's interface for a fusion."
    app = FastAPI(title="coolfusion", version=__version__, summary=about, lifespan=lifespan)
    app.state.service = service
    app.include_router(router_of(service))
    app.add_middleware(
        Gate,
        settings=service.settings,
        places=service.places,
        note=service.metrics.note_answer,
    )
    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(CoolFusionError, on_api_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(500, on_api_error)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to change the description
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI description without the framework's form of errors, because ours is another one."""
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    for name in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(name, None)
    for path in found["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if "$ref" in content.get("application/json", {}).get("schema", {}):
                del operation["responses"]["422"]
    return found
