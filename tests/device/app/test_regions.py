"""Named regions: kept in the home, recognised by themselves, bound to groups; and what was taught with which."""

import io
import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import apsw
import numpy as np
import pytest
from conftest import draw, write_photos
from recognitions import recognition

from edgetl_device import console
from edgetl_device.app import deliveries, pipeline
from edgetl_device.app.app import App
from edgetl_device.app.background import Listener
from edgetl_device.app.history import HistorySettings
from edgetl_device.app.sinks import ChangeLines
from edgetl_device.camera import FakeCamera
from edgetl_device.camera.opening import named_spec
from edgetl_device.cli import program
from edgetl_device.cli.run_cameras import laid_of, regions_of, specs_of
from edgetl_device.errors import InputError, StorageError
from edgetl_device.home import Home
from edgetl_device.home_regions import NamedRegion
from edgetl_device.home_view import warning
from edgetl_device.open_home import OpenHome
from edgetl_device.store.backup_check import check_content
from edgetl_device.store.lock import LearningLock
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.store import Store
from edgetl_device.store.views import Views
from edgetl_device.view import View
from edgetl_device.view_names import MAX_REGIONS, ViewName

SOON_S = 20.0
LEFT, RIGHT = (0, 0, 5000, 10000), (5000, 0, 5000, 10000)


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def side_by_side(number: int, left: str = "ball", right: str = "box") -> np.ndarray:
    return np.hstack([draw(left, number), draw(right, number)])


def watching(*images: np.ndarray) -> FakeCamera:
    return FakeCamera([*images] * 100_000, fps=100.0, finite=False)  # longer than any test waits


def region(name: str, area=LEFT, group: str | None = None, camera: str = "") -> NamedRegion:
    return NamedRegion(ViewName(camera, name), View(area), group)


# the home ------------------------------------------------------------------------------------------------------------


def test_regions_are_kept_changed_renamed_and_removed_durably(home: Home) -> None:
    with OpenHome(home) as opened:
        opened.regions.choose(region("left"))
        opened.regions.choose(region("right", RIGHT, " condition "))
        opened.regions.choose(region("left", (0, 0, 4000, 10000)))
        assert opened.regions.rename(ViewName("", "right"), "shelf") == ViewName("", "shelf")
    with OpenHome(home) as opened:
        assert opened.regions.listed() == [region("left", (0, 0, 4000, 10000)), region("shelf", RIGHT, "condition")]
        with pytest.raises(InputError, match="there is a region shelf already"):
            opened.regions.rename(ViewName("", "left"), "shelf")
        with pytest.raises(InputError, match="no region 'shelv': did you mean shelf"):
            opened.regions.remove(ViewName("", "shelv"))
        opened.regions.remove(ViewName("", "shelf"))
        assert [each.name.region for each in opened.regions.listed()] == ["left"]
        assert check_content(opened.learner.store.database._db) is None


def test_what_cannot_be_a_region_is_refused_and_nothing_is_kept(home: Home) -> None:
    with OpenHome(home) as opened:
        for wrong, reason in [
            (region("a/b"), "the name of a region"),
            (region("x", LEFT, "y" * 40), "the name of a group"),
            (NamedRegion(ViewName("", "x"), View(LEFT, zoom=True)), "empty scene"),
        ]:
            with pytest.raises(InputError, match=reason):
                opened.regions.choose(wrong)
        for number in range(MAX_REGIONS):
            opened.regions.choose(region(f"r{number}"))
        with pytest.raises(InputError, match=f"at most {MAX_REGIONS} regions"):
            opened.regions.choose(region("one more"))
        assert len(opened.regions.listed()) == MAX_REGIONS


def test_a_home_of_before_there_were_regions_goes_on_with_its_view_and_its_samples(tmp_path) -> None:
    path = tmp_path / "device.sqlite"
    old = apsw.Connection(str(path))
    before = next(n for n, each in enumerate(MIGRATIONS) if each.__name__ == "_regions")
    for migration in MIGRATIONS[:before]:
        migration(old)
    old.pragma("user_version", before)
    old.close()
    view = json.dumps(View(LEFT).to_json(), sort_keys=True)
    store = Store(path)
    ids = store.add_samples("kite", np.zeros((2, 4), np.int8), "backbone", "r", view=view)
    store.views.choose(view)
    assert store.regions.rows() == () and store.views.place_of(ids) == [("", ""), ("", "")]
    store.views.note_place(ids[:1], "porch", "feeder")
    store.close()
    again = Store(path)
    assert again.views.chosen == view and again.views.of(ids) == [view, view]
    assert again.views.place_of(ids) == [("porch", "feeder"), ("", "")]
    assert check_content(again.database._db) is None


