"""The architecture, as rules that can fail."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgetl_device

ROOT = Path(__file__).parents[1]
DEVICE = ROOT / "device" / "edgetl_device"
DEVICE_MODULES = sorted(
    m.name for m in pkgutil.walk_packages(edgetl_device.__path__, "edgetl_device.") if "__main__" not in m.name
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def test_the_device_never_imports_the_workstation_or_tensorflow() -> None:
    for path in DEVICE.rglob("*.py"):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"edgetl", "tensorflow", "tf_keras", "keras", "scipy", "sklearn"}, path


def test_with_tensorflow_blocked_every_device_module_imports() -> None:
    code = "import sys, importlib\nfor n in ('tensorflow', 'tf_keras', 'edgetl'): sys.modules[n] = None\n"
    code += "\n".join(f"importlib.import_module({name!r})" for name in DEVICE_MODULES)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_interpreter_imports_a_tflite_runtime_on_the_device() -> None:
    for path in DEVICE.rglob("*.py"):
        if path.name != "interpreter.py":
            assert not {name.split(".")[0] for name in imports(path)} & {"ai_edge_litert", "tflite_runtime"}, path


@pytest.mark.parametrize("package", ["device/edgetl_device", "edgetl"])
def test_modules_do_not_import_each_other_in_circles(package: str) -> None:
    root = ROOT / package
    graph: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        if path.name == "__init__.py":
            continue
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        graph[name] = set()
        for node in ast.parse(path.read_text()).body:  # module level: what runs at import time
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.relative_to(root).parts[:-1][: len(path.relative_to(root).parts) - node.level]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                graph[name] |= {".".join((*base, *str(n).split("."))) for n in names}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(("package", "end"), [("device/edgetl_device", "    edgetl/"), ("edgetl", "; pretraining/")])
def test_the_readme_lists_every_file_after_those_it_imports(package: str, end: str) -> None:
    text = (ROOT / "README.md").read_text().split(f"    {package}/", 1)[1].split(end, 1)[0]
    listed = [name.strip().rstrip("/") for name in re.sub(r"\(.*?\)", "", text).split(",")]
    there = {
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert set(listed) == there - {"__init__", "__main__", "pretraining", "builtin"}
    for number, name in enumerate(listed):
        folder = ROOT / package / name
        for path in folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]:
            up = len(path.relative_to(ROOT / package).parts)  # dots that lead to the package itself
            nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
            used = [
                node.module.split(".")[0] if node.module else node.names[0].name for node in nodes if node.level == up
            ]
            assert not set(used) & set(listed[number + 1 :]), f"{path} imports from below"


def test_there_is_no_file_called_utils() -> None:
    files = [*DEVICE.rglob("*.py"), *(ROOT / "edgetl").rglob("*.py")]
    assert not [path for path in files if path.stem in ("utils", "util", "helpers", "misc", "common")]


@pytest.mark.parametrize("command", [["edgetl", "--help"], ["edgetl", "train", "--help"], ["edgetl_device", "--help"]])
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    pytest.importorskip("edgetl")
    code = (
        f"import sys, runpy; sys.argv = {command!r}\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'tf_keras', 'cv2', 'apsw', 'rich', 'ai_edge_litert', 'starlette', 'uvicorn', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
