"""What the losses on labels share: log-probabilities, ignored positions and the reduction.

Ignored positions have loss zero and gradient zero whatever their logits hold. (In torch, NaN
logits there make the gradient NaN.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs


class Batch(NamedTuple):
    """The checked arguments of a loss; `ignored` is None where it is known that none is."""

    log_p: Tensor  # (N, K, d1, ...)
    labels: Tensor  # (N, d1, ...)
    ignored: Tensor | None
    ignore_index: int
    reduction: str

    def nll(self) -> Tensor:
        """-log p of the label at each position, `(N, d1, ...)`."""
        return F.nll_loss(self.log_p, self.labels, ignore_index=self.ignore_index, reduction="none")

    def entropy(self) -> Tensor:
        """H(p) at each position, `(N, d1, ...)`: a class of probability zero counts zero."""
        p, log_p = self.log_p.exp(), self.log_p.clamp(min=torch.finfo(self.log_p.dtype).min)
        return -(p * log_p).sum(_inputs.class_dim(log_p))

    def weights(self, w: Tensor) -> Tensor:
        """The class weights at the labels, `(N, d1, ...)`; zero where ignored."""
        hidden = self.ignored
        labels = self.labels if hidden is None else self.labels.masked_fill(hidden, 0)
        # Not w[labels]: under vmap the index may be a scalar, which torch would read back.
        at_labels = w.flatten().gather(0, labels.flatten()).view(labels.shape)
        return at_labels if hidden is None else at_labels.masked_fill(hidden, 0.0)

    def reduce(self, losses: Tensor, weights: Tensor | None = None) -> Tensor:
        """Reduce losses `(N, d1, ...)` as torch does; a mean is over `weights`, where given."""
        if self.ignored is not None:
            losses = losses.masked_fill(self.ignored, 0.0)
        if self.reduction != "mean" or (weights is None and self.ignored is None):
            return reduce(losses, self.reduction)
        if weights is None:
            return losses.sum() / (~self.ignored).sum()
        total = weights.sum()  # zero: NaN as in torch, not x / 0
        return losses.sum() / total.masked_fill(total == 0, math.nan)


def labeled(logits: Tensor, labels: ArrayLike, ignore_index: int, reduction: str) -> Batch:
    """Check the arguments that all losses on labels have."""
    logits = _inputs.check_logits(logits)
    soft = "; probabilities go to soft_cross_entropy"
    labels = _inputs.class_labels(labels, logits, hint=soft)
    dim = _inputs.class_dim(logits)
    ignore_index = _inputs.ignored_value(ignore_index, logits.shape[dim])
    reduction = _inputs.check_reduction(reduction)
    ignored = None
    # Where labels cannot be read, assume that some are ignored: it costs one pass more.
    if not _inputs.readable(labels) or _inputs.label_range(labels, logits.shape[dim], ignore_index):
        ignored = labels == ignore_index
        logits = logits.masked_fill(ignored.unsqueeze(dim), 0.0)
    return Batch(log_softmax(logits), labels, ignored, ignore_index, reduction)


def log_softmax(logits: Tensor) -> Tensor:
    """Over the classes; half precision in float32, as autocast does on most devices."""
    wide = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else None
    return F.log_softmax(logits, dim=_inputs.class_dim(logits), dtype=wide)


def times(share: float | Tensor, cost: Tensor) -> Tensor:
    """share * cost, where nothing of an infinite cost is nothing."""
    if (isinstance(share, Tensor) or share == 0) and not _finite(cost):
        cost = cost.masked_fill(cost.isinf() & (share == 0), 0.0)
    return share * cost


def _finite(cost: Tensor) -> bool:
    """Whether `cost` is known to hold no infinity: one pass instead of the three of the mask."""
    return _inputs.readable(cost) and all(map(math.isfinite, torch.aminmax(cost.detach())))


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """All losses, their mean or their sum."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
