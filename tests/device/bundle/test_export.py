"""Exports of format 2: what is in them, what a change leads to, and what is refused."""

import hashlib
import io
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.arrays import pack
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.export_file import (
    MAGIC,
    ExportFile,
    ExportHeader,
    SendAllError,
    blank_header,
    changed_export,
    whole_export,
)
from edgetl_device.bundle.exported_samples import ExportedSamples, no_samples, samples_of
from edgetl_device.bundle.signing import read_private_key, write_key_pair
from edgetl_device.errors import EdgetlError, InputError, SignatureError
from edgetl_device.statistics import statistics_of

BACKBONE, RUNTIME = "b" * 64, "litert-1"


def samples(ids: list[int], labels: list[str] | None = None, dimension: int = 24) -> ExportedSamples:
    """Whose codes follow from their numbers."""
    codes = np.stack([np.random.default_rng(i).integers(0, 255, dimension) for i in ids]).astype(np.uint8)
    return samples_of(BACKBONE, ids, labels or [f"class-{i % 3}" for i in ids], [RUNTIME] * len(ids), codes)


def header(sequence: int = 1) -> ExportHeader:
    return blank_header("device", sequence, facts={"bundle": "pets", "accuracy": 0.5, "held_out": None})


def test_samples_and_statistics_come_back_as_they_were_and_mean_the_same() -> None:
    some = samples([1, 2, 3, 5, 8])
    for content in (some, some.statistics(), no_samples(BACKBONE, 24)):
        read = Export.from_bytes(whole_export(header(7), content))
        assert type(read.content) is type(content) and read.content.to_bytes() == content.to_bytes()
        assert (read.device, read.sequence, read.samples) == ("device", 7, len(content.counts) and read.samples)
        assert read.header is not None and read.header.facts["accuracy"] == 0.5
    assert Export.from_bytes(whole_export(header(), some)).statistics.to_bytes() == some.statistics().to_bytes()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc")), max_size=12, unique_by=lambda pair: pair[0]),
       st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc")), max_size=12, unique_by=lambda pair: pair[0]))  # fmt: skip
def test_a_change_leads_to_the_very_bytes_of_the_whole(before, after) -> None:
    """Whatever was learned, forgotten and relabelled in between."""

    def of(pairs) -> ExportedSamples:
        pairs = sorted(pairs)
        return samples([i for i, _ in pairs], [label for _, label in pairs]) if pairs else no_samples(BACKBONE, 24)

    old, new = of(before), of(after)
    change = ExportFile.read(changed_export(header(2), 1, old.label_by_id(), new))
    assert change.header.base == 1 and change.content(old).to_bytes() == new.to_bytes()
    kept = ExportFile.read(change.whole(old).to_bytes())
    assert kept.header == change.header and kept.content().to_bytes() == new.to_bytes()


def test_a_change_is_small() -> None:
    many = samples(list(range(1, 101)), dimension=1280)
    whole = whole_export(header(), many)
    more = samples([*range(1, 101), 120], dimension=1280)
    change = changed_export(header(2), 1, many.label_by_id(), more)
    assert len(change) < 3600 and len(whole) < 1.05 * 128_000  # uniform noise: real codes are smaller


def test_a_change_of_something_else_is_refused() -> None:
    change = ExportFile.read(changed_export(header(2), 1, samples([1, 2]).label_by_id(), samples([2, 3])))
    for before in (None, samples([2]), samples([1, 2, 4]), samples([1, 2, 3]), samples([1]).statistics()):
        with pytest.raises(SendAllError, match="send all"):
            change.content(before)


def test_the_signature_of_a_change_holds_for_the_whole_that_is_kept(tmp_path) -> None:
    write_key_pair(tmp_path / "k")
    key = read_private_key(tmp_path / "k.key")
    old, new = samples([1, 2]), samples([2, 3])
    change = ExportFile.read(changed_export(header(2), 1, old.label_by_id(), new, key), [key.public])
    kept = change.whole(old).to_bytes()
    assert Export.from_bytes(kept, key.public).content.to_bytes() == new.to_bytes()
    forged = kept.replace(new.codes[1].tobytes(), bytes(24))
    with pytest.raises(SignatureError, match="forged"):
        Export.from_bytes(forged, key.public)


def test_a_header_can_be_read_and_verified_without_the_rest(tmp_path) -> None:
    write_key_pair(tmp_path / "k")
    key = read_private_key(tmp_path / "k.key")
    for signed_by in (None, key):
        data = whole_export(header(3), samples([1, 2]), signed_by)
        found, signed = ExportFile.peek(io.BytesIO(data))
        assert (found, signed) == (ExportFile.read(data).header, signed_by is not None)
    assert ExportFile.peek(io.BytesIO(data), [key.public])[1]
    unsigned = whole_export(header(3), samples([1, 2]))
    for bad in (unsigned, data.replace(b'"sequence": 3', b'"sequence": 4')):
        with pytest.raises(SignatureError):
            ExportFile.peek(io.BytesIO(bad), [key.public])
    with pytest.raises(InputError, match="cut short"):
        ExportFile.peek(io.BytesIO(data[:30]))


def test_the_signature_is_verified_before_anything_is_parsed(tmp_path, monkeypatch) -> None:
    write_key_pair(tmp_path / "k")
    key = read_private_key(tmp_path / "k.key")
    data = whole_export(header(), samples([1]))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(json, "loads", never)
    monkeypatch.setattr(zlib, "decompressobj", never)
    with pytest.raises(SignatureError, match="not signed"):
        Export.from_bytes(data, key.public)


