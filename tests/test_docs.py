"""The documentation against the code: what it names exists, and what exists is named."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from ports import free_port

pytest.importorskip("edgetl")

from conftest import write_photos
from test_layers import ORDER

from edgetl.backbones.catalogue import CATALOGUE
from edgetl.cli import program as host_program
from edgetl_device import console
from edgetl_device.app.sinks import BUILT_IN
from edgetl_device.camera import opening
from edgetl_device.cli import program as device_program
from edgetl_device.heads import registry
from edgetl_device.store.store import Store
from edgetl_device.web.openapi import document

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [ROOT / folder / "README.md" for folder in ("device", "benchmarks", "examples")] + [ROOT / "SECURITY.md"]
PROGRAMS = {"edgetl": host_program, "edgetl-device": device_program}


def names_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one."""
    (body,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.S | re.M)
    return body


def page(name: str) -> str:
    return (DOCS / name).read_text()


def shell_blocks(path: Path) -> list[str]:
    return re.findall(r"^ *```sh\n(.*?)^ *```", path.read_text(), re.S | re.M)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each call of one of the two programs in a text for a shell."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        for call in re.split(r"[|;&]|\bsudo\b", line.partition(" #")[0]):
            words = [word.strip("\"'") for word in call.split()]
            if words and words[0].rpartition("/")[2] in PROGRAMS:
                yield [words[0].rpartition("/")[2], *words[1:]]


# links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=names_of)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{names_of(path)} links to {target}"


def test_the_readme_fits_on_three_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


