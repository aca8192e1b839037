"""How low can a classifier get that sees only this? Error bounds from counts, with an interval."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import entr

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.error_bounds import KINDS, error_lower_bound

# The plug-in entropy loses less than this over the number of samples in every cell of a table,
# whatever the cell's probability: the largest value of E[X log X] - m log m, X Poisson of mean m.
_MOST_PER_CELL = 0.5803
_FEW = 5  # samples a cell below which the upper end is not to be trusted


@dataclass(frozen=True)
class ErrorBoundEstimate:
    """A lower bound on the error of every classifier of a symbol, estimated from counts."""

    bound: float  # from the corrected entropies
    low: float  # no classifier errs less, with confidence of about (1 + level) / 2
    high: float  # other end of the interval for the bound itself
    level: float
    kind: str
    mutual_information: float  # I(T;Y), Miller-Madow corrected, nats
    entropy: float  # H(Y), Miller-Madow corrected, nats
    best_guess_error: float  # of naming each symbol's most frequent label, on these samples
    samples: int


def error_bound_from_counts(
    counts: ArrayLike, *, kind: str = "fano", level: float = 0.95
) -> ErrorBoundEstimate:
    r"""How low the error of any classifier that sees only a symbol can be, from a table of counts.

    H(Y|T) is estimated with Miller and Madow's correction and turned into a bound on the error.
    The interval covers the bound of the population. Fano's bound is the error of the symmetric
    channel with this H(Y|T), so where it is small its interval is that of a proportion (Clopper
    and Pearson) with as many samples as give the same variance; elsewhere H(Y|T) is taken as
    normal, and the lower end also allows for the skew of its estimate where little is known. The
    upper end allows for the most that the correction may leave in each cell that was seen. Empty
    cells may hide entropy, too: it allows for the most they can hide, and for no more error than
    the best guess has.

    Args:
        counts: shape `(K, M)`, how often label y (row) came with symbol t (column), such as a
            confusion matrix of scikit-learn on data that the classifier did not learn from.
        kind: as in `error_lower_bound`.
        level: coverage of the interval, between 0 and 1.

    Returns:
        Error rates `.bound`, `.low` and `.high` between 0 and 1 - 1/K, and what they came from;
        entropies in nats.

    Raises:
        ValueError: counts that are negative, not whole, not finite or not a table, or samples of
            fewer than two classes; an unknown kind; a level outside (0, 1).
        TypeError: counts or a level that are no numbers; a level that is a bool.

    Warns:
        UserWarning: fewer than five samples a cell. The lower end stays on the safe side; the
            upper end may be too low.

    Source: Miller 1955 for the correction, Sankaran 1959 for the skew; the interval is ours, its
    coverage is measured in `tests/info/test_error_estimates.py`.

    >>> found = error_bound_from_counts([[90, 10], [10, 90]])
    >>> round(found.bound, 3), round(found.low, 3), round(found.high, 3)
    (0.102, 0.064, 0.154)
    """
    table = _table(counts)
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    level = _validate.number(level, "level")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level:.6g}")
    n, k = int(table.sum()), table.shape[0]
    symbols = int((table.sum(0) > 0).sum())
    if n < _FEW * k * symbols:
        warnings.warn(
            f"{n} samples for {k * symbols} cells: the upper end may be too low, the lower end is "
            f"on the safe side; {_FEW * k * symbols} samples would do",
            stacklevel=2,
        )
    corrected, left, most, spread, free = _conditional_entropy(table)
    ends = [
        _end(missing, spread, free, n, k, level, side)
        for missing, side in ((corrected, -1), (left, 1))
    ]
    guess = 1.0 - table.amax(0).sum().item() / n
    allowed = _end(most, spread, free, n, k, level, 1)
    ends[1] = min(allowed, max(ends[1], _proportion(guess, n, level, 1)))
    h_y = min(_miller_madow(table.sum(1)), math.log(k))
    through = [_symmetric_error(corrected, k), *ends]
    if kind != "fano":
        known = [max(math.log(k) - _fano(error, k), 0.0) for error in through]
        through = error_lower_bound(known, math.log(k), k, kind).tolist()
    return ErrorBoundEstimate(
        *through,
        level=level,
        kind=kind,
        mutual_information=max(h_y - corrected, 0.0),
        entropy=h_y,
        best_guess_error=guess,
        samples=n,
    )


def error_bound_from_predictions(
    labels: ArrayLike,
    symbols: ArrayLike,
    *,
    num_classes: int | None = None,
    kind: str = "fano",
    level: float = 0.95,
) -> ErrorBoundEstimate:
    """`error_bound_from_counts` of labels and what was seen with them: predictions or any symbol.

    Args:
        labels: integers in 0 .. K - 1, shape `(N,)`.
        symbols: integers of zero or more, shape `(N,)`: predicted classes, or the number of a
            cluster or a cell; there may be fewer or more of them than classes.
        num_classes: K; the largest label plus one if None.
        kind, level: as in `error_bound_from_counts`.

    Returns:
        As `error_bound_from_counts`.

    Raises:
        ValueError: labels or symbols that are negative, empty, of different length, or of one
            class only; a label of K or more; a kind or level that the other function refuses.
        TypeError: labels or symbols that are no integers.

    Warns:
        UserWarning: fewer than five samples a cell.

    Source: as `error_bound_from_counts`.

    >>> found = error_bound_from_predictions([0, 1] * 100, [0, 1] * 100)
    >>> found.bound, found.low, round(found.high, 3)
    (0.0, 0.0, 0.018)
    """
    seen = _validate.class_labels(symbols, None, None, "symbols")
    k = None if num_classes is None else _validate.class_count(num_classes)
    y = _validate.class_labels(labels, None, k).to(seen.device)
    if len(y) != len(seen):
        raise ValueError(
            f"labels and symbols must have the same length, got {len(y)} and {len(seen)}"
        )
    k = int(y.max()) + 1 if k is None else k
    names, seen = seen.unique(return_inverse=True)  # a table of the symbols that occur, no wider
    width = len(names)
    counts = torch.bincount(y * width + seen, minlength=k * width).reshape(k, width)
    return error_bound_from_counts(counts, kind=kind, level=level)


def _table(counts: ArrayLike) -> Tensor:
    table = _validate.as_float_tensor(counts, "counts").to(torch.float64)
    if table.ndim != 2:
        raise ValueError(f"counts must have shape (K, M), got {tuple(table.shape)}")
    _validate.check_finite(table, "counts")
    wrong = (table < 0) | (table != table.round())
    if wrong.any():
        raise ValueError(f"counts must be whole and not negative, got {table[wrong][0].item():.6g}")
    classes = int((table.sum(1) > 0).sum())
    if classes < 2:
        raise ValueError(f"an error bound needs at least 2 classes with samples, got {classes}")
    return table


def _plug_in(counts: Tensor) -> float:
    return entr(counts / counts.sum()).sum().item()


def _miller_madow(counts: Tensor) -> float:
    return _plug_in(counts) + (int((counts > 0).sum()) - 1) / (2 * counts.sum().item())


def _conditional_entropy(table: Tensor) -> tuple[float, float, float, float, int]:
    """H(Y|T): corrected, the most that the cells seen allow and that all cells do, its error.

    The last number is that of the degrees of freedom.
    """
    n, (k, _) = table.sum().item(), table.shape
    seen = table.sum(0)
    used = int((seen > 0).sum())
    cells = int((table > 0).sum())
    free = cells - used
    # Where each symbol has one label nothing is open: exactly, not up to rounding.
    plain = _plug_in(table.flatten()) - _plug_in(seen) if free else 0.0
    corrected = plain + free / (2 * n)
    most = max(corrected, plain + (_MOST_PER_CELL * k - 0.5) * used / n)
    # Many cells with few samples each: what is left in each adds up, the spread only by its root.
    left = min(corrected + (_MOST_PER_CELL - 0.5) * cells / n, most) if free else corrected
    share = table / torch.where(seen > 0, seen, torch.ones_like(seen))
    surprise = torch.where(
        table > 0,
        -torch.where(table > 0, share, torch.ones_like(share)).log(),
        torch.zeros_like(share),
    )
    mean = (table * surprise).sum() / n
    variance = (table * (surprise - mean).square()).sum().item() / n
    # The second term is what is left where Y is uniform given T and the first vanishes.
    spread = math.sqrt(variance / n + free / (2 * n * n))
    top = math.log(k)
    return min(corrected, top), min(left, top), min(most, top), spread, free


def _fano(error: float, k: int) -> float:
    """h(P) + P log(K - 1) of one error rate."""
    inside = [-p * math.log(p) for p in (error, 1 - error) if p > 0]
    return sum(inside) + error * math.log(k - 1)


def _symmetric_error(missing: float, k: int) -> float:
    """The error of the symmetric channel with this H(Y|T): Fano's bound, by bisection."""
    low, high = 0.0, 1.0 - 1.0 / k
    if missing <= 0 or missing >= math.log(k):
        return low if missing <= 0 else high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _fano(middle, k) < missing else (low, middle)
    return high


