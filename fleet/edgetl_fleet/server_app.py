"""Flower's ServerApp: one round, exact. Ask all nodes, verify, add, write the merged bundle."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.signing import read_private_key, read_public_key
from edgetl_device.errors import EdgetlError, InputError
from edgetl_device.merging.collected import Collected
from edgetl_device.merging.exports import sources_in
from edgetl_device.merging.label_map import read_label_map
from edgetl_device.merging.merge import merge

from .plan import Plan, read_plan, write_result
from .strategy import ExportStrategy, names_of

log = logging.getLogger("edgetl.fleet")

_LOOK_S = 1.0  # between two looks at which nodes are there

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """The round that the run's configuration names."""
    path = Path(str(context.run_config.get("plan", "")))
    plan = read_plan(path)
    try:
        result = hold_round(grid, plan)
    except EdgetlError as error:
        write_result(path, {"error": str(error), "exit_code": error.exit_code})
        raise
    write_result(path, result)


def hold_round(grid: Grid, plan: Plan) -> dict[str, Any]:
    """Hold a round; may be repeated at any time, and nothing counts twice.

    Raises:
        EdgetlError: as ``edgetl merge`` does. What nodes sent is kept, and the next round need not wait for it.
    """
    bundle = open_bundle(Path(plan.bundle))
    known = BundleContent(bundle).statistics
    trusted = [read_public_key(Path(path)) for path in plan.public_keys]
    names = read_label_map(Path(plan.labels)) if plan.labels else {}
    key = read_private_key(Path(plan.sign)) if plan.sign else None
    collected = Collected(Path(plan.folder), trusted)
    collected.sweep()
    strategy = ExportStrategy(collected, known, _nodes(grid, plan))
    strategy.start(grid, ArrayRecord(), num_rounds=strategy.turns, timeout=plan.wait_s)
    told = {
        "nodes": len(strategy.asked),
        "answered": strategy.answered,
        "new": strategy.new,
        "refused": strategy.refused,
        "silent": strategy.silent,
    }
    if not any(collected.kept()):
        raise InputError(f"no export came, and none is here from before: nothing was merged ({_words(told)})")
    sources = sources_in([collected.folder], trusted)
    done = merge(bundle, sources, Path(plan.output), key, accept=plan.accept, names=names)
    return {**told, **asdict(done), "path": plan.output, "groups": dict(done.groups)}


def _nodes(grid: Grid, plan: Plan) -> dict[int, str]:
    """The nodes that are there, as soon as there are as many as wanted, or it has been waited for long enough."""
    until = time.monotonic() + plan.wait_s
    while True:
        found = names_of(grid.get_nodes())
        if len(found) >= plan.nodes or time.monotonic() >= until:
            return found
        time.sleep(_LOOK_S)


def _words(told: dict[str, Any]) -> str:
    reasons = "; ".join(told["refused"][:3])
    return f"{told['nodes']} nodes, {len(told['silent'])} did not answer" + (f"; refused: {reasons}" if reasons else "")
