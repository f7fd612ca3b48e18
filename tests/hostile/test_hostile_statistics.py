"""Statistics that a stranger made: integers of the right shape and size that no samples can have."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import some_projection, write_photos

import edgetl
from edgetl.evaluation.explain import Explainer
from edgetl_device.arrays import pack, unpack
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.possible import check_possible
from edgetl_device.errors import BundleError, InputError
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.gaussian import Gaussian
from edgetl_device.heads.head import fit_head
from edgetl_device.home import Home
from edgetl_device.merging.merge import merge, read_export
from edgetl_device.projected import ProjectedMoments
from edgetl_device.projection import Projection
from edgetl_device.statistics import Statistics, no_statistics, statistics_of


def crooked(statistics: Statistics) -> Statistics:
    """Every two features may be as they are, but not all together: the Gram matrix has a negative eigenvalue."""
    gram = statistics.gram.astype(np.int64)
    squares = np.diagonal(gram)
    first, second, third = np.argsort(squares)[-3:]
    for one, other, cosine in ((first, second, 0.99), (second, third, 0.99), (first, third, 0.01)):
        gram[one, other] = gram[other, one] = int(cosine * np.sqrt(float(squares[one]) * float(squares[other])))
    assert np.linalg.eigvalsh(gram.astype(np.float64))[0] < -1
    return replace(statistics, products=gram)


def crooked_within(statistics: Statistics) -> Statistics:
    """The Gram matrix may be, but not with these sums: one feature varies less than the classes do."""
    gram = statistics.gram.astype(np.int64)
    sums = statistics.sums.astype(np.float64)
    between = (sums / statistics.counts[:, None]).T @ sums
    scatter = gram - between
    feature, other = np.argsort(np.diagonal(scatter))[-2:]
    most = np.sqrt(scatter[feature, feature] * scatter[other, other])
    gram[feature, other] = gram[other, feature] = int(between[feature, other] + 1.5 * most)
    return replace(statistics, products=gram)


def crooked_class(statistics: Statistics) -> Statistics:
    """A class's moments along the projection: any two may be as they are, but not all together."""
    moments = statistics.projected
    assert moments is not None
    size, products = moments.projection.size, moments.products.copy()
    where = {pair: index for index, pair in enumerate(zip(*np.triu_indices(size), strict=True))}
    first, second, third = sorted(np.argsort(moments.squares[0])[-3:].tolist())
    for one, other, cosine in ((first, second, 0.99), (second, third, 0.99), (first, third, 0.01)):
        largest = np.sqrt(float(moments.squares[0, one]) * float(moments.squares[0, other]))
        products[0, where[one, other]] = int(cosine * largest)
    return replace(statistics, projected=replace(moments, products=products))


@pytest.mark.parametrize("bend", [crooked, crooked_within, crooked_class])
def test_a_bundle_with_products_that_no_samples_have_together_is_refused(
    home: Home, bundle_path, tmp_path, bend
) -> None:
    before = home.bundle_path.read_bytes()
    bundle = open_bundle(bundle_path)
    members = {**bundle.members, "statistics.npz": bend(BundleContent(bundle).statistics).to_bytes()}
    write_bundle(tmp_path / "hostile.edgetl", bundle.manifest, members)
    with pytest.raises(BundleError, match="products that no samples can have together") as refusal:
        home.install(tmp_path / "hostile.edgetl")
    assert "\n" not in str(refusal.value) and home.bundle_path.read_bytes() == before


@pytest.mark.parametrize("bend", [crooked, crooked_within, crooked_class])
def test_an_export_with_products_that_no_samples_have_together_is_not_merged(bundle_path, tmp_path: Path, bend) -> None:
    statistics = BundleContent(open_bundle(bundle_path)).statistics
    path = tmp_path / "device.stats"
    path.write_bytes(Export("d", "now", statistics).to_bytes())
    assert read_export(path).device == "d"
    path.write_bytes(Export("d", "now", bend(statistics)).to_bytes())
    with pytest.raises(InputError, match="products that no samples can have together"):
        read_export(path)


@pytest.mark.parametrize("samples", [1, 2, 30, 3000])
@pytest.mark.parametrize("kind", ["sparse", "doubled", "nearly constant", "extreme"])
def test_what_samples_have_is_never_refused(samples: int, kind: str) -> None:
    """Fewer samples than features, features that are the same or always 0, and hardly any variance on a large mean."""
    generator = np.random.default_rng(int(hashlib.sha256(f"{samples} {kind}".encode()).hexdigest()[:8], 16))
    values = generator.normal(0, 60, (samples, 192))
    if kind == "doubled":
        values = np.tile(values[:, :48], 4)
    elif kind == "nearly constant":
        values = 250 + (generator.random(values.shape) < 0.01)
    elif kind == "extreme":
        values = 255 * (values > 0)
    codes = np.clip(values, 0, 255).astype(np.uint8)
    labels = [str(number) for number in generator.integers(0, 5, samples)]
    projection = some_projection(192, 60)
    check_possible(Statistics.from_bytes(statistics_of(codes, labels, "b", "r", projection).to_bytes()))


