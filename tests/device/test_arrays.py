import io
import zipfile

import numpy as np
import pytest

from edgetl_device.arrays import pack, text_array, text_values, unpack
from edgetl_device.errors import InputError


def test_arrays_round_trip_and_numpy_reads_them() -> None:
    arrays = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array(3.5)}
    data = pack(arrays)
    found, numpy_found = unpack(data, {"a", "b"}), np.load(io.BytesIO(data), allow_pickle=False)
    for name, array in arrays.items():
        assert (found[name] == array).all() and found[name].dtype == array.dtype and found[name].shape == array.shape
        assert (numpy_found[name] == array).all()


def test_the_same_arrays_give_the_same_bytes() -> None:
    assert pack({"a": np.ones(3)}) == pack({"a": np.ones(3)})


def test_large_arrays_are_not_copied() -> None:
    data = pack({"name": text_array(("odd",)), "a": np.arange(999, dtype=np.int64)})
    found = unpack(data)["a"]
    assert found.flags.aligned and np.shares_memory(found, np.frombuffer(data, np.uint8))
    assert not found.flags.writeable


def test_arrays_that_numpy_wrote_at_odd_places_are_copied_to_even_ones() -> None:
    for extra in range(8):
        buffer = io.BytesIO(bytes(extra))
        buffer.seek(extra)
        np.savez(buffer, a=np.arange(5.0))
        found = unpack(buffer.getvalue())["a"]
        assert found.flags.aligned and (found == np.arange(5.0)).all()


def test_a_damaged_member_is_refused() -> None:
    data = bytearray(pack({"a": np.zeros(100)}))
    data[len(data) // 2] ^= 1
    with pytest.raises(InputError, match=r"a\.npy is damaged"):
        unpack(bytes(data))


def test_pickled_objects_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(InputError, match="plain numbers"):
        unpack(buffer.getvalue())


def test_compressed_members_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(1000))
    with pytest.raises(InputError, match="compressed"):
        unpack(buffer.getvalue())


def test_a_header_that_claims_more_than_is_there_allocates_nothing() -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", member.getvalue() + b"12345678")
    with pytest.raises(InputError, match="does not match its size"):
        unpack(buffer.getvalue())


@pytest.mark.parametrize(
    "header",
    [
        b"((",
        b"{'descr': '<f8'\n  x\n y",
        b"{[]: 1}",
        b"{1: 2, 'a': 3}",
        b"{'descr': (), 'fortran_order': False, 'shape': (), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (01,), }",
        b"{'descr': '<x9', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1), }",
    ],
)
def test_a_header_that_numpy_would_stumble_over_is_refused(header: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        text = header + b"\n"
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + b"12345678")
    with pytest.raises(InputError):
        unpack(buffer.getvalue())


def test_missing_and_unexpected_arrays_are_named() -> None:
    with pytest.raises(InputError, match=r"expected the arrays \['b'\], got \['a'\]"):
        unpack(pack({"a": np.ones(1)}), {"b"})


def test_of_many_or_long_names_a_message_shows_a_few() -> None:
    many = pack({f"{number:04}": np.zeros(1, np.int8) for number in range(300)})
    with pytest.raises(InputError, match=r"'0007'\] and 293 more, got \['0000'.*and 292 more") as refusal:
        unpack(many, {f"{number:04}" for number in range(301)}, most=400)
    assert len(str(refusal.value)) < 300
    with pytest.raises(InputError) as refusal:
        unpack(pack({"x" * 5000: np.zeros(1, np.int8)}), {"a"})
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("values", [(), ("",), ("", ""), ("ä", "b c"), ("x",)])
def test_text_round_trips(values: tuple[str, ...]) -> None:
    assert text_values(text_array(values), 2) == values
