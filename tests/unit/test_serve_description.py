"""The OpenAPI description: schemathesis draws requests from it, right and wrong ones, and checks the answers."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("schemathesis", reason="needs the extra test")

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from coolfusion.fusion import Fusion
from coolfusion.serve import ServerSettings, create_app
from serve_parts import empty, pair

schemathesis.Config  # noqa: B018 - the package is imported with its checks


@pytest.fixture(scope="module")
def app():
    fusion = Fusion(pair(), drafts=0)
    yield create_app(fusion, ServerSettings(api_key="secret", timeout=20.0))
    empty(fusion)


@pytest.fixture
def schema(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Authorization": "Bearer secret"})


def test_every_route_is_described_without_the_form_of_the_framework(app):
    described = app.openapi()
    assert set(app.state.service.metrics._routes) < set(described["paths"])
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert "200" in operation["responses"] and operation["description"], path
    assert "HTTPValidationError" not in str(described)


drawn = schemathesis.pytest.from_fixture("schema")


@drawn.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case):
    # Whether the members can say a text is no matter of the description.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.call_and_validate(excluded_checks=[positive_data_acceptance])
