"""Best channels and bottleneck encoders at a rate; the ceiling of class-conditional smoothing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ibtutor.info import (
    _at_rate,
    best_channel,
    bottleneck_at_rate,
    geometric_smoothing,
    information_plane,
    label_smoothing_at_rate,
    label_smoothing_encoder,
    pool_labels,
    solve_bottleneck,
)

TOY = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.2], [0.2, 0.8]]


def relevance(encoder, w, p_x=None):
    return information_plane(encoder, p_y_given_x=w, p_x=p_x).i_ty


def test_smallest_strict_example(oracle):
    known = oracle("K23")["expected"]
    found = bottleneck_at_rate(TOY, 0.3, num_clusters=2)
    assert math.isclose(found.i_ty, known["I_TY_geometric"], abs_tol=1e-8)
    assert math.isclose(found.i_xt, 0.3, abs_tol=1e-9)
    # symmetric toy: no channel is better than the symmetric one
    channel = best_channel(TOY, 0.3)
    arithmetic = relevance(pool_labels(TOY, channel), TOY)
    assert math.isclose(arithmetic, known["I_TY_LS"], abs_tol=1e-7)


def test_contradicting_toy(oracle):
    inputs, known = oracle("K22")["inputs"], oracle("K22")["expected"]
    w, p_x = inputs["p_y_given_x"], inputs["px"]
    for alpha, i_xt, i_ty in ((0.0, known[0], known[1]), (0.2, known[2], known[3])):
        plane = information_plane(label_smoothing_encoder(w, alpha), p_y_given_x=w, p_x=p_x)
        assert math.isclose(plane.i_xt, i_xt, abs_tol=1e-12)
        assert math.isclose(plane.i_ty, i_ty, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "optimal"), [(0.02, False), (0.12, False), (0.14, True), (0.5, True)]
)
def test_one_mixture_weight_can_be_accommodated(alpha, optimal):
    # one-hot inputs and a 50/50 one: uniform smoothing is optimal from 1 - sqrt(3) / 2 on
    w = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    plane = information_plane(label_smoothing_encoder(w, alpha), p_y_given_x=w)
    best = bottleneck_at_rate(w, plane.i_xt, num_clusters=3).i_ty
    assert (best - plane.i_ty < 1e-6) == optimal
    assert best >= plane.i_ty - 1e-8


def test_deterministic_labels_fill_the_diagonal():
    # the curve is a straight piece: no beta has these rates
    rates = [0.1, 0.5, 1.0]
    found = bottleneck_at_rate(np.eye(3), rates)
    assert np.allclose(found.i_xt, rates, atol=1e-8)
    assert np.allclose(found.i_ty, rates, atol=1e-8)
    channel = best_channel(np.eye(3), 0.5)
    assert math.isclose(relevance(channel, np.eye(3)), 0.5, abs_tol=1e-8)


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_order_of_the_families(seed, share):
    rng = np.random.default_rng(seed)
    w, p_x = rng.dirichlet(np.full(3, 0.4), 5), rng.dirichlet(np.ones(5))
    labels = information_plane(w, p_y_given_x=w, p_x=p_x)
    rate = share * labels.i_xt
    smooth = relevance(label_smoothing_at_rate(w, rate, p_x=p_x), w, p_x)
    channel = best_channel(w, rate, p_x=p_x)
    arithmetic = pool_labels(w, channel)
    assert math.isclose(information_plane(arithmetic, p_x=p_x).i_xt, rate, abs_tol=1e-8)
    best = relevance(arithmetic, w, p_x)
    assert smooth - 1e-8 <= best <= labels.i_ty + 1e-9  # the ceiling I(Y;Y')
    geometric = relevance(geometric_smoothing(w, rate, p_x=p_x), w, p_x)
    curve = bottleneck_at_rate(w, rate, p_x=p_x)
    assert math.isclose(curve.i_xt, rate, abs_tol=1e-8)
    assert curve.i_ty >= max(best, geometric) - 1e-7


def test_curve_agrees_with_the_lagrangian():
    w = np.random.default_rng(3).dirichlet(np.full(4, 0.4), 12)
    solution = solve_bottleneck(w, [0.3, 0.5, 0.7], tol=1e-12)
    curve = bottleneck_at_rate(w, solution.i_xt)
    assert np.allclose(curve.i_ty, solution.i_ty, atol=1e-7)
    assert curve.p_t_given_x.shape == (3, 12, 4)
    assert torch.allclose(curve.encoder(1), curve.p_t_given_x[1])


def test_every_optimum_is_geometric():
    # fixed point of the self-consistent equations, from the encoder alone
    w = torch.tensor(np.random.default_rng(4).dirichlet(np.full(3, 0.6), 9))
    curve = bottleneck_at_rate(w, 0.2)
    q, beta = curve.encoder(0), curve.betas[0]
    joint = w.T @ q / len(w)
    mass = joint.sum(0)
    channel = torch.softmax(mass.log() + (joint / mass).log() / beta, 1)
    assert torch.allclose(pool_labels(w, channel, "geometric"), q, atol=1e-4)


def test_ends_of_the_range():
    labels = information_plane(TOY, p_y_given_x=TOY)
    assert torch.equal(best_channel(TOY, labels.i_xt), torch.eye(2, dtype=torch.float64))
    assert best_channel(TOY, 0.0).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert bottleneck_at_rate(TOY, 0.0).i_ty.item() == pytest.approx(0.0, abs=1e-12)


def test_rates_out_of_reach():
    with pytest.raises(ValueError, match=r"\[0, I\(X;Y\)"):
        best_channel(TOY, 0.5)
    with pytest.raises(ValueError, match="rates must lie in"):
        bottleneck_at_rate(TOY, 0.7, num_clusters=2)
    with pytest.raises(ValueError, match="zero or more"):
        best_channel(TOY, -0.1)
    with pytest.raises(ValueError, match="finite"):
        bottleneck_at_rate(TOY, math.nan)


def test_a_channel_where_no_bottleneck_with_as_many_symbols_has_the_rate():
    w, p_x = [[0.1, 0.9], [1.0, 0.0], [0.0, 1.0]], [0.11, 0.0235, 0.8665]
    most = information_plane(w, p_x=p_x).i_xt
    rate = 0.995 * most
    with pytest.raises(ValueError, match="rates must lie in"):
        bottleneck_at_rate(w, rate, p_x=p_x)
    encoder = pool_labels(w, best_channel(w, rate, p_x=p_x))
    assert information_plane(encoder, p_x=p_x).i_xt == pytest.approx(rate, abs=1e-9)
    plain = label_smoothing_at_rate(w, rate, p_x=p_x)
    assert relevance(encoder, w, p_x) >= relevance(plain, w, p_x) - 1e-9


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_ascents_that_miss_the_rate_lose_nothing(monkeypatch, keep):
    w = np.random.default_rng(0).dirichlet(np.full(3, 0.3), 5)
    exact = relevance(pool_labels(w, best_channel(w, 0.3)), w)
    ascend = _at_rate.ascend_channel

    def missed(channel, rows, rate):
        found, _ = ascend(channel, rows, rate)
        return keep * found + (1 - keep) / 3, -math.inf

    monkeypatch.setattr(_at_rate, "ascend_channel", missed)
    encoder = pool_labels(w, best_channel(w, 0.3))
    assert information_plane(encoder).i_xt == pytest.approx(0.3, abs=1e-9)
    plain = relevance(label_smoothing_at_rate(w, 0.3), w)
    assert plain - 1e-9 <= relevance(encoder, w) <= exact + 1e-9
