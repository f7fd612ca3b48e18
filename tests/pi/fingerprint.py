"""What must be the same bytes on every machine, as hashes: run here and on the emulated Raspberry Pi, and compared.

python fingerprint.py BUNDLE PHOTOS
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.photo_folders import photos_in
from edgetl_device.photos import read_photo
from edgetl_device.statistics import statistics_of


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(bundle_path: Path, folder: Path) -> None:
    backbone = open_backbone(open_bundle(bundle_path))
    files = photos_in(folder).photos
    frames = [read_photo(path) for path in files]
    photos = [backbone.preprocessing(frame) for frame in frames]
    raw = np.stack([backbone.embed_photo(photo) for photo in photos])
    codes = backbone.codes(raw)
    labels = [path.parent.name for path in files]
    found = {
        "photos": len(files),
        "runtime": backbone.runtime,
        "xnnpack": backbone.interpreter.xnnpack,
        "decoded": digest(b"".join(frame.tobytes() for frame in frames)),
        "preprocessed": digest(np.stack(photos).tobytes()),
        "embeddings": digest(raw.tobytes()),
        "codes": digest(codes.tobytes()),
        "statistics": digest(statistics_of(codes, labels, backbone.digest, backbone.runtime).to_bytes()),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
