"""Which estimates of I(Z; Y) can be believed on this very sample, and why not the others."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ibtutor.info import _estimates, _validate
from ibtutor.info._report_limits import LIMITS, RATES
from ibtutor.info._validate import ArrayLike
from ibtutor.info.gaussian_bound import classes, latents

# An error counts as large above this share of the truth (or of H(Y) / 10, where that is more).
TOLERANCE = 0.1
LEAST_ROWS = 6  # of a class: it is cut in half

REGIMES = {
    "counted": "Z takes few values, each seen several times with every label",
    "binned": "one or two coordinates, many rows a bin, no detail finer than a bin",
    "neighbors": "up to about ten dimensions that matter, or a thin manifold; tens of rows a class",
    "entropies": "one to three dimensions, a density everywhere: no manifold, no repeated values",
    "Gaussian bounds": "nearly equal Gaussian classes that overlap strongly",
    "Gaussian classes": "each class one Gaussian, several rows a parameter; any dimension",
}
# What is asked of an estimate, and what a bad answer means.
QUESTIONS = {
    "shuffled": "finds {:.0%} of its value again when the labels are shuffled",
    "drift": "moves by {:.0%} when half of the sample is dropped: a bias that falls with N",
    "noise": "varies by {:.0%} between parts of the sample: too few rows",
    "stretch": "moves by {:.0%} when coordinates are stretched, which changes no information",
    "tuning": "moves by {:.0%} with its own free number (neighbors, bins, fit)",
    "floor": "lies {:.0%} below what a held-out classifier already proves",
    "ceiling": "lies {:.0%} above H(Y), which no information can pass",
    "alone": "is {:.0%} away from every other estimate that finds nothing in shuffled labels",
    "repeats": "{:.0%} of the rows repeat",
    "copies": "{:.0%} of the rows look like copies, label and all: drop them, keep one of each",
}
# Limits that hold for every estimator, whatever the calibration says. Above H(Y) by more than
# TOLERANCE a value is certainly off by more, and below a held-out classifier's bound almost so: no
# good estimate of the calibration was there. Copies of a hundredth of the rows are let pass: what
# they add is about a hundredth of H(Y), and no smaller error counts as large.
ALWAYS = {"floor": TOLERANCE, "ceiling": TOLERANCE, "copies": 0.01}


@dataclass(frozen=True)
class Estimate:
    """One estimator's answer: `value` in nats (NaN if it has none), and whether to believe it."""

    name: str
    value: float
    believed: bool
    reason: str
    regime: str
    symptoms: dict[str, float]


@dataclass(frozen=True)
class EstimatorReport:
    """What `estimator_report` found; iterate over it, or ask for one by name."""

    estimates: tuple[Estimate, ...]
    label_entropy: float
    lower_bound: float

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    def __getitem__(self, name: str) -> Estimate:
        found = {e.name: e for e in self.estimates}
        if name not in found:
            raise KeyError(f"{name!r} is none of {', '.join(found)}")
        return found[name]

    @property
    def believed(self) -> tuple[Estimate, ...]:
        return tuple(e for e in self.estimates if e.believed)

    @property
    def value(self) -> float | None:
        """Median of the believed estimates, or None where none is believed."""
        values = sorted(e.value for e in self.believed)
        middle = len(values) // 2
        if not values:
            return None
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def __str__(self) -> str:
        lines = [f"I(Z; Y) in nats; H(Y) = {self.label_entropy:.3f}"]
        for e in self.estimates:
            value = f"{e.value:8.3f}" if math.isfinite(e.value) else "       -"
            lines.append(
                f"{e.name:<17}{value}  {'believed' if e.believed else 'doubted '}  {e.reason}"
            )
        return "\n".join(lines)