def forged(packed: bytes, **changes: object) -> bytes:
    """An export whose hashes are right, with any payload and header."""
    values = json.loads(header().to_bytes()) | {
        "content": "0" * 64,
        "payload": hashlib.sha256(packed).hexdigest(),
        "size": 100,
    }
    head = json.dumps(values | changes).encode()
    return MAGIC + len(head).to_bytes(4, "little") + head + packed


BOMB = zlib.compress(bytes(64 << 20))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (forged(BOMB), "not as long as its header says"),
        (forged(BOMB, size=64 << 20), "does not lead to the content"),
        (forged(BOMB, size=1 << 40), "too large"),
        (forged(zlib.compress(bytes(99))), "not as long"),
        (forged(zlib.compress(bytes(100)) + b"x"), "not as long"),
        (forged(b"no zlib"), "cannot be unpacked"),
        (forged(zlib.compress(bytes(100)), kind="photos"), "header"),
        (forged(zlib.compress(bytes(100)), kind="statistics"), "not a set of arrays"),
        (forged(zlib.compress(bytes(100)), base=3), "not a set of arrays"),
        (forged(zlib.compress(bytes(100)), base=3, kind="statistics"), "header"),
        (forged(b"", device="../x"), "header"),
        (forged(b"", device=["x"]), "header"),
        (forged(b"", sequence=-1), "header"),
        (forged(b"", sequence=True), "header"),
        (forged(b"", sequence=1.5), "header"),
        (forged(b"", facts={"bundle": "x" * 201}), "header"),
        (forged(b"", facts={"bundle": ["x"]}), "header"),
        (forged(b"", facts={str(n): n for n in range(17)}), "header"),
        (forged(b"", machine="no hash"), "header"),
        (forged(b"", more=1), "header"),
        (forged(b"", payload="0" * 64), "damaged or forged"),
        (MAGIC + (1 << 20).to_bytes(4, "little") + bytes(1 << 20), "cut short"),
        (MAGIC + (9).to_bytes(4, "little") + b"[" * 9, "header"),
        (MAGIC + (5000).to_bytes(4, "little") + b"[" * 5000, "header"),
        (MAGIC, "cut short"),
    ],
)
def test_what_no_device_sends_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        Export.from_bytes(data)
    assert "\n" not in str(refusal.value)


def test_every_cut_and_every_changed_byte_of_a_header_is_refused() -> None:
    data = whole_export(header(), samples([1, 2]))
    for size in range(0, len(data), 7):
        with pytest.raises(EdgetlError):
            Export.from_bytes(data[:size])
    start = data.index(b'"content"')
    for place in range(start + 12, start + 40):
        bad = bytearray(data)
        bad[place] ^= 1
        with pytest.raises(EdgetlError):
            Export.from_bytes(bytes(bad))


def of(samples: ExportedSamples, **changes: object) -> bytes:
    """Whole samples of which some arrays are others, under hashes that are right."""
    data = pack(samples.to_arrays() | changes)  # type: ignore[operator]
    return forged(data, content=hashlib.sha256(data).hexdigest(), size=len(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": np.array([2, 1, 3])},
        {"ids": np.array([1, 1, 3])},
        {"ids": np.array([1, -(2**63), -1])},  # steps that overflow
        {"ids": np.array([0, 1, 3])},
        {"ids": np.array([1, 2])},
        {"ids": np.array([1.0, 2, 3])},
        {"label_of": np.array([0, 1, 9], np.uint16)},
        {"label_of": np.array([0, 0, 0], np.uint16)},
        {"label_of": np.array([0, 1, 2], np.int64)},
        {"labels": np.frombuffer(b"b\na\nc\n", np.uint8)},
        {"labels": np.frombuffer(b"a\nb\n../c\n", np.uint8)},
        {"codes": np.zeros((3, 24), np.int8)},
        {"codes": np.zeros((3, 5000), np.uint8)},
        {"codes": np.zeros(72, np.uint8)},
        {"backbone": np.frombuffer(b"a\nb\n", np.uint8)},
        {"more": np.zeros(1)},
    ],
)
def test_samples_that_no_store_has_are_refused(changes) -> None:
    assert Export.from_bytes(of(samples([1, 2, 3]))).samples == 3
    with pytest.raises(InputError) as refusal:
        Export.from_bytes(of(samples([1, 2, 3]), **changes))
    assert "\n" not in str(refusal.value)


def test_labels_can_be_renamed_and_two_become_one_exactly() -> None:
    some = samples([1, 2, 3, 4, 5], ["cup", "mug", "cup", "plate", "mug"])
    one = samples([1, 2, 3, 4, 5], ["mug", "mug", "mug", "plate", "mug"])
    for content in (some, some.statistics()):
        named = Export("a", "", content, 1).with_labels({"cup": "mug", "saucer": "x"})
        assert named.statistics.to_bytes() == one.statistics().to_bytes()
    same = Export("a", "", some, 1)
    assert same.with_labels({"saucer": "x"}) is same
    assert replace(some).counts == {"cup": 2, "mug": 2, "plate": 1}
    assert statistics_of(some.codes, ["mug"] * 5, BACKBONE, RUNTIME).samples == 5
