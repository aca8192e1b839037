import numpy as np
import pytest
import torch

from ibtutor.probes import KINDS, probe, probe_all


@pytest.fixture(scope="module")
def blobs():
    """Two classes along a direction of tiny variance, hidden under a loud one."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=800)
    loud = rng.normal(size=(800, 1)) * 100
    quiet = (2 * y - 1)[:, None] * 0.01 + rng.normal(size=(800, 1)) * 0.001
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    return np.hstack([loud, quiet]) @ turn, y


def test_all_probes_read_a_plain_factor():
    rng = np.random.default_rng(1)
    y = rng.integers(3, size=600)
    x = np.eye(3)[y] + 0.1 * rng.normal(size=(600, 3))
    scores = probe_all(x[:400], y[:400], x[400:], y[400:])
    assert tuple(scores) == KINDS
    for score in scores.values():
        assert score.test > 0.98
        assert score.chance < 0.45


def test_no_probe_reads_what_is_not_there():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(1000, 4)), rng.integers(2, size=1000)
    for score in probe_all(x[:500], y[:500], x[500:], y[500:]).values():
        assert abs(score.test - 0.5) < 0.5 / 500**0.5 * 4


def test_whitening_reveals_a_quiet_direction(blobs):
    """Standardizing each coordinate does not undo a rotation; whitening does."""
    x, y = blobs
    scores = probe_all(x[:400], y[:400], x[400:], y[400:], kinds=("linear", "whitened"))
    assert scores["whitened"].test > 0.98
    assert scores["linear"].test < 0.65


def test_only_the_mlp_reads_a_factor_that_no_line_separates():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    scores = probe_all(x[:2000], y[:2000], x[2000:], y[2000:])
    assert scores["mlp"].test > 0.9
    assert scores["linear"].test < 0.6


def test_whitened_drops_directions_without_variance():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6))
    y = (x[:, 0] > 0).astype(int)
    score = probe("whitened", x[:100], y[:100], x[100:], y[100:])
    assert score.dimensions == 2
    assert score.test > 0.9


@pytest.mark.parametrize("mean", [0.0, 8.0, 800.0])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, torch.bfloat16])
def test_whitening_reads_no_rounding(kind, mean):
    """The features have 3 directions; half precision adds its rounding in every other one."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 3))
    y = (z @ rng.normal(size=(3, 4))).argmax(1)
    x = z @ rng.normal(size=(3, 256)) + mean
    x = torch.tensor(x).to(kind) if isinstance(kind, torch.dtype) else x.astype(kind)
    score = probe("whitened", x[:300], y[:300], x[300:], y[300:])
    # bfloat16 has steps of 4 at 800: there is nothing left to read.
    assert score.dimensions <= 3
    if mean < 100 or kind in (np.float64, np.float32):
        assert score.dimensions == 3
        assert score.test > 0.9


def test_a_scaled_representation_is_probed_the_same(blobs):
    """Temperature after training scales features at most: no probe here can see it."""
    x, y = blobs
    for kind in KINDS:
        a = probe(kind, x[:400], y[:400], x[400:], y[400:])
        b = probe(kind, 7 * x[:400], y[:400], 7 * x[400:], y[400:])
        assert abs(a.test - b.test) <= 0.01


def test_same_seed_same_score(blobs):
    x, y = blobs
    a, b = (probe("mlp", x[:400], y[:400], x[400:], y[400:], seed=1) for _ in range(2))
    assert a == b


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"at least two classes .* got only \[3\]"):
        probe("linear", np.zeros((5, 2)), np.full(5, 3), np.zeros((5, 2)), np.full(5, 3))


def test_wrong_input_is_refused():
    x, y = np.random.default_rng(0).normal(size=(6, 2)), np.array([0, 1] * 3)
    with pytest.raises(ValueError, match="kind must be one of"):
        probe("forest", x, y, x, y)
    with pytest.raises(ValueError, match=r"train features must have shape \(N, D\)"):
        probe("linear", x, y[:3], x, y)
    with pytest.raises(ValueError, match="same width, got 2 and 1"):
        probe("linear", x, y, x[:, :1], y)
    with pytest.raises(ValueError, match="1 values that are not finite"):
        probe("linear", np.where(x == x[0, 0], np.nan, x), y, x, y)
