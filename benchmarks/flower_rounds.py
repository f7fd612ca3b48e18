"""The part of ``flower`` that runs in the environment with Flower: one round of real apps, with and without transport.

.venv-fleet/bin/python benchmarks/flower_rounds.py FOLDER strategy|simulation COUNT
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.task_identity import TaskIdentity

from edgetl_fleet.client_app import app as client_app
from edgetl_fleet.plan import Plan
from edgetl_fleet.server_app import hold_round


class Loop:
    """A grid in memory: each node is the real ClientApp."""

    def __init__(self, exports: Path, count: int) -> None:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 0
        self._exports, self._count = exports, count

    def get_nodes(self) -> list[NodeInfo]:
        """All of them."""
        return [NodeInfo(node_id=number + 1) for number in range(self._count)]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask each in turn."""
        found = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(message.metadata.dst_node_id)
            path = self._exports / f"{message.metadata.dst_node_id - 1}.stats"
            context = Context(1, message.metadata.dst_node_id, {"export": str(path)}, RecordDict(), {})
            found.append(client_app(message, context))
        return found


def simulated(exports: Path, count: int, hold: Callable[[Any], None]) -> None:
    """The same in Flower's simulation."""
    from flwr.simulation import run_simulation

    client, server = ClientApp(), ServerApp()

    @client.query()
    def send(message: Message, context: Context) -> Message:
        context.node_config["export"] = str(exports / f"{context.node_config['partition-id']}.stats")
        return client_app(message, context)

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        hold(grid)

    config = {"init_args": {"address": "local", "num_cpus": 2}, "client_resources": {"num_cpus": 1}}
    run_simulation(server, client, num_supernodes=count, backend_config=config)


def main(folder: Path, way: str, count: int) -> None:
    """Print what it cost, as JSON."""
    bundle, output = folder / "base.edgetl", folder / f"{way}.edgetl"
    plan = Plan(str(folder / way), str(bundle), str(output), accept=True, nodes=count, wait_s=3600)
    facts: dict[str, Any] = {}

    def hold(grid: Any) -> None:
        started = time.perf_counter()
        facts.update(hold_round(grid, plan), seconds=round(time.perf_counter() - started, 1))

    if way == "strategy":
        hold(Loop(folder / "exports", count))
    else:
        simulated(folder / "exports", count, hold)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(each.ru_utime + each.ru_stime for each in used)
    told = {name: facts[name] for name in ("answered", "seconds")}
    print(json.dumps(told | {"cpu_ms": round(cpu_s / count * 1e3, 2), "rss_mb": round(used[0].ru_maxrss / 1024)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
