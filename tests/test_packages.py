"""The three distributions as wheels: what is in them, and what they ask for."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

pytest.importorskip("edgetl")

import edgetl_device

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
VERSION = edgetl_device.__version__


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    """All, as hatchling builds them."""
    folder = tmp_path_factory.mktemp("wheels")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    made = {}
    for name, project in (("edgetl", ROOT), ("edgetl_device", ROOT / "device"), ("edgetl_fleet", ROOT / "fleet")):
        command = [sys.executable, "-c", build, str(folder)]
        done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
        made[name] = zipfile.ZipFile(folder / done.stdout.split()[-1])
    return made


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


@pytest.mark.parametrize("name", ["edgetl", "edgetl_device", "edgetl_fleet"])
def test_a_wheel_holds_the_package_its_licence_and_that_it_is_typed(wheels, name: str) -> None:
    names = wheels[name].namelist()
    folder = ROOT / {"edgetl": ".", "edgetl_device": "device", "edgetl_fleet": "fleet"}[name] / name
    files = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {path for path in files if "__pycache__" not in path}
    info = f"{name}-{VERSION}.dist-info"
    assert {path for path in names if not path.startswith(info)} == expected
    assert f"{name}/py.typed" in names
    assert wheels[name].read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata(wheels[name])["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("name", ["edgetl", "edgetl_device", "edgetl_fleet"])
def test_a_wheels_description_links_to_nothing_that_only_the_repository_has(wheels, name: str) -> None:
    message = metadata(wheels[name])
    text = str(message.get_payload())
    assert message["Description-Content-Type"] == "text/markdown" and len(text) > 500
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("readme", ["README.md", "device/README.md", "fleet/README.md", "examples/README.md"])
def test_the_links_of_a_readme_lead_to_files_that_are_there(readme: str) -> None:
    path = ROOT / readme
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()) if not link.startswith("https://")]
    assert links and not [link for link in links if not (path.parent / link).exists()]


def test_the_workstation_asks_for_the_device_package_of_its_own_version(wheels) -> None:
    assert {str(metadata(wheel)["Version"]) for wheel in wheels.values()} == {VERSION}
    assert f"edgetl-device=={VERSION}" in metadata(wheels["edgetl"]).get_all("Requires-Dist")
    assert f"edgetl-device[sign]=={VERSION}" in metadata(wheels["edgetl_fleet"]).get_all("Requires-Dist")


def test_the_deployed_wheel_is_the_one_that_is_built() -> None:
    from importlib.metadata import distribution
    from io import BytesIO

    from edgetl.deployment.wheel import device_wheel

    with zipfile.ZipFile(BytesIO(device_wheel()[1])) as wheel:
        info = {name.partition(".dist-info/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    licence = {"licenses/LICENSE"} if distribution("edgetl-device").read_text("licenses/LICENSE") else set()
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt"} | licence
