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


def paired(
    ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]], measure: str
) -> dict[str, float] | None:
    """`t_interval` of a measure over the seeds that both groups of rows have; None below two."""
    mine, others = ({row["seed"]: row[measure] for row in rows} for rows in (ours, theirs))
    return t_interval(mine, others) if len(mine.keys() & others.keys()) >= 2 else None


def direction(gap: Mapping[str, float] | None) -> str:
    """What an interval says of a difference: "below" or "above" zero, "unclear", "not run".

    >>> direction({"low": -0.3, "high": 0.1})
    'unclear'
    """
    if gap is None:
        return "not run"
    return "below" if gap["high"] < 0 else "above" if gap["low"] > 0 else "unclear"


def one_sided(gap: Mapping[str, float] | None, side: str) -> str:
    """The verdict on "the difference lies `side` zero" ("below" or "above").

    >>> one_sided({"low": -0.3, "high": -0.1}, "above")
    'not reproduced'
    """
    found = direction(gap)
    if found in ("not run", "unclear"):
        return "cannot be told" if found == "unclear" else found
    return "reproduced" if found == side else "not reproduced"


def stays(gap: Mapping[str, float] | None, side: str) -> str:
    """A control's answer: is the effect there against it, on that side of zero?"""
    found = direction(gap)
    return found if found == "not run" else "yes" if found == side else "no"


def nearest(
    groups: Mapping[Any, Sequence[Mapping[str, Any]]], i_ty: float
) -> tuple[Any, float] | None:
    """The setting whose mean I(T;Y) is nearest, and how far off it is; None without settings."""
    if not groups:
        return None
    means = {key: mean_and_error(row["i_ty"] for row in rows)[0] for key, rows in groups.items()}
    key = min(means, key=lambda k: abs(means[k] - i_ty))
    return key, means[key] - i_ty
