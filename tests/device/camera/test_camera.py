"""Cameras: what each kind yields, and what it says when it cannot."""

import base64
import contextlib
import struct
import sys
import threading
import time
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
from conftest import draw, write_photos
from mjpeg import mjpeg_server
from snapshots import send, snapshot_server

from edgetl_device import parts
from edgetl_device.camera import FakeCamera, open_camera, opening, picamera, source
from edgetl_device.camera.capture import V4L2Camera
from edgetl_device.camera.network import NetworkCamera
from edgetl_device.camera.still import Stills
from edgetl_device.errors import CameraError, InputError
from edgetl_device.v4l2 import camera_model

LEVELS = tuple(range(20, 240, 20))


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """11 frames at 25 a second, each of one grey."""
    path = tmp_path_factory.mktemp("video") / "greys.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 48))
    assert writer.isOpened()
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def greys(images) -> list[int]:
    return [round(float(image.mean()) / 20) * 20 for image in images]


def test_a_video_file_yields_its_frames_in_order_and_ends(video) -> None:
    camera = open_camera(str(video), pace=False)
    images = list(camera.frames())
    assert greys(images) == list(LEVELS)
    assert images[0].shape == (48, 64, 3) and images[0].dtype == np.uint8
    assert camera.finite and not camera.live and open_camera(str(video)).live


def test_a_large_video_yields_its_frames_too(tmp_path) -> None:
    path = tmp_path / "large.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (1920, 1080))
    for level in LEVELS[:3]:
        writer.write(np.full((1080, 1920, 3), level, np.uint8))
    writer.release()
    camera = open_camera(str(path), pace=False)
    assert greys(camera.frames()) == list(LEVELS[:3]) and greys(camera.frames()) == list(LEVELS[:3])


def test_a_looping_video_begins_again_at_its_end(video) -> None:
    camera = open_camera(str(video), loop=True, pace=False)
    assert greys(islice(camera.frames(), 25)) == list((LEVELS * 3)[:25])


def test_a_paced_stream_keeps_its_rate_and_does_not_rush_after_a_pause(monkeypatch) -> None:
    now, seen = 0.0, []
    monkeypatch.setattr(source, "time", SimpleNamespace(monotonic=lambda: now))

    class Clock(threading.Event):
        def wait(self, timeout=None):
            nonlocal now
            now += timeout
            return False

    for number, _ in enumerate(source.paced([np.zeros((1, 1, 3), np.uint8)] * 6, 10.0, Clock())):
        seen.append(round(now, 6))
        if number == 2:
            now += 1.0  # whoever takes the frames was busy
    assert seen == [0.0, 0.1, 0.2, 1.2, 1.2, 1.3]  # one frame was due long ago, the rest as before


def test_closing_ends_a_camera_that_plays(video) -> None:
    for camera in (
        open_camera(str(video), loop=True),
        open_camera("parts"),
        FakeCamera([np.zeros((2, 2, 3), np.uint8), 60.0]),
    ):
        frames = camera.frames()
        next(frames)
        threading.Timer(0.05, camera.close).start()
        assert len(list(frames)) < 10
        assert list(camera.frames()) == []


def test_a_folder_yields_its_photos_in_order_and_skips_what_is_none(tmp_path) -> None:
    folder = write_photos(tmp_path, ("ball", "box"), 2)
    (folder / "box" / "0000.png").write_text("damaged")
    (folder / "note.txt").write_text("no photo")
    found = list(open_camera(str(folder), pace=False).frames())
    expected = [("ball", 0), ("ball", 1), ("box", 1)]
    assert len(found) == 3
    for image, (kind, number) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(image, draw(kind, number))
    assert len(list(open_camera(str(folder / "ball" / "0000.png"), pace=False).frames())) == 1


