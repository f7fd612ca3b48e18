"""``edgetl-device inspect``: what a person types, and what comes out."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import build_bundle

from edgetl_device import console
from edgetl_device.cli import program


@pytest.fixture
def run(tmp_path: Path, capfd):
    """Run the program in a home of its own: exit code, stdout or its JSON, stderr."""

    def call(*words: object, code: int = 0, home: Path = tmp_path / "home"):
        capfd.readouterr()
        found = console.run(program, "edgetl-device", ["--home", str(home), *(str(word) for word in words)])
        said = capfd.readouterr()
        assert found == code, said.out + said.err
        return (json.loads(said.out) if "--json" in words else said.out), said.err

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve good discs, three more to check, and three with a corner broken out."""
    for number in range(18):
        kind = "good" if number < 12 else "more" if number < 15 else "bad"
        frame = np.clip(np.random.default_rng(number).normal(60, 4, (64, 80, 3)), 0, 255).astype(np.uint8)
        frame = np.ascontiguousarray(frame)
        cv2.circle(frame, (40, 32), 22, (190, 190, 150), -1)
        if kind == "bad":
            cv2.rectangle(frame, (40, 8), (66, 30), (60, 60, 60), -1)
        (tmp_path / kind).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / kind / f"{number:02}.png"), frame)
    return tmp_path


@pytest.mark.slow
def test_versions_fit_into_a_line_and_going_back_names_what_is_not_used_then(run, photos: Path, bundle_path) -> None:
    run("install", bundle_path)
    run("inspect", "learn", photos / "good")
    run("inspect", "fine", photos / "more" / "12.png")
    text, _ = run("inspect", "versions")
    assert "taught 12 photos" in text and max(map(len, text.splitlines())) <= 80
    text, _ = run("inspect", "rollback")
    assert "1 photo taught after it stays stored, and the next lesson uses it again:" in text
    assert "`edgetl-device inspect forget --sample 13` if it was a mistake" in text
    assert "1 photo taught after it waits for the next lesson" in run("inspect", "status")[0]
    for number in (13, 14):
        run("inspect", "fine", photos / "more" / f"{number}.png")
    run("inspect", "forget", "--sample", 14)
    text, _ = run("inspect", "rollback", 2)
    assert "2 photos taught after it stay stored, and the next lesson uses them again:" in " ".join(text.splitlines())
    assert "`edgetl-device inspect forget --sample 13 15` if they were a mistake" in text


@pytest.mark.slow
def test_a_device_without_a_bundle_takes_what_one_with_the_built_in_bundle_was_taught(run, photos: Path) -> None:
    run("inspect", "learn", photos / "good")
    run("inspect", "export", photos / "a.inspection")
    text, _ = run("inspect", "merge", photos / "a.inspection", home=photos / "new")
    assert "starting with the built-in one" in text and "added 12 photos; 12 good ones are known" in text


@pytest.mark.slow
def test_from_good_photos_to_a_flagged_part_corrected_and_forgotten(run, photos: Path, bundle_path: Path) -> None:
    run("install", bundle_path)
    text, _ = run("inspect", "learn", photos / "good", "--region", "8,0,64,64")
    assert "taught 12 photos as good; 12 good ones are known" in text and "of good parts" in text
    chipped = photos / "bad" / "15.png"
    found, _ = run("inspect", "check", chipped, "--json", "--heat", photos / "heat", code=1)
    assert found["verdict"] == "bad" and found["score"] > found["threshold"]
    where = found["where"]
    assert where["x"] < 0.75 < where["x"] + where["width"] and where["y"] < 0.3 < where["y"] + where["height"]
    picture = cv2.imread(found["picture"])
    assert picture.shape == (64, 64, 3)  # of the region
    text, _ = run("inspect", "check", photos / "bad", photos / "good", code=1)
    assert re.search(r"15.png: not good, \d+ % across, \d+ % down  \[\d+\.\d\d > ", text)
    assert text.splitlines()[-1].startswith("15 photos: ")
    (photos / "torn.png").write_bytes(chipped.read_bytes()[:99])
    text, error = run("inspect", "check", photos / "good" / "00.png", photos / "torn.png", code=1)
    assert text.endswith("2 photos: 1 good, 0 not good, 1 not judged\n") and "torn.png" in error
    stored, _ = run("inspect", "bad", photos / "bad", "--json")
    assert stored["stored"] == 3 and stored["good"] == 12
    changed, _ = run("inspect", "fine", "13-14", 15, "--json")
    assert changed["changed"] == 3 and changed["good"] == 15
    run("inspect", "forget", "--sample", "13-15")
    status, _ = run("inspect", "status", "--false-alarms", 0.1, "--json")
    assert (status["good"], status["bad"], status["target"]) == (12, 0, 0.1) and len(status["photos"]) == 12
    text, _ = run("inspect", "status", "--list")
    assert "the region 0.1,0,0.8,1 of the frame" in text and "bad ones found" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert run("inspect", "export", photos / "a.inspection", "--json")[0]["photos"] == 12
    assert "forgot 12 photos" in run("inspect", "forget", "--all")[0]
    text, _ = run("inspect", "merge", photos / "a.inspection", photos / "a.inspection")
    assert "added 12 photos; 12 good ones are known" in text


@pytest.mark.slow
def test_a_mistake_is_one_line_and_stores_nothing(run, photos: Path, bundle_path: Path, tmp_path: Path) -> None:
    good, one = photos / "good", photos / "more" / "12.png"
    for words in (["status"], ["check", one], ["fine", one], ["forget", "--all"]):
        _, error = run("inspect", *words, code=2)
        assert error.endswith("yet: `edgetl-device inspect learn PHOTO…`\n") and error.count("\n") == 1, error
    run("install", bundle_path)
    for words, message in [
        (["check", one], "teach at least 5 good photos"),
        (["bad", one], "teach good photos first"),
        (["learn", tmp_path / "none"], "no such file"),
        (["learn", good, "--region", "70,0,40,40"], "not inside the frame, which has 80 x 64 pixels"),
        (["learn", good, "--region", "wide"], "expected a region X,Y,W,H"),
        (["learn", photos], "holds folders of several classes"),
        (["fine", "99"], "no photo 99 was taught"),
        (["fine", "98-99"], "no such photos"),
        (["forget", "--sample", "98-999999999999999999"], "no such photos"),
        (["forget"], "--sample ID… or --all"),
        (["status", "--false-alarms", "5"], "must be 0.0001 to 0.9999"),
    ]:
        _, error = run("inspect", *words, code=2)
        assert message in error and error.count("\n") == 1, error
    assert run("inspect", "status", "--json")[0]["good"] == 0
    run("inspect", "learn", good)
    _, error = run("inspect", "learn", one, "--turned", code=2)
    assert "photos were taught with the whole frame" in error
    assert run("inspect", "status", "--json")[0]["good"] == 12
    plain = tmp_path / "plain"
    run("install", build_bundle(tmp_path / "plain.edgetl", maps=False), home=plain)
    _, error = run("inspect", "learn", good, code=2, home=plain)
    assert "convert --inspectable" in error