def test_a_sample_keeps_its_region_when_it_gets_another_id_and_takes_it_along_when_it_is_forgotten(home: Home) -> None:
    with OpenHome(home) as opened:
        store = opened.learner.store
        ids = opened.learner.add("box", opened.backbone.embed(draw("ball", 1))[None], view="")
        store.views.note_place(ids, "porch", "feeder")
        store.set_aside([(ids, "ball", "looks like ball")])
        moved = store.admit(opened.bundle.backbone_digest, ids, "ball")
        assert store.views.place_of([*ids, *moved]) == [("", ""), ("porch", "feeder")]
        opened.regions.choose(region("feeder", camera="porch"))
        opened.regions.rename(ViewName("porch", "feeder"), "birds")
        assert store.views.place_of(moved) == [("porch", "birds")]
        opened.learner.forget(moved)
        assert list(store.database.rows("SELECT * FROM taught_in")) == []


def test_named_cameras_have_views_and_empty_scenes_of_their_own(home: Home) -> None:
    with OpenHome(home) as opened:
        opened.regions.look("porch").choose(View(LEFT))
        opened.regions.look("gate").remember_empty(draw("ball", 1))
        opened.regions.look("gate").choose(View(zoom=True))
        assert opened.view.chosen is None and opened.regions.look("porch").chosen == View(LEFT)
        assert opened.regions.look("porch").empty() is None and opened.regions.look("gate").empty() is not None
        assert [name.shown for name, _, _ in opened.regions.watched(("porch", "gate", "yard"))] == [
            "porch",
            "gate",
            "yard",
        ]
        opened.regions.look("porch").choose(None)
        assert opened.regions.look("porch").chosen is None


# the app -------------------------------------------------------------------------------------------------------------


def test_changing_a_region_warns_of_the_samples_that_were_taught_with_another(home: Home) -> None:
    with App(home, watching(side_by_side(1, "kite", "box"))) as app:
        app.choose_region(region("left"))
        app.choose_region(region("right", RIGHT))
        until(lambda: len(app.pipeline.latest_of_each()) == 2)
        left = app.view_named(region="left")
        with app.pipeline.subscribe(wanted=left.name.__eq__) as subscription:
            ids = app.teach("hinge", [subscription.get(SOON_S) for _ in range(5)])
        assert app.taught_with_others() == {}
        assert app._learner.store.views.place_of(ids) == [("", "left")] * 5
        app.choose_region(region("left", (0, 0, 4000, 10000)))
        assert app.taught_with_others() == {"hinge": 5}
        assert warning(app.taught_with_others()).startswith("5 samples (5 of hinge) were taught with another view")
        assert app.taught_otherwise() == ids
        app.choose_region(region("left"))
        assert app.taught_with_others() == {}


def test_what_another_process_draws_is_recognised_within_a_second_and_gone_when_it_is_removed(home: Home) -> None:
    with App(home, watching(side_by_side(1)), smoothing_s=0.0) as app:
        until(lambda: app.pipeline.latest() is not None)
        with OpenHome(home) as other:
            other.regions.choose(region("left"))
            other.regions.choose(region("right", RIGHT))
        until(lambda: len(app.pipeline.latest_of_each()) == 2)
        assert [each.prediction.label for each in app.pipeline.latest_of_each()] == ["ball", "box"]
        with OpenHome(home) as other:
            for name in ("left", "right"):
                other.regions.remove(ViewName("", name))
        until(lambda: [each.name for each in app.pipeline.views] == [ViewName()])
        until(lambda: [each.name for each in app.pipeline.latest_of_each()] == [ViewName()])


