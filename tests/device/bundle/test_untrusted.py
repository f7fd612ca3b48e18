"""A bundle is untrusted input: whatever is wrong with it, it is refused, quickly, in little memory, and nothing changes."""

import contextlib
import functools
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hostile_bundles import ATTACKS, SIZE, members_of, sealed
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.arrays import pack, text_array, unpack
from edgetl_device.bundle import bundle as bundle_module
from edgetl_device.bundle import content
from edgetl_device.bundle.bundle import Bundle, open_bundle, read_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import BundleError, EdgetlError
from edgetl_device.home import Home
from edgetl_device.preprocess import Preprocessing


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_in_2_seconds_and_64_megabytes_and_changes_nothing(
    name: str, home: Home, tmp_path, bundle_path
) -> None:
    path = tmp_path / "attack" / "attack.edgetl"
    path.parent.mkdir()
    path.write_bytes(ATTACKS[name](bundle_path.read_bytes()))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(EdgetlError) as refusal:
            home.install(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 2
    assert peak < 64 << 20
    assert len(str(refusal.value).splitlines()) == 1
    assert not Path("/tmp/edgetl-was-here").exists()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_thousand_flipped_bits_are_all_noticed(bundle_path) -> None:
    data = bundle_path.read_bytes()
    generator = np.random.default_rng(0)
    damaged = bytearray(data)
    for position, bit in zip(generator.integers(0, len(data), 1000), generator.integers(0, 8, 1000), strict=True):
        damaged[position] ^= 1 << bit
        with pytest.raises(BundleError):
            read_bundle(bytes(damaged))
        damaged[position] ^= 1 << bit
    assert bytes(damaged) == data


def test_two_hundred_truncations_are_all_noticed(bundle_path) -> None:
    data = bundle_path.read_bytes()
    for length in np.random.default_rng(0).integers(0, len(data), 200):
        with pytest.raises(BundleError):
            read_bundle(data[:length])


def test_flipped_bits_are_noticed_too_when_the_attacker_mends_the_checksum(bundle_path) -> None:
    """Then it is the members' hashes that tell; what is left are fields of the zip format that nothing is read from."""
    data = bundle_path.read_bytes()
    good = read_bundle(data)
    generator = np.random.default_rng(1)
    for position in generator.integers(0, len(data) - SIZE, 1000):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.integers(0, 8)
        try:
            found = read_bundle(sealed(bytes(damaged)))
        except BundleError:
            continue
        assert {**found.members} == {**good.members} and found.manifest == good.manifest


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "format",
    "name",
    "created",
    "labels",
    "head",
    "preprocessing",
    "codes",
    "backbone",
    "members",
    "signed",
    "parity",
]


@functools.cache
def good_manifest(path: Path) -> dict:
    return json.loads(members_of(path.read_bytes())["manifest.json"])


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=3))
def test_any_manifest_is_read_or_refused_and_never_crashes_the_reader(bundle_path, changes) -> None:
    """A manifest that is accepted can be used: whatever it says, its values have the types that everybody expects."""
    try:
        found = bundle_module._manifest(json.dumps(good_manifest(bundle_path) | changes).encode())
    except BundleError as error:
        assert len(str(error).splitlines()) == 1
        return
    bundle = Bundle(found, {}, "")
    assert isinstance(bundle.name, str) and isinstance(bundle.preprocessing, Preprocessing)
    assert (bundle.codes.dimension > 0 and bundle.signed is None) or bundle.signed.endswith("+00:00")
    with contextlib.suppress(EdgetlError):
        assert isinstance(BundleContent(bundle).rule, str)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300))
def test_any_bytes_as_manifest_are_refused_cleanly(data: bytes) -> None:
    with pytest.raises(BundleError):
        bundle_module._manifest(data)


@pytest.mark.parametrize("merged", [1, None, "abc", [1], {"abc": 1}])
def test_merged_devices_that_are_no_list_of_names_are_refused(bundle_path, merged) -> None:
    with pytest.raises(BundleError, match="merged devices must be a list"):
        bundle_module._manifest(json.dumps(good_manifest(bundle_path) | {"merged": merged}).encode())


