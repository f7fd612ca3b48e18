"""Frames for review: which are asked about first, what becomes of answers, and that nothing of a dropped one stays."""

import json
from dataclasses import replace
from pathlib import Path

import apsw
import numpy as np
import pytest
from conftest import draw, embeddings

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.errors import HomeError, InputError
from edgetl_device.home import Home
from edgetl_device.learning.learner import Learner
from edgetl_device.learning.review import (
    by_gain,
    drop_frames,
    frames_for_review,
    frames_of_samples,
    label_frames,
    review_order,
    samples_of_frames,
    uncertainty,
)
from edgetl_device.photos import thumbnail
from edgetl_device.store import review as ring
from edgetl_device.store.backup import restore_database
from edgetl_device.store.budget import Budget
from edgetl_device.store.review import ReviewFrame
from edgetl_device.store.soundness import what_is_wrong


def keep(learner: Learner, kind: str, count: int, start: int = 100, **other: object) -> list[ReviewFrame]:
    """Frames of a kind in the ring."""
    for number, raw in enumerate(embeddings(kind, count, start)):
        told = {"view": "", "why": "unknown", "label": "ball", "probability": 0.5} | other
        jpeg = thumbnail(draw(kind, start + number))
        frame = ReviewFrame(learner.bundle.backbone_digest, "", raw=raw, jpeg=jpeg, **told)
        assert learner.store.review.keep(frame, learner.runtime)
    return learner.store.review.frames(learner.bundle.backbone_digest)


def command(home: Home, *words: str) -> int:
    return console.run(program, "edgetl-device", ["--home", str(home.folder), *words])