def estimator_report(z: ArrayLike, y: ArrayLike, *, seed: int = 0) -> EstimatorReport:
    """Six estimates of I(Z; Y), each with a verdict and its reason.

    The truth is unknown, but an error leaves traces: information does not change when a coordinate
    is stretched, is zero for shuffled labels, lies between what a held-out classifier proves and
    H(Y), and hangs neither on N nor on the number of bins or neighbors. An estimate is believed if
    none of these traces is larger than its limit. The limits are calibrated on samples of known
    information (`known_sample`) by `python -m tools.calibrate_report`, so that at most one in
    twenty of the estimates that are more than 10 percent off is believed. That holds for all
    estimators together; one alone may be believed wrongly more often, and `value`, the median of
    those believed, has a rate of its own: `estimator_report_rates` tells them all. On laws unlike
    those families this is evidence, not a guarantee: no test of a sample can bound I(Z; Y) from
    above (McAllester and Stratos 2020).

    Rows must be independent draws. Copies of rows count as evidence that is not there, so nothing
    is believed, nor is `lower_bound` one, where many distinct rows repeat with one label each
    although their neighbors have several. A discrete Z that decides Y, in no way that neighbors
    share, looks the same.

    Time grows as N squared (all pairs of rows).

    Args:
        z: latents `(N, d)` or `(N,)`; rows are independent draws.
        y: labels, whole numbers `(N,)`; at least two classes, six rows of each.
        seed: of the halves and the shuffles, zero or more.

    Returns:
        an `EstimatorReport`; printed, it is a table.

    Raises:
        TypeError: labels or a seed that are no whole numbers.
        ValueError: NaN, wrong shapes, one class only, a class with fewer than six rows, or a
            collapsed latent (I(Z; Y) is 0 and nothing is to be estimated).

    >>> from ibtutor.info import known_sample
    >>> known = known_sample("gaussian", n=600, d=2, num_classes=2, strength=2.0, seed=0)
    >>> report = estimator_report(known.z, known.labels)
    >>> report["counted"].believed  # every row is new: it says H(Y) whatever the labels
    False
    >>> abs(report["Gaussian classes"].value / known.information - 1) < 0.2
    True
    """
    sample, seed = _sample(z, y), _validate.integer(seed, "seed", 0)
    found, failed = _estimates.measure(sample, seed)
    estimates = []
    for name in _estimates.ESTIMATORS:
        if name in failed:
            estimates.append(Estimate(name, math.nan, False, failed[name], REGIMES[name], {}))
            continue
        symptoms = dict(found[name])
        value = symptoms.pop("value")
        reason = doubt(name, symptoms)
        estimates.append(
            Estimate(
                name, value, not reason, reason or "no trace of an error", REGIMES[name], symptoms
            )
        )
    return EstimatorReport(tuple(estimates), sample.entropy, _estimates.lower_bound(sample))


def estimator_report_rates() -> dict[str, dict[str, dict[str, int]]]:
    """How often the report was fooled, as recorded when its limits were set.

    The limits were fitted to the calibration settings alone. How many bad estimates a fit may
    believe was lowered after a look at 42 of the 60 held-out settings of each family.

    Returns:
        for "calibration" and "held_out", by estimator and for "all": how many estimates were "bad"
        (more than 10 percent off), how many of these were believed ("bad_believed"), how many
        were "good", and how many of these were doubted ("good_doubted"). The promise of one in
        twenty is for "all". And for "value", the report's median: on how many samples it was
        "given", how many of these were more than 10 percent off ("given_off"), and on how many
        samples it was None ("none").

    >>> held_out = estimator_report_rates()["held_out"]
    >>> held_out["all"]["bad_believed"] <= held_out["all"]["bad"] / 20
    True
    >>> sorted(held_out["value"])
    ['given', 'given_off', 'none']
    """
    return copy.deepcopy(RATES)


def doubt(name: str, symptoms: dict[str, float]) -> str:
    """The worst trace beyond its limit, in words; empty where there is none. NaN is beyond."""
    beyond = {s: v for s, v in LIMITS[name].items() if not symptoms[s] <= v}
    if not beyond:
        return ""
    if "copies" in beyond:  # they explain all the others
        return QUESTIONS["copies"].format(symptoms["copies"])
    if unknown := [s for s in beyond if math.isnan(symptoms[s])]:
        return f"its check {unknown[0]!r} gives no number"
    worst = max(beyond, key=lambda s: symptoms[s] / max(beyond[s], 1e-9))
    return QUESTIONS[worst].format(symptoms[worst])


def _sample(z: ArrayLike, y: ArrayLike) -> _estimates.Sample:
    z = latents(z, "z").detach().cpu().double()
    groups = classes(y, len(z), "y")
    if len(groups) < 2:
        raise ValueError(f"y must hold at least 2 classes, got {len(groups)}")
    small = {name: len(rows) for name, rows in groups.items() if len(rows) < LEAST_ROWS}
    if small:
        name, count = next(iter(small.items()))
        raise ValueError(f"class {name} of y has {count} rows; a report needs {LEAST_ROWS} of each")
    if (z == z[0]).all():
        raise ValueError("z is the same in all rows: a collapsed latent, and I(Z; Y) is 0")
    code = torch.empty(len(z), dtype=torch.int64)
    for i, rows in enumerate(groups.values()):
        code[rows] = i
    return _estimates.Sample(z, code)
