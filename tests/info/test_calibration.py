"""Expected calibration error: by hand, by a plain loop, at the edges of bins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.info import expected_calibration_error
from tests.sequential import SequentialFloat32


def plain(probs, labels, bins):
    """The definition, one input at a time."""
    gaps, counts = [0.0] * bins, [0] * bins
    for row, label in zip(np.asarray(probs, dtype=np.float64), labels, strict=True):
        b = min(int(row.max() * bins), bins - 1)
        counts[b] += 1
        gaps[b] += float(row.argmax() == label) - row.max()  # numpy: the first of equals
    return sum(c / len(probs) * abs(g / c) for g, c in zip(gaps, counts, strict=True) if c)


def test_by_hand():
    probs = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]]
    # Two bins: all four in [0.5, 1]; mean confidence .7375, accuracy 3/4.
    assert expected_calibration_error(probs, [0, 0, 1, 0], bins=2) == pytest.approx(0.0125)


@given(st.integers(0, 2**16), st.integers(1, 20), st.integers(2, 12))
def test_against_the_definition(seed, bins, classes):
    generator = torch.Generator().manual_seed(seed)
    probs = (2 * torch.randn(200, classes, generator=generator)).softmax(1)
    labels = torch.randint(0, classes, (200,), generator=generator)
    got = expected_calibration_error(probs, labels, bins)
    assert got == pytest.approx(plain(probs.numpy(), labels.tolist(), bins), abs=1e-6)
    assert 0.0 <= got <= 1.0


def test_certainty_falls_in_the_last_bin():
    # In a bin of its own the wrong one would be off by 1; beside 0.95 it is averaged.
    probs = [[1.0, 0.0], [0.95, 0.05]]
    assert expected_calibration_error(probs, [1, 0], bins=10) == pytest.approx(0.475)
    assert expected_calibration_error(probs, [0, 0], bins=10) == pytest.approx(0.025)


def test_bins_are_closed_on_the_left():
    # 1/2 opens the second of two bins; were it in the first, the errors 1/2 and 1/4 would add.
    assert expected_calibration_error([[0.5, 0.5], [0.75, 0.25]], [0, 1], bins=2) == 0.125


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_types(dtype):
    probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [-0.0, 1.0]], dtype=dtype)
    # Confidences .75 (right), .5 (a tie: right, since the label comes first) and 1 (wrong).
    assert expected_calibration_error(probs, [0, 0, 0], bins=4) == pytest.approx(
        (0.5 + abs(0.25 - 1.0)) / 3
    )
    assert expected_calibration_error(probs.T.contiguous().T, [0, 0, 1], bins=4) == 0.25
    # The same tie with the other label is wrong: |0 - .5| and |.25 - 1| as before.
    assert expected_calibration_error(probs, [0, 1, 0], bins=4) == pytest.approx((0.5 + 0.75) / 3)


@given(st.integers(0, 2**16), st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_ties_go_to_the_first_as_in_accuracy(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    few = torch.randint(0, 3, (60, 5), generator=generator) + 1
    probs = (few / few.sum(1, keepdim=True)).to(dtype)
    labels = torch.randint(0, 5, (60,), generator=generator)
    right = (probs.argmax(1) == labels).double()
    # One bin: the error is the distance of accuracy and mean confidence.
    expected = (right.mean() - probs.amax(1).double().mean()).abs().item()
    assert expected_calibration_error(probs, labels, bins=1) == pytest.approx(expected, abs=1e-12)


def test_uniform_outputs_are_calibrated():
    quarters = torch.full((4, 4), 0.25)
    assert expected_calibration_error(quarters, torch.arange(4)) == 0.0


@pytest.mark.parametrize("classes", [100, 20_000])
def test_rows_are_judged_by_their_exact_sum(classes):
    # Equal float32 addends in sequence drift by more than the tolerance at 20,000 classes.
    probs, labels = torch.full((3, classes), 1 / classes), torch.zeros(3, dtype=torch.int64)
    with SequentialFloat32():
        got = expected_calibration_error(probs, labels)
    assert got == pytest.approx(abs(1 - 1 / classes), abs=1e-6)
    with pytest.raises(ValueError, match=r"sum to 1 .*got 1\.00012"), SequentialFloat32():
        expected_calibration_error(probs * 1.00012, labels)


def test_negative_zero_does_not_hide_a_negative_entry():
    with pytest.raises(ValueError, match=r"negative, got an entry -0\.25"):
        expected_calibration_error([[-0.0, 1.0], [1.25, -0.25]], [0, 0])


def test_perfect_and_worst():
    eye = torch.eye(4)
    assert expected_calibration_error(eye, torch.arange(4)) == 0.0
    assert expected_calibration_error(eye, (torch.arange(4) + 1) % 4) == 1.0


def test_every_row_counts_in_large_tables():
    probs = torch.full((70_000, 10), 0.1)
    zeros = torch.zeros(70_000, dtype=torch.int64)
    assert expected_calibration_error(probs, zeros) == pytest.approx(0.9)
    assert expected_calibration_error(probs, torch.arange(70_000) % 10) == pytest.approx(
        0, abs=1e-7
    )
    right = torch.eye(10)[torch.arange(70_000) % 10]
    assert expected_calibration_error(right.numpy(), torch.arange(70_000) % 10) == 0.0
    right[-1] = torch.eye(10)[0]
    got = expected_calibration_error(right, torch.arange(70_000) % 10)
    assert got == pytest.approx(1 / 70_000)
    right[-1, 0] = 1.5
    with pytest.raises(ValueError, match=r"sum to 1 .*got 1.5 in row 69999"):
        expected_calibration_error(right, torch.arange(70_000) % 10)


@pytest.mark.parametrize(
    ("probs", "labels", "bins", "error", "words"),
    [
        ([0.5, 0.5], [0], 15, ValueError, r"shape \(N, K\), got \(2,\)"),
        ([[0.5, 0.6]], [0], 15, ValueError, r"probs must sum to 1 .*got 1.1"),
        ([[-0.1, 1.1]], [0], 15, ValueError, "negative, got an entry -0.1"),
        ([[math.nan, 1.0]], [0], 15, ValueError, "probs must be finite, got nan"),
        ([[math.inf, 0.0]], [0], 15, ValueError, "probs must be finite, got inf"),
        ([[0.5, 0.5]], [2], 15, ValueError, "labels must lie in 0 .. 1, got 2"),
        ([[0.5, 0.5]], [0, 1], 15, ValueError, "labels must have shape"),
        ([[0.5, 0.5]], [0.0], 15, TypeError, "labels must be integers"),
        ([[0.5, 0.5]], [0], 0, ValueError, "bins must be at least 1, got 0"),
        ([[0.5, 0.5]], [0], 1.5, TypeError, "bins must be an integer, got 1.5"),
    ],
)
def test_bad_input(probs, labels, bins, error, words):
    with pytest.raises(error, match=words):
        expected_calibration_error(probs, labels, bins)
