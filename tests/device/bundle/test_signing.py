import shutil
import stat
import subprocess

import numpy as np
import pytest
from conftest import draw, tiny_backbone
from export_format_1 import first_format

from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle, read_bundle, sign_bundle, write_bundle
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.signing import EXPORT, read_private_key, read_public_key, write_key_pair
from edgetl_device.cli import program
from edgetl_device.errors import InputError, SignatureError, StorageError
from edgetl_device.home import Home
from edgetl_device.statistics import no_statistics, statistics_of

pytest.importorskip("cryptography")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")


@pytest.fixture
def key(tmp_path):
    write_key_pair(tmp_path / "owner")
    return read_private_key(tmp_path / "owner.key")


@pytest.fixture
def signed_at(bundle_path, tmp_path, key, monkeypatch):
    """A factory of bundles signed at a time."""

    def make(seconds: int, by=key, name: str = "toys"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(seconds))
        path = tmp_path / f"{name}-{seconds}.edgetl"
        sign_bundle(open_bundle(bundle_path), path, by)
        return path

    return make


@needs_openssl
def test_a_key_pair_is_plain_pem_that_openssl_reads_and_the_secret_half_is_its_owners_alone(tmp_path) -> None:
    public = write_key_pair(tmp_path / "owner")
    assert stat.S_IMODE((tmp_path / "owner.key").stat().st_mode) == 0o600
    assert (
        read_public_key(tmp_path / "owner.pub").raw == public.raw == read_private_key(tmp_path / "owner.key").public.raw
    )
    told = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "owner.key", "-pubout"], capture_output=True, text=True, check=True
    )
    assert told.stdout == (tmp_path / "owner.pub").read_text()


def test_an_existing_key_is_never_overwritten_and_no_half_pair_is_left(tmp_path) -> None:
    (tmp_path / "owner.pub").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot write .*owner\.pub: File exists"):
        write_key_pair(tmp_path / "owner")
    assert [path.name for path in tmp_path.iterdir()] == ["owner.pub"]


@needs_openssl
def test_a_signature_is_one_that_openssl_verifies(tmp_path, key, signed_at) -> None:
    bundle = open_bundle(signed_at(1_700_000_000))
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(signed_at(1_700_000_000).read_bytes())) as archive:
        (tmp_path / "message").write_bytes(b"edgetl bundle manifest\0" + archive.read("manifest.json"))
    (tmp_path / "signature").write_bytes(bundle.members["manifest.sig"])
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "owner.pub",
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "signature",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_the_same_bundle_key_and_time_give_the_same_bytes(signed_at) -> None:
    assert signed_at(1_700_000_000).read_bytes() == signed_at(1_700_000_000, name="again").read_bytes()


def test_signing_again_replaces_the_signature_and_its_time(signed_at, tmp_path, key, monkeypatch) -> None:
    first = signed_at(1_700_000_000)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    sign_bundle(open_bundle(first), tmp_path / "later.edgetl", key)
    later = open_bundle(tmp_path / "later.edgetl", key.public)
    assert (open_bundle(first).signed, later.signed) == ("2023-11-14T22:13:20+00:00", "2027-01-15T08:00:00+00:00")


def test_a_bundle_written_anew_is_not_signed_any_more(signed_at, tmp_path) -> None:
    bundle = open_bundle(signed_at(1_700_000_000))
    write_bundle(tmp_path / "plain.edgetl", bundle.manifest, bundle.members)
    plain = open_bundle(tmp_path / "plain.edgetl")
    assert plain.signed is None and "manifest.sig" not in plain.members


@needs_openssl
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "is not a private key"),
        ("ec", "another kind of key: expected Ed25519"),
        ("encrypted", "is encrypted"),
        (None, "cannot read the key"),
    ],
)
def test_what_is_no_signing_key_is_refused_with_the_reason(tmp_path, content, message: str) -> None:
    path = tmp_path / "x.key"
    if content == "ec":
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", path], check=True, capture_output=True)
    elif content == "encrypted":
        command = ["openssl", "genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:secret", "-out", path]
        subprocess.run(command, check=True, capture_output=True)
    elif content:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_private_key(path)


def test_the_private_key_is_not_taken_for_the_public_one(tmp_path, key) -> None:
    with pytest.raises(InputError, match="must stay on the workstation"):
        read_public_key(tmp_path / "owner.key")


def test_a_device_that_trusts_a_key_refuses_everything_else_and_keeps_what_runs(
    tmp_path, signed_at, bundle_path, key
) -> None:
    home = Home(tmp_path / "home")
    write_key_pair(tmp_path / "stranger")
    good = signed_at(1_700_000_000)
    strange = signed_at(1_700_000_001, by=read_private_key(tmp_path / "stranger.key"), name="strange")
    home.install(good, public_key=tmp_path / "owner.pub")
    running = home.bundle_path.read_bytes()
    assert running == good.read_bytes()
    with pytest.raises(SignatureError, match=r"toys\.edgetl: not signed, but only what the key SHA256:"):
        home.install(bundle_path)
    with pytest.raises(SignatureError, match="not by the trusted key"):
        home.install(strange)
    with pytest.raises(SignatureError, match="this device trusts another key"):
        home.install(strange, public_key=tmp_path / "stranger.pub")
    assert home.bundle_path.read_bytes() == running
    assert home.trusted().raw == key.public.raw


