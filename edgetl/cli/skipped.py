"""Files that are not used, told by their reasons."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl_device.console import note


def by_reason(skipped: Sequence[str]) -> dict[str, list[str]]:
    """Lines such as ``a/1.heic: reason``, by their reasons, the most frequent first."""
    lines: dict[str, list[str]] = {}
    for line in skipped:
        lines.setdefault(line.partition(": ")[2], []).append(line)
    return dict(sorted(lines.items(), key=lambda item: -len(item[1])))


def tell_skipped(skipped: Sequence[str], most: int = 3) -> None:
    """A line for each file that is not used, or one for many with the same reason."""
    for reason, lines in by_reason(skipped).items():
        if len(lines) > most:
            note(f"skipped {len(lines)} files, such as {lines[0].partition(': ')[0]}: {reason}")
        else:
            for line in lines:
                note(f"skipped: {line}")
