"""Exact place of an encoder on the information plane, in one pass over its output matrix.

The matrix is read once, in chunks that fit the processor's cache. The logarithm is taken in
the type of the input; every sum over more than a few hundred numbers runs in float64. That
costs about a third of `torch.special.entr` on the whole matrix and adds a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.entropy import _ABOVE_MINUS_ONE, entropy

# A chunk of the matrix and its scratch copy stay in a 2 MB cache.
_CHUNK_ELEMENTS = {"cpu": 2**17}
_CHUNK_ELEMENTS_ON_DEVICE = 2**22
# Rows of one class are added in the input's type this many at a time, then in float64.
_RUN = 16
# Rows whose class sums are gathered before they go to float64.
_BLOCK_ELEMENTS = 2**25
_MAX_BLOCK_ROWS = 2**18
# Row entropies: a dot product over at most this many terms, then float64.
_SEGMENT = 64


@dataclass(frozen=True)
class InformationPlane:
    """Information quantities of an encoder, in nats; Y fields are None without labels.

    Attributes:
        i_xt: I(X;T), what the representation keeps of the input.
        i_ty: I(T;Y), what it tells of the label.
        h_t: H(T).
        h_t_given_x: H(T|X).
        h_y: H(Y).
        h_y_given_t: H(Y|T).
    """

    i_xt: float
    i_ty: float | None
    h_t: float
    h_t_given_x: float
    h_y: float | None
    h_y_given_t: float | None


def information_plane(
    p_t_given_x: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    p_y_given_x: ArrayLike | None = None,
    p_x: ArrayLike | None = None,
) -> InformationPlane:
    """Exact I(X;T) and I(T;Y) of the empirical distribution, in one pass.

    Args:
        p_t_given_x: encoder, shape `(N, T)`; row i is the distribution of T given input i.
            Any floating type; float64 arithmetic follows from float64 input.
        labels: integer labels, shape `(N,)`, one per input; or
        p_y_given_x: label distributions, shape `(N, K)`, for inputs with several labels.
            Give one of the two, or neither: then the quantities of Y are None.
        p_x: weights of the inputs, shape `(N,)`; uniform if not given.

    Returns:
        An `InformationPlane` of Python floats in nats, none of them negative.

    Raises:
        ValueError: if a row is not a distribution, shapes differ, a label is out of range,
            or both kinds of labels are given.
        TypeError: if labels are not integers.

    Not differentiable. For float32 input of 1,000 symbols the result is within 1e-6 of
    float64. Needs Y - X - T: given the input, T does not see the label.

    Source: Kudo 2025, Section 5 (the two axes of Figures 1, 3 and 4).

    >>> plane = information_plane([[1.0, 0.0], [0.0, 1.0]], labels=[0, 1])
    >>> round(plane.i_xt, 6), round(plane.i_ty, 6)  # log 2 on both axes
    (0.693147, 0.693147)
    >>> information_plane([[0.5, 0.5], [0.5, 0.5]]).i_xt
    0.0
    """
    p = _validate.as_float_tensor(p_t_given_x, "p_t_given_x").detach()
    if p.ndim != 2:
        raise ValueError(f"p_t_given_x must have shape (N, T), got {tuple(p.shape)}")
    if labels is not None and p_y_given_x is not None:
        raise ValueError("give labels or p_y_given_x, got both")
    weights = None if p_x is None else _validate.class_distribution(p_x, "p_x", len(p)).to(p.device)
    if p_y_given_x is not None:
        soft = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach().to(p.device)
        if len(soft) != len(p):
            raise ValueError(f"p_y_given_x must have {len(p)} rows, got {len(soft)}")
        collector: _Collector = _SoftLabels(p, weights, soft)
    else:
        hard = labels if labels is None else _validate.class_labels(labels, len(p)).to(p.device)
        collector = _HardLabels(p, weights, hard)
    with torch.no_grad():
        row_entropies = _scan(p, collector)
    h_t_given_x = row_entropies.mean() if weights is None else weights @ row_entropies
    # By its own mass, not by N: float32 rows miss one by about 1e-7, and so do their sums.
    collector.joint /= collector.joint.sum()
    return _summarize(h_t_given_x.item(), collector)


def _scan(p: torch.Tensor, collector: _Collector) -> torch.Tensor:
    """Read the matrix once: check rows, feed the collector, return row entropies `(N,)`."""
    n, t = p.shape
    work = torch.float64 if p.dtype == torch.float64 else torch.float32
    rows = max(1, min(n, _CHUNK_ELEMENTS.get(p.device.type, _CHUNK_ELEMENTS_ON_DEVICE) // t))
    segments = -(-t // _SEGMENT)
    width = t if segments == 1 else _SEGMENT
    scratch = p.new_zeros((rows, segments * width), dtype=work)
    copy = None if p.dtype == work else p.new_empty((rows, t), dtype=work)
    # log(0 + floor) is finite and 0 * log(floor) is 0; p + floor == p unless p < 1e-22.
    floor = 1e-30 if work == torch.float32 else 1e-300
    ones = p.new_ones(t, dtype=work)
    row_sums = p.new_zeros(n, dtype=work)
    row_entropies = p.new_empty(n, dtype=torch.float64)
    for block in _blocks(n, t, rows):
        parts = p.new_zeros((block.stop - block.start, segments), dtype=work)
        keys = collector.open(block)
        pieces = (x.split(rows) for x in (p[block], row_sums[block], parts, keys))
        for c, row_sum, part, key in zip(*pieces, strict=True):
            size = len(c)
            if copy is not None:
                c = copy[:size].copy_(c)
            full = scratch if size == rows else scratch[:size]
            b = full[:, :t]
            torch.add(c, floor, out=b)
            b.log_().mul_(c)
            torch.mv(full.view(-1, width), ones[:width], out=part.view(-1))
            torch.mv(c, ones, out=row_sum)
            collector.add(c, key, b)
        torch.sum(parts.to(torch.float64), 1, out=row_entropies[block])
        collector.close()
    _check_rows(p, row_sums, row_entropies)
    return row_entropies.neg_()


def _blocks(n: int, t: int, rows: int) -> list[slice]:
    size = max(rows, min(_MAX_BLOCK_ROWS, _BLOCK_ELEMENTS // t) // rows * rows)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _check_rows(p: torch.Tensor, row_sums: torch.Tensor, row_entropies: torch.Tensor) -> None:
    """Name the first bad row; the pass itself has met every entry."""
    # A negative entry has no logarithm, so it shows as NaN.
    bad = ~torch.isfinite(row_entropies) | ~torch.isfinite(row_sums)
    if bad.any():
        row = int(bad.nonzero()[0])
        value = next(v for v in p[row].tolist() if not 0.0 <= v < float("inf"))
        raise ValueError(f"p_t_given_x must be finite and not negative, got {value} in row {row}")
    _validate.check_sums(row_sums, "p_t_given_x", _validate.sum_tolerance(p.dtype))


class _Collector:
    """Adds up p(x) p(y|x) p(t|x) over the inputs into `joint`, shape `(Y, T)`."""

    has_labels = True

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, num_labels: int):
        self.joint = p.new_zeros((num_labels, p.shape[1]), dtype=torch.float64)
        # Scaled to mean one, so that sums are alike with and without weights.
        self.weights = None if weights is None else weights * len(p)

    def open(self, block: slice) -> torch.Tensor:
        """Begin a block of rows; returns what `add` needs of each row."""
        raise NotImplementedError

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        """Take the rows `p`, in order; `scratch`, of the same shape, may be overwritten."""
        raise NotImplementedError

    def close(self) -> None:
        """End the block."""

    def marginal(self) -> torch.Tensor:
        """p(y), shape `(Y,)`."""
        raise NotImplementedError


class _SoftLabels(_Collector):
    """Label distributions: one float64 matrix product per chunk."""

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, soft: torch.Tensor):
        super().__init__(p, weights, soft.shape[1])
        self.soft = soft

    def open(self, block: slice) -> torch.Tensor:
        y = self.soft[block].to(torch.float64)
        return y if self.weights is None else y * self.weights[block].unsqueeze(1)

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        self.joint.addmm_(key.T, p.to(torch.float64))

    def marginal(self) -> torch.Tensor:
        total = self.open(slice(None)).sum(0)
        return total / total.sum()


class _HardLabels(_Collector):
    """Integer labels: rows of a class are added in runs of `_RUN`, the runs in float64.

    Long float32 sums of equal numbers drift and short ones do not; adding every row in
    float64 would cost twice as much.
    """

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor | None):
        self.has_labels = labels is not None
        self.labels = (
            torch.zeros(len(p), dtype=torch.int64, device=p.device) if labels is None else labels
        )
        super().__init__(p, weights, int(self.labels.max()) + 1)
        self.work = torch.float64 if p.dtype == torch.float64 else torch.float32
        self.partial = p.new_empty((0, p.shape[1]), dtype=self.work)

    def open(self, block: slice) -> torch.Tensor:
        run, self.run_label = _runs(self.labels[block], len(self.joint))
        count = len(self.run_label)
        if len(self.partial) < count:
            self.partial = self.partial.new_empty((count + count // 16, self.joint.shape[1]))
        self.partial[:count].zero_()
        self.row = block.start
        return run

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        if self.weights is not None:
            start, self.row = self.row, self.row + len(p)
            p = torch.mul(p, self.weights[start : self.row, None].to(p.dtype), out=scratch)
        self.partial.index_add_(0, key, p)

    def close(self) -> None:
        sums = self.partial[: len(self.run_label)]
        rows = max(1, 2**16 // sums.shape[1])
        wide = sums.new_empty((rows, sums.shape[1]), dtype=torch.float64)
        for labels, part in zip(self.run_label.split(rows), sums.split(rows), strict=True):
            self.joint.index_add_(0, labels, wide[: len(part)].copy_(part))

    def marginal(self) -> torch.Tensor:
        counts = torch.bincount(self.labels, self.weights, minlength=len(self.joint))
        return counts.to(torch.float64) / counts.sum()


def _runs(labels: torch.Tensor, num_labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of the run each row belongs to, and the label of each run."""
    # Sorting 16-bit keys is several times faster.
    keys = labels.to(torch.int16) if num_labels < 2**15 else labels
    order = torch.argsort(keys, stable=True)
    ordered = labels[order]
    counts = torch.bincount(labels, minlength=num_labels)
    first = counts.cumsum(0) - counts
    position = torch.arange(len(labels), device=labels.device)
    opens = (position - first[ordered]) % _RUN == 0
    run = torch.empty_like(labels)
    run[order] = opens.cumsum(0) - 1
    return run, ordered[opens]


