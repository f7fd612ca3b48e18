import click
import numpy as np
import pytest
from conftest import build_bundle, draw, embeddings, tiny_backbone

from edgetl_device.cli.retraining import judged_if_possible
from edgetl_device.device import Device
from edgetl_device.errors import HeadError, InputError, MismatchError, StorageError
from edgetl_device.home import Home
from edgetl_device.learning import retraining, solver
from edgetl_device.learning.learner import Learner


def labels_of(learner: Learner, kind: str, count: int = 20) -> list[str | None]:
    classifier = learner.classifier(tiny_backbone())
    return [classifier.classify(draw(kind, 500 + number)).label for number in range(count)]


def test_a_new_class_is_learned_and_old_ones_are_kept(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 5))
    outcome = learner.retrain()
    assert outcome.promoted and outcome.version == 2 == learner.active_version
    assert labels_of(learner, "kite").count("kite") >= 18
    assert labels_of(learner, "ball").count("ball") >= 18


def test_adding_one_by_one_and_all_at_once_give_the_same_statistics(home: Home) -> None:
    learner = home.learner()
    learner.evidence()
    for row in embeddings("kite", 6):
        learner.add("kite", row[None])
        learner.evidence()
    assert learner.device_statistics().to_bytes() == home.learner().device_statistics().to_bytes()


def test_forgetting_restores_the_statistics_bit_for_bit(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 3))
    before = learner.device_statistics().to_bytes()
    ids = learner.add("kite", embeddings("kite", 4, start=300)) + learner.add("ball", embeddings("ball", 2))
    assert learner.device_statistics().to_bytes() != before
    assert learner.forget(ids) == 6
    assert learner.device_statistics().to_bytes() == before


def test_wrong_labels_are_rejected_the_old_head_stays_and_the_samples_too(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 30))
    outcome = learner.retrain()
    assert not outcome.promoted and outcome.version == 1 == learner.active_version
    assert "of the 30 new photos of ball look like box" in outcome.reason and len(learner.samples()) == 30
    assert [row.state for row in learner.versions()] == ["factory", "rejected"]


def test_a_change_of_scene_can_be_accepted(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 30))
    outcome = learner.retrain(accept_scene_change=True)
    assert outcome.promoted and "change of scene" in outcome.reason


def test_rollback_goes_to_the_version_before_and_to_any_by_number(home: Home) -> None:
    learner = home.learner()
    for number in (1, 2):
        learner.add("kite", embeddings("kite", 2, start=100 * number))
        learner.retrain()
    assert learner.rollback() == 2 == learner.active_version
    assert learner.rollback() == 1
    with pytest.raises(InputError, match="nothing to roll back to"):
        learner.rollback()
    assert learner.rollback(3) == 3
    with pytest.raises(InputError, match="no version 9 to roll back to: expected one of 1, 2, 3"):
        learner.rollback(9)


def test_a_rejected_version_cannot_be_rolled_back_to(home: Home) -> None:
    learner = home.learner()
    learner.add("ball", embeddings("box", 30))
    learner.retrain()
    with pytest.raises(InputError, match="version 2 was rejected by the gate and cannot be used: expected one of 1"):
        learner.rollback(2)


def test_a_rolled_back_head_predicts_what_it_predicted_then(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 3))
    learner.retrain()
    codes = learner.transform(embeddings("ring", 10))
    then = learner.active_head().predict(codes)
    learner.add("ring", embeddings("ring", 10))
    learner.retrain()
    learner.rollback()
    now = home.learner().active_head().predict(codes)
    np.testing.assert_allclose(then[0], now[0], atol=1e-5)  # one was updated, the other solved anew
    assert (then[0].argmax(axis=1) == now[0].argmax(axis=1)).all() and (then[1] == now[1]).all()


def test_forgetting_reaches_into_earlier_versions(home: Home) -> None:
    learner = home.learner()
    ids = learner.add("kite", embeddings("kite", 4))
    learner.retrain()
    learner.add("ring", embeddings("ring", 4))
    learner.retrain()
    learner.forget(ids)
    learner.retrain()
    learner.rollback(2)
    assert "kite" not in learner.active_head().labels


def test_relabelling_moves_samples(home: Home) -> None:
    learner = home.learner()
    ids = learner.add("kite", embeddings("ring", 4))
    assert learner.relabel("ring", ids) == 4
    learner.retrain()
    assert learner.active_head().labels == ("ball", "box", "ring")


def test_a_factory_label_is_hidden_until_it_is_learned_again(home: Home) -> None:
    learner = home.learner()
    learner.hide("box")
    learner.retrain()
    assert home.learner().active_head().labels == ("ball",)
    learner.rollback(1)
    assert learner.active_head().labels == ("ball",)  # also in earlier versions
    learner.add("box", embeddings("box", 1))
    learner.retrain()
    assert learner.active_head().labels == ("ball", "box")


