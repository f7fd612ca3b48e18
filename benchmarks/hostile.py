"""Hostile files, bodies and frames, given to the commands and the page: what gets through, and what does it cost?

Each command runs in a forked child of a process that has imported its program. Time and memory are those of the child
and all that it started; memory is that of the largest of these processes. An input gets through if what is planted in
it ran, if it changed what is installed, or if it was accepted although it is wrong. Damage at random may be read, where
it spares what matters.

``python -m benchmarks.hostile KIND…`` measures the kinds named, and replaces their rows; several can run side by side.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edgetl_device.home import Home
from edgetl_device.store.store import Store

from . import hostile_inputs
from .forked import ForkServer, Outcome
from .harness import RESULTS, Report, compile_packages
from .hostile_inputs import MARKER, Input

MOST_MB, MOST_S = 512, 10
KINDS = (
    "photos", "bundles", "backups", "statistics", ".tflite files", "CSV lists", "model files", "SavedModels", "RUNs",
    "requests and frames",
)  # fmt: skip
_WITH_TENSORFLOW = ("model files", "SavedModels", "RUNs", "CSV lists")


def main(kinds: list[str]) -> None:
    """Measure all kinds, or some again; save."""
    compile_packages()
    question = "Hostile files, requests and frames, each given to the command or the page that takes it"
    reach = f"none gets through or crashes; at most {MOST_MB} MB (beyond TensorFlow's own) and {MOST_S} s of processor"
    report = Report("hostile", question, reach=reach)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)  # where planted code would leave its mark
        world = World(folder)
        for kind, inputs in world.inputs():
            if not kinds or kind in kinds:
                measure(report, kind, inputs, world)
        if not kinds or "requests and frames" in kinds:
            page(report, world)
    save(report)


def save(report: Report) -> None:
    """Save the rows, with those of kinds that were not measured now as they were."""
    path = RESULTS / "hostile.json"
    with (Path(tempfile.gettempdir()) / "edgetl-benchmarks-hostile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = {row["kind"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}
        rows |= {row["kind"]: row for row in report.rows}
        report.rows = [rows[kind] for kind in KINDS if kind in rows]
        report.save()


class World:
    """A home, a bundle and photos that are sound, and the inputs around them."""

    def __init__(self, folder: Path) -> None:
        conftest = hostile_inputs.support("conftest")
        self.folder = folder
        self.bundle = folder / "toys.edgetl"
        conftest.build_bundle(self.bundle)
        self.home = folder / "home"
        Home(self.home).install(self.bundle)
        self.photos = conftest.write_photos(folder / "photos", ("ball", "box"), 12)
        device = [sys.executable, "-m", "edgetl_device", "--home", str(self.home)]
        taught = conftest.write_photos(folder / "taught", ("kite",), 6)
        subprocess.run([*device, "learn", "kite", str(taught / "kite")], check=True, capture_output=True)
        subprocess.run([*device, "export-stats", str(folder / "good.edgestats")], check=True, capture_output=True)
        hostile_inputs.support("hostile_backups").good_backup(folder)
        models = hostile_inputs.support("hostile_models")
        models.write_keras(folder / "whole.keras", models.model())
        self.tools = folder / "tools"  # without Bubblewrap, which hides from its parent what readers took
        self.tools.mkdir()
        if unshare := shutil.which("unshare"):
            (self.tools / "unshare").symlink_to(unshare)

    def inputs(self) -> Iterator[tuple[str, Iterator[Input]]]:
        """Kind and inputs, made as they are asked for."""
        folder, made = self.folder, hostile_inputs
        yield "photos", made.photos(folder, self.home)
        yield "bundles", made.bundles(folder, self.bundle, self.home)
        yield "backups", made.backups(folder, folder / "good.sqlite", self.home)
        yield "statistics", made.exports(folder, self.bundle, folder / "good.edgestats")
        yield ".tflite files", made.tflite_files(folder)
        yield "CSV lists", made.lists(folder)
        yield "model files", made.keras_files(folder, self.photos)
        yield "SavedModels", made.saved_models(folder, self.photos)
        yield "RUNs", made.runs(folder, self.photos)

    def state(self) -> tuple[str, dict[str, int]]:
        """What is installed, and what is stored."""
        home = Home(self.home)
        with closing(Store(home.folder / "device.sqlite")) as store:
            return hashlib.sha256(home.bundle_path.read_bytes()).hexdigest(), store.counts(
                home.bundle().backbone_digest
            )

    def bare(self, kind: str) -> tuple[str, ...]:
        """The command on something that is sound, or not there, as the measure of what it takes anyhow."""
        photo = next((self.photos / "ball").iterdir())
        home = ("--home", str(self.home))
        given = ("--photos", str(self.photos), "--scale", "0,1")
        return {
            "photos": (*home, "classify", str(photo)),
            "bundles": (*home, "install", str(self.bundle)),
            "backups": (*home, "restore", str(self.folder / "good.sqlite")),
            "statistics": ("merge", str(self.bundle), "good.edgestats", "-o", "honest.edgetl", "--force"),
            ".tflite files": ("preflight", str(hostile_inputs.TESTS / "support" / "tiny_backbone.tflite")),
            "CSV lists": ("train", str(self.photos), "-o", "bare-run", "--weights", "none"),
            "RUNs": ("convert", "run", "-o", "honest.edgetl", "--force"),
        }.get(kind, ("convert", "whole.keras", *given, "-o", "honest.edgetl", "--max-drop", "1", "--force"))


def measure(report: Report, kind: str, inputs: Iterator[Input], world: World) -> None:
    """One row for all inputs of a kind."""
    results: list[tuple[Input, Outcome, str]] = []
    bare: Outcome | None = None
    programs: dict[str, ForkServer] = {}
    with tempfile.TemporaryDirectory() as logs:
        try:
            for each in inputs:
                if each.program not in programs:
                    programs[each.program] = ForkServer(each.program, Path(logs))
                    bare = programs[each.program](world.bare(kind))
                    if bare.code not in (0, 1):
                        raise SystemExit(f"the honest {kind} fails: {bare.output}")
                before = world.state() if each.program == "edgetl_device" else None
                outcome = programs[each.program](each.arguments, PATH=str(world.tools))
                results.append((each, outcome, fault(each, outcome, before, world)))
                taken = f"{outcome.wall_s:.2f} s, {outcome.cpu_s:.2f} s of processor, {outcome.mb:.0f} MB"
                said = f"{outcome.code} {results[-1][2]} {outcome.output[-200:]!r}"
                print(f"{kind}: {each.name}: {taken}: {said}", flush=True)
        finally:
            for server in programs.values():
                server.close()
    assert bare is not None
    summary(report, kind, results, bare)


def fault(each: Input, outcome: Outcome, before: object, world: World) -> str:
    """What is wrong with an outcome; empty where all is well."""
    if MARKER.exists():
        MARKER.unlink()
        return "what was planted ran"
    if outcome.crashed:
        return "crashed"
    if outcome.code == 0 and not each.harmless:
        return "accepted"
    if before is not None and outcome.code != 0 and world.state() != before:
        return "changed what is there"
    if outcome.code == 2 and not re.search(r"^error: .{1,700}$", outcome.output, re.MULTILINE):
        return "refused without a reason"
    return ""


def summary(report: Report, kind: str, results: list[tuple[Input, Outcome, str]], bare: Outcome) -> None:
    """Add the row."""
    faults = [(each.name, wrong) for each, _, wrong in results if wrong]
    outcomes = [outcome for _, outcome, _ in results]
    largest = max(outcomes, key=lambda outcome: outcome.mb)
    beyond = [max(0.0, outcome.mb - bare.mb) for outcome in outcomes]
    judged = beyond if kind in _WITH_TENSORFLOW else [outcome.mb for outcome in outcomes]
    report.add(
        kind=kind,
        n=len(results),
        refused=sum(outcome.code != 0 for outcome in outcomes),
        got_through=sum(wrong not in ("", "crashed", "refused without a reason") for _, wrong in faults),
        crashed=sum(wrong == "crashed" for _, wrong in faults),
        slowest_s=max(outcome.wall_s for outcome in outcomes),
        slowest_cpu_s=max(outcome.cpu_s for outcome in outcomes),
        largest_mb=largest.mb,
        honest_mb=bare.mb,
        beyond_mb=max(beyond),
        over=sum(mb > MOST_MB or outcome.cpu_s > MOST_S for mb, outcome in zip(judged, outcomes, strict=True)),
        faults="; ".join(f"{name}: {wrong}" for name, wrong in faults[:5]) or "none",
    )


# the page -------------------------------------------------------------------------------------------------------------


@contextmanager
def serving(world: World) -> Iterator[tuple[int, int]]:
    """`edgetl-device run` → its process id, and the port of its page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "edgetl_device", "--home", str(world.home), "run", "--camera", "parts"]
    with Path("page.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--web", f"127.0.0.1:{port}", "--jsonl"], stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        while ask(port, f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())[:12] != b"HTTP/1.1 200":
            time.sleep(0.2)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, request: bytes) -> bytes:
    """What comes back until nothing more does."""
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as channel:
            channel.sendall(request)
            channel.settimeout(1.0)
            while (data := channel.recv(65536)) and len(received) < 1 << 20:
                received += data
                channel.settimeout(0.1)
    except (ConnectionError, TimeoutError):
        pass
    return received


