"""``edgetl-device export-stats``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note, refuse_existing, reports, say
from ..errors import InputError
from .options import in_home

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.learner import Learner


def sent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what leaves the device."""
    for option in (
        click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign with this private key."),
        click.option("--no-codes", is_flag=True, help="Send sums alone, never the code of each sample."),
        click.option(
            "--floor",
            type=click.IntRange(1),
            default=1,
            metavar="N",
            help="Leave out labels with fewer samples than N (default: 1).",
        ),
    ):
        command = option(command)
    return command


def tell_withheld(withheld: Mapping[str, int], floor: int) -> None:
    """Say which labels stay on the device."""
    if withheld:
        names = ", ".join(f"{label} ({count})" for label, count in sorted(withheld.items()))
        note(f"not sent, fewer than {floor} samples: {names}")


def tell_groups(learner: Learner) -> None:
    """Say which groups of labels stay on the device."""
    names = learner.store.grouped.names(learner.bundle.backbone_digest)
    if names:
        note(f"not sent, labels in groups stay on this device: {', '.join(names)}")


@click.command("export-stats", short_help="Write what was learned to a file, without photos")
@click.argument("file", type=click.Path(path_type=Path))
@sent_options
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def export_stats(file: Path, floor: int, no_codes: bool, sign: Path | None, force: bool, home: Home) -> dict[str, Any]:
    """Write what was learned, without photos: the codes of all samples or their sums, whichever is smaller.

    A code says what a sample looks like to the backbone. Sums say it of the average; of one sample they are its code.
    """
    from ..bundle.signing import read_private_key
    from ..files import write_atomically
    from ..sending.outgoing import outgoing

    refuse_existing(file, force)
    key = read_private_key(sign) if sign else None
    learner = home.learner()
    made = outgoing(learner, floor=floor, codes=not no_codes, key=key)
    tell_groups(learner)
    tell_withheld(made.withheld, floor)
    export = made.export
    if not export.samples:
        why = f"no label has {floor} samples: give a lower --floor, or" if made.withheld else "nothing was learned yet:"
        raise InputError(f"{why} `edgetl-device learn LABEL IMAGE…` first")
    write_atomically(file, made.data)
    kind = "samples" if export.header is None else export.header.kind
    what = "as codes" if kind == "samples" else "as statistics"
    count = f"{export.samples} sample{'s' if export.samples != 1 else ''}"
    say(f"wrote {file}: {count} of {', '.join(export.labels)}, {what}, {len(made.data) / 1e3:.1f} kB")
    return {
        "samples": export.samples,
        "labels": list(export.labels),
        "path": str(file),
        "kind": kind,
        "bytes": len(made.data),
        "withheld": dict(made.withheld),
    }
