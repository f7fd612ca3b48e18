"""What a server and a node look at before Flower's programs start: fast, and without these."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: `make test-fleet` gives it an environment of its own")

from authority import Authority

from edgetl_device import console
from edgetl_fleet import flower
from edgetl_fleet.cli import program
from edgetl_fleet.serving import claim
from edgetl_fleet.supernode import NOT_TAKEN, STOPPED, guarded

BECOMES = """
import os, sys
from pathlib import Path
from edgetl_fleet.serving import claim
claim(Path(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", "print('here', flush=True); input()"])
"""


@pytest.fixture
def run(capfd, monkeypatch) -> Callable[..., str]:
    """A command that must be refused before a program of Flower starts → its one line."""

    def become(*_: object) -> None:
        raise AssertionError("it started")

    monkeypatch.setattr(flower, "become", become)

    def refused(*words: object) -> str:
        assert console.run(program, "edgetl-fleet", [str(word) for word in words]) == 2
        (line,) = capfd.readouterr().err.strip().splitlines()
        return line.removeprefix("error: ")

    return refused


def test_a_second_server_on_a_folder_is_refused_as_long_as_the_first_lives(tmp_path, run) -> None:
    """Also when the first has become a program of Flower; and its connection stays as it was."""
    first = subprocess.Popen(
        [sys.executable, "-c", BECOMES, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout is not None and first.stdout.readline() == "here\n"
        said = run("server", tmp_path, "--listen", f"127.0.0.1:{flower.free_port()}")
        assert said.startswith(f"a server of {tmp_path} runs already (process {first.pid})")
        assert not (tmp_path / "flower").exists()
        first.kill()
    claim(tmp_path)


def test_a_file_is_no_folder_of_a_server(tmp_path, run) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    photo.chmod(0o644)
    assert "photo.jpg is a file: expected a folder" in run("server", photo)
    assert photo.read_bytes() == b"a photo" and photo.stat().st_mode & 0o777 == 0o644


def test_a_port_in_use_and_an_address_of_others_are_one_line(tmp_path, run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = f"127.0.0.1:{listening.getsockname()[1]}"
        said = run("server", tmp_path / "fleet", "--listen", taken)
    assert said == f"cannot listen on {taken} (Address already in use): choose another with --listen HOST:PORT"
    assert "cannot listen on 192.0.2.7:9092 (" in run("server", tmp_path / "other", "--listen", "192.0.2.7:9092")
    assert not list(tmp_path.glob("*/flower"))


def key_of(folder: Path, kind: str, *options: str) -> Path:
    path = folder / f"{kind}{len(options)}"
    words = ["ssh-keygen", "-q", "-t", kind, *(options or ("-N", "")), "-f", str(path)]
    subprocess.run(words, check=True)
    return path


def test_a_node_names_a_wrong_key_and_a_missing_export_before_it_starts(tmp_path, run) -> None:
    authority, key = Authority(tmp_path / "authority").path, key_of(tmp_path, "ecdsa")
    export = tmp_path / "device.stats"
    words = ["node", "--server", f"127.0.0.1:{flower.free_port()}", "--ca", authority]
    assert run(*words, "--key", key, "--export", export) == f"cannot read {export}: No such file or directory"
    export.write_bytes(b"")
    secret = key_of(tmp_path, "ecdsa", "-N", "a word of passage")
    for wrong, said in (
        (key.with_suffix(".pub"), "is no private key of ssh-keygen -t ecdsa: NAME is the private key"),
        (key_of(tmp_path, "ed25519"), "is no private key of ssh-keygen -t ecdsa"),
        (secret, "is encrypted: a node that starts by itself needs one without"),
        (tmp_path / "none", "cannot read "),
    ):
        assert said in run(*words, "--key", wrong, "--export", export)
    words[2] = "here"
    assert "here is no address of a server: expected HOST:PORT" in run(*words, "--key", key, "--export", export)


def test_a_node_says_that_its_server_does_not_answer(tmp_path, capfd, monkeypatch) -> None:
    monkeypatch.setattr(flower, "become", lambda *_: None)
    server, key = f"127.0.0.1:{flower.free_port()}", key_of(tmp_path, "ecdsa")
    export = tmp_path / "device.stats"
    export.write_bytes(b"")
    words = ["node", "--server", server, "--ca", Authority(tmp_path / "authority").path, "--key", key]
    assert console.run(program, "edgetl-fleet", [*map(str, words), "--export", str(export)]) == 0
    assert f"{server} does not answer (Connection refused): trying until it does" in capfd.readouterr().err


@pytest.mark.parametrize(("code", "said"), [(0, STOPPED), (1, NOT_TAKEN)])
def test_who_stops_a_node_is_not_told_that_the_server_refused_it(code, said, caplog) -> None:
    @contextmanager
    def connect() -> Iterator[None]:
        raise SystemExit(code)
        yield

    with pytest.raises(SystemExit), guarded(connect)():
        raise AssertionError("it was taken")
    assert caplog.messages == [said]


def test_only_public_keys_of_the_right_kind_are_registered_and_with_a_running_server(tmp_path, run) -> None:
    """Checked here before Flower is asked, whose last line would be an address on the web."""
    fleet, key = tmp_path / "fleet", key_of(tmp_path, "ecdsa")
    photo, other = tmp_path / "photo.jpg", key_of(tmp_path, "ed25519").with_suffix(".pub")
    photo.write_bytes(b"\xff\xd8 a photo")
    for wrong in (photo, other, key):
        said = run("register", fleet, wrong)
        assert said.startswith(f"{wrong} is no public key of ssh-keygen -t ecdsa: `ssh-keygen")
    right = key.with_suffix(".pub")
    assert "is no folder of a server" in run("register", fleet, right)
    flower.write_connection(fleet / "flower", flower.free_port(), tmp_path / "authority.pem")
    assert run("register", fleet, right) == f"no server runs for {fleet}: `edgetl-fleet server {fleet}` starts it"
    (fleet / "flower" / "config.toml").write_text("nothing of ours")
    assert "start the server again" in run("register", fleet, right)
