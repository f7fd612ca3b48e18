"""A thousand devices push to one receiver: what does each step cost, and is the sum that of one machine?

    OPENBLAS_NUM_THREADS=1 python -m benchmarks fleet
    python -m benchmarks.fleet 1000

Every device is a store of its own that learned a hundred photos; exports go over HTTP on the loopback to ``edgetl
collect`` in a process of its own. CPU time is that of one core.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent, BundleParts
from edgetl_device.bundle.export_file import ExportFile
from edgetl_device.codes import CodeTransform, Int8
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.learning.learner import Learner
from edgetl_device.merging.exports import read_export, sources_in
from edgetl_device.merging.merge import merge
from edgetl_device.preprocess import Preprocessing
from edgetl_device.sending.delivery import Credentials, receiver
from edgetl_device.sending.outgoing import outgoing
from edgetl_device.sending.push import push
from edgetl_device.statistics import Statistics, statistics_of
from edgetl_device.store.store import Store

from .harness import Report, cpu_ms
from .situations import BACKBONE, CACHE, backbone, embeddings, factory_statistics

DEVICES, SAMPLES, MORE, FORGOTTEN = 1000, 100, 10, 2
SETS = ("trashnet", "flowers")
RUNTIME = "litert"
AT_ONCE = 8
REACH = "the same bytes; a hundred samples within 81 kB, a change within 20 kB; 3.8 ms to merge an export"


@dataclass(frozen=True)
class Photos:
    """Raw embeddings of real photos, and their labels."""

    raw: Int8
    labels: np.ndarray[Any, np.dtype[np.str_]]
    zero_point: int

    @classmethod
    def load(cls, name: str) -> Photos:
        """Embedded once, then kept."""
        embeddings(name)
        digest = hashlib.sha256(backbone()).hexdigest()[:12]
        with np.load(CACHE / f"{name}-{digest}.npz", allow_pickle=False) as found:
            return cls(found["raw"], found["labels"], int(found["zero_point"]))


@dataclass
class Device:
    """One simulated device: a store that learned photos, and what is left of them."""

    learner: Learner
    home: Path
    rows: list[int]

    def learn(self, photos: Photos, rows: Sequence[int]) -> None:
        """Photos by number, label by label."""
        for label in sorted({str(photos.labels[row]) for row in rows}):
            mine = [row for row in rows if photos.labels[row] == label]
            self.learner.add(label, photos.raw[mine])
            self.rows += mine

    def forget(self, photos: Photos, count: int) -> None:
        """The first samples that are left."""
        stored = self.learner.samples()[:count]
        for sample in stored:  # samples are stored in the order of the rows
            self.rows.pop(0)
            assert sample.label in photos.labels
        self.learner.forget([sample.id for sample in stored])


def make_bundle(path: Path, photos: Photos) -> BundleContent:
    """A bundle that knows half of the photos of one set."""
    transform = CodeTransform(photos.zero_point, photos.raw.shape[1])
    model = backbone()
    digest = hashlib.sha256(model).hexdigest()
    known, held = np.arange(0, len(photos.raw), 2), np.arange(1, len(photos.raw), 20)
    names = photos.labels[known].tolist()
    factory = factory_statistics(transform(photos.raw[known]), names, digest, RUNTIME)
    check = (np.zeros((2, 224, 224, 3), np.uint8), photos.raw[:2], ("", ""))  # no device installs it
    manifest: dict[str, Any] = {
        "name": "fleet",
        "created": "2026-01-01T00:00:00+00:00",
        "labels": list(factory.labels),
        "head": DEFAULT,
        "preprocessing": Preprocessing(224, 224).to_json(),
        "codes": transform.to_json(),
        "backbone": {"name": BACKBONE},
        "quantization": "int8",
        "training": {},
        "parity": {},
        "ops": {},
    }
    holdout = (photos.raw[held], tuple(photos.labels[held].tolist()))
    write_bundle(path, manifest, BundleParts(model, factory, holdout, frozenset(), check).members())
    return BundleContent(open_bundle(path))


@contextmanager
def collecting(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """``edgetl collect`` in a process of its own → its address, and the CPU seconds that it used so far."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "edgetl", "collect", str(folder), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)

        def used_s() -> float:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        yield f"http://127.0.0.1:{port}", used_s
    finally:
        process.terminate()
        process.wait()


def one_round(report: Report, name: str, devices: list[Device], url: str, used_s: Callable[[], float]) -> None:
    """Every device pushes once, some at a time; what that costs either side."""
    deliver, before_s, started, here_s = (
        receiver(url, Credentials()),
        used_s(),
        time.perf_counter(),
        time.process_time(),
    )
    made = [outgoing(device.learner) for device in devices]
    made_s = time.process_time() - here_s
    sending_s = time.perf_counter()

    def send(pair: tuple[Device, Any]) -> int:
        return push(pair[0].home, url, deliver, pair[1]).bytes

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sizes = list(pool.map(send, zip(devices, made, strict=True)))
    elapsed_s = time.perf_counter() - sending_s
    count = len(devices)
    report.add(
        step=name,
        bytes=round(float(np.mean(sizes))),
        device_ms=round(made_s / count * 1e3, 2),
        receiver_ms=round((used_s() - before_s) / count * 1e3, 2),
        merge_ms=None,
        a_second=round(count / elapsed_s),
        seconds=round(time.perf_counter() - started, 1),
    )


