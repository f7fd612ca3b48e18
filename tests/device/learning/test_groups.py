import numpy as np
import pytest
from conftest import embeddings

from edgetl_device.errors import InputError, StorageError
from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.learner import Learner
from edgetl_device.statistics import statistics_of
from edgetl_device.store.backup import restore_database
from edgetl_device.store.schema import MIGRATIONS
from edgetl_device.store.store import Store


@pytest.fixture
def learner(home: Home) -> Learner:
    return home.learner()


@pytest.fixture
def groups(learner: Learner) -> Groups:
    return Groups(learner)


def stored(learner: Learner) -> int:
    ((count,),) = learner.store.database.rows("SELECT count(*) FROM samples")
    return int(count)


def taught(groups: Groups, group: str = "condition") -> Learner:
    """Boxes are worn, balls are fine."""
    condition = groups.known_or_new(group)
    condition.add("worn", embeddings("box", 6))
    condition.add("fine", embeddings("ball", 6))
    condition.retrain()
    return condition


def test_a_group_tells_its_own_labels_apart_and_no_others(learner: Learner, groups: Groups) -> None:
    condition = taught(groups)
    assert condition.active_head().labels == ("fine", "worn") and tuple(groups) == ("condition",)
    codes = learner.transform(np.concatenate([embeddings("box", 5, 700), embeddings("ball", 5, 700)]))
    said = [prediction.label for prediction in groups.classify(codes)["condition"]]
    assert said == ["worn"] * 5 + ["fine"] * 5


def test_what_is_taught_in_a_group_leaves_the_labels_without_one_as_they_were(home: Home, learner: Learner) -> None:
    learner.add("kite", embeddings("kite", 4))
    learner.retrain()
    before = learner.samples(), learner.versions(), learner.device_statistics().to_bytes(), home.status(learner)
    taught(Groups(learner))
    again = home.learner()
    after = again.samples(), again.versions(), again.device_statistics().to_bytes(), home.status(again)
    assert before[:3] == after[:3]
    for key in ("labels", "samples", "version", "unlearned", "pending", "drift"):
        assert before[3][key] == after[3][key]


def test_a_photo_that_is_labelled_in_two_groups_is_stored_once_whichever_comes_first(learner: Learner) -> None:
    groups, raw = Groups(learner), embeddings("kite", 3)
    first = groups.known_or_new("condition").add("worn", raw)
    assert groups.known_or_new("side").add("left", raw) == first and stored(learner) == 3
    own = learner.add("kite", raw)
    assert stored(learner) == 3 and not set(own) & set(first)
    assert {row.id for row in groups["condition"].samples()} == {row.id for row in groups["side"].samples()} == {*own}
    assert groups.known_or_new("owner").add("me", raw) == own and stored(learner) == 3


def test_several_labels_are_given_in_one_step(learner: Learner, groups: Groups) -> None:
    raw = embeddings("kite", 3)
    ids = groups.add({"": "kite", "condition": "worn"}, raw)
    assert stored(learner) == 3 == len(learner.samples("kite"))
    assert [row.id for row in groups["condition"].samples("worn")] == ids
    groups.add({"condition": "fine"}, embeddings("box", 2))
    assert stored(learner) == 5 and len(learner.samples()) == 3
    with pytest.raises(InputError, match="must not be empty"):
        groups.add({"": "kite", "side": " "}, raw)
    assert stored(learner) == 5 and "side" not in groups


def test_statistics_of_a_group_are_those_of_its_samples_alone_byte_for_byte(learner: Learner, groups: Groups) -> None:
    raw, more = embeddings("kite", 4), embeddings("ring", 3)
    groups.add({"": "kite", "condition": "worn"}, raw)
    groups.add({"condition": "fine"}, more)
    codes = learner.transform(np.concatenate([raw, more]))
    alone = statistics_of(
        codes, ["worn"] * 4 + ["fine"] * 3, learner.bundle.backbone_digest, learner.runtime,
        learner.factory.statistics.projection,
    )  # fmt: skip
    assert groups["condition"].device_statistics().to_bytes() == alone.to_bytes()


def test_labels_of_the_same_photos_give_the_same_products(groups: Groups) -> None:
    groups.add({"condition": "worn", "side": "left"}, embeddings("kite", 4))
    groups.add({"condition": "fine", "side": "left"}, embeddings("ring", 4))
    condition, side = (groups[name].device_statistics().folded() for name in ("condition", "side"))
    assert condition.products.tobytes() == side.products.tobytes() and condition.labels != side.labels


