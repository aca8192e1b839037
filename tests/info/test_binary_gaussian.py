"""The binary Gaussian model: exact values by other means, bounds on the right side, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from ibtutor.info import (
    binary_gaussian_bounds,
    binary_gaussian_error,
    binary_gaussian_information,
    error_lower_bound,
    gaussian_separation,
)

deltas = st.floats(0.0, 200.0)


@pytest.mark.parametrize("name", ["M07a", "M07b", "M07c", "M07d"])
def test_exact_oracles(oracle, name):
    case = oracle(name)
    found = binary_gaussian_information(case["inputs"]["delta"]).item()
    assert found == pytest.approx(case["expected"], abs=1e-13)


@pytest.mark.parametrize("name", ["M08a", "M08b", "M08c", "M08d"])
def test_bound_oracles(oracle, name):
    case = oracle(name)
    found = binary_gaussian_bounds(case["inputs"]["delta"], case["inputs"]["n"])
    names = {"jensen": "jensen_upper", "renyi2": "renyi2_lower"}
    names |= {"bhattacharyya": "bhatt_lower", "kl": "kl_upper"}
    for ours, theirs in names.items():
        assert getattr(found, ours).item() == pytest.approx(case["expected"][theirs], abs=1e-12)


@pytest.mark.parametrize("name", ["M09a", "M09b", "M09c"])
def test_error_oracles(oracle, name):
    case = oracle(name)
    delta, expected = case["inputs"]["delta"], case["expected"]
    assert binary_gaussian_error(delta).item() == pytest.approx(expected["bayes"], abs=1e-13)
    exact = binary_gaussian_information(delta)
    through = error_lower_bound(exact, math.log(2), 2, "milc").item()
    assert through == pytest.approx(expected["with_exact_I"], abs=1e-8)
    paper = error_lower_bound(min(delta, math.log(2)), math.log(2), 2, "milc").item()
    assert paper == pytest.approx(expected["cor"], abs=1e-8)


@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-3, 0.1, 0.4999, 0.5, 2.0, 30.0])
def test_against_adaptive_quadrature_of_the_mixture(delta):
    # h(X) - h(X|Y) as an integral of the divergence, with another integrand and another rule.
    mu = math.sqrt(delta)

    def integrand(x):
        other = math.exp(-2 * mu * x) if mu * x > -300 else math.inf
        return stats.norm.pdf(x - mu) * -math.log1p((other - 1) / 2)

    expected, _ = integrate.quad(
        integrand, mu - 12, mu + 12, epsabs=1e-15, epsrel=1e-12, limit=500, points=[0, mu]
    )
    found = binary_gaussian_information(delta).item()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-14)
    assert found == pytest.approx(expected, abs=1e-12)


def test_weak_signals_keep_their_digits():
    # delta / 2 - delta^2 / 4 + delta^3 / 6 + ...
    for delta in (1e-14, 1e-9, 1e-5):
        series = delta / 2 - delta**2 / 4
        assert binary_gaussian_information(delta).item() == pytest.approx(series, rel=1e-9)


def test_ends_and_shape():
    assert binary_gaussian_information(0.0).item() == 0.0
    for delta in (100.0, 1e4, 1e300):
        assert binary_gaussian_information(delta).item() == pytest.approx(math.log(2), abs=1e-15)
    assert binary_gaussian_information([[0.1, 1.0]]).shape == (1, 2)
    assert binary_gaussian_error(0.0).item() == 0.5


@given(deltas, st.integers(1, 50))
def test_bounds_lie_on_their_sides(delta, dim):
    exact = binary_gaussian_information(delta).item()
    found = binary_gaussian_bounds(delta, dim)
    for name in ("jensen", "capacity", "kl", "upper"):
        assert exact <= getattr(found, name).item() + 1e-14
    for name in ("bhattacharyya", "renyi2", "lower"):
        assert getattr(found, name).item() <= exact + 1e-14
    assert found.kl.item() <= found.jensen.item() + 1e-14
    assert found.capacity.item() <= found.jensen.item() / 2 + 1e-14


def test_which_bound_is_better_where():
    # One dimension: Renyi's wins on (.914, 2.986). Weak signals: capacity; strong ones: KL.
    inside, outside = binary_gaussian_bounds([0.92, 2.98]), binary_gaussian_bounds([0.91, 2.99])
    assert (inside.renyi2 > inside.bhattacharyya).all()
    assert (outside.renyi2 < outside.bhattacharyya).all()
    weak, strong = binary_gaussian_bounds(0.25), binary_gaussian_bounds(4.0)
    assert weak.capacity < weak.kl
    assert strong.kl < strong.capacity


@given(st.floats(0.0, 60.0))
def test_error_lies_between_fano_and_half_the_bits(delta):
    exact = binary_gaussian_information(delta).item()
    error = binary_gaussian_error(delta).item()
    for kind in ("fano", "milc", "milc_bits"):
        assert error_lower_bound(exact, math.log(2), 2, kind).item() <= error + 1e-12
    assert error <= (math.log(2) - exact) / (2 * math.log(2)) + 1e-12


def test_monte_carlo_in_many_dimensions():
    rng = np.random.default_rng(0)
    n, samples = 12, 200_000
    root = rng.normal(size=(n, n))
    sigma, mu = root @ root.T + 0.5 * np.eye(n), rng.normal(size=n) * 0.7
    delta = gaussian_separation(mu, sigma)
    y = rng.choice([-1, 1], samples)
    x = y[:, None] * mu + rng.multivariate_normal(np.zeros(n), sigma, samples)
    weight = np.linalg.solve(sigma, mu)
    margin = y * (x @ weight)
    terms = math.log(2) - np.logaddexp(0, -2 * margin)  # log p(y|x) / p(y)
    error = terms.std() / math.sqrt(samples)
    assert abs(terms.mean() - binary_gaussian_information(delta).item()) < 5 * error
    rate = (margin < 0).mean()
    expected = binary_gaussian_error(delta).item()
    assert abs(rate - expected) < 5 * math.sqrt(expected * (1 - expected) / samples)


def test_separation_is_that_of_lemma_11(oracle):
    case = oracle("M10")
    sigma, mu = (np.array(case["inputs"][name]) for name in ("Sigma", "mu"))
    expected = mu @ np.linalg.inv(sigma) @ mu
    assert gaussian_separation(mu, sigma) == pytest.approx(expected, rel=1e-13)
    # E x'Ax = tr(A Sigma) + mu'A mu, with A the inverse: n + delta.
    a = np.array(case["inputs"]["A"])
    assert np.trace(a @ sigma) + mu @ a @ mu == pytest.approx(case["expected"], abs=1e-11)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_a_singular_covariance_is_refused_whatever_the_rounding(n, seed):
    rng = np.random.default_rng(seed)
    few = rng.normal(size=(n, rng.integers(1, n)))
    with pytest.raises(ValueError, match="positive definite"):
        gaussian_separation(np.ones(n), few @ few.T)


def test_variances_may_differ_by_any_factor():
    assert gaussian_separation([0.0, 1e-150], np.diag([1.0, 1e-300])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([1.0, 1.0], [[1.0, 1.0], [1.0, 1.0]], "definite, got correlations with a smallest eigen"),
        ([1.0, 1.0], [[1.0, 2.0], [2.0, 1.0]], "definite, .* smallest eigenvalue -1, .* rounding"),
        ([1.0, 1.0], [[0.0, 0.0], [0.0, 1.0]], "positive definite, got a variance 0"),
        ([1.0, 1.0], [[1.0, 0.5], [0.0, 1.0]], "symmetric, got entries that differ by 0.5"),
        ([1.0], [[1.0, 0.0], [0.0, 1.0]], r"shapes \(n,\) and \(n, n\), got \(1,\) and \(2, 2\)"),
        ([math.nan], [[1.0]], "mean must be finite"),
        ([1e200], [[1.0]], "small enough .* for a finite separation, got inf"),
        ([1.0], [[1e-320]], "covariance large enough for a finite separation, got inf"),
    ],
)
def test_bad_models(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        gaussian_separation(mean, covariance)


@pytest.mark.parametrize(
    "function", [binary_gaussian_information, binary_gaussian_bounds, binary_gaussian_error]
)
def test_bad_deltas(function):
    with pytest.raises(ValueError, match=r"delta must be zero or more, got -0.5"):
        function([1.0, -0.5])
    with pytest.raises(ValueError, match=r"delta must be finite, got inf"):
        function(math.inf)
    with pytest.raises(TypeError, match=r"delta must hold real numbers"):
        function("much")


def test_bad_dimension():
    with pytest.raises(ValueError, match=r"dim must be at least 1, got 0"):
        binary_gaussian_bounds(1.0, 0)


def test_results_are_float64():
    assert binary_gaussian_information(torch.tensor(1.0)).dtype == torch.float64