def test_what_stands_for_most_is_asked_first_and_its_likes_last() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(size=(2, 32))
    rows = np.stack([one + rng.normal(0, 0.1, 32) for _ in range(5)] + [other]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = by_gain(rows, np.array([0.5, 0.5, 0.5, 0.5, 0.5, 1.0], np.float32))
    assert order[0] < 5 and order[1] == 5 and sorted(order) == [0, 1, 2, 3, 4, 5]
    sure = by_gain(rows, np.array([0.01, 0.01, 0.01, 0.01, 0.01, 1.0], np.float32))
    assert sure[0] == 5  # five that it is sure of are worth less than one that it is not


def test_every_frame_has_one_place_in_the_order_however_few_and_alike(home: Home) -> None:
    learner = home.learner()
    codes = learner.transform(embeddings("kite", 12))
    head = learner.active_head()
    for some in (codes[:0], codes[:1], codes[:2], codes, np.repeat(codes[:1], 5, axis=0), np.zeros_like(codes)):
        assert sorted(review_order(head, some, 0)) == list(range(len(some)))


def test_uncertainty_knows_one_class_and_none() -> None:
    none_unknown = np.zeros(2, bool)
    np.testing.assert_allclose(uncertainty(np.array([[1.0], [0.25]]), none_unknown), [0.0, 0.75])
    np.testing.assert_allclose(uncertainty(np.zeros((2, 0)), none_unknown), [1.0, 1.0])


def test_labelled_frames_become_samples_with_their_pictures_and_are_learned(home: Home) -> None:
    learner = home.learner()
    kept = keep(learner, "kite", 8)
    samples = label_frames(learner, "kite", [frame.id for frame in kept])
    assert [row.id for row in learner.samples("kite")] == samples and not frames_for_review(learner)
    assert [learner.store.thumbnail(number) for number in samples] == [frame.jpeg for frame in kept]
    assert learner.retrain().promoted
    assert learner.active_head().recognise(learner.transform(embeddings("kite", 1, 900)))[0][-1] == "kite"
    assert what_is_wrong(learner.store.path) is None


def test_frames_keep_the_view_they_were_seen_with(home: Home) -> None:
    learner = home.learner()
    view = json.dumps({"region": [0, 0, 5000, 5000], "find_part": False, "turned": False})
    keep(learner, "kite", 1)
    kept = keep(learner, "box", 1, view=view)
    samples = label_frames(learner, "kite", [frame.id for frame in kept])
    assert learner.store.views.of(samples) == ["", view]


def test_a_labelling_that_is_taken_back_leaves_the_head_as_it_was_and_the_frames_where_they_were(home: Home) -> None:
    learner = home.learner()
    learner.add("ring", embeddings("ring", 6))
    assert learner.retrain().promoted
    before, view = learner.device_statistics().to_bytes(), json.dumps({"region": [0, 0, 5000, 5000]})
    kept = [*keep(learner, "kite", 3, probability=0.4, why="differs"), *keep(learner, "box", 1, view=view)[3:]]
    samples = samples_of_frames(learner, "kite", [frame.id for frame in kept])
    assert learner.retrain().promoted
    assert frames_of_samples(learner, "kite", samples) == 4
    assert learner.device_statistics().to_bytes() == before and not learner.samples("kite")
    back = learner.store.review.frames(learner.bundle.backbone_digest)
    keys = ("view", "why", "label", "probability", "jpeg", "time", "runtime")
    assert [[getattr(f, key) for key in keys] + [f.raw.tobytes()] for f in back] == [
        [getattr(f, key) for key in keys] + [f.raw.tobytes()] for f in kept
    ]
    assert what_is_wrong(learner.store.path) is None


@pytest.mark.parametrize("time", ["2020-01-01T00:00:00.000+00:00", "2099-01-01T00:00:00.000+00:00"])
def test_taking_back_loses_no_frame_whatever_its_time(home: Home, time: str) -> None:
    learner = home.learner()
    kept = keep(learner, "kite", 2)
    samples = {
        sample: replace(frame, time=time)
        for sample, frame in samples_of_frames(learner, "kite", [frame.id for frame in kept]).items()
    }
    assert frames_of_samples(learner, "kite", samples) == 2
    learner.store.review.let_go()
    assert len(frames_for_review(learner)) == 2 and not learner.samples()


def test_what_a_person_decided_since_is_not_undone(home: Home) -> None:
    learner = home.learner()
    samples = samples_of_frames(learner, "kite", [frame.id for frame in keep(learner, "kite", 3)])
    first, second, _ = samples
    learner.forget([first])
    learner.relabel("ring", [second])
    assert frames_of_samples(learner, "kite", samples) == 1
    assert len(frames_for_review(learner)) == 1 and [row.label for row in learner.samples()] == ["ring"]
    with pytest.raises(InputError, match="nothing left to undo"):
        frames_of_samples(learner, "kite", samples)


def test_a_wrong_request_changes_nothing(home: Home) -> None:
    learner = home.learner()
    kept = keep(learner, "kite", 2)
    for label, ids in (("kite", [kept[0].id, 99]), ("kite", []), ("", [kept[0].id])):
        with pytest.raises(InputError):
            label_frames(learner, label, ids)
    with pytest.raises(InputError, match="no frame 99"):
        drop_frames(learner, [kept[0].id, 99])
    assert len(frames_for_review(learner)) == 2 and not learner.samples()


def everything_on_disk(home: Home) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("how", ["drop", "all", "forget"])
def test_nothing_of_a_dropped_frame_stays_on_the_disk(home: Home, how: str) -> None:
    learner = home.learner()
    learner.add("ring", embeddings("ring", 3))
    (frame,) = keep(learner, "kite", 1)
    learner.store.database.settle(0.0)
    raw = frame.raw.tobytes()
    assert raw in everything_on_disk(home) and frame.jpeg in everything_on_disk(home)
    if how == "forget":
        learner.forget_all()
    else:
        assert drop_frames(learner, None if how == "all" else [frame.id]) == 1
    assert raw not in everything_on_disk(home) and frame.jpeg not in everything_on_disk(home)
    assert not learner.store.database.state().unscrubbed and not frames_for_review(learner)


def test_dropping_leaves_what_was_learned_and_its_summary_alone(home: Home) -> None:
    learner = home.learner()
    learner.add("ring", embeddings("ring", 8))
    learner.retrain()
    learner.store.keep_summary("b", b"what samples add up to")
    keep(learner, "kite", 2)
    revision = learner.store.revision()
    assert drop_frames(learner) == 2
    assert learner.store.revision() == revision and learner.store.kept_summary("b") == b"what samples add up to"


def test_backups_leave_frames_out_and_restoring_brings_none(home: Home, tmp_path: Path) -> None:
    learner = home.learner()
    learner.add("ring", embeddings("ring", 3))
    (frame,) = keep(learner, "kite", 1)
    learner.store.backup(tmp_path / "backup.sqlite")
    content = (tmp_path / "backup.sqlite").read_bytes()
    assert frame.raw.tobytes() not in content and frame.jpeg not in content
    assert what_is_wrong(tmp_path / "backup.sqlite") is None
    learner.store.database.settle(0.0)
    (tmp_path / "copy.sqlite").write_bytes(learner.store.path.read_bytes())
    learner.store.close()
    restore_database(tmp_path / "copy.sqlite", home.store_path)
    restored = home.learner()
    assert len(restored.samples()) == 3 and not frames_for_review(restored)


def test_a_backup_with_a_strange_frame_is_refused(home: Home, tmp_path: Path) -> None:
    learner = home.learner()
    keep(learner, "kite", 1)
    learner.store.database.settle(0.0)
    (tmp_path / "copy.sqlite").write_bytes(learner.store.path.read_bytes())
    copy = apsw.Connection(str(tmp_path / "copy.sqlite"))
    copy.execute("UPDATE review SET probability = 'much'")
    copy.close()
    learner.store.close()
    with pytest.raises(HomeError, match="strange probability"):
        restore_database(tmp_path / "copy.sqlite", home.store_path)


def test_exports_do_not_hold_frames(home: Home, tmp_path: Path) -> None:
    learner = home.learner()
    learner.add("ring", embeddings("ring", 3))
    (frame,) = keep(learner, "kite", 1)
    codes = learner.transform(frame.raw[None]).tobytes()
    assert command(home, "export-stats", str(tmp_path / "a.npz")) == 0
    (export,) = [path.read_bytes() for path in tmp_path.glob("a.npz*")]
    assert not any(content in export for content in (frame.raw.tobytes(), frame.jpeg, codes))


def test_the_ring_is_bounded_in_number_bytes_and_days(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = home.learner()
    monkeypatch.setattr(ring, "MOST_FRAMES", 3)
    assert [frame.id for frame in keep(learner, "kite", 5)] == [3, 4, 5]
    size = len(learner.store.review.frames(learner.bundle.backbone_digest)[-1].jpeg)
    monkeypatch.setattr(ring, "MOST_BYTES", 2 * size + 300)
    assert [frame.id for frame in keep(learner, "kite", 1)] == [5, 6]
    assert [frame.id for frame in keep(learner, "kite", 1, time="2020-01-01T00:00:00.000+00:00")] == [6]
    monkeypatch.setattr(ring, "MOST_DAYS", -1)
    assert learner.store.review.let_go() and not frames_for_review(learner)


def test_frames_give_way_to_samples_and_are_not_kept_in_a_full_store(home: Home) -> None:
    learner = home.learner()
    keep(learner, "kite", 6)
    store = learner.store
    full = Budget(store.database, 1000, store.database.size_bytes() + 10)
    store.review._has_room = full.has_room
    frame = store.review.frames(learner.bundle.backbone_digest)[0]
    assert not store.review.keep(frame, "r") and len(frames_for_review(learner)) == 6
    with store.database.transaction():
        full.make_room(1, 100)
    assert not frames_for_review(learner)


def test_a_damaged_frame_is_left_out(home: Home) -> None:
    learner = home.learner()
    keep(learner, "kite", 2)
    learner.store.database.run("UPDATE review SET raw = zeroblob(64) WHERE id = 1")
    assert [frame.id for frame in frames_for_review(learner)] == [2]
    assert learner.store.review.thumbnail(1) is None and learner.store.review.thumbnail(2) is not None
    assert what_is_wrong(learner.store.path) is None  # no reason to repair a store


def test_the_command_lists_labels_and_drops(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> dict:
        assert command(home, "review", *words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    assert run() == {"frames": []}
    learner = home.learner()
    keep(learner, "kite", 9)
    learner.store.close()
    frames = run()["frames"]
    assert len(frames) == 9 and frames[0].keys() == {"id", "time", "why", "label", "probability"}
    assert command(home, "review") == 0
    assert "unknown" in capsys.readouterr().out
    assert run("drop", "9") == {"dropped": 1}
    answer = run("label", "kite", "1-8")
    assert len(answer["ids"]) == 8 and answer["promoted"] and run() == {"frames": []}
    assert run("drop", "--all") == {"dropped": 0}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["label"], "which label, and which frames"),
        (["label", "kite"], "which label, and which frames"),
        (["label", "kite", "44"], "no frame 44"),
        (["label", "bal", "1"], "did you mean ball"),
        (["drop"], "which frames"),
        (["drop", "1", "--all"], "which frames"),
        (["drop", "44"], "no frame 44"),
        (["drop", "5-9"], "no frames were chosen"),
        (["drop", "x"], "is no frame"),
        (["--all"], "--all goes with"),
    ],
)
def test_a_wrong_command_is_told_so(
    home: Home, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(home.learner(), "kite", 1)
    assert command(home, "review", *words) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert len(frames_for_review(home.learner())) == 1
