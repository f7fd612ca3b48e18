"""The groups of labels in a bundle: their names and labels in its manifest, their statistics in one member.

``edgetl merge`` puts them there, from what devices learned in groups. They come without held-out photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Arrays, pack, unpack
from ..errors import BundleError, InputError
from ..labels import MAX_GROUPS, NOTHING, check_group, check_sample_label
from ..statistics import Statistics

KEY, MEMBER = "groups", "groups.npz"  # of the manifest, and in the archive
_GRAM = "gram"  # nearly all of statistics; groups in which the same photos are labelled have the same
_MOST_ARRAYS = 16  # of statistics


def groups_of(manifest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Group → its labels, sorted; raises InputError where the manifest says something else."""
    found = manifest.get(KEY, {})
    if not isinstance(found, dict) or len(found) > MAX_GROUPS:
        raise InputError(f"expected at most {MAX_GROUPS} groups")
    for name, labels in found.items():
        if check_group(name) != name or not isinstance(labels, list) or not labels:
            raise InputError("a group must have a name and labels")
        if not all(isinstance(label, str) and check_sample_label(label) == label for label in labels):
            raise InputError("a group must have labels")
        if labels != sorted(set(labels)) or labels == [NOTHING]:
            raise InputError("the labels of a group must be sorted and distinct, and not background alone")
    return {name: tuple(found[name]) for name in sorted(found)}


def packed_groups(groups: Mapping[str, Statistics]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Group → statistics → what the manifest and the archive hold of them; nothing of groups without samples."""
    kept = {name: groups[name] for name in sorted(groups) if groups[name].labels}
    if not kept:
        return {}, {}
    parts, first = dict[str, npt.NDArray[Any]](), dict[bytes, int]()
    for place, each in enumerate(kept.values()):
        arrays = dict(unpack(each.to_bytes()))
        same = first.setdefault(arrays[_GRAM].tobytes(), place)
        if same != place:
            arrays[_GRAM] = np.array(same, np.int64)
        parts[str(place)] = np.frombuffer(pack(arrays), np.uint8)
    return {KEY: {name: list(each.labels) for name, each in kept.items()}}, {MEMBER: pack(parts)}


def read_group(manifest: Mapping[str, Any], members: Mapping[str, bytes], name: str) -> Statistics:
    """The statistics of a group that the manifest names; raises BundleError where they are something else."""
    groups = groups_of(manifest)
    try:
        parts, place = unpack(members[MEMBER], {str(place) for place in range(len(groups))}), list(groups).index(name)
        arrays = _arrays(parts, place)
        shared = arrays.get(_GRAM)
        if shared is not None and shared.dtype == np.int64 and shared.shape == () and 0 <= shared < place:
            arrays[_GRAM] = _arrays(parts, int(shared)).get(_GRAM, shared)
        statistics = Statistics.from_bytes(pack(arrays))
    except InputError as error:
        raise BundleError(f"{MEMBER}, group {name}: {error}") from None
    if statistics.labels != groups[name]:
        raise BundleError(f"{MEMBER}, group {name}: other labels than in the manifest")
    return statistics


def _arrays(parts: Arrays, place: int) -> dict[str, npt.NDArray[Any]]:
    """What is kept of the statistics of one group."""
    data = parts[str(place)]
    if data.dtype != np.uint8 or data.ndim != 1:
        raise InputError("not the bytes of statistics")
    return dict(unpack(data.tobytes(), most=_MOST_ARRAYS))