def test_the_parts_camera_shows_the_rendered_world_and_goes_on_where_it_was() -> None:
    camera = open_camera("parts:dim", pace=False)
    found = [next(camera.frames()), *islice(camera.frames(), 2)]
    for image, (expected, _) in zip(found, parts.stream(light="dim"), strict=False):
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("99", r"no camera /dev/video99: is it plugged in\? `--camera auto`"),
        ("/dev/v4l/by-id/nothing", "no camera /dev/v4l/by-id/nothing"),
        ("/dev/stdout/../null/x", "no camera"),
        ("nowhere.mp4", "no camera, file or folder 'nowhere.mp4': expected auto, a number"),
        ("ftp://host/x", "no camera, file or folder"),
        ("", "no camera, file or folder"),
        ("picamera2", "picamera2 is not visible from this Python"),
        ("parts:disco", "unknown light 'disco'"),
    ],
)
def test_a_camera_that_is_not_there_is_refused_with_what_to_do(spec: str, message: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(InputError, match=message):
        open_camera(spec)


def test_without_any_camera_auto_names_every_way_to_one(monkeypatch) -> None:
    monkeypatch.setattr(opening, "v4l2_cameras", list)
    monkeypatch.setattr(opening, "pi_cameras", list)
    assert opening.find_cameras() == []
    with pytest.raises(CameraError, match=r"plug in a USB camera; .*python3-picamera2.*--camera parts"):
        open_camera("auto")


def test_auto_takes_usb_before_csi_and_looks_anew_at_each_connection(monkeypatch) -> None:
    monkeypatch.setattr(opening, "pi_cameras", lambda: ["imx708"])
    monkeypatch.setattr(opening, "v4l2_cameras", lambda: [(Path("/dev/video4"), "C920")])
    camera = open_camera("auto")
    assert camera.name == "C920" and [found.spec for found in opening.find_cameras()] == ["/dev/video4", "picamera2:0"]
    monkeypatch.setattr(opening, "v4l2_cameras", list)
    monkeypatch.setattr(picamera, "load_picamera2", lambda: pytest.fail("not closed"))
    camera.close()
    with pytest.raises(pytest.fail.Exception):
        list(camera.frames())
    assert camera.name == "Raspberry Pi camera 0"


@pytest.mark.parametrize("content", [b"", b"not a video", None])
def test_a_damaged_video_says_so(tmp_path, video, content) -> None:
    path = tmp_path / "damaged.mp4"
    path.write_bytes(video.read_bytes()[:300] if content is None else content)
    with pytest.raises(CameraError, match="cannot be read as a video"):
        list(open_camera(str(path)).frames())


def test_an_av1_film_is_named_with_the_way_to_convert_it() -> None:
    film = Path(__file__).parents[2] / "support" / "av1.mp4"
    with pytest.raises(CameraError, match=r"av1.mp4 is an AV1 video, which this OpenCV cannot decode: .*libx264"):
        list(open_camera(str(film)).frames())


def test_what_is_no_camera_device_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CameraError, match="is not a camera device"):
        next(V4L2Camera(tmp_path / "file").frames())
    with pytest.raises(CameraError, match="/dev/null cannot be opened: another program"):
        next(V4L2Camera(Path("/dev/null")).frames())


CAPTURE, METADATA, M2M, STREAMING = 0x1, 0x800000, 0x8000, 0x4000000


@pytest.mark.parametrize(
    ("driver", "capabilities", "expected"),
    [
        (b"uvcvideo", CAPTURE | STREAMING, "HD Pro Webcam C920"),
        (b"uvcvideo", METADATA | STREAMING, None),
        (b"bcm2835-codec", M2M | STREAMING, None),
        (b"bcm2835-isp", CAPTURE | STREAMING, None),
        (b"unicam", CAPTURE | STREAMING, None),
        (b"rp1-cfe", CAPTURE | METADATA | STREAMING, None),
        (b"pispbe", CAPTURE | STREAMING, None),
    ],
)
def test_codecs_metadata_and_csi_nodes_are_no_webcams(driver, capabilities, expected) -> None:
    everything = capabilities | CAPTURE | METADATA  # of the whole device; only device_caps speaks of this node
    answer = struct.pack("<16s32s32s6I", driver, b"HD Pro Webcam C920", b"usb-1", 1, everything, capabilities, 0, 0, 0)
    assert camera_model(answer) == expected


# a network camera, for real ------------------------------------------------------------------------------------------


def test_a_network_stream_yields_frames_and_its_end_is_a_fault() -> None:
    with mjpeg_server(frames=12) as url:
        found = []
        with pytest.raises(CameraError, match="stopped sending frames"):
            for image in NetworkCamera(url).frames():
                found.append(image)
    assert len(found) >= 8 and found[0].shape == (48, 64, 3)


def test_a_network_stream_that_stalls_is_given_up_by_itself() -> None:
    connected = threading.Event()  # cleared when the server has said all, before OpenCV would give up after 30 s
    with mjpeg_server(frames=12, then_stall_s=20.0, connected=connected) as url:
        with pytest.raises(CameraError, match="stopped sending frames"):
            for _ in NetworkCamera(url, stall_s=0.5).frames():
                pass
        assert connected.is_set()


