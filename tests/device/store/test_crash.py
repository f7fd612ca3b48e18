import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_hundred_kills_lose_and_double_nothing_and_leave_a_servable_head(bundle_path, tmp_path) -> None:
    script = Path(__file__).parents[2] / "support" / "crash.py"
    command = [sys.executable, str(script), str(bundle_path), str(tmp_path / "home"), "100", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["problems"] == [] and told["rounds"] == 100
    assert told["acknowledged"] > 50 and told["forgotten"] > 0  # or it was killed before it could do anything
    assert told["events"] > 20 and told["events_deleted"] > 0
    kinds = {"learn", "retrain", "promote", "relabel", "forget", "rollback", "trial", "drift", "backup"}
    kinds |= {"set-aside", "use", "move", "record", "delete"}
    assert set(told["started"]) == kinds
