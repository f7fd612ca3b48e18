"""Devices that learned, and Flower between them and the server, without processes: real apps, a grid in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from conftest import draw, tiny_backbone

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

from flwr.app import Context, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.task_identity import TaskIdentity

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.home import Home
from edgetl_device.merging.exports import sources_in
from edgetl_device.merging.merge import merge
from edgetl_fleet.client_app import app as client_app

BACKBONE = tiny_backbone()
UNREACHABLE = 5  # any of Flower's codes of errors


def taught(bundle: Path, folder: Path, **plan: tuple[int, int]) -> Home:
    """A home with the bundle in place that learned label → (first, count)."""
    home = Home(folder)
    home.folder.mkdir(parents=True)
    shutil.copyfile(bundle, home.bundle_path)
    learn(home, **plan)
    return home


def learn(home: Home, **plan: tuple[int, int]) -> None:
    """The home learns label → (first, count) more."""
    learner = home.learner()
    for label, (start, count) in plan.items():
        learner.add(label, np.stack([BACKBONE.embed(draw(label, start + number)) for number in range(count)]))
    learner.store.close()


def statistics(bundle: Path) -> bytes:
    return BundleContent(open_bundle(bundle)).statistics.to_bytes()


def carried(bundle: Path, exports: Iterable[bytes], folder: Path) -> bytes:
    """The statistics that ``edgetl merge`` makes of exports that were carried by hand."""
    folder.mkdir()
    for number, data in enumerate(exports):
        (folder / f"{number}.stats").write_bytes(data)
    merge(open_bundle(bundle), sources_in([folder]), folder / "new.edgetl", accept=True)
    return statistics(folder / "new.edgetl")


class LoopGrid:
    """A grid in memory: each node is the real ClientApp with a configuration of its own.

    Args:
        nodes: the configuration of each; a function stands for a node that answers as it wants.
    """

    def __init__(self, *nodes: dict[str, object] | Callable[[Message], Message | None]) -> None:
        self._nodes = dict(enumerate(nodes, 1))
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 0  # as Flower's own process does
        self.asked: list[int] = []

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=number, public_key=b"key %d" % number) for number in self._nodes]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        replies = []
        for message in messages:
            number = message.metadata.dst_node_id
            self.asked.append(number)
            message.metadata.__dict__["_message_id"] = f"query {number}"
            node = self._nodes[number]
            reply = node(message) if callable(node) else answer(message, node)
            if reply is not None:
                replies.append(reply)
        return replies


def answer(message: Message, config: dict[str, object]) -> Message:
    """What the ClientApp of a node with this configuration says."""
    context = Context(
        run_id=1,
        node_id=message.metadata.dst_node_id,
        node_config=config,
        state=RecordDict(),
        run_config={},
        series_id=1,
    )
    return client_app(message, context)


def broken(message: Message) -> Message:
    """A node whose app fails."""
    return Message(Error(UNREACHABLE, "<class 'OSError'>:<'no\nspace'>"), reply_to=message)


def silent(message: Message) -> None:
    """A node that went away."""
