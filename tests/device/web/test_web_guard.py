"""Who gets in: every route, anonymous, from another site, under another name."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette")

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from web_site import PASSWORD, PASSWORD_HASH, Client, Site, running, until
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edgetl_device.errors import InputError
from edgetl_device.home import Home
from edgetl_device.web import serve
from edgetl_device.web.guard import HEADERS, PAGES, Hosts, client_of, is_loopback, networks
from edgetl_device.web.live import LOGGED_OUT

FOR_EVERYONE = {("GET", "/healthz"), ("GET", "/static/app.css")}


@pytest.fixture(scope="module")
def opened(tmp_path_factory, bundle_path) -> Iterator[Site]:
    """Without a password."""
    home = Home(tmp_path_factory.mktemp("open"))
    home.install(bundle_path)
    with running(home) as site:
        yield site


@pytest.fixture
def locked(home) -> Iterator[Site]:
    """With a password."""
    with running(home, PASSWORD_HASH) as site:
        yield site


def every_route(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            inside = list(every_route(list(route.routes), prefix + route.path))
            yield from inside or [("GET", f"{prefix}{route.path}/app.css")]
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", prefix + route.path
        else:
            assert isinstance(route, Route) and route.methods
            for method in route.methods - {"HEAD"}:
                yield method, prefix + route.path.replace("{sample}", "1")


def answered(site: Site, client: Client, method: str, path: str, **headers: str) -> int:
    """The status of a route's answer."""
    if method != "WEBSOCKET":
        return client.ask(method, path, {} if method == "POST" else None, **headers).status
    try:
        client.watch(**headers).close()
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


def test_the_walk_finds_every_kind_of_route(opened) -> None:
    found = set(every_route(opened.server.site.routes))
    expected = {("GET", "/"), ("POST", "/api/v1/forget"), ("WEBSOCKET", "/api/v1/live"), ("GET", "/static/app.css")}
    assert found >= expected and len(found) > 20


def test_no_route_but_the_listed_answers_a_stranger(locked) -> None:
    client = Client(locked.url)
    found = {route: answered(locked, client, *route) for route in every_route(locked.server.site.routes)}
    assert {route for route, status in found.items() if status == 200} == FOR_EVERYONE
    refused = {route: status for route, status in found.items() if route not in FOR_EVERYONE}
    assert refused.pop(("POST", "/api/v1/login")) == 400  # without a password
    assert refused.pop(("WEBSOCKET", "/api/v1/live")) == 403 and set(refused.values()) == {401}
    assert not locked.app.samples() and len(locked.app.versions()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another port of this machine is another site's program
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
    ids=str,
)
def test_no_route_answers_the_page_of_another_site(opened, headers) -> None:
    client = Client(opened.url)
    found = {route: answered(opened, client, *route, **headers) for route in every_route(opened.server.site.routes)}
    assert set(found.values()) == {403}, found


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.0.9", "a@b"])
def test_no_route_answers_under_a_name_that_is_not_ours(opened, host) -> None:
    client = Client(opened.url)
    for method, path in every_route(opened.server.site.routes):
        if method != "WEBSOCKET":
            assert client.ask(method, path, Host=host).status == 403, path
    if "@" not in host:
        assert answered(opened, client, "WEBSOCKET", "/api/v1/live", Host=host) == 403


