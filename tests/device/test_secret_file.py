"""Files that hold a password."""

import os
import threading
from pathlib import Path

import pytest

from edgetl_device.errors import InputError
from edgetl_device.secret_file import read_secret


def test_the_first_line_of_a_file_of_ones_own_is_read(tmp_path) -> None:
    path = tmp_path / "secret"
    path.write_text("p@ss w0rd\r\nsecond\n")
    path.chmod(0o600)
    assert read_secret(path, "camera file") == "p@ss w0rd"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666])
def test_a_file_that_others_can_read_or_change_is_refused(tmp_path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("p")
    path.chmod(mode)
    with pytest.raises(
        InputError, match=rf"the camera file {path} can be read or changed by others .mode {mode:04o}.*chmod 600"
    ):
        read_secret(path, "camera file")


def test_a_pipe_of_a_password_manager_is_read(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    writer = threading.Thread(target=path.write_text, args=("piped\n",))
    writer.start()
    assert read_secret(path, "camera file") == "piped"
    writer.join()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"\xff", "not UTF-8"), (b"x" * 5000, "longer than 4096")]
)
def test_what_cannot_be_a_secret_is_one_line(tmp_path, content, message: str) -> None:
    path = Path(tmp_path / "secret")
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(InputError, match=message):
        read_secret(path, "camera file")
