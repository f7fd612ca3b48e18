from __future__ import annotations

import numpy as np

from edgetl_device.heads.precision import solve_precision


def test_lengths_are_those_of_the_whole_matrix_also_after_an_update() -> None:
    random = np.random.default_rng(0)
    samples = random.normal(size=(900, 600)).astype(np.float32)  # d is no multiple of a block
    precision = solve_precision(samples.T @ samples, np.full(600, 0.1), len(samples))
    for known in (precision, precision.updated(random.normal(size=(3, 600)).astype(np.float32), 903)):
        exact = np.einsum("nd,de,ne->n", samples.astype(float), known.matrix.astype(float), samples.astype(float))
        np.testing.assert_allclose(known.lengths(samples), exact, rtol=2e-4)
