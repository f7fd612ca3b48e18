import re

import cv2
import pytest
from conftest import write_photos

from edgetl.demo import SHOTS, PhotoSet, Story, own_world, write_page
from edgetl_device.errors import InputError


def test_damaged_photos_of_ones_own_are_skipped_and_named(tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    photos = write_photos(tmp_path / "p", ("ball", "box", "kite"), 32)
    for kind, name in (("ball", "0003.png"), ("box", "0004.png"), ("box", "0030.png"), ("kite", "0001.png")):
        path = photos / kind / name
        path.write_bytes(path.read_bytes()[:50])
    world = own_world(photos, tmp_path / "world")
    assert caplog.text.count("skipped: ") == 4 and "box/0030.png" in caplog.text
    assert [label for label, _ in world.shown] == ["ball"] * SHOTS + ["box"] * SHOTS + ["kite"] * SHOTS
    copied = [path for path in world.factory.rglob("*.png") if cv2.imread(str(path)) is not None]
    assert len(copied) == 16 + 15 == len(list(world.factory.rglob("*.png")))


def test_a_class_with_too_few_photos_that_can_be_read_is_named(tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box", "kite"), 3 * SHOTS)
    (photos / "box" / "0000.png").write_bytes(b"")
    with pytest.raises(InputError, match="photos of each class that can be read, 'box' has 29"):
        own_world(photos, tmp_path / "world")


def test_accuracies_on_different_photos_never_stand_in_one_table(tmp_path) -> None:
    story = Story()
    story.add("train", 1.0, 2.0, "at the factory", PhotoSet("held out", 80))
    story.add("meet", 0.792, 2.0, "something new", PhotoSet("in dim light", 125))
    story.add("learn", 0.952, 2.0, "from a person", PhotoSet("in dim light", 125))
    assert [round(end, 2) for end in story.steps[1].interval] == [0.71, 0.85]
    write_page(story, tmp_path / "page.html", 6.0, "small")
    first, second = re.findall(
        r"On (\d+) photos ([\w ]+):.*?<table>?(.*?)</table>", (tmp_path / "page.html").read_text(), re.S
    )
    assert first[:2] == ("80", "held out") and second[:2] == ("125", "in dim light")
    assert "train" in first[2] and "meet" not in first[2] and "0.95 … 1.00" in first[2]
    assert "meet" in second[2] and "learn" in second[2] and "train" not in second[2]
