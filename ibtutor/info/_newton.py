"""Saddle-free Newton steps on the scores of one encoder, for where plain iterations crawl.

Near a value of beta where clusters split, Blahut-Arimoto creeps along a flat valley or waits at
a saddle. The scores are few, so their curvature matrix is cheap: with M the Fisher matrix of
the scores and F the residual of a Blahut-Arimoto step, the gradient is beta M F exactly and the
curvature is -beta (M - M D M) at a stationary point, D the derivative of the step's logarithms.
"""

from __future__ import annotations

import torch

from ibtutor.info._fixed_point import _TINY, Points, evaluate, update

MAX_SCORES = 600  # beyond, an eigendecomposition costs more than the iterations it saves
_LONGEST = 1e3  # the most that one direction of a plain step may be stretched


def polish(
    scores: torch.Tensor, beta: float, w: torch.Tensor, p: torch.Tensor, *, tol: float, limit: int
) -> tuple[torch.Tensor, Points]:
    """Climb from `scores` `(T, K)` to a local maximum; returns scores and points, batch of one.

    A step is kept only if the objective rises. Stops when the quadratic model promises a gain
    below `tol`.
    """
    betas = torch.tensor([beta], dtype=torch.float64)
    scores = scores[None].clone()
    now = evaluate(scores, w, p, False)
    radius = 1.0
    for _ in range(limit):
        image = update(now.joint, betas, False)
        step, promised = _direction(scores, image - scores, now.joint, beta, w, p, radius)
        if promised < tol:
            break
        trial = evaluate(scores + step, w, p, False)
        gain = (trial.objective(betas) - now.objective(betas)).item()
        if gain > 0:
            scores, now = scores + step, trial
            radius = min(2 * radius, 16.0) if gain > promised / 4 else radius
        else:
            radius /= 4
            if radius < 1e-6 or promised < 1e-12:  # rounding decides: no better point to find
                break
    return scores, now


def _fisher(scores: torch.Tensor, w: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """M[(t,k),(s,l)] = sum_x p w_k w_l (q_t 1[t=s] - q_t q_s), shape `(TK, TK)`."""
    symbols, classes = scores.shape
    matrix = torch.zeros(symbols * classes, symbols * classes, dtype=w.dtype)
    blocks = torch.zeros(symbols, classes * classes, dtype=w.dtype)
    for rows in range(0, len(w), 4096):
        part, weight = w[rows : rows + 4096], p[rows : rows + 4096]
        q = torch.softmax(part @ scores.T, 1) * weight[:, None]
        both = (q[:, :, None] * part[:, None, :]).flatten(1)
        scaled = both / weight.clamp_min(_TINY)[:, None]
        matrix -= scaled.T @ both
        blocks += q.T @ (part[:, :, None] * part[:, None, :]).flatten(1)
    return matrix + torch.block_diag(*blocks.view(symbols, classes, classes))


def _direction(
    scores: torch.Tensor,
    residual: torch.Tensor,
    joint: torch.Tensor,
    beta: float,
    w: torch.Tensor,
    p: torch.Tensor,
    radius: float,
) -> tuple[torch.Tensor, float]:
    """A trust-region step and the gain it promises, in the metric of M."""
    metric = _fisher(scores[0], w, p)
    values, vectors = torch.linalg.eigh(metric)
    used = values > 1e-14 * values[-1]  # a constant per class moves nothing
    root = values[used].sqrt()
    half = vectors[:, used] * root  # M = half half^T
    joint = joint[0].clamp_min(_TINY)
    q_t = joint.sum(1)
    cube = half.view(*joint.shape, -1)
    spread = (cube / joint.sqrt()[..., None]).flatten(0, 1)
    drift = cube.sum(1) / q_t.sqrt()[:, None]
    curve = torch.eye(len(root), dtype=w.dtype) - (
        spread.T @ spread / beta - (1 / beta - 1) * drift.T @ drift
    )
    rate, axes = torch.linalg.eigh(curve)
    slope = axes.T @ (half.T @ residual.flatten())
    move = slope / rate.abs().clamp_min(1 / _LONGEST)  # |rate|: climb away from saddles
    move *= min(1.0, radius / move.norm().item()) if move.norm() > 0 else 1.0
    promised = beta * (slope @ move - 0.5 * (rate * move) @ move).item()
    step = (vectors[:, used] / root) @ (axes @ move)
    return step.view(1, *joint.shape), promised
