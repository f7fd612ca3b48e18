"""Flower for real: a SuperLink with TLS and SuperNodes with registered keys, as processes on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: `make test-fleet` gives it an environment of its own")

from authority import Authority
from flower_nodes import carried, learn, statistics, taught

from edgetl_device.bundle.signing import write_key_pair
from edgetl_device.errors import InputError
from edgetl_fleet import flower
from edgetl_fleet.client_app import export_of
from edgetl_fleet.superlink import NodesOnly
from edgetl_fleet.supernode import NOT_TAKEN, is_own, own_app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Flower's own, of its dependencies
    pytest.mark.filterwarnings("ignore:Using `httpx`"),
]

PROGRAM = [sys.executable, "-m", "edgetl_fleet"]
PATIENCE_S = 240.0  # each of Flower's processes takes two seconds of CPU time to start, and there are ten
MALICE = """
from pathlib import Path
from flwr.app import Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
client = ClientApp()
server = ServerApp()
Path({here!r}, "ran-" + str(__import__("os").getpid())).touch()

@client.query()
def answer(message, context):
    return Message(RecordDict(), reply_to=message)

@server.main()
def main(grid, context):
    asked = [Message(RecordDict(), dst_node_id=n, message_type=MessageType.QUERY) for n in grid.get_node_ids()]
    grid.send_and_receive(asked, timeout=30)
