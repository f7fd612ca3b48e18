"""Devices that push to a receiver over the loopback, and what the folder holds then."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from authority import Authority
from conftest import draw, tiny_backbone
from ports import free_port
from processes import wait_for

from edgetl.cli import program as host_program
from edgetl.deployment.receiver import Receiver, Tokens, ask_for_certificates
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.export_file import ExportFile
from edgetl_device.bundle.signing import read_public_key, write_key_pair
from edgetl_device.cli import program as device_program
from edgetl_device.errors import InputError, StorageError
from edgetl_device.home import Home
from edgetl_device.merging import collected as collecting
from edgetl_device.merging.collected import Collected, NotYoursError
from edgetl_device.merging.exports import sources_in
from edgetl_device.merging.merge import merge
from edgetl_device.sending import delivery, receipt
from edgetl_device.sending.outgoing import outgoing
from edgetl_device.sending.push import push as send
from edgetl_device.statistics import statistics_of
from edgetl_device.web.certificate import OWN_FILE, Certificate, OwnCertificate

BACKBONE = tiny_backbone()


def raw(kind: str, start: int, count: int) -> np.ndarray:
    return np.stack([BACKBONE.embed(draw(kind, start + number)) for number in range(count)])


def devices_of(bundle_path: Path, folder: Path, *plans: dict[str, tuple[int, int]]) -> list[Home]:
    """Homes with the bundle in place that learned label → (first, count)."""
    homes = []
    for number, plan in enumerate(plans):
        home = Home(folder / f"device-{number}")
        home.folder.mkdir(parents=True)
        shutil.copyfile(bundle_path, home.bundle_path)
        learner = home.learner()
        for label, (start, count) in plan.items():
            learner.add(label, raw(label, start, count))
        learner.store.close()
        homes.append(home)
    return homes


@pytest.fixture
def push(capfd) -> Callable[..., dict]:
    def run(home: Home, url: str, *options: object, code: int = 0):
        words = ["--home", str(home.folder), "push", url, "--json", "--retries", "0", *map(str, options)]
        assert console.run(device_program, "edgetl-device", words) == code
        told = capfd.readouterr()
        if code:
            (line,) = told.err.strip().splitlines()
            return line.removeprefix("error: ")
        return json.loads(told.out)

    return run


@pytest.fixture
def receiver(tmp_path) -> Iterator[Receiver]:
    with Receiver(Collected(tmp_path / "fleet"), "127.0.0.1", 0) as running:
        yield running


def merged(bundle_path: Path, folder: Path, output: Path) -> bytes:
    """The statistics of the bundle that a folder of exports leads to."""
    output.unlink(missing_ok=True)
    merge(open_bundle(bundle_path), sources_in([folder]), output, accept=True)
    return BundleContent(open_bundle(output)).statistics.to_bytes()


def of_one_machine(bundle_path: Path, *learned: tuple[str, int, int]) -> bytes:
    """Those of one machine that saw all samples."""
    known = BundleContent(open_bundle(bundle_path)).statistics
    codes = BACKBONE.codes(np.concatenate([raw(*each) for each in learned]))
    labels = [label for label, _, count in learned for _ in range(count)]
    return (known + statistics_of(codes, labels, known.backbone, BACKBONE.runtime, known.projection)).to_bytes()


def test_what_three_devices_push_is_what_one_machine_with_all_samples_would_have(
    bundle_path, tmp_path, receiver, push
) -> None:
    """As codes, as sums and as a change; learned, forgotten and relabelled in between; delivered twice."""
    one, two, three = devices_of(
        bundle_path, tmp_path, {"kite": (300, 20)}, {"kite": (400, 2), "ring": (300, 3)}, {"box": (500, 2)}
    )
    first = push(one, receiver.url)
    assert (first["samples"], first["change"], first["new"]) == (20, False, True)
    push(two, receiver.url, "--no-codes")
    push(three, receiver.url)
    new, folder = tmp_path / "new.edgetl", tmp_path / "fleet"
    everything = [("kite", 300, 20), ("kite", 400, 2), ("ring", 300, 3), ("box", 500, 2)]
    assert merged(bundle_path, folder, new) == of_one_machine(bundle_path, *everything)
    learner = one.learner()
    learner.add("ring", raw("ring", 600, 2))
    learner.forget([1, 2])
    learner.relabel("box", [3])
    learner.store.close()
    again = push(one, receiver.url)
    assert again["change"] and again["bytes"] < first["bytes"] and again["new"]
    assert push(one, receiver.url)["new"] is False
    push(two, receiver.url, "--no-codes")
    expected = of_one_machine(bundle_path, ("kite", 303, 17), ("ring", 600, 2), *everything[1:])
    known = BundleContent(open_bundle(bundle_path)).statistics
    moved = statistics_of(
        BACKBONE.codes(raw("kite", 302, 1)), ["box"], known.backbone, BACKBONE.runtime, known.projection
    )
    assert merged(bundle_path, folder, new) == (type(known).from_bytes(expected) + moved).to_bytes()


def test_what_a_device_forgot_leaves_the_merged_bundle_and_the_folder_at_the_next_round(
    bundle_path, tmp_path, receiver, push
) -> None:
    one, two = devices_of(bundle_path, tmp_path, {"kite": (300, 5)}, {"ring": (300, 3)})
    for home in (one, two):
        push(home, receiver.url)
    new, folder = tmp_path / "new.edgetl", tmp_path / "fleet"
    assert merged(bundle_path, folder, new) == of_one_machine(bundle_path, ("kite", 300, 5), ("ring", 300, 3))
    learner = one.learner()
    learner.forget([1])
    learner.store.close()
    assert push(one, receiver.url)["change"]
    assert merged(bundle_path, folder, new) == of_one_machine(bundle_path, ("kite", 301, 4), ("ring", 300, 3))
    gone = BACKBONE.codes(raw("kite", 300, 1))[0].tobytes()
    assert not any(gone in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    learner = one.learner()
    learner.forget_all()
    learner.store.close()
    push(one, receiver.url)
    assert merged(bundle_path, folder, new) == of_one_machine(bundle_path, ("ring", 300, 3))
    assert len(open_bundle(new).manifest["merged"]) == 1


def test_what_a_device_learns_with_the_merged_bundle_comes_on_top_of_what_it_sent_before(
    bundle_path, tmp_path, receiver, push
) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 5)})
    push(one, receiver.url)
    new, folder = tmp_path / "new.edgetl", tmp_path / "fleet"
    merged(bundle_path, folder, new)
    learner = one.learner()
    learner.forget_all()
    learner.store.close()
    shutil.copyfile(new, one.bundle_path)
    learner = one.learner()
    learner.add("ring", raw("ring", 300, 3))
    learner.store.close()
    told = push(one, receiver.url)
    assert (told["samples"], told["change"]) == (3, False)
    assert merged(bundle_path, folder, new) == of_one_machine(bundle_path, ("kite", 300, 5), ("ring", 300, 3))


def test_a_receiver_that_lost_everything_is_sent_all_again(bundle_path, tmp_path, receiver, push) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 5)})
    push(one, receiver.url)
    (kept,) = (tmp_path / "fleet" / "devices").glob("*.stats")
    before = kept.read_bytes()
    for damage in (lambda: kept.unlink(), lambda: kept.write_bytes(before[:-20])):
        damage()
        told = push(one, receiver.url)
        assert (told["change"], told["new"]) == (False, True)
        assert ExportFile.read(kept.read_bytes()).content().to_bytes() == ExportFile.read(before).content().to_bytes()


def test_an_answer_that_got_lost_costs_nothing(bundle_path, tmp_path, receiver, push, monkeypatch) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 5)})

    respond = delivery._response

    def lost(*request: object) -> None:
        with respond(*request):  # it was delivered
            raise ConnectionResetError(104, "Connection reset by peer")

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "_response", lost)
        assert "Connection reset by peer): nothing is lost, push again" in push(one, receiver.url, code=2)
    told = push(one, receiver.url)
    assert told["new"] is False and told["samples"] == 5


def test_an_earlier_export_that_is_delivered_again_changes_nothing(bundle_path, tmp_path, receiver, push) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 5)})
    push(one, receiver.url)
    (kept,) = (tmp_path / "fleet" / "devices").glob("*.stats")
    replay = kept.read_bytes()
    learner = one.learner()
    learner.forget([1])
    learner.store.close()
    push(one, receiver.url)
    now = kept.read_bytes()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(receiver.url + delivery.PATH, replay, method="POST"))
    with refusal.value as answer:
        assert answer.code == 422 and b"a later export of device" in answer.read()
    assert kept.read_bytes() == now


def test_a_device_restored_on_new_hardware_goes_on_and_the_old_one_is_told(
    bundle_path, tmp_path, receiver, push, capfd
) -> None:
    one, other = devices_of(bundle_path, tmp_path, {"kite": (300, 5)}, {})
    push(one, receiver.url)
    backup = tmp_path / "backup"
    assert console.run(device_program, "d", ["--home", str(one.folder), "backup", str(backup)]) == 0
    assert console.run(device_program, "d", ["--home", str(other.folder), "restore", str(backup)]) == 0
    capfd.readouterr()
    told = push(other, receiver.url)
    assert told["samples"] == 5 and told["device"] == one.learner().store.device
    assert "a later export of device" in push(one, receiver.url, code=2)
    (each,) = Collected(tmp_path / "fleet").kept()
    assert each.delivery.note.startswith("restored on other hardware 2")


def test_a_copied_memory_card_is_found_out_and_can_become_a_device_of_its_own(
    bundle_path, tmp_path, receiver, push, monkeypatch
) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    push(one, receiver.url)
    copy = Home(tmp_path / "copy")
    shutil.copytree(one.folder, copy.folder)
    serial = tmp_path / "serial"
    serial.write_text("another Raspberry Pi")
    monkeypatch.setattr(receipt, "_HARDWARE", (serial,))
    assert "was its memory card copied? `edgetl-device push --new-identity` on the copy" in push(
        copy, receiver.url, code=2
    )
    told = push(copy, receiver.url, "--new-identity")
    assert told["new"] and told["device"] != one.learner().store.device
    assert copy.learner().store.device == told["device"] and len(copy.learner().samples()) == 2
    assert push(copy, receiver.url)["new"] is False
    assert len(list(Collected(tmp_path / "fleet").kept())) == 2


def test_copies_of_a_home_on_one_machine_are_sent_all_by_themselves(bundle_path, tmp_path, receiver, push) -> None:
    """Nothing tells them apart, so each push replaces what the other sent; none may end in a step that there is not."""
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    push(one, receiver.url)
    copy = Home(tmp_path / "copy")
    shutil.copytree(one.folder, copy.folder)
    for home, kind in ((one, "ring"), (copy, "box")):
        learner = home.learner()
        learner.add(kind, raw(kind, 300, 1))
        learner.store.close()
    assert [push(home, receiver.url)["change"] for home in (copy, one, copy)] == [True, False, False]


def test_only_who_has_a_token_delivers_and_only_for_its_own_device(bundle_path, tmp_path, push) -> None:
    one, two = devices_of(bundle_path, tmp_path, {"kite": (300, 2)}, {"ring": (300, 2)})
    tokens, mine = tmp_path / "tokens", tmp_path / "mine"
    tokens.write_text("# our cameras\nhall aaaaaaaaaaaaaaaaaaaa\n")
    mine.write_text("aaaaaaaaaaaaaaaaaaaa\n")
    for path in (tokens, mine):
        path.chmod(0o600)
    with Receiver(Collected(tmp_path / "fleet"), "127.0.0.1", 0, Tokens(tokens)) as running:
        assert "no token, or one that is not known here" in push(one, running.url, code=2)
        assert push(one, running.url, "--token-file", mine)["new"]
        tokens.write_text("hall aaaaaaaaaaaaaaaaaaaa\nyard bbbbbbbbbbbbbbbbbbbb\n")
        mine.write_text("bbbbbbbbbbbbbbbbbbbb\n")
        assert "delivers under the name hall" in push(one, running.url, "--token-file", mine, code=2)
        assert push(two, running.url, "--token-file", mine)["new"]
        mine.write_text("token that is \u2192 elsewhere\n")
        assert "the token holds characters that cannot be sent" in push(two, running.url, "--token-file", mine, code=2)
    with Receiver(Collected(tmp_path / "fleet"), "127.0.0.1", 0) as without_tokens:
        assert push(one, without_tokens.url)["samples"] == 2
    assert sorted(each.delivery.name for each in Collected(tmp_path / "fleet").kept()) == ["hall", "yard"]


def test_devices_that_delivered_before_there_were_tokens_get_a_name_with_their_first(tmp_path, bundle_path) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    collected, data = Collected(tmp_path / "fleet"), outgoing(one.learner()).data
    for name, new in (("", True), ("hall", False), ("", False)):
        assert collected.receive(data, name)[1] is new
    assert [each.delivery.name for each in collected.kept()] == ["hall"]
    with pytest.raises(NotYoursError):
        collected.receive(data, "yard")


def test_signed_exports_are_verified_and_go_on_being_signed_when_a_change_was_added(
    bundle_path, tmp_path, push, capfd
) -> None:
    one, two = devices_of(bundle_path, tmp_path, {"kite": (300, 12)}, {"ring": (300, 2)})
    for name in ("one", "two", "stranger"):
        write_key_pair(tmp_path / name)
    trusted = [read_public_key(tmp_path / f"{name}.pub") for name in ("one", "two")]
    with Receiver(Collected(tmp_path / "fleet", trusted), "127.0.0.1", 0) as running:
        assert "not signed" in push(one, running.url, code=2)
        assert "not by the trusted key" in push(one, running.url, "--sign", tmp_path / "stranger.key", code=2)
        push(one, running.url, "--sign", tmp_path / "one.key")
        push(two, running.url, "--sign", tmp_path / "two.key", "--no-codes")
        learner = one.learner()
        learner.forget([1])
        learner.store.close()
        assert push(one, running.url, "--sign", tmp_path / "one.key")["change"]
    run = ["merge", str(bundle_path), str(tmp_path / "fleet"), "-o", str(tmp_path / "new.edgetl"), "--json"]
    keys = [word for name in ("one", "two") for word in ("--public-key", str(tmp_path / f"{name}.pub"))]
    assert console.run(host_program, "edgetl", [*run, *keys]) == 0
    assert json.loads(capfd.readouterr().out)["samples"] == 13
    assert console.run(host_program, "edgetl", [*run, "--force", *keys[:2]]) == 2
    assert "not by the trusted key" in capfd.readouterr().err


def test_tls_with_certificates_of_both_sides_and_what_does_not_fit(bundle_path, tmp_path, push) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "other")
    mine = ours.issue("device")
    server = Certificate(*ours.issue("server"))
    ask_for_certificates(server, ours.path)
    with Receiver(Collected(tmp_path / "fleet"), "127.0.0.1", 0, certificate=server) as running:
        assert running.url.startswith("https://")
        certificate = ("--client-cert", mine[0], "--client-key", mine[1])
        assert push(one, running.url, "--ca", ours.path, *certificate)["new"]
        assert "is not to be trusted" in push(one, running.url, "--ca", theirs.path, *certificate, code=2)
        assert "is not to be trusted" in push(one, running.url, *certificate, code=2)
        assert "push again" in push(one, running.url, "--ca", ours.path, code=2)  # without a certificate
        assert "cannot use the certificates" in push(one, running.url, "--ca", mine[1], code=2)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(*ours.issue("old", -2))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"https://127.0.0.1:{listening.getsockname()[1]}"

        def shake_hands() -> None:
            connection, _ = listening.accept()
            with connection, pytest.raises(ssl.SSLError):
                old.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=shake_hands)
        thread.start()
        said = push(one, address, "--ca", ours.path, code=2)
        thread.join()
    assert "the certificate of 127.0.0.1 has expired by this device's clock (2" in said and "set the clock" in said


def test_a_certificate_that_the_receiver_made_is_trusted_by_its_file(bundle_path, tmp_path, push) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    made = OwnCertificate(tmp_path / "fleet", lambda: ["127.0.0.1"])
    with Receiver(Collected(tmp_path / "fleet"), "127.0.0.1", 0, certificate=made) as running:
        (pem,) = re.findall("-----BEGIN CERT.*", (tmp_path / "fleet" / OWN_FILE).read_text(), re.S)
        (tmp_path / "receiver.pem").write_text(pem)
        assert push(one, running.url, "--ca", tmp_path / "receiver.pem")["new"]
        assert "is not to be trusted" in push(one, running.url, code=2)


def test_who_cannot_be_reached_or_is_somebody_else_is_one_clear_line(bundle_path, tmp_path, push) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"

        def hang_up(answer: bytes) -> None:
            connection, _ = server.accept()
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 " + answer)
            connection.close()

        for answer, message in [
            (b"200 OK\r\nContent-Length: 5\r\n\r\nhello", "answers (200), but is no `edgetl collect`"),
            (b"302 X\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", "answers (302), but is no"),
            (b"500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "nothing is lost, push again"),
        ]:
            thread = threading.Thread(target=hang_up, args=[answer])
            thread.start()
            assert message in push(one, address, code=2)
            thread.join()
    assert "cannot reach 127.0.0.1 (Connection refused)" in push(one, address, code=2)
    assert "is not encrypted" in push(one, "http://example.org", code=2)
    for wrong in (
        "ftp://x",
        "https://",
        "https://user:secret@host",
        "https://h/?q",
        "ssh://host",
        "x",
        "https://h:x",
        "https://a..b",
    ):
        said = push(one, wrong, code=2)
        assert "expected" in said or "is no address" in said or "user name" in said
        assert "secret" not in said


def test_a_full_disk_at_the_receiver_loses_nothing_and_the_round_can_be_run_again(
    bundle_path, tmp_path, receiver, push, monkeypatch
) -> None:
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    real = collecting.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.suffix == ".stats":
            raise StorageError(f"cannot write {path}: No space left on device")
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(collecting, "write_atomically", full)
        assert "No space left on device" in push(one, receiver.url, code=2)
    assert list(Collected(tmp_path / "fleet").kept()) == []
    assert push(one, receiver.url)["new"]


def test_the_receiver_refuses_to_be_open_to_everybody(tmp_path, capfd) -> None:
    authority = Authority(tmp_path)
    certificate, key = map(str, authority.issue("server"))
    tokens = tmp_path / "tokens"
    for words, message in (
        (["--listen", "0.0.0.0:0"], "--tls self, or --tls-cert FILE, encrypts"),
        (["--listen", "0.0.0.0:0", "--tls-cert", certificate, "--tls-key", key], "anybody could deliver"),
        (["--tls", "self", "--tls-cert", certificate], "one of --tls self and --tls-cert"),
        (["--client-ca", certificate], "--client-ca to either"),
        (["--tls-cert", certificate, "--tls-key", certificate], "can be read or changed by others"),
        (["--tls-cert", key, "--tls-key", key], "must be a certificate and its private key"),
        (["--tls-cert", certificate, "--tls-key", key, "--client-ca", key], "cannot use the certificates"),
        (["--listen", "8443"], "expected HOST:PORT"),
        (["--tokens", str(tokens)], "cannot read the token file"),
    ):
        assert console.run(host_program, "edgetl", ["collect", str(tmp_path / "fleet"), *words]) == 2
        assert message in capfd.readouterr().err
    tokens.write_text("hall short\n")
    for mode, message in ((0o644, "token file"), (0o600, "line 1: expected NAME TOKEN")):
        tokens.chmod(mode)
        assert console.run(host_program, "edgetl", ["collect", str(tmp_path / "fleet"), "--tokens", str(tokens)]) == 2
        assert message in capfd.readouterr().err
    assert not (tmp_path / "fleet").exists()


@pytest.mark.parametrize("more", [[], ["--tls", "self"]])
def test_a_file_is_no_folder_to_receive_into(more, tmp_path, capfd) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    photo.chmod(0o644)
    assert console.run(host_program, "edgetl", ["collect", str(photo), "--listen", "127.0.0.1:0", *more]) == 2
    assert "photo.jpg is a file" in capfd.readouterr().err
    assert photo.read_bytes() == b"a photo" and photo.stat().st_mode & 0o777 == 0o644


@pytest.mark.slow
def test_over_ssh_the_same_folder_is_filled(bundle_path, tmp_path, push, monkeypatch) -> None:
    """With a shell in place of ssh: what would run on the other machine runs here."""
    (one,) = devices_of(bundle_path, tmp_path, {"kite": (300, 2)})
    script = tmp_path / "ssh"
    script.write_text(
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = nowhere ] && exit 255; shift; done\n"
        f'edgetl() {{ "{sys.executable}" -m edgetl "$@"; }}\neval "$1"\n'
    )
    script.chmod(0o700)
    monkeypatch.setenv("EDGETL_SSH", str(script))
    assert push(one, f"ssh://server{tmp_path}/fleet")["new"]
    assert len(list(Collected(tmp_path / "fleet").kept())) == 1
    assert "cannot reach nowhere" in push(one, f"ssh://nowhere{tmp_path}/fleet", code=2)
    (tmp_path / "file").write_text("")
    assert "the receiver refused the export" in push(one, f"ssh://server{tmp_path}/file", code=2)


def test_the_fleet_s_state_is_told(bundle_path, tmp_path, push, capfd) -> None:
    one, two = devices_of(bundle_path, tmp_path, {"kite": (300, 20), "ring": (300, 2)}, {"ring": (300, 2)})
    learner = one.learner()
    accuracy = learner.retrain().accuracy
    learner.store.close()
    folder = tmp_path / "fleet"
    assert console.run(host_program, "edgetl", ["fleet", "status", str(tmp_path), "--json"]) == 2
    assert "nothing was received yet" in capfd.readouterr().err
    with Receiver(Collected(folder), "127.0.0.1", 0) as running:
        push(one, running.url, "--floor", 3)
        push(two, running.url)
    (old,) = [path for path in (folder / "devices").glob("*.json") if two.learner().store.device in path.name]
    value = json.loads(old.read_text())
    old.write_text(json.dumps(value | {"received": "2026-01-01T00:00:00+00:00"}))
    words = ["fleet", "status", str(folder), "--bundle", str(bundle_path)]
    assert console.run(host_program, "edgetl", [*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["late"] == 1 and [each["late"] for each in told["devices"]] == [True, False]
    late, fresh = told["devices"]
    assert fresh["accuracy"] == accuracy and (fresh["samples"], fresh["withheld"]) == (20, 2)
    assert fresh["current"] and fresh["held_out"] > 0 and late["accuracy"] is None
    assert console.run(host_program, "edgetl", words) == 0
    shown = capfd.readouterr().out
    assert "2 withheld" in shown and "2 devices, 1 late" in shown and max(map(len, shown.splitlines())) <= 80


def test_devices_that_deliver_at_the_same_time_do_not_disturb_each_other(bundle_path, tmp_path, receiver) -> None:
    homes = devices_of(bundle_path, tmp_path, *({"kite": (300 + number, 1)} for number in range(6)))
    made = [outgoing(home.learner()).data for home in homes]
    deliver = delivery.receiver(receiver.url, delivery.Credentials())
    answers: list[delivery.Answer] = []
    threads = [
        threading.Thread(target=lambda data=data: answers.append(deliver(data))) for data in made for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer.new for answer in answers) == 6 and all(answer.stored for answer in answers)
    learned = [("kite", 300 + number, 1) for number in range(6)]
    assert merged(bundle_path, tmp_path / "fleet", tmp_path / "n.edgetl") == of_one_machine(bundle_path, *learned)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", delivery.PATH, b"", 422, "not an export"),
        ("POST", delivery.PATH, b"hello", 422, "not an export"),
        ("POST", delivery.PATH, b"edgetl export 2\n\xff\xff\xff\xff{}", 422, "cut short"),
        ("POST", delivery.PATH, None, 413, "too large"),
        ("GET", delivery.PATH, b"", 404, "nothing here"),
        ("POST", "/", b"", 404, "nothing here"),
    ],
)
def test_requests_that_no_device_makes_are_answered_in_one_line(receiver, method, path, body, status, message) -> None:
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=20)
    if body is None:  # only claimed
        connection.putrequest(method, path)
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
    else:
        connection.request(method, path, body)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    assert (answer.status, said["receiver"], said["stored"]) == (status, "edgetl", False)
    assert message in said["error"] and "\n" not in said["error"]


def test_what_a_killed_receiver_left_half_written_is_removed(tmp_path) -> None:
    folder = tmp_path / "fleet" / "devices"
    folder.mkdir(parents=True)
    old, new = folder / ".device.stats.abc", folder / ".device.stats.def"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    Collected(tmp_path / "fleet").sweep()
    assert [path.name for path in folder.iterdir()] == [new.name]


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.slow
def test_a_receiver_that_is_killed_has_all_that_it_acknowledged(bundle_path, tmp_path) -> None:
    """Killed while four devices learn and push as fast as they can; then started again."""
    folder, acknowledged = tmp_path / "fleet", {}
    homes = devices_of(bundle_path, tmp_path, *({"kite": (300 + 10 * number, 2)} for number in range(4)))
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "edgetl", "collect", str(folder), "--listen", address]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: process.poll() is not None or answers(port), within_s=120)

    def learn_and_push(home: Home) -> None:
        learner, deliver = home.learner(), delivery.receiver(f"http://{address}", delivery.Credentials())
        try:
            while True:
                learner.add("ring", raw("ring", 300, 1))
                made = outgoing(learner)
                send(home.folder, address, deliver, made, retries=4 if not acknowledged.get(made.export.device) else 0)
                acknowledged.setdefault(made.export.device, []).append(made.export)
        except InputError:  # the receiver is gone
            learner.store.close()

    threads = [threading.Thread(target=learn_and_push, args=(home,)) for home in homes]
    for thread in threads:
        thread.start()
    try:
        devices = [home.learner().store.device for home in homes]
        wait_for(lambda: min(len(acknowledged.get(device, ())) for device in devices) >= 3, within_s=120)
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()
    kept = {each.header.device: each.header for each in Collected(folder).kept()}
    assert len(kept) == 4
    for device, exports in acknowledged.items():
        assert kept[device].sequence >= exports[-1].sequence
    with Receiver(Collected(folder), "127.0.0.1", 0) as running:
        for home in homes:
            learner = home.learner()
            assert send(home.folder, address, delivery.receiver(running.url, delivery.Credentials()), outgoing(learner))
    last = {each.header.device: each.header.sequence for each in Collected(folder).kept()}
    assert last == {home.learner().store.device: home.learner().store.sequence() for home in homes}
