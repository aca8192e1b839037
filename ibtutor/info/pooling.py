"""Three ways of pooling the labels of people who disagree, and one-parameter families at a rate.

Cross-entropy to the smoothed labels M[y, .] of an input's votes is minimized by their arithmetic
mean, the reverse divergence by their normalized geometric mean; the confidence penalty pools in a
third way. With one vote per input, or votes that agree, the first two coincide.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import lambertw

from ibtutor.info import _validate
from ibtutor.info._rows import Rows, merge_rows, mixture_information
from ibtutor.info._validate import ArrayLike

_STEEPEST = 1e6  # scale at which a softmax of posteriors is as good as hard


def pool_labels(
    p_y_given_x: ArrayLike, channel: ArrayLike, how: str = "arithmetic"
) -> torch.Tensor:
    r"""The best single target for inputs whose labels disagree and are smoothed by a channel.

    Args:
        p_y_given_x: `(N, K)`, share of votes for each class. channel: `(K, T)`, row y is the
            smoothed label of class y.
        how: "arithmetic", $\sum_y p(y|x) M[y,t]$, the minimizer of
            $\sum_y p(y|x) KL(M_y \| q)$ (label smoothing); or "geometric",
            $\propto \prod_y M[y,t]^{p(y|x)}$, the minimizer of $\sum_y p(y|x) KL(q \| M_y)$.

    Returns:
        `(N, T)` float64, rows sum to one.

    Raises:
        ValueError: for rows that are not distributions, shapes that do not fit, another `how`,
            or geometric pooling where the labels of an input share no symbol.

    >>> smoothed = [[.95, .05], [.05, .95]]
    >>> round(pool_labels([[.8, .2]], smoothed)[0, 0].item(), 10)
    0.77
    >>> round(pool_labels([[.8, .2]], smoothed, "geometric")[0, 0].item(), 10)
    0.8540422398
    """
    w = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).to(torch.float64)
    m = _validate.probabilities(channel, "channel", ndim=2).to(w)
    if w.shape[1] != len(m):
        raise ValueError(f"channel must have {w.shape[1]} rows, one a class, got {len(m)}")
    w, m = (rows / rows.sum(1, keepdim=True) for rows in (w, m))
    if how == "arithmetic":
        return w @ m
    if how != "geometric":
        raise ValueError(f'how must be "arithmetic" or "geometric", got {how!r}')
    return _geometric(w, m.clamp_min(torch.finfo(m.dtype).tiny).log(), m == 0)


def _geometric(w: torch.Tensor, log_m: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """softmax of w @ log_m, with no mass on a symbol that a class of positive weight forbids."""
    forbidden = (w @ zero.to(w.dtype)) > 0
    if (lost := forbidden.all(1)).any():
        where = int(lost.nonzero()[0])
        raise ValueError(f"the labels of input {where} share no symbol of the channel")
    return torch.softmax((w @ log_m).masked_fill(forbidden, -torch.inf), 1)


def confidence_penalty_encoder(p_y_given_x: ArrayLike, beta: float) -> torch.Tensor:
    r"""The minimizer of cross-entropy minus beta H(p) for each row: a third kind of pooling.

    The stationary point solves $-w_t / p_t + \beta \log p_t = c$, so
    $p_t = w_t / (\beta W(e^{-c/\beta} w_t / \beta))$ with Lambert's W; c makes the row sum to one.

    Args:
        p_y_given_x: `(N, K)`. beta: penalty, zero or more, nats.

    Returns:
        `(N, K)` float64; not differentiable.

    >>> round(confidence_penalty_encoder([[.8, .2]], 0.3)[0, 0].item(), 10)
    0.7396752751
    """
    w = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach().to(torch.float64)
    w = w / w.sum(1, keepdim=True)
    beta = _validate.non_negative(beta, "beta")
    if beta < 1e-8:  # the penalty moves p by about beta
        return w
    values = w.cpu().numpy() / beta

    def row(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p at exp(c / beta) = exp(u), computed as exp(u + W), and its derivative by u."""
        root = _lambert_of_exp(np.log(np.maximum(values, 1e-300)) - u[:, None])
        root = np.where(values > 0, root, 0.0)
        p = np.exp(u[:, None] + root)
        return p, p / (1 + root)

    low, high = np.full(len(w), -60.0 - 60.0 / beta), np.zeros(len(w))
    u = np.full(len(w), -np.log(w.shape[1]))
    for _ in range(100):  # the row sum grows with u: Newton on its logarithm, inside a bracket
        p, slope = row(u)
        total = p.sum(1)
        low, high = np.where(total > 1, low, u), np.where(total > 1, u, high)
        if np.abs(total - 1).max() < 1e-14:
            break
        step = u - np.log(total) * total / slope.sum(1)
        u = np.where((step > low) & (step < high), step, (low + high) / 2)
    result = torch.from_numpy(p).to(w.device)
    return result / result.sum(1, keepdim=True)


