"""Real int8 embeddings, and the situations a device gets into: what the factory saw, what it is shown, tests."""

from __future__ import annotations

import fcntl
import hashlib
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.training.directions import leading_directions
from edgetl_device.codes import CodeTransform
from edgetl_device.files import write_atomically
from edgetl_device.heads.evidence import extend, gather
from edgetl_device.heads.head import fit_head, with_correction
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.projection import Projection
from edgetl_device.statistics import Statistics, statistics_of, with_projection

from .harness import DATA, need

CACHE = Path(__file__).parents[1] / "build" / "benchmarks"
WEIGHTS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
FOLDERS = {
    "flowers": "data/flowers",
    "trashnet": "data/trashnet",
    "rps": "data/rps",
    "art": "data/pacs/art_painting",
    "cartoon": "data/pacs/cartoon",
}
ARCHIVES = {
    "digits": ("data/mnist-15k.tar.gz", "mnist/train", 0, 1, 200),
    **{f"things-{part}": ("data/tiny-imagenet-50k.tar.gz", "train", part, 10, 100) for part in range(4)},
}
"""More sets, within archives: the folder with one for each class, the first class, every how many, photos of each."""
BACKBONE = "MobileNetV2 α=0.35 @224, ImageNet weights, int8, LiteRT"

_PROJECTIONS: dict[bytes, Projection | None] = {}

Names = npt.NDArray[np.str_]
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Situation:
    """Codes (n, d) uint8 and labels of what the factory saw, what the device was shown, and what is asked.

    Args:
        is_new: (t,) bool, which tests belong to new classes or to the new scene.
    """

    factory: Codes
    factory_labels: Names
    shown: Codes
    shown_labels: Names
    tests: Codes
    truth: Names
    is_new: npt.NDArray[np.bool_]

    @cached_property
    def projection(self) -> Projection | None:
        """The directions that ``edgetl convert`` would find, once for all rules and for no clock."""
        return _directions(statistics_of(self.factory, self.names, "b", "r"))

    @property
    def names(self) -> list[str]:
        """Labels of the factory's samples."""
        return [str(label) for label in self.factory_labels]

    def score(self, told: Names) -> tuple[float, float, float]:
        """Accuracy over all, new and old tests."""
        right = told == self.truth
        parts = (right, right[self.is_new], right[~self.is_new])
        return tuple(float(part.mean()) if len(part) else float("nan") for part in parts)  # type: ignore[return-value]


def ours(situation: Situation, rule: str = DEFAULT) -> Names:
    """Labels that a head fitted on exact statistics gives the tests; the factory's and the device's work."""
    s = situation
    labels = s.names
    factory = statistics_of(s.factory, labels, "b", "r", s.projection)
    evidence = gather(factory, s.factory[:0], (), s.factory[:0], (), "r")
    evidence = with_correction(evidence, rule, s.factory, labels)
    evidence = extend(evidence, s.shown, [str(label) for label in s.shown_labels], "r")
    head = fit_head(evidence, rule)
    told: Names = np.asarray(head.labels)[head.scorer.scores(s.tests).argmax(axis=1)]
    return told


def factory_statistics(codes: Codes, labels: Sequence[str], backbone: str = "b", runtime: str = "r") -> Statistics:
    """Codes (n, d) and labels → statistics as ``edgetl convert`` makes them, along the leading directions."""
    statistics = statistics_of(codes, labels, backbone, runtime)
    return with_projection(statistics, codes, labels, _directions(statistics))


def _directions(statistics: Statistics) -> Projection | None:
    """Found once for all situations of a draw: the factory is the same whatever the device is shown."""
    key = hashlib.sha256(statistics.to_bytes()).digest()
    if key not in _PROJECTIONS:
        _PROJECTIONS[key] = leading_directions(statistics)
    return _PROJECTIONS[key]


def near(seed: int, shots: int) -> Situation:
    """Four flowers from the factory, the fifth from ``shots`` photos."""
    return _one_more("flowers", 2, seed, shots)


