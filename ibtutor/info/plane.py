"""Exact place of an encoder on the information plane, in one pass over its output matrix.

The matrix is taken in chunks that fit the processor's cache. The logarithm of a cell is taken in
the type of the input; every sum runs in float64, so no digit depends on the order of addends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ibtutor.info import _validate
from ibtutor.info._joint import HardLabels, JointSum, NoLabels, SoftLabels
from ibtutor.info._validate import ArrayLike

# A chunk of the matrix, its logarithm and their float64 copies stay in the cache.
_CHUNK_ELEMENTS = {"cpu": 2**16}
_CHUNK_ELEMENTS_ON_DEVICE = 2**22


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

    Not differentiable. For float32 input of up to 1,000 symbols the result is within 1e-6 of
    float64. Rows that miss one (by rounding) are brought to one by their mean mass. Needs
    Y - X - T: given the input, T does not see the label.

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
    joint = _joint_sum(p, labels, p_y_given_x)
    with torch.no_grad():
        p_log_p = _scan(p, weights, joint)
    # Float32 rows miss one by about 1e-7, and so do their sums: p / mass is a distribution.
    mass = joint.value.sum().item()
    p_yt = joint.value.div_(mass)
    if weights is None:
        mass /= len(p)
    h_t_given_x = math.log(mass) - p_log_p / mass
    return _summarize(p_yt, h_t_given_x, joint.marginal(weights))


def _joint_sum(
    p: torch.Tensor, labels: ArrayLike | None, p_y_given_x: ArrayLike | None
) -> JointSum:
    if labels is not None:
        return HardLabels(p, _validate.class_labels(labels, len(p)).to(p.device))
    if p_y_given_x is None:
        return NoLabels(p)
    soft = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach().to(p.device)
    if len(soft) != len(p):
        raise ValueError(f"p_y_given_x must have {len(p)} rows, got {len(soft)}")
    return SoftLabels(p, soft)


def _scan(p: torch.Tensor, weights: torch.Tensor | None, joint: JointSum) -> float:
    """Read the matrix once: check rows, feed `joint`, return the mean of sum_t p log p."""
    n, t = p.shape
    size = max(1, min(n, _CHUNK_ELEMENTS.get(p.device.type, _CHUNK_ELEMENTS_ON_DEVICE) // t))
    work = torch.float64 if p.dtype == torch.float64 else torch.float32
    # log(0 + floor) is finite and 0 * log(floor) is 0; p + floor == p unless p < 1e-22.
    floor = 1e-300 if work == torch.float64 else 1e-30
    buffers = [p.new_empty((size, t), dtype=kind) for kind in (work, torch.float64, torch.float64)]
    ones = p.new_ones(t, dtype=torch.float64)
    row_sums = p.new_empty(n, dtype=torch.float64)
    total = p.new_zeros((), dtype=torch.float64)
    scale = None if weights is None else weights.unsqueeze(1).split(size)
    pieces = zip(p.split(size), joint.keys.split(size), row_sums.split(size), strict=True)
    for i, (part, key, row_sum) in enumerate(pieces):
        if len(part) < size:
            buffers = [buffer[: len(part)] for buffer in buffers]
        logs, wide, wide_logs = buffers
        logs.copy_(part).add_(floor).log_()  # the floor would be zero in half precision
        wide.copy_(part)
        torch.mv(wide, ones, out=row_sum)
        if scale is not None:
            wide.mul_(scale[i])
        total += torch.dot(wide.view(-1), wide_logs.copy_(logs).view(-1))
        joint.add(key, wide)
    _check_rows(p, row_sums, total)
    return (total / n if weights is None else total).item()


def _check_rows(p: torch.Tensor, row_sums: torch.Tensor, total: torch.Tensor) -> None:
    """Name the first bad row; the pass itself has met every entry."""
    # A negative entry has no logarithm, so it shows as NaN; so does one that is far too large.
    if not torch.isfinite(total + row_sums.sum()):
        row, value = _first_bad_entry(p)
        raise ValueError(f"p_t_given_x must be finite and not negative, got {value} in row {row}")
    _validate.check_sums(row_sums, "p_t_given_x", _validate.sum_tolerance(p.dtype))


def _first_bad_entry(p: torch.Tensor) -> tuple[int, float]:
    """Row and value of the first entry that is no probability."""
    for start in range(0, len(p), 1024):
        part = p[start : start + 1024]
        bad = ~((part >= 0) & (part <= 1))
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            return start + row, part[row, column].item()
    raise AssertionError("no bad entry, though the sums are not finite")


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
