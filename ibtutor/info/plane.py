"""Exact place of an encoder on the information plane, in one pass over its output matrix.

The matrix is taken block by block and each block in chunks that fit the processor's cache.
The logarithm is taken in the type of the input; every sum over more than a few dozen numbers
runs in float64. That costs about a third of `torch.special.entr` on the whole matrix and adds
a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ibtutor.info import _validate
from ibtutor.info._joint import JointSum, NoLabels, SoftLabels, hard_labels
from ibtutor.info._validate import ArrayLike

# A chunk of the matrix and its scratch copy stay in a 2 MB cache.
_CHUNK_ELEMENTS = {"cpu": 2**16}
_CHUNK_ELEMENTS_ON_DEVICE = 2**22
# A block is read once more, by class, while it is near.
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
    joint = _joint_sum(p, weights, labels, p_y_given_x)
    with torch.no_grad():
        row_entropies = _scan(p, joint)
    h_t_given_x = row_entropies.mean() if weights is None else weights @ row_entropies
    # By its own mass, not by N: float32 rows miss one by about 1e-7, and so do their sums.
    p_yt = joint.value.div_(joint.value.sum())
    return _summarize(p_yt, h_t_given_x.item(), joint.marginal())


def _joint_sum(
    p: torch.Tensor,
    weights: torch.Tensor | None,
    labels: ArrayLike | None,
    p_y_given_x: ArrayLike | None,
) -> JointSum:
    if labels is not None:
        return hard_labels(p, weights, _validate.class_labels(labels, len(p)).to(p.device))
    if p_y_given_x is None:
        return NoLabels(p, weights)
    soft = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach().to(p.device)
    if len(soft) != len(p):
        raise ValueError(f"p_y_given_x must have {len(p)} rows, got {len(soft)}")
    return SoftLabels(p, weights, soft)


def _scan(p: torch.Tensor, joint: JointSum) -> torch.Tensor:
    """Read the matrix once: check rows, feed `joint`, return row entropies `(N,)`."""
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
    short_ones = ones[:width]
    row_sums = p.new_zeros(n, dtype=work)
    row_entropies = p.new_empty(n, dtype=torch.float64)
    for block in _blocks(n, t, rows):
        parts = p.new_zeros((block.stop - block.start) * segments, dtype=work)
        keys = joint.open(block).split(rows)
        chunks = zip(p[block].split(rows), row_sums[block].split(rows), keys, strict=True)
        for (c, row_sum, key), part in zip(chunks, parts.split(rows * segments), strict=True):
            size = len(c)
            b = scratch[:size, :t]
            if copy is not None:
                c = copy[:size].copy_(c)
            torch.add(c, floor, out=b)
            b.log_().mul_(c)
            torch.mv(scratch[:size].view(-1, width), short_ones, out=part)
            torch.mv(c, ones, out=row_sum)
            joint.add(c, key, b)
        torch.sum(parts.view(-1, segments).to(torch.float64), 1, out=row_entropies[block])
        joint.close()
    _check_rows(p, row_sums, row_entropies)
    return row_entropies.neg_()


def _blocks(n: int, t: int, rows: int) -> list[slice]:
    size = max(rows, min(_MAX_BLOCK_ROWS, _BLOCK_ELEMENTS // t) // rows * rows)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _check_rows(p: torch.Tensor, row_sums: torch.Tensor, row_entropies: torch.Tensor) -> None:
    """Name the first bad row; the pass itself has met every entry."""
    # A negative entry has no logarithm, so it shows as NaN; so does one that is far too large.
    if not torch.isfinite(row_entropies.sum() + row_sums.sum()):
        bad = ~torch.isfinite(row_entropies) | ~torch.isfinite(row_sums)
        row = int(bad.nonzero()[0])
        value = min(p[row].tolist(), key=lambda v: (0.0 <= v <= 1.0, v))
        raise ValueError(f"p_t_given_x must be finite and not negative, got {value} in row {row}")
    _validate.check_sums(row_sums, "p_t_given_x", _validate.sum_tolerance(p.dtype))


def _summarize(
    p_yt: torch.Tensor, h_t_given_x: float, p_y: torch.Tensor | None
) -> InformationPlane:
    p_t = p_yt.sum(0)
    h_t = torch.special.entr(p_t).sum().item()
    # Rounding can leave about -1e-16 (float64) or -1e-7 (float32) where T tells nothing.
    i_xt = max(0.0, h_t - h_t_given_x)
    h_t, h_t_given_x = max(0.0, h_t), max(0.0, h_t_given_x)
    if p_y is None:
        return InformationPlane(i_xt, None, h_t, h_t_given_x, None, None)
    h_y = torch.special.entr(p_y).sum().item()
    i_ty = _mutual_information(p_yt, p_t)
    return InformationPlane(i_xt, i_ty, h_t, h_t_given_x, h_y, max(0.0, h_y - i_ty))


def _mutual_information(p_yt: torch.Tensor, p_t: torch.Tensor) -> float:
    """Sum of p(y,t) log(p(y,t) / (p(y) p(t))), a few rows at a time to save memory."""
    total = 0.0
    rows = max(1, 2**16 // p_yt.shape[1])
    # The floors keep empty rows, columns and cells finite; there the joint is 0.
    p_t = p_t.clamp(min=1e-150)
    for part in p_yt.split(rows):
        ratio = torch.outer(part.sum(1).clamp_(min=1e-150), p_t)
        torch.div(part, ratio, out=ratio)
        ratio.add_(1e-300).log_()
        total += torch.dot(part.flatten(), ratio.flatten()).item()
    return max(0.0, total)
