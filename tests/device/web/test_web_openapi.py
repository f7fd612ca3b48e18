"""The OpenAPI document against its own rules, the routes, and the refusals of real bodies."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("starlette")
pytest.importorskip("openapi_spec_validator")

import openapi_contract
import openapi_spec_validator
from jsonschema import Draft202012Validator
from starlette.routing import Mount, Route, WebSocketRoute
from web_site import Client, running

import edgetl_device
from edgetl_device.web.openapi import document

PAGE = {("get", "/"), ("get", "/inspect"), ("get", "/static")}


def routes(site) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    pending = [("", route) for route in site.server.site.routes]
    while pending:
        prefix, route = pending.pop()
        if isinstance(route, Mount) and route.routes:
            pending += [(prefix + route.path, inner) for inner in route.routes]
        elif isinstance(route, Route):
            found |= {(method.lower(), prefix + route.path) for method in (route.methods or set()) - {"HEAD"}}
        elif isinstance(route, WebSocketRoute | Mount):
            found.add(("get", prefix + route.path))
    return found


def test_the_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(document())


def test_the_document_has_every_route_and_no_other(home) -> None:
    with running(home) as site:
        described = {(method, path) for path, item in document()["paths"].items() for method in item}
        assert routes(site) - PAGE == described


def test_the_server_serves_it_with_its_version(home) -> None:
    with running(home) as site:
        served = Client(site.url).get("/api/v1/openapi.json").json
    assert served == document() and served["info"]["version"] == edgetl_device.__version__


def test_every_operation_has_an_id_a_summary_and_descriptions() -> None:
    operations = [operation for item in document()["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"] and all(
            openapi_contract.resolved(each)["description"] for each in operation["responses"].values()
        )


def bodies() -> list[tuple[str, dict]]:
    return [
        (path, item["post"]["requestBody"]["content"]["application/json"]["schema"])
        for path, item in document()["paths"].items()
        if "application/json" in item.get("post", {}).get("requestBody", {}).get("content", {})
    ]


CANDIDATES: list[object] = [
    {}, [], {"label": ""}, {"label": 5}, {"ids": [1]}, {"ids": []}, {"ids": ["1"]}, {"label": "x", "ids": [1]}, {"all": True},
    {"all": False}, {"all": True, "label": "x"}, {"version": 0}, {"version": 1}, {"version": "1"}, {"head": "lda"}, {"frames": 1},
    {"label": "x", "frames": 0}, {"label": "x", "frames": 51}, {"label": "x", "interval_ms": 5001}, {"password": "x"},
    {"password": 1}, {"unknown": 1}, {"accept_scene_change": "yes"}, {"label": "x", "retrain": 0},
]  # fmt: skip


def test_bodies_that_the_document_forbids_are_refused(home) -> None:
    with running(home) as site:
        client = Client(site.url)
        refused = 0
        for path, schema in bodies():
            for body in CANDIDATES:
                valid = Draft202012Validator(schema | {"components": document()["components"]}).is_valid(body)
                if not valid:
                    answer = client.ask("POST", path, json.dumps(body), Content_Type="application/json")
                    assert answer.status == 400, (path, body, answer.status, answer.body)
                    refused += 1
        assert refused > 60 and not site.app.samples()


def test_answers_that_the_document_does_not_describe_fail_the_tests() -> None:
    with pytest.raises(AssertionError, match="which the document does not know"):
        openapi_contract.check("GET", "/api/v1/status", 418, "application/json", b"{}")
    with pytest.raises(AssertionError, match="is a required property"):
        openapi_contract.check("GET", "/api/v1/versions", 200, "application/json", b"{}")
    with pytest.raises(AssertionError, match=re.escape("'x' was unexpected")):
        openapi_contract.check("GET", "/api/v1/session", 200, "application/json", b'{"password": true, "x": 1}')
