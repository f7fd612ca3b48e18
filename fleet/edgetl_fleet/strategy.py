"""Flower's Strategy of one exact round: ask every node for its export, verify it, and keep it durably."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from edgetl_device.bundle.export import Export
from edgetl_device.errors import InputError
from edgetl_device.merging.collected import Collected
from edgetl_device.merging.merge import check_backbone
from edgetl_device.statistics import Statistics

from .records import unpacked

log = logging.getLogger("edgetl.fleet")

AT_ONCE = 200  # nodes whose exports lie in memory together: 2 MB each, as statistics


class ExportStrategy(Strategy):
    """One round, in turns of at most :data:`AT_ONCE` nodes; nothing is averaged, and nothing depends on the order.

    Args:
        collected: where exports are kept, of each device the last one.
        known: the bundle's statistics: exports of another backbone are refused.
        nodes: node → name, by which it delivers; "" where nodes are not told apart.

    Attributes:
        asked: the nodes.
        answered: how many nodes sent an export that is kept now.
        new: how many of these were not here before.
        refused: one line each: which node, and why.
    """

    def __init__(self, collected: Collected, known: Statistics, nodes: dict[int, str]) -> None:
        self._collected, self._known, self._nodes = collected, known, nodes
        self.asked = sorted(nodes)
        self.answered = self.new = 0
        self.refused: list[str] = []
        self._heard: set[int] = set()

    @property
    def turns(self) -> int:
        """How many rounds of Flower this takes."""
        return -(-len(self.asked) // AT_ONCE)

    @property
    def silent(self) -> list[str]:
        """Nodes that did not answer in time."""
        return [self._who(node) for node in self.asked if node not in self._heard]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """A query to each node of this turn."""
        first = (server_round - 1) * AT_ONCE
        nodes = self.asked[first : first + AT_ONCE]
        return [Message(RecordDict(), dst_node_id=node, message_type=MessageType.QUERY) for node in nodes]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Verify and keep what came; what is refused changes nothing and stops nobody else."""
        for reply in replies:
            node = reply.metadata.src_node_id
            if node not in self._nodes:  # Flower's own message that a node is gone or its answer was lost
                log.warning("an answer was lost: %s", reply.error.reason if reply.has_error() else "of no node")
                continue
            if reply.has_error() and node in self._heard:
                continue
            self._heard.add(node)
            try:
                _, new = self._collected.receive(unpacked(reply), self._nodes[node], self._check)
            except InputError as error:
                self.refused.append(f"{self._who(node)}: {error}")
                log.warning("refused %s", self.refused[-1])
                continue
            self.answered, self.new = self.answered + 1, self.new + new
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nobody: the gate at the server tests on the bundle's held-out photos, each device's own gate on its own."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing."""
        return None

    def summary(self) -> None:
        """Say what is asked for."""
        log.info("asking %d nodes for their exports, in %d turns", len(self.asked), self.turns)

    def _check(self, export: Export) -> None:
        check_backbone(export, self._known)

    def _who(self, node: int) -> str:
        return f"node {self._nodes[node] or node}"


def names_of(nodes: Iterable[NodeInfo]) -> dict[int, str]:
    """Nodes → number of each → a name that stays with its key, whatever number Flower gives it; "" without a key."""
    return {each.node_id: hashlib.sha256(each.public_key).hexdigest()[:16] if each.public_key else "" for each in nodes}
