import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import build_bundle, draw, some_projection, tiny_backbone
from export_format_1 import first_format

from edgetl.cli import program
from edgetl_device import console
from edgetl_device.arrays import pack
from edgetl_device.bundle import merged as merged_devices
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.export_file import blank_header
from edgetl_device.bundle.exported_samples import samples_of
from edgetl_device.bundle.merged import MergedDevices
from edgetl_device.errors import BundleError, InputError, MismatchError
from edgetl_device.inference.classifier import predictions
from edgetl_device.labels import NOTHING
from edgetl_device.merging.label_map import read_label_map
from edgetl_device.merging.merge import merge, read_export
from edgetl_device.statistics import MAX_SAMPLES, Statistics, no_statistics, statistics_of

BACKBONE = tiny_backbone()


def codes(kind: str, count: int, start: int) -> np.ndarray:
    return BACKBONE.codes(np.stack([BACKBONE.embed(draw(kind, start + number)) for number in range(count)]))


def export(
    device: str, kinds: dict[str, int], start: int, time: str = "2026-01-01", runtime: str | None = None
) -> Export:
    rows = np.concatenate([codes(kind, count, start) for kind, count in kinds.items()])
    labels = [kind for kind, count in kinds.items() for _ in range(count)]
    return Export(device, time, statistics_of(rows, labels, BACKBONE.digest, runtime or BACKBONE.runtime))


def test_the_merged_statistics_are_those_of_one_machine_with_all_samples(bundle_path, tmp_path) -> None:
    exports = [export("a", {"kite": 3, "ball": 2}, 300), export("b", {"ring": 2, "kite": 1}, 400)]
    done = merge(open_bundle(bundle_path), exports, tmp_path / "new.edgetl")
    assert (done.samples, done.devices, done.bit_exact) == (8, 2, True) and done.accuracy > 0.9
    everything = np.concatenate(
        [codes("kite", 3, 300), codes("ball", 2, 300), codes("ring", 2, 400), codes("kite", 1, 400)]
    )
    labels = ["kite"] * 3 + ["ball"] * 2 + ["ring"] * 2 + ["kite"]
    one = BundleContent(open_bundle(bundle_path)).statistics + statistics_of(
        everything, labels, BACKBONE.digest, BACKBONE.runtime
    )
    merged = BundleContent(open_bundle(tmp_path / "new.edgetl"))
    assert merged.statistics.to_bytes() == one.to_bytes()
    assert merged.head().labels == ("ball", "box", "kite", "ring")


def test_moments_of_single_classes_are_merged_too_where_they_fit_the_bundles(bundle_path, tmp_path) -> None:
    """Those of another bundle's directions are left out; all else of such a device counts."""
    mine = BundleContent(open_bundle(bundle_path)).statistics
    rows, others = codes("kite", 9, 300), codes("ring", 4, 400)
    along = statistics_of(rows, ["kite"] * 9, BACKBONE.digest, BACKBONE.runtime, mine.projection)
    other = statistics_of(others, ["ring"] * 4, BACKBONE.digest, BACKBONE.runtime, some_projection(64, 7))
    exports = [Export("a", "2026-01-01", along), Export("b", "2026-01-01", other)]
    exports = [Export.from_bytes(each.to_bytes()) for each in exports]
    merge(open_bundle(bundle_path), exports, tmp_path / "new.edgetl")
    merged = BundleContent(open_bundle(tmp_path / "new.edgetl")).statistics
    assert merged.to_bytes() == (mine + along + replace(other, projected=None)).to_bytes()
    assert merged.projected is not None
    assert dict(zip(merged.labels, merged.projected.counts, strict=True)) == {
        "ball": 20,
        "box": 20,
        "kite": 9,
        "ring": 0,
    }


def test_the_order_of_the_devices_does_not_matter(bundle_path, tmp_path) -> None:
    exports = [export("a", {"kite": 3}, 300), export("b", {"ring": 2}, 400)]
    for name, order in (("x", exports), ("y", exports[::-1])):
        (tmp_path / name).mkdir()
        merge(open_bundle(bundle_path), order, tmp_path / name / "new.edgetl")
    assert (tmp_path / "x" / "new.edgetl").read_bytes() == (tmp_path / "y" / "new.edgetl").read_bytes()


