"""Camera addresses: what may be shown of them, and what a library is given."""

import string
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.addresses import expanded, has_secret, openable, shown_address, without_secrets
from edgetl_device.errors import CameraError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/s", "rtsp://cam/s"),
        ("rtsp://admin:hunter2@cam/s", "rtsp://cam/s"),
        ("rtsp://admin:p@ssw0rd@cam/s", "rtsp://cam/s"),
        ("rtsp://admin:a/secret@cam:554/s", "rtsp://cam:554/s"),
        ("rtsp://admin:a?secret@cam/s", "rtsp://cam/s"),
        ("rtsp://admin:a#secret@cam/s", "rtsp://cam/s"),
        ("rtsp://u:p@[fe80::1]:554/s", "rtsp://[fe80::1]:554/s"),
        ("http://cam/flv?port=1935&user=admin&password=secret", "http://cam/flv"),
        ("http://cam/cgi-bin/CGIStream.cgi?cmd=GetMJStream&usr=admin&pwd=secret", "http://cam/cgi-bin/CGIStream.cgi"),
        ("rtsp://cam:554/user=admin_password=secret_channel=1_stream=0.sdp", "rtsp://cam:554/…"),
        ("http://cam/x?user=me&pwd=p@secret", "http://cam/…"),
        ("http://u:p@cam/x?mail=a@b", "http://…"),
        ("rtsp:/admin:secret@cam/s", "…@cam/s"),
        ("rtsp://admin:sec ret@cam/s", "rtsp://cam/s"),
        ("http://cam/pwd%3Dsecret/x", "http://cam/…/x"),
        ("http://cam/%3Fpwd%3Dsecret", "http://cam/…"),
        ("http://cam/x%253Bpwd:secret", "http://cam/…"),
    ],
)
def test_of_an_address_scheme_host_and_path_are_shown_and_in_doubt_less(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    assert has_secret(address) == (address.startswith(("rtsp://", "http://")) and shown != address)


PASSWORDS = st.text(string.ascii_letters + string.digits + "@/?#:&=%;+!$ ", min_size=1, max_size=12)


@settings(deadline=None)
@given(PASSWORDS)
def test_no_password_before_the_last_at_sign_is_shown(password: str) -> None:
    marked = f"S3CR3T{password}S3CR3T"
    assert "S3CR3T" not in shown_address(f"rtsp://admin:{marked}@cam/stream")
    assert "S3CR3T" not in shown_address(f"http://cam/shot?user=admin&pwd={marked}")
    assert "S3CR3T" not in without_secrets(f"no such option: rtsp://admin:{marked}@cam/stream!")


@settings(deadline=None)
@given(st.text(string.ascii_letters + string.digits + "@/:&=%;+!$", min_size=1, max_size=12))
def test_a_library_reads_the_password_as_it_was_typed(password: str) -> None:
    parts = urlsplit(openable(f"rtsp://admin:{password}@cam:554/stream?x=1"))
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("cam", 554, "/stream", "x=1")
    assert unquote(parts.password) == unquote(password)


def test_parts_of_an_address_come_from_the_environment_whatever_they_hold() -> None:
    environment = {"CAM": "rtsp://u:p@cam/s", "PW": "p@ss/w?rd"}
    assert expanded("${CAM}", environment) == "rtsp://u:p@cam/s"
    parts = urlsplit(expanded("rtsp://admin:${PW}@cam/s", environment))
    assert (parts.hostname, unquote(parts.password)) == ("cam", "p@ss/w?rd")
    assert expanded("photos/${PW}", environment) == "photos/${PW}"
    with pytest.raises(CameraError, match=r"\$\{NO\}, which is not set"):
        expanded("rtsp://admin:${NO}@cam/s", environment)
