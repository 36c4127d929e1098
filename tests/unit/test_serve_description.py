"""The OpenAPI description: schemathesis draws requests from it, right and wrong ones, and checks the answers."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("schemathesis", reason="needs the extra test")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from coolfusion.fusion import Fusion
from coolfusion.serve import ServerSettings, create_app
from serve_parts import empty, pair

KEY = {"Authorization": "Bearer secret"}
ROUTES = (
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/tokenizer_info"),
)


@pytest.fixture(scope="module")
def app():
    fusion = Fusion(pair(), drafts=0)
    yield create_app(fusion, ServerSettings(api_key="secret", timeout=300.0))
    empty(fusion)


def test_every_route_is_described_without_the_form_of_the_framework(app):
    described = app.openapi()["paths"]
    assert {(method.upper(), path) for path, found in described.items() for method in found} == set(ROUTES)
    for operations in described.values():
        for operation in operations.values():
            assert "200" in operation["responses"] and operation["description"]
    assert "HTTPValidationError" not in str(app.openapi())


@pytest.mark.parametrize(
    ("method", "path", "wrong"),
    [*((*route, False) for route in ROUTES), *((*route, True) for route in ROUTES if route[0] == "POST")],
)
def test_answers_are_as_described(app, method, path, wrong):
    operation = schemathesis.openapi.from_asgi("/openapi.json", app, headers=KEY)[path][method]
    mode = schemathesis.GenerationMode.NEGATIVE if wrong else schemathesis.GenerationMode.POSITIVE

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case):
        # Whether the members can say a text, and which models there are, is no matter of the description.
        if not wrong and isinstance(case.body, dict) and path.endswith("completions"):
            # Few and short texts, so that no answer takes long.
            case.body |= {"model": "coolfusion", "max_tokens": 4, "n": 2}
            case.body.pop("think", None)
            if "messages" in case.body:
                case.body["messages"] = [{"role": "user", "content": "a"}]
                case.body.pop("continue_final", None)
                case.body.pop("max_completion_tokens", None)
            statuses.add(case.call(headers=KEY).status_code)
        case.call_and_validate(headers=KEY, excluded_checks=[positive_data_acceptance])

    statuses = set()
    check()
    assert wrong or not path.endswith("completions") or 200 in statuses, "some requests were answered"
