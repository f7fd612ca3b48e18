"""``gpio``: pins of a Raspberry Pi. One asks for a part to be inspected, others say for a moment what it was.

Pins are numbered as Broadcom does (GPIO17 is 17). The work is gpiozero's.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...printable import printable
from ..subscription import Recognition
from .part_requests import PartRequests
from .sink_options import sink_options

if TYPE_CHECKING:
    from ..app import App
    from ..inspecting import PartVerdict

log = logging.getLogger("edgetl.sinks")

OPTIONS = ("part", "good", "bad", "pulse", "level")
PINS = ("part", "good", "bad")
MAX_PIN, MAX_PULSE_S = 63, 10.0
PULSE_S = 0.2
BOUNCE_S = 0.02  # contacts bounce for some milliseconds
_EXAMPLE = "--sink gpio:part=17&bad=27"


class GpioSink:
    """Pins as a sink; the input is read by a thread of gpiozero.

    Args:
        argument: ``part=PIN``, ``good=PIN``, ``bad=PIN``, ``pulse=SECONDS``, ``level=low`` or ``level=high``, joined
            by ``&``.

    Raises:
        InputError: it names no pin or something else than that, gpiozero is not installed, or a pin cannot be used.
    """

    def __init__(self, argument: str) -> None:
        options = sink_options(argument, OPTIONS, "--sink gpio")
        pins = {name: _pin(name, options[name]) for name in PINS if name in options}
        if not pins or len(set(pins.values())) < len(pins):
            raise InputError(f"--sink gpio: expected pins, each for one thing, such as `{_EXAMPLE}`")
        level = options.get("level", "low")
        if level not in ("low", "high"):
            raise InputError(f"--sink gpio: the level of a part is low or high, got {printable(level, 40)!r}")
        self._pulse_s = _seconds(options.get("pulse"))
        self._requests: PartRequests | None = None
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._input, self._outputs = _opened(pins, pull_up=level == "low")

    def attach(self, app: App) -> None:
        """From now on the input asks for parts."""
        if self._input is not None:
            self._requests = PartRequests(app, self._tell)
            self._input.when_activated = self._requests.press

    def __call__(self, recognition: Recognition) -> None:
        """Inspect the first frame after a part was asked for."""
        if self._requests is not None:
            self._requests.give_up()
            self._requests.look(recognition)

    def part(self, verdict: PartVerdict) -> None:
        """Switch the verdict's pin on for a moment; the next verdict's turn comes after it."""
        output = self._outputs.get("good" if verdict.good else "bad")
        with self._lock:
            if output is None or self._closed.is_set():
                return
            output.on()
        self._closed.wait(self._pulse_s)
        with self._lock:
            if not self._closed.is_set():
                output.off()

    def close(self) -> None:
        """Switch all off and give the pins back."""
        with self._lock:
            self._closed.set()
            for output in self._outputs.values():
                output.off()
                output.close()
        if self._input is not None:
            self._input.close()

    def _tell(self, problem: str) -> None:
        if problem:
            log.warning("the part was not inspected: %s", problem)


def _opened(pins: dict[str, int], *, pull_up: bool) -> tuple[Any, dict[str, Any]]:
    """The input or None, and the outputs; all or none."""
    try:
        from gpiozero import DigitalInputDevice, DigitalOutputDevice
        from gpiozero.exc import GPIOZeroError
    except ImportError:
        raise InputError("the sink gpio needs gpiozero: `pip install 'edgetl-device[gpio]'`") from None
    opened: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():  # it tells of each way to reach the pins that is not there
            warnings.simplefilter("ignore")
            for name, pin in pins.items():
                if name == "part":
                    opened[name] = DigitalInputDevice(pin, pull_up=pull_up, bounce_time=BOUNCE_S)
                else:
                    opened[name] = DigitalOutputDevice(pin)
    except (GPIOZeroError, ImportError, OSError, RuntimeError, ValueError) as error:
        for device in opened.values():
            device.close()
        raise InputError(
            f"--sink gpio: pin {pin} cannot be used ({printable(error, 120)}): this needs a Raspberry Pi with lgpio, "
            "and a pin that no other program has"
        ) from None
    return opened.pop("part", None), opened


def _pin(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > MAX_PIN:
        raise InputError(f"--sink gpio: {name} must be the number of a pin, such as 17, got {printable(text, 40)!r}")
    return int(text)


def _seconds(text: str | None) -> float:
    if text is None:
        return PULSE_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_PULSE_S:
        raise InputError(f"--sink gpio: pulse must be up to {MAX_PULSE_S:g} seconds, got {printable(text, 40)!r}")
    return seconds
