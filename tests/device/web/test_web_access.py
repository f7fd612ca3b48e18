"""Passwords, sessions and the brake on guessing."""

from __future__ import annotations

import base64
import hashlib

import pytest

pytest.importorskip("starlette")

from edgetl_device.errors import InputError
from edgetl_device.web.access import (
    MAX_FAILURES_OF_ALL,
    MAX_SESSIONS,
    SESSION_S,
    Access,
    Failures,
    basic_password,
    hash_password,
    is_password,
    read_password_file,
)

HASH = hash_password("open sesame")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_hash_is_salted_scrypt_as_hashlib_computes_it_from_its_own_parameters() -> None:
    name, n, r, p, salt, key = HASH.split("$")
    assert (name, int(n), int(r), int(p)) == ("scrypt", 16384, 8, 1)
    raw = hashlib.scrypt(b"open sesame", salt=base64.b64decode(salt), n=16384, r=8, p=1)
    assert base64.b64decode(key) == raw and hash_password("open sesame") != HASH


def test_only_the_password_is_the_password() -> None:
    assert is_password("open sesame", HASH)
    assert not any(is_password(wrong, HASH) for wrong in ("", "open sesam", "open sesame ", "Open sesame"))


def test_the_first_line_of_a_password_file_counts(tmp_path) -> None:
    path = tmp_path / "password"
    path.write_bytes("pässword 1\r\nnot this\n".encode())
    path.chmod(0o600)
    assert is_password("pässword 1", read_password_file(path))


@pytest.mark.parametrize(
    ("content", "message"), [(b"short\n", "8 to 1024 characters, got 5"), (b"", "got 0"), (b"\xff" * 9, "cannot read")]
)
def test_a_password_file_that_protects_nothing_is_refused(tmp_path, content, message) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match=message):
        read_password_file(path)
    with pytest.raises(InputError, match="cannot read"):
        read_password_file(tmp_path / "missing")


def test_a_password_file_that_others_can_read_is_refused(tmp_path) -> None:
    path = tmp_path / "password"
    path.write_text("long enough")
    path.chmod(0o644)
    with pytest.raises(InputError, match=r"can be read or changed by others .* `chmod 600"):
        read_password_file(path)


def test_the_sixth_guess_within_a_minute_has_to_wait_until_the_first_is_a_minute_old(clock) -> None:
    failures = Failures(clock)
    for _ in range(5):
        assert failures.wait_s("10.0.0.1") == 0
        failures.add("10.0.0.1")
        clock.now += 4
    assert failures.wait_s("10.0.0.1") == pytest.approx(40) and failures.wait_s("10.0.0.2") == 0
    clock.now += 40
    assert failures.wait_s("10.0.0.1") == 0


def test_guessing_from_many_addresses_has_to_wait_too_and_takes_no_memory(clock) -> None:
    failures = Failures(clock)
    for number in range(10 * MAX_FAILURES_OF_ALL):
        failures.add(f"10.0.{number >> 8}.{number & 255}")
    assert failures.wait_s("192.168.0.1") == pytest.approx(60)
    assert len(failures._recent) == MAX_FAILURES_OF_ALL


def test_a_session_lives_until_it_is_ended_or_too_old(clock) -> None:
    access = Access(HASH, clock)
    first, second = access.log_in(), access.log_in()
    assert access.is_session(first) and access.is_session(second)
    assert not access.is_session(None) and not access.is_session("") and not access.is_session(first[:-1])
    access.log_out(first)
    assert not access.is_session(first) and access.is_session(second)
    clock.now += SESSION_S
    assert not access.is_session(second)


def test_sessions_are_limited_and_the_oldest_goes(clock) -> None:
    access = Access(HASH, clock)
    tokens = [access.log_in() for _ in range(MAX_SESSIONS + 1)]
    assert [access.is_session(token) for token in tokens] == [False] + [True] * MAX_SESSIONS


def test_tokens_themselves_are_not_kept(clock) -> None:
    access = Access(HASH, clock)
    token = access.log_in()
    assert token not in repr(vars(access)) and len(token) >= 43  # 256 bits


def test_the_right_password_is_cheap_to_check_again_and_wrong_ones_stay_wrong() -> None:
    access = Access(HASH)
    assert access.check("open sesame") and access.check("open sesame")
    assert not access.check("open sesam") and not access.check("")


@pytest.mark.parametrize(
    ("header", "password"),
    [
        (f"Basic {base64.b64encode(b'anyone:a:b').decode()}", "a:b"),
        (f"basic {base64.b64encode(b':x').decode()}", "x"),
        ("Basic ???", None),
        ("Bearer abc", None),
        ("", None),
    ],
)
def test_basic_authorization_is_read(header, password) -> None:
    assert basic_password(header) == password
