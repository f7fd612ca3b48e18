"""``edgetl-device export-stats``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note, refuse_existing, reports, say, say_wrapped
from ..errors import InputError
from .options import in_home

if TYPE_CHECKING:
    from ..home import Home
    from ..sending.outgoing import Outgoing


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


def tell_withheld(made: Outgoing, floor: int) -> None:
    """Say which labels stay on the device."""
    told = [f"{label} ({count})" for label, count in sorted(made.withheld.items())]
    for group, labels in made.withheld_in_groups.items():
        told += [f"{label} of {group} ({count})" for label, count in sorted(labels.items())]
    if told:
        note(f"not sent, fewer than {floor} samples: {', '.join(told)}")


def say_groups(made: Outgoing) -> None:
    """Print how many samples of which labels are sent of each group, a line each."""
    for name in made.export.groups:
        of_group = made.export.of_group(name)
        say_wrapped(f"  {name}: {counted(of_group.samples)} of {', '.join(of_group.labels)}", 4)


def groups_as_json(made: Outgoing) -> dict[str, Any]:
    """Group → what of it is sent, and what is withheld."""
    found = {}
    for name in sorted({*made.export.groups, *made.withheld_in_groups}):
        of_group = made.export.of_group(name) if name in made.export.groups else None
        found[name] = {
            "samples": of_group.samples if of_group else 0,
            "labels": list(of_group.labels) if of_group else [],
            "withheld": dict(made.withheld_in_groups.get(name, {})),
        }
    return found


def counted(samples: int) -> str:
    """So many samples, in words."""
    return f"{samples} sample{'s' if samples != 1 else ''}"


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
    from ..bundle.exported_samples import ExportedSamples
    from ..bundle.signing import read_private_key
    from ..files import write_atomically
    from ..sending.outgoing import outgoing

    refuse_existing(file, force)
    key = read_private_key(sign) if sign else None
    made = outgoing(home.learner(), floor=floor, codes=not no_codes, key=key)
    tell_withheld(made, floor)
    export = made.export
    if not export.samples and not export.groups:
        withheld = made.withheld or made.withheld_in_groups
        why = f"no label has {floor} samples: give a lower --floor, or" if withheld else "nothing was learned yet:"
        raise InputError(f"{why} `edgetl-device learn LABEL IMAGE…` first")
    write_atomically(file, made.data)
    kind = "samples" if export.header is None else export.header.kind
    contents = [content for content in (export.content, *export.groups.values()) if content.labels]
    coded = [isinstance(content, ExportedSamples) for content in contents]
    what = "as codes" if all(coded) else "as codes and statistics" if any(coded) else "as statistics"
    own = f"{counted(export.samples)} of {', '.join(export.labels)}" if export.samples else "labels in groups alone"
    say(f"wrote {file}: {own}, {what}, {len(made.data) / 1e3:.1f} kB")
    say_groups(made)
    return {
        "samples": export.samples,
        "labels": list(export.labels),
        "path": str(file),
        "kind": kind,
        "bytes": len(made.data),
        "withheld": dict(made.withheld),
        "groups": groups_as_json(made),
    }
