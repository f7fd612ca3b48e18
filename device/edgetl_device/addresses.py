"""Addresses of network cameras: what of them may be shown, and what of them is a secret.

A camera's password stands before the ``@`` (where people leave ``@``, ``/`` and ``?`` unescaped), in the query
(``?user=…&pwd=…``) or in the path (``/user=…_password=…``). What is shown is the scheme, the host and the path, and in
doubt less.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from .errors import CameraError, InputError

SCHEMES = ("rtsp", "rtsps", "http", "https")

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://(.+)", re.IGNORECASE | re.DOTALL)
_LIKE_AN_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,2}(?:.*@)?\S+|\S*[^\s:/]:\S*@\S+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_EMPTY_PASSWORD = re.compile(r"://(?:[^/@?#:]*:)?@")
_EMPTY_VALUE = re.compile(r"[?&;][^=&;?#]*=(?=[&;?#]|$)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/?#\[\]@&=]+)(:\d*)?")
_HIDDEN = "…"


def is_address(spec: str) -> bool:
    """Whether ``--camera`` names a network camera."""
    return _ADDRESS.fullmatch(spec) is not None


def has_secret(spec: str) -> bool:
    """Whether there is more in an address than may be shown."""
    return is_address(spec) and shown_address(spec) != spec


def has_secret_beside_variables(spec: str) -> bool:
    """As :func:`has_secret`, where ``${NAME}`` is none, nor a user or a key before it.

    >>> has_secret_beside_variables("rtsp://u:${PW}@cam/x"), has_secret_beside_variables("rtsp://u:pw@cam/x?t=${T}")
    (False, True)
    """
    bare = _VARIABLE.sub("", spec)
    if bare != spec:
        bare = _EMPTY_VALUE.sub("", _EMPTY_PASSWORD.sub("://", bare))
    return has_secret(bare)


def shown_address(address: str) -> str:
    """Scheme, host and path of an address, without user, password and query.

    >>> shown_address("rtsp://admin:p@ss/word@cam/stream")
    'rtsp://cam/stream'
    >>> shown_address("http://cam/video.cgi?user=admin&pwd=secret")
    'http://cam/video.cgi'
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return _without_userinfo(address)
    return f"{scheme}://{_shown(rest)}"


def without_secrets(text: str) -> str:
    """A message in which everything that looks like an address is shown as :func:`shown_address` shows it."""
    return _LIKE_AN_ADDRESS.sub(lambda match: shown_address(match[0]), text)


def without_arguments(text: str, arguments: Iterable[str]) -> str:
    """:func:`without_secrets`, and arguments that look like addresses shown so from end to end, blanks included."""
    for argument in sorted(set(arguments), key=len, reverse=True):
        match = _LIKE_AN_ADDRESS.search(argument)
        if match is not None:
            shown = argument[: match.start()] + shown_address(argument[match.start() :])
            for written in (argument, repr(argument)[1:-1]):
                text = text.replace(written, shown)
    return without_secrets(text)


def expanded(spec: str, environment: Mapping[str, str] = os.environ) -> str:
    """``${NAME}`` → what the environment says.

    A whole address may stand in one variable; a part of an address is inserted with its reserved characters escaped,
    so that any password works as it is.

    Raises:
        CameraError: a variable is not set.
    """
    whole = _VARIABLE.fullmatch(spec.strip())
    if whole is None and not is_address(spec):  # a file may have such a name
        return spec

    try:
        return _filled_in(spec, environment, escape=whole is None)
    except InputError as error:
        raise CameraError(f"the camera's address {error}, or use --camera-file FILE") from None


def is_variable(text: str) -> bool:
    """Whether a text is ``${NAME}`` and nothing else."""
    return _VARIABLE.fullmatch(text) is not None


def filled_in(argument: str, environment: Mapping[str, str] = os.environ) -> str:
    """``${NAME}`` in a sink's argument → what the environment says, escaped where the argument is an address.

    Raises:
        InputError: a variable is not set.
    """
    escape = _SCHEME.match(argument) is not None
    try:
        return _filled_in(argument, environment, escape)
    except InputError as error:
        raise InputError(f"the sink's argument {error}, or use --sink-file FILE") from None


def _filled_in(text: str, environment: Mapping[str, str], escape: bool) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise InputError(f"names ${{{match[1]}}}, which is not set in the environment: export it")
        return quote(environment[match[1]], safe="") if escape else environment[match[1]].strip()

    return _VARIABLE.sub(value, text)


def openable(address: str) -> str:
    """The address as libraries read it, the reserved characters in user and password escaped.

    >>> openable("rtsp://admin:p@ss/word@cam/stream")
    'rtsp://admin:p%40ss%2Fword@cam/stream'
    """
    scheme, _, rest = address.partition("://")
    userinfo, _, place = _split_userinfo(rest)
    if userinfo is None:
        return address
    user, colon, password = userinfo.partition(":")
    return f"{scheme}://{_escaped(user)}{colon}{_escaped(password)}@{place}"


def _shown(rest: str) -> str:
    """Of an address without its scheme."""
    userinfo, certain, place = _split_userinfo(rest)
    if not certain:
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        return _HIDDEN if "@" in host else f"{host.partition(':')[0]}/{_HIDDEN}"
    place = re.split(r"[?#;&]" if userinfo is not None else r"[?#;]", place, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    segments = [_HIDDEN if re.search("[=?#;&]", _plain(segment)) else segment for segment in path.split("/")]
    return f"{host}{slash}{'/'.join(segments)}"


def _plain(segment: str) -> str:
    """Unescaped, however often it was escaped."""
    while (plain := unquote(segment)) != segment:
        segment = plain
    return segment


def _split_userinfo(rest: str) -> tuple[str | None, bool, str]:
    """An address without its scheme → user and password (None where there are none), whether that is certain, the rest.

    What is before the last ``@`` is user and password. An ``@`` behind a ``?`` may also belong to a query, as in
    ``cam/x?mail=a@b``; then it ends a password only where what is before the ``?`` cannot be a host.
    """
    before, at, place = rest.rpartition("@")
    if not at:
        return None, True, rest
    authority = re.split(r"[?#]", before, maxsplit=1)[0]
    if authority == before:  # no query begins before the @
        return before, True, place
    host = authority.partition("/")[0]
    if "@" in host or _HOST.fullmatch(host) or not _HOST.match(place):
        return None, False, rest
    return before, True, place


def _without_userinfo(text: str) -> str:
    """Of something that only resembles an address, such as one whose scheme is mistyped."""
    before, at, place = text.rpartition("@")
    return f"{_HIDDEN}@{re.split('[?#;&]', place, maxsplit=1)[0]}" if at and before else text.partition("?")[0]


def _escaped(part: str) -> str:
    """Reserved characters as ``%XX``; what is escaped already stays."""
    kept = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", part)
    return quote(kept, safe="%!$&'()*+,;=~")
