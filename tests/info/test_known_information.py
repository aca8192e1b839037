"""The yardsticks themselves: samples whose information is known, known by a second way."""

import math

import numpy as np
import pytest

from ibtutor.info import binary_gaussian_information, binned_information, counted_information
from ibtutor.info.known_information import FAMILIES, known_sample

CASES = [(k, s, seed) for k in (2, 5) for s in (0.7, 2.5) for seed in (0, 1)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("k", "s", "seed"), CASES)
def test_a_large_sample_in_one_dimension_agrees(family, k, s, seed):
    # 500 bins of equal share lose less than 1e-3 here, 200,000 rows are off by about as much.
    known = known_sample(family, n=200_000, d=1, num_classes=k, strength=s, seed=seed)
    if family == "quantized":
        found = counted_information(known.z, known.labels, corrected=True)
    else:
        found = binned_information(known.z, known.labels, 500, how="share", corrected=True)
    assert found.item() == pytest.approx(known.information, abs=6e-3)


@pytest.mark.parametrize("s", [0.5, 2.0, 4.0])
def test_two_gaussians_are_the_binary_gaussian_model(s):
    known = known_sample("gaussian", n=10, d=2, num_classes=2, strength=s, seed=0)
    exact = binary_gaussian_information(s**2 / 4).item()
    assert known.information == pytest.approx(exact, abs=1e-9)


# Neighbors in "manifold" overlap at any strength.
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "manifold"])
@pytest.mark.parametrize("s", [80.0, 1000.0])
def test_two_classes_far_apart_are_told_apart(family, s):
    known = known_sample(family, n=10, d=1, num_classes=2, strength=s, seed=1)
    assert known.information == pytest.approx(math.log(2), abs=1e-9)


@pytest.mark.parametrize("s", [15.0, 100.0, 1e6])
def test_no_class_of_whole_numbers_falls_off_the_table(s):
    known = known_sample("quantized", n=10, d=1, num_classes=10, strength=s, seed=0)
    assert known.information == pytest.approx(math.log(10), abs=1e-9)


def test_intervals_in_closed_form():
    # Two intervals of length 1, shifted by s / (1 + s): that share of each lies outside the other.
    known = known_sample("manifold", n=10, d=4, num_classes=2, strength=3.0, seed=1)
    assert known.information == pytest.approx(0.75 * math.log(2), abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_seeds_and_classes(family):
    known = known_sample(family, n=31, d=5, num_classes=3, strength=1.0, seed=4)
    again = known_sample(family, n=31, d=5, num_classes=3, strength=1.0, seed=4)
    other = known_sample(family, n=31, d=5, num_classes=3, strength=1.0, seed=6)
    assert known.z.shape == (31, 5)
    assert np.array_equal(known.z, again.z)
    assert not np.array_equal(known.z, other.z)
    assert np.bincount(known.labels).tolist() == [11, 10, 10]
    assert 0 < known.information < math.log(3)


def test_where_values_repeat():
    repeats = {}
    for family in FAMILIES:
        z = known_sample(family, n=500, d=2, num_classes=2, strength=1.0, seed=0).z
        repeats[family] = 1 - len(np.unique(z, axis=0)) / len(z)
    assert repeats["quantized"] > 0.8
    assert repeats["relu"] > 0.1
    assert repeats["clipped"] > 0.01
    assert not any(repeats[f] for f in ("gaussian", "mixture", "manifold", "bounded"))


def test_unknown_family():
    with pytest.raises(
        ValueError, match=r"family must be one of gaussian, mixture.*, got 'cauchy'"
    ):
        known_sample("cauchy", n=9, d=1, num_classes=2, strength=1.0, seed=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1, got 0"),
        ({"n": 2.5}, TypeError, "n must be an integer, got 2.5"),
        ({"d": 0}, ValueError, "d must be at least 1, got 0"),
        ({"num_classes": 1}, ValueError, "num_classes must be at least 2, got 1"),
        ({"strength": -1.0}, ValueError, "strength must be zero or more, got -1"),
        ({"strength": float("nan")}, ValueError, "strength must be finite, got nan"),
        ({"strength": 1e6, "num_classes": 10}, ValueError, "strength is too large: the classes"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_sizes_that_no_sample_has(change, error, message):
    setting = {"n": 9, "d": 1, "num_classes": 2, "strength": 1.0, "seed": 0} | change
    with pytest.raises(error, match=message):
        known_sample("gaussian", **setting)
