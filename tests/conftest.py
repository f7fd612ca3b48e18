"""What device and host tests share: drawn photos, and a real bundle around a tiny real backbone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edgetl_device.bundle.bundle import write_bundle
from edgetl_device.bundle.content import BundleParts, fingerprint
from edgetl_device.bundle.inner_maps import InnerMap
from edgetl_device.codes import CodeTransform
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.home import Home
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import MAP_PREFIX, TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing
from edgetl_device.projection import Projection
from edgetl_device.statistics import statistics_of
from edgetl_device.store.store import Store

if TYPE_CHECKING:
    from broker import Listener, Mosquitto

TINY = Path(__file__).parent / "support" / "tiny_backbone.tflite"
INSPECTABLE = TINY.with_name("tiny_inspectable.tflite")  # the same with its inner maps as further outputs
COLOURS = {"ball": (40, 40, 220), "box": (200, 120, 40), "kite": (60, 190, 60), "ring": (200, 60, 200)}


def draw(kind: str, seed: int, size: int = 64) -> np.ndarray:
    """A (size, size, 3) uint8 BGR photo of a kind: colour and shape differ, place, size and noise are drawn."""
    generator = np.random.default_rng([seed, sorted(COLOURS).index(kind)])
    image = generator.normal(120, 12, (size, size, 3))
    colour = tuple(float(c) + float(generator.normal(0, 12)) for c in COLOURS[kind])
    centre = generator.integers(size * 3 // 8, size * 5 // 8, 2)
    radius = int(generator.integers(size // 6, size // 4))
    canvas = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
    x, y = (int(value) for value in centre)
    if kind == "ball":
        cv2.circle(canvas, (x, y), radius, colour, -1)
    elif kind == "ring":
        cv2.circle(canvas, (x, y), radius, colour, max(2, radius // 3))
    elif kind == "box":
        cv2.rectangle(canvas, (x - radius, y - radius), (x + radius, y + radius), colour, -1)
    else:
        points = np.array([[x, y - radius], [x + radius, y], [x, y + radius], [x - radius, y]])
        cv2.fillPoly(canvas, [points], colour)
    return canvas


def write_photos(folder: Path, kinds: tuple[str, ...], per_class: int, seed: int = 0, size: int = 64) -> Path:
    """Folder-per-class PNG files."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            cv2.imwrite(str(folder / kind / f"{number:04}.png"), draw(kind, seed * 10_000 + number, size))
    return folder


def tiny_backbone() -> Backbone:
    """The backbone of the tests: real int8, real runtime, 32 × 32 photos, 64 features, two inner maps."""
    data = INSPECTABLE.read_bytes()
    interpreter = TFLiteInterpreter(data)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    maps = tuple(
        InnerMap(tensor.name.removeprefix(MAP_PREFIX), tensor.shape[1:], tensor.scale, tensor.zero_point)
        for tensor in interpreter.maps
    )
    return Backbone(interpreter, Preprocessing(32, 32), transform, hashlib.sha256(data).hexdigest(), maps=maps)


def unconfirmed(store: Store) -> None:
    """As if no person had said of any sample that its label is right."""
    with store.database.transaction():
        store.database.delete("confirmed", "1")
        store.database.update("grouped", "confirmed = 0", "1", ())


def embeddings(kind: str, count: int, start: int = 100) -> np.ndarray:
    """(count, 64) int8 raw embeddings of photos of a kind, drawn with seeds from ``start`` on."""
    backbone = tiny_backbone()
    return np.stack([backbone.embed(draw(kind, start + number)) for number in range(count)])


def some_projection(dimension: int, size: int = 12) -> Projection:
    """Directions of any kind: the workstation's are the leading ones."""
    weights = np.random.default_rng(size).integers(-60, 61, (size, dimension)).astype(np.int8)
    return Projection(weights, weights.astype(np.int64) @ np.full(dimension, 45) - 128)


