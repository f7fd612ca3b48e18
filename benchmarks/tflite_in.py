"""Classifiers that are .tflite files already, as backbones of other classes than theirs: how right is the bundle?

Ten classes that the model was not made for, five kinds of flowers and five of litter, 40 photos of each to learn from
and 20 held out, drawn with two seeds. Beside the bundle: scikit-learn's LogisticRegression on the same embeddings.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from edgetl import convert
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.backbone import open_backbone, prepare_files

from .harness import DATA, Report, need

MODELS = (
    "mobilenet_v1_0.25_128_quant.tflite",
    "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
    "tf2_mobilenet_v2_1.0_224_ptq.tflite",
)
TRAINED, HELD_OUT, SEEDS = 40, 20, 2


def main() -> None:
    """Measure and save."""
    report = Report(
        "tflite_in",
        f"Coral's published models on ten classes that are not theirs: {TRAINED} photos each to learn from, {HELD_OUT} "
        f"held out, {SEEDS} draws",
        reach="0.9, as 45 and 50 of 50 photos once",
    )
    for name in MODELS:
        for seed in range(SEEDS):
            with tempfile.TemporaryDirectory() as folder:
                measure(report, name, seed, Path(folder))
                report.save()


def draw(folder: Path, seed: int) -> Path:
    """Links to photos: FOLDER/train and FOLDER/val, one folder a class."""
    random = np.random.default_rng(seed)
    kinds = [*sorted(need(DATA / "data/flowers").iterdir()), *sorted(need(DATA / "data/trashnet").iterdir())]
    for kind in (each for each in kinds if each.name != "trash"):
        files = random.permutation(np.array(sorted(kind.iterdir()), object))[: TRAINED + HELD_OUT]
        for split, part in (("train", files[:TRAINED]), ("val", files[TRAINED:])):
            (folder / split / kind.name).mkdir(parents=True)
            for file in part:
                (folder / split / kind.name / file.name).symlink_to(file)
    return folder


def measure(report: Report, name: str, seed: int, work: Path) -> None:
    """One row."""
    photos = draw(work / "photos", seed)
    done = convert(need(DATA / "models/coral" / name), work / "m.edgetl", photos=photos, max_drop=1.0)
    backbone = open_backbone(open_bundle(work / "m.edgetl"))
    codes, labels = {}, {}
    for split in ("train", "val"):
        files = sorted((photos / split).glob("*/*"))
        prepared = [photo for _, photo in prepare_files(files, backbone.preprocessing)]
        raw = np.stack([backbone.embed_photo(photo) for photo in prepared if isinstance(photo, np.ndarray)])
        codes[split], labels[split] = backbone.codes(raw).astype(np.float32), [file.parent.name for file in files]
    peer = LogisticRegression(max_iter=2000, C=1e-4).fit(codes["train"], labels["train"])
    right = round(done.parity.converted_accuracy * done.parity.samples)
    report.add(
        model=name.removesuffix(".tflite"), seed=seed, right=right, of=done.parity.samples,
        accuracy=done.parity.converted_accuracy,
        logistic_regression=float(peer.score(codes["val"], labels["val"])),
    )  # fmt: skip


if __name__ == "__main__":
    main()
