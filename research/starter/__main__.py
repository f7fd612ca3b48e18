"""Write the bundle that ``edgetl-device`` carries: ``python -m research.starter`` puts it in its place."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2

from edgetl import api
from edgetl_device import parts
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.starter import NAME, PATH

_SEED = 2_000_003  # neither the demo, the tests nor the training of the weights uses these renderings
_PER_LIGHT = 20  # of each kind, a fifth of them held out for the comparison with the float backbone
_MAX_DROP = 0.02  # three of the 160 held-out renderings
_CREATED = "2026-11-26T00:00:00+00:00"  # fixed, so that making it again gives the same file


def make_starter(output: Path) -> None:
    """Convert the built-in backbone into a bundle that knows nothing yet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _render(folder / "photos")
        api.train(folder / "photos", folder / "run", weights="builtin")
        api.convert(folder / "run", folder / f"{NAME}.edgetl", no_classes=True, max_drop=_MAX_DROP)
        made = open_bundle(folder / f"{NAME}.edgetl")
        write_bundle(output, made.manifest | {"created": _CREATED}, made.members)


def _render(folder: Path) -> None:
    """Photos of all kinds of parts in all lights, without loss."""
    for kind in parts.KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(_PER_LIGHT * len(parts.LIGHTS)):
            light = parts.LIGHTS[number % len(parts.LIGHTS)]
            photo = parts.render(kind, light=light, seed=_SEED + number)
            cv2.imwrite(str(folder / kind / f"{number:03}.png"), photo)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m research.starter", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=PATH, help="file to write (default: %(default)s)")
    make_starter(parser.parse_args().output)
