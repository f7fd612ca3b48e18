"""Labels in groups from devices to a bundle, to other devices and to `evaluate`."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw, tiny_backbone, write_photos

from edgetl.cli import program as host_program
from edgetl.deployment.receiver import Receiver
from edgetl_device import console
from edgetl_device.arrays import pack, unpack
from edgetl_device.bundle.bundle import open_bundle, read_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.group_content import GroupContent
from edgetl_device.cli import program as device_program
from edgetl_device.errors import BundleError, InputError
from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups
from edgetl_device.merging.collected import Collected
from edgetl_device.merging.exports import sources_in
from edgetl_device.merging.merge import merge
from edgetl_device.sending import delivery
from edgetl_device.sending.outgoing import outgoing
from edgetl_device.sending.push import Pushed
from edgetl_device.sending.push import push as send

BACKBONE = tiny_backbone()
WORN, FINE = {"condition": "worn"}, {"condition": "fine"}
Taught = tuple[str, int, int, dict[str, str]]  # kind, first, count, group → label

FIRST: list[Taught] = [("kite", 0, 4, {"": "kite", **WORN}), ("ring", 0, 3, FINE)]
SECOND: list[Taught] = [("kite", 50, 2, {"": "kite", **FINE}), ("box", 50, 5, {"side": "left", **WORN})]


def device(bundle_path: Path, folder: Path, *taught: Taught) -> Home:
    home = Home(folder)
    folder.mkdir(parents=True)
    shutil.copyfile(bundle_path, home.bundle_path)
    learner = home.learner()
    for kind, start, count, labels in taught:
        raw = np.stack([BACKBONE.embed(draw(kind, start + number)) for number in range(count)])
        Groups(learner).add(labels, raw)
    learner.store.close()
    return home


def exported(home: Home, path: Path, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(outgoing(home.learner(), **options).data)
    return path


def in_groups(path: Path) -> dict[str, bytes]:
    """Group → statistics of a bundle, "" for the labels without one."""
    content = BundleContent(open_bundle(path))
    groups = {name: GroupContent(content, name).statistics.to_bytes() for name in content.bundle.groups}
    return {"": content.statistics.to_bytes(), **groups}


def of_one_device(bundle_path: Path, folder: Path, *taught: Taught) -> dict[str, bytes]:
    """The same of one device that saw all."""
    learner = device(bundle_path, folder, *taught).learner()
    known = learner.factory.statistics + learner.device_statistics()
    groups = {name: of_group.device_statistics().to_bytes() for name, of_group in Groups(learner).items()}
    return {"": known.to_bytes(), **groups}


@pytest.mark.parametrize("codes", [True, False])
def test_what_two_devices_learned_in_groups_is_what_one_device_with_all_would_have(
    bundle_path, tmp_path, codes: bool
) -> None:
    one, two = device(bundle_path, tmp_path / "one", *FIRST), device(bundle_path, tmp_path / "two", *SECOND)
    files = [exported(one, tmp_path / "1.stats", codes=codes), exported(two, tmp_path / "2.stats", codes=not codes)]
    done = merge(open_bundle(bundle_path), sources_in(files), tmp_path / "new.edgetl", accept=True)
    assert (done.samples, done.devices, done.groups) == (6, 2, {"condition": 14, "side": 5})
    assert in_groups(tmp_path / "new.edgetl") == of_one_device(bundle_path, tmp_path / "all", *FIRST, *SECOND)
    bundle = open_bundle(tmp_path / "new.edgetl")
    assert bundle.groups == {"condition": ("fine", "worn"), "side": ("left",)} and bundle.manifest["format"] == 4
    assert open_bundle(bundle_path).manifest["format"] < 4  # without groups, older programs read it as before


def test_a_second_merge_adds_to_the_groups_that_are_in_the_bundle(bundle_path, tmp_path) -> None:
    one, two = device(bundle_path, tmp_path / "one", *FIRST), device(bundle_path, tmp_path / "two", *SECOND)
    first, both = tmp_path / "first.edgetl", tmp_path / "both.edgetl"
    merge(open_bundle(bundle_path), sources_in([exported(one, tmp_path / "1.stats")]), first, accept=True)
    done = merge(open_bundle(first), sources_in([exported(two, tmp_path / "2.stats")]), both, accept=True)
    assert done.groups == {"condition": 7, "side": 5}
    assert in_groups(both) == of_one_device(bundle_path, tmp_path / "all", *FIRST, *SECOND)


def test_pushes_carry_what_changed_in_groups_and_what_was_forgotten_leaves_the_folder(bundle_path, tmp_path) -> None:
    home, folder, new = device(bundle_path, tmp_path / "one", *FIRST), tmp_path / "fleet", tmp_path / "new.edgetl"
    with Receiver(Collected(folder), "127.0.0.1", 0) as running:
        deliver = delivery.receiver(running.url, delivery.Credentials())

        def push() -> Pushed:
            learner = home.learner()
            try:
                return send(home.folder, running.url, deliver, outgoing(learner))
            finally:
                learner.store.close()

        assert (push().change, push().new) == (False, False)
        learner = home.learner()
        groups = Groups(learner)
        groups["condition"].forget([1])
        groups["condition"].relabel("worn", [5])
        groups.add({"": "kite", "owner": "me"}, np.stack([BACKBONE.embed(draw("kite", 77))]))
        learner.store.close()
        pushed = push()
        assert pushed.change and pushed.new and not push().new
        merge(open_bundle(bundle_path), sources_in([folder]), new, accept=True)
        now: list[Taught] = [
            ("kite", 0, 1, {"": "kite"}), ("kite", 1, 3, {"": "kite", **WORN}), ("ring", 0, 1, WORN),
            ("ring", 1, 2, FINE), ("kite", 77, 1, {"": "kite", "owner": "me"}),
        ]  # fmt: skip
        assert in_groups(new) == of_one_device(bundle_path, tmp_path / "again", *now)
        learner = home.learner()
        Groups(learner)["condition"].forget_all()
        learner.store.close()
        push()
        merge(open_bundle(bundle_path), sources_in([folder]), new, accept=True)
        assert list(open_bundle(new).groups) == ["owner"]
    (file,) = (folder / "devices").glob("*.stats")
    assert b"condition" not in file.read_bytes()


@pytest.fixture
def merged(bundle_path, tmp_path) -> Path:
    """A bundle with a group: rings are fine, boxes are worn."""
    home = device(bundle_path, tmp_path / "teacher", ("ring", 0, 8, FINE), ("box", 200, 8, WORN))
    merge(open_bundle(bundle_path), sources_in([exported(home, tmp_path / "t.stats")]), tmp_path / "with.edgetl")
    return tmp_path / "with.edgetl"


@pytest.fixture
def run(capfd) -> Callable[..., Any]:
    def call(program: Any, *words: object, code: int = 0) -> Any:
        capfd.readouterr()
        found = console.run(program, "edgetl", list(map(str, words)))
        said = capfd.readouterr()
        assert found == code, said.out + said.err
        return json.loads(said.out) if "--json" in words else said.out + said.err

    return call


def test_a_device_that_installs_the_bundle_answers_in_its_groups_learns_on_and_forgets(merged, tmp_path, run) -> None:
    home, photos = tmp_path / "home", write_photos(tmp_path / "photos", ("ring", "box"), 3, seed=9)
    words = ("--home", home)
    told = run(device_program, *words, "install", merged, "--json")
    assert told["groups"] == {"condition": ["fine", "worn"]}
    said = run(device_program, *words, "classify", "--json", photos / "ring" / "0000.png")
    assert said["predictions"][0]["groups"]["condition"]["label"] == "fine"
    factory = GroupContent(BundleContent(open_bundle(merged)), "condition").statistics.to_bytes()
    run(device_program, *words, "learn", "--group", "condition", "fine", photos / "ring" / "0001.png")
    learner = Home(home).learner()
    of_group = Groups(learner)["condition"]
    assert of_group.factory.statistics.to_bytes() == factory and of_group.device_statistics().samples == 1
    told = run(device_program, *words, "forget", "--group", "condition", "--label", "fine", "--json")
    assert (told["removed"], told["hidden"]) == (1, True)
    assert "from the bundle: fine (hidden), worn" in run(device_program, *words, "status")
    assert Groups(Home(home).learner())["condition"].active_head().labels == ("worn",)
    assert learner.store.hidden(learner.bundle.backbone_digest) == frozenset()  # the labels without a group stay
    run(device_program, *words, "forget", "--group", "condition", "--all")
    assert Groups(Home(home).learner())["condition"].active_head().labels == ("fine", "worn")


def test_samples_in_groups_are_learned_again_when_another_bundle_is_installed(
    bundle_path, merged, tmp_path, run
) -> None:
    home = device(bundle_path, tmp_path / "home", ("kite", 0, 5, {"condition": "new"}))
    run(device_program, "--home", home.folder, "install", merged)
    of_group = Groups(home.learner())["condition"]
    assert of_group.active_head().labels == ("fine", "new", "worn") and of_group.unlearned == 0


def test_a_device_does_not_install_a_bundle_with_its_own_samples_in_groups(bundle_path, merged, tmp_path, run) -> None:
    said = run(device_program, "--home", tmp_path / "teacher", "install", merged, code=2)
    assert "already holds what this device learned" in said


def test_evaluate_measures_a_group(merged, tmp_path, run) -> None:
    photos = write_photos(tmp_path / "photos", ("ring", "box"), 4, seed=9)
    (photos / "ring").rename(photos / "fine")
    (photos / "box").rename(photos / "worn")
    told = run(host_program, "evaluate", merged, photos, "--group", "condition", "--json")
    assert (told["group"], told["labels"], told["samples"]) == ("condition", ["fine", "worn"], 8)
    assert told["accuracy"] >= 0.75
    swapped = photos / "swap"
    (photos / "fine").rename(swapped)
    (photos / "worn").rename(photos / "fine")
    swapped.rename(photos / "worn")
    assert (
        run(host_program, "evaluate", merged, photos, "--group", "condition", "--json")["accuracy"]
        == 1 - told["accuracy"]
    )
    line = run(host_program, "evaluate", merged, photos, "--group", "side", code=2)
    assert "has no group 'side'; its groups: condition" in line
    line = run(host_program, "evaluate", merged, photos, code=2)
    assert "a class 'fine' that the bundle does not know" in line


def test_more_groups_than_a_bundle_holds_are_refused(bundle_path, tmp_path) -> None:
    homes = [
        device(bundle_path, tmp_path / str(n), ("ring", n, 1, {f"question {n} {m}": "yes" for m in range(5)}))
        for n in range(2)
    ]
    files = [exported(home, tmp_path / "out" / f"{n}.stats") for n, home in enumerate(homes)]
    with pytest.raises(InputError, match="at most 8 groups, these would be 10"):
        merge(open_bundle(bundle_path), sources_in(files), tmp_path / "new.edgetl")
    assert not (tmp_path / "new.edgetl").exists()


def test_what_a_bundle_says_of_groups_must_be_what_it_holds(merged, tmp_path) -> None:
    bundle = open_bundle(merged)
    whole = {name: data for name, data in bundle.members.items() if name != "manifest.sig"}
    without = {name: data for name, data in whole.items() if name != "groups.npz"}
    manifest = {name: value for name, value in bundle.manifest.items() if name not in ("members", "format")}
    named = manifest["groups"]
    for groups, members in (
        (named, without), ({}, whole), (["condition"], whole), ({"a/b": ["x"]}, whole), ({"a": []}, whole),
        ({"a": ["y", "x"]}, whole), ({"a": ["(nothing)"]}, whole), ({f"g{n}": ["x"] for n in range(9)}, whole),
    ):  # fmt: skip
        with pytest.raises(BundleError):
            write_bundle(tmp_path / "bad.edgetl", {**manifest, "groups": groups}, members)
    with pytest.raises(BundleError, match="names groups"):
        write_bundle(tmp_path / "bad.edgetl", {**manifest, "format": 3}, whole)
    write_bundle(tmp_path / "other.edgetl", {**manifest, "groups": {"condition": ["fine", "torn"]}}, whole)
    other = open_bundle(tmp_path / "other.edgetl")
    with pytest.raises(BundleError, match=r"groups\.npz, group condition: other labels"):
        _ = GroupContent(BundleContent(other), "condition").statistics
    stranger = replace(bundle, members={**whole, "groups.npz": whole["holdout.npz"]})
    with pytest.raises(BundleError, match=r"groups\.npz, group condition"):
        _ = GroupContent(BundleContent(stranger), "condition").statistics
    assert read_bundle(merged.read_bytes()).groups == bundle.groups


def test_groups_in_which_the_same_photos_are_labelled_share_their_matrix(bundle_path, tmp_path) -> None:
    """Each comes back byte for byte; a reference that leads nowhere is refused."""
    same: list[Taught] = [
        ("ring", 0, 8, {"a": "new", "c": "left", "b": "x"}), ("box", 0, 8, {"a": "old", "c": "right"}),
    ]  # fmt: skip
    home, new = device(bundle_path, tmp_path / "one", *same), tmp_path / "new.edgetl"
    merge(open_bundle(bundle_path), sources_in([exported(home, tmp_path / "1.stats")]), new, accept=True)
    assert in_groups(new) == of_one_device(bundle_path, tmp_path / "again", *same)
    bundle = open_bundle(new)
    parts = dict(unpack(bundle.members["groups.npz"]))
    sizes = {name: parts[str(place)].size for place, name in enumerate(bundle.groups)}
    assert sizes["c"] < 0.5 * sizes["a"] and sizes["c"] < sizes["b"]
    last = dict(unpack(parts["2"].tobytes()))
    assert last["gram"] == 0
    for gram in (np.array(2), np.array(3), np.array(-1), np.array(0, np.int32), np.zeros((0, 0), np.int64)):
        bad = pack(parts | {"2": np.frombuffer(pack(last | {"gram": gram}), np.uint8)})
        damaged = replace(bundle, members={**bundle.members, "groups.npz": bad})
        with pytest.raises(BundleError, match=r"groups\.npz, group c"):
            _ = GroupContent(BundleContent(damaged), "c").statistics