def test_forgetting_a_photo_takes_it_out_of_all_groups_bit_for_bit(learner: Learner, groups: Groups) -> None:
    groups.add({"": "kite", "condition": "worn", "side": "left"}, embeddings("kite", 3))
    before = [learner.device_statistics(), *(groups[name].device_statistics() for name in groups)]
    ids = groups.add({"": "ring", "condition": "worn", "side": "right"}, embeddings("ring", 3))
    assert learner.forget(ids) == 3 and stored(learner) == 3
    after = [learner.device_statistics(), *(groups[name].device_statistics() for name in groups)]
    assert [one.to_bytes() for one in before] == [one.to_bytes() for one in after]


def test_forgetting_a_label_of_a_group_takes_it_from_that_group_alone(learner: Learner, groups: Groups) -> None:
    groups.add({"": "kite", "condition": "worn"}, embeddings("kite", 3))
    groups.add({"condition": "worn"}, embeddings("box", 2))
    groups.add({"condition": "fine"}, embeddings("ball", 2))
    assert groups["condition"].forget_label("worn") == (5, False)
    assert len(learner.samples("kite")) == 3 and stored(learner) == 5
    assert set(groups["condition"].known_labels()) == {"fine"}
    assert groups["condition"].forget_all() == 2 and not groups and stored(learner) == 3


def test_forgetting_a_label_without_a_group_keeps_what_groups_say_of_its_photos(learner, groups: Groups) -> None:
    ids = groups.add({"": "kite", "condition": "worn"}, embeddings("kite", 3))
    learner.add("kite", embeddings("kite", 2, 300))
    assert learner.forget_label("kite") == (5, False)
    assert not learner.samples() and [row.id for row in groups["condition"].samples()] == ids and stored(learner) == 3
    assert learner.forget(ids[:1]) == 1 and len(groups["condition"].samples()) == 2


def test_versions_of_a_group_are_its_own_and_none_changes_when_older_photos_get_labels(learner, groups: Groups) -> None:
    old = embeddings("kite", 4)
    learner.add("kite", old)
    learner.retrain()
    condition = taught(groups)
    second, codes = condition.active_version, learner.transform(embeddings("kite", 4, 800))
    then = condition.active_head().predict(codes)[0]
    condition.add("bent", old)  # photos that are older than that version
    assert condition.retrain().promoted and "bent" in condition.active_head().labels
    assert learner.active_version == 2 and condition.rollback() == second
    np.testing.assert_allclose(condition.active_head().predict(codes)[0], then, atol=1e-5)
    assert [row.state for row in learner.versions()] == ["factory", "promoted"]


def test_a_label_given_later_is_new_to_the_head_of_labels_without_a_group(learner: Learner, groups: Groups) -> None:
    raw = embeddings("kite", 4)
    groups.add({"condition": "worn"}, raw)
    learner.add("ring", embeddings("ring", 4))
    before = learner.retrain().version
    learner.add("kite", raw)
    assert learner.unlearned == 4 and learner.retrain().promoted
    learner.rollback(before)
    assert "kite" not in learner.active_head().labels


def test_the_gate_of_a_group_sets_wrong_labels_aside_and_a_person_decides(learner: Learner, groups: Groups) -> None:
    condition = taught(groups)
    condition.add("worn", embeddings("box", 20, 1000))
    condition.add("fine", embeddings("ball", 20, 1000))
    condition.retrain()
    ids = condition.add("fine", embeddings("box", 12, 2000))
    (batch,) = condition.retrain().set_aside
    assert batch.looks_like == "worn" and list(batch.ids) == ids and not learner.pending()
    assert learner.version(learner.active_version).id == 1
    assert condition.move_pending(batch.id) == ("worn", ids)
    assert condition.retrain().promoted and condition.store.counts(learner.bundle.backbone_digest)["worn"] == 38
    assert condition.pending() == [] and condition.relabel("fine", ids[:1]) == 1


def test_pending_labels_of_a_group_can_be_used_and_forgotten(groups: Groups) -> None:
    condition = taught(groups)
    for seed in (2000, 3000):
        condition.add("fine", embeddings("box", 12, seed))
        (batch,) = condition.retrain().set_aside
        if seed == 2000:
            assert condition.forget_pending(batch.id) == 12 and len(condition.samples()) == 12
        else:
            assert len(condition.use_pending(batch.id)) == 12 and condition.unlearned == 12


def test_a_photo_keeps_its_groups_when_its_pending_label_is_moved(learner: Learner, groups: Groups) -> None:
    groups.add({"": "ball", "condition": "worn"}, embeddings("box", 12))
    (batch,) = learner.retrain().set_aside
    _, ids = learner.move_pending(batch.id)
    assert [row.id for row in groups["condition"].samples()] == ids


