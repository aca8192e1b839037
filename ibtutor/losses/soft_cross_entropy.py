"""Cross-entropy with probabilities as targets."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import log_softmax, reduce, times


def soft_cross_entropy(logits: Tensor, targets: ArrayLike, *, reduction: str = "mean") -> Tensor:
    """H(target, softmax(logits)) in nats.

    A class with logit minus infinity is masked: the loss is finite where its target is zero and
    infinite elsewhere. Probabilities name no position to ignore, in torch neither: take the mean
    over some positions from `reduction="none"`.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        targets: of the same shape, with a sum of one over the classes.
        reduction: "mean" over all positions, "sum", or "none" for `(N, d1, ...)`.

    Raises:
        TypeError: logits not floating.
        ValueError: shapes differ, an unknown reduction, K < 2; or targets that are no
            distributions, where reading them is free: on the CPU, outside `torch.compile` and
            `torch.func`.

    >>> import torch
    >>> round(float(soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]))), 4)
    0.6931
    """
    logits = _inputs.check_logits(logits)
    reduction = _inputs.check_reduction(reduction)
    q, log_p = _inputs.distributions(targets, logits), log_softmax(logits)
    return reduce(-times(q.to(log_p), log_p).sum(_inputs.class_dim(logits)), reduction)
