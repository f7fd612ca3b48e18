"""What happens in a training, epoch by epoch, for others: TensorBoard here, MLflow and the like by a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError, StorageError

from .. import tf
from ..outputs import check_writable

Watch = Callable[[Mapping[str, Any]], None]
"""Is called after each epoch with its facts: ``epoch``, ``learning_rate``, ``loss``, ``seconds``, ``stop_accuracy`` and
``stop_loss`` (None where nothing is kept to stop on); at the end with ``accuracy``, on the held-out photos."""

_SCALAR = 1  # DataClass of TensorFlow's summary.proto


def check_folder(folder: Path) -> None:
    """Raise InputError where a file is in the way of the folder, StorageError where nothing can be written."""
    for place in (folder, *folder.parents):
        if place.exists():
            if not place.is_dir():
                raise InputError(f"--tensorboard {folder}: {place} is a file: name a folder")
            check_writable(folder / "events")
            return


class TensorBoard:
    """Writes the facts as scalars for TensorBoard.

    Args:
        folder: for the event files.
        next_one: is called with the same facts.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path, next_one: Watch | None = None) -> None:
        tensorflow = tf.load()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = tensorflow.summary.create_file_writer(str(folder))
        except (OSError, tensorflow.errors.OpError) as error:
            why = getattr(error, "strerror", None) or str(error)[:120]
            raise StorageError(f"cannot write TensorBoard's files to {folder}: {why}") from None
        self._epoch, self._next = 0, next_one

    def __call__(self, facts: Mapping[str, Any]) -> None:
        """Write the numbers among the facts, at their epoch; those without one at the last."""
        self._epoch = int(facts.get("epoch", self._epoch))
        tensorflow = tf.load()
        scalars = tensorflow.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class=_SCALAR)
        with self._writer.as_default(step=self._epoch):
            for name, value in facts.items():
                if type(value) in (int, float) and name != "epoch":  # summary.scalar would need TensorBoard itself
                    tensorflow.summary.write(name, tensorflow.constant(value, tensorflow.float32), metadata=scalars)
        self._writer.flush()
        if self._next is not None:
            self._next(facts)