def _end(
    missing: float, spread: float, free: int, n: int, k: int, level: float, side: int
) -> float:
    """One end (side -1 or 1) of the interval for Fano's bound at an estimate of H(Y|T)."""
    top = 1.0 - 1.0 / k
    error = _symmetric_error(missing, k)
    if error > 0.8 * top:
        quantile = torch.special.ndtri(torch.tensor(0.5 + level / 2, dtype=torch.float64)).item()
        moved = missing + side * quantile * spread
        if side < 0:  # too high where the estimate and with it the spread come out small by chance
            moved = min(moved, math.log(k) - _most_known(math.log(k) - missing, free, n, quantile))
        return _symmetric_error(moved, k)
    size = float(n)
    if error > 0 and spread > 0:
        # Slope of Fano's function: how a change of H(Y|T) moves the error.
        slope = math.log((1 - error) * (k - 1) / error)
        size = max(error * (1 - error) * (slope / spread) ** 2, 1.0)
    return min(_proportion(error, size, level, side), top)


def _most_known(known: float, free: int, n: int, quantile: float) -> float:
    """Upper end for log K - H(Y|T), in nats, from its corrected estimate, where it is small.

    It is the mean divergence of P(Y|T) from the uniform law. Near zero 2 n times its plug-in
    estimate is noncentral chi-square: with `free` degrees of freedom, for what the correction takes
    away, and 2 n times the true value as noncentrality. After subtracting (free - 1) / 2 its root
    is nearly normal of variance one (Sankaran 1959), so the end solves a quadratic.
    """
    half = (free - 1) / 2
    root = math.sqrt(2 * n * known + free - half) + quantile
    return (root * root - half) / (2 * n)


def _proportion(share: float, size: float, level: float, side: int) -> float:
    """One end of Clopper and Pearson's interval, for a number of samples that may be broken."""
    from scipy.special import betaincinv

    hits = share * size
    if side < 0:
        return float(betaincinv(hits, size - hits + 1, 0.5 - level / 2)) if hits > 0 else 0.0
    return float(betaincinv(hits + 1, size - hits, 0.5 + level / 2)) if hits < size else 1.0
