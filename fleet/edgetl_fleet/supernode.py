"""Flower's SuperNode that runs one app, this package's own, and no code that a server sends.

Flower ships the code of an app to its nodes, and they run it. ``python -m edgetl_fleet.supernode`` takes the options of
``flower-supernode`` and ignores messages of any app but ours, which holds no code.
"""

from __future__ import annotations

import io
import logging
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

APP = Path(__file__).parent / "app"

log = logging.getLogger("flwr")

NOT_TAKEN = "the server does not take this node: has `edgetl-fleet register` told it the node's public key?"
STOPPED = "stopped before a server took this node"
_MAX_BYTES = 1 << 20


def own_app() -> bytes:
    """Our app, as Flower packs it."""
    from flwr.cli.build import build_fab_from_disk

    found: bytes = build_fab_from_disk(APP)
    return found


def is_own(content: bytes) -> bool:
    """Whether a packed app is ours: the same files with the same bytes, whoever compressed them."""
    try:
        return _members(content) == _members(own_app())
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ):
        return False


def _members(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > _MAX_BYTES:
            raise zipfile.BadZipFile("more than our app holds")
        return [(info.filename, archive.read(info)) for info in infos]


def guard() -> None:
    """Have Flower's node look at every app before it takes it."""
    import flwr.supernode.start_client_internal as flower

    flower.http_request_response = guarded(flower.http_request_response)


def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    """A connection to a SuperLink → one of which no app but ours can be got."""
    from flwr.supercore.run import RunNotRunningException

    @contextmanager
    def connected(*args: Any, **options: Any) -> Iterator[tuple[Any, ...]]:
        taken = False
        try:
            with connect(*args, **options) as (node, receive, send, get_run, get_app, *others):
                taken = True

                def get_ours(digest: str, run: int) -> Any:
                    app = get_app(digest, run)
                    if not is_own(app.content):
                        log.error("run %d brings an app that is not edgetl's own: it is not run here", run)
                        raise RunNotRunningException
                    return app

                yield node, receive, send, get_run, get_ours, *others
        except SystemExit as end:
            if not taken:
                log.error(NOT_TAKEN if end.code else STOPPED)
            raise

    return connected


if __name__ == "__main__":
    from flwr.supernode.cli import flower_supernode

    guard()
    flower_supernode()
