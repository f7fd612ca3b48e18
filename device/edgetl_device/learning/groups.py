"""Groups: several questions about the same photos, each with labels, versions and a head of its own.

A group is a name such as ``condition``; its labels, such as ``worn`` and ``fine``, are told apart among themselves
alone. The labels without a name, which the bundle may have brought, go on as if there were no groups. A group starts
empty, as a ``--no-classes`` bundle does, or with what other devices learned in it and `edgetl merge` put into the
bundle, on the same backbone and projection.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from ..bundle.group_content import GroupContent
from ..codes import Codes, Int8
from ..errors import HeadError, InputError
from ..heads.head import Head
from ..inference.classifier import Prediction, predictions
from ..labels import MAX_GROUPS, check_group, check_sample_label, similar_label
from ..store.group_store import GroupStore
from .learner import Learner

log = logging.getLogger("edgetl.groups")


class Groups(Mapping[str, Learner]):
    """The groups in which samples are labelled now, and those of the bundle, by name, each as a learner.

    Args:
        learner: of the labels without a name.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._made: dict[str, Learner] = {}

    def __getitem__(self, name: str) -> Learner:
        if name not in self.names:
            raise KeyError(name)
        return self._of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups, sorted."""
        bundle = self._learner.bundle
        return tuple(sorted({*bundle.groups, *self._learner.store.grouped.names(bundle.backbone_digest)}))

    def known(self, name: str) -> Learner:
        """The learner of a group; raises InputError where there is none of this name."""
        names = self.names
        clean = check_group(name)
        if clean not in names:
            meant = similar_label(clean, names)
            question = f"did you mean {meant}? " if meant else ""
            raise InputError(f"no group {name!r}: {question}known groups: {', '.join(names) or 'none yet'}")
        return self._of(clean)

    def known_or_new(self, name: str, insist: str = "") -> Learner:
        """The learner of a group that may begin now.

        Args:
            insist: how to say that a name is meant that looks like a slip of a known one; "" where it is.

        Raises:
            InputError: not a name, one that may be a slip, or one group too many.
        """
        name, names = check_group(name), self.names
        if name in names:
            return self._of(name)
        meant = similar_label(name, names) if insist else None
        if meant is not None:
            raise InputError(f"{name} would be a new group: did you mean {meant}? {insist} if it is new")
        if len(names) >= MAX_GROUPS:
            raise InputError(
                f"expected at most {MAX_GROUPS} groups, got {', '.join(names)} and {name}: each has a head of its "
                f"own; `edgetl-device forget --group {quote(names[0])} --all` makes room"
            )
        return self._made_anew(name)  # not kept: it may never get a sample

    def add(
        self,
        labels: Mapping[str, str],
        raw: Int8,
        thumbnails: Sequence[bytes | None] = (),
        *,
        view: str = "",
        insist: str = "",
    ) -> list[int]:
        """Store (n, d) int8 raw embeddings once, labelled in several groups in one step; → their ids.

        Args:
            labels: group → label; "" is the group without a name.
            thumbnails, view, insist: as for :meth:`~.sample_keeper.SampleKeeper.add` and :meth:`known_or_new`.
        """
        own = {check_group(name): check_sample_label(label) for name, label in labels.items() if name}
        with self._learner.lock():
            together = sorted({*self.names, *own})
            if len(together) > MAX_GROUPS:
                raise InputError(f"expected at most {MAX_GROUPS} groups, got {len(together)}")
            learners = {name: self.known_or_new(name, insist) for name in own}
            for name, learner in learners.items():
                learner.check_addition(own[name], raw)
            if len(own) == 1 and not labels.get(""):  # a photo that is stored is only labelled
                (name,) = own
                return learners[name].add(own[name], raw, thumbnails, view=view)
            return self._learner.add(labels.get("", ""), raw, thumbnails, view=view, groups=own)

    def new_to_their_samples(self) -> dict[str, Learner]:
        """Groups with samples that no version made with this bundle knows: so it is after an installation."""
        found = {}
        for name, learner in self.items():
            _ = learner.active_version  # written down where there is none
            if learner.is_new_to_its_samples:
                found[name] = learner
        return found

    def classify(self, codes: Codes, top: int = 3) -> dict[str, list[Prediction]]:
        """(n, d) uint8 codes → group → n Predictions."""
        return {name: predictions(learner.active_head(), codes, top) for name, learner in self.items()}

    def heads(self) -> dict[str, Head]:
        """Group → the head in use; without those that cannot be made, about which the log says why."""
        found = {}
        for name, learner in self.items():
            try:
                found[name] = learner.active_head()
            except HeadError as error:
                log.warning("group %s is not recognised: %s", name, error)
        return found

    def _of(self, name: str) -> Learner:
        if name not in self._made:
            self._made[name] = self._made_anew(name)
        return self._made[name]

    def _made_anew(self, name: str) -> Learner:
        content, store = GroupContent(self._learner.factory, name), GroupStore(self._learner.store, name)
        return Learner(content, store, self._learner.runtime, begin=False)
