import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")


@pytest.mark.slow
@pytest.mark.once
def test_every_write_may_meet_a_full_disk_nothing_is_lost_and_recognising_goes_on(bundle_path, tmp_path) -> None:
    script = Path(__file__).parents[2] / "support" / "full_disk.py"
    command = [sys.executable, str(script), str(bundle_path), str(tmp_path / "home"), "2"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told["problems"] == [] and told["samples"] == 80
    assert told["refused"] > 50  # or the disk was never full
