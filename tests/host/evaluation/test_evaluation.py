from __future__ import annotations

import hashlib
import importlib
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_backbone, write_photos

from edgetl.cli import program
from edgetl.data.datasets import find_photos
from edgetl.evaluation.evaluate import MISTAKES, Outcomes, evaluate, with_columns
from edgetl.evaluation.figures import counted, headline
from edgetl.evaluation.page import write_report
from edgetl.reports.plots import reliability_plot
from edgetl_device import console, metrics
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import FINGERPRINT_BYTES, BundleContent
from edgetl_device.errors import InputError
from edgetl_device.inference.classifier import Classifier
from edgetl_device.photos import read_photo


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Balls and boxes; those of the evening are boxes in the folder of balls, and the other way round."""
    folder = write_photos(tmp_path_factory.mktemp("evaluation") / "p", ("ball", "box"), 30, seed=5)
    lines = ["path,label,light,camera,shot"]
    for kind, other in (("ball", "box"), ("box", "ball")):
        for number in range(30):
            name = folder / kind / f"{number:04}.png"
            if number >= 22:
                (folder / other / f"evening-{number}.png").write_bytes(name.read_bytes())
                name.unlink()
                lines.append(f"{other}/evening-{number}.png,{other},evening,c{number % 2},{number}{kind}")
            else:
                lines.append(f"{kind}/{name.name},{kind},day,c{number % 2},{number}{kind}")
    (folder.parent / "slices.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def result(photos, bundle_path):
    return evaluate(open_bundle(bundle_path), with_columns(find_photos(photos), photos.parent / "slices.csv"))


def test_slices_say_who_is_served_worse_and_by_how_much(result) -> None:
    worst, best = result.slices["light"]
    assert (worst.value, worst.samples, worst.accuracy, worst.worse) == ("evening", 16, 0.0, True)
    assert (best.value, best.samples, best.accuracy, best.worse) == ("day", 44, 1.0, False)
    assert not any(item.worse for item in result.slices["camera"])
    assert "shot" not in result.slices, "a value a photo tells nothing"


def test_intervals_of_slices_are_wilsons(result) -> None:
    low, high = result.slices["light"][0].interval
    assert low == 0.0 and high == pytest.approx(1.96**2 / (16 + 1.96**2))  # the closed form for no hit of 16


def test_mistakes_are_the_most_confident_ones_the_worst_first(result) -> None:
    assert len(result.mistakes) == MISTAKES
    sure = [mistake.probability for mistake in result.mistakes]
    assert sure == sorted(sure, reverse=True) and all(m.path.name.startswith("evening") for m in result.mistakes)
    assert all(mistake.label != mistake.predicted for mistake in result.mistakes)


def test_balanced_accuracy_counts_every_class_the_same() -> None:
    truth, predicted = np.array([0] * 90 + [1] * 10), np.array([0] * 100)
    assert metrics.accuracy(truth, predicted) == 0.9 and metrics.balanced_accuracy(truth, predicted, 3) == 0.5


def test_reliability_bins_hold_what_the_calibration_error_is_made_of() -> None:
    generator = np.random.default_rng(0)
    sure = generator.uniform(0, 1, 500)
    right = generator.uniform(0, 1, 500) < sure**2
    counts, confidence, share = metrics.reliability(sure, right, 10)
    error = 0.0
    for number in range(10):
        inside = (sure >= number / 10) & (sure < (number + 1) / 10)
        assert counts[number] == inside.sum() and share[number] == pytest.approx(right[inside].mean())
        error += inside.sum() / 500 * abs(right[inside].mean() - sure[inside].mean())
    assert metrics.expected_calibration_error(sure, right, 10) == pytest.approx(error)
    assert confidence[9] == pytest.approx(sure[sure >= 0.9].mean())


class Checked(HTMLParser):
    """Fails on tags that are not closed in order, and notes what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(result, bundle_path, tmp_path) -> None:
    write_report(result, open_bundle(bundle_path), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = Checked()
    page.feed(text)
    assert page.open == [] and all(source.startswith("data:") for source in page.sources)
    assert "Worse than the rest by more than chance: evening." in text
    assert "No group is worse than the rest by more than chance." in text
    assert text.count("data:image/jpeg") == MISTAKES and "reliability diagram" in text


def test_a_bundle_of_a_model_of_ones_own_has_a_page_without_an_alpha(result, bundle_path, tmp_path) -> None:
    bundle = open_bundle(bundle_path)
    write_bundle(tmp_path / "own.edgetl", bundle.manifest | {"backbone": {"name": "own.keras"}}, bundle.members)
    write_report(result, open_bundle(tmp_path / "own.edgetl"), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "own.keras, 32 × 32 pixels" in text and "alpha" not in text


def test_a_reliability_plot_draws_a_bar_as_high_as_the_share_right() -> None:
    drawn = reliability_plot([0, 8, 0, 2], [0, 0.3, 0, 0.9], [0, 0.5, 0, 1.0], 0.25)
    heights = [float(h) for h in re.findall(r'class="bar"[^>]*height="([\d.]+)"', drawn)]
    assert heights == [130.0, 260.0] and drawn.count('class="dot"') == 2


def test_a_class_whose_photos_are_all_damaged_is_named(bundle_path, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 2)
    for path in (photos / "box").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="class 'box' has no readable photo"):
        evaluate(open_bundle(bundle_path), find_photos(photos))


@pytest.mark.parametrize(
    ("text", "message"),
    [("path\nx\n", "at least one to slice by"), ("path,light\nball/0000.png,dim\n", "does not name 59 photos")],
)
def test_slices_that_do_not_fit_the_photos_are_refused(photos, tmp_path, text: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        with_columns(find_photos(photos), tmp_path / "s.csv")


def test_slices_name_photos_from_their_folder_or_from_the_file(photos, tmp_path) -> None:
    dataset = find_photos(photos)
    for start in ("", f"{photos.name}/", f"{photos}/"):
        rows = "".join(f"{start}{path.as_posix()},{path.stem}\n" for path in dataset.paths)
        (photos.parent / "s.csv").write_text(f"path,number\n{rows}")
        assert with_columns(dataset, photos.parent / "s.csv").columns["number"] == tuple(p.stem for p in dataset.paths)


def test_what_a_person_counts_is_right_unknown_and_wrong(photos, bundle_path, result) -> None:
    """Against the device itself, photo by photo."""
    head = BundleContent(open_bundle(bundle_path)).head()
    classifier = Classifier(tiny_backbone(), head)
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted(photos.rglob("*.png")):
        said = classifier.classify(read_photo(path))
        outcome = "unknown" if said.unknown else "right" if said.label == path.parent.name else "wrong"
        counts[path.parent.name, outcome] += 1
    for label, outcomes in result.classes.items():
        assert [counts[label, name] for name in ("right", "unknown", "wrong")] == [
            outcomes.right, outcomes.unknown, outcomes.wrong
        ]  # fmt: skip
        assert outcomes.samples == 30
    total = result.outcomes
    assert (total.right, total.unknown, total.wrong) == tuple(
        sum(number for (_, name), number in counts.items() if name == wanted)
        for wanted in ("right", "unknown", "wrong")
    )
    assert result.confusion_unknown.sum() == 60 and result.confusion_unknown[:, -1].sum() == total.unknown
    assert result.unknown == total.share("unknown")


def test_a_figure_is_never_without_its_number_and_its_interval(result, bundle_path, photos, tmp_path, capfd) -> None:
    assert headline(result)[0] == counted(result.outcomes)  # nothing of it was trained on
    assert counted(Outcomes(300, 61, 39)) == "75.0 % right (71 … 79), 15.2 % unknown, 9.8 % wrong of 400 photos"
    code = console.run(program, "edgetl", ["evaluate", str(bundle_path), str(photos)])
    said = capfd.readouterr().out.splitlines()
    assert code == 0 and said[0] == headline(result)[0] and max(map(len, said)) <= 80
    assert re.fullmatch(r"ball +30 +0\.\d{3} +0\.\d\d … \d\.\d\d +0\.\d{3} +0\.\d{3}", said[3])
    write_report(result, open_bundle(bundle_path), tmp_path / "report.html")
    assert headline(result)[0] in (tmp_path / "report.html").read_text()


def test_photos_of_a_single_class_can_be_measured(bundle_path, photos, tmp_path, capfd) -> None:
    shutil.copytree(photos / "ball", tmp_path / "new" / "ball")
    assert console.run(program, "edgetl", ["evaluate", str(bundle_path), str(tmp_path / "new"), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert list(told["classes"]) == ["ball"] and told["samples"] == len(list((photos / "ball").iterdir()))


def test_what_was_trained_on_is_told_apart_in_the_headline(result) -> None:
    seen = replace(result, outcomes_unseen=None)
    assert headline(seen) == [counted(result.outcomes), "It was trained on all of them: new photos will do worse."]
    first, second = headline(replace(result, outcomes_unseen=Outcomes(8, 1, 1)))
    assert first == "80.0 % right (49 … 94), 10.0 % unknown, 10.0 % wrong of 10 new photos"
    share = result.outcomes.share("right")
    assert second == f"With those it was trained on, which flatters: {100 * share:.1f} % right of 60 photos"


def test_calibration_and_slices_are_of_photos_that_were_not_trained_on(
    photos, bundle_path, monkeypatch, tmp_path
) -> None:
    """Of those of the day, which are all right; those of the evening are all wrong, however sure it is."""
    module = importlib.import_module("edgetl.evaluation.evaluate")
    ask = module._ask
    day = frozenset(hashlib.sha256(path.read_bytes()).digest()[:FINGERPRINT_BYTES] for path in photos.rglob("0*.png"))
    monkeypatch.setattr(module, "_ask", lambda dataset, backbone, head, seen: ask(dataset, backbone, head, day))
    found = evaluate(open_bundle(bundle_path), with_columns(find_photos(photos), photos.parent / "slices.csv"))
    counts, sure, right = found.reliability
    assert (found.samples, found.unseen, counts.sum()) == (60, 16, 16) and not right[counts > 0].any()
    assert found.ece == pytest.approx((counts * sure).sum() / 16)
    assert [(item.value, item.samples, item.accuracy) for item in found.slices["light"]] == [("evening", 16, 0.0)]
    assert "shot" not in found.slices, "a value a photo tells nothing, however few are left"
    write_report(found, open_bundle(bundle_path), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count("Of the photos that it was not trained on.") == 5 and "is right on 0.000 of these" in text


def test_paired_answers_are_told_apart_only_where_chance_does_not_explain_them() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        better = generator.uniform(size=200) < 0.85
        other = np.where(generator.uniform(size=200) < 0.1, generator.uniform(size=200) < 0.5, better)
        low, high = metrics.difference_interval(better, other)
        inside += low <= 0.1 * (0.85 - 0.5) <= high  # the true difference
    assert inside >= 0.93 * 400
    same = np.array([True, False] * 50)
    assert metrics.difference_interval(same, same)[0] < 0 < metrics.difference_interval(same, same)[1]
