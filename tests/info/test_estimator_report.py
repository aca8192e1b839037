"""Which estimates are believed: the promised rate, what the traces mean, bad input."""

import math
import re

import numpy as np
import pytest
import torch

from ibtutor.info import estimator_report, known_sample
from ibtutor.info._estimates import ESTIMATORS
from ibtutor.info._report_limits import LIMITS, RATES
from ibtutor.info.estimator_report import ALWAYS, LEAST_ROWS, QUESTIONS, REGIMES, doubt


@pytest.fixture(scope="module")
def gaussian():
    known = known_sample("gaussian", n=3000, d=2, num_classes=2, strength=2.0, seed=0)
    return known, estimator_report(known.z, known.labels)


def test_every_estimator_has_limits_a_regime_and_words():
    assert list(LIMITS) == list(ESTIMATORS) == list(REGIMES)
    assert {s for limits in LIMITS.values() for s in limits} <= set(QUESTIONS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_some_limits_hold_for_every_estimator(name):
    for symptom, limit in ALWAYS.items():
        assert LIMITS[name][symptom] <= limit
        assert doubt(name, dict.fromkeys(QUESTIONS, 0.0) | {symptom: 1.1 * limit})
    assert "gives no number" in doubt(name, dict.fromkeys(QUESTIONS, math.nan) | {"copies": 0.0})


def test_the_promise_holds_on_held_out_settings():
    """At most one in twenty of those more than 10 percent off; the price is written beside it."""
    for rates in RATES.values():
        everything = rates["all"]
        assert everything["bad_believed"] <= everything["bad"] / 20
        for key, total in everything.items():
            assert total == sum(rates[name][key] for name in ESTIMATORS)
        assert rates["value"]["given_off"] <= rates["value"]["given"]
    assert RATES["held_out"]["all"]["bad"] >= 300
    assert RATES["held_out"]["all"]["good_doubted"] < 0.7 * RATES["held_out"]["all"]["good"]


@pytest.mark.parametrize(
    "family", ["gaussian", "mixture", "manifold", "quantized", "bounded", "clipped", "relu"]
)
def test_the_promise_holds_on_a_few_new_samples(family):
    bad = believed = 0
    for seed in range(6):
        size = {"d": (1, 4, 7)[seed % 3], "num_classes": (3, 5)[seed % 2]}
        known = known_sample(family, n=500, strength=1.8, seed=10**6 + seed, **size)
        scale = max(known.information, math.log(size["num_classes"]) / 10)
        for estimate in estimator_report(known.z, known.labels):
            if math.isfinite(estimate.value):
                wrong = abs(estimate.value - known.information) > 0.1 * scale
                bad += wrong
                believed += wrong and estimate.believed
    # One in twenty, and two standard deviations of so few.
    assert believed <= bad / 20 + 2 * math.sqrt(bad / 20)


def test_a_report_names_doubts_and_regimes(gaussian):
    known, report = gaussian
    text = str(report)
    assert len(text.splitlines()) == 1 + len(ESTIMATORS)
    assert re.search("counted .* doubted .* when the labels are shuffled", text)
    for estimate in report:
        assert estimate.regime == REGIMES[estimate.name]
        assert bool(doubt(estimate.name, estimate.symptoms)) != estimate.believed
    assert report.label_entropy == pytest.approx(math.log(2), abs=1e-3)
    assert 0 < report.lower_bound <= known.information + 0.1
    with pytest.raises(KeyError, match="'bins' is none of counted, binned"):
        report["bins"]


def test_the_value_is_the_median_of_the_believed(gaussian):
    _, report = gaussian
    values = [e.value for e in report.believed]
    assert values
    assert report.value == pytest.approx(np.median(values))
    z = torch.randn(60, 30, generator=torch.Generator().manual_seed(0))
    nothing = estimator_report(z, torch.arange(60) % 2)
    assert not nothing.believed
    assert nothing.value is None


def test_names_of_labels_and_types_of_input_do_not_matter(gaussian):
    known, report = gaussian
    renamed = estimator_report(torch.from_numpy(known.z), 4 * known.labels - 9)  # same order
    for a, b in zip(report, renamed, strict=True):
        assert (a.name, a.believed) == (b.name, b.believed)
        assert a.value == pytest.approx(b.value, abs=1e-9)


def test_one_coordinate_may_be_a_vector():
    known = known_sample("mixture", n=400, d=1, num_classes=2, strength=3.0, seed=2)
    flat, column = (estimator_report(z, known.labels) for z in (known.z[:, 0], known.z))
    assert str(flat) == str(column)


def test_the_worst_trace_is_the_reason():
    symptoms = dict.fromkeys(QUESTIONS, 0.0)
    assert doubt("neighbors", symptoms) == ""
    limits = LIMITS["neighbors"]
    slightly, strongly = list(limits)[:2]
    symptoms[slightly], symptoms[strongly] = 1.5 * limits[slightly], 9 * limits[strongly]
    assert doubt("neighbors", symptoms) == QUESTIONS[strongly].format(symptoms[strongly])


@pytest.fixture(scope="module")
def unrelated():
    g = torch.Generator().manual_seed(0)
    return torch.randn(300, 3, generator=g), torch.arange(300) % 2


@pytest.mark.parametrize("times", [2, 3, 10, "drawn"])
def test_copied_rows_are_no_evidence(unrelated, times):
    z, y = unrelated
    if times == "drawn":  # with replacement, to five times as many
        rows = torch.randint(300, (1500,), generator=torch.Generator().manual_seed(1))
    else:
        rows = torch.arange(300).repeat(times)
    report = estimator_report(z[rows], y[rows])
    assert report["counted"].value > 0.6  # though nothing is there
    assert report.value is None
    for estimate in report:
        assert math.isnan(estimate.value) or "copies, label and all: drop" in estimate.reason


def test_a_latent_of_few_values_is_no_copy():
    y = torch.arange(600) % 5
    exact = estimator_report(y.double(), y)
    assert exact["counted"].believed
    assert exact["counted"].value == pytest.approx(math.log(5), rel=0.1)
    for seed in range(4):
        size = {"d": 1 + seed, "num_classes": 2 + seed, "strength": 1.0 + seed}
        known = known_sample("quantized", n=1000, seed=seed, **size)
        assert estimator_report(known.z, known.labels)["counted"].symptoms["copies"] == 0


def test_copies_that_are_few_move_nothing(unrelated):
    z, y = unrelated
    rows = torch.cat([torch.arange(300), torch.arange(18)])
    report = estimator_report(z[rows], y[rows])
    assert all(e.symptoms["copies"] == 0 for e in report if e.symptoms)


def test_numbers_too_large_for_an_estimator_are_no_error(unrelated):
    z, y = unrelated
    report = estimator_report(1e200 * z.double(), y)
    assert report.value is None or report.value == pytest.approx(0.0, abs=0.07)


def test_a_failed_decomposition_and_a_value_without_end_are_reasons(unrelated, monkeypatch):
    def fails(sample, tuned=False):
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge. Try again.")

    monkeypatch.setitem(ESTIMATORS, "binned", fails)
    monkeypatch.setitem(ESTIMATORS, "counted", lambda sample, tuned=False: math.inf)
    report = estimator_report(*unrelated)
    assert report["binned"].reason == "The algorithm failed to converge"
    assert report["counted"].reason == "its value is inf"
    assert not report["binned"].believed
    assert not report["counted"].believed


def test_an_estimator_that_cannot_answer_says_why():
    z = torch.relu(torch.randn(300, 2, generator=torch.Generator().manual_seed(0)))
    report = estimator_report(z, torch.arange(300) % 2)
    assert math.isnan(report["entropies"].value)
    assert not report["entropies"].believed
    assert report["entropies"].reason == "repeated values have no density"


@pytest.mark.parametrize(
    ("z", "y", "error", "message"),
    [
        (np.full((20, 2), math.nan), [0, 1] * 10, ValueError, "z must be finite"),
        (np.zeros((20, 2, 2)), [0, 1] * 10, ValueError, r"\(N, d\) or \(N,\)"),
        (np.zeros((20, 2)), [0, 1] * 10, ValueError, "collapsed latent"),
        (np.eye(20), [0] * 20, ValueError, "at least 2 classes, got 1"),
        (np.eye(20), [0] * 19 + [3], ValueError, f"class 3 of y has 1 rows.* {LEAST_ROWS} of each"),
        (np.eye(20), [0, 1] * 9, ValueError, r"y must have shape \(20,\), got \(18,\)"),
        (np.eye(20), [0.0, 1.0] * 10, TypeError, "y must be whole numbers"),
    ],
)
def test_bad_input(z, y, error, message):
    with pytest.raises(error, match=message):
        estimator_report(z, y)


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (0.5, TypeError, "seed must be an integer, got 0.5"),
        (-1, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_bad_seed(seed, error, message):
    with pytest.raises(error, match=message):
        estimator_report(np.eye(20), [0, 1] * 10, seed=seed)
