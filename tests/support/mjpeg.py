"""A network camera: motion JPEG over HTTP, on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


@contextmanager
def mjpeg_server(
    frames: int, then_stall_s: float = 0.0, connected: threading.Event | None = None, port: int = 0
) -> Iterator[str]:
    """An HTTP camera: a few JPEG frames, then silence, then the end of the connection.

    Args:
        connected: set while there is a connection.
        port: 0 for any that is free.
    """
    stop, connected = threading.Event(), connected or threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            connected.set()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(frames):
                jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), number * 10 % 250, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            self.wfile.flush()
            stop.wait(then_stall_s)
            connected.clear()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream.mjpg"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
