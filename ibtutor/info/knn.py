"""Entropy and mutual information of continuous samples from distances to nearest neighbors."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _knn_bias, _neighbors, _validate
from ibtutor.info._knn_bias import BiasWarning, knn_entropy_bias
from ibtutor.info._validate import ArrayLike
from ibtutor.info.binning import symbols
from ibtutor.info.gaussian_bound import classes, latents, whitened

__all__ = ["BiasWarning", "knn_entropy", "knn_entropy_bias", "knn_mutual_information"]


def knn_entropy(
    z: ArrayLike,
    k: int = 3,
    *,
    norm: str = "euclidean",
    jitter: float = 0.0,
    whiten: bool = False,
) -> Tensor:
    """Differential entropy H[Z] in nats after Kozachenko and Leonenko.

    psi(N) - psi(k) + log V + d E log r, with r the distance of a point to its k-th nearest neighbor
    and V the volume of the unit ball. It takes the density to be constant within that ball. In many
    dimensions the ball is never small, and the estimate is too high: by 15 nats at d = 100 on a
    round (isotropic) Gaussian sample of 50,000. `knn_entropy_bias` gives that number. Where
    coordinates are stretched or correlated the ball is wider than the density sooner: at d = 4 one
    deviation thirty times smaller costs 0.7 nats on 4,000 points. Trees in few dimensions (up to 8;
    10 for more than 100,000 points or the max norm), chunked products in more.

    A `BiasWarning` says where one of these passes 0.1 nats (the second is seen where the estimate
    is above the Gaussian's of the same covariance, `gaussian_entropy_bound`), and where more than
    one row in a hundred is equal to another: a density has no repeated values.

    Args:
        z: latents `(N, d)` or `(N,)`, on any device. Not differentiated.
        k: neighbors; larger lowers the variance and raises the bias.
        norm: "euclidean", or "max" as in Kraskov et al. and NPEET (a larger bias in many
            dimensions, and much slower there).
        jitter: standard deviation of Gaussian noise added first, from a fixed seed. Repeated points
            then give about log(jitter) each: a number about the noise, not about Z.
        whiten: estimate on the sample mapped linearly to covariance one, and add the log of the
            map's determinant, which is exact. A stretched Gaussian then costs what a round one
            does; on other laws it helps where the covariance tells of the stretching.

    Returns:
        float64 tensor without dimensions.

    Raises:
        TypeError: k no whole number.
        ValueError: NaN, a wrong shape, k not below N, an unknown norm, a point with k others at
            distance zero, whose logarithm does not exist, or a singular covariance to whiten by.

    Source: Kozachenko and Leonenko 1987; Kraskov, Stögbauer and Grassberger 2004, equation 20.

    >>> import math
    >>> z = torch.rand(2000, generator=torch.Generator().manual_seed(0))  # uniform: entropy 0
    >>> abs(knn_entropy(z).item()) < 0.1
    True
    >>> round((knn_entropy(2 * z) - knn_entropy(z)).item() - math.log(2), 9)
    0.0
    """
    z = _jittered(latents(z, "z").detach(), jitter, 0)
    k, norm = _neighbor_count(k, len(z), "z"), _norm(norm)
    n, d = z.shape
    points, log_det = whitened(z, "z") if whiten else (z, 0.0)
    distance = _neighbors.kth_distance(points, k, norm)
    _refuse_zero(distance, k, "z")
    log_volume = _knn_bias.log_unit_ball(d, norm)
    value = d * distance.log().mean() + (_psi(n) - _psi(k) + log_volume).item() + log_det
    _knn_bias.warn_repeats(z, "z")
    _knn_bias.warn_entropy(value.item(), z, k)
    return value


def knn_mutual_information(
    x: ArrayLike,
    y: ArrayLike,
    k: int = 3,
    *,
    norm: str = "max",
    jitter: float = 0.0,
    repeats: str = "refuse",
) -> Tensor:
    """I(X; Y) in nats from nearest neighbors; Y continuous or discrete.

    With floating `y` the first estimator of Kraskov, Stögbauer and Grassberger (KSG): the distance
    to the k-th neighbor in the joint space, then how many points lie nearer than that in X alone
    and in Y alone. One distance is measured in both, so bring X and Y to comparable units, for
    instance deviation one: with one of them a thousand times wider the other is hardly seen, and
    0.83 nats read 0.25.

    With whole numbers `y` `(N,)` they are labels, and the estimator is Ross's: the distance to the
    k-th neighbor of the same label, then how many points of any label lie within.

    Neither is ever far above log N (KSG) or H(Y) (Ross) for samples without repeated rows;
    strongly dependent variables read low.

    A `BiasWarning` says where there are too many dimensions for N, where X and Y differ in width
    (mean absolute deviation of the widest coordinate) by more than a factor of 30, where a floating
    Y looks like labels, and where more than one row in a hundred is equal to another.

    Args:
        x: `(N, d)` or `(N,)`, on any device. Not differentiated.
        y: `(N, e)` or `(N,)` floating; or labels, whole numbers `(N,)`, at least two of each class.
        k: neighbors. A class of m samples uses min(k, m - 1), as in Ross.
        norm: within X and within Y: "max" as published, or "euclidean", much faster above 10
            dimensions. Between them it is always the larger of both.
        jitter: standard deviation of Gaussian noise added first to all that is floating.
        repeats: what to do with a point that has k others at distance zero. "refuse" raises;
            "count", for labels only, takes all equal rows as its neighbors, however many. So units
            with exact zeros (ReLU) or of few levels can be told from labels too.

    Returns:
        float64 tensor without dimensions. It may be slightly negative.

    Raises:
        TypeError: k no whole number.
        ValueError: NaN, wrong or different lengths, k not below N, a class of one sample, an
            unknown norm, or a point with k others at distance zero.

    Source: Kraskov et al. 2004, equation 8; Ross 2014, equation 2; for repeats Gao, Kannan, Oh and
    Viswanath 2017, algorithm 1, with its counts in Ross's formula.

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(2000, generator=g)
    >>> y = 0.8 * x + 0.6 * torch.randn(2000, generator=g)  # I = -log(0.6) = 0.5108
    >>> abs(knn_mutual_information(x, y).item() - 0.5108) < 0.1
    True
    >>> knn_mutual_information(x, (x > 0).long()).item() > 0.67  # I = log 2 = 0.6931
    True
    """
    x = _jittered(latents(x, "x").detach(), jitter, 0)
    k, norm = _neighbor_count(k, len(x), "x"), _norm(norm)
    if repeats not in ("refuse", "count"):
        raise ValueError(f"repeats must be one of refuse, count, got {repeats!r}")
    y = _validate.numbers(y, "y")
    if not y.is_floating_point():
        _knn_bias.warn_dimensions(x.shape[1], len(x), k)
        value = _ross(x, y, k, norm, repeats == "count")
        if repeats == "refuse":
            _knn_bias.warn_repeats(x, "x")
        return value
    if repeats == "count":
        raise ValueError("repeats='count' serves labels only; y is floating")
    y = _jittered(latents(y, "y").detach(), jitter, 1).to(x.device)
    if len(y) != len(x):
        raise ValueError(f"x and y must have as many rows, got {len(x)} and {len(y)}")
    x, y = x.double(), y.double()
    _knn_bias.warn_dimensions(x.shape[1] + y.shape[1], len(x), k)
    _knn_bias.warn_continuous(x, y, k)
    value = _kraskov(x, y, k, norm)
    _knn_bias.warn_repeats(torch.cat([x, y], 1), "(x, y)")
    return value


def _ross(x: Tensor, labels: Tensor, k: int, norm: str, count: bool) -> Tensor:
    groups = classes(labels, len(x), "y")
    radius = x.new_empty(len(x), dtype=torch.float64)
    own = torch.zeros(len(x), dtype=torch.float64)
    equal = symbols(x).cpu() if count else None
    for name, rows in groups.items():
        if len(rows) < 2:
            raise ValueError(f"class {name} of y has one sample; the estimator needs at least 2")
        near = min(k, len(rows) - 1)
        rows_here = rows.to(x.device)
        radius[rows_here] = _neighbors.kth_distance(x[rows_here], near, norm)
        nearest = _psi(near).expand(len(rows))
        if equal is not None:
            same = equal[rows].unique(return_inverse=True, return_counts=True)
            others = (same[2][same[1]] - 1).clamp(min=1)
            nearest = torch.where(radius[rows_here].cpu() > 0, nearest, _psi_of(others))
        else:
            _refuse_zero(radius[rows_here], near, f"x in class {name}")
        own[rows] = nearest - _psi(len(rows))
    within = _neighbors.count_within(x.double(), radius, norm) + 1  # the k-th itself
    if equal is not None:
        others = (equal.bincount()[equal] - 1).to(x.device)
        within = torch.where(radius > 0, within, others.clamp(min=1))
    return _psi(len(x)) + own.mean().to(x.device) - _psi_of(within).mean()


def _kraskov(x: Tensor, y: Tensor, k: int, norm: str) -> Tensor:
    n = len(x)
    unit = _neighbors.power_of_two(torch.maximum(x.abs().max(), y.abs().max()))
    x, y = x / unit, y / unit  # exact, and squares of distances are numbers
    joint = x.shape[1] + y.shape[1]
    plain = norm == "max" or joint == 2  # then the norm of the joint space is a norm of rows
    if plain and x.is_cpu and joint <= _neighbors.TREE_DIMENSIONS:
        radius = _neighbors.kth_distance(torch.cat([x, y], 1), k, "max")
        _refuse_zero(radius, k, "(x, y)")
        counts = [_neighbors.count_within(v, radius, norm) for v in (x, y)]
    else:
        counts = _counts_at_once(x, y, k, norm)
    return _psi(n) + _psi(k) - sum(_psi_of(c + 1).mean() for c in counts)


def _counts_at_once(x: Tensor, y: Tensor, k: int, norm: str) -> list[Tensor]:
    """Neighbors in X and in Y nearer than the k-th in the joint space, from the same distances."""
    rows = _neighbors.chunk_rows(x, 3)
    found: list[list[Tensor]] = [[], []]
    for part_x, part_y in zip(x.split(rows), y.split(rows), strict=True):
        apart = [_neighbors.distances(part_x, x, norm), _neighbors.distances(part_y, y, norm)]
        radius = torch.maximum(*apart).kthvalue(k + 1, dim=1).values
        _refuse_zero(radius, k, "(x, y)")
        for counts, away in zip(found, apart, strict=True):
            counts.append((away < radius.unsqueeze(1)).sum(1) - 1)
    return [torch.cat(counts) for counts in found]


def _neighbor_count(k: int, n: int, name: str) -> int:
    k = _validate.integer(k, "k", 1)
    if k >= n:
        raise ValueError(f"k must be below the number of rows of {name}, got k = {k} and {n} rows")
    return k


def _norm(norm: str) -> str:
    if norm not in _neighbors.NORMS:
        raise ValueError(f"norm must be one of {', '.join(_neighbors.NORMS)}, got {norm!r}")
    return norm


def _jittered(z: Tensor, jitter: float, seed: int) -> Tensor:
    jitter = _validate.non_negative(jitter, "jitter")
    if not jitter:
        return z
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    return z.double() + jitter * noise.to(z.device)


def _refuse_zero(distance: Tensor, k: int, name: str) -> None:
    zero = distance <= 0
    if zero.any():
        raise ValueError(
            f"{name}: {int(zero.sum())} of {len(distance)} points have {k} others at distance "
            "zero, and the logarithm of zero does not exist: repeated values have no density. "
            "Count them instead (counted_information, or knn_mutual_information with "
            "repeats='count'), or pass jitter=1e-10 and know that the result then hangs on it."
        )


def _psi(n: int) -> Tensor:
    return torch.special.digamma(torch.tensor(float(n), dtype=torch.float64))


def _psi_of(counts: Tensor) -> Tensor:
    """digamma of whole numbers `(N,)`, by table: each is needed many times."""
    table = torch.arange(1, int(counts.max()) + 1, dtype=torch.float64, device=counts.device)
    return torch.special.digamma(table)[counts - 1]
