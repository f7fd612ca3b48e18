"""OpenHome: a device home with its learner and its backbone loaded, for whoever works on it for longer."""

from __future__ import annotations

import logging
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from .bundle.bundle import Bundle
from .bundle.content import BundleContent
from .bundle.on_trial import MAX_STARTS
from .errors import BundleError, CheckFailedError, HeadError, MismatchError, RuntimeMissingError, StorageError
from .home import Home
from .home_regions import HomeRegions
from .home_view import HomeView
from .inference.backbone import Backbone, open_backbone
from .learning.groups import Groups
from .learning.learner import Learner
from .store.store import Store

if TYPE_CHECKING:
    from .inspection.service import Inspection

log = logging.getLogger("edgetl.home")


class OpenHome:
    """What a home holds, loaded once, and again when another bundle or another store has taken its place.

    It keeps no lock: callers do, where several threads use it.

    Args:
        home: with a bundle installed.
        runtime: ``auto``, ``litert`` or ``tflite``.
        threads: of the runtime; None for what proved best when the bundle was installed.
        on_trial: count the starts of a bundle that never ran well (:meth:`prove`), and go back to the one before it
            where it cannot be loaded, or was started too often.

    Attributes:
        learner, backbone: of the current bundle; samples are recorded with the backbone's runtime, which may be the
            Edge TPU's. The backbone looks at frames with the view that was chosen.
        view: how frames are looked at.
        regions: those with names.

    Raises:
        HomeError: no bundle is installed.
        RuntimeMissingError: no runtime can run it.
    """

    def __init__(
        self, home: Home, runtime: str = "auto", threads: int | None = None, *, on_trial: bool = False
    ) -> None:
        self.home = home
        self._on_trial = on_trial
        self._proven = ""
        self._counted = False  # whether the start of this bundle counts
        self._runtime = runtime
        self._threads = threads
        self._file = _identity(home)
        self._inspection: Inspection | None = None
        self._groups: Groups | None = None
        self.learner, self.backbone = self._load()
        self._look()

    @property
    def bundle(self) -> Bundle:
        """The bundle that is loaded."""
        return self.learner.bundle

    @property
    def inspection(self) -> Inspection:
        """Visual inspection with this backbone; another object after :meth:`reload`."""
        if self._inspection is None:
            from .inspection.service import Inspection  # much code that recognising does not need

            self._inspection = Inspection(self.learner.store, self.backbone)
        return self._inspection

    def look_again(self) -> bool:
        """Look at frames as was chosen meanwhile: another :attr:`backbone`, with the same interpreter. Whether so."""
        if self.view.state == self._seen:
            return False
        self._look()
        return True

    def _look(self) -> None:
        self.view = HomeView(self.home, self.learner.store, self.bundle)
        self.regions = HomeRegions(self.home, self.learner.store, self.bundle)
        self._seen = self.view.state
        if self.view.chosen is not None or self.backbone.looking.view is not None:
            self.backbone = self.backbone.seeing(self.view.looking())

    @property
    def groups(self) -> Groups:
        """The groups in which samples are labelled; another object after :meth:`reload`."""
        if self._groups is None:
            self._groups = Groups(self.learner)
        return self._groups

    def replaced(self) -> Literal["bundle", "store"] | None:
        """What another process, or ``install``, has put in the place of what is loaded here."""
        if _identity(self.home) != self._file:
            return "bundle"
        return "store" if self.learner.store.is_replaced() or self.learner.store.has_followed() else None

    def reload(self) -> None:
        """Load what the home holds now; the old one stays in use if that fails. Raises as the constructor."""
        file = _identity(self.home)
        learner, backbone = self._load()
        self.learner.store.close()
        self.learner, self.backbone, self._file, self._inspection = learner, backbone, file, None
        self._groups = None
        self._look()

    def relearn(self) -> None:
        """Teach a bundle that is new to them the stored samples; where that fails, it goes on as it came."""
        new = {"": self.learner} if self.learner.is_new_to_its_samples else {}
        for name, learner in {**new, **self.groups.new_to_their_samples()}.items():
            try:
                outcome = learner.retrain()
                problem = None if outcome.promoted else outcome.reason
            except (HeadError, StorageError) as error:
                problem = str(error)
            if problem is not None:
                option = f" --group {shlex.quote(name)}" if name else ""
                log.warning(
                    "the new bundle was not taught the stored samples (%s): check `edgetl-device samples%s`, then run "
                    "`edgetl-device retrain%s`",
                    problem,
                    option,
                    option,
                )

    def prove(self) -> None:
        """Note that the bundle works; where that cannot be written, it stays on trial."""
        if self._proven != self.bundle.digest:
            self._proven = self.bundle.digest
            with suppress(StorageError, OSError):
                self.home.bundle_on_trial.prove(self.bundle.digest)

    def withdraw_start(self) -> None:
        """Note that the bundle was not used after all: there was no camera, say."""
        if self._counted:
            self._counted = False
            with suppress(StorageError):
                self.home.bundle_on_trial.withdraw_start(self.bundle.digest)

    def repeat_start(self) -> None:
        """Note that the bundle is used now, after :meth:`withdraw_start`."""
        if self._on_trial and not self._counted:
            self._may_start(self.bundle)

    def close(self) -> None:
        """Close the store."""
        self.learner.store.close()

    def __enter__(self) -> OpenHome:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> tuple[Learner, Backbone]:
        trial = self.home.bundle_on_trial
        while True:
            try:
                return self._load_current()
            except (BundleError, RuntimeMissingError, MismatchError, CheckFailedError) as error:
                if not self._on_trial or not trial.can_fall_back():
                    raise
                with self.home.lock():
                    if trial.can_fall_back():
                        trial.fall_back(f"cannot be used: {error}")

    def _load_current(self) -> tuple[Learner, Backbone]:
        bundle = self.home.bundle()
        if self._on_trial and not self._may_start(bundle):
            raise BundleError(f"it was started {MAX_STARTS} times and never ran well")
        self.home.try_if_new(bundle, self._runtime)
        threads = self._threads or self.home.best_threads(bundle, self._runtime)
        backbone = open_backbone(bundle, self._runtime, threads)
        content = BundleContent(bundle, self.home.solved_path)
        return Learner(content, Store(self.home.store_path), backbone.runtime), backbone

    def _may_start(self, bundle: Bundle) -> bool:
        self._counted = True
        try:
            return self.home.bundle_on_trial.count_start(bundle.digest)
        except StorageError as error:
            log.warning("%s", error)
            return True


def _identity(home: Home) -> tuple[int, int, int]:
    """Which bundle file is installed: another after it was replaced."""
    path = home.bundle_path
    found = path.stat() if path.exists() else None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else (0, 0, 0)
