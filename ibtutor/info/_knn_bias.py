"""Where nearest-neighbor estimates are known to be off: the bias on a Gaussian, and warnings."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info.binning import symbols
from ibtutor.info.gaussian_bound import gaussian_entropy_bound

# Nats that the entropy of a round Gaussian sample of this size would be off by, or that an estimate
# lies above what any entropy can be: above it we warn.
WARN_ABOVE = 0.1
# Equal rows among all. A float32 column of many thousand rows has some, and they do no harm.
_FEW_REPEATS = 0.01
# How many times wider X may be than Y before the narrower one is hardly seen.
_COMPARABLE = 30.0


class BiasWarning(UserWarning):
    """A nearest-neighbor estimate in a regime where its bias is known to be large."""


@lru_cache(maxsize=256, typed=True)  # 77.0 is refused after 77, too
def knn_entropy_bias(n: int, d: int, k: int = 3) -> float:
    """By how much `knn_entropy` (Euclidean) exceeds the entropy of a round Gaussian, on average.

    No simulation: the share of the distribution within the distance to the k-th of n - 1 neighbors
    is Beta(k, n - k), and the squared distance of a standard Gaussian vector to a point of squared
    norm s is a noncentral chi-square variable with d degrees of freedom. Both are integrated
    numerically. On other distributions the bias is another one, and larger on stretched ones: on
    4,000 points in 4 dimensions it is -0.04, and +0.7 with one deviation thirty times smaller.

    Args:
        n: points, at least 2.
        d: dimensions.
        k: neighbors, below n.

    Returns:
        nats, a Python float; negative where the estimate is too low (few points in few dimensions).

    Raises:
        TypeError: a number that is not whole.
        ValueError: n below 2, d or k below 1, k not below n.

    >>> round(knn_entropy_bias(50_000, 100), 1)
    14.9
    >>> knn_entropy_bias(50_000, 2) < 0.01
    True
    """
    import numpy as np
    from scipy import special

    n, d, k = (_validate.integer(*a) for a in ((n, "n", 2), (d, "d", 1), (k, "k", 1)))
    if k >= n:
        raise ValueError(f"k must be below the number of points, got k = {k} and {n}")
    square, weight = _gauss_chi_square(d, 24)
    mass = special.betaincinv(k, n - k, (np.arange(48) + 0.5) / 48)[:, None]
    reach = special.chndtrix(mass, d, square)
    # log r is log(mass) / d and a smooth rest; the mean of log(mass) is psi(k) - psi(n), which
    # cancels against the estimator's own terms.
    rest = (0.5 * np.log(reach) - np.log(mass) / d) @ weight
    volume = log_unit_ball(d, "euclidean")
    return float(volume + d * rest.mean() - d / 2 * math.log(2 * math.pi * math.e))


def _gauss_chi_square(d: int, count: int):
    """Nodes and weights of Gauss's rule for a chi-square variable (Golub and Welsch)."""
    import numpy as np

    i = np.arange(1, count)
    side = np.sqrt(i * (i + d / 2 - 1))
    jacobi = np.diag(2 * np.arange(count) + d / 2) + np.diag(side, 1) + np.diag(side, -1)
    nodes, vectors = np.linalg.eigh(jacobi)
    return 2 * nodes, vectors[0] ** 2


def log_unit_ball(d: int, norm: str) -> float:
    if norm == "max":
        return d * math.log(2.0)
    return d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)


def warn_entropy(estimate: float, z: Tensor, k: int) -> None:
    """That `estimate` is above every entropy of that covariance, or the sample too small."""
    n, d = z.shape
    bias, excess = knn_entropy_bias(n, d, k), _excess(estimate, z, k)
    if excess == math.inf:
        _warn(
            "knn_entropy: a coordinate of z is constant or depends linearly on others, so the "
            f"entropy is minus infinity, not {estimate:.4g}; drop it or add noise."
        )
    elif excess > WARN_ABOVE + max(bias, 0.0):
        _warn(
            f"knn_entropy: the estimate is at least {excess:.2g} nats above the entropy of a "
            "Gaussian of the same covariance, which no entropy exceeds: z is stretched or "
            "correlated, and its neighbors do not see the narrow directions. Pass whiten=True, "
            "norm='euclidean' or more points."
        )
    elif abs(bias) > WARN_ABOVE:
        _warn(
            f"knn_entropy: {n} points in {d} dimensions. On a round (isotropic) Gaussian sample of "
            f"this size it is {abs(bias):.2g} nats off; compare values of one size, and do not "
            "read them as entropies."
        )


def _excess(estimate: float, z: Tensor, k: int) -> float:
    """Nats above the Gaussian bound, less what chance does to both; minus infinity if unknown."""
    n, d = z.shape
    if n <= 2 * d:  # the covariance of so few rows says nothing
        return -math.inf
    try:
        bound = gaussian_entropy_bound(z.detach(), corrected=True).item()
    except ValueError:
        return math.inf
    # Four standard deviations of the balls' mean log mass, and of the likelihood ratio of the
    # fitted Gaussian to the true one. The rest of the chance is in both and cancels.
    trigamma = torch.special.polygamma(1, torch.tensor(float(k), dtype=torch.float64)).item()
    return estimate - bound - 4 * (math.sqrt(trigamma / n) + d / (2 * (n - d)))


def warn_dimensions(d: int, n: int, k: int) -> None:
    bias = knn_entropy_bias(n, d, k)
    if abs(bias) > WARN_ABOVE:
        _warn(
            f"knn_mutual_information: {n} points in {d} dimensions. An entropy of a round "
            f"(isotropic) Gaussian sample of this size is {abs(bias):.2g} nats off; the "
            "information may be far too low."
        )


def warn_repeats(z: Tensor, name: str) -> None:
    """That rows of `z` `(N, d)` repeat, which those of a density never do."""
    if z[:, 0].unique().numel() == len(z):  # one sort tells of most samples
        return
    seen = symbols(z)
    repeated = int((seen.bincount()[seen] > 1).sum())
    if repeated > _FEW_REPEATS * len(z):
        _warn(
            f"{name}: {repeated} of {len(z)} rows occur more than once, which rows with a density "
            "never do. The estimate takes them for near neighbors and may be far off: count them "
            "instead (counted_information, or knn_mutual_information with repeats='count'), or "
            "drop copies."
        )


def warn_continuous(x: Tensor, y: Tensor, k: int) -> None:
    """That `y` looks like labels, or that its unit is not that of `x`."""
    levels = y[:, 0].unique()
    few = y.shape[1] == 1 and 1 < len(levels) <= len(y) / (k + 1)
    if few and (levels == levels.round()).all():
        _warn(
            f"knn_mutual_information: y is floating and holds {len(levels)} whole numbers only. "
            "Are they labels? Pass integers."
        )
    wide = [(v - v.median(0).values).abs().mean(0).max().item() for v in (x, y)]
    if min(wide) > 0 and max(wide) > _COMPARABLE * min(wide):
        more, less = "xy" if wide[0] > wide[1] else "yx"
        _warn(
            f"knn_mutual_information: {more} is {max(wide) / min(wide):.3g} times as wide as "
            f"{less}, so neighbors are chosen by {more} alone and the information may be far too "
            "low. Bring both to comparable units, for instance divide each by its deviation."
        )


def _warn(message: str) -> None:
    warnings.warn(message, BiasWarning, stacklevel=4)  # of who called the public function
