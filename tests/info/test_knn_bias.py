"""What nearest-neighbor estimates say of samples that they are bad at, and what whitening mends."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import (
    BiasWarning,
    gaussian_entropy_bound,
    knn_entropy,
    knn_entropy_bias,
    knn_mutual_information,
)

HALF_LOG = 0.5 * math.log(2 * math.pi * math.e)
STRETCHED = [(1, 1, 1, 1 / 30), (1, 1, 1, 1 / 100), (1, 1, 1, 1000)]


def normal(n, d, seed):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)))


def warned(call, *args, **kwargs):
    """The value and the messages."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        value = call(*args, **kwargs).item()
    assert all(w.category is BiasWarning and w.filename == __file__ for w in seen)
    return value, [str(w.message) for w in seen]


# --- stretched samples ----------------------------------------------------------------------------


@pytest.mark.parametrize("deviations", STRETCHED)
def test_a_stretched_sample_is_told(deviations):
    z = normal(4000, 4, 0) * torch.tensor(deviations, dtype=torch.float64)
    value, (message,) = warned(knn_entropy, z)
    truth = 4 * HALF_LOG + sum(map(math.log, deviations))
    assert value > truth + 0.5
    said = float(message.split("at least ")[1].split()[0])
    assert 0 < value - truth - said < 0.15  # less what chance may do
    assert "whiten=True" in message


@pytest.mark.parametrize("deviations", [(1, 1, 1, 1), *STRETCHED])
def test_whitening_leaves_the_bias_of_a_round_gaussian(deviations):
    z = normal(4000, 4, 0) * torch.tensor(deviations, dtype=torch.float64)
    z = z @ torch.linalg.qr(normal(4, 4, 1))[0]  # correlated too
    value, messages = warned(knn_entropy, z, whiten=True)
    truth = 4 * HALF_LOG + sum(map(math.log, deviations))
    # The standard error is sqrt(d / 2 / N) = 0.022 for the law, 0.012 for the neighbors.
    assert value == pytest.approx(truth + knn_entropy_bias(4000, 4), abs=0.1)
    assert not messages


@given(
    st.integers(12, 60), st.integers(1, 10), st.integers(1, 5), st.integers(0, 10**6),
    st.floats(-3, 3), st.floats(-100, 100),
)  # fmt: skip
def test_whitened_entropy_moves_with_the_determinant_only(n, d, k, seed, log_scale, offset):
    z = normal(n, d, seed)
    first, second = (torch.linalg.qr(normal(d, d, seed + i))[0] for i in (1, 2))
    scales = torch.linspace(-1, 1, d, dtype=torch.float64) * log_scale
    plain, _ = warned(knn_entropy, z, k, whiten=True)
    moved, _ = warned(knn_entropy, z @ first * scales.exp() @ second + offset, k, whiten=True)
    assert moved == pytest.approx(plain + scales.sum().item(), abs=1e-7)


def test_round_samples_of_any_size_are_not_said_to_be_stretched():
    for n, d, k in [(10, 1, 3), (20, 1, 1), (60, 25, 3), (100, 2, 1), (300, 30, 3), (500, 4, 10)]:
        for seed in range(20):
            _, messages = warned(knn_entropy, normal(n, d, seed), k)
            assert not any("stretched" in m for m in messages)


def test_no_entropy_has_a_sample_in_a_plane():
    z = normal(200, 2, 0)
    flat = torch.cat([z, z.sum(1, keepdim=True)], 1)
    _, (message,) = warned(knn_entropy, flat)
    assert "depends linearly on others, so the entropy is minus infinity" in message
    with pytest.raises(ValueError, match="200 rows of 3 dimensions span 2"):
        knn_entropy(flat, whiten=True)
    advice = "cannot be whitened: drop dependent coordinates, or use whiten=False"
    with pytest.raises(ValueError, match=f"4 rows of 4 dimensions span 3.*{advice}$"):
        knn_entropy(normal(4, 4, 0), whiten=True)


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_unit", [-1000, -560, 520, 1000])
@pytest.mark.parametrize("d", [1, 3, 12])
def test_no_unit_is_too_small_or_too_large(log_unit, d):
    # Squares of such numbers are zero or infinite.
    z, unit = normal(300, d, 0), 2.0**log_unit
    for norm in ("euclidean", "max"):
        plain, _ = warned(knn_entropy, z, norm=norm)
        value, _ = warned(knn_entropy, unit * z, norm=norm)
        assert value == pytest.approx(plain + d * math.log(unit), rel=1e-12)
        plain, _ = warned(knn_entropy, z, norm=norm, whiten=True)
        value, _ = warned(knn_entropy, unit * z, norm=norm, whiten=True)
        assert value == pytest.approx(plain + d * math.log(unit), rel=1e-12)
        for y in (torch.arange(300) % 3, normal(300, 1, 1)):
            moved = unit * y if y.is_floating_point() else y
            plain, _ = warned(knn_mutual_information, z, y, norm=norm)
            assert warned(knn_mutual_information, unit * z, moved, norm=norm)[0] == plain


