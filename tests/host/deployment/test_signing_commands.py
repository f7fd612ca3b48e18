import json

import numpy as np
import pytest
from conftest import draw, tiny_backbone
from tiny_source import tiny_source

from edgetl.cli import program
from edgetl.conversion.convert import Options, convert
from edgetl.models import sources
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.signing import read_private_key, read_public_key
from edgetl_device.cli import program as device_program


@pytest.fixture
def edgetl(capsys):
    """Run a program in this process: ``(program, arguments…, code=0)`` → its JSON, or what it said on stderr."""

    def run(program, *arguments: object, code: int = 0):
        capsys.readouterr()
        found = console.run(program, "edgetl", [*map(str, arguments), "--json"])
        said = capsys.readouterr()
        assert found == code, said.err
        return json.loads(said.out) if code == 0 else said.err

    return run


def test_keygen_tells_where_the_halves_are_and_refuses_to_replace_them(edgetl, tmp_path) -> None:
    made = edgetl(program, "keygen", tmp_path / "keys" / "owner")
    assert made["public_key"].endswith("owner.pub")
    assert made["fingerprint"] == read_public_key(tmp_path / "keys" / "owner.pub").fingerprint
    refused = edgetl(program, "keygen", tmp_path / "keys" / "owner", code=2)
    assert "owner.key: File exists: give another PREFIX; a key is never overwritten" in refused


def test_sign_signs_a_bundle_in_place_or_elsewhere(edgetl, tmp_path, bundle_path) -> None:
    edgetl(program, "keygen", tmp_path / "owner")
    trusted = read_public_key(tmp_path / "owner.pub")
    new = tmp_path / "new.edgetl"
    told = edgetl(program, "sign", bundle_path, "--key", tmp_path / "owner.key", "-o", new)
    assert open_bundle(new, trusted).signed == told["signed"]
    assert "exists" in edgetl(program, "sign", bundle_path, "--key", tmp_path / "owner.key", "-o", new, code=2)
    new.write_bytes(bundle_path.read_bytes())
    edgetl(program, "sign", new, "--key", tmp_path / "owner.key")
    assert open_bundle(new, trusted).signed


@pytest.mark.slow
def test_convert_writes_a_signed_bundle_at_once_and_tells_its_size(edgetl, tmp_path, monkeypatch) -> None:
    edgetl(program, "keygen", tmp_path / "owner")
    key, new = read_private_key(tmp_path / "owner.key"), tmp_path / "new.edgetl"
    source = tiny_source(tmp_path / "photos")
    done = convert(lambda: source, new, Options(max_drop=1), key=key)
    assert open_bundle(new, key.public).signed and done.size_bytes == new.stat().st_size
    monkeypatch.setattr(sources, "open_source", lambda *arguments, **options: source)
    options = ("--max-drop", 1, "--sign", tmp_path / "owner.key", "--force")
    told = edgetl(program, "convert", "run", "-o", new, *options)
    assert open_bundle(new, key.public).signed and told["size_bytes"] == new.stat().st_size


def test_merging_into_a_signed_bundle_says_that_the_result_is_not(tmp_path, bundle_path, home, capsys) -> None:
    def run(program, *arguments: object) -> str:
        assert console.run(program, "edgetl", [*map(str, arguments)]) == 0
        return capsys.readouterr().err

    run(program, "keygen", tmp_path / "owner")
    sign, signed, new = ("--sign", tmp_path / "owner.key"), tmp_path / "signed.edgetl", tmp_path / "new.edgetl"
    run(program, "sign", bundle_path, "--key", tmp_path / "owner.key", "-o", signed)
    home.learner().add("kite", tiny_backbone().embed(draw("kite", 0))[None])
    run(device_program, "--home", home.folder, "export-stats", tmp_path / "stats")
    note = f"{signed} was signed, {new} is not: --sign KEY"
    assert note in run(program, "merge", signed, tmp_path / "stats", "-o", new)
    assert "signed" not in run(program, "merge", signed, tmp_path / "stats", "-o", new, "--force", *sign)
    assert "signed" not in run(program, "merge", bundle_path, tmp_path / "stats", "-o", new, "--force")


def test_merge_accepts_only_statistics_that_the_key_signed_and_signs_the_result(
    edgetl, tmp_path, bundle_path, home
) -> None:
    edgetl(program, "keygen", tmp_path / "device")
    learner = home.learner()
    backbone = tiny_backbone()
    learner.add("kite", np.stack([backbone.embed(draw("kite", n)) for n in range(3)]))
    for name, options in (("signed", ("--sign", tmp_path / "device.key")), ("plain", ())):
        edgetl(device_program, "--home", home.folder, "export-stats", tmp_path / name, *options)
    new, trust = tmp_path / "new.edgetl", ("--public-key", tmp_path / "device.pub")
    refused = edgetl(program, "merge", bundle_path, tmp_path / "plain", "-o", new, *trust, code=2)
    assert "plain: not signed: `edgetl-device export-stats FILE --sign KEY` signs" in refused and not new.exists()
    sign = ("--sign", tmp_path / "device.key")
    assert edgetl(program, "merge", bundle_path, tmp_path / "signed", "-o", new, *trust, *sign)["samples"] == 3
    assert open_bundle(new, read_public_key(tmp_path / "device.pub")).labels == ("ball", "box", "kite")
