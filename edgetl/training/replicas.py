"""One network on one device, or copies of it on several that train together, here or on other machines.

Each batch is shared out in equal parts, and gradients are added before each step (synchronous data parallelism, Dean et
al. 2012; https://www.tensorflow.org/guide/distributed_training). Batches, views and learning rates are those of one
device, so training differs from one device's only in the order in which numbers are added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf

CLUSTER = "TF_CONFIG"  # TensorFlow's own variable

Positions = npt.NDArray[np.intp]
Compute = Callable[[Any, Any, Any], Any]
"""What one copy does with its part of a batch: (arrays, targets, weights) → its loss."""


@dataclass(frozen=True)
class Member:
    """This process among those that train together.

    Args:
        workers: how many there are.
        index: of this one.
    """

    workers: int
    index: int


def member(environment: Mapping[str, str] = os.environ) -> Member | None:
    """What TF_CONFIG says of this process; None where it trains alone.

    Raises:
        InputError: it says nothing that makes sense.
    """
    text = environment.get(CLUSTER, "")
    if not text.strip():
        return None
    try:
        value = json.loads(text)
        workers, task = value["cluster"]["worker"], value["task"]
        kind, index = task["type"], int(task["index"])
        if not isinstance(workers, list) or not all(isinstance(worker, str) for worker in workers):
            raise ValueError
        if kind != "worker" or set(value["cluster"]) != {"worker"} or not 0 <= index < len(workers):
            raise ValueError
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # 1e999, and brackets without end
        raise InputError(
            f'{CLUSTER} must be {{"cluster": {{"worker": ["HOST:PORT", …]}}, "task": {{"type": "worker", "index": 0}}}}'
            ", with another index for each process"
        ) from None
    return Member(len(workers), index) if len(workers) > 1 else None


class Replicas:
    """The copies of a network.

    Args:
        strategy: of ``tf.distribute``; None for a single device.
        member: this process among several; None where it is alone.
    """

    def __init__(self, strategy: Any = None, member: Member | None = None) -> None:
        self._strategy, self._member = strategy, member

    @property
    def count(self) -> int:
        """How many copies there are in all."""
        return 1 if self._strategy is None else int(self._strategy.num_replicas_in_sync)

    @property
    def alone(self) -> bool:
        """Whether no other process takes part."""
        return self._member is None

    @property
    def chief(self) -> bool:
        """Whether this process writes files."""
        return self._member is None or self._member.index == 0

    def scope(self) -> AbstractContextManager[object]:
        """While the block runs, variables that are made have a copy on each device."""
        return nullcontext() if self._strategy is None else self._strategy.scope()

    def shared(self, size: int) -> tuple[Positions, npt.NDArray[np.float32]]:
        """Positions in a batch of this size that this process computes, part after part, and what each one weighs.

        All parts have one size: what fills the last ones weighs nothing. A part's mean loss, so weighted, is its share
        of the batch's.
        """
        part = -(-size // self.count)
        positions = np.arange(part * self.count)
        weighs = np.where(positions < size, part / size, 0.0).astype(np.float32)
        mine = slice(None)
        if self._member is not None:
            here = len(positions) // self._member.workers
            mine = slice(self._member.index * here, (self._member.index + 1) * here)
        return (positions % size)[mine], weighs[mine]

    def step(self, compute: Compute, xla: bool) -> Compute:
        """A step of all copies → the loss of the whole batch; takes what :meth:`shared` gives this process.

        Args:
            xla: whether to compile it; of several copies none is.
        """
        tensorflow, strategy = tf.load(), self._strategy
        if strategy is None:
            return tensorflow.function(compute, jit_compile=xla, reduce_retracing=True)  # type: ignore[no-any-return]

        @tensorflow.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def everywhere(arrays: Any, targets: Any, weights: Any) -> Any:
            return strategy.reduce("SUM", strategy.run(compute, args=(arrays, targets, weights)), axis=None)

        def whole(arrays: Any, targets: Any, weights: Any) -> Any:
            parts = [self._spread(values) for values in (*arrays, targets, weights)]
            return everywhere(tuple(parts[:-2]), *parts[-2:])

        return whole

    def _spread(self, values: npt.NDArray[Any]) -> Any:
        """This process's rows of a batch, in equal parts, a part for each of its copies."""
        tensorflow = tf.load()
        here = self.count // (self._member.workers if self._member else 1)
        first = self._member.index * here if self._member else 0
        parts = np.split(values, here)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tensorflow.constant(parts[context.replica_id_in_sync_group - first])
        )

    def agreed(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The chief's values, for all: what is decided by them is decided alike everywhere. Shapes are the same."""
        if self._member is None:
            return values
        tensorflow = tf.load()
        numbers = values.astype(np.int32) if values.dtype in (np.bool_, np.uint8) else values
        sent = self._strategy.experimental_distribute_values_from_function(
            lambda context: tensorflow.constant(numbers if context.replica_id_in_sync_group == 0 else 0 * numbers)
        )
        total = tensorflow.function(lambda each: self._strategy.reduce("SUM", each, axis=None))(sent)
        return np.asarray(total.numpy()).astype(values.dtype)

    def agreed_bytes(self, data: bytes) -> bytes:
        """The chief's bytes, for all."""
        if self._member is None:
            return data
        size = int(self.agreed(np.array([len(data) if self.chief else 0]))[0])
        mine = np.frombuffer(data, np.uint8) if self.chief else np.zeros(size, np.uint8)
        return bytes(self.agreed(mine).tobytes()) if size else b""


ALONE = Replicas()
"""A single device, of this process."""


@contextmanager
def others_named() -> Iterator[None]:
    """TensorFlow's word for a process that went away → one line."""
    errors = tf.load().errors
    try:
        yield
    except (errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError) as error:
        raise InputError(
            "another process of this training went away: start all of them again, with --resume "
            f"({str(error).splitlines()[0][:120]})"
        ) from None
