"""Batches that the gate sets aside hold up nothing, and are decided about one by one."""

import numpy as np
import pytest
from test_learner import embeddings, labels_of

from edgetl_device.errors import InputError
from edgetl_device.home import Home
from edgetl_device.learning import retraining
from edgetl_device.learning.gate import Verdict
from edgetl_device.learning.learner import Learner


@pytest.fixture
def learner(home: Home) -> Learner:
    """With twelve boxes taught as ball, which are set aside."""
    learner = home.learner()
    learner.add("ball", embeddings("box", 12))
    assert not learner.retrain().promoted
    return learner


def test_a_wrong_batch_is_set_aside_and_a_right_one_after_it_is_learned(home: Home, learner: Learner) -> None:
    (batch,) = learner.pending()
    assert (batch.label, batch.looks_like, batch.samples, batch.ids) == ("ball", "box", 12, tuple(range(1, 13)))
    learner.add("kite", embeddings("kite", 5))
    outcome = learner.retrain()
    assert outcome.promoted and not outcome.set_aside and outcome.reason.startswith("learned kite (5 samples)")
    assert home.learner().pending() == learner.pending() == [batch]
    assert labels_of(learner, "kite").count("kite") >= 18 and labels_of(learner, "box").count("box") >= 18


def test_what_is_pending_is_in_no_statistics_and_in_no_head(home: Home, learner: Learner) -> None:
    learner.add("kite", embeddings("kite", 5))
    learner.retrain()
    fresh = home.learner()
    assert fresh.device_statistics().labels == ("kite",) and fresh.device_statistics().samples == 5
    assert learner.device_statistics().to_bytes() == fresh.device_statistics().to_bytes()
    learner.use_pending(1)
    learner.retrain()
    assert learner.device_statistics().to_bytes() == home.learner().device_statistics().to_bytes()
    assert learner.device_statistics().samples == 17


def test_a_device_that_set_a_batch_aside_is_one_that_never_saw_it(home: Home, learner: Learner, bundle_path, tmp_path):
    other = Home(tmp_path / "other")
    other.install(bundle_path)
    spared = other.learner()
    for one in (learner, spared):
        for kind in ("kite", "ring"):
            one.add(kind, embeddings(kind, 4))
            assert one.retrain().promoted
    assert learner.device_statistics().to_bytes() == spared.device_statistics().to_bytes()
    codes = learner.transform(embeddings("box", 9))
    ours, theirs = (one.active_head().predict(codes) for one in (learner, spared))
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
    assert (ours[1] == theirs[1]).all()


def test_right_and_wrong_batches_taught_at_once_are_told_apart(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 12))
    learner.add("kite", embeddings("kite", 5))
    outcome = learner.retrain()
    assert outcome.promoted and [batch.label for batch in outcome.set_aside] == ["ball"]
    assert outcome.reason.startswith("learned kite (5 samples)")
    assert "; set aside: " in outcome.reason and "of the 12 new photos of ball look like box" in outcome.reason


def test_using_a_batch_learns_it_and_nobody_asks_again(home: Home, learner: Learner) -> None:
    ids = learner.use_pending(1)
    outcome = learner.retrain()
    assert outcome.promoted and not learner.pending() and len(ids) == 12
    assert learner.device_statistics().samples == 12
    learner.rollback(1)
    again = learner.retrain()  # the samples are new to version 1, and confirmed
    assert again.promoted and not learner.pending()


def test_who_insisted_on_samples_is_not_asked_again_by_a_version_that_does_not_know_them(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 12))
    learner.add("kite", embeddings("kite", 3))
    assert learner.retrain(accept_scene_change=True).promoted
    learner.rollback(1)
    again = home.learner().retrain(None)
    assert again.promoted and not again.set_aside and home.learner().device_statistics().samples == 15


def test_who_moved_a_sample_is_not_asked_about_it_again(home: Home) -> None:
    learner = home.learner()
    ids = learner.add("kite", embeddings("box", 12))
    assert [batch.looks_like for batch in learner.retrain().set_aside] == ["box"]
    learner.relabel("ball", [row.id for row in learner.samples("kite")])
    assert learner.retrain().promoted and not learner.pending() and len(learner.samples("ball")) == len(ids)
    learner.rollback(1)
    assert learner.retrain().promoted and not learner.pending()


def test_rolling_back_undoes_the_use_of_a_batch(home: Home, learner: Learner) -> None:
    learner.add("kite", embeddings("kite", 5))
    learner.retrain()
    before = learner.active_head().predict(learner.transform(embeddings("box", 9)))
    learner.use_pending(1)
    learner.retrain()
    learner.rollback()
    for one in (learner, home.learner()):
        after = one.active_head().predict(learner.transform(embeddings("box", 9)))
        np.testing.assert_allclose(before[0], after[0], atol=1e-5)


