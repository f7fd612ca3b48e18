"""The Python API of the workstation: what its docstrings promise, and the same as the command line."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from loopback import AVAILABLE, machine

pytest.importorskip("edgetl")

import edgetl
from edgetl import api
from edgetl.conversion.convert import Options
from edgetl.training.finetuning import Plan
from edgetl_device.errors import InputError

VERBS = (
    "load_photos", "train", "convert", "evaluate", "predict", "embed", "train_embeddings", "convert_embeddings", "deploy"
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes, as the docstrings take them."""
    made = tmp_path_factory.mktemp("api")
    write_photos(made / "photos", ("ball", "box"), 20)
    write_photos(made / "new-photos", ("ball", "box"), 6, seed=1)
    return made


def examples() -> dict[str, doctest.DocTest]:
    modules = (api.photos, api.training, api.bundles, api.embedded)
    return {test.name.split(".")[-1]: test for each in modules for test in doctest.DocTestFinder().find(each)}


def check(name: str) -> None:
    said: list[str] = []
    example = examples()[name]
    assert example.examples, f"{name} has no example"
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append, clear_globs=False)
    assert not said, "".join(said)


@pytest.mark.slow
def test_the_examples_in_docstrings_are_right(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.chdir(folder)
    for name in VERBS[:-1]:
        check(name)
    said = capfd.readouterr()
    assert said.out == "" and said.err == "", "the API prints nothing"


@pytest.mark.slow
@pytest.mark.skipif(not AVAILABLE, reason="needs OpenSSH's client and server (Debian: openssh-server)")
def test_the_example_of_deploy_is_right(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toys.edgetl").write_bytes(bundle_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    try:
        with machine(tmp_path / "device", {}) as there:
            monkeypatch.setenv("EDGETL_SSH", there.ssh)
            script = there.programs / "edgetl-device"
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgetl_device "$@"\n')
            script.chmod(0o755)
            check("deploy")
    except OSError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, edgetl\n"
        "assert 'train' in dir(edgetl)\n"
        "heavy = {'numpy', 'cv2', 'click', 'rich', 'tensorflow', 'tf_keras', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from edgetl import *\n"
        "assert train and Run\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_exported_is_there_and_nothing_else() -> None:
    assert set(VERBS) <= set(edgetl.__all__)
    for name in edgetl.__all__:
        assert getattr(edgetl, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'trane'"):
        _ = edgetl.trane


def test_each_public_name_is_in_the_reference() -> None:
    reference = Path(__file__).parents[1] / "docs/reference/python-workstation.md"
    documented = {line.split()[-1] for line in reference.read_text().splitlines() if line.startswith(".. auto")}
    assert documented == set(edgetl.__all__) - {"__version__"}


def test_both_distributions_have_the_same_version_and_say_that_they_are_typed() -> None:
    import edgetl_device

    assert edgetl.__version__ == edgetl_device.__version__
    for package in (edgetl, edgetl_device):
        assert (Path(package.__path__[0]) / "py.typed").is_file()


def test_what_fine_tuning_takes_are_the_fields_of_a_plan() -> None:
    assert set(api.FineTuning.__annotations__) == {field.name for field in fields(Plan)} - {"strategy", "seed"}


def test_what_convert_takes_by_default_is_what_the_options_are_by_default() -> None:
    parameters = inspect.signature(edgetl.convert).parameters
    for field in fields(Options):
        if field.name in parameters:
            assert parameters[field.name].default == field.default, field.name


def test_what_the_command_line_takes_can_be_said_in_python_with_the_same_defaults() -> None:
    from edgetl.cli import program

    renamed = {
        "output",
        "file",
        "photos",
        "run",
        "as_json",
        "verbose",
        "target",
        "no_runtime",
        "val_split",
        "group",
        "source",
        "embeddings",  # functions of their own: train_embeddings and convert_embeddings
    }
    for name in ("train", "convert", "evaluate", "predict", "deploy"):
        parameters = inspect.signature(getattr(edgetl, name)).parameters
        for option in program.commands[name].params:
            if option.name in renamed or option.name in api.FineTuning.__annotations__:
                continue
            assert option.name in parameters, f"{name} lacks {option.name}"
            if option.name != "scale":
                default = option.to_info_dict()["default"]
                assert (default or None) == (parameters[option.name].default or None), option.name


@pytest.mark.slow
def test_outputs_are_not_replaced_unless_asked_for_and_progress_is_told_on_request(folder: Path) -> None:
    told: list[str] = []
    with pytest.raises(InputError, match="exists and is not a RUN: choose another name"):
        edgetl.train(folder / "photos", folder / "photos")
    run = edgetl.train(folder / "photos", str(folder / "told"), weights="builtin", progress=told.append)
    assert told[0] == "40 photos of 2 classes" and told[1].startswith("training on the ")
    assert edgetl.train(folder / "photos", run.folder, weights="builtin", force=True).accuracy == run.accuracy
    with pytest.raises(InputError, match="exists: choose another name, or --force"):
        edgetl.convert(run, folder / "photos")


@pytest.mark.slow
def test_a_photo_list_that_is_held_in_memory_is_trained_on_as_it_is(folder: Path) -> None:
    photos = edgetl.load_photos(folder / "photos", val_split=0.5, seed=3)
    run = edgetl.train(photos, folder / "half", weights="builtin")
    assert run.dataset == photos
    assert np.isclose(run.accuracy, 1.0, atol=0.1)
