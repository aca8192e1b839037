"""Outputs softened by a temperature after training, as a table that stands for the logits.

A sweep asks for the temperature at which cross-entropy has the I(T;Y) of another run. That run may
come later and on another machine, so a part carries a table over temperatures instead of logits.
Cubic splines over log temperature are within 1e-5 nats of the direct computation. What has kinks,
like a calibration error, stands on a finer grid where outputs are neither hard nor uniform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch

STEP, FINE_STEP = 0.1, 0.02  # of log temperature
COLDEST, HOTTEST = math.log(1 / 20), math.log(1e4)
FINE = math.log(1 / 2), math.log(50)  # between these the fine grid

Measure = Callable[[torch.Tensor], Mapping[str, float]]


def table(
    logits: torch.Tensor, measure: Measure, kinked: Measure | None = None
) -> dict[str, list[float]]:
    """What the measures give of softmax(logits / temperature), from temperature 1/20 to 10,000.

    One list a measure; "log_temperature" has the points of `measure`, and "at_NAME" those of each
    number that `kinked` gives.
    """
    points = np.linspace(COLDEST, HOTTEST, math.ceil((HOTTEST - COLDEST) / STEP) + 1)
    columns = {"log_temperature": points.tolist()} | _columns(logits, measure, points)
    if kinked is not None:
        outside = points[(points < FINE[0]) | (points > FINE[1])]
        inside = np.arange(*FINE, FINE_STEP)
        both = np.sort(np.concatenate([outside, inside]))
        for name, values in _columns(logits, kinked, both).items():
            columns |= {name: values, f"at_{name}": both.tolist()}
    return columns


def _columns(logits: torch.Tensor, measure: Measure, points: np.ndarray) -> dict[str, list[float]]:
    logits = logits.double()
    found = [measure((logits / math.exp(point)).softmax(1)) for point in points]
    return {name: [float(entry[name]) for entry in found] for name in found[0]}


def at_information(columns: Mapping[str, list[float]], i_ty: float) -> float:
    """The temperature whose I(T;Y) that is; NaN if none in the table reaches it."""
    spline = _spline(columns, "i_ty")
    low, high = columns["log_temperature"][0], columns["log_temperature"][-1]
    if not columns["i_ty"][-1] <= i_ty <= columns["i_ty"][0]:
        return math.nan
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if spline(middle) > i_ty else (low, middle)
    return math.exp((low + high) / 2)


def softened_to(columns: Mapping[str, list[float]], temperature: float) -> dict[str, float]:
    """Every number of the table at a temperature between its ends."""
    at = math.log(temperature)
    return {
        name: float(np.interp(at, columns[f"at_{name}"], values))
        if f"at_{name}" in columns
        else float(_spline(columns, name)(at))
        for name, values in columns.items()
        if name != "log_temperature" and not name.startswith("at_")
    }


def _spline(columns: Mapping[str, list[float]], name: str):
    from scipy.interpolate import CubicSpline

    return CubicSpline(columns["log_temperature"], columns[name])
