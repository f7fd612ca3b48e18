"""Learn on a key press: hold a thing before the camera and press the number of its label.

python examples/teach_with_a_key.py 0 mug pen      1 teaches mug, 2 teaches pen, q ends; 0 is the camera
"""

import sys
import termios
import tty
from itertools import islice

from edgetl_device import App, Device, EdgetlError

FRAMES = 10  # that one press teaches


def main(camera: str, *labels: str) -> None:
    """Teach until q is pressed."""
    terminal = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)  # a key arrives when it is pressed, without Enter; earlier ones are dropped
        print(", ".join(f"{number} {label}" for number, label in enumerate(labels, 1)), "and q to end", flush=True)
        with Device().run(camera, loop=True) as app:
            while (key := sys.stdin.read(1)) not in ("q", ""):
                if key.isdecimal() and 0 < int(key) <= len(labels):
                    teach(app, labels[int(key) - 1])
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, terminal)


def teach(app: App, label: str) -> None:
    """Teach the next frames; what the gate refuses is forgotten again."""
    try:
        ids = app.teach(label, list(islice(app, FRAMES)))
        outcome = app.retrain()
        if not outcome.promoted:
            app.forget(ids)
        print(f"{label}: {outcome.reason} ({outcome.retrain_ms:.0f} ms)", flush=True)
    except EdgetlError as error:  # no frame, a full disk
        print(error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
