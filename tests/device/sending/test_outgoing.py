import json

import numpy as np
from conftest import draw, tiny_backbone

from edgetl_device import console
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.exported_samples import ExportedSamples
from edgetl_device.cli import program
from edgetl_device.home import Home
from edgetl_device.sending.outgoing import outgoing
from edgetl_device.statistics import Statistics

BACKBONE = tiny_backbone()


def teach(home: Home, **counts: int):
    learner = home.learner()
    for label, count in counts.items():
        learner.add(label, np.stack([BACKBONE.embed(draw(label, number)) for number in range(count)]))
    return learner


def test_few_samples_travel_as_codes_and_many_as_statistics(home) -> None:
    """Either way they mean the same, to the last byte."""
    learner = teach(home, kite=3)
    few = outgoing(learner)
    assert isinstance(few.export.content, ExportedSamples)
    projection = learner.factory.statistics.projection
    assert projection is not None
    along = few.export.statistics_along(projection)
    assert along.to_bytes() == learner.device_statistics().to_bytes()
    learner = teach(home, ring=220)
    many = outgoing(learner)
    assert isinstance(many.export.content, Statistics)
    assert many.export.content.to_bytes() == learner.device_statistics().to_bytes()
    assert many.export.order > few.export.order


def test_without_codes_only_sums_travel(home) -> None:
    learner = teach(home, kite=3)
    made = outgoing(learner, codes=False)
    assert isinstance(made.export.content, Statistics)
    assert Export.from_bytes(made.data).statistics.to_bytes() == learner.device_statistics().to_bytes()


def test_labels_with_few_samples_stay_on_the_device(home) -> None:
    learner = teach(home, kite=3, ring=2)
    for codes in (True, False):
        made = outgoing(learner, floor=3, codes=codes)
        assert made.withheld == {"ring": 2} and made.export.labels == ("kite",) and made.export.samples == 3
    rows = BACKBONE.codes(np.stack([BACKBONE.embed(draw("kite", number)) for number in range(3)]))
    assert (made.export.statistics.sums[0] == rows.sum(axis=0, dtype=np.int64)).all()


def test_the_command_says_what_it_left_out_and_how_it_sent_the_rest(home, tmp_path, capsys) -> None:
    teach(home, kite=3, ring=2)
    run = ["--home", str(home.folder), "export-stats", str(tmp_path / "s.stats"), "--force", "--floor"]
    assert console.run(program, "edgetl-device", [*run, "3"]) == 0
    told = capsys.readouterr()
    assert "not sent, fewer than 3 samples: ring (2)" in told.err
    assert "3 samples of kite, as codes, " in told.out
    assert console.run(program, "edgetl-device", [*run, "9", "--json"]) == 2
    assert "no label has 9 samples: give a lower --floor" in capsys.readouterr().err
    assert console.run(program, "edgetl-device", [*run, "1", "--no-codes", "--json"]) == 0
    told_json = json.loads(capsys.readouterr().out)
    assert told_json["kind"] == "statistics" and told_json["withheld"] == {} and told_json["samples"] == 5
