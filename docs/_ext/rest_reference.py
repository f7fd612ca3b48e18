"""``{rest-reference}``: the page on REST, made from the OpenAPI document that the server serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from edgetl_device.web.openapi import document

TITLES = {"watch": "Watch", "teach": "Teach", "device": "The device", "access": "Log in and out"}
_SCHEMAS = "#/components/schemas/"


class RestReference(SphinxDirective):
    """Requests by their tags, then the objects that answers hold, then the statuses of refusals."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        lines = [line for part in (_requests, _objects, _refusals) for line in part(document())]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def requests(api: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """``METHOD /path`` → operation, in the order of the document."""
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            verb = "WS" if "101" in operation["responses"] else method.upper()
            yield f"{verb} {path}", operation


def _requests(api: dict[str, Any]) -> Iterator[str]:
    for tag in api["tags"]:
        yield f"## {TITLES.get(tag['name'], tag['name'].capitalize())}\n"
        for name, operation in requests(api):
            if tag["name"] in operation["tags"]:
                yield from _operation(name, operation)


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{name}`\n\n{operation['summary']}.\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    parameters = [(p["name"], p["schema"], p.get("description", "")) for p in operation.get("parameters", [])]
    if parameters:
        yield from _table(
            "parameter", [(name, _type(schema), _about(schema, text)) for name, schema, text in parameters]
        )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        if schema.get("properties"):
            yield f"Body: `{kind}`, an object with\n"
            yield from _table("key", _properties(schema))
        else:
            yield f"Body: `{kind}`: {schema.get('description', 'the content')}.\n"
    answers, refusals = [], []
    for status, response in operation["responses"].items():
        if "$ref" in response:
            refusals.append(status)
        else:
            answers.append(f"**{status}** {response['description']}{_answer(response)}")
    yield f"Answers: {'; '.join(answers)}.\n"
    if refusals:
        yield f"Refusals: {', '.join(refusals)}.\n"


def _answer(response: dict[str, Any]) -> str:
    kinds = []
    for kind, content in response.get("content", {}).items():
        schema = content.get("schema", {})
        kinds.append(_type(schema) if "$ref" in schema or "properties" in schema else f"`{kind}`")
    return f" → {', '.join(kinds)}" if kinds else ""


def _objects(api: dict[str, Any]) -> Iterator[str]:
    yield "## Objects\n"
    for name, schema in api["components"]["schemas"].items():
        yield f"(rest-{name.lower()})=\n### {name}\n"
        yield from _table("key", _properties(schema))


def _refusals(api: dict[str, Any]) -> Iterator[str]:
    yield "## Refusals\n\nA refusal is an [Error](#rest-error) with one of these statuses:\n"
    rows = [
        (name.removeprefix("E"), response["description"]) for name, response in api["components"]["responses"].items()
    ]
    yield "| status | means |\n|---|---|"
    yield "\n".join(f"| {status} | {_cell(text)} |" for status, text in rows) + "\n"


def _properties(schema: dict[str, Any], prefix: str = "") -> list[tuple[str, str, str]]:
    """(key, type, what) of an object's keys; those of objects in it follow as ``outer.inner``."""
    rows = []
    for key, value in schema.get("properties", {}).items():
        rows.append((prefix + key, _type(value), _about(value)))
        inner = value.get("items", value)
        rows += _properties(inner, f"{prefix}{key}{'[]' if 'items' in value else ''}.")
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SCHEMAS)
        return f"[{name}](#rest-{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_type(each) for each in schema.get("anyOf") or schema["oneOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else kind


def _about(schema: dict[str, Any], text: str = "") -> str:
    """A description with bounds and default."""
    parts = [text or schema.get("description", "")]
    if "minimum" in schema and "maximum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    if "default" in schema:
        parts.append(f"default `{schema['default']}`".replace("True", "true").replace("False", "false"))
    return "; ".join(part for part in parts if part)


def _table(first: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"| {first} | type | what |\n|---|---|---|"
    yield "\n".join(f"| `{name}` | {_cell(kind)} | {_cell(text)} |" for name, kind, text in rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("rest-reference", RestReference)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
