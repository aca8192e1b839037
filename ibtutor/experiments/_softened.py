"""Outputs softened by a temperature after training, as a table that stands for the logits.

A sweep asks for the temperature at which cross-entropy has the I(T;Y) of another run. That run may
come later and on another machine, so a part carries a table over temperatures instead of logits.
Cubic splines over log temperature are within 1e-5 nats of the direct computation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch

STEP = 0.1  # of log temperature
COLDEST, HOTTEST = math.log(1 / 20), math.log(1e4)
LINEAR = ("accuracy", "ece")  # these have kinks


def table(
    logits: torch.Tensor, measure: Callable[[torch.Tensor], Mapping[str, float]]
) -> dict[str, list[float]]:
    """What `measure` gives of softmax(logits / temperature), from temperature 1/20 to 10,000.

    One list a measure, and "log_temperature".
    """
    steps = math.ceil((HOTTEST - COLDEST) / STEP)
    points = np.linspace(COLDEST, HOTTEST, steps + 1).tolist()
    logits = logits.double()
    found = [measure((logits / math.exp(point)).softmax(1)) for point in points]
    columns = {name: [float(entry[name]) for entry in found] for name in found[0]}
    return {"log_temperature": points, **columns}


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
    """Every measure of the table at a temperature between its ends."""
    at = math.log(temperature)
    found = {}
    for name in columns.keys() - {"log_temperature"}:
        if name in LINEAR:
            found[name] = float(np.interp(at, columns["log_temperature"], columns[name]))
        else:
            found[name] = float(_spline(columns, name)(at))
    return {name: found[name] for name in columns if name in found}


def _spline(columns: Mapping[str, list[float]], name: str):
    from scipy.interpolate import CubicSpline

    return CubicSpline(columns["log_temperature"], columns[name])
