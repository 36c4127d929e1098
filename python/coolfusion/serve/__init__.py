"""A server with OpenAI's interface for fused models (``pip install coolfusion[serve]``)."""

from __future__ import annotations

from coolfusion.errors import MissingPackageError
from coolfusion.extras import install_command

try:
    import fastapi  # noqa: F401 - the test is whether they can be imported
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as err:
    raise MissingPackageError(f"the server needs {err.name}: {install_command('serve')}") from err

from coolfusion.serve.app import create_app
from coolfusion.serve.server import serve
from coolfusion.serve.settings import ServerSettings

__all__ = ["ServerSettings", "create_app", "serve"]
