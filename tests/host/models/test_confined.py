import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from processes import descendants, is_running, wait_for

from edgetl.models import confined
from edgetl.models.confined import Limits, run_confined
from edgetl_device.errors import InputError

LIMITS = Limits(1 << 30, 5, 16 << 20)


def run(tmp_path: Path, kind: str) -> dict:
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    limits = LIMITS if kind == "hang" else replace(LIMITS, seconds=60)
    return run_confined("misbehaving_reader", tmp_path / kind, folder, limits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("crash", "it is damaged, or made to harm"),
        ("hang", "took more than 5 s"),
        ("memory", "more memory than a model of its size should"),
        ("chatter", "it is damaged, or made to harm"),
        ("disk", "it is damaged, or made to harm"),
    ],
)
def test_a_reader_that_goes_wrong_is_one_line(tmp_path, kind, match) -> None:
    with pytest.raises(InputError, match=match) as caught:
        run(tmp_path, kind)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path / kind))


def test_a_reader_answers_and_sees_no_secrets(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CLOUD_TOKEN", "secret")
    assert run(tmp_path, "fine") == {"folder": str(tmp_path / "out")}
    assert "CLOUD_TOKEN" not in run(tmp_path, "secrets")


@pytest.mark.skipif(not any(confined._tools()), reason="neither bwrap nor unshare may make namespaces here")
def test_a_reader_has_no_network_where_namespaces_are_allowed(tmp_path) -> None:
    with pytest.raises(InputError, match="damaged"):
        run(tmp_path, "network")


@pytest.mark.skipif(not confined._tools()[0], reason="bwrap is not installed")
def test_a_reader_writes_nowhere_else_where_bubblewrap_is_installed(tmp_path) -> None:
    with pytest.raises(InputError, match="damaged"):
        run(tmp_path, "outside")
    assert not (tmp_path / "outside").exists()


ENDLESS = """
import sys
from pathlib import Path
from edgetl.models import confined
tools = confined._tools()
confined._tools = lambda: {"bubblewrap": tools, "unshare": ("", tools[1]), "neither": ("", "")}[sys.argv[2]]
confined.run_confined("misbehaving_reader", Path("hang"), Path(sys.argv[1]), confined.Limits(1 << 30, 500, 16 << 20))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("wall", ["bubblewrap", "unshare", "neither"])
def test_a_reader_ends_with_the_program_that_started_it(tmp_path, wall, signal_sent) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path), wall], env=environment)
    wait_for((tmp_path / "started").exists)
    readers = descendants(parent.pid)
    assert readers
    parent.send_signal(signal_sent)
    parent.wait(30)
    wait_for(lambda: not any(map(is_running, readers)))
