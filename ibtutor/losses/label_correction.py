"""Label correction: targets mixed with the model's own prediction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ibtutor.info import _validate
from ibtutor.losses._inputs import logits_and_labels


def label_correction(logits: Tensor, labels: Tensor, eps: float) -> Tensor:
    """Mean of (1 - eps) NLL + eps H(p) in nats: cross-entropy against (1 - eps) one-hot + eps p.

    The prediction p in the target is part of the graph: gradients flow through both places of it
    (Wang et al. 2021, ProSelfLC, as Yi et al. 2022 compare with). It rewards confidence where the
    confidence penalty punishes it.

    Args:
        logits: `(B, K)`.
        labels: `(B,)` integers.
        eps: share of the model's own prediction, in [0, 1]; 0 is plain cross-entropy.

    Raises:
        ValueError: eps outside [0, 1], a label out of range, batches of different size, K < 2.

    >>> round(label_correction(torch.zeros(1, 2), torch.tensor([0]), 0.3).item(), 6)
    0.693147
    """
    logits, labels = logits_and_labels(logits, labels)
    eps = _validate.unit_interval(eps, "eps")
    log_p = F.log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(1).mean()
    return (1 - eps) * F.nll_loss(log_p, labels) + eps * entropy