def main(count: int = DEVICES) -> None:
    """Measure and save."""
    report = Report("fleet", f"{count} devices of {SAMPLES} photos each, one receiver, d = 1280", reach=REACH)
    memory = Path("/dev/shm")  # of the devices, whose disks are not what is measured
    with (
        tempfile.TemporaryDirectory() as work,
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as homes,
    ):
        folder = Path(work)
        factory = make_bundle(folder / "base.edgetl", Photos.load(SETS[1]))
        devices = make_devices(Path(homes), factory, Photos.load(SETS[0]), count)
        with collecting(folder / "fleet") as (url, used_s):
            one_round(report, "first round, as codes", devices, url, used_s)
            check(report, folder, factory, devices, "merging codes")
            photos, generator = Photos.load(SETS[0]), np.random.default_rng(1)
            for device in devices:
                device.learn(photos, generator.integers(0, len(photos.raw), MORE).tolist())
                device.forget(photos, FORGOTTEN)
            one_round(report, f"a change: {MORE} learned, {FORGOTTEN} forgotten", devices, url, used_s)
            one_round(report, "nothing changed", devices, url, used_s)
            check(report, folder, factory, devices, "merging codes, with changes")
        unit_costs(report, folder, factory, devices)
    compression(report, devices)
    report.save()


def make_devices(folder: Path, factory: BundleContent, photos: Photos, count: int) -> list[Device]:
    """Each with a store of its own, and a random hundred of the photos."""
    generator, found = np.random.default_rng(0), []
    for number in range(count):
        home = folder / str(number)
        device = Device(Learner(factory, Store(home / "device.sqlite"), RUNTIME), home, [])
        device.learn(photos, generator.choice(len(photos.raw), SAMPLES, replace=False).tolist())
        found.append(device)
    return found


def check(report: Report, folder: Path, factory: BundleContent, devices: list[Device], name: str) -> None:
    """Merge the folder; the statistics must be those of one machine that saw all samples, and of plain exports."""
    outputs = [folder / place / "new.edgetl" for place in ("collected", "carried")]
    carried = folder / "files"
    shutil.rmtree(carried, ignore_errors=True)
    carried.mkdir()
    for device in devices:
        (carried / f"{device.learner.store.device}.stats").write_bytes(outgoing(device.learner).data)
    costs = []
    for output, source in zip(outputs, (folder / "fleet", carried), strict=True):
        output.unlink(missing_ok=True)
        started, wall = time.process_time(), time.perf_counter()
        merge(factory.bundle, sources_in([source]), output, accept=True)
        costs.append((time.process_time() - started, time.perf_counter() - wall))
    photos = Photos.load(SETS[0])
    rows = [row for device in devices for row in device.rows]
    codes, labels = factory.bundle.codes(photos.raw[rows]), photos.labels[rows].tolist()
    known = factory.statistics
    one = known + statistics_of(codes, labels, known.backbone, RUNTIME, known.projection)
    same = outputs[0].read_bytes() == outputs[1].read_bytes()
    exact = BundleContent(open_bundle(outputs[0])).statistics.to_bytes() == one.to_bytes()
    assert same and exact, "not the bytes of one machine"
    report.add(
        step=f"{name}: the same bytes as files and as one machine with {len(rows)} samples",
        merge_ms=round(costs[0][0] / len(devices) * 1e3, 2),
        seconds=round(costs[0][1], 1),
    )


def unit_costs(report: Report, folder: Path, factory: BundleContent, devices: list[Device]) -> None:
    """What a single export as statistics costs, and an addition."""
    path = folder / "statistics.stats"
    made = outgoing(devices[0].learner, codes=False)
    path.write_bytes(made.data)
    file = ExportFile.read(made.data)
    report.add(
        step="one export as statistics",
        bytes=len(made.data),
        device_ms=round(cpu_ms(lambda: outgoing(devices[0].learner, codes=False)), 1),
        receiver_ms=round(cpu_ms(lambda: file.whole().to_bytes()), 1),
        merge_ms=round(cpu_ms(lambda: read_export(path)), 1),
    )
    known = Statistics.from_bytes(factory.statistics.to_bytes())
    other = Statistics.from_bytes(made.export.statistics.to_bytes())

    def unfolded() -> Statistics:
        return replace(known, products=replace(known).gram) + replace(other, products=replace(other).gram)

    assert (known + other).to_bytes() == unfolded().to_bytes()
    report.add(step="an addition of triangles", merge_ms=round(cpu_ms(lambda: known + other), 2))
    report.add(step="an addition of unfolded matrices, as before", merge_ms=round(cpu_ms(unfolded), 2))


def compression(report: Report, devices: list[Device]) -> None:
    """A hundred codes, compressed in several ways."""
    content = outgoing(devices[0].learner).export.content
    data = content.to_bytes()

    def deflated(strategy: int) -> bytes:
        compressor = zlib.compressobj(strategy=strategy)
        return compressor.compress(data) + compressor.flush()

    ways: dict[str, Callable[[], bytes]] = {
        "Huffman coding alone (zlib), in use": lambda: deflated(zlib.Z_HUFFMAN_ONLY),
        "DEFLATE (zlib)": lambda: deflated(zlib.Z_DEFAULT_STRATEGY),
        "LZMA (xz)": lambda: lzma.compress(data),
    }
    if find_spec("zstandard"):  # no dependency: measured where it is
        zstandard = import_module("zstandard")
        ways["Zstandard, level 3"] = lambda: bytes(zstandard.ZstdCompressor(3).compress(data))
        ways["Zstandard, level 19"] = lambda: bytes(zstandard.ZstdCompressor(19).compress(data))
    for name, way in ways.items():
        size = len(way())
        report.add(step=f"{len(data)} bytes of samples under {name}", bytes=size, device_ms=round(cpu_ms(way), 1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES)
