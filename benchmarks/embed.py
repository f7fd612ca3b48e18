"""``edgetl embed``: how much of what the cores can do, Ray against that, and how much memory for how many photos?

    python -m benchmarks.embed [PHOTOS] [RUNS] [MOST]

The ideal is that of :mod:`benchmarks.embedding`: a bare interpreter and the decoding in a process for each core,
measured in turn. Photos of 64 px, the starter bundle at 96 px. How long Ray takes to start is told apart (``start_s``),
and so is its first run (``first_s``), in which its workers start. They start anew in each run, so Ray's rate is that of
the photos which three times as many photos are more; ``whole_ratio`` has the start of the workers in it.

Memory is the most that the command had, in a process of its own, and the most that the largest of its children had;
photos are of a list that repeats. Then ``train`` on these embeddings.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from edgetl.embedding.engines import LocalEngine
from edgetl.embedding.scale import embed_photos
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.thread_count import cores
from edgetl_device.starter import PATH as STARTER

from .embedding import ideal, photos, seconds
from .harness import Report, compile_packages

REACH = "local 0.85 of the ideal, Ray 0.80 of local, memory flat"
_TIMES = 3
_WEIGH = (
    "import resource, sys; from pathlib import Path\n"
    "from edgetl.cli import program; from edgetl_device import console\n"
    "code = console.run(program, 'edgetl', sys.argv[1:])\n"
    "own = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]\n"  # of this program, not its parent
    "print(code, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def main(count: int, runs: int, most: int) -> None:
    """Measure and save."""
    compile_packages()
    report = Report("embed", f"Photos a second on {cores()} cores, and memory", reach=REACH)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = photos(folder / "photos", count)
        best = stack.enter_context(ideal(files, open_bundle(STARTER).members["backbone.tflite"]))
        local = _run(folder, LocalEngine(), folder / "photos")
        local()
        pairs = [(seconds(best), seconds(local)) for _ in range(runs)]
        per_s = count / statistics.median(took for _, (took, _) in pairs)
        ratio = statistics.median(ours / took for (ours, _), (took, _) in pairs)
        work = statistics.median(ours / took for (_, ours), (_, took) in pairs)
        report.add(what="local, against the ideal", photos=count, per_s=round(per_s), ratio=round(ratio, 3),
                   work_ratio=round(work, 3), whole_ratio=None, start_s=None, first_s=None, embed_mb=None,
                   worker_mb=None, train_mb=None)  # fmt: skip
        if find_spec("ray") is not None:
            _ray(report, folder, files, runs)
        size = count // 2
        while size <= most:
            _memory(report, folder, files, size)
            size *= 10
    report.save()


def _run(folder: Path, engine: LocalEngine, photos: Path) -> Callable[[], object]:
    def run() -> object:
        shutil.rmtree(folder / "emb", ignore_errors=True)
        return embed_photos(str(photos), folder / "emb", STARTER, engine, part_photos=1000)

    return run


def _ray(report: Report, folder: Path, files: list[Path], runs: int) -> None:
    """Beyond the start of each: what three times as many photos take more."""
    from edgetl.embedding.ray_engine import RayEngine, connected

    os.environ["RAY_AUTH_MODE"] = "disabled"
    count = len(files)
    sizes = (count, _TIMES * count)
    lists = [_list(folder / "photos", files, size) for size in sizes]
    started = time.perf_counter()
    with connected(""):
        start_s = time.perf_counter() - started
        engines = (LocalEngine(), RayEngine())
        runs_of = [[_run(folder, engine, photos) for photos in lists] for engine in engines]  # type: ignore[arg-type]
        first, _ = seconds(runs_of[1][0])
        pairs = [[[seconds(run)[0] for run in both] for both in runs_of] for _ in range(runs)]
    more = sizes[1] - sizes[0]
    ours, theirs = ([both[at][1] - both[at][0] for both in pairs] for at in (0, 1))
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    whole = statistics.median(both[0][1] / both[1][1] for both in pairs)
    report.add(what="ray, against local", photos=more, per_s=round(more / statistics.median(theirs)),
               ratio=round(ratio, 3), whole_ratio=round(whole, 3), start_s=round(start_s, 1),
               first_s=round(first, 1))  # fmt: skip


def _list(root: Path, files: list[Path], size: int) -> Path:
    """A list of as many photos as asked for, over and over."""
    names = [f"{path.relative_to(root).as_posix()},{path.parent.name}\n" for path in files]
    path = root / f"{size}.csv"
    with path.open("w") as listed:
        listed.write("path,label\n")
        for number in range(size):
            listed.write(names[number % len(names)])
    return path


def _memory(report: Report, folder: Path, files: list[Path], size: int) -> None:
    photos = _list(folder / "photos", files, size)
    shutil.rmtree(folder / "emb", ignore_errors=True)
    started = time.perf_counter()
    own, child = _weighed("embed", photos, "-o", folder / "emb")
    took = time.perf_counter() - started
    shutil.rmtree(folder / "run", ignore_errors=True)
    train, _ = _weighed("train", "--embeddings", folder / "emb", "-o", folder / "run")
    photos.unlink()
    report.add(what="memory", photos=size, per_s=round(size / took), embed_mb=own, worker_mb=child, train_mb=train)


def _weighed(*words: object) -> tuple[int, int]:
    """MB of a command, and of the largest of its children, at most."""
    done = subprocess.run([sys.executable, "-c", _WEIGH, *map(str, words)], capture_output=True, text=True, check=True)
    code, own, child = map(int, done.stdout.split()[-3:])
    if code:
        raise SystemExit(done.stderr)
    return own >> 10, child >> 10


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments + [12_000, 3, 600_000][len(arguments) :]))
