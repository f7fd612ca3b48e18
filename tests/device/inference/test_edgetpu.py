"""The Edge TPU, as seen from a machine without one: a fake libedgetpu, built here, fails in each of the ways a real one does."""

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, draw, write_photos

from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.cli import program
from edgetl_device.environment import RUNTIMES, choose_runtime
from edgetl_device.home import Home
from edgetl_device.inference import edgetpu
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.inference.edgetpu import TWIN, machine_of, try_out
from edgetl_device.inference.interpreter import TFLiteInterpreter, open_interpreter

COMPILER = shutil.which("cc") or shutil.which("gcc")
MODULE = RUNTIMES[choose_runtime()][0]

# The C interfaces of libedgetpu (edgetpu_c.h) and of TFLite's external delegates, as far as they are called. The delegate
# takes no node, so a model without custom operators runs on the CPU through it.
SOURCE = r"""
#include <stddef.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
struct device { int type; const char *path; };
struct device *edgetpu_list_devices(size_t *count) {
    *count = DEVICES;
    struct device *found = calloc(DEVICES + 1, sizeof(struct device));
    for (int i = 0; i < DEVICES; i++) { found[i].type = i == 0; found[i].path = "/sys/bus/x"; }
    return DEVICES ? found : (free(found), (struct device *)0);
}
void edgetpu_free_devices(struct device *found) { free(found); }
const char *edgetpu_version(void) { return "BuildLabel(COMPILER=fake), RuntimeVersion(13)"; }
struct delegate {
    void *data; int (*prepare)(void *, struct delegate *); void *from, *to, *free_buffer; int64_t flags; void *builder;
};
static int prepare(void *context, struct delegate *self) {
    if (CRASH_IN_PREPARE) *(volatile int *)0 = 1;
    return REFUSE_MODEL;
}
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    if (CRASH_IN_CREATE) abort();
    if (REFUSE_DEVICE) { report("Error in device opening (/sys/bus/usb/devices/2-1)!"); return 0; }
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i], "device") || strcmp(values[i], "usb:0")) { report("unexpected option"); return 0; }
    struct delegate *made = calloc(1, sizeof(struct delegate));
    made->prepare = prepare;
    return made;
}
void tflite_plugin_destroy_delegate(void *made) { free(made); }
"""
NORMAL = {"DEVICES": 2, "CRASH_IN_PREPARE": 0, "CRASH_IN_CREATE": 0, "REFUSE_DEVICE": 0, "REFUSE_MODEL": 0}


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory):
    """A factory of fake libraries."""
    if COMPILER is None:
        pytest.skip("needs a C compiler to build a fake libedgetpu")
    folder = tmp_path_factory.mktemp("edgetpu")

    def build(**faults: int) -> Path:
        path = folder / ("-".join(f"{k}{v}" for k, v in faults.items()) or "whole") / "libedgetpu.so.1"
        if not path.exists():
            path.parent.mkdir()
            flags = [f"-D{name}={value}" for name, value in (NORMAL | faults).items()]
            command = [COMPILER, "-shared", "-fPIC", *flags, "-x", "c", "-", "-o", str(path)]
            subprocess.run(command, input=SOURCE.encode(), check=True)
        return path

    return build


@pytest.fixture
def twin_bundle(bundle_path, tmp_path):
    """A bundle with a twin: the same model, as a delegate that takes no node cannot run a compiled one."""
    bundle = open_bundle(bundle_path)
    path = tmp_path / "twin.edgetl"
    write_bundle(path, bundle.manifest, {**bundle.members, TWIN: TINY.read_bytes()})
    return open_bundle(path)


def test_a_working_edge_tpu_is_found_and_named(fake) -> None:
    found = try_out(str(fake()), "", MODULE, TINY.read_bytes())
    assert found.ok and found.devices == ("usb:0", "pci:0") and found.runtime_version == 13


def test_the_chosen_device_is_passed_on(fake) -> None:
    assert try_out(str(fake()), "usb:0", MODULE).ok
    refused = try_out(str(fake()), "pci:0", MODULE)
    assert not refused.ok and "unexpected option" in refused.detail  # by the fake, which wants usb:0


