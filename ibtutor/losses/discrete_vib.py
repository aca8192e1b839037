"""The variational bottleneck whose latent is the predicted class."""

from __future__ import annotations

import math

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import labeled


def discrete_vib(
    logits: Tensor,
    labels: ArrayLike,
    beta: float | Tensor,
    *,
    eps: float = 0.1,
    smoothing: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """E_p[-log q(y|T)] + beta KL(p||r) in nats (Kudo 2025, Eq. 8), with T a class.

    The decoder is the soft indicator q(y|t) = (1 - eps) 1[y=t] + eps / K. With the indicator
    itself (eps = 0) the first term is infinite unless the output is exactly one-hot, so eps must
    be positive. The first term is bounded and linear in p_y; the loss does not become
    cross-entropy at beta = 0 but `c + log(1 + K (1 - eps) / eps) (1 - p_y)`. A class with logit
    minus infinity is masked: it adds nothing to either term.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        labels: `(N, d1, ...)` integers.
        beta: weight of the rate, zero or more. A number, or a tensor that broadcasts over the
            labels.
        eps: softness of the decoder, a number in (0, 1].
        smoothing: prior r over the K values of T, shape `(K,)`, positive; uniform if None.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean", "sum" or "none", as for `label_smoothing`.

    Raises:
        TypeError: logits or a strength tensor not floating, labels not integers.
        ValueError: a value outside its range, shapes that do not match, an unknown reduction,
            K < 2; values where reading them is free, as for `label_smoothing`.

    >>> import torch
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(discrete_vib(logits, torch.tensor([0]), 0.0)), 6)
    1.068654
    """
    eps = _inputs.number(eps, "eps", _validate.unit_interval)
    if eps == 0:
        raise ValueError(
            "eps must be positive, got 0: with the indicator as decoder the loss is infinite on "
            "every softmax output"
        )
    batch = labeled(logits, labels, ignore_index, reduction)
    p_y = batch.nll().neg().exp()
    beta = _inputs.strength(beta, "beta", p_y, _validate.non_negative)
    k = logits.shape[_inputs.class_dim(logits)]
    on, off = -math.log(1 - eps + eps / k), -math.log(eps / k)
    rate = -batch.entropy() - _mean_log(batch.log_p, smoothing, k)
    return batch.reduce(p_y * on + (1 - p_y) * off + beta * rate)


def _mean_log(log_p: Tensor, smoothing: ArrayLike | None, k: int) -> float | Tensor:
    """E_p[log r] at each position."""
    if smoothing is None:
        return -math.log(k)
    r = _inputs.class_distribution(smoothing, "smoothing", k)
    if _inputs.readable(r) and r.min() <= 0:
        raise ValueError(f"smoothing must be positive everywhere, got {r.min().item():.6g}")
    return (log_p.exp() * _inputs.beside(r.log(), log_p)).sum(_inputs.class_dim(log_p))
