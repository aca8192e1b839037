"""Label smoothing: cross-entropy against (1 - alpha) one-hot + alpha r."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import labeled, times


def label_smoothing(
    logits: Tensor,
    labels: ArrayLike,
    alpha: float | Tensor,
    *,
    smoothing: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Smoothed cross-entropy in nats (Kudo 2025, Eqs. 1 to 3).

    Uniform smoothing equals torch's own `cross_entropy(label_smoothing=alpha)`. With class weights
    the sum over the batch is divided by the sum of the labels' weights, as torch does.

    A class with logit minus infinity is masked: its probability is zero. Uniform smoothing asks
    for alpha / K of it, so the loss is then infinite by definition; give a `smoothing` that is
    zero there and the loss is finite.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        labels: `(N, d1, ...)` integers.
        alpha: strength in [0, 1]; 0 is plain cross-entropy. A number, or a tensor that broadcasts
            over the labels: `(N,)` or `(N, 1, ...)` is one strength for each example.
        smoothing: distribution r of shape `(K,)`; uniform if None.
        weight: class weights of shape `(K,)`; all one if None. (Under `torch.compile` both must be
            tensors.)
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1 (torch allows
            a class, which would then silently be dropped).
        reduction: "mean" over the positions that count, "sum", or "none" for `(N, d1, ...)`.
            Where all are ignored a sum is 0 and a mean NaN, as in torch; the mean is NaN also where
            all that count have weight zero.

    Raises:
        TypeError: logits or a strength tensor not floating, labels not integers.
        ValueError: a strength, label, weight or distribution outside its range, shapes that do not
            match, an unknown reduction, K < 2. Values are checked where reading them is free: on
            the CPU, outside `torch.compile` and `torch.func`.

    >>> import torch
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    >>> round(float(label_smoothing(logits, torch.tensor([0]), 0.1)), 7)
    0.4632974
    """
    batch = labeled(logits, labels, ignore_index, reduction)
    nll, k = batch.nll(), logits.shape[_inputs.class_dim(logits)]
    alpha = _inputs.strength(alpha, "alpha", nll, _validate.unit_interval)
    r = w = counts = None
    if smoothing is not None:
        r = _inputs.beside(_inputs.class_distribution(smoothing, "smoothing", k), batch.log_p)
    if weight is not None:
        w = _inputs.beside(_inputs.class_weights(weight, k), batch.log_p)
        counts = batch.weights(w)
        nll = times(counts, nll)
    mean_log = _mean_log(batch.log_p, r, w)
    return batch.reduce(times(1 - alpha, nll) - times(alpha, mean_log), counts)


def _mean_log(log_p: Tensor, r: Tensor | None, w: Tensor | None) -> Tensor:
    """E_r[log p] with r uniform if None and class weights w, at each position."""
    dim = _inputs.class_dim(log_p)
    if r is None and w is None:
        return log_p.mean(dim)
    share = 1 / log_p.shape[dim] if r is None else r
    return times(share if w is None else share * w, log_p).sum(dim)