def build_bundle(
    path: Path, kinds: tuple[str, ...] = ("ball", "box"), per_class: int = 40, rule: str = DEFAULT, maps: bool = True
) -> Path:
    """A real bundle, trained on drawn photos; no kinds make one without classes, and without maps it cannot inspect."""
    backbone = tiny_backbone()
    photos = {kind: [draw(kind, number) for number in range(per_class)] for kind in kinds}
    raw = {kind: np.stack([backbone.embed(photo) for photo in shots]) for kind, shots in photos.items()}
    half = per_class // 2
    empty = np.zeros((0, backbone.transform.dimension), np.int8)
    train = np.concatenate([*(rows[:half] for rows in raw.values()), empty])
    held = np.concatenate([*(rows[half:] for rows in raw.values()), empty])
    train_labels = tuple(kind for kind in kinds for _ in range(half))
    held_labels = tuple(kind for kind in kinds for _ in range(per_class - half))
    projection = some_projection(backbone.transform.dimension) if kinds else None
    factory = statistics_of(backbone.codes(train), train_labels, backbone.digest, backbone.runtime, projection)
    evidence = gather(factory, backbone.codes(held), held_labels, backbone.codes(empty), (), backbone.runtime)
    head = fit_head(evidence, rule)
    check = np.stack([backbone.preprocessing(draw(kind, 900)) for kind in (*kinds, "ring")])
    check_raw = np.stack([backbone.embed_photo(photo) for photo in check])
    told = head.predict(backbone.codes(check_raw))[0]
    names = tuple(head.labels[row.argmax()] if head.labels else "" for row in told)
    seen = frozenset(fingerprint(photo.tobytes()) for shots in photos.values() for photo in shots[:half])
    content = BundleParts(INSPECTABLE.read_bytes(), factory, (held, held_labels), seen, (check, check_raw, names))
    manifest = {
        "name": path.stem,
        "created": "2026-01-01T00:00:00+00:00",
        "labels": list(head.labels),
        "head": rule,
        "preprocessing": backbone.preprocessing.to_json(),
        "codes": backbone.transform.to_json(),
        "backbone": {"name": "tiny", "alpha": 1.0, "image_size": 32, "weights": "none"},
        "quantization": "int8",
        "training": {"photos": len(train)},
        "parity": {},
        "ops": {},
    }
    if maps:
        manifest["maps"] = [inner.to_json() for inner in backbone.maps]
    write_bundle(path, manifest, content.members())
    return path


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's cache is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGETL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows ball and box; never written to."""
    return build_bundle(tmp_path_factory.mktemp("bundle") / "toys.edgetl")


@pytest.fixture(scope="session")
def empty_bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle without classes; never written to."""
    return build_bundle(tmp_path_factory.mktemp("bundle") / "empty.edgetl", kinds=())


@pytest.fixture
def home(tmp_path: Path, bundle_path: Path) -> Home:
    """A device home with the bundle installed."""
    made = Home(tmp_path / "home")
    made.install(bundle_path)
    return made


@pytest.fixture
def photo_file(tmp_path: Path) -> Callable[[str, int], Path]:
    """A factory of single photo files."""

    def make(kind: str, seed: int) -> Path:
        path = tmp_path / "photos" / f"{kind}-{seed}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), draw(kind, seed))
        return path

    return make


@pytest.fixture
def running(tmp_path) -> Iterator[Mosquitto]:
    """A mosquitto on the loopback."""
    from broker import broker

    with broker(tmp_path) as started:
        yield started


@pytest.fixture
def heard(running) -> Iterator[Listener]:
    """What is said there."""
    from broker import listener

    with listener(running.port) as listening:
        yield listening


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photos, weights and models beside the project; skips where they are not."""
    folder = Path(os.environ.get("EDGETL_TEST_DATA", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder} (set EDGETL_TEST_DATA)")
    return folder
