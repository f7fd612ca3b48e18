"""Every recipe side by side: which one to take, why, and its picture."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np
import pytest
from tiny_source import tiny_source

pytest.importorskip("edgetl")

from edgetl.cli import program
from edgetl.cli.convert import convert
from edgetl.cli.sweep import tell_rows
from edgetl.conversion.compression import Compression
from edgetl.conversion.sweep import Row, Sweep, compared, recipes_of, recommend, write_report
from edgetl.models import sources
from edgetl.reports.plots import Point, scatter
from edgetl_device import console
from edgetl_device.errors import InputError
from edgetl_device.inference import backbone as device_backbone
from edgetl_device.metrics import wilson_interval

ROWS = [
    Row("int8", 0.88, 0.97, 600_000, 500_000, 2.0),
    Row("float16", 0.885, 0.99, 900_000, 800_000, 5.0),
    Row("dynamic", 0.80, 0.8, 500_000, 400_000, 1.0),
    Row("none", 0.886, 1.0, 1_500_000, 1_400_000, 5.2),
]


def test_the_fastest_of_those_near_the_best_is_recommended_with_its_reason() -> None:
    name, reason = recommend(ROWS, 0.01)
    assert name == "int8"
    assert reason == (
        "the fastest, 2.0 ms, of the 3 within 0.01 of the best accuracy (0.886, none); 2.5 times smaller than none"
    )


def test_of_equally_fast_ones_the_smallest_is_recommended() -> None:
    name, reason = recommend([ROWS[1], ROWS[3]], 0.01)
    assert name == "float16" and reason.startswith("the fastest, 5.0 ms")
    name, reason = recommend([Row("a", 0.9, 1.0, 300, 1, 5.3), Row("b", 0.9, 1.0, 400, 1, 5.0)], 0.01)
    assert name == "a" and reason.startswith("the smallest of those as fast as b, 5.3 ms")


def test_neither_noise_in_latency_nor_a_few_bytes_choose_between_recipes() -> None:
    name, reason = recommend([Row("int8", 0.9, 1.0, 620, 1, 5.2), Row("dynamic", 0.9, 1.0, 600, 1, 5.0)], 0.01)
    assert name == "int8" and reason.startswith("the first of those as fast and small as dynamic, 5.2 ms")
    assert recommend([Row("int8", 0.9, 1.0, 700, 1, 5.0), Row("dynamic", 0.9, 1.0, 600, 1, 5.2)], 0.01)[0] == "dynamic"


def test_the_more_accurate_is_recommended_where_nothing_else_is_good_enough() -> None:
    name, reason = recommend(ROWS, 0.0)
    assert name == "none" and "the only one within 0 of the best accuracy, 0.886" in reason


def test_recipes_that_cannot_be_told_apart_are_ties_and_the_simplest_is_taken() -> None:
    """Of 100 photos: 90 right; 88, wrong on two of these; 70."""
    photos = np.arange(100)
    right = {"none": photos < 90, "int8": photos < 88, "dynamic": photos < 70, "int8+prune=0.5": photos < 89}
    rows = [
        Row("int8", 0.88, 0.97, 600_000, 500_000, 2.0),
        Row("dynamic", 0.70, 0.8, 500_000, 400_000, 1.0),
        Row("none", 0.90, 1.0, 1_500_000, 1_400_000, 5.2),
        Row("int8+prune=0.5", 0.89, 0.97, 500_000, 300_000, 1.9),
        Row("float16", error="no"),
    ]
    known = compared(rows, right)
    assert [row.tied for row in known] == [True, False, True, True, None]
    assert known[0].interval == wilson_interval(88, 100) and known[4].interval is None
    name, reason = recommend(known, 0.0)
    assert name == "int8" and "of 2 that tie in accuracy on these photos" in reason


def test_a_recipe_that_failed_is_never_recommended() -> None:
    assert recommend([Row("int8", error="no"), ROWS[3]], 0.01)[0] == "none"
    assert recommend([Row("int8", error="no")], 0.01) == (None, "every recipe failed")


def test_recipes_are_read_with_what_compresses_before() -> None:
    found = recipes_of("int8, int8+qat,dynamic+prune=0.5+cluster=16,int8")
    assert [recipe.name for recipe in found] == ["int8", "int8+qat", "dynamic+prune=0.5+cluster=16"]
    assert found[1].compression == Compression(qat=True)
    assert (found[2].quantize, found[2].compression) == ("dynamic", Compression(prune=0.5, cluster=16))
    assert found[2].arguments == "--quantize dynamic --prune 0.5 --cluster 16"


@pytest.mark.parametrize("text", ["int9", "int8+fast", "int8+prune=many", "int8+cluster", "", ","])
def test_unknown_recipes_are_refused_and_the_known_ones_named(text: str) -> None:
    with pytest.raises(InputError, match=r"expected (one|some) of int8, int8-float-io"):
        recipes_of(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int8,float16+qat", r"recipe float16\+qat: --qat trains for integer arithmetic"),
        ("int8+prune=2", "recipe int8.* at most 0"),
        ("int8+qat+cluster=16", "do not go together"),
    ],
)
def test_recipes_that_cannot_work_are_refused_before_the_model_is_loaded(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        recipes_of(text)


def drawn(points: list[Point]) -> ElementTree.Element:
    return ElementTree.fromstring(scatter(points, "ms", "accuracy", 0.86))


SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_puts_faster_to_the_left_and_better_above() -> None:
    points = [Point(2, 0.88, "int8", True), Point(5, 0.885, "float16"), Point(1, 0.80, "dynamic")]
    circles = list(drawn(points).iter(f"{SVG}circle"))
    places = {c.get("class", "") + str(i): (float(c.get("cx")), float(c.get("cy"))) for i, c in enumerate(circles)}
    int8, dynamic, float16 = places["strong0"], places["point1"], places["point2"]
    assert dynamic[0] < int8[0] < float16[0] and float16[1] < int8[1] < dynamic[1]
    assert all(64 <= x <= 624 and 16 <= y <= 328 for x, y in places.values())
    # a logarithmic axis: twice as slow is as far as twice as slow again
    assert int8[0] - dynamic[0] == pytest.approx((float16[0] - dynamic[0]) * 0.4307, abs=0.2)


def test_labels_of_points_that_coincide_do_not_cover_each_other() -> None:
    points = [Point(2 + 0.01 * n, 0.88, f"recipe-{n}") for n in range(5)]
    texts = [t for t in drawn(points).iter(f"{SVG}text") if (t.text or "").startswith("recipe")]
    heights = sorted(float(text.get("y")) for text in texts)
    assert len(heights) == 5 and all(b - a >= 14.9 for a, b in itertools.pairwise(heights))


def test_one_point_is_a_picture_too_and_its_label_is_escaped() -> None:
    root = drawn([Point(3, 1.0, "<int8>")])
    assert "<int8>" in [text.text for text in root.iter(f"{SVG}text")]


def test_the_page_shows_all_recipes_the_failed_ones_too(tmp_path: Path) -> None:
    rows = (*ROWS, Row("int16x8", error="TensorFlow cannot convert this & that"))
    write_report(Sweep(rows, "int8", "the fastest", 0.89, 1000, 200), "flowers", 0.01, tmp_path / "s.html")
    text = (tmp_path / "s.html").read_text()
    assert "Take int8" in text and "int8 ✓" in text and "this &amp; that" in text
    assert text.count("<svg") == 2  # the picture, for a desktop and for a phone
    assert re.findall(r"(?:src|href)=\"(?!data:)", text) == []


def test_the_table_of_recipes_fits_80_columns(capsys) -> None:
    names = ("int8", "int16x8", "int8+prune=0.5+qat")
    row = Row("", 0.75, 0.9583, 14_618_000, 447_000, 1020.526, None, (0.64, 0.84), True)
    with click.Context(program):
        tell_rows(replace(row, name=name) for name in names)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and lines[2].split()[-3:] == ["14.6", "0.45", "1021"]


@pytest.mark.slow
def test_a_sweep_reads_each_photo_once_and_goes_on_after_a_failure(tmp_path: Path, monkeypatch, capfd) -> None:
    source = tiny_source(tmp_path / "photos")
    monkeypatch.setattr(sources, "open_source", lambda *arguments, **options: source)
    read: list[Path] = []
    original = device_backbone.read_photo
    monkeypatch.setattr(device_backbone, "read_photo", lambda path: read.append(path) or original(path))
    page = tmp_path / "sweep.html"
    arguments = ["sweep", "run", "--recipes", "int8+qat,int8,none", "--report", str(page), "--training-photos", "30"]
    assert console.run(program, "edgetl", [*arguments, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    failed, int8, plain = told["recipes"]
    assert len(read) == len(set(read)) == 48 and (told["training_photos"], told["samples"]) == (30, 18)
    assert (failed["name"], failed["error"], failed["accuracy"]) == (
        "int8+qat",
        "this backbone cannot be trained",
        None,
    )
    assert int8["accuracy"] > 0.9 and plain["accuracy"] > 0.9 and told["float_accuracy"] == 1.0
    assert plain["size_bytes"] > 2 * int8["size_bytes"] > 2 * int8["zipped_size_bytes"] > int8["size_bytes"]
    assert int8["latency_ms"] > 0 and plain["latency_ms"] > 0
    assert told["recommended"] in ("int8", "none") and "of 2 that tie in accuracy" in told["reason"]
    assert "this backbone cannot be trained" in page.read_text()


def test_where_every_recipe_fails_the_exit_code_is_1(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sources, "open_source", lambda *arguments, **options: tiny_source(tmp_path / "photos"))
    assert console.run(program, "edgetl", ["sweep", "run", "--recipes", "int8+qat", "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert told["recommended"] is None and told["reason"] == "every recipe failed"


@pytest.mark.slow
def test_the_next_command_converts_as_the_sweep_did(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sources, "open_source", lambda *arguments, **options: tiny_source(tmp_path / "photos"))
    given = {"photos": Path("my photos"), "labels": Path("l.txt"), "scale": "-1,1", "head": "lda"}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    assert console.run(program, "edgetl", ["sweep", "own.keras", "--recipes", "none", *options]) == 0
    command = shlex.split(capfd.readouterr().out.split("next: ")[1])
    assert command[:2] == ["edgetl", "convert"]
    parsed = convert.make_context("convert", command[2:]).params
    assert {name: parsed[name] for name in given} == given | {"photos": (given["photos"],)}  # convert takes several
    assert (parsed["run"], parsed["quantize"], parsed["output"]) == (
        Path("own.keras"),
        "none",
        Path("own.keras.edgetl"),
    )