def test_a_key_is_not_trusted_because_of_a_bundle_it_did_not_sign(tmp_path, bundle_path, key) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(SignatureError):
        home.install(bundle_path, public_key=tmp_path / "owner.pub")
    assert home.trusted() is None and not home.folder.exists()


def test_a_bundle_signed_before_the_current_one_is_a_downgrade(tmp_path, signed_at) -> None:
    home = Home(tmp_path / "home")
    old, new = signed_at(1_700_000_000), signed_at(1_700_000_060)
    home.install(old, public_key=tmp_path / "owner.pub")
    home.install(new)
    home.install(new)  # again: not older
    with pytest.raises(SignatureError, match="downgrade: it was signed 2023-11-14T22:13:20"):
        home.install(old)
    assert home.bundle().signed == "2023-11-14T22:14:20+00:00"
    home.install(old, allow_downgrade=True)
    assert home.bundle().signed == "2023-11-14T22:13:20+00:00"


def test_a_damaged_current_bundle_does_not_keep_a_good_one_out(tmp_path, signed_at) -> None:
    home = Home(tmp_path / "home")
    good = signed_at(1_700_000_000)
    home.install(good, public_key=tmp_path / "owner.pub")
    home.bundle_path.write_bytes(b"rubbish")
    home.install(good)
    assert home.bundle().signed == "2023-11-14T22:13:20+00:00"


def test_without_a_trusted_key_signed_and_unsigned_bundles_are_welcome(tmp_path, signed_at, bundle_path) -> None:
    home = Home(tmp_path / "home")
    home.install(signed_at(1_700_000_060))
    home.install(signed_at(1_700_000_000))
    home.install(bundle_path)


def test_a_changed_time_of_signing_breaks_the_signature(signed_at, key) -> None:
    from test_bundle import manifest, rebuilt

    forged = rebuilt(signed_at(1_700_000_000).read_bytes(), manifest(signed="2099-01-01T00:00:00+00:00"))
    assert read_bundle(forged).signed.startswith("2099")
    with pytest.raises(SignatureError):
        read_bundle(forged, key.public)


@pytest.mark.parametrize("text", ["", "../../x", "a\nb", "\x1b[2J", "\u202e", "x" * 65])
def test_an_export_of_a_strange_device_or_time_is_refused(text) -> None:
    nothing = no_statistics("f" * 64, 8)
    strange = Export(text, "2026-01-01", nothing)
    for data in (strange.to_bytes(), first_format(strange), first_format(Export("device", text, nothing))):
        with pytest.raises(InputError, match=r"device|text|strings"):
            Export.from_bytes(data)


def test_an_export_is_signed_and_verified(key, tmp_path) -> None:
    backbone = tiny_backbone()
    rows = backbone.codes(np.stack([backbone.embed(draw("kite", n)) for n in range(3)]))
    export = Export("device", "2026-01-01", statistics_of(rows, ["kite"] * 3, backbone.digest, backbone.runtime))
    write_key_pair(tmp_path / "stranger")
    stranger = read_public_key(tmp_path / "stranger.pub")
    for written in (Export.to_bytes, first_format):
        signed = written(export, key)
        assert Export.from_bytes(signed, key.public).to_bytes() == export.to_bytes()
        assert Export.from_bytes(signed, [stranger, key.public]).samples == 3
        assert Export.from_bytes(signed).statistics.samples == 3  # who trusts no key can read it too
        changed = bytearray(signed)
        changed[len(changed) // 2] ^= 1
        for data, trusted in ((written(export), key.public), (signed, stranger), (bytes(changed), key.public)):
            with pytest.raises(SignatureError):
                Export.from_bytes(data, trusted)


def test_a_signature_for_one_purpose_is_worth_nothing_for_another(key) -> None:
    with pytest.raises(SignatureError):
        key.public.verify(EXPORT, b"content", key.sign(b"edgetl bundle manifest", b"content"))


def test_without_cryptography_a_trusting_device_refuses_and_says_what_to_install(
    tmp_path, signed_at, monkeypatch, capsys
) -> None:
    import sys

    home = Home(tmp_path / "home")
    bundle = signed_at(1_700_000_000)
    home.install(bundle, public_key=tmp_path / "owner.pub")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    code = console.run(program, "edgetl-device", ["--home", str(home.folder), "install", str(bundle)])
    assert code == 2 and "pip install 'edgetl-device[sign]'" in capsys.readouterr().err
