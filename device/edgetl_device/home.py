"""The device home: one bundle and one database in one folder."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bundle.bundle import Bundle, load_bundle, open_installed
from .bundle.content import BundleContent
from .bundle.on_trial import BundleOnTrial
from .bundle.possible import sound_content
from .bundle.signing import PublicKey, read_public_key
from .bundle.staged import discard, stage, waiting_for_this_runtime
from .codes import Int8
from .environment import choose_runtime, runtime_name
from .environment import default_home as default_home
from .errors import BundleError, CheckFailedError, EdgetlError, HomeError, InputError, SignatureError, StorageError
from .files import make_private, write_atomically
from .inference import thread_count as threads
from .inference.backbone import raw_embeddings
from .inference.backbone_trial import try_backbone
from .inference.classifier import predictions
from .labels import NOTHING
from .learning.groups import Groups
from .learning.learner import Learner
from .percent import percent
from .store.history import history_summary
from .store.lock import LearningLock, lock_path
from .store.store import Store

log = logging.getLogger("edgetl.home")

AGREEMENT = 0.97  # share of the bundle's check photos that must get the workstation's label on this device


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bundle that was found good here.

    Args:
        data: the very bytes that were verified.
        agreement: share of its check photos that got the workstation's label.
        key: to trust from now on, or trusted already; None where no key is.
        threads: how many pay.
    """

    bundle: Bundle
    data: bytes
    agreement: float
    key: PublicKey | None
    threads: threads.Choice
    runtime: str


