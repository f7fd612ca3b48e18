"""The Python API of the device: the same verbs as the command line, and the same results."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone, write_photos

import edgetl_device
from edgetl_device import Device, DeviceGroups, DeviceInspection, EdgetlError, open_bundle
from edgetl_device.bundle import bundle as bundle_module
from edgetl_device.camera import FakeCamera, opening
from edgetl_device.cli import program
from edgetl_device.console import run
from edgetl_device.errors import CameraError, HomeError, InputError, PhotoError, StorageError
from edgetl_device.home import Home

KITES = [draw("kite", number) for number in range(6)]


@pytest.fixture
def device(home: Home) -> Iterator[Device]:
    with Device(home.folder) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the examples of the docstrings take it: a home, a bundle and photos."""
    (tmp_path / "toys.edgetl").write_bytes(bundle_path.read_bytes())
    for name, kind, number in [("ball", "ball", 50), ("box", "box", 50), ("kite", "kite", 50)]:
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw(kind, number))
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"kite-{number}.png"), draw("kite", number))
    (tmp_path / "photos").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), draw("box", number))
    (tmp_path / "boxes").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / "boxes" / f"{number}.png"), draw("box", 700 + number))
    Home(tmp_path / "home").install(bundle_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def on_the_command_line(capsys: pytest.CaptureFixture[str], home: Path, *arguments: str) -> dict:
    run(program, "edgetl-device", ["--home", str(home), *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def examples() -> list[doctest.DocTest]:
    classes = [*Device.__mro__[:-1], DeviceGroups, DeviceInspection]
    modules = [*(sys.modules[part.__module__] for part in classes), bundle_module, opening]
    return [
        test
        for module in modules
        for test in doctest.DocTestFinder().find(module, extraglobs={"Device": Device})
        if test.examples
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_the_examples_in_docstrings_are_right(example: doctest.DocTest, place: Path) -> None:
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)


def test_every_verb_has_an_example() -> None:
    named = {test.name.rpartition(".")[2] for test in examples()}
    verbs = {name for name in dir(Device) if not name.startswith("_")} - {"close"}
    assert {*verbs, "Device", "open_bundle", "open_camera"} <= named


@pytest.mark.slow
def test_a_newcomer_needs_six_lines(place: Path) -> None:
    script = (
        "from edgetl_device import Device\n"
        "device = Device()\n"
        "device.install('toys.edgetl')\n"
        "device.learn('kite', ['kite-1.png', 'kite-2.png', 'kite-3.png'])\n"
        "print(device.classify('kite.png').label)\n"
        "print(device.rollback())\n"
    )
    environment = os.environ | {"EDGETL_HOME": str(place / "newcomer")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "kite\n1\n" and done.stderr == ""


def test_importing_the_package_and_its_names_loads_nothing_heavy() -> None:
    code = (
        "import sys, edgetl_device\n"
        "assert 'Device' in dir(edgetl_device)\n"
        "heavy = {'numpy', 'cv2', 'apsw', 'click', 'rich', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from edgetl_device import *\n"
        "assert Device and Prediction and App"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_exported_is_there_and_nothing_else() -> None:
    for name in edgetl_device.__all__:
        assert getattr(edgetl_device, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Devise'"):
        _ = edgetl_device.Devise


def test_it_says_the_same_as_the_command_line(device: Device, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = device.home.folder
    (said,) = on_the_command_line(capsys, folder, "classify", "ball.png")["predictions"]
    prediction = device.classify("ball.png")
    assert (said["label"], said["probability"], said["unknown"]) == (
        prediction.label,
        prediction.probability,
        prediction.unknown,
    )
    assert [row["label"] for row in said["top"]] == [label for label, _ in prediction.top]
    device.learn("kite", KITES, color="bgr")
    assert on_the_command_line(capsys, folder, "samples")["samples"] == [asdict(row) for row in device.samples()]
    versions = on_the_command_line(capsys, folder, "versions")["versions"]
    assert [(row["version"], row["state"]) for row in versions] == [(row.id, row.state) for row in device.versions()]
    status = device.status()
    assert on_the_command_line(capsys, folder, "status") == status | {"free_bytes": pytest.approx(0, abs=1e15)}


def test_an_array_gives_the_same_as_its_file_in_either_order_of_channels(device: Device, place: Path) -> None:
    image = cv2.imread("ball.png")
    expected = device.classify("ball.png")
    assert device.classify(image, color="bgr") == expected == device.classify(image[..., ::-1], color="rgb")
    assert device.classify(Path("ball.png")) == expected
    assert device.classify(image, color="rgb") != expected


@pytest.mark.parametrize(
    ("image", "color", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), None, r'color="bgr" \(OpenCV\) or color="rgb" \(Pillow\), got none'),
        (np.zeros((8, 8, 3), np.uint8), "hsv", "got 'hsv'"),
        (np.zeros((8, 8, 4), np.uint8), "rgb", r"must be \(height, width, 3\) uint8, got \(8, 8, 4\) uint8"),
        (np.zeros((8, 8), np.uint8), "rgb", r"got \(8, 8\) uint8"),
        (np.zeros((8, 8, 3), np.float32), "rgb", r"got \(8, 8, 3\) float32"),
        (np.zeros((0, 8, 3), np.uint8), "rgb", r"got \(0, 8, 3\) uint8"),
        (None, None, "must be a path or a NumPy array, got NoneType"),
        (b"photo", None, "got bytes"),
    ],
)
def test_what_is_no_image_is_refused_with_what_was_expected_and_received(device, image, color, message) -> None:
    with pytest.raises(InputError, match=message):
        device.classify(image, color=color)
    with pytest.raises(InputError):
        device.learn("kite", [KITES[0], image] if color else [image], color=color)
    assert device.samples() == []


def test_missing_and_damaged_files_are_photo_errors_and_skipped_beside_good_ones(device: Device, place: Path) -> None:
    Path("damaged.png").write_bytes(Path("kite.png").read_bytes()[:100])
    for name in ("missing.png", "damaged.png"):
        with pytest.raises(PhotoError, match=name):
            device.classify(name)
        with pytest.raises(InputError, match="none of 1 photos could be read"):
            device.learn("kite", name)
    learned = device.learn("kite", ["kite-1.png", "damaged.png", KITES[1]], color="bgr", retrain=False)
    assert len(learned.ids) == 2 and learned.outcome is None
    assert len(learned.skipped) == 1 and "damaged.png" in learned.skipped[0]


def test_a_folder_is_learned_with_all_photos_of_its_one_class(device: Device, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 3)
    (photos / "kite" / "notes.txt").write_text("none of them")
    learned = device.learn("kite", photos)
    assert len(learned.ids) == 3 and len(learned.skipped) == 1 and "notes.txt" in learned.skipped[0]
    write_photos(photos, ("ring",), 1)
    with pytest.raises(InputError, match="several classes"):
        device.learn("kite", photos)
    assert len(device.samples()) == 3


def test_samples_hold_the_embeddings_of_the_images_in_their_order(device: Device, place: Path) -> None:
    ids = device.learn("kite", ["kite-1.png", KITES[4], "kite-3.png"], color="bgr").ids
    with device._now() as opened:
        ((stored, _, _, raw),) = opened.learner.store.embeddings(opened.bundle.backbone_digest, 64)
    backbone = tiny_backbone()
    expected = [backbone.embed(draw("kite", number)) for number in (1, 4, 3)]
    assert tuple(stored) == ids
    np.testing.assert_array_equal(raw, np.stack(expected))


def test_pictures_of_samples_are_kept_only_where_that_is_asked_for(device: Device) -> None:
    ids = [
        device.learn("kite", KITES[0], color="bgr", keep_photos=keep, retrain=False).ids[0] for keep in (False, True)
    ]
    with device._now() as opened:
        assert [opened.learner.store.thumbnail(number) is not None for number in ids] == [False, True]


def test_forgetting_and_moving_do_what_they_say(device: Device) -> None:
    ids = device.learn("kit", KITES, color="bgr").ids
    assert device.relabel("kite", ids[:4]).moved == 4
    before = device.versions()
    nothing = device.relabel("kite", [*ids[:4], ids[0]])
    assert nothing.moved == 0 and nothing.outcome.reason == "all 4 samples are kite already: nothing changed"
    assert nothing.outcome.version == before[-1].id and device.versions() == before
    assert device.forget(ids[4]).removed == 1 and device.forget([ids[5]]).removed == 1
    assert [row.label for row in device.samples()] == ["kite"] * 4 and device.samples("kit") == []
    forgotten = device.forget(label="box")
    assert forgotten.hidden and forgotten.removed == 0 and device.status()["labels"] == ["ball", "kite"]
    assert device.forget(everything=True).removed == 4 and device.status()["labels"] == ["ball", "box"]
    for wrong in ({}, {"label": "kite", "everything": True}, {"ids": 1, "label": "kite"}, {"label": "x"}, {"ids": 99}):
        with pytest.raises(InputError):
            device.forget(**wrong)


def test_what_others_do_to_the_home_counts_from_the_next_call_on(device: Device, place: Path, capsys, tmp_path) -> None:
    kite, folder = draw("kite", 50), device.home.folder
    assert device.classify(kite, color="bgr").label != "kite"
    assert on_the_command_line(capsys, folder, "learn", "kite", "kite-1.png", "kite-2.png", "kite-3.png")["promoted"]
    assert device.classify(kite, color="bgr").label == "kite"
    on_the_command_line(capsys, folder, "rollback", "1")
    assert device.classify(kite, color="bgr").label != "kite"
    Device(folder).rollback(2)
    assert device.classify(kite, color="bgr").label == "kite"
    on_the_command_line(capsys, folder, "forget", "--label", "kite")
    assert device.classify(kite, color="bgr").label != "kite"
    other = build_bundle(tmp_path / "other.edgetl", ("kite", "ring"))
    on_the_command_line(capsys, folder, "install", str(other))
    assert device.classify(kite, color="bgr").label == "kite" and device.status()["bundle"]["name"] == "other"


def test_a_restored_store_counts_from_the_next_call_on(device: Device, capsys, tmp_path: Path) -> None:
    on_the_command_line(capsys, device.home.folder, "backup", str(tmp_path / "backup.sqlite"))
    device.learn("kite", KITES, color="bgr")
    on_the_command_line(capsys, device.home.folder, "restore", str(tmp_path / "backup.sqlite"))
    assert device.samples() == [] and device.status()["version"] == 1


def test_a_new_bundle_learns_what_is_stored(device: Device, tmp_path: Path) -> None:
    device.learn("kite", KITES, color="bgr")
    other = build_bundle(tmp_path / "other.edgetl", ("ball", "box", "ring"))
    installed = device.install(other)
    assert installed.name == "other" and installed.labels == ("ball", "box", "ring") and installed.agreement == 1.0
    assert (
        installed.outcome is not None and installed.outcome.promoted and installed.version == installed.outcome.version
    )
    assert device.classify(draw("kite", 50), color="bgr").label == "kite"


def test_a_device_that_is_not_set_up_says_so_and_can_be_set_up(tmp_path: Path, bundle_path: Path) -> None:
    device = Device(tmp_path / "new")
    with pytest.raises(HomeError, match="nothing was taught in"):
        device.classify(KITES[0], color="bgr")
    assert device.install(bundle_path).version == 1
    assert device.classify(draw("box", 3), color="bgr").label == "box"


def test_it_can_be_used_from_several_threads(device: Device) -> None:
    expected = device.classify(draw("ball", 7), color="bgr")
    failures: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            for _ in range(5):
                work()
        except BaseException as error:
            failures.append(error)

    works = [
        lambda: device.learn("kite", KITES[:2], color="bgr"),
        lambda: device.classify(KITES[3], color="bgr"),
        lambda: device.status() and device.samples() and device.versions(),
        lambda: device.forget(label="ring") if device.learn("ring", draw("ring", 1), color="bgr") else None,
    ]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    device.learn("kite", KITES[5], color="bgr")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert [row.label for row in device.samples()] == ["kite"] * 11
    assert device.classify(draw("ball", 7), color="bgr").label == expected.label


def test_a_closed_device_says_so_and_may_be_closed_again(device: Device) -> None:
    device.samples()
    device.close()
    device.close()
    with pytest.raises(InputError, match="this Device was closed"):
        device.samples()
    with pytest.raises(InputError, match="this Device was closed"):
        device.run(FakeCamera())


def test_a_disk_that_fills_up_between_sample_and_head_is_told(device: Device, monkeypatch) -> None:
    with device._now() as opened:
        full = StorageError("the disk is full")
        monkeypatch.setattr(opened.learner, "retrain", lambda: (_ for _ in ()).throw(full))
    with pytest.raises(StorageError, match="the samples are stored, but there is no new head: the disk is full"):
        device.learn("kite", KITES, color="bgr")
    assert len(device.samples("kite")) == len(KITES)


def test_photos_that_resemble_nothing_show_up_as_drift_in_status(device: Device) -> None:
    for number in range(40):
        device.classify(draw("ring", number), color="bgr")
    assert device.status()["drift"]["frames"] == 40
    device.classify(draw("ring", 41), color="bgr")
    device.close()
    assert Device(device.home.folder).status()["drift"]["frames"] == 41


def test_a_running_app_gives_one_recognition_after_the_other_and_can_be_taught_meanwhile(device: Device) -> None:
    with device.run(FakeCamera(cycle(KITES), fps=100)) as app:
        numbers = []
        for recognition in app:
            numbers.append(recognition.frame.number)
            if len(numbers) == 5:
                device.learn("kite", KITES, color="bgr")
            if recognition.version == 2 and recognition.prediction.label == "kite":
                break
    assert numbers == sorted(set(numbers))
    assert device.classify(KITES[0], color="bgr").label == "kite"


def test_an_app_at_the_end_of_its_frames_ends_the_loop_and_one_that_fails_says_why(device: Device) -> None:
    with device.run(FakeCamera([draw("box", 1), draw("box", 2)], live=False)) as app:
        last = [recognition.frame.number for recognition in app][-1]
    assert last == 2
    with device.run(FakeCamera([draw("box", 1), CameraError("unplugged")])) as app, pytest.raises(CameraError):
        for _ in app:
            pass
    with pytest.raises(CameraError, match="no camera, file or folder"):
        device.run("nowhere")


def test_public_functions_take_names_as_well_as_paths(bundle_path: Path) -> None:
    assert open_bundle(str(bundle_path)).digest == open_bundle(bundle_path).digest
    assert issubclass(InputError, EdgetlError)
