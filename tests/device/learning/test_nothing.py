"""Background is taught as nothing: it is stored like any sample and never predicted."""

import numpy as np
import pytest

from edgetl_device.errors import InputError
from edgetl_device.heads.evidence import extend, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.inference.classifier import predictions
from edgetl_device.labels import NOTHING, check_label, check_sample_label
from edgetl_device.learning.drift import Drift
from edgetl_device.learning.gate_doubts import doubts_about
from edgetl_device.statistics import statistics_of

DIMENSION = 32
CENTRES = np.random.default_rng(1).gamma(1.0, 30.0, size=(4, DIMENSION))


def draw(kind: int, count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng([seed, kind])
    return np.clip(generator.normal(CENTRES[kind], 12.0, (count, DIMENSION)), 0, 255).astype(np.uint8)


BACKGROUND = np.clip(0.85 * CENTRES[0] + 0.15 * CENTRES[3], 0, 255)  # looks much like the first class


def background(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng([seed, 9])
    return np.clip(generator.normal(BACKGROUND, 6.0, (count, DIMENSION)), 0, 255).astype(np.uint8)


@pytest.fixture
def known():
    names = [name for name in ("ball", "box", "cup") for _ in range(60)]
    held = [name for name in ("ball", "box", "cup") for _ in range(20)]
    codes, holdout = (np.concatenate([draw(kind, n, seed) for kind in range(3)]) for n, seed in ((60, 0), (20, 1)))
    return gather(statistics_of(codes, names, "b", "r"), holdout, held, codes[:0], (), "r")


def test_what_was_taken_for_a_class_is_unknown_once_it_was_taught_as_nothing(known) -> None:
    before, after = fit_head(known), fit_head(extend(known, background(15), [NOTHING] * 15, "r"))
    frames = background(60, seed=2)
    taken = [each for each in predictions(before, frames) if not each.unknown]
    assert len(taken) > 50 and {each.label for each in taken} == {"ball"}
    told = predictions(after, frames)
    assert sum(each.unknown for each in told) > 55
    assert all(each.label != NOTHING and NOTHING not in dict(each.top) for each in told)
    assert all(sum(dict(each.top).values()) == pytest.approx(1, abs=1e-5) for each in told)
    balls = predictions(after, draw(0, 60, seed=3))
    assert sum(each.label == "ball" and not each.unknown for each in balls) > 50


def test_nothing_alone_is_no_class(known) -> None:
    head = fit_head(gather(known.factory - known.factory, known.holdout[:0], (), background(5), [NOTHING] * 5, "r"))
    (told,) = predictions(head, background(1, seed=2))
    assert (told.label, told.unknown, told.top) == (None, True, ())
    assert head.novelty.shortcoming


def test_the_gate_does_not_doubt_that_nothing_was_there(known) -> None:
    known = extend(known, background(5), [NOTHING] * 5, "r")
    assert doubts_about(fit_head(known), known, draw(0, 10, seed=4), np.array([NOTHING] * 10)) == []


def test_background_is_a_part_of_the_scene(known) -> None:
    far = draw(3, 60, seed=5)
    novelty = [fit_head(each).novelty for each in (known, extend(known, far[:20], [NOTHING] * 20, "r"))]
    strange, usual = (Drift(each).update(far[20:]) for each in novelty)
    assert strange.rank is not None and usual.rank is not None
    assert strange.rank < 0.05 and usual.rank > 0.2


def test_the_label_is_for_samples_not_for_classes() -> None:
    assert check_sample_label(f" {NOTHING}") == NOTHING and check_sample_label(" cat ") == "cat"
    for check, label in ((check_label, NOTHING), (check_sample_label, "unknown")):
        with pytest.raises(InputError, match="reserved"):
            check(label)
