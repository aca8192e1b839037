"""Checks that all losses share. NaN logits pass: the loss is NaN, and the training loop says so."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate


def logits_and_labels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `(B, K)`, K >= 2, and integer labels `(B,)` in 0 .. K - 1."""
    logits = check_logits(logits)
    return logits, _validate.class_labels(labels, len(logits), logits.shape[1])


def check_logits(logits: Tensor) -> Tensor:
    """A floating tensor of shape `(B, K)` with B >= 1 and K >= 2."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"logits must be a torch tensor, got {type(logits).__name__}")
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating, got {logits.dtype}")
    if logits.ndim != 2 or logits.numel() == 0:
        raise ValueError(f"logits must have shape (batch, classes), got {tuple(logits.shape)}")
    if logits.shape[1] < 2:
        raise ValueError(f"logits must have at least 2 classes, got {logits.shape[1]}")
    return logits


def class_weights(weight: Tensor, num_classes: int) -> Tensor:
    """Weights `(K,)`, zero or more, finite, not all zero, in float64."""
    w = _validate.as_float_tensor(weight, "weight").to(torch.float64)
    if w.shape != (num_classes,):
        raise ValueError(f"weight must have shape ({num_classes},), got {tuple(w.shape)}")
    _validate.check_finite(w, "weight")
    if w.min() < 0:
        raise ValueError(f"weight must be zero or more, got {w.min().item():.6g}")
    if w.max() == 0:
        raise ValueError("weight must not be zero for every class, got all zeros")
    return w
