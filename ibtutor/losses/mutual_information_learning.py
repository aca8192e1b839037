"""Mutual information learning: cross-entropy plus the cross-entropy of the mean prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import Batch, labeled, times


def mutual_information_learning(
    logits: Tensor,
    labels: ArrayLike,
    strength: float | Tensor,
    *,
    prior: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """NLL + strength * CE(prior, mean prediction of the batch), in nats (Yi et al. 2022).

    The first term learns H(Y|X), the second H(Y); their difference is what the paper takes for
    I(X;Y). `prior` is the histogram of the batch's own labels if None. Since
    CE(prior, mean) = H(prior) + KL(prior || mean), the form with the divergence has the same
    gradient. The second term's is zero where the mean prediction equals the prior: the gradient
    there is that of cross-entropy. The second term belongs to the batch, not to an example: the
    value depends on how the data are cut into batches.

    A class that no label of the batch has adds zero to the second term, whatever is predicted for
    it; the term still pushes it down, since what it gets is missing from the classes that count.
    The mean is taken of log-probabilities by log-sum-exp, so a class of tiny probability gives a
    large number, not infinity.

    Args:
        logits: `(N, K, d1, ...)`, or `(K,)` without a batch.
        labels: `(N, d1, ...)` integers.
        strength: weight of the second term, zero or more; 0 is plain cross-entropy. A number, or a
            tensor that broadcasts over the labels.
        prior: distribution of the labels, shape `(K,)`; that of the batch if None.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean", "sum" or "none". Each position carries the second term once, so the mean
            of "none" over the positions that count is "mean", and "sum" is as many times that.
            Where all are ignored a sum is 0 and a mean NaN, as in torch; NaN logits give NaN.

    Raises:
        TypeError: logits or a strength tensor not floating, labels not integers.
        ValueError: strength negative or not finite, a label out of range, a prior that is no
            distribution, an empty batch, shapes that do not match, an unknown reduction, K < 2.
            Values are checked where reading them is free, as in `label_smoothing`.

    Source: Yi and others 2022, Equations 6 and 7, rebuilt from the text.

    With the right mean prediction, here of two examples of two classes, the second term is the
    entropy of the labels, log 2:

    >>> import torch
    >>> logits = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).log()
    >>> loss = mutual_information_learning(logits, torch.tensor([0, 1]), 50.0)
    >>> round(float(loss) + torch.tensor(0.8).log().item(), 4)  # 50 log 2
    34.6574
    """
    batch = labeled(logits, labels, ignore_index, reduction)
    nll, k = batch.nll(), logits.shape[_inputs.class_dim(logits)]
    strength = _inputs.strength(strength, "strength", nll, _validate.non_negative)
    log_p, one_hot, count = _rows(batch, k)
    if prior is None:
        target = one_hot.sum(0) / count.clamp(min=1)
    else:
        target = _inputs.class_distribution(prior, "prior", k).to(log_p)
    log_mean = _log_sum_exp(log_p) - count.clamp(min=1).log()
    return batch.reduce(nll + times(strength, -times(target, log_mean).sum()))


def _log_sum_exp(log_p: Tensor) -> Tensor:
    """Over positions, `(K,)`; a class masked at all of them has minus infinity, gradient zero."""
    masked = (log_p == -torch.inf).all(0)
    return log_p.masked_fill(masked, 0.0).logsumexp(0).masked_fill(masked, -torch.inf)


def _rows(batch: Batch, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities and one-hot labels `(positions, K)`, and how many positions count.

    A position that does not count has log-probability minus infinity; where none does, all stay,
    so that no gradient is NaN.
    """
    log_p = batch.log_p.movedim(_inputs.class_dim(batch.log_p), -1).reshape(-1, k)
    labels = batch.labels.reshape(-1, 1)
    one_hot = (labels == torch.arange(k, device=labels.device)).to(log_p.dtype)
    if batch.ignored is None:
        return log_p, one_hot, log_p.new_tensor(float(len(log_p)))
    hidden = batch.ignored.reshape(-1, 1)
    count = (~hidden).sum().to(log_p.dtype)
    return log_p.masked_fill(hidden & (count > 0), -torch.inf), one_hot, count