def far(seed: int, shots: int) -> Situation:
    """Five flowers from the factory, three kinds of litter from ``shots`` photos each."""
    return _three_others("flowers", "trashnet", 1, seed, shots)


def scene(seed: int, shots: int) -> Situation:
    """Seven classes from paintings, then cartoons of the same classes with ``shots`` labelled photos each."""
    return _moved("art", "cartoon", 3, seed, shots)


def swapped_near(seed: int, shots: int) -> Situation:
    """Confirmation: five kinds of litter from the factory, the sixth from ``shots`` photos."""
    return _one_more("trashnet", 12, seed, shots)


def swapped_far(seed: int, shots: int) -> Situation:
    """Confirmation: six kinds of litter from the factory, three flowers from ``shots`` photos each."""
    return _three_others("trashnet", "flowers", 11, seed, shots)


def swapped_scene(seed: int, shots: int) -> Situation:
    """Confirmation: from cartoons to paintings."""
    return _moved("cartoon", "art", 13, seed, shots)


def _one_more(name: str, stream: int, seed: int, shots: int) -> Situation:
    """All classes but one from the factory, that one shown."""
    generator = np.random.default_rng([stream, seed])
    codes, labels = embeddings(name)
    train, test = halves(labels, 0.2, generator)
    names = np.unique(labels)
    new = names[seed % len(names)]
    factory = train & (labels != new)
    shown = pick(labels, train, [new], shots, generator)
    return Situation(
        codes[factory], labels[factory], codes[shown], labels[shown], codes[test], labels[test], labels[test] == new
    )


def _three_others(name: str, other_name: str, stream: int, seed: int, shots: int) -> Situation:
    """One set from the factory, three classes of another shown."""
    generator = np.random.default_rng([stream, seed])
    codes, labels = embeddings(name)
    other, kinds = embeddings(other_name)
    train, test = halves(labels, 0.2, generator)
    other_train, other_test = halves(kinds, 0.2, generator)
    chosen = sorted(generator.permutation(np.unique(kinds))[:3])
    shown = pick(kinds, other_train, chosen, shots, generator)
    return _joined(codes, labels, train, test, other, kinds, shown, other_test & np.isin(kinds, chosen))


def _moved(name: str, other_name: str, stream: int, seed: int, shots: int) -> Situation:
    """One scene from the factory, the same classes shown in another."""
    generator = np.random.default_rng([stream, seed])
    codes, labels = embeddings(name)
    other, kinds = embeddings(other_name)
    train, test = halves(labels, 0.2, generator)
    other_train, other_test = halves(kinds, 0.5, generator)
    shown = pick(kinds, other_train, np.unique(kinds), shots, generator)
    return _joined(codes, labels, train, test, other, kinds, shown, other_test)


def full(name: str, seed: int) -> Situation:
    """All data of one set, 20 % asked."""
    codes, labels = embeddings(name)
    train, test = halves(labels, 0.2, np.random.default_rng([4, seed]))
    none = np.zeros(0, np.intp)
    old = np.zeros(int(test.sum()), bool)
    return Situation(codes[train], labels[train], codes[none], labels[none], codes[test], labels[test], old)


