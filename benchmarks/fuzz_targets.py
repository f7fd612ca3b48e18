"""What is fuzzed: each target takes bytes as a stranger may send them, and may raise nothing but edgetl's own errors.

A target repairs what bytes at random never get right, as checksums, so that the code behind them is reached. Seeds are
made here, of what the project itself writes.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.printable import MAX_LENGTH

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

PATIENCE_S = 3.0  # with an answer of the page

Fuzzed = Callable[[bytes], None]


class Wrong(Exception):
    """An answer that no input may get."""


@dataclass(frozen=True)
class Target:
    """Something that reads what strangers send.

    Args:
        check: raises on what must not happen.
        seeds: inputs to begin with.
        close: at the end.
    """

    check: Fuzzed
    seeds: tuple[bytes, ...]
    close: ExitStack = field(default_factory=ExitStack)


def bundles() -> Target:
    """A bundle's file, with the checksum at its end put right."""
    from edgetl_device.bundle.archive import _COMMENT, _COMMENT_SIZE

    good = _bundle_bytes()

    def check(data: bytes) -> None:
        _read_whole_bundle(data + _COMMENT + hashlib.sha256(data).hexdigest().encode())

    return Target(check, (good[:-_COMMENT_SIZE],))


def members() -> Target:
    """One member of a bundle, which the first byte chooses; the manifest names its new hash."""
    from edgetl_device.bundle.bundle import read_bundle

    bundle = read_bundle(_bundle_bytes())
    names = sorted({*bundle.members} - {"backbone.tflite"})

    def check(data: bytes) -> None:
        if data:
            name = names[data[0] % len(names)]
            _read_whole_bundle(_packed(bundle.manifest, {**bundle.members, name: _repaired(data[1:])}))

    return Target(check, tuple(bytes([row]) + bundle.members[name] for row, name in enumerate(names)))


def manifests() -> Target:
    """A bundle's manifest, which lists its members as they are wherever it is an object."""
    from edgetl_device.bundle.bundle import read_bundle

    bundle = read_bundle(_bundle_bytes())
    text = json.dumps({name: value for name, value in bundle.manifest.items() if name != "members"}).encode()

    def check(data: bytes) -> None:
        with suppress(ValueError, RecursionError):
            value = json.loads(data)
            if isinstance(value, dict):
                _read_whole_bundle(_packed(value, bundle.members))
                return
        _read_whole_bundle(_packed({}, bundle.members, data))

    return Target(check, (text,))


def statistics() -> Target:
    """Statistics, with the checksums of their arrays put right."""
    from edgetl_device.statistics import Statistics

    def check(data: bytes) -> None:
        with _own_errors():
            found = Statistics.from_bytes(_repaired(data))
            assert (found + found).samples == 2 * found.samples
            assert (found - found).samples == 0 and found.gram.shape == (found.dimension, found.dimension)

    return Target(check, (_statistics().to_bytes(),))


def exports() -> Target:
    """An export: a header, a payload, and the hashes of both put right."""
    from edgetl_device.bundle.export import Export
    from edgetl_device.bundle.export_file import MAGIC

    head_length = len(MAGIC) + 4

    def check(data: bytes) -> None:
        if data.startswith(MAGIC):
            size = int.from_bytes(data[len(MAGIC) : head_length], "little")
            head, payload = data[head_length : head_length + size], data[head_length + size :]
            with suppress(ValueError, RecursionError):
                value = json.loads(head)
                if isinstance(value, dict):
                    value["payload"] = value["content"] = hashlib.sha256(_repaired(payload)).hexdigest()
                    head = json.dumps(value).encode()
            data = MAGIC + len(head).to_bytes(4, "little") + head + _repaired(payload)
        with _own_errors():
            export = Export.from_bytes(data)
            assert export.samples >= 0 and export.to_bytes() and export.statistics.samples == export.samples

    return Target(check, _export_seeds())


def lists() -> Target:
    """A CSV list of photos."""
    from edgetl.data.lists import read_list

    close = ExitStack()
    folder = Path(close.enter_context(tempfile.TemporaryDirectory()))
    (folder / "a.jpg").touch()

    def check(data: bytes) -> None:
        (folder / "list.csv").write_bytes(data)
        with _own_errors():
            read_list(folder / "list.csv")

    seeds = (
        b"path,label\na.jpg,ball\n",
        b"\xef\xbb\xbffile;class;split\r\na.jpg;box;val\r\n",
        "image\tlabel\tgroup\na.jpg\tbüchse\tg\n".encode("utf-16"),
        b'path,label\n"a.jpg","a ""quoted"" name"\n\n',
    )
    return Target(check, seeds, close)


def keras_archives() -> Target:
    """A ``.keras`` archive, with its checksums put right."""
    from hostile_models import model, write_keras  # type: ignore[import-not-found]

    from edgetl.models.keras_reader import clean_copy

    close = ExitStack()
    folder = Path(close.enter_context(tempfile.TemporaryDirectory()))
    seed = write_keras(folder / "seed.keras", model()).read_bytes()

    def check(data: bytes) -> None:
        (folder / "it.keras").write_bytes(_repaired(data))
        with _own_errors():
            clean_copy(folder / "it.keras", folder)

    return Target(check, (seed,), close)


