"""The page over HTTPS: certificates from files, one of the device's own, and who does not speak it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("cryptography")

from certificates import certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from web_site import PASSWORD, PASSWORD_HASH, Scene, until
from websockets.sync.client import connect

from edgetl_device import console
from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.cli import program
from edgetl_device.errors import InputError
from edgetl_device.web import certificate as certificate_module
from edgetl_device.web import protocol, tls_door
from edgetl_device.web.certificate import OWN_FILE, Certificate, OwnCertificate
from edgetl_device.web.server import Server


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    made = certificates(tmp_path_factory.mktemp("certificates"))
    for path in made.values():
        Path(path).chmod(0o600)
    return made


@contextmanager
def serving(home, certificate: Certificate) -> Iterator[Server]:
    with App(home, FakeCamera(Scene("ball"), fps=30, finite=False)) as app:
        server = Server(app, "127.0.0.1", 0, PASSWORD_HASH, certificate=certificate)
        server.start()
        try:
            until(lambda: app.pipeline.latest() is not None)
            yield server
        finally:
            assert server.stop(5.0), "the server did not end"


def trusting(path: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path)


def ask(server: Server, context: ssl.SSLContext, method: str, path: str, body: object = None, **headers: str):
    port = int(server.url.rpartition(":")[2])
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    try:
        sent = {"Content-Type": "application/json"} | headers
        connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.slow
def test_page_cookie_and_live_picture_are_encrypted_and_verified(home, files) -> None:
    trusted = trusting(files["authority"])
    with serving(home, Certificate(Path(files["server"]), Path(files["server-key"]))) as server:
        assert server.url.startswith("https://") and server.urls == [server.url]
        assert ask(server, trusted, "GET", "/healthz")[0] == 200
        status, headers, _ = ask(server, trusted, "POST", "/api/v1/login", {"password": PASSWORD}, Origin=server.url)
        cookie = headers["Set-Cookie"]
        assert status == 204 and "; Secure" in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie
        session = {"Cookie": cookie.partition(";")[0]}
        with connect(
            server.url.replace("https", "wss") + "/api/v1/live", ssl=trusted, additional_headers=session, proxy=None
        ) as viewer:
            assert json.loads(viewer.recv(timeout=20))["picture"] in (True, False)
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, ssl.create_default_context(), "GET", "/healthz")
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            plain = http.client.HTTPConnection(server.url.partition("://")[2], timeout=20)
            plain.request("GET", "/healthz")
            plain.getresponse()
        assert ask(server, trusted, "GET", "/healthz")[0] == 200


@pytest.mark.slow
def test_connections_that_never_shake_hands_count_and_are_cut_off(home, files, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_S", 3.0)
    monkeypatch.setattr(tls_door, "HEADER_S", 3.0)
    monkeypatch.setattr(protocol, "MAX_PER_ADDRESS", 8)
    trusted = trusting(files["authority"])
    with serving(home, Certificate(Path(files["server"]), Path(files["server-key"]))) as server:
        port = int(server.url.rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        until(lambda: len(server.connections) >= 1)
        assert len(server.connections) <= 8
        assert ask(server, trusted, "GET", "/healthz")[0] == 200
        until(lambda: len(server.connections) == 0)
        for each in silent:
            each.settimeout(5)
            with suppress(ConnectionError):
                assert each.recv(1) == b""
            each.close()
        assert ask(server, trusted, "GET", "/healthz")[0] == 200


def test_the_device_s_own_certificate_is_kept_renewed_and_never_readable_by_others(tmp_path) -> None:
    names = ["localhost", "127.0.0.1", "::1", "Camera.local", "käse.local", "192.0.2.7", "fe80::1%eth0"]
    own = OwnCertificate(tmp_path, lambda: names)
    file = tmp_path / OWN_FILE
    made = x509.load_pem_x509_certificate(file.read_bytes())
    extension = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert extension.get_values_for_type(x509.DNSName) == ["localhost", "camera.local", "xn--kse-qla.local"]
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "192.0.2.7", "fe80::1"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.not_valid_after_utc - made.not_valid_before_utc < timedelta(days=398)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert own.fingerprint.replace(":", "").lower() == made.fingerprint(hashes.SHA256()).hex()
    before = own.fingerprint
    assert not own.refresh() and OwnCertificate(tmp_path, lambda: names[:2]).fingerprint == before
    names.append("192.0.2.8")
    assert own.refresh() and own.fingerprint != before
    again = x509.load_pem_x509_certificate(file.read_bytes())
    assert again.public_key() == made.public_key()
    file.write_bytes(b"damaged")
    assert own.refresh()
    assert x509.load_pem_x509_certificate(file.read_bytes()).public_key() != made.public_key()


def test_the_device_s_own_certificate_is_made_anew_a_month_before_its_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(certificate_module, "VALID_DAYS", 29)
    own = OwnCertificate(tmp_path, lambda: ["localhost"])
    before = own.fingerprint
    monkeypatch.undo()
    assert own.refresh() and own.fingerprint != before
    end = x509.load_pem_x509_certificate((tmp_path / OWN_FILE).read_bytes()).not_valid_after_utc
    assert end - datetime.now(timezone.utc) > timedelta(days=360)


def test_a_renewed_file_is_used_without_a_restart_and_a_broken_one_is_not(tmp_path, files, caplog) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for source, target in (("server", cert), ("server-key", key)):
        target.write_bytes(Path(files[source]).read_bytes())
        target.chmod(0o600)
    used = Certificate(cert, key)
    before = used.fingerprint
    cert.write_bytes(Path(files["client"]).read_bytes())  # the first half of a renewal
    assert not used.refresh() and "is not the private key" in caplog.text
    key.write_bytes(Path(files["client-key"]).read_bytes())
    assert used.refresh() and used.fingerprint != before


def test_text_before_a_certificate_does_not_matter_and_another_heading_is_refused(tmp_path, files) -> None:
    text, cert = Path(files["server"]).read_text(), tmp_path / "cert.pem"
    before = Certificate(Path(files["server"]), Path(files["server-key"])).fingerprint
    cert.write_text(f"-----END CERTIFICATE-----\n# -----BEGIN CERTIFICATE-----\n{text}")
    assert Certificate(cert, Path(files["server-key"])).fingerprint == before
    cert.write_text(text.replace(" CERTIFICATE", " X509 CERTIFICATE"))
    with pytest.raises(InputError, match="holds no line -----BEGIN CERTIFICATE-----"):
        Certificate(cert, Path(files["server-key"]))


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("server", "client-key", "is not the private key of the certificate"),
        ("server-key", "server", "in PEM"),
        ("server", "", "in PEM"),
        ("nowhere", "server-key", "No such file"),
        ("expired", "expired-key", "has expired: renew it"),
        ("future", "future-key", "is not valid yet"),
        ("server", "open-key", "chmod 600"),
        ("server", "locked-key", "without a password"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_one_clear_line_and_exit_2(
    home, files, tmp_path, capfd, cert, key, message
) -> None:
    known = files | {"nowhere": "/nowhere.pem"}
    if cert in ("expired", "future"):
        begin = datetime.now(timezone.utc) + timedelta(days=-3 if cert == "expired" else 1)
        known |= certificates(tmp_path, begin, begin + timedelta(days=2))
        known |= {cert: known["server"], f"{cert}-key": known["server-key"]}
        Path(known["server-key"]).chmod(0o600)
    if key in ("open-key", "locked-key"):
        known[key] = str(tmp_path / key)
        plain = serialization.load_pem_private_key(Path(files["server-key"]).read_bytes(), None)
        lock = (
            serialization.BestAvailableEncryption(b"hunter2") if key == "locked-key" else serialization.NoEncryption()
        )
        pem = plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        Path(known[key]).write_bytes(pem)
        Path(known[key]).chmod(0o644 if key == "open-key" else 0o600)
    options = ["--tls-cert", known[cert], *(["--tls-key", known[key]] if key else [])]
    command = ["--home", str(home.folder), "run", "--camera", "parts", "--max-frames", "1", *options]
    assert console.run(program, "edgetl-device", command) == 2
    written = capfd.readouterr().err
    assert message in written and len(written.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls", "self", "--tls-cert", "x"], "choose one of them"),
        (["--tls-key", "x"], "needs --tls-cert"),
        (["--tls", "yes"], "'self'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(home, capfd, options, message) -> None:
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "run", *options]) == 2
    assert message in capfd.readouterr().err


@pytest.mark.slow
def test_run_says_how_to_know_its_own_certificate(home, tmp_path) -> None:
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "--camera", "parts"]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen([*command, "--web", "127.0.0.1:0", "--tls", "self"], stdout=stream, stderr=stream)
    try:
        until(lambda: b"fingerprint" in log.read_bytes() and log.read_bytes().count(b":") >= 33, 60)
        until(lambda: (home.folder / OWN_FILE).exists())
        lines = log.read_text().splitlines()
        address = next(line.split()[1] for line in lines if line.startswith("page "))
        shown = "".join(line.strip() + ":" for line in lines if line.count(":") == 15).rstrip(":")
        assert address.startswith("https://127.0.0.1:") and shown == OwnCertificate(home.folder, lambda: []).fingerprint
        assert all(len(line) <= 80 for line in lines)
        port = int(address.rpartition(":")[2])
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, context=trusting(str(home.folder / OWN_FILE))
        )
        connection.request("GET", "/healthz")
        assert connection.getresponse().status in (200, 503)
        connection.close()
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_without_cryptography_the_refusal_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match="edgetl-device\\[sign\\]"):
        OwnCertificate(tmp_path, lambda: ["localhost"])
    assert not list(tmp_path.iterdir())


def test_the_watch_for_a_new_certificate_runs_beside_the_server(home, files, monkeypatch) -> None:
    from edgetl_device.web import server as server_module

    monkeypatch.setattr(server_module, "LOOK_S", 0.05)
    looked = []
    certificate = Certificate(Path(files["server"]), Path(files["server-key"]))
    monkeypatch.setattr(certificate, "refresh", lambda: looked.append(time.monotonic()))
    with serving(home, certificate):
        until(lambda: len(looked) > 2)
