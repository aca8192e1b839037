"""What the losses on a latent share: the values that it takes, their weights and their losses.

Either S values were sampled for each input and each weighs 1 / S, or the latent is one of C
categories and each weighs p(z|x). With the values last, `(N, d1, ..., V)`, both are one case.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import Batch, log_softmax


class Latent(NamedTuple):
    """Weights and losses of the values of a latent, and how to reduce over the inputs."""

    log_weight: Tensor | None  # log p(z|x), (N, d1, ..., C); None where S samples weigh the same
    nll: Tensor  # -log p(y|z) of the label, (N, d1, ..., V)
    batch: Batch


def latent(
    logits: Tensor,
    labels: ArrayLike,
    encoder_logits: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Latent:
    """Check the arguments of a cross-entropy and look up the loss of every value."""
    if encoder_logits is not None:
        return _categories(logits, labels, encoder_logits, ignore_index, reduction)
    if isinstance(logits, Tensor) and (logits.ndim < 3 or logits.numel() == 0):
        raise ValueError(
            "logits must have shape (samples, batch, classes, ...) without an empty dimension, "
            f"got {tuple(logits.shape)}; one sample is logits[None], and the table of a "
            "categorical latent needs encoder_logits"
        )
    logits = logits.movedim(0, -1) if isinstance(logits, Tensor) else logits
    logits = _inputs.check_logits(logits)  # (N, K, d1, ..., S)
    batch = encoded(logits[..., 0], labels, logits.shape[1], ignore_index, reduction, "logits")
    if batch.ignored is not None:
        logits = logits.masked_fill(batch.ignored.unsqueeze(1).unsqueeze(-1), 0.0)
    repeated = batch.labels.unsqueeze(-1).expand(*batch.labels.shape, logits.shape[-1])
    return Latent(None, F.nll_loss(log_softmax(logits), repeated, reduction="none"), batch)


def _categories(
    logits: Tensor, labels: ArrayLike, encoder_logits: Tensor, ignore_index: int, reduction: str
) -> Latent:
    """One table holds the losses of all inputs."""
    logits = _inputs.check_logits(logits)
    if logits.ndim != 2:
        raise ValueError(
            "logits must have shape (categories, classes) beside encoder_logits, got "
            f"{tuple(logits.shape)}"
        )
    batch = encoded(encoder_logits, labels, logits.shape[1], ignore_index, reduction)
    log_weight = batch.log_p.movedim(_inputs.class_dim(batch.log_p), -1)
    if log_weight.shape[-1] != len(logits):
        raise ValueError(
            f"logits must have one row for each of the {log_weight.shape[-1]} categories of "
            f"encoder_logits, got shape {tuple(logits.shape)}"
        )
    nll = -log_softmax(logits).t().index_select(0, batch.labels.flatten())
    return Latent(log_weight, nll.view(log_weight.shape), batch)


def encoded(
    logits: Tensor,
    labels: ArrayLike,
    num_classes: int,
    ignore_index: int,
    reduction: str,
    name: str = "encoder_logits",
) -> Batch:
    """`log_p` over the categories beside labels of other classes; ignored labels become 0."""
    logits = _inputs.check_logits(logits, name, "categories" if name != "logits" else "classes")
    labels = _inputs.class_labels(labels, logits, name)
    ignore_index = _inputs.ignored_value(ignore_index, num_classes)
    reduction = _inputs.check_reduction(reduction)
    ignored = None
    if not _inputs.readable(labels) or _inputs.label_range(labels, num_classes, ignore_index):
        ignored = labels == ignore_index
        labels = labels.masked_fill(ignored, 0)
        logits = logits.masked_fill(ignored.unsqueeze(_inputs.class_dim(logits)), 0.0)
    return Batch(log_softmax(logits), labels, ignored, ignore_index, reduction)