def test_of_regions_that_are_gone_only_the_number_of_frames_is_left(home: Home, monkeypatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    for module in (deliveries, pipeline):
        monkeypatch.setattr(module, "time", clock)
    app = App(home, watching(side_by_side(1)))  # not started: what it delivers is what the test lets it
    try:
        for names in (("left", "right"), ("left",)):
            for name in ("left", "right"):
                if name in names:
                    app.choose_region(region(name))
            app.pipeline._deliveries.keep_only(ViewName("", name) for name in names)
            for _ in range(100):
                clock.now += 0.1
                for name in names:
                    app.pipeline._deliver(replace(recognition("ball", clock.now), name=ViewName("", name)))
        health = app.pipeline.health()
        assert (health.frames, round(health.seconds, 1)) == (300, 19.9) and health.fps == pytest.approx(10.0)
        app.pipeline._deliver(replace(recognition("ball", clock.now), name=ViewName("", "right")))  # was on its way
        health = app.pipeline.health()
        assert health.frames == 301 and health.fps == pytest.approx(10.0)
        assert app.pipeline.latest(ViewName("", "right")) is None
    finally:
        app.stop()


@pytest.mark.slow
def test_regions_that_come_and_go_leave_nothing_behind(home: Home) -> None:
    lines = ChangeLines(lambda: None, io.StringIO())
    with App(home, watching(side_by_side(1)), history=HistorySettings(), smoothing_s=0.1) as app:
        app.choose_region(region("right", RIGHT))
        listener = Listener("lines", app.pipeline, lines, keep_only=lines.keep_only)
        listener.start()
        remembered = [
            *(
                lambda: app._recorder._seen,
                lambda: app.pipeline._smoothers._of,
                lambda: app.pipeline._deliveries._tallies,
            ),
            *(lambda: app.pipeline._deliveries.of, lambda: app.pipeline._captured._rooms, lambda: lines._changes._of),
            *(lambda: app.reviewing._glimpses, lambda: app._watch._observed, lambda: app._watch._drifts),
            lambda: listener._source._turns._rooms,
        ]
        for number in range(8):
            name = f"region {number}"
            app.choose_region(region(name))
            until(lambda name=name: app.pipeline.latest(ViewName("", name)) is not None)
            app.notice()
            app.remove_region(ViewName("", name))
        for of in remembered:
            until(lambda of=of: set(of()) <= {ViewName("", "right")})
        listener.stop()


def test_nobody_forgets_a_sample_before_it_is_noted_where_it_was_taught(home: Home, monkeypatch) -> None:
    held, note = [], Views.note_place

    def noted(*values) -> None:
        def forget() -> None:
            try:
                with LearningLock(home.lock.path, wait_s=0.0)():
                    held.append(False)
            except StorageError:
                held.append(True)

        other = threading.Thread(target=forget)
        other.start()
        other.join()
        note(*values)

    monkeypatch.setattr(Views, "note_place", noted)
    with App(home, {"porch": watching(side_by_side(1)), "gate": watching(side_by_side(2))}) as app:
        until(lambda: app.pipeline.latest(ViewName("gate")) is not None)
        ids = app.teach("kite", [app.pipeline.latest(ViewName("gate"))])
        ids += app.teach_photos("kite", [draw("kite", 1)], view=app.view_named("porch"))
        assert app._learner.store.views.place_of(ids) == [("gate", ""), ("porch", "")]
    assert held == [True, True]


def test_which_view_is_meant_must_be_said_where_there_are_several(home: Home) -> None:
    cameras = {"porch": watching(side_by_side(1)), "gate": watching(side_by_side(2))}
    with App(home, cameras) as app:
        app.choose_region(region("left", camera="gate"))
        app.choose_region(region("right", RIGHT, camera="gate"))
        assert app.view_named("porch").name == ViewName("porch")
        assert app.view_named("gate", "left").name == ViewName("gate", "left")
        assert app.view_named(region="right").name == ViewName("gate", "right")
        for wrong in ((), ("gate",), ("yard",), ("gate", "middle"), ("porch", "left")):
            with pytest.raises(InputError):
                app.view_named(*wrong)
        with pytest.raises(InputError, match="no camera 'yard': porch, gate"):
            app.choose_region(region("x", camera="yard"))


def test_a_region_that_is_bound_to_a_group_does_not_count_for_drift_or_review(home: Home) -> None:
    with App(home, watching(side_by_side(1))) as app:
        app.choose_region(region("left"))
        app.choose_region(region("right", RIGHT, "condition"))
        until(lambda: len(app.pipeline.latest_of_each()) == 2)
        app.notice()
        right = app.pipeline.latest(ViewName("", "right"))
        assert app._watch.drift_of(ViewName("", "left")) is not None and app._watch.drift_of(right.name) is None
        app.reviewing._see(right)
        assert app.reviewing._candidate is None
        status = app.status()
        assert [each["region"] for each in status["views"]] == ["left", "right"]
        assert status["cameras"][0]["camera"] is None and status["cameras"][0]["frames"] > 0


# what a person types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", ("", "0")),
        ("porch=0", ("porch", "0")),
        (" front door = rtsp://u:p@cam/x?a=b", ("front door", "rtsp://u:p@cam/x?a=b")),
        ("rtsp://cam/x?channel=1", ("", "rtsp://cam/x?channel=1")),
        ("http://cam/video.cgi?user=a&pwd=b", ("", "http://cam/video.cgi?user=a&pwd=b")),
        ("admin:pw@cam/x?a=b", ("", "admin:pw@cam/x?a=b")),
        ("./a=b.mp4", ("", "./a=b.mp4")),
        ("${CAMERA}=x", ("", "${CAMERA}=x")),
        ("microscope:gain=2", ("", "microscope:gain=2")),
        ("scope=microscope:gain=2", ("scope", "microscope:gain=2")),
    ],
)
def test_a_name_is_told_from_an_address_that_holds_an_equals_sign(text: str, expected: tuple[str, str]) -> None:
    assert named_spec(text) == expected


