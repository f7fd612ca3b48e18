"""What a stranger could send, of every kind, each with the command that it is given to.

The generators are those of the tests (``tests/support``).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "support")]
MARKER = Path("marker")  # what planted code would make, where the command runs
DAMAGED = 40  # files of each kind with random bytes changed


@dataclass(frozen=True)
class Input:
    """A hostile input.

    Args:
        kind: of the row in the results.
        name: for a person.
        program: ``edgetl`` or ``edgetl_device``.
        arguments: of the command.
        harmless: whether it may be read: what is damaged at random may still be whole where it matters.
        environment: of the command.
    """

    kind: str
    name: str
    program: str
    arguments: tuple[Any, ...]
    harmless: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def support(name: str) -> Any:
    """A module of the tests, which lie outside of what is checked for types."""
    return importlib.import_module(name)


def damaged(data: bytes, seed: int, within: int | None = None) -> bytes:
    """Some bytes changed, or the end cut off; as soon as ``within`` the first bytes."""
    generator = np.random.default_rng(seed)
    changed = bytearray(data[: int(generator.integers(8, len(data)))] if seed % 4 == 0 else data)
    end = min(within or len(changed), len(changed))
    for place in generator.integers(0, end, int(generator.integers(1, 8))):
        changed[place] ^= int(generator.integers(1, 256))
    return bytes(changed)


def files(folder: Path, contents: dict[str, bytes], suffix: str) -> Iterator[tuple[str, Path]]:
    """Write each under a plain name → what it is, and the file."""
    folder.mkdir(parents=True)
    for number, (name, data) in enumerate(contents.items()):
        path = folder / f"{number:03}{suffix}"
        path.write_bytes(data)
        yield name, path


def keras_files(folder: Path, photos: Path) -> Iterator[Input]:
    """Planted code, JSON spelled in odd ways, costly architectures, odd archives, damage."""
    hostile = support("hostile_models")

    made = folder / "keras"
    made.mkdir()
    marker = MARKER.absolute()
    configurations = {name: hostile.model(layer) for name, layer in hostile.planted_layers(marker)}
    configurations |= {
        f"{name}, Keras 2": hostile.model(layer, major=2) for name, layer in hostile.planted_layers(marker)
    }
    texts: dict[str, Any] = dict(configurations)
    texts |= {name: configuration for name, _, configuration in hostile.costly_models()}
    for name in ("lambda", "activation os.system"):
        texts |= {f"{name}, {how}": text for how, text in hostile.texts(configurations[name])}
    texts |= {"no JSON": "{", "deep": "[" * 100_000, "a list": [], "nothing": "", "a number": "9" * 100_000}
    out = ("--photos", photos, "-o", folder / "out.edgetl", "--scale", "0,1")
    for number, (name, text) in enumerate(texts.items()):
        version = "2.15.0" if "Keras 2" in name else "3.15.1"
        written = [hostile.write_keras(made / f"{number}.keras", text, version)]
        written.append(hostile.write_hdf5(made / f"{number}.h5", text, version))
        for path in written:
            yield Input(f"model files ({path.suffix})", name, "edgetl", ("convert", path, *out))
    whole = hostile.write_keras(made / "whole.keras", hostile.model())
    for name, packing in {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA, "a bomb": zipfile.ZIP_DEFLATED}.items():
        path = made / f"{name}.keras"
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", packing) as target:
            for member in source.namelist():
                target.writestr(member, bytes(300 << 20) if "weights" in member else source.read(member))
        yield Input("model files (.keras)", name, "edgetl", ("convert", path, *out))
    data = whole.read_bytes()
    for name, path in files(made / "damaged", {f"damage {n}": damaged(data, n) for n in range(DAMAGED // 2)}, ".keras"):
        yield Input("model files (.keras)", name, "edgetl", ("convert", path, *out), harmless=True)


def saved_models(folder: Path, photos: Path) -> Iterator[Input]:
    """Operations that reach out, initializers, functions without end, damage; made in a process of their own."""
    made = folder / "saved"
    script = TESTS / "support" / "hostile_saved_models.py"
    subprocess.run([sys.executable, str(script), str(made), str(MARKER.absolute())], check=True)
    MARKER.unlink(missing_ok=True)  # building some of them ran what is planted in them
    for path in sorted(made.iterdir()):
        arguments = ("convert", path, "--photos", photos, "-o", folder / "out.edgetl", "--scale", "0,1")
        yield Input("SavedModels", path.name, "edgetl", arguments, harmless="damage" in path.name)


def runs(folder: Path, photos: Path) -> Iterator[Input]:
    """A RUN with one thing wrong in each."""
    hostile = support("hostile_runs")

    from edgetl_device.arrays import unpack

    good = folder / "run"
    command = ["edgetl", "train", str(photos), "-o", str(good), "--weights", "builtin"]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)

    def changed(number: int, change: Callable[..., object]) -> Path:
        path = folder / "runs" / str(number)
        shutil.copytree(good, path)
        change(folder=path)
        return path

    value = json.loads((good / "run.json").read_text())
    weights = next(path for path in good.iterdir() if path.suffix == ".npz")
    embeddings = next(path for path in good.iterdir() if path.suffix == ".npy")
    arrays = unpack(weights.read_bytes())
    changes: dict[str, Callable[..., object]] = {}
    for name, spoil in list(hostile.WEIGHTS.items())[::2]:  # each loads TensorFlow; the tests have all of them
        if "Lambda" not in name:  # Keras would be loaded here to make it
            changes[f"weights: {name}"] = partial(_spoiled, weights.name, spoil, arrays)
    for name, spoil in list(hostile.EMBEDDINGS.items())[::3]:
        changes[f"embeddings: {name}"] = partial(_spoiled, embeddings.name, spoil)
    for name, describe in hostile.DESCRIPTIONS.items():
        if not name.startswith(("samples", "per_class")) and name != "all held out":  # they name a photo of the test
            text = json.dumps(describe(json.loads(json.dumps(value)))).encode()
            changes[name] = partial(_spoiled, "run.json", Path.write_bytes, text)
    for name, make in hostile.TEXTS.items():
        changes[name] = partial(_spoiled, "run.json", Path.write_bytes, make())
    for number, (name, change) in enumerate(changes.items()):
        arguments = ("convert", changed(number, change), "-o", folder / "out.edgetl")
        yield Input("RUNs", name, "edgetl", arguments)
        shutil.rmtree(folder / "runs" / str(number))


def _spoiled(member: str, spoil: Callable[..., object], *arguments: object, folder: Path) -> object:
    return spoil(folder / member, *arguments)


def tflite_files(folder: Path) -> Iterator[Input]:
    """Damage, and files that crash, hold up or fill whoever runs them; preflight only reads."""
    hostile = support("hostile_backbones")

    sound = hostile.SOUND.read_bytes()
    contents = {f"damage {n}": damaged(sound, n) for n in range(DAMAGED)}
    contents |= {f"damaged tables {n}": sound[:-6000] + damaged(sound[-6000:], 4 * n + 1) for n in range(DAMAGED)}
    contents |= {
        "endless": hostile.endless(),
        "greedy": hostile.greedy(),
        "crowded": hostile.crowded(20_000),
        "zeros": bytes(20_000),
    }
    for name, path in files(folder / "tflite", contents, ".tflite"):
        yield Input(".tflite files", name, "edgetl", ("preflight", path), harmless=name != "crowded")


def bundles(folder: Path, bundle: Path, home: Path) -> Iterator[Input]:
    """Archives that lie, damage, and backbones that crash, never end, or fill the memory."""
    hostile = support("hostile_bundles")
    backbones = support("hostile_backbones")

    data = bundle.read_bytes()
    contents = {name: attack(data) for name, attack in hostile.ATTACKS.items()}
    contents |= {f"damage {n}": damaged(data, n) for n in range(DAMAGED)}
    members = hostile.members_of(data)
    for n in range(DAMAGED // 2):  # under checksums that are right
        member = sorted(members)[n % len(members)]
        contents[f"damaged {member} {n}"] = hostile.with_member(data, member, damaged(members[member], n))
    listed = list(files(folder / "bundles", contents, ".edgetl"))
    for name, make in backbones.BACKBONES.items():
        path = folder / "bundles" / f"{name}.edgetl"
        listed.append((f"a {name} backbone", backbones.bundle_with(path, bundle, make())))
    sound = backbones_damaged(members["backbone.tflite"])
    for name, backbone in sound.items():
        path = folder / "bundles" / f"{hashlib.sha256(backbone).hexdigest()[:16]}.edgetl"
        listed.append((name, backbones.bundle_with(path, bundle, backbone)))
    for name, path in listed:
        harmless = name.startswith(("damaged backbone", "damaged labels"))
        yield Input("bundles", name, "edgetl_device", ("--home", home, "install", path), harmless)


def backbones_damaged(sound: bytes) -> dict[str, bytes]:
    """Backbones with some bytes changed, which the runtime itself may take badly."""
    return {f"damaged backbone, {n}": sound[:8000] + damaged(sound[8000:], 4 * n + 1) for n in range(DAMAGED)}


def exports(folder: Path, bundle: Path, export: Path) -> Iterator[Input]:
    """What a device sent: damaged, of other names, types and sizes, with sums that no samples have, in both formats."""
    from edgetl_device.arrays import pack, text_array, unpack
    from edgetl_device.bundle.export import Export

    hostile = support("hostile_runs")
    sent = Export.from_bytes(export.read_bytes())
    data = support("export_format_1").first_format(Export(sent.device, "2026-01-01", sent.statistics, sent.sequence))
    arrays = unpack(data)
    inner = unpack(arrays["statistics"].tobytes())
    contents = {f"damage {n}": damaged(data, n) for n in range(DAMAGED)} | _exports_of_format_2(sent, export)
    texts = ["", "../../x", "a\nb", "\x1b[2J", "x" * 100_000, "\u202e"]
    changes = {f"{name} is {text[:9]!a}": {name: text_array((text,))} for name in ("device", "time") for text in texts}
    changes |= {f"sequence {n}": {"sequence": np.array(n)} for n in (-1, -(2**63), 1.5)}
    for name, array in inner.items():
        if array.dtype.kind not in "iuf" or not array.size or name == "runtimes":  # nothing is made of these
            continue
        others = {"negative": -array.astype(np.int64), "of floats": array * 0.5, "empty": np.atleast_1d(array)[..., :0]}
        others |= {"huge": np.full_like(array, np.iinfo(array.dtype).max if array.dtype.kind in "iu" else np.inf)}
        for how, other in others.items():
            statistics = np.frombuffer(pack({**inner, name: np.ascontiguousarray(other)}), np.uint8)
            changes[f"{name} {how}"] = {"statistics": statistics}
    contents |= {name: pack({**arrays, **change}) for name, change in changes.items()}
    members = {name: hostile.zeros((4000, 4000)) for name in arrays}
    contents["a bomb"] = hostile.archive({f"{name}.npy": body for name, body in members.items()}, zipfile.ZIP_DEFLATED)
    contents["pickles"] = hostile.archive({f"{name}.npy": hostile.pickled(hostile.Canary()) for name in arrays})
    for name, path in files(folder / "exports", contents, ".edgestats"):
        arguments = ("merge", bundle, path, "-o", folder / "merged.edgetl", "--force")
        # Moments along another projection are left out of a sum, and those of other samples may have any sign.
        harmless = name.startswith(("damage", "projection huge", "offset negative", "projected_sums negative"))
        yield Input("statistics", name, "edgetl", arguments, harmless)


def _exports_of_format_2(sent: Any, export: Path) -> dict[str, bytes]:
    """Damaged, and with headers and samples that no device sends, under hashes that are right."""
    from edgetl_device.arrays import pack, text_array
    from edgetl_device.bundle.export import Export
    from edgetl_device.bundle.export_file import MAGIC

    header = json.loads(sent.header.to_bytes())
    arrays = sent.content.to_arrays()

    def made(changes: dict[str, Any], others: dict[str, Any]) -> bytes:
        content = pack({**arrays, **others})
        payload = zlib.compress(content)
        hashes = {"content": hashlib.sha256(content).hexdigest(), "payload": hashlib.sha256(payload).hexdigest()}
        text = json.dumps({**header, **hashes, "size": len(content), **changes}).encode()
        return MAGIC + len(text).to_bytes(4, "little") + text + payload

    assert Export.from_bytes(made({}, {})).samples == sent.samples, "only what is changed is wrong"
    data = export.read_bytes()
    found = {f"damage of format 2, {n}": damaged(data, n) for n in range(DAMAGED)}
    values: tuple[Any, ...] = ("", "../../x", "a\nb", "\x1b[2J", "x" * 10_000, None, -1, 1 << 70, 1.5, [], {}, True)
    for key in header:
        strange = [value for value in values if value != header[key] and (key, value) != ("facts", {})]
        found |= {f"format 2: {key} is {str(value)[:9]!a}": made({key: value}, {}) for value in strange}
    for name, array in arrays.items():
        others = {"empty": array[..., :0], "of floats": array * 0.5, "twice": np.concatenate([array, array])}
        found |= {f"format 2: {name} {how}": made({}, {name: other}) for how, other in others.items()}
    texts = ("../../x\n", "a" * 100_000, "\u202e\n")
    found |= {f"format 2: labels {text[:9]!a}": made({}, {"labels": text_array((text,))}) for text in texts}
    bomb = zlib.compress(bytes(1 << 28))
    for size in (1, 1 << 20, 1 << 28, 1 << 40):
        text = json.dumps(header | {"payload": hashlib.sha256(bomb).hexdigest(), "size": size}).encode()
        found[f"format 2: a bomb that claims {size}"] = MAGIC + len(text).to_bytes(4, "little") + text + bomb
    return found


def backups(folder: Path, good: Path, home: Path) -> Iterator[Input]:
    """Foreign tables, triggers and values under checksums that are right, damage, and files that are no backup."""
    import apsw

    hostile = support("hostile_backups")

    (folder / "backups").mkdir()
    for number, (name, statement) in enumerate(hostile.STATEMENTS.items()):
        path = folder / "backups" / f"{number}.sqlite"
        shutil.copy(good, path)
        database = apsw.Connection(str(path))
        database.execute(statement)
        database.close()
        if name not in ("a table that is a view", "a table that is missing", "a text that is not UTF-8"):
            hostile.sealed(path)
        yield Input("backups", name, "edgetl_device", ("--home", home, "restore", path))
    for number, (name, make) in enumerate(hostile.FILES.items()):
        path = folder / "backups" / f"f{number}.sqlite"
        make(path)
        yield Input("backups", name, "edgetl_device", ("--home", home, "restore", path))
    data = good.read_bytes()
    for name, path in files(folder / "damaged", {f"damage {n}": damaged(data, n) for n in range(DAMAGED)}, ".sqlite"):
        yield Input("backups", name, "edgetl_device", ("--home", home, "restore", path), harmless=True)


def photos(folder: Path, home: Path) -> Iterator[Input]:
    """Sizes that are claimed, decoders' corners, damage."""
    hostile = support("hostile_photos")

    refused = {name: make() for name, make in hostile.REFUSED.items()}
    harmless = {name: make() for name, make in hostile.HARMLESS.items()}
    for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff"):
        whole = hostile.encoded(suffix)
        harmless |= {f"damaged {suffix} {n}": damaged(whole, n, 200) for n in range(DAMAGED // 4)}
    for name, path in files(folder / "photos-refused", refused, ".jpg"):
        large = "over the limit" in name  # of the page: here it is 108 megapixels
        yield Input("photos", name, "edgetl_device", ("--home", home, "classify", path), large)
    for name, path in files(folder / "photos-harmless", harmless, ".jpg"):
        yield Input("photos", name, "edgetl_device", ("--home", home, "classify", path), True)


def lists(folder: Path) -> Iterator[Input]:
    """CSV files that name what they should not, are no text, or are endless."""
    contents: dict[str, bytes] = {
        "of the system's files": b"path,label\n/etc/passwd,a\n/etc/shadow,b\n",
        "of files above": b"path,label\n../../../../etc/passwd,a\n../../etc/group,b\n",
        "of devices": b"path,label\n/dev/zero,a\n/dev/random,b\n",
        "of pipes": b"path,label\n/proc/self/fd/0,a\n/proc/kmsg,b\n",
        "of labels that command a terminal": b"path,label\na.jpg,\x1b[2J\nb.jpg,x\n",
        "of labels that are paths": b"path,label\na.jpg,../x\nb.jpg,y\n",
        "of reserved labels": b"path,label\na.jpg,unknown\nb.jpg,y\n",
        "a million rows of one photo": b"path,label\n" + b"a.jpg,x\n" * 1_000_000,
        "a row of a million columns": b"path,label" + b",c" * 1_000_000 + b"\n",
        "a field of 50 MB": b"path,label\n" + b"x" * (50 << 20) + b",a\n",
        "an open quote": b'path,label\n"' + b"x\n" * 500_000,
        "not text": bytes(range(256)) * 1000,
        "UTF-16 cut off": "path,label\na.jpg,x\n".encode("utf-16")[:-1],
        "zeros": bytes(5 << 20),
        "empty": b"",
        "no header": b"a.jpg,x\nb.jpg,y\n",
        "the same column twice": b"path,path,label\na,b,c\n",
        "formulas": b"path,label\na.jpg,=cmd|'/c calc'!A1\nb.jpg,+1\n",
        "a split of its own": b"path,label,split\na.jpg,x,evil\nb.jpg,y,evil\n",
        "nul bytes": b"path,label\na\x00.jpg,x\nb\x00.jpg,y\n",
    }
    for name, path in files(folder / "lists", contents, ".csv"):
        yield Input("CSV lists", name, "edgetl", ("train", path, "-o", folder / "list-run", "--weights", "none"))
