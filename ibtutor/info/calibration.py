"""Expected calibration error: how far confidence and accuracy are apart, bin by bin."""

from __future__ import annotations

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

# Entries read at a time: they stay in the cache while maximum, sum and minimum are taken.
_CHUNK_ELEMENTS = 2**18
_BITS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def expected_calibration_error(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Top-label calibration error with bins of equal width, between 0 and 1.

    The confidence of an input is its largest probability. Bin b = 0 .. bins - 1 holds the
    confidences in [b / bins, (b + 1) / bins): closed on the left, open on the right, except
    that the last bin holds 1.0 too. The error is the mean over inputs of
    |accuracy - confidence| of their bin. The prediction is the first of the largest
    probabilities, as in `torch.argmax`, in ties too: one rule for accuracy everywhere in this
    package. Ties are common in half precision and at strong smoothing.

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
    >>> expected_calibration_error([[0.5, 0.5], [0.5, 0.5]], [0, 1])  # one of two is right
    0.0
    """
    bins = _validate.integer(bins, "bins", 1)
    confidence, right = top_label(probs, labels)
    # Per bin: n_b |accuracy_b - confidence_b| = |sum of (right - confidence)|.
    index, gaps = bin_index(confidence, bins), right - confidence
    gaps = torch.bincount(index, gaps, minlength=bins)
    return (gaps.abs().sum() / len(confidence)).item()


def top_label(probs: ArrayLike, labels: ArrayLike) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest probability of each row and whether its class is the label, float64 `(N,)`.

    Checks the arguments as `expected_calibration_error` says.
    """
    p = _validate.as_float_tensor(probs, "probs").detach()
    if p.ndim != 2:
        raise ValueError(f"probs must have shape (N, K), got {tuple(p.shape)}")
    y = _validate.class_labels(labels, *p.shape).to(p.device)
    confidence, at_label = _read_rows(p, y)
    right = _first_largest(p, y, at_label == confidence, confidence)
    return confidence.to(torch.float64), right.to(torch.float64)


def bin_index(confidence: torch.Tensor, bins: int) -> torch.Tensor:
    """The bin of each confidence: closed on the left, and the last one holds 1.0 too."""
    return (confidence * bins).long().clamp_(max=bins - 1)


def _first_largest(
    p: torch.Tensor, labels: torch.Tensor, largest: torch.Tensor, confidence: torch.Tensor
) -> torch.Tensor:
    """Where the label has the largest entry of its row and no class before it has the same."""
    # Two equal entries above one half cannot sum to one; `argmax` is slow, so only the rest.
    unsure = (largest & (confidence <= 0.5 + _validate.sum_tolerance(p.dtype))).nonzero()[:, 0]
    for rows in unsure.split(max(1, _CHUNK_ELEMENTS // p.shape[1])):
        largest[rows] = p[rows].argmax(1) == labels[rows]
    return largest


def _read_rows(p: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest entry of each row and entry at its label; checks the rows in the same pass.

    Bits of floats that are not negative have the order of the floats, and comparing integers
    is faster because there is no NaN among them.
    """
    n, k = p.shape
    rows = max(1, _CHUNK_ELEMENTS // k)
    bits = p.view(_BITS[p.dtype])
    largest, at_label, sums = bits.new_empty(n), p.new_empty(n), p.new_zeros(n)
    smallest = bits.new_empty(-(-n // rows))
    ones = p.new_ones(k)
    pieces = (x.split(rows) for x in (p, bits, labels.unsqueeze(1), largest, at_label, sums))
    for i, (part, bit, label, top, chosen, total) in enumerate(zip(*pieces, strict=True)):
        torch.amax(bit, 1, out=top)
        torch.mv(part, ones, out=total)
        torch.amin(bit, (0, 1), out=smallest[i])
        torch.gather(part, 1, label, out=chosen.unsqueeze(1))
    _check(p, sums, bool(smallest.amin() < 0))
    return largest.view(p.dtype), at_label


def _check(p: torch.Tensor, sums: torch.Tensor, signed: bool) -> None:
    tolerance = _validate.sum_tolerance(p.dtype)
    # However the k addends of a row were ordered, their sum is off by less than this.
    rounding = p.shape[1] * torch.finfo(p.dtype).eps
    low, high = (x.item() for x in torch.aminmax(sums))
    if low - rounding >= 1 - tolerance and high + rounding <= 1 + tolerance and not signed:
        return  # NaN and infinity fail the first two
    _validate.probabilities(p, "probs")  # -0.0 has a sign too, and passes