def test_of_one_device_only_the_latest_export_counts(bundle_path, tmp_path) -> None:
    exports = [export("a", {"kite": 5}, 300, "2026-02-01"), export("a", {"kite": 3}, 300, "2026-01-01")]
    done = merge(open_bundle(bundle_path), exports, tmp_path / "new.edgetl")
    assert (done.samples, done.devices, done.replaced) == (5, 1, 1)


def test_the_latest_is_told_by_the_changes_to_the_store_whatever_the_clock_says(bundle_path, tmp_path) -> None:
    newer = replace(export("a", {"kite": 5}, 300, "1970-01-01"), sequence=12)
    older = replace(export("a", {"kite": 3}, 300, "2026-02-01"), sequence=9)
    by_an_old_release = export("a", {"kite": 2}, 300, "2027-01-01")
    done = merge(open_bundle(bundle_path), [older, newer, by_an_old_release], tmp_path / "new.edgetl")
    assert (done.samples, done.devices, done.replaced) == (5, 1, 2)


def test_exports_that_claim_to_be_the_same_and_differ_are_refused(bundle_path, tmp_path) -> None:
    one, other = (replace(export("a", {"kite": count}, 300), sequence=7) for count in (2, 3))
    with pytest.raises(InputError, match=r"same number \(7\) and differ: was its store copied"):
        merge(open_bundle(bundle_path), [one, other], tmp_path / "new.edgetl")
    assert merge(open_bundle(bundle_path), [one, one], tmp_path / "new.edgetl").samples == 2


def test_an_export_of_an_old_release_is_read(bundle_path) -> None:
    old = export("a", {"kite": 2}, 300)
    assert old.sequence is None and Export.from_bytes(first_format(old)).sequence is None
    new = replace(old, sequence=3)
    for data in (first_format(new), new.to_bytes()):
        read = Export.from_bytes(data)
        assert read.sequence == 3 and read.statistics.to_bytes() == old.statistics.to_bytes()


def test_what_would_make_known_classes_worse_is_not_merged_unless_accepted(bundle_path, tmp_path, capsys) -> None:
    wrong, right = export("wrong-00", {"box": 45}, 300), export("right-00", {"kite": 4}, 400)
    wrong = replace(wrong, content=replace(wrong.statistics, labels=("ball",)))
    files = []
    for each in (wrong, right):
        files.append(tmp_path / f"{each.device}.stats")
        files[-1].write_bytes(each.to_bytes())
    new = tmp_path / "new.edgetl"
    arguments = ["merge", str(bundle_path), *map(str, files), "-o", str(new)]
    assert console.run(program, "edgetl", arguments) == 1
    told = capsys.readouterr().err
    assert (
        "not merged: fewer of the held-out photos would be recognised: box 100 % → 5" in told
        and "look at the labels of device wrong-00; nothing was written" in told
    )
    assert not new.exists()
    assert console.run(program, "edgetl", [*arguments, "--accept"]) == 0
    assert "added 49 samples from 2 devices; wrote" in capsys.readouterr().out and new.exists()


def test_a_device_that_is_in_the_bundle_is_not_added_twice(bundle_path, tmp_path) -> None:
    exports = [export("a", {"kite": 3}, 300)]
    merge(open_bundle(bundle_path), exports, tmp_path / "new.edgetl")
    with pytest.raises(InputError, match="is in this bundle already"):
        merge(open_bundle(tmp_path / "new.edgetl"), exports, tmp_path / "twice.edgetl")
    assert not (tmp_path / "twice.edgetl").exists()


def test_another_runtime_is_allowed_and_reported(bundle_path, tmp_path) -> None:
    done = merge(open_bundle(bundle_path), [export("a", {"kite": 3}, 300, runtime="other-1")], tmp_path / "new.edgetl")
    assert not done.bit_exact


def test_another_backbone_is_refused(bundle_path, tmp_path) -> None:
    stranger = Export("a", "2026-01-01", no_statistics("f" * 64, 64))
    with pytest.raises(MismatchError, match="use one bundle on all devices"):
        merge(open_bundle(bundle_path), [stranger], tmp_path / "new.edgetl")


