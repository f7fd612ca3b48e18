"""``edgetl-device status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say, say_wrapped
from .history import say_history
from .options import group_words, in_home, runtime_option
from .samples import say_elsewhere

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Show bundle, samples, what is pending, version, disk, drift")
@click.option("--accept-loss", is_flag=True, help="Show for the last time what a repair of the store could not save.")
@runtime_option
@in_home
@reports
def status(accept_loss: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Bundle, runtime, samples, what is pending, active version, disk, whether the scene drifted, and what was lost."""
    learner = home.learner(runtime)
    report = home.status(learner)
    labels = [f"{label} (hidden)" if label in report["hidden"] else label for label in report["bundle"]["labels"]]
    say_wrapped(f"bundle   {report['bundle']['name']}: {', '.join(labels) or 'no classes'}", 9)
    say(f"runtime  {report['runtime']}")
    taught = ", ".join(f"{label} {count}" for label, count in report["samples"].items())
    say_wrapped(f"samples  {taught or 'none yet'}", 9)
    if report["unlearned"]:
        say(f"         ({report['unlearned']} stored, not learned yet: `edgetl-device retrain`)")
    for batch in report["pending"]:
        taught = f"{batch['samples']} sample{'s' if batch['samples'] != 1 else ''} of {batch['label']}"
        say(f"pending  batch {batch['id']}, {taught}:")
        say_wrapped(f"         {batch['reason']}", 9)
    if report["pending"]:
        say("         (not learned: `edgetl-device pending` shows what you can do)")
    say(f"version  {report['version']}")
    for name, group in report["groups"].items():
        taught = ", ".join(f"{label} {count}" for label, count in group["samples"].items())
        say_wrapped(f"group    {name}: {taught or 'no samples of this device'} (version {group['version']})", 9)
        if group["bundle_labels"]:
            brought = [f"{each} (hidden)" if each in group["hidden"] else each for each in group["bundle_labels"]]
            say_wrapped(f"         from the bundle: {', '.join(brought)}", 9)
        if group["unlearned"]:
            say(f"         ({group['unlearned']} not learned yet: `edgetl-device retrain{group_words(name)}`)")
        if group["pending"]:
            count = sum(batch["samples"] for batch in group["pending"])
            say(f"         ({count} pending: `edgetl-device pending{group_words(name)}`)")
    if not report["strangers"]["recognised"]:
        say_wrapped(f"unknown  {report['strangers']['reason']}", 9)
    say(
        f"disk     {report['store_bytes'] / 1e6:.1f} MB used, {report['free_bytes'] / 1e9:.1f} GB free in {home.folder}"
    )
    say_history(report["history"])
    drift = report["drift"]
    say_wrapped(f"drift    {_DRIFT[drift['state']].format(frames=drift['frames'])}", 9)
    say_elsewhere(report["samples_elsewhere"])
    repairs = learner.store.repairs()
    for repair in repairs:
        say(f"repaired {moment(repair.time)}: {repair.outcome} (the store: {repair.problem})")
    if accept_loss:
        learner.store.accept_losses()
    elif repairs:
        say("what was there before is in *.damaged-* files; `edgetl-device status --accept-loss` when you know")
    return report


_DRIFT = {
    "collecting": "unknown: {frames} of 30 frames seen since this version",
    "steady": "none: the last {frames} photos look like what it learned from",
    "drifting": "the scene has changed: the last {frames} photos look like little that it learned from; "
    "teach it what it gets wrong: `edgetl-device learn LABEL IMAGE…`",
}
