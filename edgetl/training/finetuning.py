"""Fine-tuning: a solved head first, then the unfrozen part of the backbone with it.

Warm-up and cosine decay (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983), label smoothing (Szegedy et al.
2015, https://arxiv.org/abs/1512.00567), class weights, batch normalization as it was. It stops early on a part of the
*training* photos, so that the held-out photos decide nothing and their accuracy stays an honest estimate; if no epoch
beats the start there, the start is kept. Learning rate and mirroring are tried out there too, if they are left open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.errors import InputError

from ..data.datasets import Dataset, split
from .checkpoint import Checkpoint, identity_of, load_checkpoint, parsed_checkpoint
from .epochs import Epochs, StoppingPart
from .feeds import Feed
from .network import Network, Step, default_step
from .plan import Plan
from .replicas import ALONE, Replicas
from .search import Tuned, search
from .trials import ENOUGH, Trial, choose
from .watching import Watch

__all__ = ["Finetuned", "Plan", "finetune", "stopping_rows"]

STOPPING_SHARE = 0.1
_ENOUGH_TO_STOP = 20  # photos; on fewer an accuracy says nothing
ENOUGH_TO_CHECK = round(_ENOUGH_TO_STOP / STOPPING_SHARE)
"""Training photos from which on some are kept to stop on: of fewer, nothing says whether a training was worth it."""


def stopping_rows(dataset: Dataset, seed: int) -> tuple[list[int], list[int]]:
    """Training photos → rows to train on, and rows to stop on; groups stay whole. Too few: nothing to stop on."""
    train = dataset.rows("train")
    inner = split(dataset.take(train), STOPPING_SHARE, seed + 1) if len(train) > len(dataset.classes) else None
    stop = [] if inner is None else [train[row] for row in inner.rows("val")]
    if len(stop) < _ENOUGH_TO_STOP:
        return train, []
    return sorted(set(train) - set(stop)), stop


def too_few_to_tune(dataset: Dataset, seed: int) -> str:
    """What is said before a training whose photos are too few to tune on; nothing where they are enough."""
    count, train = len(stopping_rows(dataset, seed)[1]), len(dataset.rows("train"))
    if count >= ENOUGH:
        return ""
    needed = round(ENOUGH / STOPPING_SHARE)
    return (
        f"--tune will change nothing: {count} of the {train:,} training photos are kept to tell trainings apart, and "
        f"it takes {ENOUGH}, so about {needed:,} training photos"
    )


@dataclass(frozen=True)
class Finetuned:
    """How a fine-tuning went.

    Args:
        plan: what it did, with everything chosen that was left open.
        history: for each epoch ``epoch``, ``learning_rate``, ``loss``, ``seconds``, ``best``, and ``stop_accuracy`` and
            ``stop_loss``.
        trials: those that chose.
        start_accuracy: of the solved head on the stopping part; None where there is none.
        tuned: what a search tried.
    """

    plan: Plan
    history: list[dict[str, Any]]
    trials: tuple[Trial, ...]
    start_accuracy: float | None
    tuned: tuple[Tuned, ...] = ()


def finetune(
    network: Network,
    feed: Feed,
    dataset: Dataset,
    rows: tuple[Sequence[int], Sequence[int]],
    plan: Plan,
    checkpoint: Path,
    *,
    backbone: Mapping[str, Any] | None = None,
    resume: bool = False,
    xla: bool = False,
    step: Step = default_step,
    tell: Callable[[str], None] = lambda text: None,
    watch: Watch = lambda facts: None,
    tune_s: float = 0.0,
    replicas: Replicas = ALONE,
) -> Finetuned:
    """Train a network, and leave it as it was after its best epoch.

    Args:
        rows: of the dataset: to train on, and to stop on.
        checkpoint: file that is written after every epoch.
        backbone: of :func:`~.checkpoint.backbone_options`: what the network was made of.
        resume: go on from the checkpoint, if there is one; the result is that of a training that was never interrupted.
        xla: whether to compile the step.
        step: what happens to a batch.
        tell: called with a line about each epoch.
        watch: called with the facts of each epoch.
        tune_s: seconds for a search (:mod:`.search`), the trials before it included; 0 for none. A training that is
            resumed takes from it what was found before.
        replicas: of the network; the chief alone reads and writes the checkpoint.
    """
    began = time.perf_counter()
    identity = identity_of(plan, backbone or {}, dataset)
    kept = _kept(checkpoint, identity, replicas) if resume else None
    epochs = Epochs(network, feed, dataset, np.asarray(rows[0], np.intp), plan, step, xla, replicas)
    stopping = StoppingPart(network, feed, dataset, np.asarray(rows[1], np.intp), replicas)
    at_start = stopping.score()
    if len(stopping.rows):
        tell(f"the start, a solved head: {at_start[0]:.3f} right on the stopping part, {len(stopping.rows)} photos")
    choice = choose(epochs, stopping, plan, identity, tell)
    settled, tuned = choice.plan, tuple[Tuned, ...]()
    if tune_s:
        deadline = began + (0.0 if kept else tune_s)
        settled, tuned = search(epochs, stopping, settled, plan, identity, deadline, tell)
    plan = settled
    epochs.use(plan)
    start = kept or Checkpoint([], at_start, network.state(), network.state(), epochs.optimizer_state())
    network.restore(start.state)
    epochs.restore_optimizer(start.optimizer)
    history, best, best_state = list(start.history), start.best, start.best_state

    while len(history) < plan.chosen_epochs and not _stale(history, plan.patience) and not choice.hopeless:
        started = time.perf_counter()
        loss = epochs.train(len(history))
        score = stopping.score()
        better = score > best or not len(stopping.rows)
        if better:
            best, best_state = score, network.state()
        facts = {
            "epoch": len(history) + 1,
            "learning_rate": plan.rate_at(len(history) + 1.0),
            "loss": loss,
            "stop_accuracy": score[0] if len(stopping.rows) else None,
            "stop_loss": -score[1] if len(stopping.rows) else None,
            "best": better,
            "seconds": time.perf_counter() - started,
        }
        history.append(facts)
        # Reading variables may be something that all processes do together: only writing is the chief's.
        reached = Checkpoint(history, best, network.state(), best_state, epochs.optimizer_state())
        if replicas.chief:
            reached.save(checkpoint, identity)
        tell(_line(facts, plan))
        watch(facts)
    network.restore(best_state)
    if not any(facts["best"] for facts in history):
        why = "no trial was better, and it is right almost always" if choice.hopeless else "no epoch was better"
        tell(f"the start is kept: {why}; this RUN is what --strategy head gives")
    return Finetuned(plan, history, choice.trials, at_start[0] if len(stopping.rows) else None, tuned)


def _kept(path: Path, identity: Any, replicas: Replicas) -> Checkpoint | None:
    """The chief's checkpoint, for all; None where it has none."""
    if replicas.alone:
        return load_checkpoint(path, identity)
    found, problem = b"", b""
    if replicas.chief:
        try:
            kept = load_checkpoint(path, identity)
            found = kept.to_bytes(identity) if kept else b""
        except InputError as error:
            problem = str(error).encode()
    problem = replicas.agreed_bytes(problem)
    if problem:
        raise InputError(problem.decode())
    found = replicas.agreed_bytes(found)
    return parsed_checkpoint(found)[0] if found else None


def _stale(history: Sequence[dict[str, Any]], patience: int) -> bool:
    return len(history) >= patience and not any(facts["best"] for facts in history[-patience:])


def _line(facts: dict[str, Any], plan: Plan) -> str:
    text = f"epoch {facts['epoch']}/{plan.chosen_epochs}: loss {facts['loss']:.3f}"
    if facts["stop_accuracy"] is not None:
        text += f"; on the stopping part {facts['stop_loss']:.3f}, {facts['stop_accuracy']:.3f} right"
        text += " (best)" if facts["best"] else ""
    return f"{text}; {facts['seconds']:.1f} s"
