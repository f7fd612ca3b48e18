from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import INSPECTABLE, TINY, build_bundle, draw

from edgetl.cli import program
from edgetl.evaluation.explain import Explainer, overlay
from edgetl.tflite.feature_map import expose_feature_map
from edgetl.tflite.model import read_model, schema, write_model
from edgetl_device import console
from edgetl_device.app.app import App
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.camera import FakeCamera
from edgetl_device.codes import CodeTransform
from edgetl_device.errors import InputError, RuntimeMissingError
from edgetl_device.heads.contributions import contributions
from edgetl_device.heads.scorer import Scorer
from edgetl_device.home import Home
from edgetl_device.inference import activation_map as activation
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.statistics import Statistics


@pytest.fixture(scope="module", params=["lda", "predictive", "gaussian"])
def explainer(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "toys.edgetl"
    return Explainer(open_bundle(build_bundle(path, ("ball", "box", "kite"), rule=request.param)))


def test_a_second_output_changes_no_embedding_and_is_what_the_embedding_is_the_mean_of() -> None:
    plain, shown = TFLiteInterpreter(TINY.read_bytes()), TFLiteInterpreter(expose_feature_map(TINY.read_bytes()))
    for seed in range(5):
        photo = draw("ball", seed, 32)
        raw = shown(photo)
        assert (raw == plain(photo)).all()
        pooled = (raw.astype(np.float32) - shown.output.zero_point) * shown.output.scale
        assert np.abs(shown.feature_map(photo).mean(axis=(0, 1)) - pooled).max() <= shown.output.scale
    with pytest.raises(RuntimeMissingError, match="convert with --explainable"):
        plain.feature_map(photo)


def test_a_file_whose_operators_lead_in_a_circle_is_refused() -> None:
    model = read_model(TINY.read_bytes())
    last = model.subgraphs[0].operators[-1]
    last.opcodeIndex = len(model.operatorCodes)
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.RESHAPE
    model.operatorCodes.append(code)
    last.inputs = list(last.outputs)
    with pytest.raises(InputError, match="an operator takes what is computed later, or by itself"):
        expose_feature_map(write_model(model))


def test_exposing_twice_changes_nothing_more() -> None:
    once = expose_feature_map(TINY.read_bytes())
    assert expose_feature_map(once) == once


def test_a_map_adds_up_to_the_score(explainer) -> None:
    for kind in ("ball", "box", "kite"):
        for label in (None, "box"):
            found = explainer.explain(draw(kind, 77), label)
            assert found.evidence.sum() == pytest.approx(found.score, rel=0.005, abs=0.01) and found.rest < 0.005


def test_the_score_explained_is_the_heads_own_difference_from_an_empty_embedding(explainer) -> None:
    codes = np.random.default_rng(0).integers(0, 200, (1, 64), dtype=np.uint8)
    scores = explainer.head.scorer.scores(np.concatenate([codes, np.zeros_like(codes)])).astype(np.float64)
    over = scores[:, 1] - (scores[:, 0] + scores[:, 2]) / 2
    score = contributions(explainer.head.scorer, codes[0], CodeTransform(-128, 64), 1).score
    assert score == pytest.approx(over[0] - over[1], rel=1e-4)


def test_contributions_to_a_linear_head_are_weight_times_code(tmp_path) -> None:
    explainer = Explainer(open_bundle(build_bundle(tmp_path / "x.edgetl", ("ball", "box", "kite"), rule="lda")))
    codes = np.random.default_rng(0).integers(0, 200, 64, dtype=np.uint8)
    weights = explainer.head.scorer.weights
    expected = (weights[0] - (weights[1] + weights[2]) / 2) * codes
    found = contributions(explainer.head.scorer, codes, CodeTransform(-128, 64), 0).shares
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_evidence_goes_to_the_places_where_its_features_are() -> None:
    features = np.zeros((3, 3, 4), np.float32)
    features[0, 0, 0], features[2, 1, 1], features[1, 1, 2], features[1, 2, 2] = 2, 5, 1, 3
    found = activation.spread(np.array([1.0, -2.0, 4.0, 9.0], np.float32), features)
    expected = np.full((3, 3), 1.0)  # a feature that is nowhere is spread evenly
    expected[0, 0] += 1
    expected[2, 1] -= 2
    expected[1, 1] += 1
    expected[1, 2] += 3
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_evidence_moves_with_the_thing() -> None:
    """One thing, at the left or at the right: the evidence's centre follows."""
    shifts = []
    backbone = TFLiteInterpreter(expose_feature_map(TINY.read_bytes()))
    for x in (8, 24):
        photo = np.full((32, 32, 3), 120, np.uint8)
        cv2.circle(photo, (x, 16), 5, (220, 40, 40), -1)
        base = np.full((32, 32, 3), 120, np.uint8)
        moved = np.abs(backbone.feature_map(photo) - backbone.feature_map(base))
        shares = moved.sum(axis=(0, 1))
        evidence = activation.spread(shares, moved)
        shifts.append((evidence.sum(axis=0) * np.arange(evidence.shape[1])).sum() / evidence.sum() / evidence.shape[1])
    assert shifts[0] < 0.45 < 0.5 < shifts[1]


def test_an_overlay_is_orange_for_blue_against_and_grey_between() -> None:
    photo = np.full((60, 60, 3), 128, np.uint8)
    evidence = np.zeros((3, 3), np.float32)
    evidence[0, 0], evidence[2, 2] = 1.0, -1.0
    found = overlay(photo, evidence).astype(int)
    blue, _, red = found[4, 4]
    assert red > blue + 60
    blue, _, red = found[55, 55]
    assert blue > red + 60
    assert np.ptp(found[4, 55]) < 20


def test_explain_writes_a_picture_for_each_photo_and_skips_damaged_ones(tmp_path, bundle_path, capfd) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "x.png"), draw("ball", 3))
    (tmp_path / "b" / "y.jpg").write_bytes(b"no photo")
    arguments = ["explain", bundle_path, tmp_path / "a", tmp_path / "b", "-o", tmp_path / "maps", "--json"]
    assert console.run(program, "edgetl", [*map(str, arguments)]) == 0
    told = json.loads(capfd.readouterr().out)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["x-1.png", "x.png"]
    assert cv2.imread(str(tmp_path / "maps" / "x.png")).shape == (32, 64, 3)
    assert [item["rest"] < 0.01 for item in told["written"]] == [True, True] and len(told["skipped"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--label", "unicorn"), "does not know 'unicorn': expected one of ball, box"), ((), "cannot read")],
)
def test_what_cannot_be_explained_is_a_clear_error(tmp_path, bundle_path, capfd, arguments, message) -> None:
    photo = tmp_path / "x.png"
    if arguments:
        cv2.imwrite(str(photo), draw("ball", 3))
    command = ["explain", bundle_path, photo, "-o", tmp_path / "maps", *arguments]
    assert console.run(program, "edgetl", [*map(str, command)]) == 2
    assert message in capfd.readouterr().err and not (tmp_path / "maps").exists()


def test_a_bundle_without_classes_has_nothing_to_explain(empty_bundle_path) -> None:
    with pytest.raises(InputError, match="fewer than two classes"):
        Explainer(open_bundle(empty_bundle_path))


def test_a_heads_formula_for_slopes_gives_what_differences_give(explainer) -> None:
    scorer = explainer.head.scorer
    for seed in range(3):
        point = np.random.default_rng(seed).integers(0, 200, 64).astype(np.float32)
        wanted = Scorer.slopes(scorer, point)
        np.testing.assert_allclose(scorer.slopes(point), wanted, atol=5e-3 * np.abs(wanted).max())


def test_a_running_app_shows_where_the_evidence_is_if_the_bundle_exports_its_feature_map(tmp_path) -> None:
    plain = open_bundle(build_bundle(tmp_path / "toys.edgetl"))
    data = expose_feature_map(INSPECTABLE.read_bytes())
    # The statistics belong to the very file that is deployed: name it in them.
    shown = plain.members | {"backbone.tflite": data}
    old, new = (hashlib.sha256(model).hexdigest() for model in (INSPECTABLE.read_bytes(), data))
    statistics = Statistics.from_bytes(plain.members["statistics.npz"])
    shown["statistics.npz"] = replace(statistics, backbone=new).to_bytes()
    assert statistics.backbone == old
    write_bundle(tmp_path / "shown.edgetl", plain.manifest, {k: v for k, v in shown.items() if k != "manifest.json"})
    home = Home(tmp_path / "home")
    home.install(tmp_path / "shown.edgetl")
    wanted = Explainer(open_bundle(tmp_path / "shown.edgetl")).explain(draw("ball", 5))
    with App(home, FakeCamera([draw("ball", 5)]), smoothing_s=0) as app:
        app.pipeline.wait(10)
        moment = app.pipeline.latest()
        assert moment.prediction.label == "ball"
        assert np.array_equal(app.activation(moment), activation.as_picture(wanted.evidence))
        home.install(tmp_path / "toys.edgetl")
        app.notice()
        assert app.activation is None
