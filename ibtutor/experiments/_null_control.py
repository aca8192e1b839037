"""Null controls: other ways to reach the same I(T;Y), and how to compare with them.

A claim about what label smoothing does to a representation is credited to smoothing only if it is
still there against (a) outputs that were softened after training by a temperature, which leaves
the representation as it was, and (b) networks trained with weight decay, both at the same I(T;Y).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

# Two settings count as matched if their mean I(T;Y) differ by less than this, in nats.
MATCH_NATS = 0.2


def information(probs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """I(X;T) and I(T;Y) of outputs `(N, K)` on their sample, in nats."""
    from ibtutor.info import information_plane

    plane = information_plane(probs, labels)
    return {"i_xt": float(plane.i_xt), "i_ty": float(plane.i_ty)}


def match_temperature(logits: torch.Tensor, labels: torch.Tensor, i_ty: float) -> float:
    """The temperature at which softmax(logits / temperature) has the given I(T;Y).

    Bisection on its logarithm; NaN if no temperature between 1/20 and 10,000 reaches the value.
    """
    logits = logits.double()

    def reached(log_temperature: float) -> float:
        probs = torch.softmax(logits / math.exp(log_temperature), dim=1)
        return information(probs, labels)["i_ty"]

    low, high = math.log(1 / 20), math.log(1e4)
    if not reached(high) <= i_ty <= reached(low):
        return math.nan
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) > i_ty else (low, middle)
    return math.exp((low + high) / 2)


def mean_and_error(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean, standard deviation over seeds (0 for one), and standard error of the mean."""
    array = np.asarray(list(values), dtype=float)
    sd = float(array.std(ddof=1)) if len(array) > 1 else 0.0
    return float(array.mean()), sd, sd / math.sqrt(len(array))


def difference(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Mean of a minus mean of b, and the pooled standard error of that difference."""
    mean_a, _, error_a = mean_and_error(a)
    mean_b, _, error_b = mean_and_error(b)
    return {"difference": mean_a - mean_b, "error": math.hypot(error_a, error_b)}


def t_interval(
    ours: Mapping[Any, float], theirs: Mapping[Any, float], level: float = 0.95
) -> dict[str, float]:
    """Mean of ours minus theirs over common keys (seeds), with Student's t interval.

    ValueError with fewer than two common keys.

    >>> gap = t_interval({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    >>> round(gap["difference"], 3), round(gap["low"], 3), round(gap["high"], 3)
    (2.0, -0.484, 4.484)
    """
    from scipy import stats

    gaps = [ours[key] - theirs[key] for key in ours if key in theirs]
    if len(gaps) < 2:
        raise ValueError(f"an interval needs at least 2 common seeds, got {len(gaps)}")
    mean, _, error = mean_and_error(gaps)
    half = float(stats.t.ppf(0.5 + level / 2, len(gaps) - 1)) * error
    return {"difference": mean, "low": mean - half, "high": mean + half, "seeds": len(gaps)}


def clearly_below(gap: Mapping[str, float]) -> bool:
    """Below zero by more than two standard errors (and by more than nothing)."""
    return gap["difference"] < 0 and gap["difference"] < -2 * gap["error"]


def nearest(
    groups: Mapping[Any, Sequence[Mapping[str, Any]]], i_ty: float
) -> tuple[Any, float] | None:
    """The setting whose mean I(T;Y) is nearest, and how far off it is; None without settings."""
    if not groups:
        return None
    means = {key: mean_and_error(row["i_ty"] for row in rows)[0] for key, rows in groups.items()}
    key = min(means, key=lambda k: abs(means[k] - i_ty))
    return key, means[key] - i_ty
