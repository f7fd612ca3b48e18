"""Everything that a device keeps, worked out again from its rows and held against what is kept, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .errors import EdgetlError
from .heads.head import fit_head
from .home import Home
from .learning.groups import Groups
from .learning.learner import Learner
from .learning.solver import Solver
from .store.backup import what_is_wrong
from .store.database import Database
from .store.soundness import suspicion_path

_SAME_SCORES = 1e-3  # of float32 scores, relative: heads are solved in another order of additions


@dataclass(frozen=True)
class Verified:
    """One thing that was held against another.

    Args:
        name: what.
        ok: whether it is as it should be.
        detail: what was compared, or how it differs.
    """

    name: str
    ok: bool
    detail: str


def verify(home: Home, runtime: str = "auto") -> Iterator[Verified]:
    """Hold a home against itself; what is found damaged is repaired by the next command, of what can be saved.

    Reads every byte of the store, so it takes about a second for 100,000 samples. The app may run meanwhile.

    Raises:
        HomeError: there is no bundle.
    """
    bundle = home.bundle()
    yield Verified("bundle", True, f"{bundle.name}: every part has the digest that its manifest states")
    problem = what_is_wrong(home.store_path) if home.store_path.exists() else None
    if problem is not None:
        with suppress(OSError):  # a disk that turned read-only: it is told all the same
            suspicion_path(home.store_path).touch(mode=0o600)
        yield Verified("store", False, f"{problem}; the next command repairs it")
        return
    learner = home.learner(runtime)
    try:
        samples = sum(learner.store.counts(bundle.backbone_digest).values())
        yield Verified("store", True, f"{_counted(samples)}: every row has its checksum, and all add up to the store's")
        fresh = _fresh(learner)
        summary = _surely(learner, fresh, partial(_summary, learner))
        if not summary.ok:
            with learner.lock():
                learner.store.database.kept_summary.remove()
        yield summary
        yield _surely(learner, fresh, partial(_head, "head", learner))
        for name, of_group in Groups(learner).items():
            yield _surely(of_group, _fresh(of_group), partial(_head, f"group {name}", of_group))
        yield _backup(learner.store.database)
    finally:
        learner.store.close()


def _fresh(learner: Learner) -> Solver:
    return Solver(learner.factory, learner.store, kept=False)


def _surely(learner: Learner, fresh: Solver, check: Callable[[Solver], Verified]) -> Verified:
    """A check; what differs is compared again while nobody else can change anything, as the app may have meanwhile."""
    found = check(fresh)
    if found.ok:
        return found
    with learner.lock():
        return check(_fresh(learner))


def _summary(learner: Learner, fresh: Solver) -> Verified:
    """The kept summary against one of all rows that it stands for."""
    kept = Solver(learner.factory, learner.store).kept()
    if kept is None:
        return Verified("summary", True, "none is kept: a start reads all samples")
    rows = fresh.up_to(kept.last)
    same = kept.statistics.to_bytes() == rows.statistics.to_bytes()
    codes = kept.newest()[:2] == rows.newest()[:2] and np.array_equal(kept.newest()[2], rows.newest()[2])
    if same and codes:
        detail = f"the statistics of {_counted(rows.statistics.samples)}, added up anew, are what is kept byte for byte"
        return Verified("summary", True, detail)
    what = "statistics" if not same else "newest codes"
    return Verified("summary", False, f"the kept {what} were not those of the samples: removed; a start reads them all")


def _head(name: str, learner: Learner, fresh: Solver) -> Verified:
    """The head in use against one that is solved from the rows alone."""
    row = learner.version(learner.active_version)
    try:
        evidence = fresh.evidence(fresh.up_to(row.last_sample))
        head, used = fit_head(evidence, row.rule), learner.active_head()
    except EdgetlError as error:
        return Verified(name, False, f"version {row.id}: {error}")
    codes = np.concatenate([evidence.holdout, evidence.recent])[:1024]
    if head.labels != used.labels:
        return Verified(name, False, f"version {row.id} has other labels than one solved anew")
    if len(codes) and len(head.labels):
        found, expected = used.scorer.scores(codes), head.scorer.scores(codes)
        scale = max(float(np.abs(expected).max()), 1.0)
        if float(np.abs(found - expected).max()) > _SAME_SCORES * scale:
            return Verified(name, False, f"version {row.id} scores otherwise than one solved anew")
    return Verified(name, True, f"version {row.id} scores {len(codes)} embeddings as a head solved anew does")


def _backup(database: Database) -> Verified:
    """The automatic backup."""
    path: Path = database.backup_path
    if not path.exists():
        return Verified("backup", True, "none yet: the first comes with the first retraining")
    problem = what_is_wrong(path)
    if problem is None:
        return Verified("backup", True, f"{path.name} is sound")
    return Verified("backup", False, f"{path.name}: {problem}; remove it, and the next retraining makes another")


def _counted(samples: int) -> str:
    return f"{samples:,} sample{'' if samples == 1 else 's'}"
