"""What a bundle brings for a group of labels, as if that were all that it brought."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from ..codes import Codes
from ..errors import BundleError, InputError
from ..statistics import Statistics, no_statistics
from .bundle_groups import read_group
from .content import BundleContent


class GroupContent(BundleContent):
    """The backbone's projection, the rule and, where devices learned in the group before, the group's statistics.

    Args:
        factory: the bundle's content.
        name: of the group; with the bundle's digest it names the group's versions.
    """

    def __init__(self, factory: BundleContent, name: str) -> None:
        bundle = factory.bundle
        labels = list(bundle.groups.get(name, ()))
        super().__init__(
            replace(bundle, manifest={**bundle.manifest, "labels": labels}, digest=f"{bundle.digest}/{name}"), None
        )
        self._factory, self._name = factory, name

    @cached_property
    def statistics(self) -> Statistics:
        """Of the samples that were merged into the bundle, or of nothing."""
        bundle = self._factory.bundle
        if not self.bundle.labels:
            return no_statistics(bundle.backbone_digest, bundle.codes.dimension, self._factory.statistics.projection)
        statistics = read_group(bundle.manifest, bundle.members, self._name)
        if (statistics.backbone, statistics.dimension) != (bundle.backbone_digest, bundle.codes.dimension):
            raise BundleError(f"the statistics of group {self._name} belong to another backbone")
        return statistics

    @cached_property
    def _holdout(self) -> tuple[Codes, tuple[str, ...]]:
        return self._factory.holdout[:0], ()

    @cached_property
    def correction(self) -> None:
        """None: the factory fitted nothing."""
        return None

    @cached_property
    def seen(self) -> frozenset[bytes]:
        """No photos."""
        return frozenset()


def group_content(factory: BundleContent, name: str) -> GroupContent:
    """What a bundle brings for one of its groups; raises InputError where it has no such group."""
    groups = factory.bundle.groups
    if name not in groups:
        known = ", ".join(groups) or "none: `edgetl merge` brings what devices learned in groups"
        raise InputError(f"the bundle {factory.bundle.name} has no group {name!r}; its groups: {known}")
    return GroupContent(factory, name)
