"""The most I(T;Y) at a given I(X;T) within a family of encoders, by constrained ascent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize

from ibtutor.info._rows import Rows, mixture_information, plane_point

_Slopes = tuple[torch.Tensor, torch.Tensor]


def encode(scores: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Geometric encoders `(n, T)` from scores `(T, K)`."""
    return torch.softmax(scores @ w.T, 0).T


def ascend(scores: torch.Tensor, rows: Rows, rate: float) -> tuple[torch.Tensor, float]:
    """Geometric encoders: from scores `(T, K)` to better ones at this rate, and their I(T;Y).

    I(T;Y) is reported as minus infinity unless I(X;T) = `rate` within 1e-9.
    """

    def family(x: torch.Tensor) -> tuple[torch.Tensor, Callable]:
        q = encode(x, rows.w)
        return q, lambda g: (q * (g - (q * g).sum(1, keepdim=True))).T @ rows.w

    return _ascend(scores, family, rows, rate)


def ascend_channel(channel: torch.Tensor, rows: Rows, rate: float) -> tuple[torch.Tensor, float]:
    """Arithmetic encoders w @ M: from a channel `(K, T)` to a better one, and its I(T;Y).

    The variables are square roots of M: there the Fisher metric is flat, so that entries near
    zero are as well conditioned as the others.
    """

    def smoothed(u: torch.Tensor) -> torch.Tensor:
        return u.square() / u.square().sum(1, keepdim=True)

    def family(u: torch.Tensor) -> tuple[torch.Tensor, Callable]:
        m, size = smoothed(u), u.square().sum(1, keepdim=True)

        def pull(g: torch.Tensor) -> torch.Tensor:
            raw = rows.w.T @ g
            return 2 * u / size * (raw - (m * raw).sum(1, keepdim=True))

        return rows.w @ m, pull

    # A root of exactly zero would stay zero.
    u, value = _ascend(channel.clamp_min(1e-6).sqrt(), family, rows, rate)
    return smoothed(u), value


def _ascend(
    start: torch.Tensor, family: Callable, rows: Rows, rate: float
) -> tuple[torch.Tensor, float]:
    """Sequential quadratic programming over the variables of a family of encoders."""
    last: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def at(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(I(T;Y), I(X;T)) and their gradients; the optimizer asks for each in turn."""
        if (key := x.tobytes()) not in last:
            q, pull = family(torch.from_numpy(x.copy()).view_as(start))
            values, slopes = plane_point(rows, q), _slopes(rows, q)
            last.clear()
            last[key] = (
                np.array([values[1].item(), values[0].item()]),
                np.stack([pull(rows.p[:, None] * g).numpy().ravel() for g in slopes]),
            )
        return last[key]

    found = minimize(
        lambda x: -at(x)[0][0],
        start.reshape(-1).numpy(),
        jac=lambda x: -at(x)[1][0],
        constraints={
            "type": "eq",
            "fun": lambda x: at(x)[0][1] - rate,
            "jac": lambda x: at(x)[1][1],
        },
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    if not np.isfinite(found.x).all():
        return start, -np.inf
    values, _ = at(found.x)
    result = torch.from_numpy(found.x.copy()).view_as(start)
    return result, float(values[0]) if abs(values[1] - rate) < 1e-9 else -np.inf


def _slopes(rows: Rows, q: torch.Tensor) -> _Slopes:
    """Derivatives of I(T;Y) and I(X;T) by q(t|x), over p(x), up to constants in t."""
    tiny = torch.finfo(q.dtype).tiny
    joint = rows.w.T @ (q * rows.p[:, None])
    q_t = joint.sum(0).clamp_min(tiny)
    by_relevance = rows.w @ (joint.clamp_min(tiny) / q_t).log()
    return by_relevance, (q.clamp_min(tiny) / q_t).log()


def shrink(scores: torch.Tensor, rows: Rows, rate: float) -> torch.Tensor | None:
    """Scale scores so that I(X;T) is `rate`; None if even steep ones stay below."""

    def at(s: float) -> float:
        return mixture_information(encode(s * scores, rows.w), rows.p).item()

    high = 1.0
    while at(high) < rate:
        high *= 2
        if high > 1e4:
            return None
    low = 0.0 if high == 1.0 else high / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) < rate else (low, middle)
    return high * scores
