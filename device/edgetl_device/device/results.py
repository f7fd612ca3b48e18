"""What the verbs of a Device lead to, as values."""

from __future__ import annotations

from dataclasses import dataclass

from ..learning.retraining import Outcome


@dataclass(frozen=True)
class Installed:
    """What :meth:`~edgetl_device.Device.install` led to.

    Args:
        name, labels: of the bundle.
        version: of the head in use.
        agreement: share of the bundle's check photos that get the workstation's label on this device.
        outcome: of learning what was stored here before with the new bundle; None where nothing was.
    """

    name: str
    labels: tuple[str, ...]
    version: int
    agreement: float
    outcome: Outcome | None


@dataclass(frozen=True)
class Learned:
    """What :meth:`~edgetl_device.Device.learn` led to.

    Args:
        ids: of the samples that were stored, in the order of the photos.
        skipped: what is wrong with each photo that could not be read.
        outcome: of the retraining; None where ``retrain=False`` asked for none.
    """

    ids: tuple[int, ...]
    skipped: tuple[str, ...]
    outcome: Outcome | None


@dataclass(frozen=True)
class Forgotten:
    """What :meth:`~edgetl_device.Device.forget` led to.

    Args:
        removed: how many samples.
        hidden: whether the label came with the bundle, and is hidden from now on.
        outcome: of the retraining.
    """

    removed: int
    hidden: bool
    outcome: Outcome


@dataclass(frozen=True)
class Relabelled:
    """What :meth:`~edgetl_device.Device.relabel` led to.

    Args:
        moved: how many samples.
        outcome: of the retraining; where none was moved there was none, and no new version.
    """

    moved: int
    outcome: Outcome


@dataclass(frozen=True)
class Settled:
    """What :meth:`~edgetl_device.Device.use_pending` or :meth:`~edgetl_device.Device.move_pending` led to.

    Args:
        label: of the samples now.
        ids: of the samples from now on.
        outcome: of the retraining.
    """

    label: str
    ids: tuple[int, ...]
    outcome: Outcome