"""


def run(*words: object, code: int = 0) -> str:
    """A command of edgetl-fleet → what it says: its result, or its one line of error."""
    done = subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    if not code:
        return done.stdout
    (line,) = done.stderr.strip().splitlines()
    return line.removeprefix("error: ")


class Processes:
    """Programs of edgetl-fleet, each in a session of its own, ended together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: object) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            command = [*PROGRAM, *map(str, words)]
            self._started[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def wait_for(self, name: str, words: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while words not in self.log(name):
            assert time.monotonic() < until and self._started[name].poll() is None, self.log(name)
            time.sleep(0.2)

    def code(self, name: str) -> int:
        return self._started[name].wait(PATIENCE_S)

    def end(self, name: str) -> None:
        process = self._started.pop(name)
        for kind in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, kind)
                process.wait(3)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait(5)

    def end_all(self) -> None:
        for name in list(self._started):
            self.end(name)


@pytest.fixture
def processes(tmp_path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    made.end_all()


def node_key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", str(path)], check=True)
    return path


def test_a_superlink_and_three_supernodes_give_what_merge_gives(bundle_path, tmp_path, processes) -> None:
    """Signed exports over TLS from nodes with registered keys; a node that dies, one that is nobody's, an app of others."""
    fleet, port = tmp_path / "fleet", flower.free_port()
    homes = [
        taught(bundle_path, tmp_path / f"home-{n}", **{kind: (300, 2 + n)})
        for n, kind in enumerate(("kite", "ring", "box"))
    ]
    keys = [node_key(tmp_path, f"node-{number}") for number in range(3)]
    write_key_pair(tmp_path / "camera")
    processes.start("server", "server", fleet, "--listen", f"127.0.0.1:{port}")
    processes.wait_for("server", "Uvicorn running")
    public = [path.with_suffix(".pub") for path in keys]
    assert run("register", fleet, *public).count("registered") == 3
    assert "before" in run("register", fleet, public[0])
    signed = ["--sign", tmp_path / "camera.key"]
    common = ["--server", f"127.0.0.1:{port}", "--ca", fleet / "superlink.pem"]
    for number, (home, key) in enumerate(zip(homes, keys, strict=True)):
        processes.start(f"node-{number}", "node", *common, "--key", key, "--home", home.folder, *signed)
    processes.start("nobody", "node", *common, "--key", node_key(tmp_path, "nobody"), "--home", homes[0].folder)
    trusted = ["--public-key", tmp_path / "camera.pub"]
    words = ["round", fleet, bundle_path, "--nodes", 3, "--wait", PATIENCE_S / 2, *trusted, "--json"]
    done = json.loads(run(*words, "-o", tmp_path / "new.edgetl"))
    assert (done["answered"], done["devices"], done["samples"], done["refused"]) == (3, 3, 9, []), processes.log(
        "node-0"
    )
    config = [{"home": str(home.folder), "sign": str(tmp_path / "camera.key")} for home in homes]
    first = [export_of(each) for each in config]
    assert statistics(tmp_path / "new.edgetl") == carried(bundle_path, first, tmp_path / "carried")
    assert processes.code("nobody") != 0
    assert NOT_TAKEN in processes.log("nobody")

    processes.end("node-2")
    learn(homes[0], ring=(700, 2))
    words[words.index("--wait") + 1] = 150  # which the dead one takes from it, and a busy machine from the others
    again = json.loads(run(*words[:4], 2, *words[5:], "-o", tmp_path / "later.edgetl"))
    assert (again["answered"], again["devices"], again["samples"]) == (2, 3, 11)
    exports = [export_of(config[0]), first[1], first[2]]
    assert statistics(tmp_path / "later.edgetl") == carried(bundle_path, exports, tmp_path / "later")

    app = tmp_path / "malice"
    app.mkdir()
    (app / "malice.py").write_text(MALICE.format(here=str(tmp_path)))
    own = (flower.APP / "pyproject.toml").read_text()
    own = own.replace("edgetl_fleet.server_app:app", "malice:server").replace(
        "edgetl_fleet.client_app:app", "malice:client"
    )
    (app / "pyproject.toml").write_text(own.replace('name = "edgetl"', 'name = "malice"'))
    flower.flwr(fleet / "flower", "run", str(app), flower.CONNECTION, "--stream")
    processes.wait_for("node-0", "not edgetl's own")
    assert len(list(tmp_path.glob("ran-*"))) == 1  # the server's process alone


@pytest.fixture
def expired(tmp_path) -> Iterator[tuple[int, Authority]]:
    """A TLS server whose certificate has expired."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server", days=-1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError):  # whoever does not trust it hangs up
                    context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listening.getsockname()[1], authority
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_node_names_an_expired_certificate_and_one_of_another_authority(
    bundle_path, tmp_path, expired, processes
) -> None:
    port, authority = expired
    home = taught(bundle_path, tmp_path / "home", kite=(300, 1))
    key = node_key(tmp_path, "node")
    words = ["node", "--server", f"127.0.0.1:{port}", "--key", key, "--home", home.folder]
    assert "has expired by this device's clock" in run(*words, "--ca", authority.path, code=2)
    other = Authority(tmp_path / "other")
    assert "not to be trusted" in run(*words, "--ca", other.path, code=2)
    certificate, private = authority.issue("old", days=-1)
    own = ["--tls-cert", certificate, "--tls-key", private, "--tls-ca", authority.path]
    assert "has expired: renew it" in run("server", tmp_path / "fleet", *own, code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["node", "--server", "a:1", "--ca", "CA", "--key", "KEY", "--export", "FILE"],
            "is no private key of ssh-keygen",
        ),
        (["node", "--server", "a:1", "--ca", "none", "--key", "KEY", "--export", "FILE"], "cannot read none"),
        (["node", "--server", "a:1", "--ca", "CA", "--key", "KEY"], "one of --home and --export"),
        (["node", "--server", "a:1", "--ca", "CA", "--key", "KEY", "--home", "none"], "holds no bundle"),
        (["server", "fleet", "--listen", "9092"], "expected HOST:PORT"),
        (["server", "fleet", "--tls-cert", "CA"], "belong together"),
        (["register", "fleet", "KEY"], "is no public key of ssh-keygen -t ecdsa"),
        (["round", "fleet", "none.edgetl", "-o", "new.edgetl"], "none.edgetl"),
        (["round", "fleet", "BUNDLE", "-o", "new.zip"], "ends in .edgetl"),
        (["round", "fleet", "BUNDLE", "-o", "new.edgetl"], "is no folder of a server"),
        (["round", "fleet", "BUNDLE", "-o", "new.edgetl", "--public-key", "none.pub"], "none.pub"),
    ],
)
def test_bad_input_is_one_line(words, said, bundle_path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CA").write_text(Authority(tmp_path / "authority").path.read_text())
    (tmp_path / "KEY").write_text("key")
    (tmp_path / "FILE").write_bytes(b"")
    assert said in run(*[bundle_path if word == "BUNDLE" else word for word in words], code=2)


def test_other_machines_reach_what_is_for_nodes_and_nothing_else() -> None:
    from flwr.superlink.main import create_app
    from starlette.testclient import TestClient

    app = create_app()
    app.add_middleware(NodesOnly)
    answers: dict[str, Callable[[str], int]] = {}
    for host in ("192.0.2.7", "127.0.0.1"):
        client = TestClient(app, base_url="https://127.0.0.1", client=(host, 4000), raise_server_exceptions=False)
        answers[host] = lambda path, client=client: client.post(path, content=b"").status_code
    closed = ["/v1/control/start-run", "/v1/control/register-node", "/v1/runtime/pull-task-input", "/docs", "/"]
    closed += ["/v1/fleet", "/v1/fleetx/register-node", "/openapi.json"]
    assert {answers["192.0.2.7"](path) for path in closed} == {403}
    assert answers["192.0.2.7"]("/v1/fleet/register-node") != 403
    assert answers["192.0.2.7"]("/v1/fleet/../control/start-run") in (403, 404)
    assert answers["127.0.0.1"]("/v1/control/list-runs") != 403


def test_our_app_holds_no_code_and_no_other_passes_for_it() -> None:
    import io
    import zipfile

    ours = own_app()
    with zipfile.ZipFile(io.BytesIO(ours)) as archive:
        assert archive.namelist() == ["pyproject.toml", ".info/CONTENT"]
    assert is_own(ours)
    more = io.BytesIO(ours)
    with zipfile.ZipFile(more, "a") as archive:
        archive.writestr("edgetl_fleet/client_app.py", "print('code')")
    assert not is_own(more.getvalue()) and not is_own(b"") and not is_own(ours[:-30])
    broken = bytearray(ours)  # what is packed is no longer what was packed
    with zipfile.ZipFile(io.BytesIO(ours)) as archive:
        first = archive.infolist()[0]
    at = first.header_offset + 30 + len(first.filename)
    broken[at : at + 8] = b"\xff" * 8
    assert not is_own(bytes(broken))


def test_flower_s_programs_are_quiet_and_believe_no_header_about_who_asks(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.delenv("FLWR_TELEMETRY_ENABLED", raising=False)
    found = flower.environment(tmp_path)
    assert (found["FORWARDED_ALLOW_IPS"], found["FLWR_TELEMETRY_ENABLED"]) == ("", "0")
    assert found["FLWR_HOME"] == str(tmp_path) and found["PATH"].startswith(str(Path(sys.executable).parent))
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    assert flower.environment(tmp_path)["FLWR_TELEMETRY_ENABLED"] == "1"


def test_a_path_that_flower_would_read_otherwise_is_refused() -> None:
    good = {"home": "/srv/my cameras/a=b", "codes": False, "floor": 3}
    assert flower.parsed_config(flower.config_text(good)) == good
    with pytest.raises(InputError, match="without quotes"):
        flower.config_text({"home": '/srv/a"b'})


def test_the_unit_is_one_that_systemd_takes(tmp_path) -> None:
    text = run("unit", "--user", "pi", "--writes", tmp_path, "node", "--server", "a.example:9092", "--home", "/srv/a b")
    assert 'node --server a.example:9092 --home "/srv/a b"' in text
    assert f"ReadWritePaths={tmp_path}" in text and "User=pi" in text
    path = tmp_path / "edgetl-fleet-node.service"
    path.write_text(text)
    if Path("/usr/bin/systemd-analyze").exists():
        subprocess.run(["/usr/bin/systemd-analyze", "verify", str(path)], check=True, capture_output=True)