def test_the_same_site_and_programs_that_are_no_browser_get_in(opened) -> None:
    client = Client(opened.url)
    assert client.post("/api/v1/rollback", {"version": 1}).status == 200
    port = client.host.partition(":")[2]
    own = {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}", "Sec_Fetch_Site": "same-origin"}
    assert client.post("/api/v1/rollback", {"version": 1}, **own).status == 200
    for page in PAGES:
        assert client.get(page, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200  # followed a link


def test_every_answer_carries_the_security_headers(opened) -> None:
    for path in ("/", "/static/app.css", "/api/v1/status", "/api/v1/nowhere", "/healthz"):
        headers = Client(opened.url).get(path).headers
        assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy


def test_logging_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(locked) -> None:
    client = Client(locked.url)
    for page in PAGES:
        assert client.get(page).status == 401 and b'type="password"' in client.get(page).body
    cookie = client.log_in().headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and "secure" not in cookie.lower()
    assert client.get("/").status == 200 and client.get("/api/v1/status").status == 200
    assert client.post("/api/v1/logout").status == 204
    assert client.get("/api/v1/status").status == 401


def test_what_a_listed_proxy_says_of_the_visitor_is_believed(home) -> None:
    sent = {"password": PASSWORD}
    with running(home, PASSWORD_HASH, proxies=["127.0.0.0/8"]) as site:
        client = Client(site.url)
        answer = client.post("/api/v1/login", sent, X_Forwarded_Proto="https")
        assert "secure" in answer.headers["Set-Cookie"].lower()
        for _ in range(5):
            assert client.post("/api/v1/login", {"password": "x"}, X_Forwarded_For="10.0.0.1").status == 401
        assert client.post("/api/v1/login", sent, X_Forwarded_For="10.0.0.1").status == 429
        assert client.post("/api/v1/login", sent, X_Forwarded_For="10.0.0.2").status == 204


def test_what_anybody_else_says_of_the_visitor_is_not_believed(locked) -> None:
    client = Client(locked.url)
    answer = client.post("/api/v1/login", {"password": PASSWORD}, X_Forwarded_Proto="https")
    assert "secure" not in answer.headers["Set-Cookie"].lower()
    for number in range(5):
        client.post("/api/v1/login", {"password": "x"}, X_Forwarded_For=f"10.0.0.{number}")
    assert client.post("/api/v1/login", {"password": PASSWORD}, X_Forwarded_For="10.0.0.9").status == 429


@pytest.mark.parametrize("proxy", ["", "*", "proxy.local", "10.0.0.1/8"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str) -> None:
    with pytest.raises(InputError, match=r"--trusted-proxy: .*expected an address or a network"):
        networks([proxy])


def test_programs_may_send_the_password_with_each_request(locked) -> None:
    client = Client(locked.url)
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert client.get("/metrics", Authorization=f"Basic {basic}").status == 200
    wrong = base64.b64encode(b"me:wrong").decode()
    assert client.get("/metrics", Authorization=f"Basic {wrong}").status == 401


@pytest.mark.slow
def test_after_five_wrong_passwords_even_the_right_one_has_to_wait(locked) -> None:
    client = Client(locked.url)
    assert [client.log_in(f"guess {number}").status for number in range(6)] == [401] * 5 + [429]
    answer = client.log_in()
    assert answer.status == 429 and 0 < int(answer.headers["Retry-After"]) <= 60
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert client.get("/api/v1/status", Authorization=f"Basic {basic}").status == 429


def test_guesses_sent_at_the_same_time_are_counted_as_well(locked) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = Client(locked.url)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda number: client.log_in(f"guess {number}").status, range(12)))
    assert sorted(found) == [401] * 5 + [429] * 7


def test_logging_out_ends_an_open_live_picture(locked) -> None:
    client = Client(locked.url)
    client.log_in()
    with client.watch() as socket:
        assert '"picture"' in socket.recv(timeout=10)
        client.post("/api/v1/logout")
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(20):
                if isinstance(socket.recv(timeout=10), bytes):
                    socket.send('{"ack": 1}')
        assert closed.value.rcvd.code == LOGGED_OUT


def test_an_address_that_others_reach_demands_a_password(opened) -> None:
    for host in ("0.0.0.0", "::", "192.168.0.9", "camera.local", ""):
        with pytest.raises(InputError, match="--password-file"):
            serve(opened.app, host, 0)


def test_a_port_that_is_taken_is_one_clear_line(opened) -> None:
    port = int(opened.url.rpartition(":")[2])
    with pytest.raises(InputError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*--web HOST:PORT"):
        serve(opened.app, "127.0.0.1", port)


def test_names_of_this_device() -> None:
    local, everywhere = Hosts("127.0.0.1"), Hosts("0.0.0.0", ["cam.example.com"])
    assert all(name in local for name in ("localhost", "LocalHost", "127.0.0.1", "127.0.0.2", "::1", "localhost."))
    assert not any(name in local for name in ("192.168.0.9", "cam.example.com", "evil.example"))
    assert all(name in everywhere for name in ("192.168.0.9", "fe80::1", "CAM.example.com", "localhost"))
    assert "evil.example" not in everywhere
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "")] == [True] * 3 + [
        False
    ] * 3


def test_a_household_counts_as_one_guesser() -> None:
    class Visitor:
        def __init__(self, host: str) -> None:
            self.client = type("Address", (), {"host": host})

    one, other, far = (client_of(Visitor(host)) for host in ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"))
    assert one == other != far and client_of(Visitor("10.0.0.7")) == "10.0.0.7"


def test_health_is_bad_once_frames_stand_still(home, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.web.site.STANDSTILL_S", 0.3)
    with running(home) as site:
        client = Client(site.url)
        assert client.get("/healthz").status == 200
        site.app.pipeline.stop()
        time.sleep(0.4)
        until(lambda: client.get("/healthz").status == 503)
        assert client.get("/healthz").json["problem"].startswith("no new frame for")
