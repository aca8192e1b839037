"""An upper bound on the bottleneck curve that no number of symbols can pass.

For any beta > 0, any Z(x) > 0 and every T, with b = 1 / beta and
G = max over distributions r of sum_x p(x) exp(-b KL(w_x || r)) / Z(x):

    I(X;T) + b I(X;Y|T) >= -sum_x p(x) log Z(x) - log G,

because KL( p(x) q(t|x) || p(x) q(t) exp(-b KL(w_x || R_t)) / (Z(x) G_t) ) is not negative, where
G_t <= G makes the second a law. With I(X;Y|T) = I(X;Y) - I(T;Y) this bounds I(T;Y) at a rate.
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import minimize

from ibtutor.info import _validate
from ibtutor.info._rows import Rows, merge_rows
from ibtutor.info._validate import ArrayLike
from ibtutor.info.bottleneck import critical_beta, solve_bottleneck
from ibtutor.info.channels import bottleneck_at_rate

# (monotone steps, starts that go on); the last ones are finished by a quasi-Newton search.
_ROUNDS = ((10, 100), (60, 12))


def bottleneck_bound(
    p_y_given_x: ArrayLike,
    rate: float,
    *,
    p_x: ArrayLike | None = None,
    num_clusters: int | None = None,
    starts: int = 400,
    seed: int = 0,
) -> float:
    """Numerically certified upper bound on I(T;Y) at this I(X;T), for any number of symbols.

    beta and Z come from the best encoder found with `num_clusters` symbols (default K). The
    bound holds for every T if the search found the true G. That search is over K - 1 numbers,
    from `starts` posteriors, all symbols of the encoder, the corners and random points; a miss
    would lower the bound by beta log(G true / G found). Hence "numerically certified", not
    "proved"; for two classes a fine grid over the one number is searched as well.

    Args:
        p_y_given_x: `(N, K)`. rate: nats, zero or more.

    Returns:
        The bound in nats; never above min(rate, I(X;Y)), the data processing inequality.

    Raises:
        ValueError: for rows that are not distributions or a negative rate.

    Source: rate-distortion duality (Berger 1971; Csiszar 1974) with KL(w_x || r) as distortion.

    >>> toy = [[1., 0.], [0., 1.], [.8, .2], [.2, .8]]
    >>> round(bottleneck_bound(toy, 0.3), 6)
    0.190755
    """
    rows = merge_rows(p_y_given_x, p_x)
    rate = _validate.non_negative(rate, "rate")
    starts = _validate.integer(starts, "starts", 1)
    most = rows.label_information
    simple = min(rate, most)
    if simple <= 0:
        return 0.0
    rows = Rows(rows.w[rows.p > 0], rows.p[rows.p > 0], rows.index)
    try:
        solution = bottleneck_at_rate(rows.w, rate, p_x=rows.p, num_clusters=num_clusters)
    except ValueError:  # more than these symbols can carry: the last slope is the best we have
        solution = bottleneck_at_rate(
            rows.w, 0.999 * _top(rows, num_clusters), p_x=rows.p, num_clusters=num_clusters
        )
    beta = min(max(solution.betas[0].item(), 1e-3), 1.0)
    log_z, symbols = _partition(rows, solution.log_channel[0].T, beta)
    log_g = largest_tilt(rows, beta, log_z, symbols, starts=starts, seed=seed)
    lagrangian = -(rows.p @ log_z).item() - log_g
    return min(simple, most - beta * (lagrangian - rate))


def _top(rows: Rows, num_clusters: int | None) -> float:
    return solve_bottleneck(rows.w, 0.01, p_x=rows.p, num_clusters=num_clusters).i_xt.item()


def _partition(rows: Rows, scores: torch.Tensor, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """log Z(x) `(n,)` of one Blahut-Arimoto step, and the symbols' p(y|t) `(T, K)`."""
    q = torch.softmax(scores @ rows.w.T, 0) * rows.p
    joint = q @ rows.w
    used = joint.sum(1) > 1e-12
    q_t = joint[used].sum(1)
    symbols = joint[used] / q_t[:, None]
    exponent = q_t.log()[:, None] - _divergence(rows.w, symbols) / beta
    return torch.logsumexp(exponent, 0), symbols


