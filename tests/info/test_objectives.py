"""IB, DIB and CEB as one family: Kirsch's identities and the oracles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import bottleneck_objective, entropy, mutual_information, solve_bottleneck


def toy(oracle):
    inputs = oracle("R02")["inputs"]
    return inputs["px"], inputs["p_y_given_x"], inputs["enc_t_given_x"]


def parts(p_x, p_y_given_x, p_t_given_x):
    """Entropies of the full joint law, by definition."""
    p, w, q = (torch.tensor(v, dtype=torch.float64) for v in (p_x, p_y_given_x, p_t_given_x))
    full = p[:, None, None] * w[:, :, None] * q[:, None, :]  # x, y, t
    h = {
        "y": entropy(full.sum((0, 2))),
        "t": entropy(full.sum((0, 1))),
        "ty": entropy(full.sum(0).flatten()),
    }
    given_y = [mutual_information(full[:, y] / full[:, y].sum()) for y in range(w.shape[1])]
    i_xt_y = sum(m * i for m, i in zip(full.sum((0, 2)), given_y, strict=True))
    return h, i_xt_y


def test_known_values(oracle):
    known = oracle("R02")
    beta = known["inputs"]["beta"]  # on I(T;Y)
    for kind, name in (("ib", "IB"), ("dib", "DIB")):
        found = -beta * bottleneck_objective(*toy(oracle), beta=1 / beta, kind=kind)
        assert math.isclose(found, known["expected"][name], abs_tol=known["tolerance"])


@given(st.integers(0, 10_000), st.floats(1.01, 20.0))
def test_observation_1(seed, b):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 4)
    h, i_xt_y = parts(*law)
    dropped = -(b - 1) * h["y"]
    h_y_t, h_t_y = h["ty"] - h["t"], h["ty"] - h["y"]
    ib, dib = (-b * bottleneck_objective(*law, beta=1 / b, kind=k) for k in ("ib", "dib"))
    assert math.isclose(ib, i_xt_y + (b - 1) * h_y_t + dropped, abs_tol=1e-12 * b)
    assert math.isclose(dib, h_t_y + (b - 1) * h_y_t + dropped, abs_tol=1e-12 * b)
    # the same with one strength on the second term, and the positive factor taken out
    assert math.isclose(dib, b * (h_y_t + h["t"] / b) - b * h["y"], abs_tol=1e-12 * b)
    inside = h_y_t + i_xt_y / (b - 1)
    assert math.isclose(ib, (b - 1) * inside + dropped, abs_tol=1e-12 * b)


@given(st.integers(0, 10_000), st.floats(0.0, 5.0))
def test_ceb_is_ib_on_another_scale(seed, beta):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 4)
    ceb = bottleneck_objective(*law, beta=beta, kind="ceb")
    ib = bottleneck_objective(*law, beta=beta / (1 + beta))
    assert math.isclose(ceb, (1 + beta) * ib, abs_tol=1e-12)


def test_entropy_distance_metric(oracle):
    known = oracle("R13")["expected"]
    h, _ = parts(*toy(oracle))
    h_y_t, h_t_y = h["ty"] - h["t"], h["ty"] - h["y"]
    assert math.isclose(h_y_t + h_t_y, known["EDM"], abs_tol=1e-13)
    # the metric is the deterministic objective at beta = 1/2, doubled and shifted by H(Y)
    dib = bottleneck_objective(*toy(oracle), beta=0.5, kind="dib")
    assert math.isclose(h["y"] - 2 * dib, known["EDM"], abs_tol=1e-13)


def test_triangle_inequality(oracle):
    p, w, q = (torch.tensor(v, dtype=torch.float64) for v in toy(oracle))

    def distance(joint):
        both = entropy(joint.flatten())
        return 2 * both - entropy(joint.sum(0)) - entropy(joint.sum(1))

    far = distance(w.T @ (q * p[:, None]))
    slack = distance(w * p[:, None]) + distance(q * p[:, None]) - far
    assert math.isclose(slack, oracle("R13")["expected"]["triangle_slack"], abs_tol=1e-12)


def test_gamma_forms(oracle):
    known = oracle("R14")
    b = known["inputs"]["beta"]
    gamma = 1 - 2 / b
    h, i_xt_y = parts(*toy(oracle))
    h_y_t, h_t_y = h["ty"] - h["t"], h["ty"] - h["y"]
    ib = (1 + gamma) * h_y_t + (1 - gamma) * i_xt_y
    assert math.isclose(ib, known["expected"]["eq23_IB"], abs_tol=1e-12)
    dib = (1 + gamma) * h_y_t + (1 - gamma) * h_t_y
    assert math.isclose(dib, known["expected"]["eq24_DIB"], abs_tol=1e-12)
    scaled = -2 * (bottleneck_objective(*toy(oracle), beta=1 / b, kind="dib") - h["y"])
    assert math.isclose(scaled - 2 / b * h["y"], dib, abs_tol=1e-12)


def test_same_objective_as_the_solver():
    w = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.2], [0.2, 0.8]]
    for kind in ("ib", "dib"):
        solution = solve_bottleneck(w, [0.2, 0.5], kind=kind)
        for i, beta in enumerate((0.2, 0.5)):
            found = bottleneck_objective(None, w, solution.encoder(i), beta, kind=kind)
            assert math.isclose(found, solution.objective[i], abs_tol=1e-12)


def test_gradient_flows_to_the_encoder():
    logits = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    w = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], dtype=torch.float64)

    def value(free):
        return bottleneck_objective(None, w, free.softmax(1), 0.3)

    assert torch.autograd.gradcheck(value, (logits,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(kind="vib"), "kind"),
        (dict(beta=-1.0), "zero or more"),
        (dict(p_x=[0.5, 0.5]), "one row an input"),
        (dict(p_t_given_x=[[0.5, 0.6]] * 3), "sum to 1"),
    ],
)
def test_bad_input(oracle, change, message):
    p_x, p_y_given_x, p_t_given_x = toy(oracle)
    arguments = dict(p_x=p_x, p_y_given_x=p_y_given_x, p_t_given_x=p_t_given_x, beta=0.3)
    with pytest.raises(ValueError, match=message):
        bottleneck_objective(**(arguments | change))


def test_rows_that_miss_one_by_rounding():
    w, q, p = [[0.9, 0.1], [0.3, 0.7]], [[0.8, 0.2], [0.4, 0.6]], [0.25, 0.75]
    for kind in ("ib", "dib", "ceb"):
        exact = bottleneck_objective(p, w, q, 0.3, kind).item()
        rough = (torch.tensor(v, dtype=torch.float64) * (1 + 9e-5) for v in (p, w, q))
        assert bottleneck_objective(*rough, 0.3, kind).item() == pytest.approx(exact, abs=1e-14)
