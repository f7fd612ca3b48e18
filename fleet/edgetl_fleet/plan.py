"""What a round is to do, and what it led to: two small files, between the command and Flower's server process."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded, write_atomically
from edgetl_device.strict_json import parsed

_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Plan:
    """A round; paths are absolute, since Flower's process starts elsewhere.

    Args:
        folder: of the server; exports are kept in it.
        bundle: what is merged into.
        output: the bundle to write.
        public_keys: accept only exports that one of these keys signed; empty for any.
        labels: file that renames labels; "" for none.
        sign: key to sign ``output`` with; "" for none.
        accept: write it although classes that the bundle knows get worse.
        nodes: wait until so many nodes are there.
        wait_s: at most so long, for nodes and then for answers.
    """

    folder: str
    bundle: str
    output: str
    public_keys: tuple[str, ...] = ()
    labels: str = ""
    sign: str = ""
    accept: bool = False
    nodes: int = 1
    wait_s: float = 600.0


def write_plan(plan: Plan) -> Path:
    """Keep it in a file of its own in the server's folder."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    path = Path(plan.folder) / "rounds" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(plan), ensure_ascii=False).encode())
    return path


def read_plan(path: Path) -> Plan:
    """Raises InputError where it is none."""
    try:
        value = parsed(read_bounded(path, _MAX_BYTES))
        return Plan(**{**value, "public_keys": tuple(value["public_keys"])})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{path} is no plan of a round: start one by `edgetl-fleet round`") from None


def write_result(plan: Path, result: dict[str, Any]) -> None:
    """What it led to, beside the plan."""
    write_atomically(_result(plan), json.dumps(result, ensure_ascii=False).encode())


def read_result(plan: Path) -> dict[str, Any] | None:
    """The same; None where the round did not come to an end."""
    if not os.path.lexists(_result(plan)):
        return None
    found: dict[str, Any] = parsed(read_bounded(_result(plan), _MAX_BYTES))
    return found


def _result(plan: Path) -> Path:
    return plan.with_suffix(".result.json")
