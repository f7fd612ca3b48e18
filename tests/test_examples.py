"""The examples, each as a process of its own, as its first lines say; and the package of extensions, built and installed."""

from __future__ import annotations

import csv
import json
import os
import pty
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import build_bundle, draw, write_photos
from ports import free_port

pytest.importorskip("edgetl")

from edgetl_device import Device, open_bundle, open_camera
from edgetl_device.home import Home

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(path for path in EXAMPLES.rglob("*.py") if path.name != "__init__.py")
SOON_S = 120.0


def start(name: str, home: Home | None, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | ({"EDGETL_HOME": str(home.folder)} if home else {}) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def run(name: str, home: Home | None, *arguments: object) -> list[str]:
    """The lines that an example prints; it has to end well."""
    process = start(name, home, *arguments)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out.splitlines()


def film(path: Path, kinds: list[str], frames: int) -> Path:
    """A film of 30 frames a second, so many of each kind in turn."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 64))
    for number, kind in enumerate(kind for kind in kinds for _ in range(frames)):
        writer.write(draw(kind, 300 + number))
    writer.release()
    return path


@contextmanager
def serving(command: list[str], environment: dict[str, str], url: str) -> Iterator[None]:
    """A server, from when it answers until the block ends."""
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SOON_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        assert process.poll() is None, f"{command} ended"
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_has_at_most_60_lines_and_a_line_in_the_list(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
    assert f"({path.relative_to(EXAMPLES).as_posix()})" in (EXAMPLES / "README.md").read_text()


def test_every_frame_of_ones_own_loop_is_classified(home: Home, tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", ["ball", "box"], 10)
    device = Device(home.folder)
    expected = [device.classify(frame, color="bgr") for frame in open_camera(str(path), pace=False).frames()]
    labels = ["unknown" if prediction.unknown else str(prediction.label) for prediction in expected]
    assert run("own_loop.py", home, path) == [
        f"{label} {prediction.probability:.2f}" for label, prediction in zip(labels, expected, strict=True)
    ]
    assert labels[:3] == ["ball"] * 3 and labels[10:13] == ["box"] * 3 and len(labels) == 20


@pytest.mark.parametrize("name", ["own_loop.py", "folder_to_table.py", "act_on_label.py"])
def test_without_arguments_an_example_says_how_it_is_used(name: str) -> None:
    process = start(name, None)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2 and err.startswith(f"usage: {name} "), err


def test_a_film_that_cannot_be_opened_is_named(home: Home, tmp_path: Path) -> None:
    process = start("own_loop.py", home, tmp_path / "film.mp4")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2 and f"cannot open {tmp_path / 'film.mp4'}" in err


def test_a_key_press_teaches_what_the_camera_sees(home: Home, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(
        "teach_with_a_key.py", home, film(tmp_path / "film.avi", ["kite"], 60), "kite", "ring", stdin=theirs
    )
    assert process.stdout is not None and process.stdout.readline() == "1 kite, 2 ring and q to end\n"
    os.write(ours, b"1")
    assert process.stdout.readline().startswith("kite: learned kite")
    os.write(ours, b"9q")
    _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    device = Device(home.folder)
    assert {row.label for row in device.samples()} == {"kite"} and len(device.samples()) == 10
    assert device.classify(draw("kite", 50), color="bgr").label == "kite"


def test_a_pin_follows_the_label(home: Home, tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", ["box", "ball", "box"], 30)
    assert run("act_on_label.py", home, "ball", 17, path) == ["pin 17 on", "pin 17 off"]


def test_a_folder_becomes_a_table(home: Home, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 4, seed=5)
    (photos / "damaged.jpg").write_bytes(b"no photo")
    lines = run("folder_to_table.py", home, photos, tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == [Path(row["path"]).parts[0] for row in rows] and len(rows) == 8
    assert ["ball", "4", "0"] in [line.split() for line in lines]


def test_a_web_service_asks_and_teaches_the_camera(home: Home) -> None:
    page, ours = free_port(), free_port()
    camera = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "--camera", "parts"]
    service = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "rest_service:app", "--port", str(ours)]
    url = f"http://127.0.0.1:{ours}"
    with serving([*service, "--log-level", "warning"], {"EDGETL_URL": f"http://127.0.0.1:{page}"}, f"{url}/docs"):
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{url}/bin")
        with serving(
            [*camera, "--web", f"127.0.0.1:{page}", "--json"], {}, f"http://127.0.0.1:{page}/api/v1/prediction"
        ):
            answer = json.load(urllib.request.urlopen(f"{url}/bin"))
            assert answer["label"] in ("ball", "box") and answer["bin"] == "look at it"
            request = urllib.request.Request(f"{url}/teach/part?frames=4", method="POST")
            taught = json.load(urllib.request.urlopen(request))
            assert taught["stored"] == 4 and "promoted" in taught
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(urllib.request.Request(f"{url}/teach/unknown", method="POST"))
    assert [row.label for row in Device(home.folder).samples()] == ["part"] * 4


def test_a_training_step_of_ones_own_is_used(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 20)
    folder = tmp_path / "my run"
    lines = run("own_training_step.py", None, photos, folder, 1)
    assert "weights are trained" in "".join(lines) and lines[-1].startswith("held-out accuracy ")
    assert shlex.split(lines[-1].partition("next: ")[2]) == ["edgetl", "convert", str(folder), "-o", f"{folder}.edgetl"]
    run_file = json.loads((folder / "run.json").read_text())
    assert run_file["strategy"] == "top" and len(run_file["details"]["epochs"]) == 1


def test_every_epoch_is_logged(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 12)
    lines = run("log_to_mlflow.py", None, photos, tmp_path / "run", 1)
    assert len(lines) == 2 and "'epoch': 1" in lines[0] and lines[1].startswith("{'accuracy': ")


def test_a_classifier_of_ones_own_is_calibrated_and_converted(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 20)
    script = (
        "import sys, cv2, numpy as np; from pathlib import Path; from edgetl import tf\n"
        "keras = tf.keras(); keras.utils.set_random_seed(0); L = keras.layers\n"
        "model = keras.Sequential([L.Input((32, 32, 3)), L.Rescaling(1 / 127.5, -1), L.Conv2D(32, 5, 2, activation='relu'),\n"
        "    L.Conv2D(64, 3, 2, activation='relu'), L.GlobalAveragePooling2D(), L.Dense(2)])\n"
        "files = sorted(Path(sys.argv[2]).rglob('*.png'))\n"
        "photos = np.stack([cv2.resize(cv2.imread(str(f)), (32, 32))[..., ::-1] for f in files]).astype(np.float32)\n"
        "labels = np.array([f.parent.name == 'box' for f in files], int)\n"
        "model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))\n"
        "model.fit(photos, labels, epochs=10, verbose=0); model.save(sys.argv[1])"
    )
    model, bundle = tmp_path / "mine.keras", tmp_path / "mine.edgetl"
    subprocess.run([sys.executable, "-c", script, str(model), str(photos)], check=True, capture_output=True)
    lines = run("calibrate_and_convert.py", None, model, photos, bundle)
    assert any(line.startswith("int8: accuracy ") for line in lines) and lines[-1].startswith(f"wrote {bundle}, ")
    assert open_bundle(bundle).labels == ("ball", "box")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package of extensions, as pip installs it from a wheel that hatchling builds."""
    folder = tmp_path_factory.mktemp("extensions")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=EXAMPLES / "extensions",
        check=True,
        capture_output=True,
        text=True,
    )
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:  # pip does the same with a pure wheel
        wheel.extractall(folder / "site")
    return folder / "site"