def _lambert_of_exp(z: np.ndarray) -> np.ndarray:
    """W(exp(z)) for real z; for large z by Newton on W + log W = z, where exp(z) overflows."""
    small = np.minimum(z, 500.0)
    value = np.real(lambertw(np.exp(small)))
    large = z > 500.0
    if large.any():
        x = z[large]
        guess = x - np.log(x)
        for _ in range(5):
            guess = guess - (guess + np.log(guess) - x) / (1 + 1 / guess)
        value[large] = guess
    return value


def label_smoothing_at_rate(
    p_y_given_x: ArrayLike,
    rate: float,
    *,
    p_x: ArrayLike | None = None,
    smoothing: ArrayLike | None = None,
) -> torch.Tensor:
    """Label smoothing (1 - alpha) p(y|x) + alpha r with the alpha that gives this I(X;T).

    Args:
        p_y_given_x: `(N, K)`. rate: nats, in [0, I(X;Y)]. smoothing: r `(K,)`, default uniform.

    Returns:
        Soft targets `(N, K)`.

    >>> q = label_smoothing_at_rate([[1., 0.], [0., 1.], [.5, .5]], 0.2453761381123314)
    >>> round(q[0, 1].item(), 9)  # alpha / 2
    0.1
    """
    rows = merge_rows(p_y_given_x, p_x)
    classes = rows.w.shape[1]
    if smoothing is None:
        r = torch.full((classes,), 1.0 / classes, dtype=torch.float64)
    else:
        r = _validate.class_distribution(smoothing, "smoothing", classes).to(rows.w)
    return _at_rate(lambda keep: keep * rows.w + (1 - keep) * r, rows, rate, 1.0)


def geometric_smoothing(
    p_y_given_x: ArrayLike, rate: float, *, p_x: ArrayLike | None = None
) -> torch.Tensor:
    """softmax_t( s p(t|x) ), the geometric mean of uniformly smoothed labels, at this I(X;T).

    It is what the discrete VIB with a frozen, uniformly softened classifier converges to.

    Args:
        p_y_given_x: `(N, K)`. rate: nats, from zero to the information of the vote's majority.

    Returns:
        Soft targets `(N, K)`.

    >>> toy = [[1., 0.], [0., 1.], [.8, .2], [.2, .8]]
    >>> q = geometric_smoothing(toy, 0.3)
    >>> round((q[0, 0] / q[0, 1]).log().item(), 8)
    2.36419487
    """
    rows = merge_rows(p_y_given_x, p_x)
    return _at_rate(lambda s: torch.softmax(s * rows.w, 1), rows, rate, _STEEPEST)


def agreement_smoothing(
    p_y_given_x: ArrayLike, rate: float, *, p_x: ArrayLike | None = None
) -> torch.Tensor:
    """softmax_t( log p(t) + s sum_y p(y|x) log P(Y'=y | Y=t) ) at this I(X;T).

    P(Y'|Y) is how often a second person agrees: one Blahut-Arimoto step from T = a label, so no
    optimization beyond the one number s.

    Args:
        p_y_given_x: `(N, K)`. rate: nats, from zero to what the sharpest s gives.

    Returns:
        Soft targets `(N, K)`; classes that nobody votes for get no mass.

    >>> toy = [[1., 0.], [0., 1.], [.8, .2], [.2, .8]]
    >>> bool(torch.allclose(agreement_smoothing(toy, 0.3), geometric_smoothing(toy, 0.3)))
    True
    """
    rows = merge_rows(p_y_given_x, p_x)
    prior, joint = rows.prior, rows.agreement
    tiny = torch.finfo(joint.dtype).tiny
    # [y, t] = P(Y'=y | Y=t). What never occurs counts as the smallest positive number: with
    # labels that all agree the family then is the geometric one, and no rate is jumped over.
    given = (joint / prior.clamp_min(tiny)).clamp_min(tiny)
    start = prior.clamp_min(tiny).log().masked_fill(prior == 0, -torch.inf)
    logits = rows.w @ given.log()

    def encoder(s: float) -> torch.Tensor:
        return torch.softmax(start + s * logits, 1)

    return _at_rate(encoder, rows, rate, _STEEPEST)


def _at_rate(
    encoder: Callable[[float], torch.Tensor], rows: Rows, rate: float, largest: float
) -> torch.Tensor:
    """The member of a one-parameter family, trivial at zero, whose I(X;T) is `rate`."""
    rate = _validate.non_negative(rate, "rate")

    def excess(s: float) -> float:
        return mixture_information(encoder(s), rows.p).item() - rate

    high = min(1.0, largest)
    while (top := excess(high)) < 0 and high < largest:
        high = min(4 * high, largest)
    if top < -1e-12:
        raise ValueError(
            f"rate must lie in [0, {top + rate:.10g}] for this family and these labels, "
            f"got {rate:.10g}"
        )
    if rate == 0 or top <= 0:
        return encoder(0.0 if rate == 0 else high)[rows.index]
    # excess(0) = -rate < 0 < top
    found = encoder(brentq(excess, 0.0, high, xtol=1e-18, rtol=1e-14))
    if abs(reached := mixture_information(found, rows.p).item() - rate) > 1e-8:
        raise ValueError(f"the family jumps over rate {rate:.10g} by {reached:.3g} nats")
    return found[rows.index]
