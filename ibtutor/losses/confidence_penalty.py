"""The confidence penalty: cross-entropy minus beta times the entropy of the output."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ibtutor.info import _validate
from ibtutor.losses._inputs import logits_and_labels


def confidence_penalty(logits: Tensor, labels: Tensor, beta: float) -> Tensor:
    """Mean of NLL - beta H(p) in nats (Kudo 2025, Eqs. 10 and 11; Pereyra et al. 2017).

    It equals NLL + beta KL(p||u) - beta log K, with u uniform.

    Args:
        logits: `(B, K)`.
        labels: `(B,)` integers.
        beta: weight, zero or more; 0 is plain cross-entropy.

    Raises:
        ValueError: beta negative, a label out of range, batches of different size, K < 2.

    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(confidence_penalty(logits, torch.tensor([0]), 0.0)), 6)
    0.356675
    """
    logits, labels = logits_and_labels(logits, labels)
    beta = _validate.non_negative(beta)
    log_p = F.log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(1)
    return F.nll_loss(log_p, labels) - beta * entropy.mean()