def test_a_photo_keeps_a_picture_when_it_gets_a_label_of_its_own(learner: Learner, groups: Groups) -> None:
    raw = embeddings("kite", 2)
    groups.add({"condition": "worn"}, raw, [b"old", b"old"])
    ids = learner.add("kite", raw, [b"new", None])
    assert [learner.store.thumbnail(number) for number in ids] == [b"new", b"old"]
    assert groups.add({"condition": "fine"}, embeddings("box", 1)) and groups.add({"side": "left"}, raw) == ids


def test_what_is_refused_leaves_no_trace_of_a_group(learner: Learner, groups: Groups) -> None:
    before = learner.store.database.state()
    with pytest.raises(InputError, match="expected at most 8 groups, got 900"):
        groups.add({f"g{number}": "x" for number in range(900)}, embeddings("kite", 1))
    with pytest.raises(InputError):
        groups.known_or_new("condition").add("worn/", embeddings("kite", 1))
    assert learner.store.database.state() == before


def test_samples_of_groups_alone_are_named_among_those_of_a_view(learner: Learner, groups: Groups) -> None:
    groups.add({"condition": "worn", "side": "left"}, embeddings("kite", 2), view="{}")
    learner.add("kite", embeddings("kite", 1, 200), view="{}")
    found = learner.store.views.counts(learner.bundle.backbone_digest)
    assert found == {"{}": {"kite": 1, "worn (condition)": 2}}


def test_names_that_are_none_or_slips_and_groups_too_many_are_refused(groups: Groups) -> None:
    taught(groups)
    with pytest.raises(InputError, match=r"condtion would be a new group: did you mean condition\? `--x` if it is new"):
        groups.known_or_new("condtion", "`--x`")
    with pytest.raises(InputError, match=r"no group 'condtion': did you mean condition\? known groups: condition"):
        groups.known("condtion")
    for bad in ("a/b", "", "x" * 33, "unknown"):
        with pytest.raises(InputError, match="the name of a group"):
            groups.known_or_new(bad)
    for number in range(7):
        groups.add({f"question {number}": "yes"}, embeddings("kite", 1))
    with pytest.raises(InputError, match="expected at most 8 groups"):
        groups.known_or_new("one more")


def test_a_full_store_refuses_photos_and_still_takes_labels_of_stored_ones(learner: Learner, groups: Groups) -> None:
    raw = embeddings("kite", 3)
    learner.add("kite", raw)
    learner.store.budget.max_samples = 3
    with pytest.raises(StorageError, match="the store is full"):
        groups.known_or_new("condition").add("worn", embeddings("ring", 1))
    with pytest.raises(StorageError, match="the store is full"):  # all of it or nothing
        groups.known_or_new("condition").add("worn", np.concatenate([raw[:2], embeddings("ring", 1)]))
    assert not groups
    assert len(groups.known_or_new("condition").add("worn", raw)) == 3


def test_groups_survive_backup_restore_and_repair(home: Home, learner: Learner, groups: Groups, tmp_path) -> None:
    condition = taught(groups)
    groups.add({"": "kite", "condition": "worn"}, embeddings("kite", 3))
    condition.retrain()
    expected = condition.device_statistics().to_bytes(), condition.active_version, condition.versions()
    learner.store.backup(tmp_path / "copy.sqlite")
    learner.store.close()
    restore_database(tmp_path / "copy.sqlite", home.store_path)
    back = Groups(home.learner())["condition"]
    assert (back.device_statistics().to_bytes(), back.active_version, back.versions()) == expected
    back.store.database.run("UPDATE state SET samples = 99")  # damage
    repaired = Groups(home.learner())["condition"]
    assert repaired.device_statistics().to_bytes() == expected[0] and repaired.active_version == expected[1]


def test_a_store_without_groups_is_opened_as_it_was(tmp_path, home: Home, learner: Learner) -> None:
    learner.add("kite", embeddings("kite", 2))
    expected = learner.device_statistics().to_bytes()
    database = learner.store.database._db
    for table in ("grouped", "shifts", "review", "regions", "taught_in", "elsewhere"):  # as in 0.3
        database.execute(f"DROP TABLE {table}")
    database.execute("DROP INDEX samples_raw")
    database.pragma("user_version", [each.__name__ for each in MIGRATIONS].index("_groups"))
    learner.store.close()
    again = home.learner()
    assert again.device_statistics().to_bytes() == expected and not Groups(again)
    assert Store(home.store_path).repairs() == []
