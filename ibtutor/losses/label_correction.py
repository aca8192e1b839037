"""Label correction: targets mixed with the model's own prediction."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import labeled, times


def label_correction(
    logits: Tensor,
    labels: ArrayLike,
    eps: float | Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """(1 - eps) NLL + eps H(p) in nats: cross-entropy against (1 - eps) one-hot + eps p.

    The prediction p in the target is part of the graph: gradients flow through both places of it
    (Wang et al. 2021, ProSelfLC, as Yi et al. 2022 compare with). It rewards confidence where the
    confidence penalty punishes it. A class with logit minus infinity is masked: it adds nothing to
    the entropy.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        labels: `(N, d1, ...)` integers.
        eps: share of the model's own prediction, in [0, 1]; 0 is plain cross-entropy. A number, or
            a tensor that broadcasts over the labels.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean", "sum" or "none", as for `label_smoothing`.

    Raises:
        TypeError: logits or a strength tensor not floating, labels not integers.
        ValueError: eps outside [0, 1], a label out of range, shapes that do not match, an unknown
            reduction, K < 2; values where reading them is free, as for `label_smoothing`.

    >>> import torch
    >>> round(label_correction(torch.zeros(1, 2), torch.tensor([0]), 0.3).item(), 6)
    0.693147
    """
    batch = labeled(logits, labels, ignore_index, reduction)
    nll = batch.nll()
    eps = _inputs.strength(eps, "eps", nll, _validate.unit_interval)
    return batch.reduce(times(1 - eps, nll) + eps * batch.entropy())
