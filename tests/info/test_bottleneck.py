"""The bottleneck solver against closed forms, brute force, plain iterations and bad input."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ibtutor.info import _fixed_point, critical_beta, solve_bottleneck
from ibtutor.info._rows import merge_rows, mixture_information, plane_point, summarize
from ibtutor.info._starts import starts

FOUR_POINTS = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.2], [0.2, 0.8]]
BETAS = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]

laws = hnp.arrays(
    float, st.tuples(st.integers(2, 6), st.integers(2, 4)), elements=st.floats(0.01, 1.0)
).map(lambda a: a / a.sum(1, keepdims=True))


def plain_blahut_arimoto(w, p, q, beta, steps):
    """The textbook iteration, in numpy and without any shortcut."""
    for _ in range(steps):
        joint = (w * p[:, None]).T @ q
        mass = joint.sum(0)
        given_t = joint / mass
        divergence = (w[:, :, None] * np.log(w[:, :, None] / given_t[None])).sum(1)
        q = mass * np.exp(-divergence / beta)
        q /= q.sum(1, keepdims=True)
    return q


def objective(w, p, q, beta):
    joint = (w * p[:, None]).T @ q
    outer = joint.sum(1, keepdims=True) * joint.sum(0)
    mean = p @ q
    i_ty = np.sum(joint * np.log(joint / outer))
    return i_ty - beta * np.sum(p[:, None] * q * np.log(q / mean))


def test_four_point_toy_has_the_known_encoder():
    # K36: Tishby's beta 1.8 is Kudo's 1 / 1.8
    solution = solve_bottleneck(FOUR_POINTS, 1 / 1.8, tol=1e-13)
    found = solution.p_t_given_x[0]
    first = found[:, int(found[0].argmax())]
    known = torch.tensor([0.9398016818, 0.0601983182, 0.8387307863, 0.1612692137])
    assert torch.allclose(first, known.double(), atol=2e-6)
    assert math.isclose(1 / critical_beta(FOUR_POINTS), 1.4705882353, abs_tol=1e-9)  # K37


def test_nothing_is_kept_beyond_the_critical_beta():
    critical = critical_beta(FOUR_POINTS)
    solution = solve_bottleneck(FOUR_POINTS, [critical - 0.01, critical + 0.01], num_clusters=2)
    assert solution.i_xt[0] > 1e-3
    assert solution.i_xt[1] < 1e-5


def test_deterministic_labels_give_the_labels():
    # K35: on the diagonal the Lagrangian picks an end point for every beta but one
    prior = [0.5, 0.3, 0.2]
    solution = solve_bottleneck(np.eye(3), [0.0, 0.4, 0.99, 1.0, 3.0], p_x=prior)
    entropy = -sum(v * math.log(v) for v in prior)
    assert np.allclose(solution.i_ty[:3], entropy, atol=1e-7)
    assert np.allclose(solution.objective[1], (1 - 0.4) * entropy, atol=1e-9)
    assert torch.equal(solution.i_xt[3:], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(4))
def test_never_below_plain_iterations_from_random_starts(seed):
    rng = np.random.default_rng(seed)
    w = rng.dirichlet(np.full(3, 0.5), 6).clip(1e-6)
    w /= w.sum(1, keepdims=True)
    p = rng.dirichlet(np.ones(6))
    solution = solve_bottleneck(w, BETAS, p_x=p)
    for i in (1, 2, 3, 4):
        for _ in range(5):
            q = plain_blahut_arimoto(w, p, rng.dirichlet(np.ones(3), 6), BETAS[i], 300)
            q = q.clip(1e-300)
            assert solution.objective[i] >= objective(w, p, q, BETAS[i]) - 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_beta_zero_is_the_best_partition(seed):
    rng = np.random.default_rng(seed)
    w = rng.dirichlet(np.full(4, 0.3), 6)
    best = 0.0
    for labels in itertools.product(range(2), repeat=6):
        q = torch.nn.functional.one_hot(torch.tensor(labels), 2).double()
        best = max(best, plane_point(merge_rows(w), q)[1].item())
    found = solve_bottleneck(w, 0.0, num_clusters=2)
    assert math.isclose(found.i_ty.item(), best, abs_tol=1e-9)
    assert set(found.encoder(0).unique().tolist()) <= {0.0, 1.0}


@settings(max_examples=15, deadline=None)
@given(laws)
def test_bounds_and_convexity(w):
    solution = solve_bottleneck(w, BETAS, restarts=4)
    information = merge_rows(w).label_information
    assert (solution.i_ty <= solution.i_xt + 1e-9).all()
    assert (solution.i_ty <= information + 1e-9).all()
    # A maximum of lines in beta: decreasing, and no encoder of another beta is better.
    table = solution.i_ty[None] - solution.betas[:, None] * solution.i_xt[None]
    assert (table.amax(1) <= solution.objective + 1e-6).all()
    assert (solution.objective.diff() <= 1e-6).all()
    # Better than T = a label of the same input, which is one of the encoders.
    labels = plane_point(merge_rows(w), merge_rows(w).w)
    assert (solution.objective >= labels[1] - solution.betas * labels[0] - 1e-7).all()


@settings(max_examples=10, deadline=None)
@given(laws, st.integers(0, 10_000))
def test_points_belong_to_the_encoders(w, seed):
    order = np.random.default_rng(seed).permutation(len(w))
    p = np.random.default_rng(seed).dirichlet(np.ones(len(w)))
    solution = solve_bottleneck(w[order], [0.2, 0.6], p_x=p[order], restarts=2)
    encoders = solution.p_t_given_x
    assert encoders.shape == (2, *w.shape)
    assert torch.allclose(encoders.sum(2), torch.ones(2, len(w), dtype=torch.float64))
    for i in range(2):
        joint = (torch.tensor(w[order] * p[order][:, None])).T @ encoders[i]
        outer = joint.sum(1, keepdim=True) * joint.sum(0)
        assert math.isclose(
            torch.xlogy(joint, joint / outer.clamp_min(1e-300)).sum(),
            solution.i_ty[i],
            abs_tol=1e-9,
        )
        i_xt = mixture_information(encoders[i], torch.tensor(p[order]))
        assert math.isclose(i_xt, solution.i_xt[i], abs_tol=1e-9)


def test_equal_rows_count_once_with_their_weight():
    w = np.array([[0.7, 0.3], [0.2, 0.8], [0.7, 0.3], [0.5, 0.5]])
    rows = merge_rows(w, [0.1, 0.2, 0.3, 0.4])
    assert len(rows.w) == 3
    assert torch.equal(rows.w[rows.index], torch.tensor(w))
    assert sorted(round(v, 12) for v in rows.p.tolist()) == [0.2, 0.4, 0.4]
    whole = solve_bottleneck(w, 0.3, p_x=[0.1, 0.2, 0.3, 0.4])
    merged = solve_bottleneck(w[[0, 1, 3]], 0.3, p_x=[0.4, 0.2, 0.4])
    assert math.isclose(whole.objective, merged.objective, abs_tol=1e-7)


def test_summary_keeps_the_prior_and_loses_little():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(50, [0.85, 0.1, 0.05], size=400)
    w = np.concatenate([np.roll(counts, k, axis=1) for k in range(3)]) / 50
    rows = merge_rows(w)
    small = summarize(rows)
    assert 2 * len(small.w) <= len(rows.w)
    assert torch.allclose(small.prior, rows.prior)
    assert 0.9 * rows.label_information <= small.label_information <= rows.label_information


@pytest.mark.parametrize("clusters", [1, 2, 5, 12])
def test_any_number_of_symbols(clusters):
    w = np.random.default_rng(1).dirichlet(np.ones(3), 5)
    solution = solve_bottleneck(w, BETAS, num_clusters=clusters)
    assert solution.p_t_given_x.shape == (len(BETAS), 5, clusters)
    assert (solution.i_xt <= math.log(clusters) + 1e-12).all()
    if clusters >= 5:  # as many symbols as inputs: nothing need be lost
        assert math.isclose(solution.i_ty[0], merge_rows(w).label_information, abs_tol=1e-9)


def test_deterministic_bottleneck():
    w = np.random.default_rng(2).dirichlet(np.full(3, 0.3), 6)
    soft, hard = (solve_bottleneck(w, [0.05, 0.4, 0.8], kind=k) for k in ("ib", "dib"))
    assert hard.hard.all()
    assert set(hard.p_t_given_x.unique().tolist()) <= {0.0, 1.0}
    # I(X;T) <= H(T): the deterministic optimum is an encoder of the soft problem too.
    assert (hard.objective <= soft.objective + 1e-9).all()
    best = torch.full((3,), -math.inf, dtype=torch.float64)
    for labels in itertools.product(range(3), repeat=6):
        q = torch.nn.functional.one_hot(torch.tensor(labels), 3).double()
        i_xt, i_ty = plane_point(merge_rows(w), q)
        best = torch.maximum(best, i_ty - hard.betas * i_xt)
    assert np.allclose(hard.objective, best, atol=1e-9)


def test_degenerate_laws():
    one_class = solve_bottleneck([[1.0], [1.0]], [0.0, 0.5])
    assert torch.equal(one_class.objective, torch.zeros(2, dtype=torch.float64))
    one_row = solve_bottleneck([[0.3, 0.7]], [0.0, 0.5, 1.0])
    assert one_row.i_ty.abs().max() < 1e-12
    never_seen = solve_bottleneck(FOUR_POINTS, 0.3, p_x=[0.5, 0.5, 0.0, 0.0])
    assert math.isclose(never_seen.i_ty, math.log(2), abs_tol=1e-8)
    assert torch.isfinite(never_seen.p_t_given_x).all()
    unused_class = solve_bottleneck([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.4])
    assert np.allclose(unused_class.i_ty, math.log(2))


def test_types_of_input():
    w = np.array(FOUR_POINTS, dtype=np.float32)
    a = solve_bottleneck(torch.tensor(w), torch.tensor([0.3]))
    b = solve_bottleneck(FOUR_POINTS, (0.3,))
    assert a.objective.dtype == torch.float64
    assert math.isclose(a.objective, b.objective, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(p_y_given_x=[[math.nan, 1.0]], betas=[0.5]), "finite"),
        (dict(p_y_given_x=[[0.5, 0.4]], betas=[0.5]), "sum to 1"),
        (dict(p_y_given_x=[[0.0, 0.0], [1.0, 0.0]], betas=[0.5]), "sum to 1.*row 0"),
        (dict(p_y_given_x=np.zeros((0, 3)), betas=[0.5]), "empty"),
        (dict(p_y_given_x=[0.5, 0.5], betas=[0.5]), "2 dimension"),
        (dict(p_y_given_x=FOUR_POINTS, betas=[]), "empty"),
        (dict(p_y_given_x=FOUR_POINTS, betas=[-0.1]), "zero or more"),
        (dict(p_y_given_x=FOUR_POINTS, betas=[math.nan]), "finite"),
        (dict(p_y_given_x=FOUR_POINTS, betas=0.5, num_clusters=0), "at least 1"),
        (dict(p_y_given_x=FOUR_POINTS, betas=0.5, p_x=[1.0]), "4 entries"),
        (dict(p_y_given_x=FOUR_POINTS, betas=0.5, kind="vib"), "kind"),
        (dict(p_y_given_x=FOUR_POINTS, betas=0.5, restarts=-1), "at least 0"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve_bottleneck(**arguments)


def sparse_law(seed):
    """A table with nearly certain rows, weights that differ by orders, a number of symbols."""
    rng = np.random.default_rng(seed)
    n, k = rng.integers(3, 8), rng.integers(2, 5)
    w, p = rng.dirichlet(np.full(k, 0.15), n), rng.dirichlet(np.full(n, 0.3))
    return w, p, int(rng.integers(2, k + 1))


def check_against_deterministic(w, p, symbols, betas):
    found, hard = (
        solve_bottleneck(w, betas, p_x=p, num_clusters=symbols, kind=kind) for kind in ("ib", "dib")
    )
    assert (found.objective - hard.objective).min() >= -1e-9


def test_never_below_the_deterministic_bottleneck():
    w = [
        [1.0, 0.0, 0.0],
        [0.0413, 0.0, 0.9587],
        [0.0095, 0.1289, 0.8616],
        [0.17, 0.0036, 0.8264],
        [0.0, 1.0, 0.0],
        [0.9986, 0.0001, 0.0013],
    ]
    p = [0.0012, 0.0041, 0.5738, 0.4205, 0.0004, 0.0]
    check_against_deterministic(w, p, 2, [0.2])
    for seed in (1, 43, 196, 280, *range(10)):
        check_against_deterministic(*sparse_law(seed), [1e-6, 0.02, 0.05, 0.1, 0.5])


def test_no_gain_is_made_of_rounding():
    w, p, symbols = sparse_law(354)  # mixing once drove its scores to 4e18
    p = np.round(p, 4) + 1e-12
    rows = merge_rows(np.round(w, 4) / np.round(w, 4).sum(1, keepdims=True), p / p.sum())
    joint = starts(rows, symbols, 16, 0)
    beta = torch.full((len(joint),), 0.001, dtype=torch.float64)
    scores, points = _fixed_point.iterate(
        joint, beta, rows.w, rows.p, hard=False, tol=1e-13, limit=40
    )
    i_xt, i_ty = plane_point(rows, torch.softmax(scores @ rows.w.T, 1).transpose(1, 2))
    assert (points.objective(beta) - (i_ty - beta * i_xt)).abs().max() < 1e-11