@pytest.mark.parametrize(
    ("faults", "device", "detail", "fix"),
    [
        ({"DEVICES": 0}, "", "no Edge TPU is attached", "USB 3 port"),
        ({}, "usb:1", "there is no Edge TPU usb:1; attached: usb:0, pci:0", "EDGETL_EDGETPU=usb:0"),
        ({}, "serial:1", "EDGETL_EDGETPU is 'serial:1'", "set it to auto, off, usb"),
        ({"REFUSE_DEVICE": 1}, "", "cannot be opened: Error in device opening", "plugdev"),
        ({"CRASH_IN_CREATE": 1}, "", "crashes (SIGABRT)", "EDGETL_RUNTIME=tflite"),
        ({"CRASH_IN_PREPARE": 1}, "", "crashes (SIGSEGV)", "EDGETL_RUNTIME=tflite"),
        ({"REFUSE_MODEL": 1}, "", "cannot run this backbone", "convert it again"),
    ],
)
def test_each_failure_is_explained_with_what_to_do(fake, faults, device: str, detail: str, fix: str) -> None:
    found = try_out(str(fake(**faults)), device, MODULE, TINY.read_bytes())
    assert not found.ok and detail in found.detail and fix in found.fix


@pytest.mark.slow
def test_a_missing_library_is_told_from_one_for_another_machine_and_from_no_library(fake, tmp_path) -> None:
    missing = try_out(str(tmp_path / "libedgetpu.so.1"), "", MODULE)
    assert "is not installed" in missing.detail and "libedgetpu1-std" in missing.fix
    foreign = tmp_path / "foreign.so"
    data = bytearray(fake().read_bytes())
    data[18:20] = (8).to_bytes(2, "little")  # MIPS, which no test runs on
    foreign.write_bytes(data)
    assert "is for ELF machine 8, this machine is" in try_out(str(foreign), "", MODULE).detail
    text = tmp_path / "text.so"
    text.write_text("hello")
    assert "is not a shared library" in try_out(str(text), "", MODULE).detail and machine_of(text) == ""
    assert "is not libedgetpu" in try_out("libm.so.6", "", MODULE).detail


def test_a_backbone_compiled_for_a_newer_runtime_names_both_versions() -> None:
    stages = [{"stage": "model", "devices": ["usb:0"], "runtime_version": 13}]
    error = "Failed precondition: Package requires runtime version (14), which is newer than this runtime version (13)."
    found = edgetpu._explained([*stages, {"stage": "model", "error": error}], 1, "libedgetpu.so.1", "", MODULE)
    assert "compiled for Edge TPU runtime 14, but libedgetpu.so.1 is 13" in found.detail
    assert "--min_runtime_version 13" in found.fix


def test_a_bundle_with_a_twin_computes_on_the_edge_tpu_and_says_so(fake, twin_bundle, monkeypatch) -> None:
    monkeypatch.setenv("EDGETL_EDGETPU_LIBRARY", str(fake()))
    backbone = open_backbone(twin_bundle)
    assert backbone.runtime.endswith("+edgetpu-13")
    assert (
        backbone.embed(draw("ball", 1)) == TFLiteInterpreter(TINY.read_bytes())(backbone.preprocessing(draw("ball", 1)))
    ).all()


@pytest.mark.slow
def test_samples_learned_on_the_edge_tpu_are_recorded_as_of_another_runtime(
    fake, twin_bundle, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("EDGETL_EDGETPU_LIBRARY", str(fake()))
    home = Home(tmp_path / "home")
    home.install(tmp_path / "twin.edgetl")
    photos = write_photos(tmp_path / "photos", ("kite",), 1)
    assert console.run(program, "d", ["--home", str(home.folder), "learn", "kite", str(photos), "--no-retrain"]) == 0
    (runtime,) = home.learner().device_statistics().runtimes
    assert runtime.endswith("+edgetpu-13")


def test_where_the_library_crashes_the_app_goes_on_with_the_cpu_twin_and_a_visible_warning(
    fake, twin_bundle, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("EDGETL_EDGETPU_LIBRARY", str(fake(CRASH_IN_PREPARE=1)))
    with caplog.at_level(logging.WARNING):
        backbone = open_backbone(twin_bundle)
    assert "edgetpu" not in backbone.runtime
    assert "computing on the CPU" in caplog.text and "crashes (SIGSEGV)" in caplog.text
    assert backbone.embed(draw("ball", 1)).dtype == np.int8


def test_off_and_bundles_without_a_twin_try_nothing_and_warn_of_nothing(twin_bundle, monkeypatch, caplog) -> None:
    monkeypatch.setattr(edgetpu, "try_out", lambda *arguments: pytest.fail("tried"))
    monkeypatch.setenv("EDGETL_EDGETPU", "off")
    open_backbone(twin_bundle)
    monkeypatch.delenv("EDGETL_EDGETPU")
    open_interpreter(TINY.read_bytes(), None)
    assert not caplog.text


def test_a_model_that_coral_compiled_is_refused_by_a_delegate_that_does_not_take_it(fake, shared) -> None:
    compiled = (shared / "models/coral/mobilenet_v1_0.25_128_quant_edgetpu.tflite").read_bytes()
    found = try_out(str(fake()), "", MODULE, compiled)
    assert not found.ok and "edgetpu-custom-op" in found.detail
