"""Pins of a Raspberry Pi: a light barrier asks for a part, and an ejector is told what it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from web_site import laid_part, until

from edgetl_device.app.app import App
from edgetl_device.app.background import Listener, Taker
from edgetl_device.app.sinks import open_sink
from edgetl_device.camera import FakeCamera
from edgetl_device.errors import InputError


@pytest.fixture
def pins() -> Iterator[Any]:
    """gpiozero's own stand-in for the pins: everything above them is the real thing."""
    gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed (the extra [gpio])")
    from gpiozero.pins.mock import MockFactory

    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = None


@contextmanager
def inspecting(home: Any, spec: str, *, scratched: bool) -> Iterator[App]:
    frames = [laid_part(seed, scratched=scratched) for seed in range(900, 908)]
    with App(home, FakeCamera(frames * 500, fps=30, finite=False), part_trigger="request") as app:
        app.inspecting.teach("good", [laid_part(seed) for seed in range(900, 912)])
        sink: Any = open_sink(spec)
        sink.attach(app)
        beside, taker = Listener("gpio", app.pipeline, sink), Taker("gpio (parts)", app.inspecting.listen(), sink.part)
        beside.start()
        taker.start()
        try:
            until(lambda: app.pipeline.latest() is not None)
            yield app
        finally:
            sink.close()
            beside.stop()
            taker.stop()


def test_a_light_barrier_asks_for_a_part_and_the_ejector_gets_a_pulse(home, pins) -> None:
    with inspecting(home, "gpio:part=17&bad=27&good=22&pulse=0.1", scratched=True) as app:
        ejector, lamp = pins.pin(27), pins.pin(22)
        pins.pin(17).drive_low()  # pulled up: low is "here it is"
        until(lambda: app.inspecting.shift()["bad"] == 1)
        until(lambda: [state.state for state in ejector.states] == [False, True, False])
        shone = [state.timestamp for state in ejector.states]
        assert 0.09 <= shone[2] < 5  # gpiozero notes the time since the state before; a busy machine ends it late
        assert [state.state for state in lamp.states] == [False]
        pins.pin(17).drive_high()
        time.sleep(0.3)
        assert app.inspecting.shift()["bad"] == 1  # the part goes: nothing is asked
        pins.pin(17).drive_low()
        until(lambda: app.inspecting.shift()["bad"] == 2)
    assert ejector.state is False or ejector.function == "input"


def test_a_good_part_lights_its_lamp_and_a_barrier_may_be_active_high(home, pins) -> None:
    with inspecting(home, "gpio:part=4&good=5&level=high", scratched=False) as app:
        pins.pin(4).drive_high()
        until(lambda: app.inspecting.shift()["good"] == 1)
        until(lambda: True in [state.state for state in pins.pin(5).states])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "expected pins, each for one thing, such as"),
        ("pulse=1", "expected pins, each for one thing"),
        ("part=17&bad=17", "expected pins, each for one thing"),
        ("part=x", "part must be the number of a pin, such as 17, got 'x'"),
        ("part=99", "part must be the number of a pin"),
        ("part=17&part=18", "is given twice"),
        ("pin=17", "is none of part, good, bad, pulse, level"),
        ("bad=27&pulse=0", "pulse must be up to 10 seconds"),
        ("bad=27&pulse=nan", "pulse must be up to 10 seconds"),
        ("part=17&level=up", "is low or high, got 'up'"),
    ],
)
def test_what_names_no_pins_is_refused_in_one_line(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        open_sink(f"gpio:{argument}")
    assert "\n" not in str(refusal.value)


def test_without_gpiozero_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(InputError, match=r"the sink gpio needs gpiozero: `pip install 'edgetl-device\[gpio\]'`"):
        open_sink("gpio:part=17")


def test_a_machine_without_pins_is_told_so_and_what_was_opened_is_given_back(pins) -> None:
    with pytest.raises(InputError, match=r"pin 60 cannot be used .* this needs a Raspberry Pi") as refusal:
        open_sink("gpio:part=17&bad=60")
    assert "\n" not in str(refusal.value)
    open_sink("gpio:part=17").close()  # it is free again