def page(report: Report, world: World) -> None:
    """A row for requests, bodies and frames; time and memory are those of the app."""
    corpus = hostile_inputs.support("hostile_requests").CORPUS
    before, faults, slowest, seconds = world.state(), [], 0.0, 0.0
    with serving(world) as (process, port):
        status = Path(f"/proc/{process}/status")

        def memory(key: str) -> float:
            return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(key)) / 1024

        def cpu_s() -> float:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        bare_mb = memory("VmRSS")
        Path(f"/proc/{process}/clear_refs").write_text("5")
        for name, request in corpus.items():
            began_s, used_s = time.perf_counter(), cpu_s()
            received = ask(port, request.replace(b"HOST", f"127.0.0.1:{port}".encode()))
            seconds, slowest = max(seconds, cpu_s() - used_s), max(slowest, time.perf_counter() - began_s)
            codes = {int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", received)}
            if {code for code in codes if code >= 500} - {503} or b"Traceback" in received:
                faults.append(f"{name}: {received[:80]!r}")
        largest = memory("VmHWM")
        alive = status.exists()
    crashed = "Traceback" in Path("page.log").read_text(errors="replace") or not alive
    report.add(
        kind="requests and frames",
        n=len(corpus),
        refused="-",
        got_through=len(faults) + (world.state() != before),
        crashed=int(crashed),
        slowest_s=slowest,
        slowest_cpu_s=seconds,
        largest_mb=largest,
        honest_mb=bare_mb,
        beyond_mb=largest - bare_mb,
        over=int(largest > MOST_MB or seconds > MOST_S),
        faults="; ".join(faults[:5]) or "none",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
