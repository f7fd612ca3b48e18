"""Bundles that a stranger could send: archives that lie, members that do, under checksums that are right."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import warnings
import zipfile

import numpy as np

from edgetl_device.arrays import pack, unpack

COMMENT = b"edgetl sha256:"
SIZE = len(COMMENT) + 64


def sealed(body: bytes) -> bytes:
    """A zip file (with a comment of the right size at its end) under a checksum that is right."""
    body = body[:-SIZE]
    return body + COMMENT + hashlib.sha256(body).hexdigest().encode()


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(entries: list[tuple[zipfile.ZipInfo, bytes]], prefix: bytes = b"") -> bytes:
    buffer = io.BytesIO(prefix)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a" if prefix else "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, about the duplicate
        for info, content in entries:
            archive.writestr(info, content)
        archive.comment = COMMENT + b"0" * 64
    return sealed(buffer.getvalue())


def entries_of(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    return [(zipfile.ZipInfo(name), content) for name, content in members_of(data).items()]


def rebuilt(data: bytes, change) -> bytes:
    """The bundle after ``change(members)``, as an attacker with a hash function would write it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"edgetl sha256:" + b"0" * 64
    body = buffer.getvalue()[:-78]
    return body + b"edgetl sha256:" + hashlib.sha256(body).hexdigest().encode()


def manifest(**changes):
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | changes).encode()

    return change


def added(name: str, content: bytes = b"x", mode: int = 0, compress: int = zipfile.ZIP_STORED):
    """A bundle with one more member."""

    def attack(data: bytes) -> bytes:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, compress
        return zipped([*entries_of(data), (info, content)])

    return attack


def linked(data: bytes) -> bytes:
    """A member of an allowed name that is a symbolic link to a file of the system."""
    entries = [(info, content) for info, content in entries_of(data) if info.filename != "labels.txt"]
    link = zipfile.ZipInfo("labels.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped([*entries, (link, b"/etc/passwd")])


def patched_directory(data: bytes, change) -> bytes:
    """The bundle after ``change(directory)``, the list of members at its end."""
    start = data.index(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    directory = bytearray(data[start:end])
    change(directory)
    return sealed(data[:start] + bytes(directory) + data[end:])


def oversized(data: bytes) -> bytes:
    """The list of members claims four gigabytes for the first."""
    return patched_directory(data, lambda directory: struct.pack_into("<II", directory, 20, 2**32 - 2, 2**32 - 2))


def overlapping(data: bytes) -> bytes:
    """Each of the members claims to be nearly the whole file."""

    def change(directory: bytearray) -> None:
        position = directory.find(b"PK\x01\x02")
        while position >= 0:
            struct.pack_into("<II", directory, position + 20, len(data) - 1000, len(data) - 1000)
            position = directory.find(b"PK\x01\x02", position + 4)

    return patched_directory(data, change)


def bomb(data: bytes) -> bytes:
    """64 MB of zeros in 64 kB, under an allowed name."""
    info = zipfile.ZipInfo("model.tflite")
    info.compress_type = zipfile.ZIP_DEFLATED
    return zipped([*entries_of(data), (info, bytes(64 << 20))])


def crowd(data: bytes) -> bytes:
    """20,000 members: Python's zip reader would make an object of each."""
    return zipped([(zipfile.ZipInfo(f"m{number}"), b"") for number in range(20_000)])


def elsewhere(data: bytes) -> bytes:
    """A ZIP64 record sends the reader to another list of members."""
    end = data.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    return sealed(data[:end] + locator + data[end:])


def objects(data: bytes) -> bytes:
    """check.npz holds a pickled object that would run code; sizes and hashes in the manifest are right."""

    class Evil:
        def __reduce__(self):
            return (open, ("/tmp/edgetl-was-here", "w"))

    buffer = io.BytesIO()
    np.savez(buffer, photos=np.array([Evil()], dtype=object), raw=np.zeros(1), labels=np.zeros(1), allow_pickle=True)
    return with_member(data, "check.npz", buffer.getvalue())


def with_member(data: bytes, name: str, content: bytes) -> bytes:
    """Another content of a member, and a manifest that says so."""
    members = members_of(data)
    listing = json.loads(members["manifest.json"])
    listing["members"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    members |= {name: content, "manifest.json": json.dumps(listing).encode()}
    return zipped([(zipfile.ZipInfo(n), c) for n, c in members.items()])


def claimed(data: bytes) -> bytes:
    """holdout.npz claims an array of a petabyte."""
    arrays = unpack(members_of(data)["holdout.npz"])
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|i1", "fortran_order": False, "shape": (2**40, 1024)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("raw.npy", member.getvalue())
        for name in ("labels", "seen"):
            archive.writestr(f"{name}.npy", members_of(pack({name: arrays[name]}))[f"{name}.npy"])
    return with_member(data, "holdout.npz", buffer.getvalue())


ATTACKS = {
    "a member above the folder": added("../evil"),
    "an absolute member": added("/tmp/edgetl-was-here"),
    "a member of Windows' kind": added("..\\evil"),
    "a folder": added("statistics.npz/"),
    "an unknown symbolic link": added("link", b"/etc/passwd", stat.S_IFLNK | 0o777),
    "an allowed symbolic link": linked,
    "a device file": added("model.tflite", b"", stat.S_IFCHR | 0o666),
    "a duplicate": added("labels.txt"),
    "two manifests": added("manifest.json", b"{}"),
    "an oversized member": oversized,
    "overlapping members": overlapping,
    "a bomb": bomb,
    "a crowd": crowd,
    "a list elsewhere": elsewhere,
    "a program in front": lambda data: zipped(entries_of(data), b"#!/bin/sh\n"),
    "bytes behind": lambda data: data + b"behind",
    "objects": objects,
    "a petabyte": claimed,
    "a manifest of two megabytes": lambda data: rebuilt(data, manifest(name="x" * (2 << 20))),
    "a deep manifest": lambda data: rebuilt(data, lambda m: m.update({"manifest.json": b"[" * 500_000})),
    "a foreign statistics file": lambda data: with_member(data, "statistics.npz", b"PK"),
    "an empty backbone": lambda data: with_member(data, "backbone.tflite", b""),
    "no backbone": lambda data: with_member(data, "backbone.tflite", b"\0" * 1000),
}