def test_an_unit_of_y_that_is_not_that_of_x_is_told():
    z = normal(2000, 2, 0)
    x, y = z[:, 0], 0.9 * z[:, 0] + 0.19**0.5 * z[:, 1]
    assert warned(knn_mutual_information, x, y)[1] == []
    assert warned(knn_mutual_information, x, 10 * y)[1] == []
    value, (message,) = warned(knn_mutual_information, x, 1000 * y)
    assert value < 0.4  # 0.83 is exact
    assert float(message.split("y is ")[1].split(" times as wide as x")[0]) == pytest.approx(
        1000 * (y - y.median()).abs().mean().item() / (x - x.median()).abs().mean().item(), rel=0.01
    )
    assert "comparable units" in message
    _, (message,) = warned(knn_mutual_information, x, y / 1000)
    assert "times as wide as y, so neighbors are chosen by x alone" in message


def test_a_constant_has_no_unit_and_no_information():
    assert warned(knn_mutual_information, normal(50, 1, 0), torch.zeros(50)) == (
        pytest.approx(0, abs=1e-12),
        [],
    )


# --- labels and repeats ---------------------------------------------------------------------------


def test_floating_labels_are_told():
    x, y = normal(500, 2, 0), torch.arange(500) % 5
    _, (message,) = warned(knn_mutual_information, x, y.double())
    assert "y is floating and holds 5 whole numbers only. Are they labels?" in message
    assert warned(knn_mutual_information, x, y)[1] == []
    assert warned(knn_mutual_information, x, y + 0.5 * normal(500, 1, 1)[:, 0])[1] == []
    rounded = torch.arange(500.0) // 5 / 100  # five of each, but no names of classes
    assert warned(knn_mutual_information, x, rounded)[1] == []


def test_pairs_of_equal_rows_are_told():
    x, y = normal(10, 1, 0).sort(0).values.repeat_interleave(2, 0), [0] * 10 + [1] * 10
    value, (message,) = warned(knn_mutual_information, x, y)
    assert value > math.log(2)
    assert "x: 20 of 20 rows occur more than once" in message
    assert any("z: 20 of 20 rows" in m for m in warned(knn_entropy, x)[1])
    _, messages = warned(knn_mutual_information, x, normal(10, 1, 1).repeat_interleave(2, 0))
    assert any("(x, y): 20 of 20 rows" in m for m in messages)
    assert warned(knn_mutual_information, x, y, repeats="count")[1] == []


@pytest.mark.parametrize("d", [3, 12])
def test_repeats_are_rows_and_not_numbers(d):
    z = normal(1000, d, 0)
    z[:, 0] = z[:, 0].round()  # all other columns differ
    assert not any("rows occur" in m for m in warned(knn_entropy, z)[1])
    z[:4] = z[4:8]  # eight rows of a thousand: as float32 has by chance
    assert not any("rows occur" in m for m in warned(knn_entropy, z)[1])
    z[:6] = z[6:12]
    assert any("z: 12 of 1000 rows occur" in m for m in warned(knn_entropy, z)[1])


def test_the_gaussian_bound_is_what_an_estimate_is_compared_with():
    z = normal(4000, 4, 0) * torch.tensor([1, 1, 1, 0.01], dtype=torch.float64)
    value, (message,) = warned(knn_entropy, z)
    said = float(message.split("at least ")[1].split()[0])
    excess = value - gaussian_entropy_bound(z).item()
    assert said == pytest.approx(excess, abs=0.1)
