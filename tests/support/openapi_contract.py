"""Holds real answers to the OpenAPI document: every answer that a test of the web gets goes through here."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from edgetl_device.web.openapi import document

try:
    from jsonschema import Draft202012Validator
except ImportError:  # a [dev] extra: the device's own environments go without
    Draft202012Validator = None

checked: set[tuple[str, str, str]] = set()
"""(method, path of the document, status) of what was checked so far."""


def check(method: str, path: str, status: int, kind: str, body: bytes) -> None:
    """Fail where an answer is none that the document describes; what no operation is for goes unchecked."""
    template, operation = find(method, path)
    if operation is None or method == "HEAD":
        return
    described = operation["responses"].get(str(status))
    assert described is not None, f"{method} {path} answered {status}, which the document does not know: {body[:300]!r}"
    content = resolved(described).get("content", {})
    checked.add((method, template, str(status)))
    if not content:
        assert not body, f"{method} {path} answered {status} with a body, which the document does not know"
        return
    assert kind in content, f"{method} {path} answered {status} with {kind}, the document knows {list(content)}"
    if kind == "application/json" and Draft202012Validator is not None:
        schema = content[kind]["schema"] | {"components": document()["components"]}
        errors = [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(body))]
        assert not errors, f"{method} {path} answered {status} with {body[:300]!r}: {errors}"


def find(method: str, path: str) -> tuple[str, dict[str, Any] | None]:
    """The operation that a request is for, by its path in the document."""
    for pattern, template, operations in _patterns():
        if pattern.fullmatch(path.partition("?")[0]):
            return template, operations.get(method.lower())
    return path, None


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """A response, itself or by reference."""
    name = response.get("$ref", "").rpartition("/")[2]
    return document()["components"]["responses"][name] if name else response


@cache
def _patterns() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    paths = document()["paths"].items()
    return [(re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path))), path, each) for path, each in paths]
