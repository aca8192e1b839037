"""The upper bound of the bottleneck curve: never below an encoder, tight where it should be."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ibtutor.info import (
    bottleneck_at_rate,
    bottleneck_bound,
    contraction_coefficient,
    critical_beta,
    information_plane,
    label_smoothing_encoder,
)
from ibtutor.info._rows import merge_rows
from ibtutor.info.certificate import largest_tilt

TOY = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.2], [0.2, 0.8]]


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_no_encoder_passes_the_bound(seed):
    rng = np.random.default_rng(seed)
    w, p_x = rng.dirichlet(np.full(3, 0.5), 5), rng.dirichlet(np.ones(5))
    for symbols in (2, 8):
        encoder = rng.dirichlet(np.full(symbols, 0.2), 5)
        plane = information_plane(encoder, p_y_given_x=w, p_x=p_x)
        bound = bottleneck_bound(w, plane.i_xt, p_x=p_x, starts=40)
        assert plane.i_ty <= bound + 1e-9


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.3])
def test_tight_on_the_toy(rate):
    found = bottleneck_at_rate(TOY, rate).i_ty.item()
    bound = bottleneck_bound(TOY, rate)
    assert found - 1e-9 <= bound <= found + 1e-6


def test_tight_with_enough_symbols():
    w = np.random.default_rng(0).dirichlet(np.full(3, 0.3), 8)
    found = bottleneck_at_rate(w, 0.3, num_clusters=8).i_ty.item()
    assert found - 1e-9 <= bottleneck_bound(w, 0.3, num_clusters=8) <= found + 1e-5


def test_the_search_is_exact_for_two_classes():
    # one number decides: compare with a fine grid
    rows = merge_rows(TOY)
    rng = np.random.default_rng(0)
    for _ in range(5):
        log_z = torch.tensor(rng.normal(size=4))[rows.index.argsort()]
        found = largest_tilt(rows, 0.4, log_z, rows.w[:1], starts=10, seed=0)
        first = torch.linspace(1e-9, 1 - 1e-9, 20_001, dtype=torch.float64)
        r = torch.stack([first, 1 - first], 1)
        kl = torch.xlogy(rows.w, rows.w).sum(1) - r.log() @ rows.w.T
        grid = torch.logsumexp(rows.p.log() - log_z - kl / 0.4, 1).max().item()
        assert grid - 1e-9 <= found <= grid + 1e-5


def test_smoothing_below_the_threshold_is_certified_suboptimal():
    w = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    plane = information_plane(label_smoothing_encoder(w, 0.12), p_y_given_x=w)
    bound = bottleneck_bound(w, plane.i_xt, num_clusters=3)
    # the curve has slope 1/2 from alpha = 1 - sqrt(3)/2 on, where smoothing leaves it
    edge = information_plane(label_smoothing_encoder(w, 1 - math.sqrt(3) / 2), p_y_given_x=w)
    assert math.isclose(bound, edge.i_ty + (plane.i_xt - edge.i_xt) / 2, abs_tol=2e-6)
    assert plane.i_ty < bound - 5e-5
    assert bottleneck_at_rate(w, plane.i_xt, num_clusters=3).i_ty.item() > bound - 2e-6


def test_trivial_bounds():
    information = information_plane(TOY, p_y_given_x=TOY).i_xt
    assert bottleneck_bound(TOY, 0.0) == 0.0
    assert math.isclose(bottleneck_bound(TOY, 50.0), information, abs_tol=1e-12)
    assert math.isclose(bottleneck_bound(np.eye(3), 0.4), 0.4, abs_tol=1e-9)
    assert bottleneck_bound([[0.5, 0.5], [0.5, 0.5]], 0.3) == 0.0


def test_slope_at_zero():
    w = np.random.default_rng(1).dirichlet(np.full(3, 0.5), 6)
    slope = contraction_coefficient(w)
    assert critical_beta(w) - 1e-9 <= slope <= 1.0
    near = bottleneck_at_rate(w, 1e-3, num_clusters=3).i_ty.item() / 1e-3
    assert near <= slope + 1e-6
    assert near > 0.95 * slope
    assert contraction_coefficient([[0.4, 0.6], [0.4, 0.6]]) < 1e-2
    assert contraction_coefficient([[1.0, 0.0]]) == 0.0


@pytest.mark.parametrize("delta", [0.3, 1e-2, 1e-4])
def test_slope_at_zero_of_weak_binary_channels(delta):
    # symmetric: known in closed form
    w = [[0.5 + delta, 0.5 - delta], [0.5 - delta, 0.5 + delta]]
    assert contraction_coefficient(w) == pytest.approx(4 * delta**2, rel=1e-6)
    # a bound from below: never above the contraction of any one pair of inputs
    w = [[0.5, 0.5], [0.5 - delta, 0.5 + delta]]
    distance = 1 - (math.sqrt(0.5 * (0.5 - delta)) + math.sqrt(0.5 * (0.5 + delta))) ** 2
    assert critical_beta(w) <= contraction_coefficient(w) <= distance + 1e-12


def test_bad_input():
    with pytest.raises(ValueError, match="zero or more"):
        bottleneck_bound(TOY, -1.0)
    with pytest.raises(ValueError, match="sum to 1"):
        bottleneck_bound([[0.5, 0.6]], 0.1)
