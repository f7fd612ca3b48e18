"""What must be the same bytes on every machine, as hashes: run here and on the emulated Raspberry Pi, and compared.

python fingerprint.py BUNDLE PHOTOS
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.errors import PhotoError
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.inspection.place_codes import place_codes
from edgetl_device.inspection.place_statistics import place_statistics_of
from edgetl_device.photo_folders import photos_in
from edgetl_device.photos import Image, read_photo
from edgetl_device.statistics import statistics_of
from edgetl_device.view import View


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def part_in(frame: Image, height: int, width: int, view: View) -> npt.NDArray[np.uint8] | None:
    """The part that is found in a frame, as it is laid before the backbone."""
    try:
        return view.photo(frame, height, width)
    except PhotoError:
        return None


def main(bundle_path: Path, folder: Path) -> None:
    backbone = open_backbone(open_bundle(bundle_path))
    files = photos_in(folder).photos
    frames = [read_photo(path) for path in files]
    photos = [backbone.preprocessing(frame) for frame in frames]
    raw = np.stack([backbone.embed_photo(photo) for photo in photos])
    codes = backbone.codes(raw)
    labels = [path.parent.name for path in files]
    size, looked = backbone.preprocessing, View(find_part=True)
    parts = [laid for frame in frames if (laid := part_in(frame, size.height, size.width, looked)) is not None]
    maps = [backbone.embed_with_maps(part)[1] for part in parts]
    grids = [place_codes(np.stack(of_one)) for of_one in zip(*maps, strict=True)]
    names = [inner.name for inner in backbone.maps]
    found = {
        "photos": len(files),
        "runtime": backbone.runtime,
        "xnnpack": backbone.interpreter.xnnpack,
        "decoded": digest(b"".join(frame.tobytes() for frame in frames)),
        "preprocessed": digest(np.stack(photos).tobytes()),
        "embeddings": digest(raw.tobytes()),
        "codes": digest(codes.tobytes()),
        "statistics": digest(statistics_of(codes, labels, backbone.digest, backbone.runtime).to_bytes()),
        "parts": len(parts),
        "parts laid across": digest(np.stack(parts).tobytes()),
        "inner maps": digest(b"".join(values.tobytes() for of_part in maps for values in of_part)),
        "place statistics": digest(place_statistics_of(grids, backbone.digest, looked.digest, names).to_bytes()),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
