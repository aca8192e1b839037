"""Pooling of disagreeing labels: direct minimization, oracles, and families at a rate."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from ibtutor.info import (
    agreement_smoothing,
    confidence_penalty_encoder,
    geometric_smoothing,
    information_plane,
    label_smoothing_at_rate,
    pool_labels,
)

TOY = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.2], [0.2, 0.8]]
FAMILIES = (label_smoothing_at_rate, geometric_smoothing, agreement_smoothing)


def test_known_means(oracle):
    known = oracle("K31")
    w, m = known["inputs"]["p_y_given_x"], known["inputs"]["M"]
    for how, name in (("arithmetic", "forward"), ("geometric", "reverse")):
        found = pool_labels(w, m, how)[:, 0]
        assert np.allclose(found, known["expected"][name], rtol=0, atol=known["tolerance"])


@given(st.integers(0, 10_000))
def test_means_minimize_the_two_divergences(seed):
    rng = np.random.default_rng(seed)
    w, m = rng.dirichlet(np.ones(3)), rng.dirichlet(np.full(4, 2.0), 3)

    def forward(x):
        q = np.exp(x - np.logaddexp.reduce(x))
        return np.sum(w[:, None] * m * np.log(m / q))

    def reverse(x):
        q = np.exp(x - np.logaddexp.reduce(x))
        return np.sum(w[:, None] * q * np.log(q / m))

    for loss, how in ((forward, "arithmetic"), (reverse, "geometric")):
        best = minimize(loss, np.zeros(4), method="BFGS").fun
        pooled = np.log(pool_labels(w[None], m, how)[0].numpy())
        assert abs(loss(pooled) - best) < 1e-8


def test_means_agree_on_agreed_labels():
    m = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    for how in ("arithmetic", "geometric"):
        assert np.allclose(pool_labels(np.eye(3), m, how), m)


def test_geometric_mean_with_zeros():
    m = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    found = pool_labels([[0.3, 0.7], [1.0, 0.0]], m, "geometric")
    assert found.tolist() == [[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]
    with pytest.raises(ValueError, match="share no symbol"):
        pool_labels([[0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]], "geometric")


def test_discrete_vib_is_reverse_label_smoothing(oracle):
    known = oracle("K32")
    inputs = known["inputs"]
    p, y, eps, beta = (inputs[k] for k in ("p", "y", "eps", "beta"))
    p, classes = np.array(p), len(inputs["p"])
    classifier = np.full((classes, classes), eps / classes) + (1 - eps) * np.eye(classes)
    r = np.full(classes, 1 / classes)
    # the loss as VIB states it: expected negative log-likelihood plus beta KL to the prior
    loss = -np.sum(p * np.log(classifier[y])) + beta * np.sum(p * np.log(p / r))
    assert math.isclose(loss, known["expected"]["L_VIB"], abs_tol=known["tolerance"])
    tilted = r * classifier[y] ** (1 / beta)
    smoothed = tilted / tilted.sum()
    assert np.allclose(smoothed, known["expected"]["M_y"], atol=known["tolerance"])
    again = beta * np.sum(p * np.log(p / smoothed)) - beta * np.log(tilted.sum())
    assert math.isclose(loss, again, abs_tol=1e-13)


def test_confidence_penalty(oracle):
    known = oracle("K33")
    w, beta = known["inputs"]["w"], known["inputs"]["beta"]
    p = confidence_penalty_encoder([w], beta)[0]
    assert math.isclose(p[0], known["expected"], abs_tol=known["tolerance"])
    constant = -torch.tensor(w, dtype=torch.float64) / p + beta * p.log()
    assert abs(constant[0] - constant[1]) < 1e-9


@given(st.integers(0, 10_000), st.floats(1e-3, 20.0))
def test_confidence_penalty_is_stationary(seed, beta):
    w = np.random.default_rng(seed).dirichlet(np.full(5, 0.5), 3)
    p = confidence_penalty_encoder(w, beta)
    assert torch.allclose(p.sum(1), torch.ones(3, dtype=torch.float64))
    constant = -torch.tensor(w) / p + beta * p.log()
    spread = (constant.amax(1) - constant.amin(1)) / (1 + constant.abs().amax(1))
    assert spread.max() < 1e-6


def test_confidence_penalty_limits():
    w = [[0.8, 0.2, 0.0]]
    assert torch.allclose(confidence_penalty_encoder(w, 0.0), torch.tensor(w, dtype=torch.float64))
    assert torch.allclose(
        confidence_penalty_encoder(w, 1e6), torch.full((1, 3), 1 / 3).double(), atol=1e-5
    )
    assert confidence_penalty_encoder(w, 0.2)[0, 2] > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rate", [0.0, 1e-6, 0.1, 0.3, 0.42])
def test_rate_is_met(family, rate):
    targets = family(TOY, rate)
    assert targets.shape == (4, 2)
    assert torch.allclose(targets.sum(1), torch.ones(4, dtype=torch.float64))
    assert math.isclose(information_plane(targets).i_xt, rate, abs_tol=1e-11)


@given(st.integers(0, 10_000), st.floats(0.01, 0.9))
def test_rate_is_met_for_any_law(seed, share):
    rng = np.random.default_rng(seed)
    w, p_x = rng.dirichlet(np.full(3, 0.4), 6), rng.dirichlet(np.ones(6))
    most = information_plane(w, p_x=p_x).i_xt
    for family in FAMILIES:
        targets = family(w, share * most, p_x=p_x)
        assert math.isclose(information_plane(targets, p_x=p_x).i_xt, share * most, abs_tol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_rate_out_of_reach(family):
    with pytest.raises(ValueError, match="rate must lie in"):
        family(TOY, 0.7)
    with pytest.raises(ValueError, match="zero or more"):
        family(TOY, -0.1)


def test_smallest_strict_example(oracle):
    known = oracle("K23")["expected"]
    rate = oracle("K23")["inputs"]["rate"]
    plain = label_smoothing_at_rate(TOY, rate)
    assert math.isclose(2 * plain[0, 1], known["alpha_LS"], abs_tol=1e-7)
    geometric = geometric_smoothing(TOY, rate)
    assert math.isclose((geometric[0, 0] / geometric[0, 1]).log(), known["k"], abs_tol=1e-7)
    for targets, name in ((plain, "I_TY_LS"), (geometric, "I_TY_geometric")):
        found = information_plane(targets, p_y_given_x=TOY).i_ty
        assert math.isclose(found, known[name], abs_tol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_agreed_labels_stay_on_the_diagonal(family):
    for rate in (0.01, 0.5, 1.0):
        plane = information_plane(family(np.eye(3), rate), p_y_given_x=np.eye(3))
        assert math.isclose(plane.i_xt, rate, abs_tol=1e-9)
        assert math.isclose(plane.i_ty, rate, abs_tol=1e-9)


def test_unused_class_gets_no_mass_from_agreement():
    targets = agreement_smoothing([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], 0.1)
    assert torch.equal(targets[:, 2], torch.zeros(2, dtype=torch.float64))


def test_bad_shapes():
    with pytest.raises(ValueError, match="2 rows"):
        pool_labels(TOY, np.eye(3))
    with pytest.raises(ValueError, match="how"):
        pool_labels(TOY, np.eye(2), "harmonic")


@pytest.mark.parametrize("how", ["arithmetic", "geometric"])
def test_rows_that_miss_one_by_rounding(how):
    w, m = torch.tensor(TOY, dtype=torch.float64), torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    exact = pool_labels(w, m.double(), how)
    found = pool_labels(w * (1 + 9e-5), m.double() * (1 - 9e-5), how)
    assert torch.allclose(found, exact, rtol=0, atol=1e-14)
    near = confidence_penalty_encoder(w * (1 + 9e-5), 0.3)
    assert torch.allclose(near, confidence_penalty_encoder(w, 0.3), rtol=0, atol=1e-12)


def test_the_confidence_penalty_takes_what_has_a_gradient():
    w = torch.tensor(TOY, requires_grad=True)
    found = confidence_penalty_encoder(w, 0.3)
    assert not found.requires_grad
    assert torch.equal(found, confidence_penalty_encoder(w.detach(), 0.3))
