"""What the documentation needs beyond Sphinx's own extensions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sphinx.application import Sphinx


def exists(target: str) -> bool:
    """Whether a dotted name is a module of edgetl, or something in one."""
    parts = target.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: Any = import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for name in parts[end:]:
            fields = getattr(value, "__annotations__", {})  # a frozen dataclass's fields are no attributes of the class
            if not hasattr(value, name) and name not in fields:
                return False
            value = getattr(value, name, None)
        return True
    return False


def keep_text(_app: Sphinx, _env: Any, node: Any, content: Any) -> Any:
    """A reference to something that is there but has no page: plain text. One to nothing stays an error."""
    if node.get("refdomain") == "py" and node["reftarget"].startswith("edgetl") and exists(node["reftarget"]):
        return content
    return None


def drop_nameless(_app: Sphinx, _context: Any, lines: list[str]) -> None:
    """Take arguments without a name out of a command's page: they are the rest of an option's values."""
    for start in [number for number, line in enumerate(lines) if line.strip() == ".. option::"][::-1]:
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
            end += 1
        del lines[start:end]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("missing-reference", keep_text)
    app.connect("sphinx-click-process-arguments", drop_nameless)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