def with_statistics(bundle_path: Path, path: Path, change) -> Path:
    """The bundle with other statistics, under hashes that are right."""
    bundle = open_bundle(bundle_path)
    data = change(BundleContent(bundle).statistics)
    write_bundle(path, bundle.manifest, {**bundle.members, "statistics.npz": data})
    return path


def bent(statistics: Statistics) -> bytes:
    return crooked_class(statistics).to_bytes()


def pointless(statistics: Statistics) -> bytes:
    """Directions of zeros, and as few samples along them."""
    return pack(unpack(statistics.to_bytes()) | {"projection": np.zeros((12, statistics.dimension), np.int8)})


def uncounted(statistics: Statistics) -> bytes:
    arrays = unpack(pointless(statistics))
    emptied = ("projected_counts", "projected_sums", "projected_products")
    return pack(arrays | {name: np.zeros_like(arrays[name]) for name in emptied})


def repeating(statistics: Statistics) -> bytes:
    arrays = unpack(statistics.to_bytes())
    return pack(arrays | {"projection": np.repeat(arrays["projection"][:1], 12, axis=0)})


def far_off(statistics: Statistics) -> bytes:
    return pack(unpack(statistics.to_bytes()) | {"offset": np.full(12, np.iinfo(np.int64).min)})


@pytest.mark.parametrize("change", [bent, pointless, uncounted, repeating, far_off])
def test_every_program_that_uses_a_bundle_refuses_moments_that_lead_nowhere(
    home: Home, bundle_path, tmp_path: Path, change
) -> None:
    path = with_statistics(bundle_path, tmp_path / "hostile.edgetl", change)
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 2, seed=3)
    before = home.bundle_path.read_bytes()
    bundle = open_bundle(path)
    for use in (
        lambda: home.install(path),
        lambda: edgetl.predict(path, photos),
        lambda: edgetl.evaluate(path, photos),
        lambda: Explainer(bundle),
        lambda: merge(bundle, (), tmp_path / "merged.edgetl"),
    ):
        with pytest.raises(BundleError, match=r"statistics\.npz: not statistics") as refusal:
            use()
        assert "\n" not in str(refusal.value)
    assert home.bundle_path.read_bytes() == before and not (tmp_path / "merged.edgetl").exists()


def test_a_head_is_made_without_own_covariances_where_these_cannot_be_computed() -> None:
    """Moments that nobody checked: every two directions may be as they are, but not all together."""
    codes = np.random.default_rng(0).integers(0, 90, (400, 64)).astype(np.uint8)
    known = statistics_of(codes, [str(row % 4) for row in range(400)], "b", "r", some_projection(64, 6))
    moments = known.projected
    assert moments is not None
    square = np.full((6, 6), -0.999)
    np.fill_diagonal(square, 1)
    products = (square[np.triu_indices(6)] * 4000**2 * moments.counts[:, None]).astype(np.int64)
    impossible = replace(known, projected=replace(moments, sums=moments.sums * 0, products=products))
    with pytest.raises(InputError, match="products that no samples can have together"):
        check_possible(impossible)
    scorer = fit_head(gather(impossible, codes[:0], (), codes[:0], (), "r"), "gaussian").scorer
    assert isinstance(scorer, Gaussian) and scorer.term is None and np.isfinite(scorer.scores(codes)).all()


@pytest.mark.slow
def test_many_classes_and_directions_take_no_more_memory_than_those_with_covariances_need() -> None:
    """2,000 classes along 128 directions: of each a covariance would be 262 MB."""
    classes, size, dimension = 2000, 128, 256
    weights = (100 * np.eye(size, dimension)).astype(np.int8)
    triangle = np.triu_indices(size)
    products = np.zeros((classes, len(triangle[0])), np.int64)
    products[:, triangle[0] == triangle[1]] = 100
    moments = ProjectedMoments(
        Projection(weights, np.zeros(size, np.int64)),
        np.full(classes, 10),
        np.zeros((classes, size), np.int64),
        products,
    )
    known = replace(
        no_statistics("b", dimension),
        runtimes=("r",),
        labels=tuple(f"{number:04}" for number in range(classes)),
        counts=np.full(classes, 10),
        sums=np.full((classes, dimension), 10),
        products=np.full((dimension, dimension), 10 * classes) + np.eye(dimension, dtype=np.int64) * 10 * classes,
        projected=moments,
    )
    empty = np.zeros((0, dimension), np.uint8)
    evidence = gather(known, empty, (), empty, (), "r")
    tracemalloc.start()
    try:
        head = fit_head(evidence, "gaussian")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(head.scorer, Gaussian) and head.scorer.term is not None
    assert peak < 200 << 20
