"""Diagram, gap, Brier score and the error as coded: by hand, by plain loops, on known outputs."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibtutor import info
from ibtutor.info import (
    batched_calibration_error,
    brier_score,
    calibration_gap,
    expected_calibration_error,
    reliability_diagram,
)

ALL = [batched_calibration_error, brier_score, calibration_gap, reliability_diagram]


def outputs(seed, rows=200, classes=5, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    probs = (scale * torch.randn(rows, classes, generator=generator)).softmax(1)
    return probs, torch.randint(0, classes, (rows,), generator=generator)


def calibrated(seed, rows, classes=10):
    """Outputs and labels drawn from them: the confidence is the chance of being right."""
    probs, _ = outputs(seed, rows, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    return probs, torch.multinomial(probs, 1, generator=generator).squeeze(1)


def as_coded(probs, labels, bins, batch_size):
    """Batch by batch and bin by bin, bins open on the left, every pair of equal weight."""
    ends, gaps = torch.linspace(0, 1, bins + 1), []
    for p, y in zip(probs.split(batch_size), labels.split(batch_size), strict=True):
        confidence, chosen = p.max(1)
        for low, high in pairwise(ends):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                right = (chosen == y)[inside].double().mean()
                gaps.append((right - confidence[inside].double().mean()).abs().item())
    return sum(gaps) / len(gaps)


@given(st.integers(0, 2**16), st.integers(1, 20), st.integers(2, 12))
def test_diagram_against_a_plain_loop(seed, bins, classes):
    probs, labels = outputs(seed, classes=classes)
    found = reliability_diagram(probs, labels, bins)
    confidence, chosen = probs.double().max(1)
    index = (confidence * bins).long().clamp(max=bins - 1)
    for b in range(bins):
        inside = index == b
        assert found.counts[b] == inside.sum()
        if inside.any():
            assert found.confidence[b] == pytest.approx(confidence[inside].mean().item(), abs=1e-12)
            right = (chosen == labels)[inside].double().mean().item()
            assert found.accuracy[b] == pytest.approx(right, abs=1e-12)
            assert found.edges[b] - 1e-12 <= found.confidence[b] <= found.edges[b + 1] + 1e-12
        else:
            assert found.confidence[b].isnan()
            assert found.accuracy[b].isnan()
    assert found.error == pytest.approx(expected_calibration_error(probs, labels, bins), abs=1e-12)
    assert found.gap == pytest.approx(calibration_gap(probs, labels), abs=1e-12)
    assert abs(found.gap) <= found.error + 1e-12


def test_the_gap_has_a_sign():
    eye = torch.eye(4, dtype=torch.float64)
    labels = torch.arange(4)
    assert calibration_gap(eye, (labels + 1) % 4) == 1.0
    smoothed = info.mix_outputs(eye, 0.4)  # right with confidence 0.7
    assert calibration_gap(smoothed, labels) == pytest.approx(-0.3, abs=1e-12)


def test_gaps_of_opposite_sign_cancel_in_the_gap_alone():
    probs = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.625, 0.375], [0.375, 0.625]])
    labels = [0, 1, 1, 1]  # .75 twice right, .625 once of two: gaps -.25 and +.125
    assert calibration_gap(probs, labels) == pytest.approx(-0.0625, abs=1e-12)
    assert expected_calibration_error(probs, labels, 8) == pytest.approx(0.1875, abs=1e-12)


@given(st.integers(0, 2**16), st.integers(2, 12))
def test_brier_score_is_the_squared_distance(seed, classes):
    probs, labels = outputs(seed, classes=classes)
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    expected = (probs.double() - one_hot).square().sum(1).mean().item()
    got = brier_score(probs, labels)
    assert got == pytest.approx(expected, abs=1e-6)  # rows of float32 sum to one only nearly
    assert brier_score(probs.double(), labels) == pytest.approx(expected, abs=1e-12)
    assert 0 <= got <= 2


def test_brier_score_of_known_outputs():
    labels = torch.arange(10)
    uniform = torch.full((10, 10), 0.1, dtype=torch.float64)
    assert brier_score(uniform, labels) == pytest.approx(0.9, abs=1e-12)  # 1 - 1 / K
    assert brier_score(torch.eye(10), labels) == 0.0
    # Smoothing of strength a: (a - a/K)^2 + (K - 1)(a/K)^2 = a^2 (1 - 1/K).
    smoothed = info.mix_outputs(torch.eye(10, dtype=torch.float64), 0.3)
    assert brier_score(smoothed, labels) == pytest.approx(0.09 * 0.9, abs=1e-12)


def test_brier_score_is_proper():
    truth, labels = calibrated(0, 200_000, 3)
    mine = brier_score(truth, labels)
    for alpha in (0.1, 0.3):
        assert brier_score(info.mix_outputs(truth, alpha), labels) > mine + 1e-3
    sharper = truth.square() / truth.square().sum(1, keepdim=True)
    assert brier_score(sharper, labels) > mine + 1e-3


@given(st.integers(0, 2**16), st.integers(1, 12), st.integers(1, 90))
def test_the_error_as_coded_against_its_loops(seed, bins, batch_size):
    probs, labels = outputs(seed)
    got = batched_calibration_error(probs, labels, bins, batch_size)
    assert got == pytest.approx(as_coded(probs, labels, bins, batch_size), abs=1e-6)


def test_the_error_as_coded_is_open_on_the_left():
    # One half ends the first of two bins as coded, and opens the second one here.
    probs, labels = [[0.5, 0.5], [0.75, 0.25]], [0, 1]
    assert batched_calibration_error(probs, labels, 2) == pytest.approx((0.5 + 0.75) / 2)
    assert expected_calibration_error(probs, labels, 2) == 0.125


def test_ends_of_bins_are_those_of_float32():
    # 0.3 and 0.7 read from float32 lie above 0.3 and below 0.7: both end a bin all the same.
    probs = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    labels = torch.tensor([0, 0, 1])
    assert batched_calibration_error(probs, labels) == pytest.approx(
        as_coded(probs, labels, 10, 100), abs=1e-7
    )


def test_the_error_as_coded_sees_miscalibration_where_there_is_none():
    probs, labels = calibrated(0, 10_000)
    assert expected_calibration_error(probs, labels, 10) < 0.02
    assert batched_calibration_error(probs, labels) > 0.08
    # In one batch nothing but the weights of the bins is left.
    assert batched_calibration_error(probs, labels, 10, 10_000) < 0.04


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("probs", "labels", "error", "words"),
    [
        ([0.5, 0.5], [0], ValueError, r"probs must have .*, got .*\(2,\)"),
        ([[0.5, 0.6]], [0], ValueError, r"probs must sum to 1 .*got 1.1"),
        ([[-0.1, 1.1]], [0], ValueError, "negative, got an entry -0.1"),
        ([[math.nan, 1.0]], [0], ValueError, "probs must be finite, got nan"),
        ([[0.5, 0.5]], [2], ValueError, "labels must lie in 0 .. 1, got 2"),
        ([[0.5, 0.5]], [0, 1], ValueError, "labels must have shape"),
        ([[0.5, 0.5]], [0.0], TypeError, "labels must be integers"),
    ],
)
def test_bad_input(function, probs, labels, error, words):
    with pytest.raises(error, match=words):
        function(probs, labels)


def test_bad_bins_and_batches():
    for function in (reliability_diagram, batched_calibration_error):
        with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
            function([[0.5, 0.5]], [0], 0)
        with pytest.raises(TypeError, match=r"bins must be an integer, got 1\.5"):
            function([[0.5, 0.5]], [0], 1.5)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batched_calibration_error([[0.5, 0.5]], [0], 10, 0)
