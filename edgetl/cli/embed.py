"""``edgetl embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say

from .next_step import say_next
from .options import BUNDLE, OUTPUT
from .waited import waited_s


@click.command(short_help="Embed PHOTOS once, for any training")
@click.argument("photos")
@click.option("-o", "--output", type=OUTPUT, required=True, help="Folder to write: the EMB.")
@click.option("--engine", default="local", show_default=True, metavar="ENGINE",
              help="local: this machine's cores; ray: a Ray cluster on it, or ray://HOST:PORT.")  # fmt: skip
@click.option("--bundle", type=BUNDLE,
              help="Bundle whose backbone embeds.  [default: the one that comes with edgetl-device]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def embed(photos: str, output: Path, engine: str, bundle: Path | None, force: bool) -> dict[str, Any]:
    """Turn PHOTOS into raw int8 embeddings in Parquet, 1.28 kB a photo, for `edgetl train --embeddings`.

    PHOTOS is a folder with one folder per class, a list (.csv, .tsv, .parquet), a tar shard in WebDataset's layout, a
    folder of those, or the address of any of them in an object store, such as s3://BUCKET/FOLDER. A run that was
    interrupted goes on with the same command.
    """
    from .. import api
    from .skipped import tell_skipped

    try:
        done = api.embed(photos, output, engine=engine, bundle=bundle, force=force)
    except KeyboardInterrupt:
        if output.is_dir():
            note("what was embedded so far is kept: go on with the same command")
        raise
    seconds = waited_s()
    if done.resumed:
        note(f"{done.resumed:,} photos were embedded before")
    tell_skipped(done.skipped)
    say(f"{done.photos:,} photos embedded in {seconds:.0f} s, {len(done.skipped):,} skipped")
    say_next("edgetl", "train", "--embeddings", output, "-o", "RUN")
    return {
        "photos": done.photos,
        "skipped": list(done.skipped),
        "resumed": done.resumed,
        "path": str(output),
        "seconds": seconds,
    }
