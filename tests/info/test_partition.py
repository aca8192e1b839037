"""The best deterministic encoder, against every partition of up to eight inputs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import information_plane, solve_bottleneck


def every_partition(n, symbols):
    """Labels `(M, n)` of all ways to put n inputs into at most `symbols` parts."""
    labels = [[0]]
    for _ in range(n - 1):
        labels = [
            [*first, part] for first in labels for part in range(min(max(first) + 2, symbols))
        ]
    return np.array(labels)


def entropy(p, axis):
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(axis)


def best_by_force(w, p, symbols, beta):
    part = np.eye(symbols)[every_partition(len(w), symbols)]
    joint = np.einsum("mnt,ny->mty", part, p[:, None] * w)
    h_t = entropy(joint.sum(2), 1)
    return (h_t + entropy(p @ w, 0) - entropy(joint, (1, 2)) - beta * h_t).max()


@pytest.mark.parametrize("classes", [2, 3, 4])
@given(
    st.integers(1, 8),
    st.integers(1, 5),
    st.sampled_from([0.2, 1.0, 5.0]),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.integers(0, 10**6),
)
def test_no_partition_is_better(classes, n, symbols, spread, beta, seed):
    rng = np.random.default_rng(seed)
    w = rng.dirichlet(np.full(classes, spread), size=n)
    p = rng.dirichlet(np.full(n, spread))
    kind = "dib" if beta else "ib"  # at beta = 0 they are one
    found = solve_bottleneck(w, beta, p_x=p, num_clusters=symbols, kind=kind)
    best = best_by_force(w, p, symbols, beta)
    assert found.objective.item() == pytest.approx(max(best, 0.0), abs=1e-10)
    encoder = found.encoder(0)
    assert set(encoder.unique().tolist()) <= {0.0, 1.0}
    plane = information_plane(encoder, p_y_given_x=w, p_x=p)
    assert float(plane.i_ty) == pytest.approx(found.i_ty.item(), abs=1e-9)


def test_many_inputs_of_two_classes_are_cut_where_theory_says():
    # p(y|x) uniform on a fine grid: by symmetry one cut in the middle is best for two symbols.
    share = (torch.arange(800, dtype=torch.float64) + 0.5) / 800
    found = solve_bottleneck(torch.stack([1 - share, share], 1), 0.0, num_clusters=2)
    side = found.encoder(0)[:, 0]
    assert side[:400].unique().numel() == side[400:].unique().numel() == 1
    assert side[0] != side[-1]


@pytest.mark.parametrize("n", [9, 1500])
def test_equal_rows_and_certain_rows_are_no_trouble(n):
    w = torch.eye(2, dtype=torch.float64)[torch.arange(n) % 2]
    found = solve_bottleneck(w, 0.0, num_clusters=3)
    share = torch.tensor([(n + 1) // 2, n // 2], dtype=torch.float64) / n
    assert found.i_ty.item() == pytest.approx(torch.special.entr(share).sum().item(), abs=1e-12)
