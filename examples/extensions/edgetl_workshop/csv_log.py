"""A sink of your own: a line of CSV at each change of label, for a spreadsheet."""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from pathlib import Path

from edgetl_device import Recognition
from edgetl_device.errors import InputError


class CsvLog:
    """``--sink csv:labels.csv``: time, label and probability are appended at each change.

    Args:
        argument: what stands behind the colon, the path.
    """

    def __init__(self, argument: str) -> None:
        if not argument:
            raise InputError("expected csv:FILE")
        self._file = Path(argument).open("a", newline="", encoding="utf-8")  # noqa: SIM115  close() closes it
        self._writer = csv.writer(self._file)
        self._last: str | None = None

    def __call__(self, recognition: Recognition) -> None:
        """Called with the newest recognition in a thread of the sink's own; it may take its time."""
        prediction = recognition.prediction
        label = "unknown" if prediction.unknown else prediction.label
        if label != self._last and not self._file.closed:
            self._last = label
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            self._writer.writerow([now, label, f"{prediction.probability:.3f}"])
            self._file.flush()

    def close(self) -> None:
        """The app ends."""
        self._file.close()
