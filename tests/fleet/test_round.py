"""A round: who counts, with what, and what is refused; the apps are real, and only Flower's processes are left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr is not installed: `make test-fleet` gives it an environment of its own")

from conftest import build_bundle, draw, tiny_backbone
from flower_nodes import LoopGrid, answer, broken, carried, learn, silent, statistics, taught
from flwr.app import Context, Message, RecordDict

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.signing import write_key_pair
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.home import Home
from edgetl_fleet import strategy
from edgetl_fleet.client_app import export_of
from edgetl_fleet.plan import Plan, read_plan, read_result, write_plan
from edgetl_fleet.server_app import app as server_app
from edgetl_fleet.server_app import hold_round


def plan(folder: Path, bundle: Path, name: str = "new", **more: object) -> Plan:
    return Plan(str(folder / "fleet"), str(bundle), str(folder / f"{name}.edgetl"), wait_s=0.1, **more)


@pytest.fixture
def devices(bundle_path, tmp_path) -> list[dict[str, object]]:
    """Configurations of three nodes that learned."""
    plans = {"kite": (300, 6)}, {"kite": (400, 2), "ring": (300, 3)}, {"box": (500, 2)}
    homes = [taught(bundle_path, tmp_path / f"device-{number}", **each) for number, each in enumerate(plans)]
    return [{"home": str(home.folder)} for home in homes]


def test_a_round_gives_the_statistics_that_merge_makes_of_exports_carried_by_hand(
    bundle_path, tmp_path, devices
) -> None:
    devices[1]["codes"] = False
    done = hold_round(LoopGrid(*devices), plan(tmp_path, bundle_path))
    assert (done["nodes"], done["answered"], done["new"], done["samples"], done["devices"]) == (3, 3, 3, 13, 3)
    by_hand = carried(bundle_path, [export_of(each) for each in reversed(devices)], tmp_path / "carried")
    assert statistics(tmp_path / "new.edgetl") == by_hand
    assert (done["refused"], done["silent"]) == ([], [])


def test_who_drops_out_counts_with_what_came_before_and_who_is_late_at_the_next_round(
    bundle_path, tmp_path, devices
) -> None:
    one, two, three = devices
    first = hold_round(LoopGrid(one, two, silent), plan(tmp_path, bundle_path))
    assert (first["answered"], first["devices"]) == (2, 2)
    (missing,) = first["silent"]
    assert missing.startswith("node ")
    before = [export_of(one), export_of(two)]
    learn(Home(Path(str(one["home"]))), ring=(700, 2))
    second = hold_round(LoopGrid(one, silent, three), plan(tmp_path, bundle_path, "later"))
    assert (second["answered"], second["new"], second["devices"]) == (2, 2, 3)
    exports = [export_of(one), before[1], export_of(three)]
    assert statistics(tmp_path / "later.edgetl") == carried(bundle_path, exports, tmp_path / "carried")


def test_an_answer_that_comes_twice_or_a_round_that_is_held_again_counts_once(bundle_path, tmp_path, devices) -> None:
    class Twice(LoopGrid):
        def send_and_receive(self, messages, *, timeout=None):
            return [*super().send_and_receive(messages, timeout=timeout)] * 2

    hold_round(Twice(*devices), plan(tmp_path, bundle_path))
    again = hold_round(Twice(*devices), plan(tmp_path, bundle_path, "again"))
    assert again["new"] == 0 and again["samples"] == 13
    assert statistics(tmp_path / "new.edgetl") == statistics(tmp_path / "again.edgetl")


def test_what_a_device_forgot_leaves_the_bundle_at_the_next_round(bundle_path, tmp_path, devices) -> None:
    grid = LoopGrid(*devices)
    hold_round(grid, plan(tmp_path, bundle_path))
    learner = Home(Path(str(devices[1]["home"]))).learner()
    learner.forget([3, 4, 5])
    learner.store.close()
    hold_round(grid, plan(tmp_path, bundle_path, "later"))
    assert "ring" in open_bundle(tmp_path / "new.edgetl").labels
    assert "ring" not in open_bundle(tmp_path / "later.edgetl").labels


def test_a_device_with_another_backbone_is_refused_by_name_and_the_others_count(
    bundle_path, tmp_path, devices, monkeypatch
) -> None:
    import conftest

    original = conftest.INSPECTABLE.read_bytes()
    other_model = tmp_path / "other.tflite"
    other_model.write_bytes(original + b"\0")  # another file, so another backbone
    monkeypatch.setattr(conftest, "INSPECTABLE", other_model)
    foreign = taught(build_bundle(tmp_path / "foreign.edgetl"), tmp_path / "foreign", kite=(800, 3))
    done = hold_round(LoopGrid(*devices, {"home": str(foreign.folder)}), plan(tmp_path, bundle_path))
    (line,) = done["refused"]
    assert "is of backbone" in line and "made with the bundle foreign" in line and "\n" not in line
    assert (done["answered"], done["devices"]) == (3, 3)


def test_only_what_a_trusted_key_signed_is_parsed(bundle_path, tmp_path, devices) -> None:
    write_key_pair(tmp_path / "camera")
    write_key_pair(tmp_path / "stranger")
    good, unsigned, stranger = devices
    good["sign"] = str(tmp_path / "camera.key")
    stranger["sign"] = str(tmp_path / "stranger.key")

    def tampered(message: Message) -> Message:
        reply = answer(message, good)
        array = reply.content["export"]["data"]
        array.data = array.data[:200] + bytes([array.data[200] ^ 1]) + array.data[201:]
        return reply

    keys = (str(tmp_path / "camera.pub"),)
    grid = LoopGrid(good, unsigned, stranger, tampered)
    done = hold_round(grid, plan(tmp_path, bundle_path, public_keys=keys))
    assert (done["answered"], done["devices"], len(done["refused"])) == (1, 1, 3)
    assert all("sign" in line and "\n" not in line for line in done["refused"])
    assert statistics(tmp_path / "new.edgetl") == carried(bundle_path, [export_of(good)], tmp_path / "carried")


def test_an_old_export_that_is_sent_again_and_one_under_a_strangers_key_are_refused(
    bundle_path, tmp_path, devices
) -> None:
    one, two, _ = devices
    old = export_of(one)
    learn(Home(Path(str(one["home"]))), ring=(700, 2))
    hold_round(LoopGrid(one, two), plan(tmp_path, bundle_path))
    (tmp_path / "old.stats").write_bytes(old)
    replay = hold_round(LoopGrid({"export": str(tmp_path / "old.stats")}), plan(tmp_path, bundle_path, "replay"))
    assert "a later export" in replay["refused"][0]
    (tmp_path / "stolen.stats").write_bytes(export_of(one))
    stolen = hold_round(LoopGrid(silent, {"export": str(tmp_path / "stolen.stats")}), plan(tmp_path, bundle_path, "s"))
    assert "delivers under the name" in stolen["refused"][0]
    assert statistics(tmp_path / "replay.edgetl") == statistics(tmp_path / "new.edgetl")


def test_a_node_that_fails_says_why_in_one_line(bundle_path, tmp_path, devices) -> None:
    nodes = [devices[0], broken, {"home": str(tmp_path / "nothing")}, {}, {"export": str(tmp_path / "none.stats")}]
    done = hold_round(LoopGrid(*nodes), plan(tmp_path, bundle_path))
    assert done["answered"] == 1 and len(done["refused"]) == 4
    assert all(line.startswith("node ") and "\n" not in line for line in done["refused"])
    assert "No space" not in str(done) and "could not answer" in done["refused"][0]
    assert "cannot read the export" in done["refused"][3]


def test_the_gate_at_the_server_refuses_what_would_recognise_the_bundles_photos_worse_and_the_round_can_be_held_again(
    bundle_path, tmp_path
) -> None:
    """One device calls balls boxes; it is named, and nothing is written until somebody insists."""
    home = taught(bundle_path, tmp_path / "confused")
    learner, backbone = home.learner(), tiny_backbone()
    learner.add("box", np.stack([backbone.embed(draw("ball", 600 + number)) for number in range(40)]))
    learner.store.close()
    grid = LoopGrid({"home": str(home.folder)})
    with pytest.raises(CheckFailedError, match="not merged"):
        hold_round(grid, plan(tmp_path, bundle_path))
    assert not (tmp_path / "new.edgetl").exists()
    assert hold_round(grid, plan(tmp_path, bundle_path, accept=True))["samples"] == 40


def test_labels_are_renamed_by_the_map_and_slips_are_told(bundle_path, tmp_path, devices) -> None:
    (tmp_path / "map.csv").write_text("from,to\nkite,dragon\n")
    hold_round(LoopGrid(*devices), plan(tmp_path, bundle_path, labels=str(tmp_path / "map.csv")))
    assert {"dragon", "ring"} <= set(open_bundle(tmp_path / "new.edgetl").labels)
    assert "kite" not in open_bundle(tmp_path / "new.edgetl").labels


def test_many_nodes_are_asked_in_turns(bundle_path, tmp_path, devices, monkeypatch) -> None:
    monkeypatch.setattr(strategy, "AT_ONCE", 2)
    grid = LoopGrid(*devices)
    assert hold_round(grid, plan(tmp_path, bundle_path))["answered"] == 3
    assert grid.asked == [1, 2, 3]


def test_without_nodes_and_exports_nothing_is_written(bundle_path, tmp_path) -> None:
    with pytest.raises(InputError, match="no export came"):
        hold_round(LoopGrid(silent), plan(tmp_path, bundle_path))
    with pytest.raises(InputError, match="no export came"):
        hold_round(LoopGrid(), plan(tmp_path, bundle_path))
    assert not (tmp_path / "new.edgetl").exists()


def test_the_app_of_the_server_reads_its_plan_and_leaves_its_result(bundle_path, tmp_path, devices) -> None:
    wanted = plan(tmp_path, bundle_path)
    path = write_plan(wanted)
    assert read_plan(path) == wanted and read_result(path) is None
    server_app(LoopGrid(*devices), of_run(path))
    result = read_result(path)
    assert result is not None and result["samples"] == 13 and json.dumps(result)
    failed = write_plan(plan(tmp_path / "empty", bundle_path))
    with pytest.raises(InputError):
        server_app(LoopGrid(), of_run(failed))
    assert "no export" in read_result(failed)["error"] and read_result(failed)["exit_code"] == 2
    with pytest.raises(InputError, match="edgetl-fleet round"):
        server_app(LoopGrid(), of_run(tmp_path / "none.json"))


def of_run(path: Path) -> Context:
    return Context(1, 0, {}, RecordDict(), {"plan": str(path)})


def test_the_page_of_json_keys_has_those_of_a_round(bundle_path, tmp_path, devices) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text()
    (keys,) = re.findall(r"^\| `round` \| (.*) \|$", page.partition("Keys of `edgetl-fleet`")[2], re.M)
    promised = set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", keys))) - {"merge"}
    assert set(hold_round(LoopGrid(*devices), plan(tmp_path, bundle_path))) == promised
