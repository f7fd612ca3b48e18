"""Who is logged in: one password, sessions in memory, and a brake on guessing.

The password is kept as scrypt (RFC 7914) with the parameters its author gives for interactive logins: 16 MB, some
50 ms. The hash is in memory only and the file beside it plain text, so the brake matters more. A restart logs all out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..secret_file import read_secret

MIN_LENGTH = 8  # characters of a password
SESSION_S = 7 * 24 * 3600.0
MAX_SESSIONS = 64  # the oldest is logged out for one more
MAX_FAILURES = 5  # a minute and client
MAX_FAILURES_OF_ALL = 60  # a minute: guessing from many addresses
_MINUTE_S = 60.0
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1


def hash_password(password: str) -> str:
    """``scrypt$cost$block$parallel$salt$key``, salt and key in base64."""
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
    return "$".join(
        ["scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), *(base64.b64encode(part).decode() for part in (salt, key))]
    )


def is_password(password: str, stored: str) -> bool:
    """Whether it is the password that was hashed; takes equally long for any wrong one."""
    _, cost, block, parallel, salt, key = stored.split("$")
    n, r, p = int(cost), int(block), int(parallel)
    derived = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), n=n, r=r, p=p)
    return hmac.compare_digest(derived, base64.b64decode(key))


def read_password_file(path: Path) -> str:
    """The first line of a file → its hash.

    Raises:
        InputError: the file cannot be read or others can read it, or the password is too short.
    """
    password = read_secret(path, "password file")
    if not MIN_LENGTH <= len(password) <= 1024:
        raise InputError(
            f"the first line of {path} must be a password of {MIN_LENGTH} to 1024 characters, got {len(password)}"
        )
    return hash_password(password)


class Failures:
    """Wrong passwords within the last minute; a client with too many has to wait.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, str]] = deque(maxlen=MAX_FAILURES_OF_ALL)

    def wait_s(self, client: str) -> float:
        """How long this client has to wait before it may try again, seconds; 0 if it need not."""
        now = self._clock()
        while self._recent and now - self._recent[0][0] >= _MINUTE_S:
            self._recent.popleft()
        own = [moment for moment, who in self._recent if who == client]
        waits = [0.0]
        if len(own) >= MAX_FAILURES:
            waits.append(own[-MAX_FAILURES] + _MINUTE_S - now)
        if len(self._recent) >= MAX_FAILURES_OF_ALL:
            waits.append(self._recent[0][0] + _MINUTE_S - now)
        return max(waits)

    def add(self, client: str) -> None:
        """One more wrong password."""
        self._recent.append((self._clock(), client))


class Access:
    """Sessions and the password behind them; without a password everyone who reaches the app may use it.

    Args:
        password_hash: of :func:`hash_password`, or None.
        clock: seconds, monotonic.
    """

    def __init__(self, password_hash: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = Failures(clock)
        self._password_hash = password_hash
        self._clock = clock
        self._sessions: dict[bytes, float] = {}  # SHA-256 of the token → when it ends
        self._secret = secrets.token_bytes(32)
        self._proven: bytes | None = None  # keyed digest of the password, once someone has sent it

    @property
    def is_open(self) -> bool:
        """Whether no password is asked for."""
        return self._password_hash is None

    def check(self, password: str) -> bool:
        """Whether it is the password. Slow (scrypt) until it was given right once: scripts send it each time."""
        if self._password_hash is None:
            return True
        digest = hmac.digest(self._secret, password.encode(), "sha256")
        if self._proven is not None and hmac.compare_digest(digest, self._proven):
            return True
        if not is_password(password, self._password_hash):
            return False
        self._proven = digest
        return True

    def log_in(self) -> str:
        """A new session's token, for the cookie."""
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(token)] = self._clock() + SESSION_S
        return token

    def log_out(self, token: str) -> None:
        """End a session; nothing happens where there is none."""
        self._sessions.pop(_digest(token), None)

    def is_session(self, token: str | None) -> bool:
        """Whether the token of a cookie is that of a live session."""
        return token is not None and self._clock() < self._sessions.get(_digest(token), 0.0)


def basic_password(authorization: str) -> str | None:
    """The password of an ``Authorization: Basic`` header (RFC 7617), whatever the user's name; None if it is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
