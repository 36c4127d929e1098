"""A small web service: several models write together, and words arrive as server-sent events.

    pip install 'coolfusion[hf]' fastapi uvicorn
    python examples/web_service.py
    curl -N -X POST localhost:8000/generate -H 'content-type: application/json' -d '{"prompt": "Once upon a time"}'

All requests share the passes of every model. A client that goes away ends its text and no other.
"""

import json
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from coolfusion import CoolFusionError, Fusion
from coolfusion.embedded import folders


class Prompt(BaseModel):
    """The body of a request."""

    prompt: str
    max_new_tokens: int = Field(64, ge=1, le=1024)
    stop_strings: list[str] = []


def create_app(fusion: Fusion) -> FastAPI:
    """Returns the service of a fusion."""
    app = FastAPI()

    @app.post("/generate")
    async def generate(body: Prompt) -> StreamingResponse:
        try:
            generation = fusion.astream(body.prompt, body.max_new_tokens, stop_strings=body.stop_strings, timeout=300.0)
        except CoolFusionError as err:  # the prompt was checked before anything is written
            raise HTTPException(422, str(err)) from err

        async def events() -> AsyncIterator[str]:
            async with generation:
                try:
                    async for step in generation:
                        authors = [fusion.members[j].name for j in step.candidates[step.winner].members]
                        yield event({"text": step.text, "authors": authors})
                    yield event({"finish_reason": generation.output.finish_reason})
                except CoolFusionError as err:
                    yield event({"error": str(err)})

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/health")
    async def health() -> dict[str, int]:
        return {"running": fusion.engine.n_running, "waiting": fusion.engine.n_waiting}

    return app


def event(value: dict[str, object]) -> str:
    """Returns one server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


if __name__ == "__main__":
    with Fusion.from_pretrained(folders(), device="cpu") as loaded:
        uvicorn.run(create_app(loaded), host="127.0.0.1", port=8000)