def test_moving_a_batch_gives_it_the_label_it_looks_like_or_another(home: Home, learner: Learner) -> None:
    learner.add("ball", embeddings("box", 12, start=300))
    learner.retrain()
    assert learner.move_pending(1)[0] == "box" and learner.move_pending(13, "crate")[0] == "crate"
    assert learner.retrain().promoted and not learner.pending()
    assert learner.store.counts(learner.bundle.backbone_digest) == {"box": 12, "crate": 12}


def test_forgetting_a_batch_leaves_nothing_of_it(home: Home, learner: Learner) -> None:
    assert learner.forget_pending(1) == 12 and not learner.samples() and not learner.pending()
    for table in ("pending", "confirmed"):
        assert list(learner.store.database.rows(f"SELECT * FROM {table}")) == []
    with pytest.raises(InputError, match="no pending batch 1: nothing is pending"):
        learner.use_pending(1)


def test_a_number_that_is_no_batch_is_refused_with_those_that_are(learner: Learner) -> None:
    with pytest.raises(InputError, match="no pending batch 7: expected one of 1"):
        learner.move_pending(7)


def test_pending_samples_can_be_relabelled_and_forgotten_one_by_one(learner: Learner) -> None:
    assert learner.relabel("box", [1, 2]) == 2 and learner.forget([3]) == 1
    assert learner.pending()[0].samples == 9 and learner.pending()[0].id == 1
    assert learner.retrain().promoted
    assert learner.device_statistics().labels == ("box",) and learner.device_statistics().samples == 2


def test_a_batch_that_would_make_known_classes_worse_is_found_among_others(home: Home, monkeypatch) -> None:
    """Whatever the gate objects to, only the batch that it objects to waits."""
    real = retraining.judge

    def judge(candidate, active, new):
        return Verdict(False, "no", None, "ball would fall") if "harm" in new.labels else real(candidate, active, new)

    monkeypatch.setattr(retraining, "judge", judge)
    learner = home.learner()
    for label in ("a", "b", "harm", "c", "d"):
        learner.add(label, embeddings("kite" if label < "c" else "ring", 2))
    outcome = learner.retrain()
    assert outcome.promoted and [batch.label for batch in learner.pending()] == ["harm"]
    assert learner.pending()[0].reason == "ball would fall"
    assert set(learner.active_head().labels) >= {"a", "b", "c", "d"}
    learner.add("kite", embeddings("kite", 3))
    assert learner.retrain().promoted


def test_what_is_pending_survives_backup_restore_and_repair(home: Home, learner: Learner, tmp_path) -> None:
    from edgetl_device.store.backup import restore_database
    from edgetl_device.store.recovery import recover

    learner.use_pending(1)
    learner.add("ball", embeddings("box", 6, start=300))
    learner.store.set_aside([([25, 26, 27, 28, 29, 30], "box", "they look like box")])
    before, confirmed = learner.pending(), learner.store.confirmed()
    learner.store.backup(tmp_path / "copy.sqlite")
    learner.store.close()
    restore_database(tmp_path / "copy.sqlite", home.store_path)
    restored = home.learner()
    assert restored.pending() == before and restored.store.confirmed() == confirmed and len(confirmed) == 12
    restored.store.close()
    with restored.lock():
        recover(home.store_path, "a test")
    assert home.learner().pending() == before and home.learner().store.confirmed() == confirmed


def test_a_sample_that_was_moved_keeps_its_picture(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 12), [b"\xff\xd8"] * 12)
    learner.retrain()
    _, ids = learner.move_pending(1)
    assert all(learner.store.thumbnail(number) == b"\xff\xd8" for number in ids)
    assert learner.store.thumbnail(1) is None


def test_a_batch_that_looks_like_several_things_is_moved_only_to_a_label_that_is_given(learner: Learner) -> None:
    learner.store.database.run("UPDATE pending SET looks_like = NULL", [()])
    with pytest.raises(InputError, match="does not look like one thing: give a LABEL for all of it, or relabel"):
        learner.move_pending(1)
    assert learner.move_pending(1, "box")[0] == "box"


def test_a_relabelling_that_changes_nothing_stores_nothing(learner: Learner) -> None:
    ids = learner.add("kite", embeddings("kite", 3))
    learner.retrain()
    before = learner.store.revision()
    assert learner.relabel("kite", ids) == 0 and learner.store.revision() == before
    assert learner.has_nothing_to_learn() and not learner.has_nothing_to_learn("lda")
