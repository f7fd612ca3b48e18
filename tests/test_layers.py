"""The architecture, as rules that can fail."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import edgetl_device

ROOT = Path(__file__).parents[1]
DEVICE = ROOT / "device" / "edgetl_device"
DEVICE_MODULES = sorted(
    m.name for m in pkgutil.walk_packages(edgetl_device.__path__, "edgetl_device.") if "__main__" not in m.name
)


ORDER = {
    "device/edgetl_device": [
        "errors percent v4l2 child_process memory_budget",
        "addresses printable progress_bar strict_json secret_file environment extensions files pillow_decoder",
        "labels view_names photo_headers photo_folders photos region preprocess empty_scene part_pose view looking codes arrays projection projected statistics metrics console",
        "heads",
        "store",
        "bundle",
        "inference",
        "inspection learning",
        "home home_regions home_view head_option merging sending",
        "open_home starter",
        "doctor verification",
        "bench",
        "parts",
        "camera",
        "app",
        "web",
        "device",
        "cli",
    ],
    "edgetl": [
        "outputs tf",
        "data keras_config",
        "embedding imports",
        "backbones",
        "training",
        "tflite",
        "models",
        "reports",
        "conversion",
        "evaluation",
        "deployment",
        "api demo",
        "cli",
    ],
    "fleet/edgetl_fleet": [
        "node_keys plan records serving superlink supernode systemd",
        "client_app flower strategy",
        "server_app",
        "cli",
    ],
}
"""The rooms of each package, in order: a module imports from its own room and from those before it, never after."""


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


@pytest.mark.parametrize("package", list(ORDER))
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


def rank(package: str, module: str) -> int:
    """The place in the order of the room that a module, a dotted path within its package, lies in."""
    for number, rooms in enumerate(ORDER[package]):
        if module.split(".")[0] in rooms.split():
            return number
    raise AssertionError(f"{module} lies in no room that ORDER names")


@pytest.mark.parametrize("package", list(ORDER))
def test_a_room_imports_only_from_rooms_before_it(package: str) -> None:
    root = ROOT / package
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        if name in ("__init__", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = path.relative_to(root).parts[:-1][: len(path.relative_to(root).parts) - node.level]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for used in (".".join((*base, str(n))) for n in names):
                    if used != "__version__":
                        assert rank(package, used) <= rank(package, name), (
                            f"{path} imports {used}, a room after its own"
                        )


def test_there_is_no_file_called_utils() -> None:
    files = [path for package in ORDER for path in (ROOT / package).rglob("*.py")]
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


def test_each_module_of_the_tests_has_a_name_of_its_own() -> None:
    """pytest imports them by that alone, and `make test` all of them together."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    assert [name for name, count in names.items() if count > 1] == []
