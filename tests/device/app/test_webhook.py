"""The webhook sink against a real web server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from certificates import certificates
from receiver import receiver
from recognitions import BAD_PART, recognition
from test_home_assistant import NASTY

from edgetl_device.app.sinks.delivery import Delivery, Trouble
from edgetl_device.app.sinks.opening import refuse_password
from edgetl_device.app.sinks.webhook import WebhookSink, parsed_webhook, signature
from edgetl_device.errors import InputError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def opened() -> Iterator[Callable[[str], WebhookSink]]:
    """Sinks that are closed at the end, and wait only a moment between attempts."""
    sinks = []

    def opening(address: str) -> WebhookSink:
        sinks.append(WebhookSink(address, hold_s=0.0))
        sinks[-1].delivery._backoff_s = (0.02, 0.05)
        return sinks[-1]

    yield opening
    for sink in sinks:
        sink.close()


def test_the_signature_is_that_of_the_example_of_standard_webhooks() -> None:
    key = parsed_webhook(f"https://h/#secret={SECRET}").secret
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_change_is_posted_once_signed_and_with_a_password_in_no_url(opened) -> None:
    with receiver() as server:
        sink = opened(server.url.replace("://", "://us%40er:p%2Fw@") + f"/hook?a=1#secret={SECRET}")
        for number, label in enumerate(["ball", "ball", NASTY[0], "unknown"]):
            sink(recognition(label, float(number), unknown=label == "unknown"))
        got = server.until(3)
    assert [(each.json["data"]["label"], each.json["data"]["before"]) for each in got] == [
        ("ball", None), (NASTY[0], "ball"), ("unknown", NASTY[0]),
    ]  # fmt: skip
    first = got[0]
    assert first.path == "/hook?a=1" and first.headers["content-type"] == "application/json"
    assert base64.b64decode(first.headers["authorization"].removeprefix("Basic ")) == b"us@er:p/w"
    assert set(first.json) == {"id", "type", "timestamp", "data", "dropped"} and first.json["type"] == "label.changed"
    assert first.json["id"] == first.headers["webhook-id"] and first.json["dropped"] == 0
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 10
    assert datetime.fromisoformat(first.json["timestamp"]).utcoffset().total_seconds() == 0
    signed = f"{first.headers['webhook-id']}.{first.headers['webhook-timestamp']}.".encode() + first.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert first.headers["webhook-signature"] == f"v1,{expected}"
    assert len({each.headers["webhook-id"] for each in got}) == 3


def test_each_inspected_part_is_posted(opened) -> None:
    with receiver() as server:
        sink = opened(server.url)
        sink.part(BAD_PART)
        (got,) = server.until(1)
    assert got.json["type"] == "part.inspected"
    assert (got.json["data"]["verdict"], got.json["data"]["bad_parts"]) == ("bad", 1)


def test_a_receiver_that_stumbles_gets_the_same_message_again_in_order(opened, caplog) -> None:
    with receiver() as server:
        server.answers = [(500, {}), (503, {"Retry-After": "0"}), (429, {"Retry-After": "soon"})]
        sink = opened(server.url)
        sink(recognition("ball", 0.0))
        sink(recognition("box", 1.0))
        got = server.until(5)
    assert len({each.headers["webhook-id"] for each in got[:4]}) == 1
    assert [each.json["data"]["label"] for each in got] == ["ball"] * 4 + ["box"]
    assert "webhook-signature" not in got[0].headers
    assert caplog.text.count("trying again") == 3 and "answers 500" in caplog.text


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, {}),
        (404, {}),
        (302, {"Location": "/elsewhere"}),
        (307, {"Location": "http://["}),
        (308, {"Location": "/elsewhere"}),
    ],
)
def test_what_a_receiver_will_never_take_is_dropped_counted_and_no_redirect_is_followed(
    opened, caplog, status, headers
) -> None:
    with receiver() as server:
        server.answers = [(status, headers)]
        sink = opened(f"{server.url}/hook")
        sink(recognition("ball", 0.0))
        sink(recognition("box", 1.0))
        got = server.until(2)
        sink(recognition("kite", 2.0))
        got = server.until(3)
    assert [each.path for each in got] == ["/hook"] * 3
    assert [each.json["dropped"] for each in got] == [0, 1, 0]
    assert f"answers {status}" in caplog.text and "is dropped" in caplog.text


def test_ten_thousand_events_without_a_receiver_stay_few_and_cost_little(opened) -> None:
    with receiver() as server:
        url = server.url
    sink = opened(url)
    started = time.process_time()
    for number in range(10_000):
        sink(recognition(f"thing {number}", float(number)))
    assert time.process_time() - started < 5.0 and len(sink.delivery) == 200


def test_the_next_message_says_how_many_were_dropped_each_once() -> None:
    arrived: list[tuple[int, int]] = []
    away = [True]

    def send(message: int, dropped: int) -> None:
        if away[0]:
            raise Trouble("is away")
        arrived.append((message, dropped))

    delivery = Delivery("it", send, max_waiting=3, backoff_s=(0.01, 0.02))
    delivery.start()
    for message in range(10):
        delivery.put(message)
    away[0] = False
    end = time.monotonic() + 10
    while len(arrived) < 3:
        assert time.monotonic() < end
        time.sleep(0.005)
    delivery.close()
    assert arrived == [(7, 7), (8, 0), (9, 0)]


@pytest.mark.slow
def test_https_is_verified(opened, tmp_path, caplog) -> None:
    files = certificates(tmp_path)
    with receiver(files["server"], files["server-key"]) as server:
        refused = opened(server.url)
        refused(recognition("ball", 0.0))
        end = time.monotonic() + 10
        while "unable to get local issuer certificate" not in caplog.text:
            assert time.monotonic() < end, caplog.text
            time.sleep(0.02)
        refused.close()  # before the server: Python's ssl leaves a socket open that is reset before its handshake
        assert not refused.delivery._thread.is_alive() and not server.got
        opened(f"{server.url}/#ca={files['authority']}")(recognition("ball", 0.0))
        server.until(1)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "expected https://"),
        ("ftp://host/x", "expected https://"),
        ("https:///x", "expected https://"),
        ("https://host:port/x", "no address"),
        ("https://a..b/x", "no address"),
        ("https://höst/x", "beyond ASCII"),
        ("https://host/x y", "expected https://"),
        ("https://host/hunter2#nonsense=1", "none of ca, secret"),
        ("https://host/hunter2#secret=short", "16 bytes"),
        ("https://host/hunter2#secret=whsec_!!!!", "base64"),
        ("https://host/hunter2#secret=a&secret-file=b", "choose one"),
        ("https://host/hunter2#secret-file=/nowhere", "No such file"),
        ("https://host/hunter2#ca=/nowhere", "No such file"),
    ],
)
def test_what_is_no_receiver_is_refused_and_its_path_is_not_shown(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        parsed_webhook(address)
    assert "hunter2" not in str(refused.value) and "short" not in str(refused.value)


@pytest.mark.parametrize("spec", [f"webhook:https://h/x#secret={SECRET}", "webhook:https://u:hunt2@h/x"])
def test_a_secret_on_the_command_line_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="--sink-file") as refused:
        refuse_password(spec)
    assert SECRET not in str(refused.value) and "hunt2" not in str(refused.value)
    refuse_password("webhook:https://h/x#secret=${HOOK}")