@dataclass(frozen=True)
class Home:
    """Paths of a device home; nothing is opened or made before it is needed."""

    folder: Path

    @property
    def bundle_path(self) -> Path:
        """The current bundle."""
        return self.folder / "bundle.edgetl"

    @property
    def store_path(self) -> Path:
        """The database."""
        return self.folder / "device.sqlite"

    @property
    def history_path(self) -> Path:
        """What the camera saw and when; stays on the device."""
        return self.folder / "history.sqlite"

    @property
    def solved_path(self) -> Path:
        """What was solved from the bundle's statistics; may be deleted at any time."""
        return self.folder / "precision.bin"

    @property
    def empty_scene_path(self) -> Path:
        """What the camera sees where nothing is there; stays on the device."""
        return self.folder / "empty-scene.bin"

    def empty_scene_of(self, camera: str) -> Path:
        """The picture of a named camera's empty scene; the only one's where the name is empty."""
        if not camera:
            return self.empty_scene_path
        return self.folder / f"empty-scene-{hashlib.sha256(camera.encode()).hexdigest()[:16]}.bin"

    @property
    def threads_path(self) -> Path:
        """How many threads proved best when the bundle was installed."""
        return self.folder / "threads.json"

    def best_threads(self, bundle: Bundle, runtime: str = "auto") -> int:
        """How many threads proved best for a bundle's backbone; 1 where nothing was measured."""
        return threads.recall(self.threads_path, bundle, runtime_name(choose_runtime(runtime))) or threads.DEFAULT

    def has_bundle(self) -> bool:
        """Whether a bundle is installed."""
        self._take_over_staged()
        return self.bundle_path.exists()

    def bundle(self) -> Bundle:
        """The current bundle, verified; raises HomeError where none is installed."""
        if not self.has_bundle():
            raise HomeError(
                f"nothing was taught in {self.folder} yet: `edgetl-device run` and teach on its page, or "
                "`edgetl-device learn LABEL PHOTO…`; or `edgetl-device install FILE.edgetl`"
            )
        return open_installed(self.bundle_path)

    def learner(self, runtime: str = "auto") -> Learner:
        """A learner over the current bundle and the store."""
        factory = BundleContent(self.bundle(), self.solved_path)
        return Learner(factory, Store(self.store_path), runtime_name(choose_runtime(runtime)))

    @property
    def lock(self) -> LearningLock:
        """Held while this home is changed, by whichever process."""
        return LearningLock(lock_path(self.store_path))

    @property
    def trusted_path(self) -> Path:
        """The public key that signs what may be installed here; without the file anything may."""
        return self.folder / "trusted.pub"

    def trusted(self) -> PublicKey | None:
        """The key whose signature a bundle needs here, or None; raises InputError if the file is damaged."""
        return read_public_key(self.trusted_path) if self.trusted_path.exists() else None

    def install(
        self,
        path: Path,
        runtime: str = "auto",
        *,
        public_key: Path | None = None,
        allow_downgrade: bool = False,
    ) -> tuple[Bundle, float]:
        """Verify a bundle, check it on this device and make it the current one.

        Returns:
            The bundle, and the share of its check photos that got the workstation's label.

        Raises as :meth:`examine` and :meth:`make_current`.
        """
        candidate = self.examine(path, runtime, public_key=public_key, allow_downgrade=allow_downgrade)
        self.make_current(candidate)
        return candidate.bundle, candidate.agreement

    def examine(
        self,
        path: Path,
        runtime: str = "auto",
        *,
        public_key: Path | None = None,
        allow_downgrade: bool = False,
    ) -> Candidate:
        """Verify a bundle and try it out in a process of its own; nothing is changed, and no lock is held.

        Args:
            public_key: a key to trust from now on, and with this very bundle; see :attr:`trusted_path`.
            allow_downgrade: where a key is trusted, a bundle that was signed before the current one is refused unless
                this says otherwise: an old bundle has a good signature too.

        Raises:
            BundleError: it is damaged, too new, or holds something else than it says.
            SignatureError: it is not signed by the trusted key, or a downgrade.
            CheckFailedError: this device does not agree with the workstation, or cannot run the backbone.
        """
        key = self._to_trust(public_key)
        bundle, data = load_bundle(path, key)
        if key is not None and not allow_downgrade:
            self._refuse_downgrade(bundle)
        content = sound_content(bundle)  # now: a bundle that cannot be learned with must not become current
        agreement, choice = self._tried(content, runtime)
        if agreement < AGREEMENT:
            raise CheckFailedError(
                f"on this device only {percent(agreement)} of the check photos get the workstation's label "
                f"(at least {percent(AGREEMENT)} expected): the current bundle stays; try another --runtime"
            )
        if not self._is_current(bundle) and self._holds_own_samples(bundle):
            raise InputError(
                f"{path} already holds what this device learned, so it would count twice: "
                "`edgetl-device forget --all` first, then install it"
            )
        return Candidate(bundle, data, agreement, key, choice, runtime)

    def make_current(self, candidate: Candidate) -> None:
        """Put an examined bundle in use; the one before it stays until :meth:`bundle_on_trial` is told that it works.

        Raises:
            StorageError: it cannot be written; the current bundle stays.
        """
        bundle = candidate.bundle
        with self.lock():
            if candidate.key is not None and not self.trusted_path.exists():
                write_atomically(self.trusted_path, candidate.key.to_pem(), private=True)
            self._remember(bundle, candidate.runtime, candidate.threads)
            self.bundle_on_trial.put(candidate.data, bundle.digest)
            BundleContent(bundle, self.solved_path).keep_solved()
        make_private(self.folder)

    def stage(self, candidate: Candidate, link: Path) -> None:
        """Let an examined bundle wait until ``link`` points to this runtime (see :mod:`.bundle.staged`).

        Raises:
            StorageError: it cannot be written; nothing waits.
        """
        with self.lock():
            stage(self.folder, candidate.data, candidate.bundle.digest, link)

    def _take_over_staged(self) -> None:
        """Put the bundle in use that waits for this runtime."""
        if waiting_for_this_runtime(self.folder) is None:
            return
        try:
            with self.lock():
                waiting = waiting_for_this_runtime(self.folder)  # another process may have been faster
                if waiting is None:
                    return
                path, digest = waiting
                bundle, data = load_bundle(path, self.trusted())
                if bundle.digest == digest:
                    self.bundle_on_trial.put(data, digest)
                discard(self.folder)
        except (EdgetlError, OSError) as error:  # the one in use goes on
            log.warning("the bundle that was deployed is not used: %s", error)

    @property
    def bundle_on_trial(self) -> BundleOnTrial:
        """The bundle in use and the one before it."""
        return BundleOnTrial(self.bundle_path)

    def try_if_new(self, bundle: Bundle, runtime: str = "auto") -> None:
        """Run a bundle's backbone in a process of its own, unless that went well here with this runtime before.

        Raises:
            RuntimeMissingError, CheckFailedError: it cannot be run.
        """
        if threads.recall(self.threads_path, bundle, runtime_name(choose_runtime(runtime))) is not None:
            return
        _, choice = self._tried(BundleContent(bundle), runtime)
        with suppress(StorageError):  # a home that cannot be written: then it is tried again at the next start
            self._remember(bundle, runtime, choice)

    def status(self, learner: Learner, history: dict[str, Any] | None = None) -> dict[str, Any]:
        """What ``edgetl-device status --json`` tells of a learner of this home.

        Args:
            history: how recording is doing, from whoever records.
        """
        bundle, head = learner.bundle, learner.active_head()
        return {
            "bundle": {"name": bundle.name, "labels": list(bundle.labels), "digest": bundle.digest},
            "runtime": learner.runtime,
            "samples": learner.store.counts(bundle.backbone_digest),
            "pending": [asdict(batch) for batch in learner.pending()],
            "unlearned": learner.unlearned,
            "samples_elsewhere": learner.store.count_elsewhere(bundle.backbone_digest),
            "version": learner.active_version,
            "groups": {name: _group_status(of_group) for name, of_group in Groups(learner).items()},
            "labels": [label for label in head.labels if label != NOTHING],
            "hidden": sorted(learner.store.hidden(bundle.backbone_digest) & set(bundle.labels)),
            "strangers": {"recognised": not head.novelty.shortcoming, "reason": head.novelty.shortcoming},
            "home": str(self.folder),
            "store_bytes": self.store_path.stat().st_size if self.store_path.exists() else 0,
            "free_bytes": free_bytes(self.folder),
            "drift": learner.drift_state().to_json(),
            "repairs": [repair.to_json() for repair in learner.store.repairs()],
            "history": history_summary(self.history_path) if history is None else history,
        }

    def _tried(self, content: BundleContent, runtime: str) -> tuple[float, threads.Choice]:
        """Share of the check photos whose label on this device equals the workstation's; how many threads pay."""
        bundle, (photos, raw, labels) = content.bundle, content.check
        trial = try_backbone(bundle.members["backbone.tflite"], photos, runtime)
        embedded = raw_embeddings(bundle, trial.values)
        return agreement_of(content, embedded, raw, labels), trial.threads

    def _remember(self, bundle: Bundle, runtime: str, choice: threads.Choice) -> None:
        threads.remember(self.threads_path, bundle, runtime_name(choose_runtime(runtime)), choice)

    def _to_trust(self, offered: Path | None) -> PublicKey | None:
        trusted, key = self.trusted(), read_public_key(offered) if offered else None
        if trusted is not None and key is not None and trusted.raw != key.raw:
            raise SignatureError(
                f"this device trusts another key, {trusted.fingerprint}; if you mean to replace it, "
                f"remove {self.trusted_path} first"
            )
        return trusted or key

    def _refuse_downgrade(self, bundle: Bundle) -> None:
        try:
            current = self.bundle().signed if self.bundle_path.exists() else None
        except BundleError:  # damaged: any signed bundle is better
            current = None
        if current is not None and (bundle.signed or "") < current:
            raise SignatureError(
                f"this would be a downgrade: it was signed {bundle.signed}, the current bundle {current}; "
                "--allow-downgrade if that is what you want"
            )

    def _is_current(self, bundle: Bundle) -> bool:
        return self.bundle_path.exists() and hashlib.sha256(self.bundle_path.read_bytes()).hexdigest() == bundle.digest

    def _holds_own_samples(self, bundle: Bundle) -> bool:
        """Whether a merged bundle brings back samples that are still in this device's store."""
        if not self.store_path.exists() or not bundle.merged:
            return False
        store = Store(self.store_path)
        try:
            return store.device in bundle.merged and bool(store.photos(bundle.backbone_digest))
        finally:
            store.close()