def test_a_file_whose_name_holds_an_equals_sign_is_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "porch=0").write_bytes(b"")
    assert named_spec("porch=0") == ("", "porch=0")


def test_several_cameras_need_names_and_each_its_own(tmp_path) -> None:
    secret = tmp_path / "gate"
    secret.write_text("gate=rtsp://u:hunter2@cam/s\n")
    secret.chmod(0o600)
    assert specs_of([], []) == {"": "auto"}
    assert specs_of(["porch=0"], [secret]) == {"porch": "0", "gate": "rtsp://u:hunter2@cam/s"}
    for wrong, reason in [
        (["0", "1"], "several cameras need names"),
        (["porch=0", "1"], "several cameras need names"),
        (["porch=0", "porch=1"], "two cameras are called porch"),
        (["a b+=0"], "the name of a camera"),
        (["porch="], "expected what it is behind the name"),
        ([f"c{n}=0" for n in range(17)], "at most 16 cameras"),
    ]:
        with pytest.raises(InputError, match=reason):
            specs_of(wrong, [])
    secret.write_text("1")
    with pytest.raises(InputError, match="--camera and --camera-file both name a camera"):
        specs_of(["0"], [secret])


def test_regions_say_of_which_camera_they_are_and_what_they_ask() -> None:
    half = "0.5,0,0.5,1"
    assert regions_of([half], ("",)) == ([], {"": half})
    assert regions_of([f"shelf={half}:condition"], ("",)) == ([region("shelf", RIGHT, "condition")], {})
    assert regions_of([f"porch={half}"], ("porch", "gate")) == ([], {"porch": half})
    assert regions_of([f"gate/shelf={half}"], ("porch", "gate"))[0] == [region("shelf", RIGHT, camera="gate")]
    assert regions_of([f"shelf={half}"], ("porch",))[0] == [region("shelf", RIGHT, camera="porch")]
    for wrong, reason in [
        (half, "say of which camera"),
        (f"shelf={half}", "say of which camera"),
        (f"yard/shelf={half}", "no camera 'yard': porch, gate"),
        (f"gate/={half}", "the name of a region"),
        ("gate/shelf=1,2", "expected a region"),
        ("gate/shelf=0,0,2,1", "expected a region in shares"),
    ]:
        with pytest.raises(InputError, match=reason):
            regions_of([wrong], ("porch", "gate"))


def test_turning_and_mirroring_are_for_all_cameras_or_for_one() -> None:
    cameras = {"porch": "0", "gate": "1"}
    assert laid_of(["90"], ["*"], cameras) == ({"porch": 90, "gate": 90}, {"porch", "gate"})
    assert laid_of(["gate=180"], ["porch"], cameras) == ({"gate": 180}, {"porch"})
    for turns, mirrors in ((["45"], []), (["yard=90"], []), ([], ["yard"])):
        with pytest.raises(InputError):
            laid_of(turns, mirrors, cameras)


def test_run_recognises_two_folders_and_says_in_each_line_which_camera_and_region(home: Home, tmp_path, capsys) -> None:
    for name, kind in (("balls", "ball"), ("boxes", "box")):
        write_photos(tmp_path / name, (kind,), 3)
    words = ["--home", str(home.folder), "run", "--no-web", "--jsonl", "--no-review"]
    words += ["--camera", f"porch={tmp_path / 'balls' / 'ball'}", "--camera", f"gate={tmp_path / 'boxes' / 'box'}"]
    words += ["--region", "gate/half=0,0,0.5,1", "--region", "gate/all=0,0,1,1", "--turn", "porch=90"]
    assert console.run(program, "edgetl-device", words) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert {(line["camera"], line["region"]) for line in lines} == {("porch", None), ("gate", "half"), ("gate", "all")}
    assert {line["label"] for line in lines if line["camera"] == "porch"} == {"ball"}
    assert "camera  porch: " in err and "looks at gate/half: the region 0,0,0.5,1 of the frame from now on" in err
    assert console.run(program, "edgetl-device", [*words, "--camera", "0"]) == 2


def test_with_one_camera_without_a_name_lines_are_as_they_were(home: Home, tmp_path, capsys) -> None:
    write_photos(tmp_path / "balls", ("ball",), 1)
    words = ["--home", str(home.folder), "run", "--no-web", "--jsonl", "--camera", str(tmp_path / "balls" / "ball")]
    assert console.run(program, "edgetl-device", words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert list(json.loads(line)) == ["time", "frame", "label", "probability", "unknown", "version"]
