"""Switch a GPIO pin on while a label is seen; where there are no pins, print what would happen.

python examples/act_on_label.py mug 17 auto      pin 17 is on while the camera sees a mug
"""

import sys
import warnings
from typing import Any

from edgetl_device import Device


class PrintedOutput:
    """An output for machines without pins, and for tests."""

    def __init__(self, pin: int) -> None:
        self._pin = pin

    def on(self) -> None:
        """Say so."""
        print(f"pin {self._pin} on", flush=True)

    def off(self) -> None:
        """Say so."""
        print(f"pin {self._pin} off", flush=True)


def output(pin: int) -> Any:
    """The pin of a Raspberry Pi (pip install gpiozero lgpio), else a printed one; both have on() and off()."""
    try:
        from gpiozero import OutputDevice
        from gpiozero.exc import BadPinFactory
    except ImportError:
        return PrintedOutput(pin)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it tries before it gives up
            return OutputDevice(pin)
    except BadPinFactory:  # no Raspberry Pi
        return PrintedOutput(pin)


def main(label: str, pin: str, camera: str) -> None:
    """Follow the camera until it ends, or for ever."""
    switch, is_on = output(int(pin)), False
    with Device().run(camera) as app:
        for recognition in app:
            prediction = recognition.prediction  # averaged over a third of a second, so that it does not flicker
            is_seen = prediction.label == label and not prediction.unknown
            if is_seen != is_on:
                is_on = is_seen
                (switch.on if is_on else switch.off)()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print("usage: act_on_label.py LABEL PIN CAMERA", file=sys.stderr)
        raise SystemExit(2)
    main(*sys.argv[1:])