def test_a_password_in_an_address_is_not_shown() -> None:
    camera = open_camera("rtsp://user:secret@127.0.0.1:9/stream")
    assert camera.name == "rtsp://127.0.0.1:9/stream"
    with pytest.raises(CameraError) as caught:
        next(camera.frames())
    assert "secret" not in str(caught.value) and "check address, user and password" in str(caught.value)


# still pictures, for real ---------------------------------------------------------------------------------------------


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream"])
def test_an_address_of_a_still_picture_is_polled(kind: str) -> None:
    with snapshot_server(lambda handler, number: send(handler, jpeg(20 * number), kind)) as (host, asked):
        camera = NetworkCamera(f"http://{host}/snapshot.jpg?ch=1", pictures_per_s=50)
        assert greys(islice(camera.frames(), 4)) == [20, 40, 60, 80]
        assert camera.live and not camera.finite and asked[:4] == ["/snapshot.jpg?ch=1"] * 4


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_a_still_picture_behind_a_password_with_odd_characters_is_fetched(scheme: str) -> None:
    tried = []

    def answer(handler, _number) -> None:
        tried.append(handler.headers.get("Authorization", ""))
        if tried[-1].startswith(scheme):
            return send(handler, jpeg(100))
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", f'{scheme} realm="cam", nonce="1", algorithm=MD5, qop="auth"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with snapshot_server(answer) as (host, asked):
        assert greys(islice(NetworkCamera(f"http://admin:p@ss/w0rd@{host}/s").frames(), 1)) == [100]
        assert asked == ["/s", "/s"]
    if scheme == "Basic":
        assert base64.b64decode(tried[-1].split()[1]) == b"admin:p@ss/w0rd"


def test_a_damaged_picture_now_and_then_is_skipped_and_only_damaged_ones_are_a_fault() -> None:
    with snapshot_server(lambda handler, number: send(handler, jpeg(60)[: 300 if number % 2 == 0 else None])) as (
        host,
        _,
    ):
        assert greys(islice(NetworkCamera(f"http://{host}/s", pictures_per_s=50).frames(), 3)) == [60] * 3
    ruined = snapshot_server(lambda handler, number: send(handler, jpeg(60)[: 300 if number > 1 else None]))
    with ruined as (host, _), pytest.raises(CameraError, match="picture that cannot be used: the file is truncated"):
        list(NetworkCamera(f"http://{host}/s", stall_s=2.0, pictures_per_s=50).frames())


def never_ends(handler, _number) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/jpeg")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"\xff\xd8" * (1 << 19))
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda h, _: send(h, b"<html>log in</html>", "text/html"),
            "answers with a web page .text/html., not with a pic",
        ),
        (lambda h, _: send(h, b"", "text/plain", 404), "answers with HTTP 404: check the address"),
        (lambda h, _: send(h, b"", "text/plain", 401), "refuses user and password .HTTP 401."),
        (lambda h, _: h.wfile.write(b"SSH-2.0-x\r\n\r\n"), "does not speak HTTP .BadStatusLine."),
        (lambda h, _: time.sleep(1), "no answer within 0.3 s"),
        (never_ends, "a picture of more than 32 MB"),
    ],
)
def test_what_is_no_picture_is_one_line_that_says_what_came(answer, message: str) -> None:
    with snapshot_server(answer) as (host, _):
        connect_s = 0.3 if "no answer" in message else 10.0  # for the others a busy machine is no fault
        camera = NetworkCamera(f"http://admin:hunter2@{host}/s", connect_s=connect_s)
        with pytest.raises(CameraError, match=message) as caught:
            next(camera.frames())
    assert "hunter2" not in str(caught.value) and host in str(caught.value)


# picamera2, which exists on a Raspberry Pi only -----------------------------------------------------------------------