def halves(
    labels: Names, share: float, generator: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Stratified split → masks of the larger and of the smaller part."""
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        test[rows[: round(len(rows) * share)]] = True
    return ~test, test


def pick(
    labels: Names, among: npt.NDArray[np.bool_], classes: Iterable[Any], count: int, generator: np.random.Generator
) -> npt.NDArray[np.intp]:
    """``count`` rows of each class."""
    rows = [generator.permutation(np.flatnonzero((labels == label) & among))[:count] for label in classes]
    return np.concatenate(rows) if rows else np.zeros(0, np.intp)


@contextmanager
def made_once() -> Iterator[None]:
    """What is kept in ``build/benchmarks`` is made by one process at a time: others wait, and then find it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def embeddings(name: str) -> tuple[Codes, Names]:
    """Codes (n, d) uint8 and labels of one set of photos; embedded once, then read from ``build/benchmarks``."""
    model = backbone()
    path = CACHE / f"{name}-{hashlib.sha256(model).hexdigest()[:12]}.npz"
    with made_once():
        if not path.exists():
            _embed(name, model, path)
    with np.load(path, allow_pickle=False) as found:
        transform = CodeTransform(int(found["zero_point"]), found["raw"].shape[1])
        return transform(found["raw"]), found["labels"]


@cache
def backbone() -> bytes:
    """The int8 backbone of all heads' benchmarks, converted once with flowers as representative photos."""
    path = CACHE / "backbone.tflite"
    with made_once():
        if not path.exists():
            from edgetl.backbones.backbone import BackboneSpec, build
            from edgetl.conversion.converter import representative_photos, to_int8
            from edgetl.data.datasets import balanced, find_photos
            from edgetl_device.errors import PhotoError
            from edgetl_device.inference.backbone import prepare_files

            spec = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / WEIGHTS)))
            dataset = find_photos(need(DATA / FOLDERS["flowers"]))
            files = dataset.take(balanced(dataset, 200, 0)).files()
            prepared = prepare_files(files, spec.preprocessing)
            photos = np.stack([photo for _, photo in prepared if not isinstance(photo, PhotoError)])
            model = to_int8(build(spec), representative_photos(photos, spec.preprocessing), spec.input_range)
            write_atomically(path, model)
    return path.read_bytes()


def _embed(name: str, model: bytes, path: Path) -> None:
    from edgetl.data.datasets import find_photos
    from edgetl.embedding.embed import embed_device
    from edgetl_device.inference.backbone import Backbone
    from edgetl_device.inference.interpreter import TFLiteInterpreter
    from edgetl_device.preprocess import Preprocessing

    interpreter = TFLiteInterpreter(model, threads=2)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    dataset = find_photos(_unpacked(name) if name in ARCHIVES else need(DATA / FOLDERS[name]))
    found = embed_device(Backbone(interpreter, Preprocessing(224, 224), transform, ""), dataset.files())
    labels = np.asarray([dataset.labels[row] for row in found.rows], np.str_)
    part = path.with_suffix(".part.npz")  # renamed once it is whole: who is stopped leaves nothing that is taken for it
    np.savez(part, raw=found.values, labels=labels, zero_point=transform.zero_point)
    part.replace(path)


def _unpacked(name: str) -> Path:
    """The folder of a set that lies within an archive, unpacked once."""
    archive, inside, first, step, most = ARCHIVES[name]
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tarfile.open(need(DATA / archive)) as stream, tempfile.TemporaryDirectory(dir=CACHE) as work:
            members = [each for each in stream if each.isfile() and each.name.startswith(f"{inside}/")]
            chosen = _some_of_each([each.name for each in members], first, step, most)
            stream.extractall(work, [each for each in members if each.name in chosen], filter="data")  # never backwards
            (Path(work) / inside).rename(folder)
    return folder


def _some_of_each(names: list[str], first: int, step: int, most: int) -> set[str]:
    """Files in folders of classes → up to ``most`` of each class that is chosen."""
    classes = sorted({name.split("/")[-2] for name in names})[first::step]
    return {name for kept in classes for name in sorted(each for each in names if each.split("/")[-2] == kept)[:most]}


def _joined(
    codes: Codes,
    labels: Names,
    train: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    other: Codes,
    kinds: Names,
    shown: npt.NDArray[np.intp],
    asked: npt.NDArray[np.bool_],
) -> Situation:
    is_new = np.concatenate([np.zeros(int(test.sum()), bool), np.ones(int(asked.sum()), bool)])
    tests, truth = np.concatenate([codes[test], other[asked]]), np.concatenate([labels[test], kinds[asked]])
    return Situation(codes[train], labels[train], other[shown], kinds[shown], tests, truth, is_new)