def test_a_device_installs_the_merged_bundle_only_after_forgetting_what_is_in_it(
    tmp_path, bundle_path, home, capsys
) -> None:
    learner = home.learner()
    learner.add("kite", np.stack([BACKBONE.embed(draw("kite", n)) for n in range(4)]))
    learner.retrain()
    stats, new = tmp_path / "a.stats", tmp_path / "new.edgetl"
    from edgetl_device.cli import program as device_program

    assert console.run(device_program, "d", ["--home", str(home.folder), "export-stats", str(stats)]) == 0
    assert read_export(stats).device == learner.store.device
    capsys.readouterr()
    assert console.run(program, "edgetl", ["merge", str(bundle_path), str(stats), "-o", str(new), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 4 and told["devices"] == 1
    assert open_bundle(new).labels == ("ball", "box", "kite")
    with pytest.raises(InputError, match="forget --all"):  # or its samples would count twice
        home.install(new)
    learner.forget([row.id for row in learner.samples()])
    home.install(new)
    assert home.learner().active_head().labels == ("ball", "box", "kite")


def test_merging_keeps_the_twin_for_the_edge_tpu_and_leaves_out_the_fused_model(tmp_path, bundle_path, home) -> None:
    learner = home.learner()
    learner.add("kite", np.stack([BACKBONE.embed(draw("kite", n)) for n in range(4)]))
    stats, old, new = tmp_path / "a.stats", tmp_path / "old.edgetl", tmp_path / "new.edgetl"
    from edgetl_device.cli import program as device_program

    assert console.run(device_program, "d", ["--home", str(home.folder), "export-stats", str(stats)]) == 0
    bundle = open_bundle(bundle_path)
    manifest = {key: value for key, value in bundle.manifest.items() if key not in ("members", "format")}
    extras = {"backbone_edgetpu.tflite": b"twin", "model.tflite": b"fused"}
    write_bundle(old, manifest | {"fused": {"agreement": 1.0}}, {**bundle.members, **extras})
    assert console.run(program, "edgetl", ["merge", str(old), str(stats), "-o", str(new)]) == 0
    merged = open_bundle(new)
    assert merged.members["backbone_edgetpu.tflite"] == b"twin"
    assert "model.tflite" not in merged.members and "fused" not in merged.manifest


def test_a_photo_is_no_export_and_a_file_given_twice_is_no_older_one(bundle_path, tmp_path, home, capsys) -> None:
    from edgetl_device.cli import program as device_program

    stats, photo = tmp_path / "a.stats", tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8 a photo")
    learner = home.learner()
    learner.add("kite", np.stack([BACKBONE.embed(draw("kite", n)) for n in range(4)]))
    learner.store.close()
    assert console.run(device_program, "d", ["--home", str(home.folder), "export-stats", str(stats)]) == 0
    words = ["merge", str(bundle_path), str(stats), "-o", str(tmp_path / "new.edgetl")]
    assert console.run(program, "edgetl", [*words, str(photo)]) == 2
    assert f"{photo}: no export: `edgetl-device export-stats` writes them" in capsys.readouterr().err
    assert console.run(program, "edgetl", [*words, str(stats)]) == 0
    said = capsys.readouterr().err
    assert "counts once" in said and "older export" not in said


def test_files_that_are_no_statistics_are_named(tmp_path) -> None:
    (tmp_path / "x.stats").write_text("hello")
    with pytest.raises(InputError, match=r"x\.stats: not a set of arrays"):
        read_export(tmp_path / "x.stats")
    build_bundle(tmp_path / "b.edgetl")
    with pytest.raises(InputError, match=r"b\.edgetl: "):
        read_export(tmp_path / "b.edgetl")


def sampled(device: str, kinds: dict[str, int], start: int, **changes: object) -> Export:
    """As :func:`export`, as codes."""
    rows = np.concatenate([codes(kind, count, start) for kind, count in kinds.items()])
    labels = [kind for kind, count in kinds.items() for _ in range(count)]
    ids = range(1, len(rows) + 1)
    some = samples_of(BACKBONE.digest, list(ids), labels, [BACKBONE.runtime] * len(rows), rows)
    header = blank_header(device, 5, **changes)
    return Export.from_bytes(Export(device, "", some, 5, header).to_bytes())


def test_codes_and_statistics_merge_to_the_same_bytes(bundle_path, tmp_path) -> None:
    mine = BundleContent(open_bundle(bundle_path)).statistics
    kinds = ({"kite": 5, "ball": 2}, {"ring": 30}, {"kite": 1})
    as_codes = [sampled(f"d{n}", some, 300 + 50 * n) for n, some in enumerate(kinds)]
    as_sums = [
        Export(each.device, "", each.statistics_along(mine.projection), 5, blank_header(each.device, 5))
        for each in as_codes
    ]
    found = []
    for name, exports in (("codes", as_codes), ("sums", as_sums), ("mixed", [as_codes[0], *as_sums[1:]])):
        (tmp_path / name).mkdir()
        merge(open_bundle(bundle_path), exports, tmp_path / name / "new.edgetl")
        found.append((tmp_path / name / "new.edgetl").read_bytes())
    assert found[0] == found[1] == found[2]


def test_what_a_device_learned_after_it_got_a_merged_bundle_counts_beside_what_it_knew_before(
    bundle_path, tmp_path
) -> None:
    first, base, new = sampled("a", {"kite": 3}, 300), open_bundle(bundle_path), tmp_path / "new.edgetl"
    merge(base, [first], new)
    later = sampled("a", {"ring": 4}, 300, after=open_bundle(new).digest)
    assert merge(base, [first, later], tmp_path / "both.edgetl").samples == 7
    assert merge(open_bundle(new), [later], tmp_path / "on-top.edgetl").samples == 4
    both, on_top = (BundleContent(open_bundle(tmp_path / name)).statistics for name in ("both.edgetl", "on-top.edgetl"))
    assert both.to_bytes() == on_top.to_bytes()
    with pytest.raises(InputError, match="is in this bundle already"):
        merge(open_bundle(new), [first, later], tmp_path / "x.edgetl")


def test_another_backbone_is_refused_by_name(bundle_path, tmp_path) -> None:
    strange = samples_of("f" * 64, [1], ["kite"], ["litert"], np.zeros((1, 64), np.uint8))
    header = blank_header("device-7", 5, facts={"bundle": "warehouse"})
    with pytest.raises(MismatchError, match="device device-7, made with the bundle warehouse, is of backbone ffffff"):
        merge(open_bundle(bundle_path), [Export("device-7", "", strange, 5, header)], tmp_path / "new.edgetl")


def test_labels_that_two_sites_spell_differently_are_reported_and_can_be_renamed(bundle_path, tmp_path, capsys) -> None:
    folder = tmp_path / "stats"
    folder.mkdir()
    for device, kinds in (("site-one", {"kite": 3}), ("site-two", {"ring": 2})):
        made = sampled(device, kinds, 300).with_labels({"ring": "Kite"})
        (folder / f"{device}.stats").write_bytes(Export(device, "", made.content, 5).to_bytes())
    run = ["merge", str(bundle_path), str(folder), "--force", "-o", str(tmp_path / "new.edgetl")]
    assert console.run(program, "edgetl", run) == 0
    assert "Kite of device site-two looks like kite: if it is, --labels MAP.csv renames it" in capsys.readouterr().err
    (tmp_path / "map.csv").write_text("from,to\nKite,kite\n")
    assert console.run(program, "edgetl", [*run, "--labels", str(tmp_path / "map.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spellings"] == []
    merged = BundleContent(open_bundle(tmp_path / "new.edgetl")).statistics
    assert dict(zip(merged.labels, merged.counts.tolist(), strict=True))["kite"] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cup,mug\n", "expected a first line"),
        ("from,to\ncup\n", "two labels in every other line"),
        ("from,to\ncup,mug\ncup,bowl\n", "line 3: cup cannot become both mug and bowl"),
        ("from,to\ncup,mug\nmug,bowl\n", "mug is to be renamed itself"),
        ("from,to\ncup,../mug\n", "line 2: label"),
        ('from,to\ncup,"mug\n', "not a CSV file"),
    ],
)
def test_a_label_map_that_says_nothing_clear_is_refused(tmp_path, text: str, message: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_label_map(tmp_path / "map.csv")


def test_a_bundle_of_very_many_devices_says_so_by_hashes(bundle_path, tmp_path, monkeypatch) -> None:
    many = MergedDevices().joined_by(f"device-{number}" for number in range(3000))
    assert len(many) == 3000 and "device-7" in many and "device-3000" not in many and not many.names
    assert len(many.joined_by(["device-7", "one-more"])) == 3001
    monkeypatch.setattr(merged_devices, "MOST_NAMED", 1)
    new, last = tmp_path / "new.edgetl", tmp_path / "last.edgetl"
    merge(open_bundle(bundle_path), [sampled("a", {"kite": 3}, 300), sampled("b", {"ring": 2}, 300)], new)
    bundle = open_bundle(new)
    assert "merged" not in bundle.manifest and "a" in bundle.merged and "c" not in bundle.merged
    with pytest.raises(InputError, match="is in this bundle already"):
        merge(bundle, [sampled("b", {"ring": 2}, 300)], last)
    merge(bundle, [sampled("c", {"ring": 2}, 400)], last)
    assert len(open_bundle(last).merged) == 3


@pytest.mark.parametrize(
    "hashes",
    [np.array([2, 1], np.uint64), np.array([1, 1], np.uint64), np.array([1], np.int64), np.zeros((1, 1), np.uint64)],
)
def test_strange_hashes_of_devices_are_refused(hashes) -> None:
    with pytest.raises(BundleError, match=r"merged\.npz: expected"):
        MergedDevices.of({}, {"merged.npz": pack({"devices": hashes})})


def of_many(count: int) -> Statistics:
    """Statistics that so many samples of one class, alike to the last bit, would have."""
    one = statistics_of(codes("kite", 1, 300), ["kite"], BACKBONE.digest, BACKBONE.runtime)
    return replace(one, counts=one.counts * count, sums=one.sums * count, products=one.gram.astype(np.int64) * count)


def test_more_samples_than_a_bundle_can_hold_are_refused_in_one_line(bundle_path, tmp_path, capsys) -> None:
    stats, output = tmp_path / "many.stats", tmp_path / "new.edgetl"
    stats.write_bytes(Export("many-000", "2026-01-01", of_many(MAX_SAMPLES)).to_bytes())
    assert console.run(program, "edgetl", ["merge", str(bundle_path), str(stats), "-o", str(output), "--accept"]) == 2
    message = capsys.readouterr().err
    assert "more than the 100000000000 that one can hold" in message and message.count("\n") == 1
    assert not output.exists()


def test_what_no_device_could_read_is_not_written(bundle_path, tmp_path) -> None:
    exports = [export(f"device-{number}", {"kite": 1}, 300, runtime=f"runtime-{number}") for number in range(64)]
    with pytest.raises(InputError, match="a bundle that no device accepts"):
        merge(open_bundle(bundle_path), exports, tmp_path / "new.edgetl", accept=True)
    assert not (tmp_path / "new.edgetl").exists()


def background(count: int) -> Export:
    rows = codes("ring", count, 300)
    return Export("a", "2026-01-01", statistics_of(rows, [NOTHING] * count, BACKBONE.digest, BACKBONE.runtime))


def test_background_of_devices_stays_background_in_the_merged_bundle(bundle_path, tmp_path) -> None:
    merge(open_bundle(bundle_path), [background(20)], tmp_path / "new.edgetl")
    head = BundleContent(open_bundle(tmp_path / "new.edgetl")).head()
    told = predictions(head, codes("ring", 20, 500), 3)
    assert sum(each.unknown for each in told) >= 16
    assert all(each.label != NOTHING and NOTHING not in dict(each.top) for each in told)


def test_background_alone_makes_no_bundle(tmp_path) -> None:
    blank = open_bundle(build_bundle(tmp_path / "blank.edgetl", ()))
    with pytest.raises(BundleError, match="background and no class"):
        merge(blank, [background(5)], tmp_path / "new.edgetl")
    assert not (tmp_path / "new.edgetl").exists()
