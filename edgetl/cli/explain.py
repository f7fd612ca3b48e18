"""``edgetl explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, refuse_existing, reports, say_wrapped, table
from edgetl_device.errors import InputError, PhotoError, StorageError
from edgetl_device.percent import percent

from ..outputs import check_writable
from .options import BUNDLE, OUTPUT, PHOTOS


@click.command(short_help="Show which parts of PHOTOS speak for the label")
@click.argument("file", type=BUNDLE)
@click.argument("photos", nargs=-1, required=True, type=PHOTOS)
@click.option("-o", "--output", type=OUTPUT, required=True, help="Folder to write.")
@click.option("--label", help="Explain this label instead of the most probable one.")
@click.option("--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime.")
@click.option("--force", is_flag=True, help="Write into a folder that exists.")
@reports
def explain(
    file: Path, photos: tuple[Path, ...], output: Path, label: str | None, runtime: str, force: bool
) -> dict[str, Any]:
    """Show which parts of PHOTOS speak for the label (orange) and which against it (blue): class activation maps."""
    import cv2
    import numpy as np

    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.files import write_atomically
    from edgetl_device.photo_folders import PhotoFolder, photos_in
    from edgetl_device.photos import read_photo

    from ..evaluation.explain import Explainer, overlay
    from ..models.model_kinds import refuse_folder

    refuse_existing(output, force)
    check_writable(output)
    folders = [photos_in(path) if path.is_dir() else PhotoFolder((path,), ()) for path in photos]
    files = [file for folder in folders for file in folder.photos]
    if not files:
        raise InputError(f"no photo in {', '.join(map(str, photos))}")
    refuse_folder(file)
    bundle = open_bundle(file)
    explainer = Explainer(bundle, runtime)
    written: list[dict[str, Any]] = []
    rows, skipped = [], [str(item) for folder in folders for item in folder.unused]
    for line in skipped:
        note(f"skipped: {line}")
    for path in files:
        try:
            frame = read_photo(path)
        except PhotoError as error:
            if len(files) == 1:
                raise
            skipped.append(str(error))
            note(f"skipped: {error}")
            continue
        explanation = explainer.explain(frame, label)
        photo = bundle.preprocessing(frame)
        picture = np.hstack([photo[:, :, ::-1], overlay(photo, explanation.evidence)])
        target = output / _name(path, written)
        done, data = cv2.imencode(".png", picture)
        if not done:
            raise StorageError(f"cannot encode {target}")
        write_atomically(target, data.tobytes())
        written.append({"path": str(path), "picture": str(target), "label": explanation.label,
                        "probability": explanation.probability, "rest": explanation.rest})  # fmt: skip
        rows.append((path.name, explanation.label, explanation.probability, percent(explanation.rest, 1)))
    if not written:
        raise InputError(f"none of {len(skipped)} photos could be read, for example {skipped[0]}")
    table(("photo", "label", "probability", "rounding left over"), rows)
    say_wrapped(
        f"wrote {len(written)} pictures to {output}: the photo as the backbone sees it, and where the evidence is", 2
    )
    return {"written": written, "skipped": skipped}


def _name(path: Path, written: list[dict[str, Any]]) -> str:
    """The photo's name, with a number where another photo has it already."""
    taken = {Path(item["picture"]).name for item in written}
    names = (f"{path.stem}{f'-{number}' if number else ''}.png" for number in range(len(taken) + 1))
    return next(name for name in names if name not in taken)