def test_a_pytorch_model_becomes_a_file_that_convert_takes(tmp_path: Path) -> None:
    """In an environment of its own: LITERT_TORCH_PYTHON is the Python of one with litert-torch and timm."""
    python = os.environ.get("LITERT_TORCH_PYTHON")
    if python is None:
        pytest.skip("needs an environment with litert-torch and timm: LITERT_TORCH_PYTHON")
    from edgetl.models.tflite_files import open_tflite

    photos, output = write_photos(tmp_path / "photos", ("ball", "box"), 5), tmp_path / "mine.tflite"
    arguments = ("mobilenetv3_small_050", "-", "3", "64", photos, output)
    command = [python, str(EXAMPLES / "pytorch_model.py"), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    found = open_tflite(output, (0.0, 255.0))
    assert (found.preprocessing.height, found.classes) == (64, 3)
    assert found.scorer()(np.full((64, 64, 3), 99, np.uint8)).shape == (3,)


def test_an_installed_package_adds_a_head_a_camera_and_a_sink(home: Home, site: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    program = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder)]

    def told(*arguments: object) -> dict[str, Any]:
        done = subprocess.run(
            [*program, *map(str, arguments), "--json"], env=environment, capture_output=True, text=True, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert told("retrain", "--head", "naive-bayes")["promoted"]
    still, log = tmp_path / "newest.png", tmp_path / "labels.csv"
    cv2.imwrite(str(still), draw("ball", 3))
    camera = subprocess.Popen(
        [
            *program,
            "run",
            "--no-web",
            "--camera",
            f"still:{still}",
            "--sink",
            f"csv:{log}",
            "--jsonl",
            "--smoothing",
            "0",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert camera.stdout is not None
    lines = [json.loads(camera.stdout.readline())]
    cv2.imwrite(str(tmp_path / "next.png"), draw("box", 3))
    (tmp_path / "next.png").replace(still)
    lines.append(json.loads(camera.stdout.readline()))
    camera.terminate()
    camera.communicate(timeout=30)
    assert [(line["label"], line["version"]) for line in lines] == [("ball", 2), ("box", 2)]
    with log.open() as stream:
        assert [row[1] for row in csv.reader(stream)] == ["ball", "box"]
    assert [row.rule for row in Device(home.folder).versions()] == ["gaussian", "naive-bayes"]


def test_the_example_head_is_as_good_as_its_formula_written_out(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.naive_bayes import GaussianNB

    from edgetl_device.heads.evidence import gather
    from edgetl_device.heads.head import fit_head
    from edgetl_device.statistics import statistics_of

    monkeypatch.syspath_prepend(str(site))
    generator = np.random.default_rng(0)
    rows = np.arange(120) % 3
    codes = np.clip(generator.normal(np.array([[90], [110], [140]])[rows], 20, (120, 6)), 0, 255).astype(np.uint8)
    labels = [f"class-{row}" for row in rows]
    evidence = gather(statistics_of(codes[:90], labels[:90], "b", "r"), codes[90:], labels[90:], codes[:0], (), "r")
    scorer = fit_head(evidence, "naive-bayes").scorer
    oracle = GaussianNB().fit(codes[:90].astype(float), labels[:90])
    oracle.var_[:] = np.mean([codes[:90][rows[:90] == row].astype(float).var(axis=0) for row in range(3)], axis=0)
    expected = oracle.predict_joint_log_proba(codes[90:].astype(float))
    found = scorer.scores(codes[90:])
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], rtol=1e-3, atol=1e-2)


def test_a_bundle_can_be_made_with_the_example_head(site: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    path = build_bundle(tmp_path / "toys.edgetl", rule="naive-bayes")
    device = Device(tmp_path / "home")
    device.install(path)
    assert device.classify(draw("ball", 50), color="bgr").label == "ball"
