"""The confidence penalty: cross-entropy minus beta times the entropy of the output."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import labeled


def confidence_penalty(
    logits: Tensor,
    labels: ArrayLike,
    beta: float | Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """NLL - beta H(p) in nats (Kudo 2025, Eqs. 10 and 11; Pereyra et al. 2017).

    It equals NLL + beta KL(p||u) - beta log K, with u uniform. A class with logit minus infinity
    is masked: it adds nothing to the entropy.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        labels: `(N, d1, ...)` integers.
        beta: weight, zero or more; 0 is plain cross-entropy. A number, or a tensor that broadcasts
            over the labels.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean", "sum" or "none", as for `label_smoothing`.

    Raises:
        TypeError: logits or a strength tensor not floating, labels not integers.
        ValueError: beta negative, a label out of range, shapes that do not match, an unknown
            reduction, K < 2; values where reading them is free, as for `label_smoothing`.

    >>> import torch
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(confidence_penalty(logits, torch.tensor([0]), 0.0)), 6)
    0.356675
    """
    batch = labeled(logits, labels, ignore_index, reduction)
    nll = batch.nll()
    beta = _inputs.strength(beta, "beta", nll, _validate.non_negative)
    return batch.reduce(nll - beta * batch.entropy())
