"""Your own Keras classifier → a bundle, in the smallest number format that keeps its accuracy.

python examples/calibrate_and_convert.py mine.keras photos mine.edgetl

The photos, a folder for each class, set the ranges of the integers, and the bundle's head is fitted on them. Some are
held out: a format that labels these worse than the Keras model by more than MAX_DROP is refused.
"""

import sys
from pathlib import Path
from typing import Literal, get_args

from edgetl import convert
from edgetl_device.errors import CheckFailedError

Format = Literal["int8", "int16x8", "float16"]  # the smallest first; int8 is the fastest too
MAX_DROP = 0.01


def main(model: str, photos: str, output: str) -> None:
    """Try one format after the other."""
    for quantize in get_args(Format):
        try:
            done = convert(
                model,
                output,
                photos=photos,
                quantize=quantize,
                calibration_samples=200,
                max_drop=MAX_DROP,
                # scale=(-1, 1) says what pixels 0 and 255 become before a model that does not scale them itself
            )
        except CheckFailedError as error:
            print(f"{quantize}: {error}")
            continue
        parity = done.parity
        print(f"{quantize}: accuracy {parity.float_accuracy:.3f} -> {parity.converted_accuracy:.3f}")
        print(f"{done.ops['float']} of {done.ops['total']} operators compute in floating point")
        print(f"wrote {output}, {Path(output).stat().st_size / 1e6:.1f} MB")
        return
    raise SystemExit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
