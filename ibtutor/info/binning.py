"""Information by counting: of values that repeat, and of the cells that values fall into."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _neighbors, _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.gaussian_bound import classes, latents

HOW = ("width", "share")


def counted_information(z: ArrayLike, labels: ArrayLike, *, corrected: bool = False) -> Tensor:
    """I(Z; Y) in nats of the empirical joint law: rows of `z` that are equal are one symbol.

    Right for a discrete Z that takes few values, often each. Where every row occurs once, the row
    gives its label away, and the value is H(Y) whatever the law: the sample says nothing.

    Args:
        z: `(N, d)` or `(N,)`, of any type.
        labels: whole numbers `(N,)`.
        corrected: remove the first-order bias of counting, (cells - rows - columns + 1) / 2N over
            those that occur (Miller 1955). Only where most cells are seen several times.

    Returns:
        float64 tensor without dimensions, at least 0 unless corrected.

    Raises:
        TypeError: labels that are no whole numbers.
        ValueError: NaN, wrong or different lengths.

    >>> z = torch.tensor([0.0, 0.0, 1.0, 1.0])
    >>> counted_information(z, [0, 0, 1, 1]).item()  # log 2
    0.6931471805599453
    """
    z = latents(z, "z").detach()
    return _count(symbols(z), labels, corrected)


def binned_information(
    z: ArrayLike,
    labels: ArrayLike,
    bins: int = 30,
    *,
    how: str = "width",
    limits: tuple[float, float] | None = None,
    corrected: bool = False,
) -> Tensor:
    """I(bin(Z); Y) in nats by counting: each coordinate is cut into bins, a row is its cell.

    By the data processing inequality at most I(Z; Y) for the law itself; by chance more in a
    sample, as soon as there are not many rows a cell. Cells grow like bins ** d: beyond two or
    three coordinates every row has a cell of its own, and the value is H(Y) whatever the law. With
    a label of its own for each input it is H(bin(T)), often called the I(X; T) of a deterministic
    network; it is a number about the bins.

    Args:
        z: `(N, d)` or `(N,)`.
        labels: whole numbers `(N,)`.
        bins: a coordinate, at least 2.
        how: "width" for bins of equal width, over `limits` or each coordinate's own range; "share"
            for bins of equal numbers of rows (then a monotone map of a coordinate changes nothing).
        limits: fixed ends for bins of equal width, as (-1, 1) for tanh; values beyond fall into the
            last bins.
        corrected: as for `counted_information`.

    Returns:
        float64 tensor without dimensions, at least 0 unless corrected.

    Raises:
        TypeError: labels or bins that are no whole numbers, limits that are no numbers.
        ValueError: NaN, wrong or different lengths, bins below 2, limits that do not ascend or
            come with how="share", an unknown how.

    Source: the estimator of Shwartz-Ziv and Tishby 2017 (30 bins over [-1, 1]).

    >>> z = torch.linspace(-1, 1, 1000)
    >>> round(binned_information(z, (z > 0).long()).item(), 6)  # log 2
    0.693147
    """
    z = latents(z, "z").detach()
    return _count(symbols(cells(z, bins, how=how, limits=limits)), labels, corrected)


def cells(
    z: Tensor, bins: int, *, how: str = "width", limits: tuple[float, float] | None = None
) -> Tensor:
    """The bin of each entry of `z` `(N, d)`, int64 from 0 to bins - 1; one bin for a constant."""
    bins = _validate.integer(bins, "bins", 2)
    if how not in HOW:
        raise ValueError(f"how must be one of {', '.join(HOW)}, got {how!r}")
    if how == "share":
        if limits is not None:
            raise ValueError("limits are for bins of equal width, got them with how='share'")
        ordered = z.double().sort(0).values.T.contiguous()
        below = torch.searchsorted(ordered, z.double().T.contiguous())  # equal values, equal bin
        return (below * bins // len(z)).T
    if limits is None:
        low, high = z.double().amin(0), z.double().amax(0)
    else:
        low, high = _ends(z, limits)
    # In a unit in which no span is infinite; to divide by it is exact.
    unit = _neighbors.power_of_two(torch.maximum(low.abs(), high.abs()))
    z, low, high = z.double() / unit, low / unit, high / unit
    span = torch.where(high > low, high - low, torch.ones_like(high))
    # Cut before they become whole numbers: int64 ends at 2 ** 63, and floats do not.
    return ((z - low) / span * bins).floor().clamp(0, bins - 1).long()


def _ends(z: Tensor, limits: tuple[float, float]) -> tuple[Tensor, Tensor]:
    try:
        if isinstance(limits, str | bytes):
            raise TypeError
        count = len(limits)
    except TypeError:
        raise TypeError(f"limits must be two numbers, got {limits!r}") from None
    if count != 2:
        raise ValueError(f"limits must be two numbers, got {limits!r}")
    try:
        # Not in the type of `z`: float16 ends at 65504.
        low, high = (
            z.new_tensor(_validate.number(v, "limits"), dtype=torch.float64) for v in limits
        )
    except TypeError:
        raise TypeError(f"limits must be two numbers, got {limits!r}") from None
    if not low < high:
        raise ValueError(f"limits must ascend, got {limits}")
    return low, high


def symbols(z: Tensor) -> Tensor:
    """A number for each row of `z`, equal where the rows are, int64 `(N,)`."""
    columns = [column.unique(return_inverse=True)[1] for column in z.unbind(1)]
    code = columns[0]
    for column in columns[1:]:  # pairs stay far below 2 ** 63, unlike the whole product
        code = (code * (int(column.max()) + 1) + column).unique(return_inverse=True)[1]
    return code


def _count(code: Tensor, labels: ArrayLike, corrected: bool) -> Tensor:
    groups = classes(labels, len(code))
    y = torch.empty(len(code), dtype=torch.int64)
    for i, rows in enumerate(groups.values()):
        y[rows] = i
    joint = code.cpu() * len(groups) + y
    n = len(code)
    counts = [v.unique(return_counts=True)[1].double() for v in (code.cpu(), y, joint)]
    h_z, h_y, h_zy = ((torch.special.entr(c / n)).sum() for c in counts)
    value = h_z + h_y - h_zy
    if corrected:
        seen_z, seen_y, seen = (len(c) for c in counts)
        value = value - (seen - seen_z - seen_y + 1) / (2 * n)
    else:
        value = value.clamp(min=0.0)
    return value.to(code.device)