def test_a_bundle_without_classes_learns_from_nothing(tmp_path, empty_bundle_path) -> None:
    home = Home(tmp_path / "home")
    home.install(empty_bundle_path)
    learner = home.learner()
    assert labels_of(learner, "ball", 1) == [None]
    for kind in ("ball", "kite"):
        learner.add(kind, embeddings(kind, 2))
    learner.retrain()
    assert labels_of(learner, "kite").count("kite") >= 18
    assert labels_of(learner, "ball").count("ball") >= 18


def test_another_backbones_embeddings_are_refused(home: Home) -> None:
    with pytest.raises(MismatchError, match=r"\(n, 64\) int8, got \(1, 63\)"):
        home.learner().add("kite", np.zeros((1, 63), np.int8))


def test_a_missing_sample_is_named(home: Home) -> None:
    with pytest.raises(InputError, match="no sample 7"):
        home.learner().forget([7])


def test_samples_survive_a_new_bundle_of_the_same_backbone(home: Home, tmp_path) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 3))
    learner.store.close()
    home.install(build_bundle(tmp_path / "more.edgetl", ("ball", "box", "ring")))
    learner = home.learner()
    assert len(learner.samples()) == 3 and learner.retrain().promoted
    assert learner.active_head().labels == ("ball", "box", "kite", "ring")


def test_a_factory_label_can_be_hidden_after_something_was_learned(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 6))
    assert learner.retrain().promoted
    learner.hide("ball")
    assert learner.retrain().promoted
    assert learner.active_head().labels == ("box", "kite")


def test_forgetting_one_of_many_wrong_samples_does_not_let_the_others_through(home: Home) -> None:
    learner = home.learner()
    ids = learner.add("ball", embeddings("box", 30))
    assert not learner.retrain().promoted
    learner.forget(ids[:1])
    learner.retrain()
    assert learner.pending()[0].samples == 29 and learner.device_statistics().samples == 0
    assert labels_of(learner, "box").count("box") >= 18


def test_another_process_that_forgets_is_noticed(home: Home) -> None:
    one, other = home.learner(), home.learner()
    ids = one.add("kite", embeddings("kite", 3))
    one.retrain()
    assert other.device_statistics().samples == 3 and "kite" in other.active_head().labels
    one.forget(ids)
    assert other.device_statistics().samples == 0 and "kite" not in other.active_head().labels


def test_relabelling_to_a_hidden_label_shows_it_again(home: Home) -> None:
    learner = home.learner()
    learner.hide("box")
    ids = learner.add("kite", embeddings("box", 2))
    learner.relabel("box", ids)
    assert learner.evidence().labels == ("ball", "box")


def test_a_refused_sample_shows_nothing_again(home: Home) -> None:
    learner = home.learner()
    learner.hide("box")
    learner.store.budget.max_samples = 0
    with pytest.raises(StorageError):
        learner.add("box", embeddings("box", 1))
    assert learner.evidence().labels == ("ball",)


def test_statistics_name_the_runtimes_that_made_the_samples_not_the_one_at_hand(home: Home) -> None:
    learner = home.learner()
    learner.store.add_samples("kite", embeddings("kite", 1), learner.bundle.backbone_digest, "other-9")
    assert learner.device_statistics().runtimes == ("other-9",)


def test_the_same_sample_named_twice_is_forgotten_once(home: Home) -> None:
    learner = home.learner()
    ids = learner.add("kite", embeddings("kite", 2))
    assert learner.forget([ids[0], ids[0]]) == 1 and len(learner.samples()) == 1


def taught(home: Home, **counts: int) -> Learner:
    learner = home.learner()
    for label, count in counts.items():
        learner.add(label, embeddings(label, count))
        assert learner.retrain().promoted
    return learner


def test_wrong_labels_for_things_learned_here_are_rejected_although_no_holdout_knows_them(home: Home) -> None:
    learner = taught(home, kite=10, ring=10)
    learner.add("ring", embeddings("kite", 10, start=200))
    outcome = learner.retrain()
    assert not outcome.promoted and outcome.reason == "not learned: 10 of the 10 new photos of ring look like kite"
    learner.relabel("kite", [row.id for row in learner.samples("ring")[10:]])
    assert learner.retrain().promoted


def test_labels_swapped_between_two_classes_are_rejected_and_both_are_named(home: Home) -> None:
    learner = taught(home, kite=10, ring=10)
    learner.add("ring", embeddings("kite", 5, start=200))
    learner.add("kite", embeddings("ring", 5, start=200))
    reason = learner.retrain().reason
    assert "5 of the 5 new photos of ring look like kite" in reason and "5 new photos of kite look like ring" in reason