def _summarize(h_t_given_x: float, source: _Collector) -> InformationPlane:
    p_t = source.joint.sum(0)
    h_t = torch.special.entr(p_t).sum().item()
    # Rounding can leave about -1e-16 (float64) or -1e-7 (float32) where T tells nothing.
    i_xt = max(0.0, h_t - h_t_given_x)
    h_t, h_t_given_x = max(0.0, h_t), max(0.0, h_t_given_x)
    if not source.has_labels:
        return InformationPlane(i_xt, None, h_t, h_t_given_x, None, None)
    h_y = entropy(source.marginal()).item()
    i_ty = _mutual_information(source.joint, p_t)
    return InformationPlane(i_xt, i_ty, h_t, h_t_given_x, h_y, max(0.0, h_y - i_ty))


def _mutual_information(joint: torch.Tensor, p_t: torch.Tensor) -> float:
    """The sum of `mutual_information`, a few rows at a time to save memory."""
    total = 0.0
    rows = max(1, 2**16 // joint.shape[1])
    for part in joint.split(rows):
        product = torch.outer(part.sum(1), p_t)
        excess = part - product
        # An empty cell has ratio -1, whose logarithm is kept finite: 0 times it is 0.
        ratio = (excess / product.clamp(min=1e-300)).clamp_(min=_ABOVE_MINUS_ONE)
        total += (part * ratio.log1p_() - excess).sum().item()
    return max(0.0, total)
