"""Nearest-neighbor estimators: closed forms, invariances, an independent search, bad input."""

import math
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.spatial import distance
from sklearn.feature_selection import mutual_info_classif

from ibtutor.info import (
    BiasWarning,
    _neighbors,
    knn_entropy,
    knn_entropy_bias,
    knn_mutual_information,
)

HALF_LOG = 0.5 * math.log(2 * math.pi * math.e)
samples = st.tuples(
    st.integers(8, 60), st.integers(1, 14), st.integers(1, 5), st.integers(0, 10**6)
)
norms = st.sampled_from(_neighbors.NORMS)


def quiet(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiasWarning)
        return call(*args, **kwargs).item()


def normal(n, d, seed):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)))


def all_distances(z, norm):
    return distance.cdist(z, z, "euclidean" if norm == "euclidean" else "chebyshev")


# --- against independent float64 computations -----------------------------------------------------


@given(samples, norms)
def test_entropy_is_its_formula(sample, norm):
    n, d, k, seed = sample
    z = normal(n, d, seed)
    r = np.sort(all_distances(z.numpy(), norm), 1)[:, k]
    ball = (
        d * math.log(2) if norm == "max" else d / 2 * math.log(math.pi) - special.gammaln(d / 2 + 1)
    )
    expected = special.psi(n) - special.psi(k) + ball + d * np.log(r).mean()
    assert quiet(knn_entropy, z, k, norm=norm) == pytest.approx(expected, abs=1e-9)


@given(samples, st.integers(1, 6), norms)
def test_kraskov_is_its_formula(sample, e, norm):
    n, d, k, seed = sample
    x, y = normal(n, d, seed), normal(n, e, seed + 1)
    dx, dy = all_distances(x.numpy(), norm), all_distances(y.numpy(), norm)
    eps = np.sort(np.maximum(dx, dy), 1)[:, k]
    nx, ny = ((a < eps[:, None] * (1 - 1e-12)).sum(1) - 1 for a in (dx, dy))
    expected = special.psi(n) + special.psi(k) - (special.psi(nx + 1) + special.psi(ny + 1)).mean()
    assert quiet(knn_mutual_information, x, y, k, norm=norm) == pytest.approx(expected, abs=1e-9)


def by_ross(x, y, k, norm):
    apart, terms = all_distances(x, norm), []
    for i in range(len(x)):
        same = np.flatnonzero(y == y[i])
        near = min(k, len(same) - 1)
        r = np.sort(apart[i, same])[near]
        m = (apart[i] < r * (1 - 1e-12)).sum()  # itself stands for the k-th
        terms.append(special.psi(near) - special.psi(len(same)) - special.psi(m))
    return special.psi(len(x)) + np.mean(terms)


@given(samples, norms)
def test_ross_is_its_formula(sample, norm):
    n, d, k, seed = sample
    x, y = normal(n, d, seed).numpy(), np.arange(n) % 3
    expected = by_ross(x, y, k, norm)
    assert quiet(knn_mutual_information, x, y, k, norm=norm) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [8, 9, 12, 40])
@pytest.mark.parametrize("norm", _neighbors.NORMS)
def test_ross_counts_within_the_distances_that_were_found(d, norm):
    # Tight clusters: a distance that is rounded otherwise leaves out the k-th neighbor itself.
    rng = np.random.default_rng(12)
    group = rng.integers(8, size=600)
    x = 10 * rng.standard_normal((8, d))[group] + 1e-6 * rng.standard_normal((600, d))
    expected = by_ross(x, group % 4, 3, norm)
    found = quiet(knn_mutual_information, x, group % 4, norm=norm)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("exponent", [-310, -200, -3, 0])
def test_a_constant_far_away_takes_no_digits(exponent):
    z = normal(300, 12, 0) * 10.0**exponent
    plain = _neighbors.kth_distance(z, 3, "euclidean")
    far = torch.cat([z, torch.ones(300, 1)], 1)
    found = _neighbors.kth_distance(far, 3, "euclidean")
    assert found.tolist() == pytest.approx(plain.tolist(), rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(3000, 11), (1500, 60), (400, 128), (20, 40)])
