import numpy as np
import pytest
from conftest import some_projection
from test_learner import embeddings

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.home import Home
from edgetl_device.labels import NOTHING
from edgetl_device.learning.reliability import MOST_ASKED, Band, reliability_of, summary
from edgetl_device.metrics import expected_calibration_error
from edgetl_device.statistics import statistics_of

DIMENSION = 32
CENTRES = np.random.default_rng(5).gamma(2.0, 20.0, (8, DIMENSION))


def photos(classes: range, each: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Of kinds that overlap, so that some are mistaken for others."""
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), each)
    codes = 90 + 0.4 * CENTRES[rows] + generator.normal(0, 32.0, (len(rows), DIMENSION))
    return np.clip(codes, 0, 255).astype(np.uint8), [f"class-{row}" for row in rows]


def evidence(held: int = 60) -> Evidence:
    factory = statistics_of(*photos(range(5), 100, 0), "b", "r", some_projection(DIMENSION))
    return gather(factory, *photos(range(5), held, 1), np.zeros((0, DIMENSION), np.uint8), (), "r")


def test_it_says_of_known_photos_what_is_so_of_new_ones() -> None:
    known = extend(evidence(), *photos(range(5, 7), 40, 2), "r")
    head = fit_head(known)
    found = reliability_of(head, known)
    codes, labels = photos(range(7), 400, 3)
    probabilities = head.probabilities(codes)
    sure, right = probabilities.max(axis=1), np.asarray(head.labels)[probabilities.argmax(axis=1)] == labels
    assert (found.held_out, found.samples) == (300, 80) and sum(band.photos for band in found.bands) == 380
    assert 0.55 < right.mean() < 0.9  # photos that are worth asking
    for band in found.bands:
        new = (sure >= band.least) & (sure < band.most + (band.most == 1))
        assert band.right == pytest.approx(right[new].mean(), abs=3 * (0.25 / band.photos) ** 0.5)
        assert band.least <= band.said <= band.most
    assert found.calibration_error == pytest.approx(expected_calibration_error(sure, right), abs=0.06)


def test_of_very_many_photos_some_are_asked() -> None:
    known = evidence(held=MOST_ASKED // 5 + 20)
    assert reliability_of(fit_head(known), known).held_out == MOST_ASKED


def test_background_and_what_is_alone_in_its_class_are_not_asked() -> None:
    codes, _ = photos(range(7, 8), 10, 4)
    known = extend(evidence(), codes, [NOTHING] * 9 + ["lonely"], "r")
    found = reliability_of(fit_head(known), known)
    assert (found.held_out, found.samples) == (300, 0)


def test_the_sentence_is_about_what_is_said_most_often() -> None:
    few = Band(0.9, 1.0, 19, 0.99, 1.0)
    assert summary(()) == "not known yet: measured on 20 photos and more, and there are 0"
    assert summary((few,)) == "not known yet: measured on 20 photos and more, and there are 19"
    assert summary((Band(0.0, 0.5, 21, 0.4, 1 / 3), few)) == (
        "when it says 40 %, as for 21 of 40 photos, it is right in 33 % of cases"
    )


def test_a_device_tells_it_of_the_head_in_use(home: Home) -> None:
    learner = home.learner()
    before = learner.reliability()
    assert learner.reliability() is before and before.samples == 0
    learner.add("kite", embeddings("kite", 5))
    assert learner.reliability() is before  # of the head in use
    assert learner.retrain().promoted and learner.reliability().samples == 5
