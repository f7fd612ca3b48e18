"""Photos by the million → embeddings → run → bundle, without a photo being read twice."""

from __future__ import annotations

from pathlib import Path

from edgetl_device.bundle.signing import read_private_key
from edgetl_device.errors import InputError
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.starter import PATH as STARTER

from ..conversion import from_embeddings as conversion
from ..conversion.from_embeddings import ConvertedEmbeddings
from ..embedding import scale
from ..embedding.engines import open_engine
from ..embedding.scale import EmbeddedPhotos
from ..outputs import check_output
from ..training import embedded_run
from ..training.embedded_run import EmbeddedRun


def embed(
    photos: str | Path,
    output: str | Path,
    *,
    engine: str = "local",
    bundle: str | Path | None = None,
    force: bool = False,
) -> EmbeddedPhotos:
    """Photos of any number → a folder of Parquet files with their raw int8 embeddings.

        >>> done = embed("photos", "embedded")
        >>> done.photos, done.skipped
        (40, ())

    Args:
        photos: a folder with one folder per class, a list (``.csv``, ``.tsv``, ``.parquet``), a tar shard or a folder
            of those, or the address of any of them in an object store.
        output: folder to write; what an interrupt left there is gone on with.
        engine: ``local``, ``ray``, or ``ray://HOST:PORT`` for a cluster that runs.
        bundle: whose backbone embeds; default is the one that comes with ``edgetl-device``.
        force: replace what is there.

    Raises:
        InputError: there are no photos, the engine is not installed, or ``output`` may not be written.
        StorageError: it cannot be written.
    """
    source = STARTER if bundle is None else Path(bundle)
    return scale.embed_photos(str(photos), Path(output), source, open_engine(engine), force)


def train_embeddings(
    embeddings: str | Path,
    output: str | Path,
    *,
    val_split: float = 0.2,
    seed: int = 0,
    force: bool = False,
) -> EmbeddedRun:
    """Fit a head on EMB, measure it on photos that were held out, and write the run.

        >>> run = train_embeddings("embedded", "embedded-run")
        >>> run.photos, sorted(run.per_class)
        (40, ['ball', 'box'])

    Args:
        embeddings: what :func:`embed` wrote.
        output: folder to write.
        val_split: share to hold out, 0 … 0.9, of photos whose split was not said.
        seed: of the split.
        force: replace a run that is there.

    Raises:
        InputError: ``embeddings`` or ``output`` cannot be used.
        StorageError: the run cannot be written.
    """
    return embedded_run.train_embeddings(embeddings, output, val_split, seed, force)


def convert_embeddings(
    source: str | Path,
    output: str | Path,
    *,
    embeddings: str | Path | None = None,
    head: str = DEFAULT,
    val_split: float | None = None,
    seed: int | None = None,
    sign: str | Path | None = None,
    force: bool = False,
) -> ConvertedEmbeddings:
    """Fit a head on embeddings and pack it with the backbone that made them.

        >>> converted = convert_embeddings("embedded-run", "embedded.edgetl")
        >>> converted.path.name, converted.held_out
        ('embedded.edgetl', 8)

    Args:
        source: a run of :func:`train_embeddings`, or EMB itself.
        output: file to write, ``NAME.edgetl``.
        embeddings: of a run: where its embeddings are now.
        head: learning rule, a name of :data:`edgetl_device.heads.registry.HEADS`.
        val_split: share to hold out, where ``source`` is EMB; default is 0.2. A run has its own.
        seed: of the split, where ``source`` is EMB; default is 0.
        sign: private key to sign with.
        force: replace a file that is there.

    Raises:
        InputError: the embeddings cannot be used, or changed since they were trained on.
        StorageError: the bundle cannot be written.
    """
    check_output(Path(output), force)
    run = embedded_run.open_embedded_run(Path(source))
    if run is not None and (val_split is not None or seed is not None):
        raise InputError(f"{source} has a split of its own: leave out the share and the seed")
    if run is None and embeddings is not None:
        raise InputError(f"{source} is no run on embeddings: give {embeddings} alone")
    key = None if sign is None else read_private_key(Path(sign))
    place = source if run is None else embeddings or run.embeddings
    share, number = (run.val_split, run.seed) if run else (0.2 if val_split is None else val_split, seed or 0)
    return conversion.convert_embeddings(place, output, head, share, number, key, run)
