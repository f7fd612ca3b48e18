"""``edgetl inspection-report``: figures against independent oracles, and one page that stands alone."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgetl.cli import program
from edgetl.evaluation.inspection import find_parts
from edgetl.evaluation.localisation import localisation
from edgetl_device import console
from edgetl_device.errors import InputError


def write(path: Path, seed: int, defect: str = "") -> None:
    """A disc, perhaps with a corner broken out or a dark spot, and its mask."""
    frame = np.ascontiguousarray(
        np.clip(np.random.default_rng(seed).normal(60, 4, (64, 64, 3)), 0, 255).astype(np.uint8)
    )
    cv2.circle(frame, (32, 32), 22, (190, 190, 150), -1)
    whole = frame.copy()
    if defect == "chip":
        cv2.rectangle(frame, (34, 8), (60, 30), (60, 60, 60), -1)
    if defect == "spot":
        cv2.circle(frame, (24, 40), 5, (30, 30, 30), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame)
    if defect:
        mask = np.where(np.abs(frame.astype(int) - whole).max(axis=2) > 0, 255, 0).astype(np.uint8)
        target = path.parents[2] / "ground_truth" / defect / f"{path.stem}_mask.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), mask)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    for number in range(16):
        write(folder / "train" / "good" / f"{number:02}.png", number)
    for number in range(6):
        write(folder / "test" / "good" / f"{number:02}.png", 100 + number)
        write(folder / "test" / "chip" / f"{number:02}.png", 200 + number, "chip")
        write(folder / "test" / "spot" / f"{number:02}.png", 300 + number, "spot")
    (folder / "test" / "chip" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return folder


def reported(capfd, *words: object, code: int = 0) -> dict:
    capfd.readouterr()
    assert console.run(program, "edgetl", ["inspection-report", *map(str, words), "--json"]) == code
    said = capfd.readouterr()
    return json.loads(said.out) if code == 0 else {"error": said.err}


@pytest.mark.slow
def test_what_is_found_is_told_by_kind_and_shown_on_one_page(bundle_path: Path, parts: Path, tmp_path, capfd) -> None:
    page = tmp_path / "page.html"
    found = reported(capfd, bundle_path, parts, "--report", page)
    assert found["good"] == 16 and [row["kind"] for row in found["defects"]] == ["chip", "spot"]
    assert all(row["photos"] == 6 for row in found["defects"]) and len(found["skipped"]) == 1
    assert found["auroc"] > 0.95 and found["defects"][0]["found"] == 1.0
    assert found["found"] == pytest.approx(np.mean([row["found"] for row in found["defects"]]))
    assert found["pixel_auroc"] > 0.8 and 0 < found["pro"] <= 1
    text = page.read_text()
    assert all(word in text for word in ("chip", "spot", "ROC curve", "data:image/jpeg", "pixel AUROC"))
    assert "http" not in text.replace("http-equiv", "") and "<script" not in text
    assert reported(capfd, bundle_path, parts, "--report", page, code=2)["error"].count("\n") == 1


@pytest.mark.slow
def test_a_folder_without_train_teaches_some_of_the_good_ones(bundle_path: Path, parts: Path, capfd) -> None:
    found = reported(capfd, bundle_path, parts / "test", "--good", 3, "--turned", "--region", "0,0,0.9,1")
    assert found["good"] == 3 and found["pixel_auroc"] is None


def test_folders_that_say_nothing_are_refused_in_one_line(parts: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path, parts / "train", parts / "test" / "good"):
        with pytest.raises(InputError) as refusal:
            find_parts(folder, None, 0)
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="at least two good photos"):
        find_parts(parts / "test", 6, 0)
    assert find_parts(parts / "test", 2, 1).train != find_parts(parts / "test", 2, 2).train


def test_localisation_is_right_where_heat_is_and_half_where_it_is_noise() -> None:
    generator = np.random.default_rng(0)
    masks = [np.zeros((128, 128), bool) for _ in range(4)]
    for mask in masks[:3]:
        y, x = generator.integers(10, 90, 2)
        mask[y : y + 20, x : x + 12] = True
    exact = localisation([mask.astype(np.float32) for mask in masks], masks)
    assert exact.pixel_auroc == 1 and exact.pro == pytest.approx(1, abs=0.01) and exact.photos == 3
    noise = [generator.random((128, 128)).astype(np.float32) for _ in masks]
    chance = localisation(noise, masks)
    assert chance.pixel_auroc == pytest.approx(roc_auc_score(np.ravel(masks), np.ravel(noise)), abs=1e-9)
    assert chance.pro == pytest.approx(0.15, abs=0.03)  # the mean of what noise marks at rates of 0 to 0.3
