"""The whole arrow, once, for real: photos → train → convert → bundle → device learns, forgets and rolls back."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("edgetl")

from edgetl.cli import program as host_program
from edgetl_device import console, parts
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.cli import program as device_program

pytestmark = pytest.mark.slow

KNOWN = ("bolt", "gear", "washer")


def told(program, *arguments: object, code: int = 0) -> dict:
    import io
    from contextlib import redirect_stdout

    out = io.StringIO()
    with redirect_stdout(out):
        assert console.run(program, "edgetl", [*map(str, arguments), "--json"]) == code
    return json.loads(out.getvalue()) if code != 2 else {}


def converted_again(folder: Path, run: Path, bundle: Path) -> dict:
    """Convert and sign, at a fixed time: so that the same bytes may be expected."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return told(
            host_program, "convert", run, "-o", bundle, "--max-drop", "0.1", "--fused", "--sign", folder / "owner.key"
        )


@pytest.fixture(scope="module")
def arrow(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Photos with some damaged ones, a RUN and its bundle."""
    folder = tmp_path_factory.mktemp("arrow")
    photos = folder / "photos"
    parts.write_photos(photos, kinds=KNOWN, per_class=40, size=128, seed=1)
    whole = (photos / "bolt" / "bolt-0000.jpg").read_bytes()
    (photos / "bolt" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "gear" / "note.jpg").write_text("not a photo")
    picture = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(photos / "bolt" / "grey.png"), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(photos / "bolt" / "deep.png"), picture.astype(np.uint16) * 257)
    cv2.imwrite(str(photos / "bolt" / "clear.png"), np.dstack([picture, picture[:, :, 0]]))
    run, bundle = folder / "run", folder / "parts.edgetl"
    trained = told(host_program, "train", photos, "-o", run, "--weights", "builtin")
    told(host_program, "keygen", folder / "owner")
    converted = converted_again(folder, run, bundle)
    return SimpleNamespace(folder=folder, photos=photos, run=run, bundle=bundle, trained=trained, converted=converted)


def test_train_reports_what_the_contract_says_and_names_what_it_skipped(arrow) -> None:
    trained = arrow.trained
    keys = {"accuracy", "per_class", "classes", "photos", "skipped", "strategy", "seconds"}
    assert set(trained) >= keys
    assert trained["classes"] == list(KNOWN) and trained["photos"] == 123 and trained["strategy"] == "head"
    assert sorted(Path(reason.split(": ")[0]).name for reason in trained["skipped"]) == ["note.jpg", "truncated.jpg"]
    assert trained["accuracy"] > 0.6


def test_convert_reports_what_the_contract_says_and_stays_close_to_float(arrow) -> None:
    converted = arrow.converted
    assert set(converted) >= {"path", "size_bytes", "quantization", "parity", "ops", "seconds"}
    parity = converted["parity"]
    assert set(parity) == {"float_accuracy", "converted_accuracy", "agreement", "worst_class_drop", "samples"}
    assert parity["agreement"] > 0.8 and parity["samples"] == 25
    assert converted["ops"]["float"] == 0 and converted["ops"]["total"] > 50
    assert converted["size_bytes"] == arrow.bundle.stat().st_size
    assert converted["maps"] == open_bundle(arrow.bundle).manifest["maps"] and len(converted["maps"]) == 3


def test_convert_with_the_softmax_rule_packs_what_the_photos_taught_it(arrow, tmp_path) -> None:
    bundle = tmp_path / "soft.edgetl"
    options = ("--head", "softmax", "--max-drop", "0.1", "-v", "--no-inspectable")
    assert told(host_program, "convert", arrow.run, "-o", bundle, *options)["maps"] == []
    factory = BundleContent(open_bundle(bundle))
    assert factory.rule == "softmax" and factory.correction is not None
    assert factory.correction.labels == factory.statistics.labels
    inspecting = BundleContent(open_bundle(arrow.bundle))
    assert factory.bundle.manifest["format"] == 2 and inspecting.bundle.manifest["format"] == 3
    assert factory.statistics.gram.tobytes() == inspecting.statistics.gram.tobytes()  # the embeddings are the same


def test_a_bundle_converted_with_a_key_is_signed_by_it(arrow, tmp_path) -> None:
    trust = ("--public-key", arrow.folder / "owner.pub")
    installed = told(device_program, "--home", tmp_path / "home", "install", arrow.bundle, *trust)
    assert installed["signed_by"].startswith("SHA256:")
    assert told(host_program, "inspect", arrow.bundle)["signed"].endswith("+00:00")


def test_the_head_was_fitted_without_the_held_out_photos(arrow) -> None:
    factory = BundleContent(open_bundle(arrow.bundle))
    held_out = [s for s in json.loads((arrow.run / "run.json").read_text())["samples"] if s[2] == "val"]
    assert factory.statistics.samples == 123 - len(held_out) == len(factory.seen)
    assert len(factory.holdout) == len(held_out)


def test_evaluate_tells_seen_from_unseen_photos_and_writes_a_page(arrow, tmp_path) -> None:
    result = told(host_program, "evaluate", arrow.bundle, arrow.photos, "--report", tmp_path / "report.html")
    assert set(result) >= {"accuracy", "samples", "per_class", "confusion", "ece", "latency_ms"}
    assert result["samples"] == 123 and result["unseen"] == 25
    assert result["accuracy_unseen"] == pytest.approx(arrow.converted["parity"]["converted_accuracy"])
    assert sum(map(sum, result["confusion"])) == 123
    text = (tmp_path / "report.html").read_text()
    assert all(name in text for name in ("right", "unknown", "wrong")) and "http" not in text.replace("http-equiv", "")


def test_show_shows_the_manifest_and_so_does_its_old_name(arrow, capfd) -> None:
    manifest = told(host_program, "show", arrow.bundle)
    assert manifest["labels"] == list(KNOWN) and manifest["backbone"]["weights"] == "builtin"
    capfd.readouterr()
    assert console.run(host_program, "edgetl", ["show", str(arrow.bundle)]) == 0
    shown = capfd.readouterr()
    assert "inspects  12x12x16, 6x6x32, 3x3x112 (inner maps)" in shown.out and not shown.err
    assert f"created   {console.moment(manifest['created'])} " in shown.out
    assert console.run(host_program, "edgetl", ["inspect", str(arrow.bundle)]) == 0
    again = capfd.readouterr()
    assert again.out == shown.out and "is called `edgetl show` now" in again.err


def test_converting_again_gives_the_same_bytes(arrow) -> None:
    again = arrow.folder / "again" / "parts.edgetl"
    converted_again(arrow.folder, arrow.run, again)
    assert again.read_bytes() == arrow.bundle.read_bytes()


def test_other_apps_get_one_file_that_says_what_the_device_says(arrow) -> None:
    from edgetl.tflite import fused_proof
    from edgetl_device.inference.backbone import open_backbone
    from edgetl_device.photos import read_photo

    assert arrow.converted["fused"]["agreement"] >= 0.95 and arrow.converted["fused"]["samples"] == 25
    bundle = open_bundle(arrow.bundle)
    assert bundle.manifest["fused"] == arrow.converted["fused"]
    photos = [read_photo(path) for kind in KNOWN for path in sorted((arrow.photos / kind).glob(f"{kind}-*.jpg"))]
    told = fused_proof.predict(bundle.members["model.tflite"], [bundle.preprocessing(photo) for photo in photos])
    backbone, head = open_backbone(bundle), BundleContent(bundle).head()
    wanted = head.predict(backbone.codes(np.stack([backbone.embed(photo) for photo in photos])))[0]
    assert len(photos) == 120 and (told.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fused", "--no-classes"), "--fused needs classes to tell apart"),
        (("--edgetpu", "--quantize", "float16"), "--edgetpu needs --quantize int8"),
        (("--edgetpu",), "it exists for x86-64 Debian and its derivatives only"),
    ],
)
def test_what_cannot_be_added_is_said_before_anything_takes_long(
    arrow, tmp_path, monkeypatch, capfd, options, message
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    told(host_program, "convert", arrow.run, "-o", tmp_path / "x.edgetl", *options, code=2)
    said = capfd.readouterr().err
    assert message in said and len(said.strip().splitlines()) == 1 and not (tmp_path / "x.edgetl").exists()


def test_a_conversion_that_costs_too_much_is_refused_and_the_good_bundle_stays(arrow) -> None:
    before = arrow.bundle.read_bytes()
    options = ("-o", arrow.bundle, "--force", "--max-drop", "-1", "--json")
    assert console.run(host_program, "edgetl", ["convert", str(arrow.run), *map(str, options)]) == 1
    assert arrow.bundle.read_bytes() == before


def test_photos_that_moved_are_asked_for_and_found(arrow, tmp_path) -> None:
    moved = tmp_path / "moved"
    arrow.photos.rename(moved)
    try:
        told(host_program, "convert", arrow.run, "-o", tmp_path / "a.edgetl", code=2)
        done = told(
            host_program, "convert", arrow.run, "-o", tmp_path / "b.edgetl", "--photos", moved, "--max-drop", "0.1"
        )
        assert done["size_bytes"] > 0
    finally:
        moved.rename(arrow.photos)


@pytest.mark.parametrize("no_classes", [False, True], ids=["four kinds", "no classes"])
def test_the_device_learns_forgets_and_rolls_back(arrow, tmp_path, no_classes: bool) -> None:
    bundle = arrow.bundle
    if no_classes:
        bundle = tmp_path / "empty.edgetl"
        told(host_program, "convert", arrow.run, "-o", bundle, "--no-classes", "--max-drop", "0.1")
    home = ("--home", tmp_path / "home")
    assert told(device_program, *home, "install", bundle)["labels"] == ([] if no_classes else list(KNOWN))
    shown = tmp_path / "shown"
    parts.write_photos(shown, kinds=("bolt", "spring"), per_class=8, size=128, seed=7)
    for kind in ("bolt", "spring"):
        learned = told(device_program, *home, "learn", kind, *sorted((shown / kind).iterdir())[:6])
        assert learned["stored"] == 6 and learned["promoted"], learned
    tests = [str(path) for path in sorted((shown / "spring").iterdir())[6:]]
    labels = [p["label"] for p in told(device_program, *home, "classify", *tests)["predictions"]]
    assert "spring" in labels
    assert told(device_program, *home, "export-stats", tmp_path / "s.stats")["samples"] == 12
    assert told(device_program, *home, "forget", "--label", "spring")["removed"] == 6
    labels = [p["label"] for p in told(device_program, *home, "classify", *tests)["predictions"]]
    assert "spring" not in labels
    assert told(device_program, *home, "rollback", 1)["version"] == 1


def test_coral_learns_its_three_things_from_one_or_two_photos_each(shared, tmp_path) -> None:
    """Coral's own on-device learning test, on a bundle that knows nothing, with real weights."""
    weights = shared / "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    photos = shared / "models/coral/imprinting"
    calibration = tmp_path / "calibration"
    parts.write_photos(calibration, kinds=("bolt", "gear"), per_class=10, seed=1)
    run, bundle, home = tmp_path / "run", tmp_path / "empty.edgetl", ("--home", tmp_path / "home")
    told(host_program, "train", calibration, "-o", run, "--weights", weights, "--alpha", 0.35)
    told(host_program, "convert", run, "-o", bundle, "--no-classes", "--max-drop", 1)
    told(device_program, *home, "install", bundle)
    for label, count in (("cat", 1), ("dog", 1), ("hotdog", 2)):
        told(device_program, *home, "learn", label, *(photos / f"{label}_train_{n}.png" for n in range(count)))
    tests = [photos / f"{label}_test_0.png" for label in ("cat", "dog", "hotdog")]
    found = told(device_program, *home, "classify", *tests)["predictions"]
    assert [prediction["label"] for prediction in found] == ["cat", "dog", "hotdog"]


def test_the_demo_tells_its_story_with_measured_numbers_and_writes_a_page(tmp_path) -> None:
    story = told(host_program, "demo", "--output", tmp_path / "demo")
    steps = {step["name"]: step for step in story["steps"]}
    assert list(steps) == [
        "train at the factory",
        "convert to int8",
        "install on the device",
        "meet dim light and hinge",
        "a person labels 10 photos of each",
        "what it knew before",
        "forget hinge",
        "roll back",
    ]
    met, learned = steps["meet dim light and hinge"], steps["a person labels 10 photos of each"]
    assert learned["accuracy"] > met["accuracy"] + 0.05
    assert steps["what it knew before"]["accuracy"] > steps["install on the device"]["accuracy"] - 0.1
    assert "byte for byte" in steps["forget hinge"]["detail"]
    assert steps["roll back"]["accuracy"] == steps["install on the device"]["accuracy"]
    page = (tmp_path / "demo" / "index.html").read_text()
    assert page.count("<figure>") == 28 and f"{learned['accuracy']:.3f}" in page
    assert "Nothing was downloaded. The backbone is " in page


def test_the_demo_refuses_photos_that_cannot_tell_the_story(arrow, tmp_path, capsys) -> None:
    two = tmp_path / "two"
    parts.write_photos(two, kinds=("bolt", "gear"), per_class=2, size=64)
    told(host_program, "demo", "--photos", two, "--output", tmp_path / "demo", code=2)
    assert "needs at least 3 classes" in capsys.readouterr().err


def test_a_visitor_of_the_page_teaches_the_bundle_a_part_it_never_saw(arrow, tmp_path) -> None:
    pytest.importorskip("starlette")
    from browser import SHOTS, Visitor, chromium

    from edgetl_device.app.app import App
    from edgetl_device.camera import FakeCamera
    from edgetl_device.home import Home
    from edgetl_device.web import serve

    class Belt:
        """Parts of one kind sliding by, until another kind is put on."""

        kind = "gear"

        def __iter__(self):
            streams = {kind: parts.stream(kinds=(kind,), seed=3) for kind in (*KNOWN, "hinge")}
            while True:
                picture, label = next(streams[self.kind])
                if label is not None:  # skip the empty bench
                    yield picture

    belt, home = Belt(), Home(tmp_path / "home")
    home.install(arrow.bundle)
    with (
        chromium() as browser,
        App(home, FakeCamera(belt, fps=8, finite=False)) as app,
        serve(app, port=0) as server,
        Visitor(browser, server.url, path="/#/teach") as visitor,
    ):
        page = visitor.page
        visitor.sees("gear")
        belt.kind = "hinge"
        page.wait_for_timeout(1000)
        page.fill("#teach-label", "hinge")
        page.locator("#shutter").hover()
        page.mouse.down()
        page.locator("#film li[data-state=stored]:nth-child(16)").wait_for()
        page.mouse.up()
        page.locator("#result[data-state=promoted]").wait_for()
        visitor.sees("hinge")
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.set_viewport_size({"width": 1280, "height": 720})
        page.screenshot(path=SHOTS / "page.jpg", quality=82)
        belt.kind = "gear"
        visitor.sees("gear")  # nothing was forgotten
