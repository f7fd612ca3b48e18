"""The wall clock jumps by years, at the start and while the app runs: only what is shown to people goes with it."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("starlette")

from clocks import set_wall_clock
from conftest import draw, embeddings
from web_site import PASSWORD_HASH, Client, running, until

from edgetl_device.home import Home
from edgetl_device.store import review
from edgetl_device.verification import verify
from edgetl_device.web import certificate

JUMPS = [20.0, -20.0, -50.0]  # the last one is before 1980


@pytest.mark.slow
@pytest.mark.parametrize("years", JUMPS)
def test_a_jump_while_the_app_runs_changes_nothing_but_what_is_shown(home: Home, monkeypatch, years: float) -> None:
    with running(home, PASSWORD_HASH) as site:
        client = Client(site.url)
        client.log_in()
        first = client.post("/api/v1/learn", {"label": "kite", "frames": 3, "interval_ms": 0}).json
        assert first["stored"] == 3
        set_wall_clock(monkeypatch, years)
        seen = site.app.pipeline.health().frames
        until(lambda: site.app.pipeline.health().frames > seen + 10)
        assert client.get("/healthz").status == 200 and client.get("/api/v1/status").status == 200  # still logged in
        assert client.post("/api/v1/learn", {"label": "ring", "frames": 2, "interval_ms": 0}).json["stored"] == 2
        ids = [sample["id"] for sample in client.get("/api/v1/samples").json["samples"]]
        assert ids == sorted(ids, reverse=True) and len(ids) == 5  # newest first, whatever their times say
        versions = client.get("/api/v1/versions").json["versions"]
        assert [row["version"] for row in versions] == sorted(row["version"] for row in versions)
        assert client.post("/api/v1/rollback", {}).status == 200
        assert client.post("/api/v1/forget", {"ids": ids[:2]}).status == 200
        set_wall_clock(monkeypatch, 0)
        assert client.get("/api/v1/status").json["samples"] == {"kite": 3}
    assert all(each.ok for each in verify(home))


@pytest.mark.parametrize("years", JUMPS)
def test_a_start_at_a_wrong_time_knows_what_was_taught_at_the_right_one(home: Home, monkeypatch, years: float) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 5))
    learner.retrain(accept_scene_change=True)
    before = learner.active_version
    learner.store.close()
    set_wall_clock(monkeypatch, years)
    again = home.learner()
    assert again.active_version == before and "kite" in again.active_head().labels
    again.add("ring", embeddings("ring", 3))
    outcome = again.retrain(accept_scene_change=True)
    assert outcome.promoted and outcome.version > before
    assert again.rollback() == before  # the one before, by number and not by time
    again.store.close()
    set_wall_clock(monkeypatch, 0)
    assert all(each.ok for each in verify(home))


@pytest.mark.parametrize("years", JUMPS)
def test_the_automatic_backup_is_made_whatever_the_time_of_the_last_one(home: Home, monkeypatch, years: float) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 3))
    learner.store.backup_if_due()
    made = learner.store.backup_path.stat().st_mtime_ns
    learner.store.backup_if_due()
    assert learner.store.backup_path.stat().st_mtime_ns == made
    time.sleep(0.02)
    set_wall_clock(monkeypatch, years)
    learner.store.backup_if_due()
    assert learner.store.backup_path.stat().st_mtime_ns != made


def kept(home: Home, time_of: str = "") -> tuple[review.ReviewFrames, str]:
    learner = home.learner()
    frame = review.ReviewFrame(
        learner.bundle.backbone_digest, "r", "", "unsure", "kite", 0.5, np.zeros(4, np.int8), b"", time_of
    )
    assert learner.store.review.keep(frame, "r")
    return learner.store.review, learner.bundle.backbone_digest


@pytest.mark.parametrize("days", [15.0, -15.0])
def test_frames_for_review_go_after_a_fortnight_also_where_the_clock_was_set_back(
    home: Home, monkeypatch, days
) -> None:
    frames, backbone = kept(home)
    set_wall_clock(monkeypatch, days * 0.9 / 365.25)
    assert frames.let_go() and len(frames.frames(backbone)) == 1
    set_wall_clock(monkeypatch, days / 365.25)
    assert frames.let_go() and not frames.frames(backbone)


def test_a_clock_that_was_never_set_lets_no_frame_for_review_go(home: Home, monkeypatch) -> None:
    frames, backbone = kept(home)
    set_wall_clock(monkeypatch, -50)
    assert frames.let_go() and len(frames.frames(backbone)) == 1


@pytest.mark.parametrize("years", JUMPS)
def test_a_certificate_that_the_clock_has_left_is_made_anew_with_the_same_key(monkeypatch, years: float) -> None:
    pytest.importorskip("cryptography")
    made = certificate._made(["localhost"], b"")
    assert certificate._serves(made, ["localhost"])
    set_wall_clock(monkeypatch, years)
    assert not certificate._serves(made, ["localhost"])
    anew = certificate._made(["localhost"], made)
    assert certificate._serves(anew, ["localhost"])
    assert anew.partition(b"-----END PRIVATE")[0] == made.partition(b"-----END PRIVATE")[0]


def test_recognition_is_smoothed_by_the_monotonic_clock(home: Home, monkeypatch) -> None:
    with running(home) as site:
        until(lambda: site.app.pipeline.latest() is not None)
        set_wall_clock(monkeypatch, 20)
        found = site.app.pipeline.latest()
        assert found is not None and abs(found.frame.time_s - time.monotonic()) < 60
        assert draw("ball", 1).shape
