"""The Gaussian bound on an entropy: oracles, closed forms, order of its forms, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import ZERO_ENTROPY_STD, gaussian_entropy_bound, knn_entropy

LOG = math.log(2 * math.pi * math.e)
samples = st.tuples(st.integers(12, 60), st.integers(1, 8), st.integers(0, 10**6))


def normal(n, d, seed):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)))


def with_covariance(n, covariance, seed=0):
    """A sample whose empirical covariance is exactly this."""
    z = normal(n, len(covariance), seed)
    z = z - z.mean(0)
    white = torch.linalg.cholesky(torch.linalg.inv(z.T @ z / (n - 1)))
    return z @ white @ torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64)).T


def test_zero_entropy_noise(oracle):
    case = oracle("R08")
    assert math.log(2 * math.pi * math.e * ZERO_ENTROPY_STD**2) == pytest.approx(0, abs=1e-15)
    assert pytest.approx(case["expected"]["std"], abs=case["tolerance"]) == ZERO_ENTROPY_STD


def test_two_dimensions(oracle):
    # R09: the determinant and, above it, the product of the variances.
    case = oracle("R09")
    z, expected = with_covariance(40, case["inputs"]["S"]), case["expected"]
    assert gaussian_entropy_bound(z).item() == pytest.approx(expected["H"], abs=1e-12)
    diagonal = gaussian_entropy_bound(z, diagonal=True).item()
    assert diagonal == pytest.approx(expected["diag_bound"], abs=1e-12)


@given(samples, st.floats(-3, 3), st.floats(-5, 5))
def test_scale_shift_order_and_rotation(sample, log_scale, offset):
    n, d, seed = sample
    z = normal(n, d, seed)
    plain = gaussian_entropy_bound(z).item()
    moved = math.exp(log_scale) * z + offset
    assert gaussian_entropy_bound(moved).item() == pytest.approx(plain + d * log_scale, abs=1e-8)
    assert gaussian_entropy_bound(z.flip(0)).item() == pytest.approx(plain, abs=1e-9)
    rotation = torch.linalg.qr(normal(d, d, seed + 1))[0]
    assert gaussian_entropy_bound(z @ rotation).item() == pytest.approx(plain, abs=1e-8)
    independent = d / 2 * LOG + np.linalg.slogdet(np.atleast_2d(np.cov(z.numpy().T)))[1] / 2
    assert plain == pytest.approx(independent, abs=1e-9)
    assert plain <= gaussian_entropy_bound(z, diagonal=True).item() + 1e-9


@pytest.mark.parametrize("log_unit", [-1000, -560, 520, 1000])
@pytest.mark.parametrize("options", [{}, {"diagonal": True}, {"noise_std": 0.3}])
def test_no_unit_is_too_small_or_too_large(log_unit, options):
    # Squares of such numbers are zero or infinite.
    z, unit = normal(40, 3, 0), 2.0**log_unit
    plain = gaussian_entropy_bound(z, **options).item()
    moved = {
        name: value * unit if name == "noise_std" else value for name, value in options.items()
    }
    value = gaussian_entropy_bound(unit * z, **moved).item()
    assert value == pytest.approx(plain + 3 * math.log(unit), rel=1e-12)
    if not options.get("noise_std"):
        one = unit ** torch.tensor([1, 0, -1], dtype=torch.float64)
        assert gaussian_entropy_bound(one * z, **options).item() == pytest.approx(plain, abs=1e-9)


def test_noise_much_wider_than_the_latent_is_all_there_is():
    z = 1e-200 * normal(40, 3, 0)
    for diagonal in (False, True):
        value = gaussian_entropy_bound(z, noise_std=0.3, diagonal=diagonal).item()
        assert value == pytest.approx(3 * (LOG / 2 + math.log(0.3)), abs=1e-12)


@given(samples, st.floats(0.01, 2.0))
def test_noise_adds_its_variance(sample, noise):
    n, d, seed = sample
    z = normal(n, d, seed)
    covariance = np.atleast_2d(np.cov(z.numpy().T)) + noise**2 * np.eye(d)
    expected = d / 2 * LOG + np.linalg.slogdet(covariance)[1] / 2
    assert gaussian_entropy_bound(z, noise_std=noise).item() == pytest.approx(expected, abs=1e-9)
    diagonal = d / 2 * LOG + np.log(np.diag(covariance)).sum() / 2
    found = gaussian_entropy_bound(z, noise_std=noise, diagonal=True).item()
    assert found == pytest.approx(diagonal, abs=1e-9)


@given(samples)
def test_conditional_form_is_the_mean_over_classes(sample):
    n, d, seed = sample
    n, z = 6 * n, normal(6 * n, d, seed)
    y = torch.arange(n) % 3 * (torch.arange(n) % 2)  # unequal classes 0, 1, 2
    parts = [(y == c) for c in y.unique()]
    expected = sum(m.double().mean() * gaussian_entropy_bound(z[m]) for m in parts).item()
    assert gaussian_entropy_bound(z, y).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 1), (12, 4)])
def test_corrected_is_unbiased_on_gaussians(n, d, diagonal):
    # R18: E log s^2 - log sigma^2 = psi((n-1)/2) - log((n-1)/2).
    found = [
        gaussian_entropy_bound(normal(n, d, s), corrected=True, diagonal=diagonal).item()
        for s in range(400)
    ]
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(d * LOG / 2, abs=4 * error)


def test_it_bounds_what_it_should():
    # Two far clusters: entropy log 2 above that of one, the bound much above.
    z = normal(4000, 1, 0)[:, 0]
    y = torch.arange(4000) % 2
    far = z + 20.0 * y
    truth = LOG / 2 + math.log(2)
    assert knn_entropy(far).item() == pytest.approx(truth, abs=0.1)
    assert gaussian_entropy_bound(far).item() > truth + 1
    assert gaussian_entropy_bound(far, y).item() == pytest.approx(LOG / 2, abs=0.1)


@pytest.mark.parametrize("labels", [None, [0, 1] * 10])
@pytest.mark.parametrize("options", [{}, {"diagonal": True}, {"noise_std": 0.3}])
def test_gradient(labels, options):
    z = normal(20, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: gaussian_entropy_bound(v, labels, **options), (z,))


def test_a_collapsed_latent_has_the_entropy_of_the_noise():
    z = torch.full((8, 5), 0.1)
    assert gaussian_entropy_bound(z, noise_std=ZERO_ENTROPY_STD).item() == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_entropy_bound(torch.full((8, 5), 0.1)), "covariance is singular"),
        (
            lambda: gaussian_entropy_bound(torch.full((8, 5), 0.1), diagonal=True),
            "coordinate 0 is constant; the bound is minus infinity",
        ),
        (lambda: gaussian_entropy_bound(normal(5, 5, 0)), "5 rows of 5 dimensions span 4"),
        (lambda: gaussian_entropy_bound(normal(9, 2, 0)[:, [0, 0]]), "span 1"),
        (lambda: gaussian_entropy_bound([0.0]), "at least 2 rows, z has 1"),
        (lambda: gaussian_entropy_bound([0.0, math.nan]), "z must be finite, got nan"),
        (lambda: gaussian_entropy_bound(torch.zeros(2, 2, 2)), r"shape \(N, d\) or \(N,\)"),
        (lambda: gaussian_entropy_bound([0.0, 1.0, 2.0], [0, 0, 1]), "class 1 has one sample"),
        (lambda: gaussian_entropy_bound([0.0, 1.0, 2.0, 2.0], [0, 0, 1, 1]), "z in class 1"),
        (lambda: gaussian_entropy_bound([0.0, 1.0], [0]), r"labels must have shape \(2,\)"),
        (lambda: gaussian_entropy_bound([0.0, 1.0], noise_std=-1), "noise_std must be zero or"),
        (
            lambda: gaussian_entropy_bound([0.0, 1.0], noise_std=1, corrected=True),
            "without noise only",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_are_whole_numbers():
    with pytest.raises(TypeError, match="labels must be whole numbers"):
        gaussian_entropy_bound([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(TypeError, match=r"labels must hold real numbers, got \['a', 'b'\]"):
        gaussian_entropy_bound([0.0, 1.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\), got \(0,\)"):
        gaussian_entropy_bound([0.0, 1.0], [])


def test_the_bias_of_a_sample_variance(oracle):
    case = oracle("R18")
    for n, expected in zip(case["inputs"]["n"], case["expected"], strict=True):
        z = normal(n, 1, n)
        moved = gaussian_entropy_bound(z) - gaussian_entropy_bound(z, corrected=True)
        assert 2 * moved.item() == pytest.approx(expected, abs=case["tolerance"])
