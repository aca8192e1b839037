"""The variational bottleneck whose latent is the predicted class."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ibtutor.info import _validate
from ibtutor.losses._inputs import logits_and_labels


def discrete_vib(
    logits: Tensor,
    labels: Tensor,
    beta: float,
    *,
    eps: float = 0.1,
    smoothing: Tensor | None = None,
) -> Tensor:
    """Mean of E_p[-log q(y|T)] + beta KL(p||r) in nats (Kudo 2025, Eq. 8), with T a class.

    The decoder is the soft indicator q(y|t) = (1 - eps) 1[y=t] + eps / K. With the indicator
    itself (eps = 0) the first term is infinite unless the output is exactly one-hot, so eps must
    be positive. The first term is bounded and linear in p_y; the loss does not become
    cross-entropy at beta = 0 but `c + log(1 + K (1 - eps) / eps) (1 - p_y)`.

    Args:
        logits: `(B, K)`.
        labels: `(B,)` integers.
        beta: weight of the rate, zero or more.
        eps: softness of the decoder, in (0, 1].
        smoothing: prior r over the K values of T, shape `(K,)`, positive; uniform if None.

    Raises:
        ValueError: a value outside its range, batches of different size, K < 2.

    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(discrete_vib(logits, torch.tensor([0]), 0.0)), 6)
    1.068654
    """
    logits, labels = logits_and_labels(logits, labels)
    beta, eps = _validate.non_negative(beta), _validate.unit_interval(eps, "eps")
    if eps == 0:
        raise ValueError(
            "eps must be positive, got 0: with the indicator as decoder the loss is infinite on "
            "every softmax output"
        )
    k = logits.shape[1]
    if smoothing is None:
        r = torch.full((k,), 1 / k, dtype=logits.dtype, device=logits.device)
    else:
        r = _validate.class_distribution(smoothing, "smoothing", k).to(logits)
        if r.min() <= 0:
            raise ValueError(f"smoothing must be positive everywhere, got {r.min().item():.6g}")
    log_p = F.log_softmax(logits, dim=1)
    p = log_p.exp()
    p_y = p.gather(1, labels[:, None]).squeeze(1)
    on, off = -math.log(1 - eps + eps / k), -math.log(eps / k)
    rate = (p * (log_p.clamp(min=torch.finfo(p.dtype).min) - r.log())).sum(1)
    return (p_y * on + (1 - p_y) * off + beta * rate).mean()
