"""``edgetl-device push``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .export_stats import counted, groups_as_json, say_groups, sent_options, tell_withheld
from .options import in_home

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Send what was learned to a receiver, without photos")
@click.argument("url")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with this device's token, yours alone.")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Trust these certificates alone.")
@click.option(
    "--client-cert", type=click.Path(path_type=Path), help="This device's certificate, where one is asked for."
)
@click.option("--client-key", type=click.Path(path_type=Path), help="Its private key.")
@sent_options
@click.option("--retries", type=click.IntRange(0, 10), default=3, help="How often to try again (default: 3).")
@click.option("--new-identity", is_flag=True, help="Count as another device from now on: for a copied memory card.")
@in_home
@reports
def push(
    url: str,
    token_file: Path | None,
    ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    floor: int,
    no_codes: bool,
    sign: Path | None,
    retries: int,
    new_identity: bool,
    home: Home,
) -> dict[str, Any]:
    """Send what was learned to `edgetl collect` at URL, without photos: all, or what changed since the last time.

    URL is https://HOST[:PORT] or ssh://[USER@]HOST[:PORT]/FOLDER. Whatever fails, push again: nothing is lost, and
    nothing counts twice.
    """
    from ..bundle.signing import read_private_key
    from ..secret_file import read_secret
    from ..sending.delivery import Credentials, receiver
    from ..sending.outgoing import outgoing
    from ..sending.push import push as send
    from ..sending.receipt import machine_mark

    token = read_secret(token_file, "token file") if token_file else ""
    deliver = receiver(url, Credentials(token, ca, client_cert, client_key))
    key = read_private_key(sign) if sign else None
    learner = home.learner()
    if new_identity:
        say(f"this device is {learner.store.become_another()} from now on")
    made = outgoing(learner, floor=floor, codes=not no_codes, key=key, machine=machine_mark(home.folder))
    tell_withheld(made, floor)
    done = send(home.folder, url, deliver, made, key, retries=retries)
    export = made.export
    how = "what changed" if done.change else "all"
    known = "" if done.new else "; the receiver had it already"
    own = counted(export.samples) if export.samples or not export.groups else "labels in groups alone"
    say(f"sent {how}, {done.bytes / 1e3:.1f} kB: {url} has {own} of this device{known}")
    say_groups(made)
    return {
        "device": export.device,
        "sequence": export.sequence,
        "samples": export.samples,
        "bytes": done.bytes,
        "change": done.change,
        "new": done.new,
        "withheld": dict(made.withheld),
        "groups": groups_as_json(made),
    }