@pytest.mark.parametrize("spread", [1.0, 1e-5])
def test_products_find_the_distances_of_float64(n, d, spread):
    # Tight clusters far from each other: float32 products alone would be lost.
    rng = np.random.default_rng(d)
    z = 10.0 * rng.standard_normal((5, d))[rng.integers(5, size=n)] if spread < 1 else 0.0
    z = torch.from_numpy(z + spread * rng.standard_normal((n, d)))
    exact = np.sort(all_distances(z.numpy(), "euclidean"), 1)[:, 3]
    found = _neighbors.kth_distance(z, 3, "euclidean")
    assert found.numpy() == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("exponent", [-140, -40, -25, 18, 40, 140])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_products_do_not_hang_on_the_unit(exponent, offset):
    # float32 ends at 1e38, and squares at 1e19: there all products are infinite, or zero.
    rng = np.random.default_rng(3)
    z = 10.0 * rng.standard_normal((2, 20))[rng.integers(2, size=600)] + offset
    z = torch.from_numpy(z + 0.1 * rng.standard_normal((600, 20)))
    exact = np.sort(all_distances(z.numpy(), "euclidean"), 1)[:, 3]
    found = _neighbors.kth_distance(10.0**exponent * z, 3, "euclidean") / 10.0**exponent
    assert found.numpy() == pytest.approx(exact, rel=1e-7)


def test_products_are_whole_where_the_process_allows_less():
    z, before = normal(600, 50, 1), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        found = _neighbors.kth_distance(z, 3, "euclidean")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    exact = np.sort(all_distances(z.numpy(), "euclidean"), 1)[:, 3]
    assert found.numpy() == pytest.approx(exact, rel=1e-9)


def test_float32_input_and_products_agree_with_the_tree():
    z = normal(2000, 10, 3).float()
    tree = _neighbors._tree(z, 3, "euclidean")
    assert _neighbors._products(z, 3).numpy() == pytest.approx(tree.numpy(), rel=1e-9)
    assert _neighbors._plain(z, 3).numpy() == pytest.approx(
        _neighbors._tree(z, 3, "max").numpy(), rel=1e-9
    )


def test_one_dimension_counts_like_any_other():
    x = normal(500, 1, 0) + 1e6  # a far origin: x - r is rounded
    radius = _neighbors.kth_distance(x, 3, "max")
    assert _neighbors.count_within(x, radius, "max").tolist() == [2] * 500
    assert _neighbors._count_tree(x, radius, "max").tolist() == [2] * 500


def test_ross_is_that_of_scikit_learn():
    # Theirs scales the column and adds noise of 1e-10 of its mean; the order of points stays.
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=600)
    x = rng.standard_normal(600) + y
    theirs = mutual_info_classif(x[:, None], y, n_neighbors=3, random_state=0)[0]
    assert knn_mutual_information(x, y).item() == pytest.approx(theirs, abs=2e-3)


# --- closed forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "tolerance"), [(2000, 1, 0.02), (2000, 3, 0.02), (1000, 6, 0.04)]
)
def test_gaussian_entropy(n, d, tolerance):
    # Mean over 20 samples: its standard error is at most tolerance / 4 (measured).
    rng = np.random.default_rng(5)
    mix = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.linspace(1, 1.5, d)
    exact = d * HALF_LOG + np.linalg.slogdet(mix)[1]
    white = [normal(n, d, seed) for seed in range(20)]
    assert np.mean([quiet(knn_entropy, z) for z in white]) == pytest.approx(
        d * HALF_LOG + knn_entropy_bias(n, d), abs=tolerance
    )
    mixed = np.mean([quiet(knn_entropy, z.numpy() @ mix) for z in white])
    assert mixed == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(("n", "d"), [(300, 30), (300, 100), (1000, 20)])
def test_the_bias_of_a_gaussian_is_what_the_formula_says(n, d):
    found = [quiet(knn_entropy, normal(n, d, seed)) - d * HALF_LOG for seed in range(30)]
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(knn_entropy_bias(n, d), abs=4 * error + 1e-3)


def test_the_bias_in_a_hundred_dimensions():
    # 156.7 nats were measured on 50,000 points where 141.9 are exact.
    assert knn_entropy_bias(50_000, 100) + 100 * HALF_LOG == pytest.approx(156.7, abs=0.1)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99])
def test_gaussian_information(rho):
    exact = -0.5 * math.log(1 - rho**2)
    found = []
    for seed in range(10):
        z = normal(2000, 2, seed)
        found.append(
            quiet(knn_mutual_information, z[:, 0], rho * z[:, 0] + (1 - rho**2) ** 0.5 * z[:, 1])
        )
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(exact, abs=4 * error + 0.01)


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
def test_two_gaussian_classes(shift):
    from ibtutor.info import binary_gaussian_information

    exact = float(binary_gaussian_information(shift**2 / 4)) if shift else 0.0
    found = []
    for seed in range(10):
        y = np.random.default_rng(seed).integers(2, size=2000)
        found.append(
            quiet(knn_mutual_information, normal(2000, 1, seed)[:, 0].numpy() + shift * y, y)
        )
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(exact, abs=4 * error + 0.01)


