"""The page as the real program serves it: watch photos, teach a new thing over REST, see it recognised, end in order.

python page.py BUNDLE PHOTOS KIND, where PHOTOS has a folder KIND and the bundle does not know it
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0  # emulation is slow


def main(bundle: Path, photos: Path, new: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        program = [sys.executable, "-m", "edgetl_device", "--home", home]
        subprocess.run([*program, "install", str(bundle)], check=True)
        command = [*program, "run", "--camera", str(photos / new), "--loop", "--web", "127.0.0.1:0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        url = next(line.split()[1] for line in process.stdout if line.startswith("page"))
        until(lambda: ask(f"{url}/healthz")["ok"])
        page = urllib.request.urlopen(f"{url}/").read().decode()
        assert "<title>" in page and "main.js" in page, page[:500]
        taught = ask(f"{url}/api/v1/learn", {"label": new, "frames": 12, "interval_ms": 100, "retrain": True})
        until(lambda: ask(f"{url}/api/v1/prediction")["label"] == new)
        status = ask(f"{url}/api/v1/status")
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert b"edgetl_frames_total" in answer.read()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
        print(f"taught over REST: {taught}; {status['samples']} samples")


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    request.add_header("Content-Type", "application/json")
    answer: dict[str, Any] = json.loads(urllib.request.urlopen(request, timeout=PATIENCE_S).read())
    return answer


def until(true: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if true():
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