def keras_configurations() -> Target:
    """The configuration of a Keras model."""
    from hostile_models import model, planted_layers

    from edgetl.keras_config.configuration import checked_configuration

    texts = [model(), *(model(layer) for _, layer in planted_layers(Path("marker")))]

    def check(data: bytes) -> None:
        with _own_errors():
            json.dumps(checked_configuration(data))

    return Target(check, tuple(json.dumps(text).encode() for text in texts))


def photos() -> Target:
    """A photo file."""
    import cv2

    from edgetl_device.photos import read_photo

    close = ExitStack()
    path = Path(close.enter_context(tempfile.TemporaryDirectory())) / "photo"
    image = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        with _own_errors():
            read_photo(path)

    kinds = (".jpg", ".png", ".bmp", ".webp")
    return Target(check, tuple(cv2.imencode(kind, image)[1].tobytes() for kind in kinds), close)


def requests() -> Target:
    """A request to the page of a running app: a byte that chooses method and path, a line with its query, its body."""
    site, close = _site()
    from edgetl_device.web.openapi import document

    operations = sorted(
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if path not in ("/stream.mjpg", "/api/v1/live", "/api/v1/events", "/api/v1/logout", "/api/v1/login")
    )

    def check(data: bytes) -> None:
        if not data:
            return
        method, path = operations[data[0] % len(operations)]
        query, _, body = data[1:].partition(b"\n")
        place = path.replace("{id}", "1").replace("{number}", "1").split("{")[0]
        status = site.ask(method, place, query, body)
        if status >= 500 and status not in (503, 507):
            raise Wrong(f"{method} {place}: {status}")

    bodies = (
        b"", b"{}", b'{"label": "kite", "frames": 1}', b'{"ids": [1]}', b'{"version": 1}', b"null",
        b'{"label": "x", "ids": [1, 2]}', b'{"region": [0.1, 0.1, 0.5, 0.5]}', b'{"all": true}',
        b'{"label": "ball", "retrain": false}', b'{"group": "g", "label": "l"}',
    )  # fmt: skip
    seeds = [bytes([row]) + b"label=x&limit=3\n" + body for row in range(len(operations)) for body in bodies]
    return Target(check, tuple(seeds), close)


def frames() -> Target:
    """What a viewer sends over the live WebSocket: messages, each with its kind and length."""
    site, close = _site()

    def check(data: bytes) -> None:
        messages: list[dict[str, Any]] = []
        while len(data) > 2 and len(messages) < 16:
            kind, size = data[0], int.from_bytes(data[1:3], "little")
            part, data = data[3 : 3 + size], data[3 + size :]
            content = {"bytes": part} if kind % 2 else {"text": part.decode("utf-8", "replace")}
            messages.append({"type": "websocket.receive", **content})
        site.watch(messages)

    texts = (b"{}", b'{"side": 320}', b'{"pictures": false}', b'{"width": 1e9}', b"[]", b"null", b'"x"', b"{")
    one = tuple(b"\0" + struct.pack("<H", len(text)) + text for text in texts)
    return Target(check, (*one, b"".join(one)), close)


TARGETS: dict[str, Callable[[], Target]] = {
    "bundles": bundles,
    "bundle members": members,
    "manifests": manifests,
    "statistics": statistics,
    "exports": exports,
    "CSV lists": lists,
    "Keras archives": keras_archives,
    "Keras configurations": keras_configurations,
    "photos": photos,
    "requests": requests,
    "WebSocket frames": frames,
}


# what they share -----------------------------------------------------------------------------------------------------


class _own_errors(suppress):
    """Lets nothing pass but the errors that are meant for a person, which are short enough to be shown whole."""

    def __init__(self) -> None:
        from edgetl_device.errors import EdgetlError

        super().__init__(EdgetlError)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        handled = bool(super().__exit__(kind, error, trace))
        if handled and not 0 < len(str(error).strip()) <= MAX_LENGTH:
            raise Wrong(f"no clear line: {error!s:.200}")
        return handled


def _repaired(data: bytes) -> bytes:
    """Bytes of a zip file with the checksums of those members that are stored as they are put right."""
    fixed = bytearray(data)
    with suppress(Exception):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
        for entry in entries:
            at = entry.header_offset
            start = at + 30 + sum(struct.unpack_from("<2H", data, at + 26))
            crc = struct.pack("<I", zlib.crc32(data[start : start + entry.compress_size]))
            if entry.compress_type == zipfile.ZIP_STORED:
                fixed[at + 14 : at + 18] = crc
                name = entry.filename.encode()
                central = data.rfind(b"PK\x01\x02", 0, data.rfind(name))
                fixed[central + 16 : central + 20] = crc
    return bytes(fixed)


