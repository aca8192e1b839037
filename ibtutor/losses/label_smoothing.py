"""Label smoothing: cross-entropy against (1 - alpha) one-hot + alpha r."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ibtutor.info import _validate
from ibtutor.losses._inputs import class_weights, logits_and_labels


def label_smoothing(
    logits: Tensor,
    labels: Tensor,
    alpha: float,
    *,
    smoothing: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean smoothed cross-entropy in nats (Kudo 2025, Eqs. 1 to 3).

    Uniform smoothing is torch's own `cross_entropy(label_smoothing=alpha)`. With class weights
    the sum over the batch is divided by the sum of the labels' weights, as torch does.

    Args:
        logits: `(B, K)`.
        labels: `(B,)` integers.
        alpha: strength in [0, 1]; 0 is plain cross-entropy.
        smoothing: distribution r of shape `(K,)`; uniform if None.
        weight: class weights of shape `(K,)`; all one if None.

    Raises:
        ValueError: a strength, label, weight or distribution outside its range, batches of
            different size, K < 2.

    >>> import torch
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(label_smoothing(logits, torch.tensor([0]), 0.1)), 7)
    0.4632974
    """
    logits, labels = logits_and_labels(logits, labels)
    alpha = _validate.unit_interval(alpha)
    k = logits.shape[1]
    w = None if weight is None else class_weights(weight, k).to(logits)
    if smoothing is None:
        return F.cross_entropy(logits, labels, weight=w, label_smoothing=alpha)
    r = _validate.class_distribution(smoothing, "smoothing", k).to(logits)
    target = (1 - alpha) * F.one_hot(labels, k).to(logits) + alpha * r
    if w is None:
        return F.cross_entropy(logits, target)
    losses = -(target * w * F.log_softmax(logits, dim=1)).sum(1)
    return losses.sum() / w[labels].sum()
