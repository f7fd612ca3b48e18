"""Statistics that a stranger made: integers of the right shape and size that no samples can have."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import some_projection

from edgetl.deployment.merge import read_export
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.possible import check_possible
from edgetl_device.errors import BundleError, InputError
from edgetl_device.home import Home
from edgetl_device.statistics import Statistics, statistics_of


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