def test_a_backbone_without_a_name_is_refused(bundle_path) -> None:
    with pytest.raises(BundleError, match="does not name its backbone"):
        bundle_module._manifest(json.dumps(good_manifest(bundle_path) | {"backbone": {}}).encode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_refused(bundle_path, value) -> None:
    with pytest.raises(BundleError, match="is not JSON"):
        bundle_module._manifest(json.dumps(good_manifest(bundle_path) | {"parity": {"agreement": value}}).encode())


@pytest.mark.parametrize("labels", [["(nothing)"], ["unknown"], ["ball", "unknown"]])
def test_labels_that_are_no_class_are_refused(bundle_path, labels) -> None:
    with pytest.raises(BundleError, match=r"is background and no class|is reserved"):
        bundle_module._manifest(json.dumps(good_manifest(bundle_path) | {"labels": labels}).encode())


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 20, "9" * 400])
def test_numbers_that_nobody_can_compute_with_are_refused(bundle_path, number) -> None:
    text = json.dumps(good_manifest(bundle_path) | {"embedding_scale": "@"}).replace('"@"', number)
    with pytest.raises(BundleError, match="is too large a number"):
        bundle_module._manifest(text.encode())


@pytest.mark.parametrize("array", [np.int8(1), np.zeros(64, np.int8), np.zeros((40, 64), np.float32)])
@pytest.mark.parametrize(
    ("member", "name", "part"),
    [
        ("holdout.npz", "raw", "holdout"),
        ("holdout.npz", "raw", "holdout_raw"),
        ("holdout.npz", "seen", "seen"),
        ("check.npz", "raw", "check"),
        ("check.npz", "photos", "check"),
        ("head.npz", "weights", "correction"),
        ("head.npz", "bias", "correction"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(bundle_path, member, name, part, array) -> None:
    members = members_of(bundle_path.read_bytes())
    head = {"labels": text_array(("ball",)), "weights": np.zeros((1, 64), np.float32), "bias": np.zeros(1, np.float32)}
    arrays = {**(head if member == "head.npz" else unpack(members[member])), name: np.asarray(array)}
    bundle = Bundle(good_manifest(bundle_path), members | {member: pack(arrays)}, "")
    with pytest.raises(BundleError):
        getattr(BundleContent(bundle), part)


def test_a_holdout_of_strange_classes_is_refused(bundle_path) -> None:
    members = members_of(bundle_path.read_bytes())
    arrays = unpack(members["holdout.npz"]) | {"labels": text_array(("kite",) * 40)}
    bundle = Bundle(good_manifest(bundle_path), members | {"holdout.npz": pack(arrays)}, "")
    with pytest.raises(BundleError, match="other labels than the manifest"):
        assert BundleContent(bundle).holdout


def repeated(name: str, count: int) -> dict[str, np.ndarray]:
    """An array of a good bundle's holdout or check photos, with its rows repeated to so many."""
    return {name: np.zeros((count, {"raw": 64, "seen": 8}[name]), np.int8 if name == "raw" else np.uint8)}


@pytest.mark.parametrize(
    ("member", "arrays", "part", "message"),
    [
        (
            "holdout.npz",
            repeated("raw", 201) | {"labels": text_array(("ball",) * 201)},
            "holdout",
            "at most 100 embedd",
        ),
        (
            "holdout.npz",
            repeated("raw", 150) | {"labels": text_array(("box",) * 150)},
            "holdout",
            "more than 100 embedd",
        ),
        ("holdout.npz", repeated("raw", 201), "holdout_raw", "at most 100 embeddings a class"),
        ("holdout.npz", repeated("seen", (1 << 20) + 1), "seen", "at most 1048576 fingerprints"),
        (
            "check.npz",
            repeated("raw", 33) | {"photos": np.zeros((33, 32, 32, 3), np.uint8), "labels": text_array(("",) * 33)},
            "check",
            "at most 32 photos",
        ),
        ("check.npz", {"labels": text_array(("",) * 99)}, "check", "at most 3 strings"),
    ],
)
def test_more_than_the_format_needs_is_refused(bundle_path, member, arrays, part, message) -> None:
    members = members_of(bundle_path.read_bytes())
    changed = {member: pack(unpack(members[member]) | arrays)}
    with pytest.raises(BundleError, match=message):
        getattr(BundleContent(Bundle(good_manifest(bundle_path), members | changed, "")), part)


def test_a_holdout_of_many_classes_and_features_is_bounded_as_a_whole(bundle_path, monkeypatch) -> None:
    monkeypatch.setattr(content, "MAX_HOLDOUT_BYTES", 39 * 64)
    with pytest.raises(BundleError, match="got 40 of 64 features"):
        assert BundleContent(open_bundle(bundle_path)).holdout