def _divergence(w: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """KL(w_x || r_i) `(i, n)`; a zero of r under mass of w gives a very large number."""
    log_r = r.clamp_min(torch.finfo(r.dtype).tiny).log()
    return torch.xlogy(w, w).sum(1) - log_r @ w.T


def largest_tilt(
    rows: Rows, beta: float, log_z: torch.Tensor, symbols: torch.Tensor, *, starts: int, seed: int
) -> float:
    """log of the largest sum_x p(x) exp(-KL(w_x || r) / beta) / Z(x) found over r."""
    generator = torch.Generator().manual_seed(_validate.integer(seed, "seed", 0))
    classes = rows.w.shape[1]
    heavy = rows.p.argsort(descending=True)[: starts // 2]
    rest = torch.randint(len(rows.w), (starts - starts // 2,), generator=generator)
    random = -torch.rand(starts // 2 + 1, classes, generator=generator, dtype=torch.float64).log()
    pairs = (rows.w[rest] + rows.w[rest.roll(1)]) / 2
    points = [symbols, rows.prior[None], torch.eye(classes, dtype=torch.float64)]
    points += [rows.w[heavy], rows.w[rest], pairs, random / random.sum(1, keepdim=True)]
    if classes == 2:
        first = torch.linspace(0, 1, 2001, dtype=torch.float64)
        points.append(torch.stack([first, 1 - first], 1))
    r = torch.cat(points)
    r = 0.999 * r + 0.001 * rows.prior
    base = rows.p.log() - log_z
    for sweeps, keep in _ROUNDS:
        for _ in range(sweeps):
            # Jensen: the weighted mean of the posteriors never lowers the sum.
            weight = torch.softmax(base - _divergence(rows.w, r) / beta, 1)
            r = weight @ rows.w
        value = torch.logsumexp(base - _divergence(rows.w, r) / beta, 1)
        r = r[value.argsort(descending=True)[:keep]]
    return max(_finish(rows, beta, base, point) for point in r)


def _finish(rows: Rows, beta: float, base: torch.Tensor, r: torch.Tensor) -> float:
    """Local maximum of the log-sum from r, over the logits of r."""

    def negative(x):
        logits = torch.from_numpy(x)
        point = torch.softmax(logits, 0)
        terms = base - _divergence(rows.w, point[None])[0] / beta
        value = torch.logsumexp(terms, 0)
        mean = torch.softmax(terms, 0) @ rows.w
        return -value.item(), (-(mean - point) / beta).numpy()

    start = r.clamp_min(1e-12).log()
    found = minimize(negative, start.numpy(), jac=True, method="L-BFGS-B", options={"gtol": 1e-10})
    return max(-found.fun, -negative(start.numpy())[0], -math.inf)


def contraction_coefficient(
    p_y_given_x: ArrayLike, *, p_x: ArrayLike | None = None, starts: int = 60, seed: int = 0
) -> float:
    """Slope of the bottleneck curve at rate zero: the largest I(T;Y) / I(X;T) over all T.

    It is the strong data-processing constant of p(y|x): the smallest beta (Kudo's) at which the
    constant T is optimal, that is, at which no tilt of p(y) raises the sum of `bottleneck_bound`
    above one. The search over tilts makes it a lower bound, tight (to a relative 1e-8) if the
    true tilt was met.

    Source: Ahlswede and Gacs 1976; Anantharam, Gohari, Kamath and Nair 2013.

    >>> round(contraction_coefficient([[.9, .1], [.1, .9]]), 4)  # (1 - 2 * 0.1)^2
    0.64
    """
    rows = merge_rows(p_y_given_x, p_x)
    rows = Rows(rows.w[rows.p > 0], rows.p[rows.p > 0], rows.index)
    seen = rows.prior > 0
    if seen.sum() < 2 or len(rows.w) < 2:
        return 0.0
    rows = Rows(rows.w[:, seen], rows.p, rows.index)
    from_prior = _divergence(rows.w, rows.prior[None])[0]

    def tilt(beta: float) -> float:
        log_z = -from_prior / beta
        return largest_tilt(rows, beta, log_z, rows.prior[None], starts=starts, seed=seed)

    # The squared maximal correlation is the same ratio for small changes alone.
    low, high = critical_beta(rows.w, p_x=rows.p), 1.0
    while high - low > 1e-8 * high and high > 1e-12:
        middle = (low + high) / 2
        # r = p(y) itself gives a sum of one; divergences are rounded before beta divides them.
        rounding = max(1e-11, 1e-14 / middle)
        low, high = (middle, high) if tilt(middle) > rounding else (low, middle)
    return low
