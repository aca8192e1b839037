"""Cross-entropy with probabilities as targets."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ibtutor.info import _validate
from ibtutor.losses._inputs import check_logits


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch of H(target, softmax(logits)), in nats.

    Args:
        logits: `(B, K)`.
        targets: `(B, K)`, rows that sum to one.

    Raises:
        ValueError: shapes differ, K < 2, or a row is no distribution.

    >>> import torch
    >>> round(float(soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]))), 4)
    0.6931
    """
    logits = check_logits(logits)
    q = _validate.probabilities(targets, "targets", ndim=2)
    _validate.same_shape(logits, q, ("logits", "targets"))
    return F.cross_entropy(logits, q.to(logits))