def agreement_of(content: BundleContent, embedded: Int8, raw: Int8, labels: tuple[str, ...]) -> float:
    """Share of the check photos whose label on this device equals the workstation's.

    Args:
        embedded, raw: (k, d) int8 embeddings of the photos, as made here and on the workstation.
        labels: the k labels from there; all "" in a bundle without classes.
    """
    transform = content.bundle.codes
    if not any(labels):  # compare embeddings by direction instead
        a, b = (transform(rows).astype(np.float64) - transform.origin for rows in (embedded, raw))
        cosine = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
        return float((cosine > 0.99).mean())
    labels_here = [prediction.label for prediction in predictions(content.head(), transform(embedded))]
    return float(np.mean([one == other for one, other in zip(labels_here, labels, strict=True)]))


def _group_status(learner: Learner) -> dict[str, Any]:
    """What ``status`` tells of one group's learner; no head is solved for it."""
    bundle = learner.bundle
    return {
        "bundle_labels": list(bundle.labels),
        "hidden": sorted(learner.store.hidden(bundle.backbone_digest) & set(bundle.labels)),
        "samples": learner.store.counts(learner.bundle.backbone_digest),
        "pending": [asdict(batch) for batch in learner.pending()],
        "unlearned": learner.unlearned,
        "version": learner.active_version,
    }


def free_bytes(folder: Path) -> int:
    """Free space of the disk that holds a folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    usage = os.statvfs(folder) if sys.platform != "win32" else None
    return usage.f_bavail * usage.f_frsize if usage else 0
