import cv2
import pytest
from conftest import write_photos

from edgetl.demo import SHOTS, own_world
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
