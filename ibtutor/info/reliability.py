"""Calibration beyond one number: diagram, signed gap, Brier score, and one paper's own error."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.calibration import bin_index, top_label


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Top-label confidence and accuracy in bins of equal width, `(bins,)` each.

    Attributes:
        edges: the `bins + 1` ends of the bins, from 0 to 1.
        counts: inputs in each bin, int64.
        confidence: mean confidence in each bin; NaN where it is empty.
        accuracy: share of right predictions in each bin; NaN where it is empty.
    """

    edges: torch.Tensor
    counts: torch.Tensor
    confidence: torch.Tensor
    accuracy: torch.Tensor

    @property
    def gaps(self) -> torch.Tensor:
        """Confidence less accuracy in each bin: positive where the outputs are over-confident."""
        return self.confidence - self.accuracy

    @property
    def gap(self) -> float:
        """Mean confidence less accuracy, in [-1, 1]: `calibration_gap`."""
        return self._mean(self.gaps)

    @property
    def error(self) -> float:
        """The mean of the bins' |gap| over inputs: `expected_calibration_error`."""
        return self._mean(self.gaps.abs())

    def _mean(self, values: torch.Tensor) -> float:
        # Empty bins hold NaN, and nothing of NaN is NaN.
        return ((values.nan_to_num(0.0) * self.counts).sum() / self.counts.sum()).item()


def reliability_diagram(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> ReliabilityDiagram:
    """What a reliability diagram shows: accuracy against confidence, bin by bin.

    Bins, ties and checks are those of `expected_calibration_error`, which is its `.error`.

    Args:
        probs: predictions, shape `(N, K)`; rows sum to one.
        labels: integer labels, shape `(N,)`.
        bins: number of bins.

    Raises:
        ValueError: if a row is not a distribution, a label is out of range or bins < 1.
        TypeError: if labels or bins are not integers.

    Source: DeGroot and Fienberg 1983; Guo et al. 2017, figure 1.

    >>> found = reliability_diagram([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], [0, 1, 1], bins=2)
    >>> found.counts.tolist(), round(found.accuracy[1].item(), 4), round(found.gap, 4)
    ([0, 3], 0.6667, 0.1333)
    """
    bins = _validate.integer(bins, "bins", 1)
    confidence, right = top_label(probs, labels)
    index = bin_index(confidence, bins)
    counts = torch.bincount(index, minlength=bins)
    sums = (torch.bincount(index, values, minlength=bins) for values in (confidence, right))
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=index.device)
    return ReliabilityDiagram(edges, counts, *(total / counts for total in sums))


def calibration_gap(probs: ArrayLike, labels: ArrayLike) -> float:
    """Mean confidence less accuracy, in [-1, 1]: positive where the outputs are over-confident.

    It has a sign, which the calibration error lacks, and needs no bins. Gaps of opposite sign
    cancel: its absolute value is at most the calibration error, whatever the bins. Smoothed
    training mostly makes it negative.

    Args, raises: as `expected_calibration_error`.

    >>> round(calibration_gap([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 6)  # 0.9 - 1/2
    0.4
    >>> round(calibration_gap([[0.6, 0.4], [0.4, 0.6]], [0, 1]), 6)  # 0.6 - 1
    -0.4
    """
    confidence, right = top_label(probs, labels)
    return (confidence - right).mean().item()


def brier_score(probs: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance of the outputs to the one-hot labels, in [0, 2].

    Summed over the classes, as Brier 1950 has it: with two classes it is twice the square of the
    error of one probability, which some libraries give. Unlike a calibration error it is a proper
    score: for given p(y|x) no other outputs have a lower expectation, and it hangs on no bins.

    Args, raises: as `expected_calibration_error`.

    >>> round(brier_score([[0.7, 0.2, 0.1]], [0]), 6)  # 0.3^2 + 0.2^2 + 0.1^2
    0.14
    >>> brier_score([[0.0, 1.0]], [0])
    2.0
    """
    p = _validate.probabilities(probs, "probs", ndim=2).detach()
    y = _validate.class_labels(labels, *p.shape).to(p.device)
    # |p - e|^2 = sum of p^2 - 2 p_y + 1, with no copy of the table.
    at_label = p.gather(1, y.unsqueeze(1)).to(torch.float64).squeeze(1)
    squares = torch.linalg.vector_norm(p, dim=1, dtype=torch.float64).square()
    return (squares - 2 * at_label + 1).mean().item()


def batched_calibration_error(
    probs: ArrayLike, labels: ArrayLike, bins: int = 10, batch_size: int = 100
) -> float:
    """The calibration error as coded for Bonilla 2025: the mean over batches and bins.

    The published evaluation bins each batch of 100 by itself and averages |accuracy - confidence|
    over all pairs (batch, bin) that are not empty, each with the same weight. Two things follow: a
    bin with one input counts as much as one with fifty, and the noise of a small bin, which does
    not cancel inside an absolute value, is taken for miscalibration. So outputs that are perfectly
    calibrated do not get 0, and the numbers of its Table 1 are not comparable with others; use
    `expected_calibration_error` for those.

    Its bins are open on the left and closed on the right, (j / bins, (j + 1) / bins].

    Args:
        probs: predictions, shape `(N, K)`; rows sum to one. Their order matters.
        labels: integer labels, shape `(N,)`.
        bins: number of bins in each batch.
        batch_size: rows a batch; the last may be shorter.

    Returns:
        A Python float in [0, 1].

    Raises:
        ValueError: if a row is not a distribution, a label is out of range, bins or batch_size < 1.
        TypeError: if labels, bins or batch_size are not integers.

    Source: `scripts/evaluate_models.py` of the paper's repository; Bonilla 2025, Table 1.

    >>> probs, labels = [[0.75, 0.25]] * 4, [0, 0, 0, 1]  # three of four are right
    >>> batched_calibration_error(probs, labels), batched_calibration_error(probs, labels, 10, 2)
    (0.0, 0.25)
    """
    bins = _validate.integer(bins, "bins", 1)
    batch_size = _validate.integer(batch_size, "batch_size", 1)
    confidence, right = top_label(probs, labels)
    # In float32 as coded: 0.3 read from float32 lies in the bin that ends with it.
    ends = torch.linspace(0, 1, bins + 1, device=confidence.device)
    index = torch.bucketize(confidence.float(), ends).sub_(1).clamp_(0, bins - 1)
    index += torch.arange(len(index), device=index.device) // batch_size * bins
    counts = torch.bincount(index)
    gaps = torch.bincount(index, right - confidence).abs()
    kept = counts > 0
    return (gaps[kept] / counts[kept]).mean().item()
