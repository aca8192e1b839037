"""Information by counting: against independent counts, invariances, what bins do, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from ibtutor.info import binned_information, counted_information
from ibtutor.info.binning import cells

samples = st.tuples(st.integers(4, 80), st.integers(1, 4), st.integers(2, 5), st.integers(0, 10**6))


def draw(sample):
    n, d, k, seed = sample
    rng = np.random.default_rng(seed)
    return rng.integers(3, size=(n, d)), rng.integers(k, size=n)


def row_names(z):
    return [str(row) for row in np.asarray(z).tolist()]


@given(samples)
def test_counting_is_that_of_scikit_learn(sample):
    z, y = draw(sample)
    expected = mutual_info_score(row_names(z), y)
    assert counted_information(z, y).item() == pytest.approx(expected, abs=1e-9)
    joint = len({*zip(row_names(z), y, strict=True)})
    free = joint - len({*row_names(z)}) - len({*y}) + 1
    corrected = counted_information(z, y, corrected=True).item()
    assert corrected == pytest.approx(expected - free / (2 * len(y)), abs=1e-9)


@given(samples, st.integers(2, 40))
def test_binning_is_counting_of_cells(sample, bins):
    n, d, k, seed = sample
    rng = np.random.default_rng(seed)
    z, y = rng.standard_normal((n, d)), rng.integers(k, size=n)
    # Of numpy's histogram, coordinate by coordinate.
    edges = [np.histogram_bin_edges(c, bins) for c in z.T]
    expected_cells = np.stack(
        [
            np.clip(np.searchsorted(e, c, "right") - 1, 0, bins - 1)
            for e, c in zip(edges, z.T, strict=True)
        ],
        1,
    )
    expected = mutual_info_score(row_names(expected_cells), y)
    assert binned_information(z, y, bins).item() == pytest.approx(expected, abs=1e-9)


@given(samples)
def test_names_order_and_scale_do_not_matter(sample):
    z, y = draw(sample)
    plain = counted_information(z, y).item()
    order = np.random.default_rng(sample[3]).permutation(len(y))
    assert counted_information(z[order] * 7.0 - 3, 5 - 2 * y[order]).item() == pytest.approx(plain)
    binned = binned_information(z, y, 7).item()
    assert binned_information(4.0 * z - 8.0, y, 7).item() == pytest.approx(binned, abs=1e-12)
    assert 0 <= binned <= plain + 1e-12  # data processing, also for a sample's own law


@given(samples)
def test_bins_of_equal_share_do_not_see_monotone_maps(sample):
    n, d, k, seed = sample
    rng = np.random.default_rng(seed)
    z, y = rng.standard_normal((n, d)), rng.integers(k, size=n)
    plain = binned_information(z, y, 5, how="share").item()
    assert binned_information(np.exp(z), y, 5, how="share").item() == pytest.approx(plain)


def test_shares_are_equal():
    z = torch.linspace(0, 1, 1000).exp()
    y = torch.arange(1000) // 100
    assert binned_information(z, y, 10, how="share").item() == pytest.approx(math.log(10))


def test_fixed_limits_catch_what_lies_beyond():
    z = torch.tensor([-5.0, -0.9, 0.9, 5.0])
    assert binned_information(z, [0, 0, 1, 1], 2, limits=(-1, 1)).item() == pytest.approx(
        math.log(2)
    )
    assert binned_information(z, [0, 1, 2, 3], 2, limits=(-1, 1)).item() == pytest.approx(
        math.log(2)
    )


@pytest.mark.parametrize("limits", [None, (-1e5, 1e5), (-1e10, 1e10)])
def test_limits_have_more_room_than_half_precision(limits):
    z = torch.tensor([-2.0, 2.0], dtype=torch.float16)
    assert binned_information(z, [0, 1], 2, limits=limits).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("far", [2.0, 1e20, 1e300])
@pytest.mark.parametrize("unit", [1.0, 1e-300])
def test_values_far_beyond_the_limits_fall_into_the_last_bins(far, unit):
    z = [-far, unit * 0.1, unit * 0.9, far]
    found = cells(torch.tensor(z, dtype=torch.float64)[:, None], 30, limits=(0.0, unit))
    assert found[:, 0].tolist() == [0, 3, 27, 29]


def test_no_range_is_too_wide():
    for end in (1e308, 1.7976931348623157e308):
        assert binned_information([-end, end], [0, 1]).item() == pytest.approx(math.log(2))


def test_a_row_of_its_own_gives_every_label_away():
    z = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    y = torch.arange(500) % 4  # independent of z
    assert binned_information(z, y).item() == pytest.approx(math.log(4), abs=1e-3)
    assert counted_information(z, y).item() == pytest.approx(math.log(4), abs=1e-12)


def test_a_collapsed_latent_knows_nothing():
    z = torch.full((10, 3), 0.5)
    assert counted_information(z, [0, 1] * 5).item() == 0
    assert binned_information(z, [0, 1] * 5).item() == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: counted_information([0.0, math.nan], [0, 1]), ValueError, "z must be finite"),
        (
            lambda: counted_information([0.0, 1.0], [0]),
            ValueError,
            r"labels must have shape \(2,\)",
        ),
        (lambda: counted_information([0.0, 1.0], [0.0, 1.0]), TypeError, "whole numbers"),
        (
            lambda: binned_information(np.zeros((2, 2, 2)), [0, 1]),
            ValueError,
            r"\(N, d\) or \(N,\)",
        ),
        (lambda: binned_information([0.0, 1.0], [0, 1], 1), ValueError, "bins must be at least 2"),
        (lambda: binned_information([0.0, 1.0], [0, 1], how="x"), ValueError, "width, share"),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits=(1, -1)),
            ValueError,
            "limits must ascend",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits=(0, 1, 2)),
            ValueError,
            r"limits must be two numbers, got \(0, 1, 2\)",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits=3),
            TypeError,
            "limits must be two numbers, got 3",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits="01"),
            TypeError,
            "limits must be two numbers, got '01'",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits=(0, None)),
            TypeError,
            r"limits must be two numbers, got \(0, None\)",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], limits=(0, float("nan"))),
            ValueError,
            "limits must be finite, got nan",
        ),
        (
            lambda: binned_information([0.0, 1.0], [0, 1], how="share", limits=(0, 1)),
            ValueError,
            "limits are for bins of equal width",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