def _bundle_bytes() -> bytes:
    from conftest import build_bundle  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        return Path(build_bundle(Path(folder) / "toys.edgetl", per_class=24)).read_bytes()


def _statistics() -> Any:
    from edgetl_device.statistics import statistics_of

    codes = np.random.default_rng(0).integers(0, 255, (9, 8)).astype(np.uint8)
    return statistics_of(codes, list("aabbbcccc"), "0" * 64, "litert-0")


def _export_seeds() -> tuple[bytes, ...]:
    """Both kinds, whole, with the payload as it is."""
    from edgetl_device.bundle.export_file import MAGIC, blank_header
    from edgetl_device.bundle.exported_samples import samples_of

    codes = np.random.default_rng(1).integers(0, 255, (5, 8)).astype(np.uint8)
    samples = samples_of("0" * 64, np.arange(1, 6), list("aabbb"), ["litert-0"] * 5, codes)
    seeds = []
    for kind, content in (("samples", samples), ("statistics", _statistics())):
        data = content.to_bytes()
        digest = hashlib.sha256(data).hexdigest()
        header = blank_header("device-1", 3, machine="0" * 64)
        head = replace(header, kind=kind, size=len(data), payload=digest, content=digest).to_bytes()
        seeds.append(MAGIC + len(head).to_bytes(4, "little") + head + data)
    return tuple(seeds)


def _packed(manifest: Any, content: Any, text: bytes | None = None) -> bytes:
    from edgetl_device.bundle.archive import pack_members

    listing = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in content.items()}
    written = json.dumps({**manifest, "members": listing}).encode() if text is None else text
    return pack_members({"manifest.json": written, **content})


def _read_whole_bundle(data: bytes) -> None:
    from edgetl_device.bundle.bundle import read_bundle
    from edgetl_device.bundle.content import BundleContent

    with _own_errors():
        bundle = read_bundle(data)
        assert bundle.name is not None and bundle.groups is not None and bundle.merged is not None
        content = BundleContent(bundle)
        for name in ("statistics", "holdout", "holdout_labels", "correction", "seen", "check", "rule"):
            with _own_errors():
                getattr(content, name)
        content.head()


class _Site:
    """The ASGI application of an app that watches."""

    def __init__(self, server: Any) -> None:
        self._site, self._host = server.site, server.url.removeprefix("http://")
        self._runner = asyncio.Runner()

    def ask(self, method: str, path: str, query: bytes, body: bytes) -> int:
        """The status of the answer."""
        kind = b"application/json" if body.lstrip()[:1] in b"{[" else b"image/jpeg"
        scope = self._scope("http", path, query, [(b"content-type", kind), (b"content-length", b"%d" % len(body))])
        scope |= {"method": method, "scheme": "http"}
        received = [{"type": "http.request", "body": body, "more_body": False}]
        sent = self._run(scope, received, {"type": "http.disconnect"})
        return next((int(each["status"]) for each in sent if each["type"] == "http.response.start"), 200)

    def watch(self, messages: list[dict[str, Any]]) -> None:
        """Connect, send, and leave."""
        scope = self._scope("websocket", "/api/v1/live", b"", []) | {"scheme": "ws", "subprotocols": []}
        self._run(scope, [{"type": "websocket.connect"}, *messages], {"type": "websocket.disconnect", "code": 1000})

    def close(self) -> None:
        """End what the last viewers began."""
        self._runner.close()

    def _scope(self, kind: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        host = self._host.encode()
        common = [(b"host", host), (b"origin", b"http://" + host), (b"x-edgetl", b"1"), *headers]
        version = {"asgi": {"version": "3.0"}, "http_version": "1.1", "root_path": "", "extensions": {}}
        ends = {"client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80)}
        place = {
            "type": kind,
            "path": path,
            "raw_path": path.encode(),
            "query_string": bytes(byte for byte in query[:4000] if 0x21 <= byte <= 0x7E),
        }
        return {**version, **ends, **place, "headers": common, "state": {}}

    def _run(self, scope: dict[str, Any], received: list[dict[str, Any]], last: dict[str, Any]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        left = iter(received)

        async def receive() -> dict[str, Any]:
            return next(left, last)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        with suppress(TimeoutError):  # who asks for fifty frames five seconds apart waits for them
            self._runner.run(asyncio.wait_for(self._site(scope, receive, send), PATIENCE_S))
        return sent


def _site() -> tuple[_Site, ExitStack]:
    from conftest import build_bundle, draw

    from edgetl_device.app.app import App
    from edgetl_device.camera import FakeCamera
    from edgetl_device.home import Home
    from edgetl_device.web import serve

    close = ExitStack()
    folder = Path(close.enter_context(tempfile.TemporaryDirectory()))
    home = Home(folder / "home")
    home.install(build_bundle(folder / "toys.edgetl"))
    camera = FakeCamera(cycle([draw("ball", seed, 64) for seed in range(8)]), fps=50)
    app = close.enter_context(App(home, camera))
    site = _Site(close.enter_context(serve(app, port=0)))
    close.callback(site.close)
    return site, close
