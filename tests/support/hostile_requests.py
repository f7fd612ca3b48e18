"""Requests that a stranger could send to the page: bytes that are no HTTP, odd headers, bodies, numbers and frames."""

from __future__ import annotations

import base64
import json
import os
import struct

UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}\r\n"


def get(path: str, *headers: str) -> bytes:
    return "".join([f"GET {path} HTTP/1.1\r\nHost: HOST\r\n", *(f"{header}\r\n" for header in headers), "\r\n"]).encode(
        "latin-1"
    )


def post(path: str, body: bytes, kind: str = "application/json", *headers: str) -> bytes:
    lines = [f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return get(path, *lines).replace(b"GET", b"POST", 1) + body


def api(path: str, value: object) -> bytes:
    return post(f"/api/v1/{path}", json.dumps(value).encode())


def text(path: str, body: str) -> bytes:
    return post(f"/api/v1/{path}", body.encode("utf-8", "surrogatepass"))


LABELS = ["\ud800", "a\x00b", "\x1b[2J", "a\nb", "\u202egnp.exe", "../x", "x" * 10_000, "unknown", "\u2028", "\ufeff"]
NUMBERS = [0, -1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**70), 10**300]
CORPUS: dict[str, bytes] = {
    # bytes that are no HTTP
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 64,
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http0.9": b"GET /\r\n",
    "http9": b"GET / HTTP/9.9\r\nHost: HOST\r\n\r\n",
    "empty lines": b"\r\n" * 5000,
    # requests that are hardly HTTP
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get("/", "Host: evil.example"),
    "odd host": b"GET / HTTP/1.1\r\nHost: a@b/../?#\r\n\r\n",
    "ipv6 host": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "binary host": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "long header": get("/", "X: " + "a" * 200_000),
    "many headers": get("/", *(f"X{n}: 1" for n in range(5000))),
    "header without name": get("/", ": x"),
    "folded header": get("/", "X: a\r\n b"),
    "nul in header": get("/", "X: a\x00b"),
    "long path": get("/" + "a" * 60_000),
    "many parameters": get("/api/v1/samples?" + "&".join(f"p{n}=1" for n in range(4000))),
    "bad escapes": get("/%ff%00%zz%"),
    "path of escapes": get("/api/v1/%0d%0aSet-Cookie:%20x"),
    "dots": get("/static/..%2f..%2f..%2fetc%2fpasswd"),
    "absolute target": get("http://evil.example/"),
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "odd method": b"\x7fGET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "unknown method": b"PROPFIND / HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "smuggling": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / ",
    "two lengths": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "negative length": b"POST /api/v1/learn HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST /api/v1/classify HTTP/1.1\r\nHost: HOST\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
    "bad chunk": b"POST /api/v1/learn HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge chunk": b"POST /api/v1/learn HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
    "expect": post("/api/v1/learn", b"", "application/json", "Expect: 100-continue"),
    "unknown coding": b"POST /api/v1/learn HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip\r\n\r\n",
    "pipelined": get("/healthz") * 40,
    "garbage behind a request": get("/healthz") + b"\x00\xff" * 300,
    # identities
    "basic garbage": get("/api/v1/status", "Authorization: Basic ////"),
    "basic binary": get("/api/v1/status", "Authorization: Basic " + base64.b64encode(b"\xff:\xff").decode()),
    "basic long": get("/api/v1/status", "Authorization: Basic " + "A" * 12_000),
    "bearer": get("/api/v1/status", "Authorization: Bearer x"),
    "odd cookie": get("/api/v1/status", 'Cookie: edgetl_session="\\"; ;;=; a="'),
    "odd origin": get("/api/v1/status", "Origin: http://[::1"),
    "foreign origin": get("/api/v1/status", "Origin: null"),
    "forwarded": get("/api/v1/status", "X-Forwarded-For: 1.2.3.4, \xff", "X-Forwarded-Proto: javascript"),
    "password of the wrong kind": api("login", {"password": 5}),
    "password that is no text": text("login", '{"password": "\\ud800"}'),
    "long password": api("login", {"password": "x" * 60_000}),
    # bodies
    "no json": text("learn", "{"),
    "deep list": text("learn", "[" * 60_000),
    "deep object": text("learn", '{"a":' * 10_000),
    "infinity": text("learn", '{"label": "x", "frames": Infinity}'),
    "nan": text("relabel", '{"label": "x", "ids": [NaN]}'),
    "long number": text("learn", '{"label": "x", "frames": ' + "9" * 60_000 + "}"),
    "exponent": text("learn", '{"label": "x", "frames": 1e400}'),
    "same key twice": text("learn", '{"label": "x", "label": 1}'),
    "many keys": text("learn", json.dumps({f"k{n}": 1 for n in range(4000)})),
    "key of escapes": text("learn", '{"\\ud800\\u001b[2J": 1}'),
    "not utf-8": post("/api/v1/learn", b'{"label": "\xff"}'),
    "utf-16": post("/api/v1/learn", '{"label": "x"}'.encode("utf-16")),
    "utf-7": post("/api/v1/learn", b"+ADw-", "application/json; charset=utf-7"),
    "bom": post("/api/v1/learn", b"\xef\xbb\xbf{}"),
    "form": post("/api/v1/learn", b"label=x", "application/x-www-form-urlencoded"),
    "many ids": api("forget", {"ids": list(range(1, 9000))}),
    "nested ids": api("forget", {"ids": [[1]]}),
    "too much json": post("/api/v1/learn", b" " * 70_000),
    "ids of text": api("relabel", {"label": "x", "ids": ["1; DROP TABLE samples"]}),
    "no photo": post("/api/v1/classify", bytes(5000), "image/jpeg"),
    "svg": post("/api/v1/classify", b"<svg onload=alert(1)>", "image/svg+xml"),
    "bomb": post("/api/v1/classify", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 65_000, 65_000) + bytes(60), "image/png"),
    "endless jpeg": post("/api/v1/classify", b"\xff\xd8" + b"\xff\x01" * 4000 + b"\xff\xd9", "image/jpeg"),
    "photo without a label": post("/api/v1/learn?label=%00", b"\xff\xd8\xff\xd9", "image/jpeg"),
    "bundle of noise": post("/api/v1/install", os.urandom(3000), "application/octet-stream"),
    "bundle of zip bombs": post("/api/v1/install", b"PK\x05\x06" + bytes(18), "application/octet-stream"),
    # numbers and names in paths and queries
    "thumbnail beyond sqlite": get("/api/v1/samples/" + "9" * 40 + "/thumbnail"),
    "thumbnail of 5000 digits": get("/api/v1/samples/" + "9" * 5000 + "/thumbnail"),
    "before beyond": get("/api/v1/samples?before=" + "9" * 30),
    "before in other digits": get("/api/v1/samples?before=%D9%A3"),
    "limit zero": get("/api/v1/samples?limit=0"),
    "label of nothing": get("/api/v1/samples?label=%ff%fe%00"),
    # WebSockets
    "upgrade without a key": get("/api/v1/live", UPGRADE.strip()),
    "upgrade by post": post("/api/v1/live", b"", "text/plain", UPGRADE.strip(), KEY.strip()),
    "upgrade elsewhere": get("/api/v1/status", UPGRADE.strip(), KEY.strip()),
    "upgrade to h2c": get("/", "Connection: Upgrade", "Upgrade: h2c"),
    "upgrade with a body": get("/api/v1/live", UPGRADE.strip(), KEY.strip(), "Content-Length: 5") + b"hello",
    "odd version": get("/api/v1/live", UPGRADE.replace("13", "99").strip(), KEY.strip()),
    "frames of noise": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + bytes(range(256)) * 20,
    "frame too long": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + b"\x81\xff" + b"\xff" * 12,
    "unmasked frame": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + b"\x81\x02{}",
    "text that is none": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + b"\x81\x82\0\0\0\0\xff\xff",
    "pings": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + b"\x89\x80\0\0\0\0" * 3000,
    "endless fragments": get("/api/v1/live", UPGRADE.strip(), KEY.strip()) + b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 3000,
} | {
    f"{verb} {ascii(label)[:20]}": text(verb, json.dumps({"label": label, **more}))
    for label in LABELS
    for verb, more in (("learn", {}), ("relabel", {"ids": [1]}), ("forget", {}))
    if (verb, label) != ("learn", "x")
} | {
    f"{verb} {key} {number}": api(verb, {key: [number] if key == "ids" else number, **more})
    for number in NUMBERS
    for verb, key, more in (
        ("rollback", "version", {}),
        ("forget", "ids", {}),
        ("learn", "frames", {"label": "x"}),
        ("learn", "interval_ms", {"label": "x", "frames": 2}),
    )
    if key != "interval_ms" or number != 0
}  # fmt: skip
