"""Heads by name: built-in ones, those that another package adds, and one that is no more."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone

from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.cli import program
from edgetl_device.errors import BundleError, InputError
from edgetl_device.heads import registry
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head, scorer_class
from edgetl_device.heads.scorer import Scorer
from edgetl_device.home import Home
from edgetl_device.statistics import statistics_of

HEAD = """
import numpy as np
from edgetl_device.heads.scorer import Scorer

class NearestMean(Scorer):
    def __init__(self, labels, means):
        self.labels, self.means = labels, means

    @classmethod
    def fit(cls, evidence):
        rows = [row for row, label in enumerate(evidence.factory.labels) if label not in evidence.hidden]
        means = evidence.factory.sums / evidence.factory.counts[:, None]
        return cls(tuple(evidence.factory.labels[row] for row in rows), means[rows])

    def scores(self, codes):
        return -np.square(np.asarray(codes, np.float64)[:, None] - self.means).sum(axis=-1).astype(np.float32)

class NoScorer:
    pass
"""


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that adds two heads, one of which cannot be imported, and one that is none."""
    site = tmp_path / "site"
    info = site / "cameras_of_acme-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme_heads.py").write_text(HEAD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cameras-of-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[edgetl.heads]\nnearest = acme_heads:NearestMean\nbroken = acme_gone:Head\nwrong = acme_heads:NoScorer\n"
        "lda = acme_heads:NearestMean\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("acme_heads", None)


@pytest.mark.parametrize("name", registry.HEADS)
def test_every_built_in_name_leads_to_a_scorer(name: str) -> None:
    assert issubclass(scorer_class(name), Scorer)


def test_the_names_load_nothing_heavy() -> None:
    code = (
        "import sys; from edgetl_device.heads import registry; registry.head_names(); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_head_of_another_package_is_listed_fitted_calibrated_and_explained(other_package: Path) -> None:
    from edgetl_device.codes import CodeTransform
    from edgetl_device.heads.contributions import contributions

    assert registry.head_names()[-3:] == ("broken", "nearest", "wrong")
    generator = np.random.default_rng(0)
    rows = np.repeat([0, 1], 40)
    codes = np.clip(generator.normal(np.array([[60], [120]])[rows], 12, (80, 8)), 0, 255).astype(np.uint8)
    labels = [f"class-{row}" for row in rows]
    evidence = gather(statistics_of(codes, labels, "b", "r"), codes, labels, codes[:0], (), "r")
    head = fit_head(evidence, "nearest")
    probabilities, _ = head.predict(codes)
    assert type(head.scorer).__name__ == "NearestMean" and head.temperature > 1
    assert (probabilities.argmax(axis=1) == rows).mean() > 0.95
    # Squared distances to two means differ by a function that is linear in the codes, so the shares are known.
    first, second = head.scorer.means
    found = contributions(head.scorer, codes[0], CodeTransform(-128, 8), 0)
    np.testing.assert_allclose(found.shares, 2 * (first - second) * codes[0], rtol=1e-3)
    assert head.scorer.closed_form(CodeTransform(-128, 8)) is None


def test_a_device_is_taught_with_a_head_of_another_package(other_package: Path, home: Home, capfd) -> None:
    arguments = ["retrain", "--home", str(home.folder), "--head", "nearest"]
    assert console.run(program, "edgetl-device", arguments) == 0
    assert home.learner().versions()[-1].rule == "nearest"


def test_a_built_in_name_cannot_be_taken_by_another_package(other_package: Path) -> None:
    assert scorer_class("lda").__name__ == "Linear"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "'broken' of the package cameras-of-acme cannot be loaded .*install what it needs"),
        ("wrong", "the head wrong is no subclass of edgetl_device.heads.scorer.Scorer"),
        ("missing", "no head 'missing' is installed: expected one of gaussian, .*install that package here"),
    ],
)
def test_a_head_that_cannot_be_used_says_why_and_what_to_do(other_package: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scorer_class(name)


def test_a_bundle_whose_heads_package_is_missing_says_so(other_package: Path, tmp_path: Path, monkeypatch) -> None:
    path = build_bundle(tmp_path / "x.edgetl", rule="nearest")
    assert BundleContent(open_bundle(path)).head().rule == "nearest"
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(other_package)])
    with pytest.raises(BundleError, match=r"no head 'nearest' is installed: .*install that package here"):
        BundleContent(open_bundle(path)).head()


def test_help_and_errors_name_the_installed_heads(other_package: Path, capfd) -> None:
    assert console.run(program, "edgetl-device", ["retrain", "--help"]) == 0
    assert "[gaussian|predictive|softmax|lda|prototype|broken|nearest|wrong]" in capfd.readouterr().out
    assert console.run(program, "edgetl-device", ["retrain", "--head", "familiar"]) == 2
    assert (
        "expected one of gaussian, predictive, softmax, lda, prototype, broken, nearest, wrong, got 'familiar'"
        in capfd.readouterr().err
    )


def test_a_store_and_a_bundle_that_name_the_head_familiar_go_on_with_its_successor_and_one_line(
    home: Home, caplog
) -> None:
    registry._tell_once.cache_clear()
    learner = home.learner()
    backbone = tiny_backbone()
    learner.add("kite", np.stack([backbone.embed(draw("kite", number)) for number in range(5)]))
    last = learner.samples()[-1].id
    learner.store.versions.add(learner.bundle.digest, "promoted", "as of old", "familiar", last, {}, activate=True)
    with caplog.at_level(logging.WARNING):
        head = home.learner().active_head()
        outcome = home.learner().retrain()
    assert head.rule == "predictive" and head.labels == ("ball", "box", "kite")
    assert outcome.promoted and home.learner().versions()[-1].rule == "predictive"
    lines = [record.message for record in caplog.records if "familiar" in record.message]
    assert lines == ["the head familiar is no longer a part of edgetl; predictive takes its place"]