# the quick start -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_quick_start_runs_as_it_stands(tmp_path) -> None:
    blocks = shell_blocks(ROOT / "README.md")
    story = next(block for block in blocks if block.startswith("edgetl parts"))
    live = next(block.strip() for block in blocks if "run --camera parts" in block)
    environment = os.environ | {
        "EDGETL_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for command, code in ((story, 0), (f"{live} --web 127.0.0.1:0 --max-frames 20", 0)):
        done = subprocess.run(
            ["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        if command == story:
            assert "stored 15 samples of hinge" in done.stdout and "forgot 15 samples" in done.stdout
            lines = [line for line in done.stdout.splitlines() if line.startswith(("new/hinge/", "photos/gear/"))]
            right = [line for line in lines if line.split("/")[1] in line.partition(": ")[2]]
            assert len(lines) == 16 and len(right) >= 14, lines
    assert "page    http://127.0.0.1:" in done.stdout and "20 frames" in done.stdout


@pytest.mark.slow
def test_the_fleet_of_the_guide_runs_as_it_stands(tmp_path) -> None:
    story = "".join(block for block in shell_blocks(DOCS / "how-to/fleet.md")[:3])
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    story = story.replace("8700", str(free_port()))
    done = subprocess.run(
        ["bash", "-emuc", story], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, byte for byte" in done.stdout and "3 devices, 0 late" in done.stdout


# commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=names_of)
def test_every_command_and_option_that_a_page_shows_exists(path: Path) -> None:
    for block in shell_blocks(path):
        for program, *words in commands(block):
            group = PROGRAMS[program]
            options = {o for p in group.params for o in p.opts}
            while words and words[0].startswith("-"):
                assert words[0] in options | {"--version", "--help"}, f"{program} has no {words[0]}"
                words = words[2:] if words[0] == "--home" else words[1:]
            if not words:
                continue
            name, *arguments = words
            assert name in group.commands, f"{names_of(path)}: {program} has no command {name}"
            command = group.commands[name]
            if isinstance(command, click.Group):
                assert arguments and arguments[0] in command.commands, f"{names_of(path)}: {program} {name} {arguments}"
                command = command.commands[arguments[0]]
            known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            if name == "service":
                known |= {o for p in group.commands["run"].params for o in p.opts}
            for word in arguments:
                if word.startswith("--"):
                    assert word.partition("=")[0] in known, f"{names_of(path)}: {program} {name} has no {word}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_s_result_is_on_the_page_of_json_keys(program: str) -> None:
    table = section(page("reference/json.md"), f"Keys of `{program}`")
    documented = {name for row in re.findall(r"^\| (`[^|]*)\|", table, re.M) for name in re.findall(r"`([\w-]+)`", row)}
    assert documented == set(PROGRAMS[program].commands)


def promised(program: str, command: str) -> set[str]:
    """The keys of a command's JSON object, without those of the objects in it."""
    table = section(page("reference/json.md"), f"Keys of `{program}`")
    (cells,) = (keys for names, keys in re.findall(r"^\| (.*?) \| (.*?) \|", table, re.M) if f"`{command}`" in names)
    while cells != (outer := re.sub(r"\([^()]*\)", "", cells)):
        cells = outer
    return set(re.findall(r"`(\w+)`", cells))


@pytest.mark.slow
def test_results_hold_the_keys_that_are_promised(tmp_path, bundle_path, photo_file, capfd) -> None:
    def run(program: str, command: str, *arguments: object, code: int = 0) -> None:
        capfd.readouterr()
        words = [str(word) for word in (command, *arguments)] + ["--json"]
        assert console.run(PROGRAMS[program], program, words) in (0, code)
        assert set(json.loads(capfd.readouterr().out)) >= promised(program, command), command

    home = ("--home", tmp_path / "home")
    ball, kites = photo_file("ball", 500), [photo_file("kite", seed) for seed in range(3)]
    run("edgetl-device", "install", bundle_path, *home)
    run("edgetl-device", "learn", "kite", *kites, *home)
    run("edgetl-device", "relabel", "kit", 1, *home, code=1)
    for command, *arguments in (
        ["classify", ball],
        ["retrain"],
        ["samples"],
        ["versions"],
        ["status"],
        ["rollback", 1],
        ["service"],
        ["doctor"],
        ["bench", "--runs", 10, "--no-cold-start"],
        ["run", "--camera", ball.parent, "--no-web"],
        ["export-stats", tmp_path / "statistics"],
        ["backup", tmp_path / "backup"],
        ["restore", tmp_path / "backup"],
        ["forget", "--label", "kite"],
    ):
        run("edgetl-device", command, *arguments, *home, code=1)
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 2, seed=7)
    for command, *arguments in (
        ["parts", tmp_path / "parts", "--per-class", 1, "--classes", "nut,bolt", "--size", 32],
        ["import", "huggingface", photos, "-o", tmp_path / "list.csv"],
        ["embed", photos, "-o", tmp_path / "embedded", "--bundle", bundle_path],
        ["evaluate", bundle_path, photos],
        ["predict", bundle_path, photos],
        ["explain", bundle_path, ball, "-o", tmp_path / "explained"],
        ["inspect", bundle_path],
        ["preflight", bundle_path],
        ["merge", bundle_path, tmp_path / "statistics", "-o", tmp_path / "merged.edgetl"],
        ["keygen", tmp_path / "owner"],
        ["sign", tmp_path / "merged.edgetl", "--key", tmp_path / "owner.key"],
    ):
        run("edgetl", command, *arguments, code=1)


def test_the_reference_is_made_from_the_programs_themselves() -> None:
    for program, module in (("edgetl", "edgetl.cli"), ("edgetl-device", "edgetl_device.cli")):
        text = page(f"reference/cli-{program}.rst")
        assert f".. click:: {module}:program\n   :prog: {program}\n   :nested: full" in text
    for group in PROGRAMS.values():
        assert isinstance(group, click.Group) and group.help


# messages --------------------------------------------------------------------------------------------------------


@cache
def texts() -> str:
    """Every constant text in the code, adjacent literals joined, and the shell scripts."""
    found = []
    for package in ("edgetl", "device/edgetl_device", "fleet/edgetl_fleet"):
        for path in (ROOT / package).rglob("*.py"):
            found += [
                n.value
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.Constant) and type(n.value) is str
            ]
        found += [path.read_text() for path in (ROOT / package).rglob("*.sh")]
    return "\0".join(found)


def test_every_message_that_is_explained_still_exists() -> None:
    messages = re.findall(r"^`+(.*?)`+\n: ", page("troubleshooting.md"), re.M)
    assert len(messages) > 40
    missing = [part for message in messages for part in message.split("…") if part.strip() not in texts()]
    assert not missing


def test_the_doctor_s_lines_are_shown_with_the_marks_that_it_prints() -> None:
    blocks = [b for path in PAGES for b in re.findall(r"```text\n(.*?)```", path.read_text(), re.S) if "fix: " in b]
    marks = {mark for block in blocks for mark in re.findall(r"^(\w+)  ", block, re.M)}
    assert blocks and all(f"\0{mark}\0" in texts() for mark in marks), marks


# tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "title"),
    [
        ("device/edgetl_device", "On the device, and shared: `device/edgetl_device`"),
        ("edgetl", "On the workstation: `edgetl`"),
        ("fleet/edgetl_fleet", "In federated rounds: `fleet/edgetl_fleet`"),
    ],
)
def test_the_architecture_page_lists_the_rooms_in_the_order_that_the_tests_hold(package: str, title: str) -> None:
    table = section(page("architecture.md"), title)
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| .+ \|$", table, re.M)
    assert len(rows) == len(re.findall(r"^\| `", table, re.M))
    rooms = [(room, str(level)) for level, group in enumerate(ORDER[package], 1) for room in group.split()]
    assert [level for _, level in rows] == [level for _, level in rooms]
    assert sorted(rows) == sorted(rooms)


def test_every_table_and_column_of_the_store_and_the_history_is_described(tmp_path) -> None:
    import apsw

    from edgetl_device.store.history import History
    from edgetl_device.store.history_event import Event

    Store(tmp_path / "device.sqlite").close()
    history = History(tmp_path / "history.sqlite")
    history.write([(Event("mug", "2026-11-27T10:00:00.000+00:00", 1.0, 0.5, "camera"), None)])
    history.close()
    for name, text in zip(("device", "history"), page("reference/store.md").split("## The history"), strict=True):
        database = apsw.Connection(str(tmp_path / f"{name}.sqlite"))
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = [table for (table,) in database.execute(query)]
        columns = "SELECT name FROM pragma_table_info(?)"
        real = {(table, column) for table in tables for (column,) in database.execute(columns, (table,))}
        described, table = set(), ""
        for first, second in re.findall(r"^\| (.*?) \| (.*?) \|", text.replace("| | ", "| - | "), re.M):
            table = first.strip("`") if first.startswith("`") else table
            described |= {(table, column) for column in re.findall(r"`(\w+)`", second)}
        assert described == real, name


def routes(module: str, prefix: str = "") -> set[str]:
    """The requests that a module of the web room answers: ``METHOD /path``."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "device/edgetl_device/web" / module).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Route", "WebSocketRoute"):
            path = re.sub(r"\{.*?\}", "ID", ast.literal_eval(node.args[0]))
            methods = [ast.literal_eval(word.value) for word in node.keywords if word.arg == "methods"]
            verb = "WS" if node.func.id == "WebSocketRoute" else methods[0][0] if methods else "GET"
            found.add(f"{verb} {prefix}{path}")
    return found


def test_the_rest_page_lists_every_request_and_no_other() -> None:
    verbs = {"101": "WS"}  # a WebSocket begins by switching to it
    listed = {
        f"{next((verbs[s] for s in operation['responses'] if s in verbs), method.upper())} {re.sub('{.*?}', 'ID', path)}"
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }
    assert "{rest-reference}" in page("reference/rest.md")
    apis = ("api.py", "review_api.py", "inspection_api.py", "view_api.py", "history_api.py", "regions_api.py")
    served = routes("site.py").union(*(routes(file, "/api/v1") for file in apis))
    assert listed == served - {"GET /", "GET /inspect"}


def test_every_check_that_make_knows_is_in_contributing() -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    table = section((ROOT / "CONTRIBUTING.md").read_text(), "Run the checks")
    listed = set(re.findall(r"^\| `make ([\w-]+)`", table, re.M))
    assert listed == targets - {"help", "install", "demo", "constraints", "clean"}


def test_every_benchmark_says_what_it_asks() -> None:
    table, _, _ = (ROOT / "benchmarks" / "README.md").read_text().partition("\n## ")
    shared = {
        "__init__",
        "__main__",
        "flower_rounds",
        "forked",
        "fuzz_targets",
        "harness",
        "hostile_inputs",
        "inspection_peers",
        "peers",
        "situations",
    }
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - shared
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == scripts


def test_modules_moved_to_where_the_page_on_upgrading_says() -> None:
    moved = re.findall(r"^\| `[\w.]+` \| `([\w.]+)` \|", page("upgrading.md"), re.M)
    assert moved and all(find_spec(name) for name in moved)


def test_every_learning_rule_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)`", page("explanation/heads.md"), re.M)) == set(registry.HEADS)


def test_every_backbone_camera_and_sink_is_named() -> None:
    lite = {f"efficientnet_lite{number}" for number in range(5)}
    assert set(re.findall(r"`(\w+)`", page("how-to/weights.md"))) | lite >= set(CATALOGUE) - {"small"}  # of other tests
    for word in re.findall(r"picamera2|parts|rtsp://|http://|auto|/dev/v4l/by-id/…", opening.SPECS):
        assert f"`{word}" in page("how-to/cameras.md")
    for name in BUILT_IN:
        assert f"--sink {name}:" in page("how-to/act-on-labels.md")
