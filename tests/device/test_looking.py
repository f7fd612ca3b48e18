"""Looking at a part of the frame: a region, what differs from the empty scene, and what samples remember of it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import draw, tiny_backbone

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.cli import program
from edgetl_device.device import Device
from edgetl_device.empty_scene import EmptyScene
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.home_view import warning
from edgetl_device.inference.backbone import Backbone
from edgetl_device.looking import Looking
from edgetl_device.open_home import OpenHome
from edgetl_device.preprocess import Preprocessing
from edgetl_device.region import in_words, parse_region, region_of
from edgetl_device.store.backup_check import check_content
from edgetl_device.view import View


def scene(height: int = 240, width: int = 320) -> np.ndarray:
    """An empty one, with some texture: the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([60 + x // 8, 90 + y // 8, 120 + (x + y) // 16], axis=-1).astype(np.uint8)


def with_thing(x: int, y: int, kind: str = "ball", size: int = 64) -> np.ndarray:
    frame = scene()
    frame[y : y + size, x : x + size] = draw(kind, 3, size)
    return frame


def asked(home, *arguments: str) -> tuple[int, dict, str]:
    done = CliRunner().invoke(program, [*arguments, "--home", str(home.folder), "--json"])
    refusal = str(done.exception) if isinstance(done.exception, InputError) else ""
    return 2 if refusal else done.exit_code, json.loads(done.stdout) if done.stdout else {}, refusal


def photo(tmp_path, name: str, frame: np.ndarray) -> str:
    cv2.imwrite(str(tmp_path / name), frame)
    return str(tmp_path / name)


def test_without_a_view_a_backbone_gets_the_bytes_of_its_bundles_preprocessing() -> None:
    frame, size = with_thing(30, 20), Preprocessing(32, 32)
    assert (Looking(size)(frame) == size(frame)).all() and Looking(size).key == ""
    assert Looking(size).part(frame) == (40, 0, 280, 240)  # the largest square in the middle


def test_a_region_of_the_bundle_and_the_same_chosen_on_the_device_give_the_same_bytes() -> None:
    region, frame = (2500, 2500, 5000, 5000), with_thing(100, 80)
    trained = Preprocessing(32, 32, "stretch", region)
    assert Preprocessing.from_json(trained.to_json()) == trained and "region" not in Preprocessing(32, 32).to_json()
    chosen = Looking(Preprocessing(32, 32), View(region))
    assert (trained(frame) == chosen(frame)).all() and (tiny_backbone().seeing(chosen).looking is chosen)
    assert Looking(trained, View(region)).key == "" and chosen.key != ""


@pytest.mark.parametrize(
    "region", [[0, 0, 1, 10_001], [0, 0, 0, 5], [-1, 0, 5, 5], [1, 2, 3], "0,0,1,1", [0.5, 0, 1, 1]]
)
def test_a_bundle_with_a_region_outside_the_frame_is_refused(region: object) -> None:
    with pytest.raises(InputError, match="region"):
        Preprocessing.from_json(Preprocessing(32, 32).to_json() | {"region": region})


@pytest.mark.parametrize("text", ["0.5,0,0.6,1", "0,0,0,1", "a,b", "0,0,nan,1", "10,20,300,300"])
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="region"):
        parse_region(text)


def test_a_region_is_written_as_it_is_read() -> None:
    assert in_words(parse_region("0.25,0,0.5,1")) == "0.25,0,0.5,1"
    assert region_of([0.33333, 0.1, 0.66667, 0.9]) == (3333, 1000, 6667, 9000)
    with pytest.raises(InputError, match="shares of the frame"):
        region_of([0, 0, 1.5, 1])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (40, 100), (256, 176), (130, 70)])
def test_what_differs_from_the_empty_scene_is_found_and_enlarged(x: int, y: int) -> None:
    left, top, right, bottom = View(zoom=True).part(with_thing(x, y), EmptyScene.of(scene()))
    assert left <= x and top <= y and right >= x + 64 and bottom >= y + 64
    assert right - left == bottom - top <= 84


def test_darker_light_and_noise_are_no_thing() -> None:
    noise = np.random.default_rng(0).normal(-20, 4, scene().shape)
    other = np.clip(scene() + noise, 0, 255).astype(np.uint8)
    assert EmptyScene.of(scene()).find(other, (0, 0, 320, 240)) is None
    assert View(zoom=True).part(other, EmptyScene.of(scene())) == (0, 0, 320, 240)


def test_in_a_region_only_what_lies_in_it_is_found() -> None:
    frame = with_thing(10, 10)
    frame[150:230, 200:300] = 250  # larger, but outside
    left, top, right, bottom = View((0, 0, 5000, 5000), zoom=True).part(frame, EmptyScene.of(scene()))
    assert left <= 10 and top <= 10 and 74 <= right <= 160 and 74 <= bottom <= 120


def test_an_empty_scene_survives_its_file_and_nothing_else_is_one() -> None:
    kept = EmptyScene.of(np.repeat(np.repeat(scene(), 4, 0), 4, 1))
    again = EmptyScene.from_bytes(kept.to_bytes())
    assert (again.picture == kept.picture).all() and (again.width, again.height) == (1280, 960)
    for damaged in (b"", kept.to_bytes()[:-40], b"PK" + bytes(50)):
        with pytest.raises(InputError):
            EmptyScene.from_bytes(damaged)


def test_a_strip_that_no_camera_sends_is_no_empty_scene() -> None:
    with pytest.raises(PhotoError, match="at most 65536 pixels a side, got 70000 x 1"):
        EmptyScene.of(np.zeros((1, 70000, 3), np.uint8))


