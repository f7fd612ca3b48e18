"""Exports with groups: several in one file, bound together by the first one's header."""

import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, tiny_backbone

from edgetl_device.bundle.export import Export
from edgetl_device.bundle.export_parts import MAGIC, ExportParts
from edgetl_device.bundle.exported_samples import ExportedSamples
from edgetl_device.bundle.signing import read_private_key, read_public_key, write_key_pair
from edgetl_device.errors import EdgetlError, InputError, SignatureError
from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.learner import Learner
from edgetl_device.sending.outgoing import outgoing

BACKBONE = tiny_backbone()


def raw(kind: str, count: int, start: int = 0) -> np.ndarray:
    return np.stack([BACKBONE.embed(draw(kind, start + number)) for number in range(count)])


@pytest.fixture
def learner(home: Home) -> Iterator[Learner]:
    learner = home.learner()
    groups = Groups(learner)
    groups.add({"": "kite", "condition": "worn", "side": "left"}, raw("kite", 3))
    groups.add({"condition": "fine"}, raw("ring", 2))
    yield learner
    learner.store.close()


@pytest.mark.parametrize("codes", [True, False])
def test_each_group_travels_with_its_exact_statistics(learner: Learner, codes: bool) -> None:
    made = outgoing(learner, codes=codes)
    read = Export.from_bytes(made.data)
    assert (read.labels, read.samples, list(read.groups)) == (("kite",), 3, ["condition", "side"])
    for name, of_group in Groups(learner).items():
        sent = read.of_group(name)
        assert isinstance(sent.content, ExportedSamples) is codes
        along = sent.statistics_along(learner.factory.statistics.projection)
        assert along.to_bytes() == of_group.device_statistics().to_bytes()
    assert ExportParts.read(made.data).to_bytes() == made.data == read.to_bytes()


def test_an_export_without_groups_is_one_of_before_byte_for_byte(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", raw("kite", 3))
    data = outgoing(learner).data
    assert not data.startswith(MAGIC) and b"group" not in data[:900]
    Groups(learner).add({"condition": "worn"}, raw("ring", 2))
    assert outgoing(learner).data.startswith(MAGIC)
    Groups(learner)["condition"].forget_all()
    assert not outgoing(learner).data.startswith(MAGIC)


def test_labels_with_few_samples_stay_in_groups_too(learner: Learner) -> None:
    made = outgoing(learner, floor=3)
    assert made.withheld == {} and made.withheld_in_groups == {"condition": {"fine": 2}}
    assert made.export.of_group("condition").labels == ("worn",)
    made = outgoing(learner, floor=4)
    assert made.export.samples == 0 and not made.export.groups
    assert made.withheld_in_groups == {"condition": {"fine": 2, "worn": 3}, "side": {"left": 3}}


def test_a_group_cannot_be_left_out_or_be_of_another_export(learner: Learner, tmp_path: Path) -> None:
    """Each part here is signed by the device; only together they are what it had."""
    write_key_pair(tmp_path / "key")
    key, trusted = read_private_key(tmp_path / "key.key"), read_public_key(tmp_path / "key.pub")
    before = ExportParts.read(outgoing(learner, key=key).data, [trusted])
    Groups(learner)["side"].relabel("right", [1])
    now = ExportParts.read(outgoing(learner, key=key).data, [trusted])
    mixed = [
        replace(now, groups={"condition": now.groups["condition"]}),
        replace(now, groups={**now.groups, "side": before.groups["side"]}),
        replace(now, first=before.first),
        replace(now, groups=dict(reversed(now.groups.items()))),
        replace(now, groups={**now.groups, "third": now.groups["side"]}),
        replace(now, groups={}),
        replace(now, first=now.groups["side"], groups={}),
    ]
    for forged in mixed:
        with pytest.raises(InputError, match="does not hold the groups that its header names"):
            Export.from_bytes(forged.to_bytes(), trusted)
    unsigned = replace(now.groups["side"], signed=(now.groups["side"].signed[0], b""))
    with pytest.raises(SignatureError):
        Export.from_bytes(replace(now, groups={**now.groups, "side": unsigned}).to_bytes(), trusted)


def test_every_cut_is_refused_in_one_line(learner: Learner) -> None:
    data = outgoing(learner).data
    places = [*range(0, 40), *range(40, len(data), 131), len(data) - 1]
    for size in places:
        with pytest.raises(EdgetlError) as refusal:
            Export.from_bytes(data[:size])
        assert "\n" not in str(refusal.value)
    for bad in (data + b"x", MAGIC, MAGIC + bytes(8), MAGIC + b"\xff" * 8 + data, MAGIC + data[len(MAGIC) :] * 12):
        with pytest.raises(EdgetlError):
            Export.from_bytes(bad)


def test_lengths_that_a_stranger_made_up_are_refused_at_once(learner: Learner) -> None:
    data = outgoing(learner).data
    start = len(MAGIC) + 8
    for length in (b"\xff" * 8, (1 << 62).to_bytes(8, "little")):
        with pytest.raises(InputError, match="not an export, or cut short"):
            ExportParts.peek(io.BytesIO(MAGIC + length + data[start:]))
    empty_parts = MAGIC + data[len(MAGIC) : start] + data[start:] + bytes(8 << 20)
    tracemalloc.start()
    with pytest.raises(InputError, match="not an export, or cut short"):
        ExportParts.read(empty_parts)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