# --- invariances ----------------------------------------------------------------------------------


@given(samples, st.floats(-5, 5), st.floats(-3, 3), norms)
def test_entropy_moves_with_scale_only(sample, offset, log_scale, norm):
    n, d, k, seed = sample
    z = normal(n, d, seed)
    plain = quiet(knn_entropy, z, k, norm=norm)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    assert quiet(knn_entropy, z[order], k, norm=norm) == pytest.approx(plain, abs=1e-9)
    assert quiet(knn_entropy, z + offset, k, norm=norm) == pytest.approx(plain, abs=1e-8)
    scaled = quiet(knn_entropy, math.exp(log_scale) * z, k, norm=norm)
    assert scaled == pytest.approx(plain + d * log_scale, abs=1e-8)


@given(samples)
def test_euclidean_entropy_does_not_see_rotations(sample):
    n, d, k, seed = sample
    z = normal(n, d, seed).numpy()
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    assert quiet(knn_entropy, z @ rotation, k) == pytest.approx(quiet(knn_entropy, z, k), abs=1e-8)


@given(samples, st.floats(-2, 2), st.floats(-5, 5))
def test_information_is_symmetric_and_blind_to_units_of_both(sample, log_scale, offset):
    n, d, k, seed = sample
    x, y = normal(n, d, seed), normal(n, 2, seed + 1)
    plain = quiet(knn_mutual_information, x, y, k)
    assert quiet(knn_mutual_information, y, x, k) == pytest.approx(plain, abs=1e-9)
    scale = math.exp(log_scale)  # of both: the balance between the spaces is kept
    moved = quiet(knn_mutual_information, scale * x + offset, scale * y - offset, k)
    assert moved == pytest.approx(plain, abs=1e-9)


@given(samples)
def test_ross_does_not_see_the_names_of_labels(sample):
    n, d, k, seed = sample
    x, y = normal(n, d, seed), torch.arange(n) % 3
    plain = quiet(knn_mutual_information, x, y, k)
    assert quiet(knn_mutual_information, 3.0 * x, 7 - 2 * y, k) == pytest.approx(plain, abs=1e-9)


# --- what it says of itself -----------------------------------------------------------------------


def test_a_warning_where_the_bias_is_large():
    with pytest.warns(BiasWarning, match="100 dimensions.*nats off"):
        knn_entropy(normal(200, 100, 0))
    with pytest.warns(BiasWarning, match="200 points in 60 dimensions"):
        knn_mutual_information(normal(200, 30, 0), normal(200, 30, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        knn_entropy(normal(2000, 3, 0))
        knn_mutual_information(normal(2000, 1, 0), normal(2000, 1, 1))


def test_results_are_float64_scalars_without_a_graph():
    z = normal(50, 2, 0).float().requires_grad_()
    for value in (knn_entropy(z), knn_mutual_information(z, z.detach().flip(0))):
        assert value.dtype == torch.float64
        assert value.shape == ()
        assert not value.requires_grad


@pytest.mark.parametrize(
    ("z", "k", "error", "message"),
    [
        (np.zeros((4, 2, 2)), 1, ValueError, r"shape \(N, d\) or \(N,\), got \(4, 2, 2\)"),
        (np.array([0.0, np.nan, 1.0]), 1, ValueError, "z must be finite, got nan"),
        (np.arange(3.0), 3, ValueError, "k must be below the number of rows of z, got k = 3 and 3"),
        (np.arange(3.0), 0, ValueError, "k must be at least 1, got 0"),
        (np.arange(3.0), 1.5, TypeError, "k must be an integer"),
        (np.zeros((0, 2)), 1, ValueError, "z must not be empty"),
        (np.ones((9, 2)), 3, ValueError, "9 of 9 points have 3 others at distance zero"),
        (np.ones((9, 30)), 3, ValueError, "9 of 9 points have 3 others at distance zero"),
        ([0.0, 0.0, 1.0, 2.0], 1, ValueError, "2 of 4 points have 1 others at distance zero"),
    ],
)
def test_bad_samples(z, k, error, message):
    with pytest.raises(error, match=message):
        quiet(knn_entropy, z, k)


def test_bad_pairs():
    x = normal(10, 2, 0)
    with pytest.raises(ValueError, match="as many rows, got 10 and 9"):
        knn_mutual_information(x, normal(9, 1, 0))
    with pytest.raises(ValueError, match=r"y must have shape \(10,\), got \(9,\)"):
        knn_mutual_information(x, torch.arange(9))
    with pytest.raises(ValueError, match="class 1 of y has one sample"):
        knn_mutual_information(x, [0] * 9 + [1])
    with pytest.raises(TypeError, match="y must hold real numbers, got None"):
        knn_mutual_information(x, None)
    with pytest.raises(TypeError, match=r"y must hold real numbers, got \['a', 'b'"):
        knn_mutual_information(x, ["a", "b"] * 5)
    with pytest.raises(ValueError, match="y must be a rectangular array"):
        knn_mutual_information(x, [[1], [2, 3]] * 5)
    with pytest.raises(ValueError, match="repeated values have no density"):
        knn_mutual_information(torch.relu(x) * 0, [0, 1] * 5)
    with pytest.raises(ValueError, match="y must be finite"):
        knn_mutual_information(x, torch.full((10,), math.inf))
    with pytest.raises(ValueError, match="norm must be one of euclidean, max, got 'l1'"):
        knn_mutual_information(x, x, norm="l1")
    with pytest.raises(ValueError, match="jitter must be zero or more"):
        knn_entropy(x, jitter=-1.0)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, 2, 3), "k must be below the number of points, got k = 3 and 3"),
        ((10, 0), "d must be at least 1, got 0"),
        ((1, 2), "n must be at least 2, got 1"),
        ((10, 2, 0), "k must be at least 1, got 0"),
    ],
)
def test_no_bias_of_a_sample_that_cannot_be(sizes, message):
    with pytest.raises(ValueError, match=message):
        knn_entropy_bias(*sizes)