class FakePicamera2:
    """What of picamera2's interface we use; sends two frames, then nothing."""

    opened: ClassVar[list["FakePicamera2"]] = []

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.frames, self.closed, self.config = 0, False, None
        self.opened.append(self)

    @staticmethod
    def global_camera_info():
        return [
            {"Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"},
            {"Model": "C920", "Id": "/base/soc/usb@1"},
        ]

    def create_video_configuration(self, **config):
        return config

    def configure(self, config) -> None:
        self.config = config

    def start(self) -> None:
        pass

    def capture_array(self, name: str, wait: bool) -> "Future[np.ndarray]":
        job: Future[np.ndarray] = Future()
        self.frames += 1
        if self.frames <= 2:
            job.set_result(np.full((480, 640, 3), self.frames, np.uint8))
        return job

    def wait(self, job, timeout: float):
        return job.result(timeout)

    def close(self) -> None:
        self.closed = True


def test_a_pi_camera_yields_bgr_frames_and_a_stall_is_a_fault_that_gives_it_back(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=FakePicamera2))
    monkeypatch.setattr(picamera, "STALL_S", 0.05)
    camera, found = open_camera("picamera2"), []
    with pytest.raises(CameraError, match=r"Raspberry Pi camera 0 sent no frame for 0.05 s: check the ribbon cable"):
        for image in camera.frames():
            found.append(int(image[0, 0, 0]))
    (device,) = FakePicamera2.opened
    assert found == [1, 2] and device.closed and device.config["main"]["format"] == "RGB888"
    assert device.config["sensor"] == {"output_size": (2304, 1296), "bit_depth": 10}
    assert picamera.pi_cameras() == ["imx708"]
    with pytest.raises(CameraError, match="Raspberry Pi camera 1 cannot be opened"):
        next(open_camera("picamera2:1").frames())


MODES = [  # of a camera v2, as picamera2 lists them
    {"size": (640, 480), "bit_depth": 10, "fps": 206.65, "crop_limits": (1000, 752, 1280, 960)},
    {"size": (1640, 1232), "bit_depth": 8, "fps": 83.7, "crop_limits": (0, 0, 3280, 2464)},
    {"size": (1640, 1232), "bit_depth": 10, "fps": 41.85, "crop_limits": (0, 0, 3280, 2464)},
    {"size": (1920, 1080), "bit_depth": 10, "fps": 47.57, "crop_limits": (680, 692, 1920, 1080)},
    {"size": (3280, 2464), "bit_depth": 10, "fps": 21.19, "crop_limits": (0, 0, 3280, 2464)},
]


@pytest.mark.parametrize(
    ("model", "modes", "expected"),
    [
        ("imx219", [], {"output_size": (1640, 1232), "bit_depth": 10}),
        ("new_sensor", MODES, {"output_size": (1640, 1232), "bit_depth": 8}),
        ("new_sensor", MODES[:1], {"output_size": (640, 480), "bit_depth": 10}),
        ("new_sensor", [], None),
    ],
)
def test_a_pi_camera_is_asked_for_a_mode_that_shows_the_whole_view(model, modes, expected) -> None:
    assert picamera.full_view(SimpleNamespace(sensor_modes=modes), model) == expected


@pytest.mark.parametrize("step", ["create_video_configuration", "configure", "start"])
def test_a_pi_camera_that_cannot_be_started_is_one_line_and_given_back(step: str, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to start camera:\nCannot allocate memory")

    broken = type("Broken", (FakePicamera2,), {step: fail, "opened": []})
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=broken))
    with pytest.raises(
        CameraError, match=r"camera 0 cannot be started .Failed to start camera:.nCannot allocate.*cma="
    ):
        next(open_camera("picamera2").frames())
    assert broken.opened[0].closed


def drip(handler, start: bytes) -> None:
    """Some bytes, then one after the other, each long before a read would time out, until the other end is gone."""
    with contextlib.suppress(OSError):
        handler.wfile.write(start)
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Long: ", "no answer within 0.5 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n", "more than 0.5 s for a picture"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n", "more than 0.5 s"),
    ],
)
def test_a_camera_that_sends_byte_by_byte_is_cut_off(start: bytes, message: str) -> None:
    server = snapshot_server(lambda handler, _number: drip(handler, start))
    connect_s = 0.5 if "no answer" in message else 10.0
    with server as (host, _), pytest.raises(CameraError, match=message):
        Stills(f"http://{host}/s.jpg", "cam", connect_s=connect_s, stall_s=0.5).first()


def test_rendered_parts_come_again_after_a_failure(monkeypatch) -> None:
    """Memory may be short for a moment; a stream that raised has ended for good."""
    camera = open_camera("parts")

    def short(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(parts.conveyor, "shoot", short)
        next(camera.frames())
    assert next(camera.frames()).shape == (480, 640, 3)
