"""Classify the frames of a loop of your own: OpenCV reads them, edgetl says what they show.

python examples/own_loop.py film.mp4      a film; 0 is the first USB camera
"""

import sys

import cv2

from edgetl_device import Device


def main(source: str) -> None:
    """Print what each frame of a camera or a film shows."""
    film = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not film.isOpened():
        print(f"cannot open {source}", file=sys.stderr)
        raise SystemExit(2)
    with Device() as device:
        while True:
            arrived, frame = film.read()
            if not arrived:
                break
            prediction = device.classify(frame, color="bgr")  # OpenCV's order; Pillow's and picamera2's is "rgb"
            label = "unknown" if prediction.unknown else prediction.label
            print(f"{label} {prediction.probability:.2f}")
    film.release()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: own_loop.py FILM_OR_CAMERA_NUMBER", file=sys.stderr)
        raise SystemExit(2)
    main(sys.argv[1])