def test_a_broken_number_is_refused_after_its_equal():
    knn_entropy_bias(77, 2)
    with pytest.raises(TypeError, match=r"n must be an integer, got 77\.0"):
        knn_entropy_bias(77.0, 2)


def test_no_number_is_too_large_for_a_power_of_two():
    values = [2.0**-1074, 2.0**-1022, 0.75, 1.0, 3.0, 8 - 2.0**-50, sys.float_info.max]
    found = _neighbors.power_of_two(torch.tensor(values, dtype=torch.float64))
    assert found.tolist() == [2.0 ** (math.frexp(v)[1] - 1) for v in values]


def test_jitter_is_an_answer_about_the_jitter():
    z = torch.randint(2, (400, 1), generator=torch.Generator().manual_seed(0)).double()
    values = [knn_entropy(z, jitter=s).item() for s in (1e-3, 1e-6)]
    assert values[0] - values[1] == pytest.approx(math.log(1e3), abs=1e-4)


# --- rows that repeat -----------------------------------------------------------------------------


@given(st.integers(2, 4), st.integers(0, 10**6))
def test_counted_repeats_of_a_symbol_are_counts(k, seed):
    # All rows repeat: psi of counts in place of their logarithms.
    rng = np.random.default_rng(seed)
    z, y = np.repeat(np.arange(4), 20), rng.permutation(np.arange(80) % k)
    terms = []
    for i in range(80):
        same = max(((z == z[i]) & (y == y[i])).sum() - 1, 1)
        own = min(3, (y == y[i]).sum() - 1)
        if same >= own:  # as many at distance zero as neighbors asked for
            m = (z == z[i]).sum() - 1
        else:
            r = np.sort(np.abs(z[y == y[i]] - z[i]))[own]
            same, m = own, (np.abs(z - z[i]) < r - 1e-9).sum()
        terms.append(special.psi(same) - special.psi((y == y[i]).sum()) - special.psi(m))
    found = knn_mutual_information(z.astype(float), y, repeats="count").item()
    assert found == pytest.approx(special.psi(80) + np.mean(terms), abs=1e-9)


def test_counting_repeats_changes_nothing_where_none_are():
    x, y = normal(200, 3, 0), torch.arange(200) % 4
    plain, counting = (quiet(knn_mutual_information, x, y, repeats=r) for r in ("refuse", "count"))
    assert counting == plain


def test_exact_zeros_of_a_relu():
    from ibtutor.info.known_information import known_sample

    errors = []
    for seed in range(8):
        known = known_sample("relu", n=2000, d=2, num_classes=3, strength=2.0, seed=2 * seed)
        found = quiet(knn_mutual_information, known.z, known.labels, repeats="count")
        errors.append(found - known.information)
    assert np.mean(errors) == pytest.approx(0, abs=4 * np.std(errors) / math.sqrt(8) + 0.02)


def test_repeats_are_for_labels():
    x = normal(10, 1, 0)
    with pytest.raises(ValueError, match="serves labels only"):
        knn_mutual_information(x, x, repeats="count")
    with pytest.raises(ValueError, match="repeats must be one of refuse, count, got 'drop'"):
        knn_mutual_information(x, [0, 1] * 5, repeats="drop")
