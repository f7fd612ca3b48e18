"""``edgetl-device install``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import Stages, reports, say, say_wrapped
from .options import in_home, runtime_option
from .retraining import judged_if_possible
from .samples import say_elsewhere

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Install a bundle on this device")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--public-key", type=click.Path(path_type=Path), help="From now on accept only what this key signed.")
@click.option("--allow-downgrade", is_flag=True, help="Accept a bundle signed before the current one.")
@click.option(
    "--stage",
    type=click.Path(path_type=Path),
    hidden=True,
    help="Only check it; use it once this link points to this runtime: `edgetl deploy` switches both at once.",
)
@runtime_option
@in_home
@reports
def install(
    file: Path, public_key: Path | None, allow_downgrade: bool, stage: Path | None, runtime: str, home: Home
) -> dict[str, Any]:
    """Verify a bundle, check it on this device and make it the current one."""
    from ..learning.groups import Groups

    if stage is not None:
        candidate = home.examine(file, runtime, public_key=public_key, allow_downgrade=allow_downgrade)
        home.stage(candidate, stage)
        return {"name": candidate.bundle.name, "agreement": candidate.agreement, "staged": True}
    with Stages(1) as step:
        step("trying the bundle on this device")
        bundle, agreement = home.install(file, runtime, public_key=public_key, allow_downgrade=allow_downgrade)
    learner = home.learner(runtime)
    version = learner.active_version
    say(f"installed {bundle.name}: {', '.join(bundle.labels) or 'no classes yet'} (version {version})")
    for name, labels in bundle.groups.items():
        say_wrapped(f"group {name}: {', '.join(labels)}", 2)
    say_elsewhere(learner.store.count_elsewhere(bundle.backbone_digest))
    outcome: dict[str, Any] = {"version": version}
    if learner.is_new_to_its_samples:
        outcome = judged_if_possible(learner)
        if outcome["exit_code"] == 1:  # the bundle is installed; of `install`, 1 says that the old one stays
            outcome["exit_code"] = 0
    learner.keep_head()
    for name, of_group in Groups(learner).new_to_their_samples().items():
        say(f"group {name}:")
        judged_if_possible(of_group, name)
    taught = "" if bundle.labels else ", and teach on its page"
    say(f"next: edgetl-device run{taught}")
    key = home.trusted()
    if key is not None:
        say(f"signed by {key.fingerprint}, the key this device trusts")
    return {
        "name": bundle.name,
        "labels": list(bundle.labels),
        "groups": {name: list(labels) for name, labels in bundle.groups.items()},
        "agreement": agreement,
        "signed_by": key.fingerprint if key else None,
    } | outcome