def test_a_new_label_for_part_of_a_known_class_is_no_contradiction(home: Home) -> None:
    """As "Rex" is for a bundle that knows dogs."""
    learner = home.learner()
    learner.add("my ball", embeddings("ball", 2))
    assert "look like" not in learner.retrain().reason


def test_a_new_label_that_takes_a_class_learned_here_away_is_rejected(home: Home) -> None:
    learner = taught(home, kite=20)
    learner.add("dragon", embeddings("kite", 60, start=300))
    outcome = learner.retrain()
    told = "not learned: the 60 photos of the new label dragon cannot be told from kite: the same thing under another name?"
    assert not outcome.promoted and outcome.reason == told and learner.pending()[0].looks_like == "kite"


def test_more_samples_of_what_was_learned_here_pass(home: Home) -> None:
    learner = taught(home, kite=10, ring=10)
    for number in range(4):
        for kind in ("kite", "ring", "ball"):
            learner.add(kind, embeddings(kind, 3, start=300 + 10 * number))
        outcome = learner.retrain()
        assert outcome.promoted, outcome.reason


def test_a_known_thing_under_another_name_is_asked_about_where_few_photos_are_held_out(tmp_path) -> None:
    """Fifteen held-out photos can confirm no loss of a third; the head must not be promoted in silence all the same."""
    home = Home(tmp_path / "home")
    home.install(build_bundle(tmp_path / "few.edgetl", ("ball", "box", "ring"), per_class=10))
    learner = home.learner()
    learner.add("marble", embeddings("ball", 8))
    outcome = learner.retrain()
    assert not outcome.promoted and outcome.accuracy is not None and outcome.accuracy < 0.85
    assert "with only 15 held-out photos" in outcome.reason and learner.active_version == 1
    assert learner.retrain(accept_scene_change=True).promoted


def test_a_blank_device_learns_its_first_things_without_a_question(tmp_path, empty_bundle_path) -> None:
    home = Home(tmp_path / "home")
    home.install(empty_bundle_path)
    learner = home.learner()
    reasons = []
    for kind in ("ball", "kite", "ring", "box"):
        learner.add(kind, embeddings(kind, 4))
        outcome = learner.retrain()
        assert outcome.promoted, outcome.reason
        reasons.append(outcome.reason)
    assert reasons[:2] == ["learned ball (4 samples); now teach a second thing", "learned kite (4 samples)"]


def test_a_label_too_many_is_refused_with_the_number_and_known_ones_are_learned_on(home: Home, monkeypatch) -> None:
    from edgetl_device import labels

    monkeypatch.setattr(labels, "MAX_LABELS", 3)
    learner = home.learner()
    ids = learner.add("kite", embeddings("kite", 2))
    for change in (lambda: learner.add("ring", embeddings("ring", 1)), lambda: learner.relabel("ring", ids[:1])):
        with pytest.raises(InputError, match=r"at most 3 labels, got 4: .*`edgetl-device forget --label L` makes room"):
            change()
    assert len(learner.add("kite", embeddings("kite", 1))) == len(learner.add("ball", embeddings("ball", 1))) == 1
    learner.forget_label("kite")
    assert learner.add("ring", embeddings("ring", 1))


@pytest.mark.parametrize("error", [np.linalg.LinAlgError("Singular matrix"), FloatingPointError(), MemoryError()])
def test_a_head_that_cannot_be_computed_is_one_line_and_the_samples_and_the_old_head_stay(
    home: Home, monkeypatch, error
) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 5))

    def failing(*_arguments: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(retraining, "fit_head", failing)
        with pytest.raises(HeadError, match="no head can be computed") as refusal:
            learner.retrain()
        assert "\n" not in str(refusal.value) and learner.active_version == 1 and len(learner.samples()) == 5
        with click.Context(click.Command("learn")):
            report = judged_if_possible(learner)
            forgotten = judged_if_possible(learner, forgotten=True)
        assert report["exit_code"] == 2 and not report["promoted"] and report["version"] == 1
        assert forgotten["exit_code"] == 0 and forgotten["reason"].startswith("the samples are forgotten, but what is")
        with pytest.raises(HeadError, match="the samples are stored, but there is no new head"):
            Device(home.folder).learn("kite", draw("kite", 7), color="bgr")
    assert learner.retrain().promoted


def test_a_factory_head_that_cannot_be_computed_is_one_line(home: Home, monkeypatch) -> None:
    def failing(*_arguments: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(solver, "fit_head", failing)
    with pytest.raises(HeadError, match=r"no head can be computed .*Singular matrix"):
        home.learner().active_head()
