"""Expected calibration error: how far confidence and accuracy are apart, bin by bin."""

from __future__ import annotations

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

# Entries read at a time: they stay in the cache while maximum, sum and minimum are taken.
_CHUNK_ELEMENTS = 2**17


def expected_calibration_error(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Top-label calibration error with bins of equal width, between 0 and 1.

    The confidence of an input is its largest probability. Bin b = 0 .. bins - 1 holds the
    confidences in [b / bins, (b + 1) / bins): closed on the left, open on the right, except
    that the last bin holds 1.0 too. The error is the mean over inputs of
    |accuracy - confidence| of their bin. A tie for the largest probability counts as right
    if the label is among the tied.

    Args:
        probs: predictions, shape `(N, K)`; rows sum to one.
        labels: integer labels, shape `(N,)`.
        bins: number of bins.

    Returns:
        A Python float. It depends on the number of bins, and it does not tell
        over-confidence from under-confidence.

    Raises:
        ValueError: if a row is not a distribution, a label is out of range or bins < 1.
        TypeError: if labels or bins are not integers.

    Source: Guo et al. 2017, Eq. 3; Bonilla 2025, Table 1.

    >>> probs = [[0.9, 0.1], [0.9, 0.1]]
    >>> round(expected_calibration_error(probs, [0, 1]), 6)  # |1/2 - 0.9|
    0.4
    >>> expected_calibration_error([[1.0, 0.0]], [0])
    0.0
    """
    p = _validate.as_float_tensor(probs, "probs").detach()
    if p.ndim != 2:
        raise ValueError(f"probs must have shape (N, K), got {tuple(p.shape)}")
    bins = _validate.integer(bins, "bins", 1)
    n, k = p.shape
    y = _validate.class_labels(labels, n, k).to(p.device)
    confidence = _row_maxima(p)
    right = p.gather(1, y.unsqueeze(1)).squeeze(1) == confidence
    confidence = confidence.to(torch.float64)
    index = (confidence * bins).long().clamp_(max=bins - 1)
    # Per bin: n_b |accuracy_b - confidence_b| = |sum of (right - confidence)|.
    gaps = torch.bincount(index, right.to(torch.float64) - confidence, minlength=bins)
    return (gaps.abs().sum() / n).item()


def _row_maxima(p: torch.Tensor) -> torch.Tensor:
    """Largest entry of each row; checks the rows while they are in the cache."""
    n, k = p.shape
    rows = max(1, _CHUNK_ELEMENTS // k)
    maxima, sums = p.new_empty(n), p.new_empty(n)
    lowest = p.new_empty(-(-n // rows))
    ones = p.new_ones(k)
    pieces = zip(p.split(rows), maxima.split(rows), sums.split(rows), strict=True)
    for i, (part, top, total) in enumerate(pieces):
        torch.amax(part, 1, out=top)
        torch.mv(part, ones, out=total)
        torch.amin(part, (0, 1), out=lowest[i])
    if not torch.isfinite(sums).all():
        _validate.check_finite(p, "probs")
    if lowest.amin().item() < 0:
        raise ValueError(f"probs must not be negative, got an entry {lowest.amin().item():.6g}")
    _validate.check_sums(sums.to(torch.float64), "probs", _validate.sum_tolerance(p.dtype))
    return maxima
