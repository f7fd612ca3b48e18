"""The command line: `python -m research.distillation --help`."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from research.distillation.learning import Learner, Recipe, Standardiser
from research.distillation.memory import Lessons, Memory
from research.distillation.networks import Teacher, fold_batch_norm, mobilenet_v2, read_keras, read_lite, write_keras
from research.distillation.photos import read_archives, rendered_parts
from research.distillation.views import Views, whole
from research.pretraining.linear import fit_lda

DESCRIPTION = """Distil a MobileNetV2 (alpha 0.35, for 96 pixels) from teachers that know ImageNet, on small photos
without labels. Writes OUT/student-K.h5, weights for Keras, and OUT/student-K.json for the Kth --recipe."""
ALPHA, SIZE = 0.35, 96
JUDGED_PER_CLASS = 25
REPORTS = 24  # lines of the record


def main() -> None:
    """The command line."""
    options = _options()
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    run.learn()
    run.finish()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m research.distillation", description=DESCRIPTION)
    parser.add_argument("--photos", type=Path, action="append", required=True, help=".tar.gz archive; repeatable")
    parser.add_argument("--teacher", action="append", required=True, metavar="NAME=FILE@SIZE",
                        help="lite0 or lite2 (.pth), mobilenet (Keras .h5, alpha 1.0); at so many pixels")  # fmt: skip
    parser.add_argument("--start", type=Path, required=True, help="Keras .h5 of the student's network")
    parser.add_argument("--afresh", action="store_true", help="from random weights")
    parser.add_argument("--recipe", action="append", help='such as "logits=1,embedding=2"; one student each')
    parser.add_argument("--minutes", type=float, default=9.0, help="of learning")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--looks", type=int, default=1, help="steps for each batch that the teachers look at")
    parser.add_argument("--memory", type=int, default=500_000, help="views kept for further looks")
    parser.add_argument("--per-kind", type=int, default=700, help="photos of each rendered part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="pays in runs of many minutes")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


class Run:
    """Photos, teachers and learners of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, options.device
        self.began = time.monotonic()
        # Rendered first: processes are forked before the GPU and threads are in use.
        parts = rendered_parts(options.per_kind, 128)
        images, labels = read_archives(options.photos, "train")
        self.judged = _judged(images, labels, *read_archives(options.photos, "val"))
        self.photos, self.parts = self._on_device(images), self._on_device(parts)
        self.teachers, self.sizes = _read_teachers(options)
        recipes = [Recipe.parse(text) for text in options.recipe or [""]]
        self.learners = [Learner(recipe, self._student(), self.teachers, self.device) for recipe in recipes]
        self.views = Views()
        self.standardisers = self._standardise()
        self.look = {name: teacher.forward for name, teacher in self.teachers.items()}
        if options.compile:
            for learner in self.learners:
                learner.compile()
            self.look = {name: torch.compile(teacher) for name, teacher in self.teachers.items()}
        self.memory, self.turn = Memory(options.memory), 0
        self.history: list[dict[str, float]] = []
        self._say(f"{len(self.photos)} photos, {len(self.parts)} parts")

    def learn(self) -> None:
        """Steps until the time is over; the first, which compile, count as warm-up and not as time."""
        self._report(0.0, [], judged=True)
        for _ in range(3):
            self._step(0.0)
        start, limit, reported = time.monotonic(), 60 * self.options.minutes, 0
        while (progress := (time.monotonic() - start) / limit) < 1:
            losses = self._step(progress)
            if progress * REPORTS >= reported + 1 or self.learners[0].steps == 20:
                reported = int(progress * REPORTS)
                self._report(progress, losses, judged=reported > 0 and reported % 6 == 0)
            elif self.device == "cuda" and self.learners[0].steps % 4 == 0:
                torch.cuda.synchronize()  # the clock decides: the queue must not run ahead of it

    def finish(self) -> None:
        """Settles batch norm, judges, writes."""
        batches = [self._views(self.options.batch, Views(quads=0.2, mixed=0.0))[0] for _ in range(40)]
        for learner in self.learners:
            learner.settle(batches)
        self._report(1.0, [], judged=True)
        for number, learner in enumerate(self.learners):
            record = self._record(number, learner)
            (self.options.out / f"student-{number}.json").write_text(json.dumps(record, indent=1) + "\n")

    def _record(self, number: int, learner: Learner) -> dict[str, Any]:
        options = self.options
        files = [
            *options.photos,
            options.start,
            *(text.partition("=")[2].rpartition("@")[0] for text in options.teacher),
        ]
        return {
            "recipe": asdict(learner.recipe),
            "views": asdict(self.views),
            "teachers": {name: {"size": teacher.size} for name, teacher in self.teachers.items()},
            "sha256": {Path(file).name: sha256(Path(file).read_bytes()).hexdigest() for file in files},
            "afresh": options.afresh,
            "seed": options.seed,
            "minutes": options.minutes,
            "batch": options.batch,
            "looks": options.looks,
            "memory": options.memory,
            "rendered_per_kind": options.per_kind,
            "steps": learner.steps,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if self.device == "cuda" else self.device,
            "history": [row for row in self.history if row["student"] == number],
        }

    def _step(self, progress: float) -> list[dict[str, Tensor]]:
        again = self.turn % self.options.looks != 0 and self.memory.count >= 8 * self.options.batch
        self.turn += 1
        views, lessons = self.memory.draw(self.options.batch) if again else self._taught()
        if not again:
            self.memory.add(views, lessons)
        return [learner.step(views, lessons, progress) for learner in self.learners]

    @torch.no_grad()
    def _taught(self) -> tuple[Tensor, Lessons]:
        views, *seen = self._views(self.options.batch, self.views)
        with torch.autocast(self.device, torch.bfloat16):
            said = {name: self.look[name](seen[self.sizes.index(size)]) for name, size in self._looks()}
        lessons = {
            name: (self.standardisers[name](embedding.float()), None if logits is None else logits.float())
            for name, (embedding, logits) in said.items()
        }
        return views, lessons

    def _views(self, count: int, kind: Views) -> list[Tensor]:
        found = kind.draw(self.photos, self.parts, count, [SIZE, *self.sizes])
        return [views.contiguous(memory_format=torch.channels_last) for views in found]

    def _looks(self) -> list[tuple[str, int]]:
        return [(name, teacher.size) for name, teacher in self.teachers.items()]

    @torch.no_grad()
    def _standardise(self) -> dict[str, Standardiser]:
        found: dict[str, list[Tensor]] = {name: [] for name in self.teachers}
        for _ in range(8):
            _, *seen = self._views(min(512, self.options.batch), self.views)
            for name, size in self._looks():
                found[name].append(self.teachers[name](seen[self.sizes.index(size)])[0])
        return {name: Standardiser(torch.cat(parts)).to(self.device) for name, parts in found.items()}

    def _report(self, progress: float, losses: list[dict[str, Tensor]], judged: bool) -> None:
        for number, learner in enumerate(self.learners):
            row = {"student": number, "progress": round(progress, 3), "steps": learner.steps}
            if losses:
                row |= {name: round(float(loss), 4) for name, loss in losses[number].items()}
            if judged:
                row["held_out"] = round(self._judge(learner), 4)
                write_keras(learner.average, self.options.start, self.options.out / f"student-{number}.h5")
            self.history.append(row)
            self._say(json.dumps(row))

    @torch.no_grad()
    def _judge(self, learner: Learner) -> float:
        images, labels, train = self.judged
        photos = self._on_device(images)
        features = torch.cat([learner.average(whole(part, SIZE)) for part in photos.split(500)])
        roots = features.sqrt().cpu().numpy()
        weights, bias = fit_lda(roots[train], labels[train])
        return float(np.mean(np.argmax(roots[~train] @ weights + bias, axis=1) == labels[~train]))

    def _student(self) -> torch.nn.Module:
        return mobilenet_v2(ALPHA) if self.options.afresh else read_keras(self.options.start, ALPHA)

    def _on_device(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).contiguous()

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)


def _judged(
    images: np.ndarray, labels: np.ndarray, held_out: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photos that a probe is fitted on, some of every class, and held-out ones: arrays, labels, which are fitted."""
    known = np.concatenate([np.flatnonzero(labels == label)[:JUDGED_PER_CLASS] for label in np.unique(labels)])
    fitted = np.arange(len(known) + len(truth)) < len(known)
    return np.concatenate([images[known], held_out]), np.concatenate([labels[known], truth]), fitted


def _read_teachers(options: argparse.Namespace) -> tuple[dict[str, Teacher], list[int]]:
    teachers = {}
    for text in options.teacher:
        name, _, rest = text.partition("=")
        path, _, size = rest.rpartition("@")
        if name == "mobilenet":
            teacher = Teacher(read_keras(Path(path), 1.0), None, int(size))
        else:
            teacher = read_lite(name, Path(path), int(size))
        fold_batch_norm(teacher.backbone)
        teachers[name] = teacher.to(options.device, memory_format=torch.channels_last)
    return teachers, sorted({teacher.size for teacher in teachers.values()})


if __name__ == "__main__":
    main()
