"""The entropy of the Gaussian with the same covariance: the most that a sample's can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ibtutor.info import _neighbors, _validate
from ibtutor.info._validate import ArrayLike, numbers

# Standard deviation of Gaussian noise whose differential entropy is zero in every dimension:
# (k / 2) log(2 pi e s^2) = 0. Kirsch, Lyle and Gal 2020, section 6.1.
ZERO_ENTROPY_STD = 1.0 / math.sqrt(2.0 * math.pi * math.e)


def gaussian_entropy_bound(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    diagonal: bool = False,
    noise_std: float = 0.0,
    corrected: bool = False,
) -> Tensor:
    """1/2 log det(2 pi e Cov[Z]), an upper bound on the differential entropy H[Z] in nats.

    With `labels` the class-conditional form: the mean over the classes of the same with Cov[Z|y],
    an upper bound on H[Z|Y]. Both are met by Gaussians and by nothing else: two clusters far
    apart have a large covariance and little entropy. The difference of both forms is no bound on
    I[Y; Z], neither from above nor from below.

    Args:
        z: latents `(N, d)`, or `(N,)` for one dimension.
        labels: whole numbers `(N,)`; every class that occurs needs two rows, and more than `d`
            unless `diagonal` or `noise_std` is given.
        diagonal: sum of 1/2 log(2 pi e Var[Z_i]) over the coordinates instead: larger (Hadamard),
            and needs only two rows.
        noise_std: of independent Gaussian noise that is thought to be added to every coordinate;
            `ZERO_ENTROPY_STD` for noise of no entropy. Its variance is added, nothing is sampled.
        corrected: the logarithm of a sample's determinant is too low by a known amount where the
            sample is Gaussian; add it. Not with `noise_std`, where it is not known.

    Returns:
        float64 tensor without dimensions, differentiable in `z`.

    Raises:
        TypeError: labels that are no whole numbers.
        ValueError: NaN, a wrong shape, a class of one sample, a singular covariance (a collapsed
            latent, or no more rows than dimensions), for which the bound is minus infinity.

    Source: Kirsch 2020, Theorem 2 and Observation 7 (mathematics: Cover and Thomas, Theorem 8.6.5).

    >>> z = torch.tensor([-1.0, 1.0, -1.0, 1.0]) * 0.75 ** 0.5  # variance 1
    >>> gaussian_entropy_bound(z).round(decimals=6).item()  # log(2 pi e) / 2
    1.418939
    >>> collapsed = torch.zeros(5, 3)
    >>> round(abs(gaussian_entropy_bound(collapsed, noise_std=ZERO_ENTROPY_STD).item()), 9)
    0.0
    """
    z = latents(z, "z").double()
    noise = _validate.non_negative(noise_std, "noise_std")
    if corrected and noise:
        raise ValueError("corrected is known without noise only, got noise_std too")
    if len(z) < 2:
        raise ValueError(f"a variance needs at least 2 rows, z has {len(z)}")
    if labels is None:
        return _one(z, diagonal, noise, corrected, "z")
    total = z.new_zeros(())
    for name, rows in classes(labels, len(z)).items():
        if len(rows) < 2:
            raise ValueError(f"class {name} has one sample; a variance needs at least 2")
        part = z[rows.to(z.device)]
        value = _one(part, diagonal, noise, corrected, f"z in class {name}")
        total = total + len(rows) / len(z) * value
    return total


def latents(value: ArrayLike, name: str) -> Tensor:
    """Finite floating `(N, d)`; a vector becomes one column."""
    z = _validate.as_float_tensor(value, name)
    if z.ndim == 1:
        z = z.unsqueeze(1)
    if z.ndim != 2:
        raise ValueError(f"{name} must have shape (N, d) or (N,), got {tuple(z.shape)}")
    _validate.check_finite(z, name)
    return z


def classes(labels: ArrayLike, length: int, name: str = "labels") -> dict[int, Tensor]:
    """Rows of each class that occurs, by label in ascending order."""
    y = numbers(labels, name).detach().cpu()
    if y.numel() == 0:
        raise ValueError(f"{name} must have shape ({length},), got {tuple(y.shape)}")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise TypeError(f"{name} must be whole numbers, got {y.dtype}")
    if y.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {tuple(y.shape)}")
    order = y.argsort(stable=True)
    names, counts = y.unique(return_counts=True)
    return dict(zip(names.tolist(), order.split(counts.tolist()), strict=True))


def whitened(z: Tensor, name: str) -> tuple[Tensor, float]:
    """`z` `(N, d)` mapped linearly to mean zero and covariance one, and log |det| of the way back.

    Raises ValueError where the covariance is singular.
    """
    advice = "cannot be whitened: drop dependent coordinates, or use whiten=False"
    z = z.detach().double()
    units = _neighbors.power_of_two(z.abs().amax(0))
    centered = _centered(z / units)
    covariance = centered.T @ centered / (len(z) - 1)
    log_det = _log_determinant(covariance, len(z), name, advice) / 2 + units.log().sum()
    scale = covariance.diagonal().sqrt()
    values, vectors = torch.linalg.eigh(covariance / scale / scale.unsqueeze(1))
    return centered / scale @ vectors / values.sqrt(), log_det.item()


def _centered(z: Tensor) -> Tensor:
    centered = z - z.mean(0)
    # A column that is constant up to rounding is constant.
    still = centered.detach().abs().amax(0) <= 1e-14 * z.detach().abs().amax(0)
    return torch.where(still, torch.zeros_like(centered), centered)


def _one(z: Tensor, diagonal: bool, noise_std: float, corrected: bool, name: str) -> Tensor:
    n, d = z.shape
    largest = z.detach().abs().amax(0).clamp(min=noise_std)
    if noise_std and not diagonal:  # a sum of matrices has one unit
        largest = largest.max().expand(d)
    units = _neighbors.power_of_two(largest)  # so that squares neither overflow nor vanish
    centered, noise = _centered(z / units), noise_std / units
    if diagonal:
        variance = centered.square().sum(0) / (n - 1) + noise**2
        if (variance <= 0).any():
            column = int((variance <= 0).nonzero()[0])
            raise ValueError(f"{name}: coordinate {column} is constant; {_ADVICE}")
        log_det = variance.log().sum()
        missing = d * _log_bias(n - 1)
    else:
        covariance = centered.T @ centered / (n - 1)
        if noise_std:
            eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0) + noise**2
            log_det = eigenvalues.log().sum()
        else:
            log_det = _log_determinant(covariance, n, name, _ADVICE)
        missing = sum(_log_bias(n - 1 - i, n - 1) for i in range(d)) if corrected else 0.0
    log_det = log_det + 2 * units.log().sum()
    constant = d * math.log(2 * math.pi * math.e)
    return (log_det + constant - (missing if corrected else 0.0)) / 2


_ADVICE = (
    "the bound is minus infinity: a latent without noise has no bounded entropy there "
    "(noise_std=ZERO_ENTROPY_STD adds noise of entropy zero)"
)


def _log_determinant(covariance: Tensor, n: int, name: str, advice: str) -> Tensor:
    """Raises ValueError with `advice` where the covariance of `n` rows is singular."""
    d = len(covariance)
    scale = covariance.diagonal().sqrt()
    if (scale > 0).all():
        # Of the correlations: a determinant does not hang on the units of the coordinates.
        correlation = covariance / scale / scale.unsqueeze(1)
        eigenvalues = torch.linalg.eigvalsh(correlation)
        rank = int((eigenvalues > 1e-12 * d).sum())
    else:
        eigenvalues, rank = covariance.new_zeros(d), int((scale > 0).sum())
    if rank < d or n <= d:
        raise ValueError(
            f"{name}: {n} rows of {d} dimensions span {min(rank, n - 1)}; their covariance is "
            f"singular and {advice}"
        )
    return eigenvalues.log().sum() + 2 * scale.log().sum()


def _log_bias(degrees: int, over: int | None = None) -> float:
    """E log of a chi-square variable with these degrees of freedom over `over` of them."""
    digamma = torch.special.digamma(torch.tensor(degrees / 2, dtype=torch.float64)).item()
    return digamma - math.log((over or degrees) / 2)
