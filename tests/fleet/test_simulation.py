"""Flower's own simulation of twenty devices: the same apps, and Ray between them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: `make test-fleet` gives it an environment of its own")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # Ray's own 30 s are too few on a busy machine
pytest.importorskip("ray", reason="flwr[simulation] is not installed here")

from flower_nodes import carried, statistics, taught
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from edgetl_fleet.client_app import app as real_client
from edgetl_fleet.client_app import export_of
from edgetl_fleet.plan import Plan
from edgetl_fleet.server_app import hold_round

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's and Flower's own
]

DEVICES, FOREIGN, GONE, ATTEMPTS = 20, 7, 11, 3


def client(folder: Path) -> ClientApp:
    """The real app, for the home that belongs to a simulated node."""
    app = ClientApp()

    @app.query()
    def send(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        if number == GONE:
            raise SystemError("the power went")
        context.node_config.update({"home": str(folder / f"device-{number}")})
        return real_client(message, context)

    return app


def simulated(folder: Path, bundle: Path) -> dict[str, object]:
    """A round; begun again where Ray came down before a node was asked, as it does on a machine that is too busy."""
    plan = Plan(str(folder / "fleet"), str(bundle), str(folder / "new.edgetl"), nodes=DEVICES, wait_s=600)
    server, results = ServerApp(), []

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        results.append(hold_round(grid, plan))

    config = {"init_args": {"address": "local", "num_cpus": 2}, "client_resources": {"num_cpus": 1}}
    for attempt in range(ATTEMPTS):
        try:
            run_simulation(server, client(folder), num_supernodes=DEVICES, backend_config=config)
        except RuntimeError:
            if attempt + 1 == ATTEMPTS:
                raise
        if results:
            return results[-1]
    raise AssertionError("no round came to an end")


def test_twenty_simulated_devices_give_what_merge_gives(bundle_path, tmp_path) -> None:
    """One of them fails in the round; one has no bundle, since its card was changed."""
    kinds = ("kite", "ring", "box", "ball")
    homes = [
        taught(bundle_path, tmp_path / f"device-{number}", **{kinds[number % 4]: (300 + 10 * number, 1 + number % 3)})
        for number in range(DEVICES)
    ]
    config = [{"home": str(home.folder)} for home in homes]
    exports = [export_of(each) for number, each in enumerate(config) if number not in (FOREIGN, GONE)]
    shutil.rmtree(homes[FOREIGN].folder)
    done = simulated(tmp_path, bundle_path)
    assert (done["nodes"], done["answered"], done["devices"]) == (DEVICES, DEVICES - 2, DEVICES - 2)
    assert len(done["refused"]) == 2 and not done["silent"]
    assert statistics(tmp_path / "new.edgetl") == carried(bundle_path, exports, tmp_path / "carried")
