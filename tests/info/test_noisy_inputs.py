"""A noisy layer whose information is known: closed forms, sandwich, invariances, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import (
    binary_gaussian_information,
    noisy_information,
    noisy_information_bounds,
    noisy_inputs,
)

layers = st.tuples(st.integers(1, 30), st.integers(1, 2), st.integers(0, 10**6))
stds = st.floats(0.2, 2.0)


def means(layer):
    n, d, seed = layer
    return torch.from_numpy(np.random.default_rng(seed).uniform(-2, 2, (n, d)))


@pytest.mark.parametrize("std", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_two_inputs_are_the_binary_gaussian_model(std, d):
    z = torch.tensor([[-1.0] * d, [1.0] * d]) / math.sqrt(d)
    exact = binary_gaussian_information(1 / std**2).item()
    assert noisy_information(z, std).item() == pytest.approx(exact, abs=1e-8)
    assert noisy_information(z, std, [0, 1]).item() == pytest.approx(exact, abs=1e-8)


def test_independent_units_add_up():
    one, two = torch.linspace(-1, 1, 5), torch.tensor([-1.0, 0.3, 0.5])
    both = torch.cartesian_prod(one, two)
    expected = noisy_information(one, 0.4) + noisy_information(two, 0.4)
    assert noisy_information(both, 0.4).item() == pytest.approx(expected.item(), abs=1e-8)


@given(layers, stds)
def test_it_lies_between_its_bounds_and_below_the_inputs_entropy(layer, std):
    z = means(layer)
    low, high = (v.item() for v in noisy_information_bounds(z, std))
    exact = noisy_information(z, std).item()
    assert low - 1e-9 <= exact <= high + 1e-9
    square = (z[:, None] - z).square().sum(2) / std**2
    for found, over in ((low, 8), (high, 2)):  # the formula of their docstring
        expected = -(-square / over).exp().mean(1).log().mean().item()
        assert found == pytest.approx(expected, abs=1e-9)
    assert high <= math.log(len(z)) + 1e-9


@given(layers, stds, st.floats(-5, 5), st.floats(-2, 2))
def test_shift_order_units_and_repetition(layer, std, offset, log_scale):
    z, y = means(layer), torch.arange(layer[0]) % 3
    plain, about_y = (noisy_information(z, std, labels).item() for labels in (None, y))
    scale = math.exp(log_scale)
    assert noisy_information(scale * z.flip(0) + offset, scale * std).item() == pytest.approx(
        plain, abs=1e-7
    )
    assert noisy_information(z.repeat(3, 1), std).item() == pytest.approx(plain, abs=1e-9)
    assert about_y <= plain + 1e-9  # data processing
    assert noisy_information(z, 2 * std).item() <= plain + 1e-9


@pytest.mark.parametrize("std", [0.7, 1.0, 3.0])
def test_a_common_offset_takes_no_digits(std):
    z = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -2.0]], dtype=torch.float64)
    far = z + torch.tensor([1e12, -1e14], dtype=torch.float64)  # exact
    assert noisy_information(far, std).item() == pytest.approx(
        noisy_information(z, std).item(), abs=1e-9
    )
    for found, plain in zip(*(noisy_information_bounds(v, std) for v in (far, z)), strict=True):
        assert found.item() == pytest.approx(plain.item(), abs=1e-9)


def test_no_distance_of_two_inputs_is_too_large():
    for bound in noisy_information_bounds([-1e308, 1e308], 1.0):
        assert bound.item() == pytest.approx(math.log(2))


@given(layers, stds)
def test_a_finer_grid_changes_nothing(layer, std):
    z = means(layer)
    plain = noisy_information(z, std).item()
    step = noisy_inputs._STEP
    try:
        noisy_inputs._STEP = step / 2
        assert noisy_information(z, std).item() == pytest.approx(plain, abs=1e-8)
    finally:
        noisy_inputs._STEP = step


def test_far_inputs_are_told_apart_and_equal_ones_are_not():
    far = 100.0 * torch.arange(64.0)
    assert noisy_information(far, 1.0).item() == pytest.approx(math.log(64), abs=1e-9)
    assert noisy_information(torch.zeros(64, 3), 1.0).item() == pytest.approx(0, abs=1e-9)
    assert noisy_information(far, 1.0, torch.arange(64) % 4).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noisy_information(torch.zeros(4, 4), 1.0), "at most 3 dimensions, got 4"),
        (lambda: noisy_information([0.0, 1.0], 0.0), "std must be positive, got 0"),
        (lambda: noisy_information([0.0, math.nan], 1.0), "means must be finite"),
        (lambda: noisy_information(torch.zeros(2, 2, 2), 1.0), r"shape \(N, d\) or \(N,\)"),
        (lambda: noisy_information([0.0, 1.0], 1.0, [0]), r"labels must have shape \(2,\)"),
        (
            lambda: noisy_information(1e4 * torch.eye(3), 1.0),
            r"10016 x 10016 x 10016 standard deviations.* too large",
        ),
        (lambda: noisy_information([0.0, 1.0], 1e-12), r"grid of 5\.0e\+12 nodes is too large"),
        (lambda: noisy_information_bounds([0.0, 1.0], -1.0), "std must be positive"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_types():
    with pytest.raises(TypeError, match="labels must be whole numbers"):
        noisy_information([0.0, 1.0], 1.0, [0.0, 1.0])
    for call in (noisy_information, noisy_information_bounds):
        with pytest.raises(TypeError, match="std must be a number, got None"):
            call([0.0, 1.0], None)
