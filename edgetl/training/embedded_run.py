"""A RUN on embeddings that were made before: where they are, which photos are held out, and what came of it.

It holds no model and no photos: EMB has the embeddings and the bundle whose backbone made them.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded
from edgetl_device.strict_json import parsed

from ..embedding.embeddings import open_embeddings
from .from_embeddings import FromEmbeddings, fit_embeddings
from .runs import RUN_FILE, RUN_FORMAT, new_run

_MOST = 16 << 20  # bytes of its description


@dataclass(frozen=True)
class EmbeddedRun:
    """A finished training on embeddings.

    Args:
        embeddings: where EMB was.
        statistics: SHA-256 of the training photos' statistics, hex.
        seed, val_split: which photos are held out.
        accuracy: on the held-out photos, 0 … 1.
        per_class: recall of each class there; None for a class with nothing held out.
        held_out: label → photos these were measured on.
        photos: how many are used, held-out ones included.
        unlabelled: how many are not, for they have no label.
        created: UTC time, ISO 8601.
        seconds: wall time.
    """

    embeddings: str
    statistics: str
    seed: int
    val_split: float
    accuracy: float
    per_class: dict[str, float | None]
    held_out: dict[str, int]
    photos: int
    unlabelled: int
    created: str
    seconds: float


def train_embeddings(
    folder: str | Path, output: str | Path, val_split: float = 0.2, seed: int = 0, force: bool = False
) -> EmbeddedRun:
    """Fit a head on EMB, measure it, and write the RUN whole or not at all.

    Raises:
        InputError: EMB or ``output`` cannot be used.
        StorageError: the RUN cannot be written.
    """
    started = time.perf_counter()
    with new_run(Path(output), force) as place:
        fitted = fit_embeddings(open_embeddings(Path(folder)), val_split=val_split, seed=seed)
        run = EmbeddedRun(
            str(Path(folder).resolve()),
            digest_of(fitted),
            seed,
            val_split,
            fitted.accuracy,
            fitted.per_class,
            dict(fitted.held_out),
            fitted.photos,
            fitted.unlabelled,
            datetime.now(UTC).isoformat(timespec="seconds"),
            time.perf_counter() - started,
        )
        (place / RUN_FILE).write_text(json.dumps({"format": RUN_FORMAT, **asdict(run)}, indent=1), encoding="ascii")
    return run


def digest_of(fitted: FromEmbeddings) -> str:
    """Of its statistics."""
    return hashlib.sha256(fitted.evidence.factory.to_bytes()).hexdigest()


def open_embedded_run(folder: Path) -> EmbeddedRun | None:
    """A RUN on embeddings; None where it is a RUN on photos, or none; raises InputError where it is damaged."""
    try:
        value = parsed(read_bounded(folder / RUN_FILE, _MOST))
    except (OSError, InputError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "embeddings" not in value:
        return None
    try:
        run = EmbeddedRun(**{name: value[name] for name in EmbeddedRun.__dataclass_fields__})
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / RUN_FILE} is damaged ({error!r:.60}): train again") from None
    if not (isinstance(run.embeddings, str) and type(run.seed) is int and type(run.val_split) is float):
        raise InputError(f"{folder / RUN_FILE} is damaged: train again")
    return run