def test_a_camera_of_another_shape_asks_for_the_empty_scene_again() -> None:
    with pytest.raises(
        PhotoError, match="another shape than the empty scene, 320 x 240: remember the empty scene again"
    ):
        View(zoom=True).photo(scene(240, 400), 32, 32, EmptyScene.of(scene()))
    assert View(zoom=True).part(scene(480, 640), EmptyScene.of(scene())) is not None


def test_views_of_inspection_keep_their_digest_and_zooming_ones_their_own() -> None:
    assert "zoom" not in View((0, 0, 5000, 5000)).to_json() and View.from_json(View(zoom=True).to_json()).zoom
    with pytest.raises(InputError):
        View.from_json(View().to_json() | {"zoom": False})
    with pytest.raises(InputError, match="choose one"):
        View(find_part=True, zoom=True)


def test_samples_remember_their_view_and_those_of_another_are_named_kept_and_forgotten(home, tmp_path) -> None:
    whole = photo(tmp_path, "whole.png", draw("kite", 1))
    small = photo(tmp_path, "small.png", with_thing(40, 100, "kite"))
    assert asked(home, "learn", "kite", whole)[0] == 0
    code, _, problem = asked(home, "learn", "kite", small, "--find")
    assert code == 2 and "no empty scene is remembered" in problem
    code, view, _ = asked(home, "view", "--find", "--empty", photo(tmp_path, "empty.png", scene()))
    assert (code, view["find"], view["empty_scene"], view["others"]) == (0, True, [320, 240], {"kite": 1})
    assert asked(home, "learn", "kite", small)[0] == 0
    with OpenHome(home) as opened:
        assert list(opened.view.others(None)) == ["kite"] and opened.view.other_ids() == [1]
        assert warning(opened.view.others(opened.view.chosen)).startswith(
            "1 sample (1 of kite) was taught with another"
        )
        assert check_content(opened.learner.store.database._db) is None
    code, forgotten, _ = asked(home, "forget", "--other-view")
    assert (code, forgotten["removed"]) == (0, 1)
    assert asked(home, "forget", "--other-view")[0] == 2
    assert asked(home, "view", "--reset")[1]["others"] == {"kite": 1}


def test_a_view_that_is_chosen_while_photos_are_learned_stays(home, tmp_path, monkeypatch) -> None:
    embed = Backbone.embed_readable

    def meanwhile(backbone, paths):
        assert asked(home, "view", "--region", "0.25,0,0.5,1")[0] == 0
        return embed(backbone, paths)

    monkeypatch.setattr(Backbone, "embed_readable", meanwhile)
    assert asked(home, "learn", "kite", photo(tmp_path, "kite.png", draw("kite", 1)))[0] == 0
    assert asked(home, "view")[1]["region"] == [0.25, 0, 0.5, 1]


def test_an_option_of_classify_holds_for_this_time_only(home, tmp_path) -> None:
    small = photo(tmp_path, "small.png", with_thing(40, 100, "box"))
    answers = [asked(home, "classify", small, *more)[1] for more in ((), ("--region", "40,100,64,64"), ())]
    assert answers[0]["predictions"][0]["top"] == answers[2]["predictions"][0]["top"]
    assert answers[1]["predictions"][0]["label"] == "box" and not asked(home, "view")[1]["chosen"]
    code, _, problem = asked(home, "classify", small, "--region", "0.5,0,0.6,1")
    assert code == 2 and "inside the frame" in problem


def test_pending_samples_that_are_moved_keep_their_view(home) -> None:
    with OpenHome(home) as opened:
        store, raw = opened.learner.store, opened.backbone.embed(draw("ball", 1))[None]
        ids = opened.learner.add("box", raw, view=Looking(Preprocessing(32, 32), View((0, 0, 5000, 5000))).key)
        store.set_aside([(ids, "ball", "looks like ball")])
        moved = store.admit(opened.bundle.backbone_digest, ids, "ball")
        assert store.views.of([*ids, *moved]) == ["", View((0, 0, 5000, 5000)).to_json() and store.views.of(moved)[0]]
        assert opened.view.others(None) == {"ball": 1}


def test_a_running_app_takes_a_view_over_and_teaches_with_it(home) -> None:
    camera = FakeCamera([with_thing(200, 20, "kite")] * 4000, fps=60, finite=False)
    with App(home, camera, smoothing_s=0) as app:
        subscription = app.pipeline.subscribe()
        first = subscription.get(10)
        assert first.view == "" and first.part == (0.125, 0.0, 0.75, 1.0)
        app.remember_empty(scene())
        Device(home.folder).status()
        with OpenHome(home) as other:  # as a command does
            other.view.choose(View(zoom=True))
        assert app.notice()
        while (seen := subscription.get(10)).view == "":
            pass
        assert seen.part[0] < 200 / 320 < seen.part[0] + seen.part[2] and seen.part[2] < 0.3
        app.teach("kite", [seen])
        assert app.view()["others"] == {} and app.view()["find"]
        app.choose_view(None)
        assert app.view()["others"] == {"kite": 1} and app.pipeline.view_problem is None


def test_the_python_interface_looks_with_the_view_that_was_chosen(home) -> None:
    frame = with_thing(40, 100, "kite")
    with OpenHome(home) as opened:
        opened.view.choose(View(parse_region("40,100,64,64", 320, 240)))
    device = Device(home.folder)
    device.learn("kite", [frame] * 3, color="bgr")
    assert device.classify(draw("kite", 3), color="bgr").top  # any frame is cut
    with OpenHome(home) as opened:
        assert opened.view.others(opened.view.chosen) == {} and opened.view.others(None) == {"kite": 3}
