"""Two classes with normal inputs: information and error, exact and bounded, in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

# Nodes of the trapezoidal rule over a standard normal variable. The integrand is analytic, so the
# rule converges exponentially: at this step its error lies below rounding for delta up to 100.
_NODES = 1201
_REACH = 12.0
_CELLS = 2**21  # values of the integrand held at once: 16 MB
# Above this, log 2 minus the information is less than 1e-22.
_SATURATED = 100.0


@dataclass(frozen=True)
class BinaryGaussianBounds:
    """Bounds on I(X;Y) of the binary Gaussian model, in nats; float64 tensors of one shape."""

    jensen: Tensor  # upper, delta: Yi and others
    capacity: Tensor  # upper, log(1 + delta) / 2: a normal input of the same variance
    kl: Tensor  # upper, log 2 - log(1 + e^(-2 delta))
    bhattacharyya: Tensor  # lower, log 2 - log(1 + e^(-delta / 2))
    renyi2: Tensor  # lower, log 2 - log(1 + e^(-delta)) - (n / 2) (1 - log 2)

    @property
    def lower(self) -> Tensor:
        """The larger of the two lower bounds."""
        return torch.maximum(self.bhattacharyya, self.renyi2)

    @property
    def upper(self) -> Tensor:
        """The smallest of the three upper bounds."""
        return torch.minimum(self.capacity, self.kl)  # kl never exceeds jensen


def gaussian_separation(mean: ArrayLike, covariance: ArrayLike) -> float:
    r"""$\delta = \mu^\top \Sigma^{-1} \mu$, all that the binary Gaussian model depends on.

    Y is a fair sign and X given Y is normal with mean $Y \mu$ and covariance $\Sigma$.

    Args:
        mean: shape `(n,)`.
        covariance: shape `(n, n)`, symmetric and positive definite, not only up to rounding.

    Returns:
        A number, zero or more, without unit.

    Raises:
        ValueError: shapes that do not fit, a covariance that is not symmetric or not definite, a
            separation beyond the largest float64.

    Source: Yi and others 2022, Theorem 5 (where the covariance is called semidefinite).

    >>> round(gaussian_separation([1.0, 0.0], [[2.0, 0.0], [0.0, 1.0]]), 10)
    0.5
    """
    mu = _validate.as_float_tensor(mean, "mean").to(torch.float64)
    sigma = _validate.as_float_tensor(covariance, "covariance").to(torch.float64)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise ValueError(
            "mean and covariance must have shapes (n,) and (n, n), "
            f"got {tuple(mu.shape)} and {tuple(sigma.shape)}"
        )
    _validate.check_finite(mu, "mean")
    _validate.check_finite(sigma, "covariance")
    sigma = sigma.to(mu.device)
    crooked = (sigma - sigma.T).abs().max().item()
    if crooked > 1e-8 * sigma.abs().max().item():
        raise ValueError(f"covariance must be symmetric, got entries that differ by {crooked:.6g}")
    scale = sigma.diagonal().clamp(min=0.0).sqrt()
    if not (scale > 0).all():
        raise ValueError(
            "covariance must be positive definite, got a variance "
            f"{sigma.diagonal().min().item():.6g}"
        )
    # Of the correlations: variances may differ by any factor, and rounding is relative to one.
    spectrum, axes = torch.linalg.eigh(sigma / scale[:, None] / scale)
    # Ten times what eigenvalues may be off: the products in the covariance are rounded, too.
    rounding = 10 * len(mu) * torch.finfo(torch.float64).eps * spectrum[-1].item()
    if spectrum[0].item() <= rounding:
        raise ValueError(
            "covariance must be positive definite, got correlations with a smallest eigenvalue "
            f"{spectrum[0].item():.6g}, which is not above rounding ({rounding:.2g})"
        )
    delta = ((mu / scale @ axes).square() / spectrum).sum().item()
    if not math.isfinite(delta):
        raise ValueError(
            "mean must be small enough and covariance large enough for a finite separation, "
            f"got {delta}"
        )
    return delta


def binary_gaussian_information(delta: ArrayLike) -> Tensor:
    r"""$I(X;Y) = \delta - E \log\cosh(\delta + \sqrt\delta\, G)$, G standard normal, in nats.

    Exact for any dimension of X, by quadrature, to about 1e-15.

    Args:
        delta: $\mu^\top \Sigma^{-1} \mu$ (`gaussian_separation`), zero or more; any shape.

    Returns:
        float64 tensor of the shape of `delta`, between 0 and log 2; not differentiable.

    Raises:
        ValueError: a delta that is negative or not finite.

    Source: the model of Yi and others 2022, Theorem 5; the formula is derived in the book.

    >>> round(binary_gaussian_information(1.0).item(), 10)
    0.3368308203
    """
    d = _delta(delta)
    nodes = torch.linspace(-_REACH, _REACH, _NODES, dtype=torch.float64, device=d.device)
    weights = torch.exp(-nodes.square() / 2)
    weights = weights / weights.sum()
    parts = d.reshape(-1, 1).clamp(max=_SATURATED).split(max(1, _CELLS // _NODES))
    return torch.cat([_information(part, nodes, weights) for part in parts]).reshape(d.shape)


def _information(inside: Tensor, nodes: Tensor, weights: Tensor) -> Tensor:
    """The integral for each delta `inside` `(M, 1)`, up to `_SATURATED`, by one rule `(Q,)`."""
    v = inside + inside.sqrt() * nodes
    # Strong signals: log 2 - E log(1 + e^(-2v)). Weak ones: E v^2 = delta + delta^2 is known, and
    # v^2 / 2 - log cosh v is tiny. Neither form subtracts numbers that are almost equal.
    near = v.clamp(-2.0, 2.0)
    log_cosh = torch.where(
        v.abs() < 2, torch.log1p(2 * torch.sinh(near / 2).square()), v.abs() + _tail(v.abs())
    )
    weak = inside / 2 - inside.square() / 2 + (v.square() / 2 - log_cosh) @ weights[:, None]
    strong = math.log(2) - torch.nn.functional.softplus(-2 * v) @ weights[:, None]
    exact = torch.where(inside < 0.5, weak, strong)
    return exact.clamp(0.0, math.log(2))


def binary_gaussian_bounds(delta: ArrayLike, dim: int = 1) -> BinaryGaussianBounds:
    r"""Bounds on I(X;Y) of the binary Gaussian model from both sides, in nats.

    `.renyi2` falls with the dimension of X and is soon negative; since I(X;Y) depends on delta
    alone, its value at `dim` = 1 bounds every dimension.

    Args:
        delta: zero or more (`gaussian_separation`); any shape.
        dim: n, the dimension of X; `.renyi2` alone depends on it, and `.lower` through it.

    Returns:
        Seven bounds by name, float64 tensors of the shape of `delta`.

    Raises:
        ValueError: a delta that is negative or not finite, a dim below 1.
        TypeError: a delta that is no number, a dim that is no integer.

    Source: `jensen` Yi and others 2022, Theorem 5 (rebuilt from its proof); `bhattacharyya` and
    `kl` Kolchinsky and Tracey 2017; `renyi2` and `capacity` are derived in the book.

    >>> bounds = binary_gaussian_bounds(1.0)
    >>> round(bounds.lower.item(), 10), round(bounds.upper.item(), 10)
    (0.2264590833, 0.3465735903)
    """
    d = _delta(delta)
    n = _validate.integer(dim, "dim", 1)

    def mixture(exponent: Tensor) -> Tensor:
        # log 2 - log(1 + e^-x) is log1p(tanh(x / 2)), also for small x.
        return torch.log1p(torch.tanh(exponent / 2))

    return BinaryGaussianBounds(
        jensen=d.clone(),
        capacity=torch.log1p(d) / 2,
        kl=mixture(2 * d),
        bhattacharyya=mixture(d / 2),
        renyi2=mixture(d) - n / 2 * (1 - math.log(2)),
    )


def binary_gaussian_error(delta: ArrayLike) -> Tensor:
    r"""The smallest error rate in the binary Gaussian model, $Q(\sqrt\delta)$: that of a sign.

    Q is the upper tail of the standard normal distribution.

    Args:
        delta: zero or more (`gaussian_separation`); any shape.

    Returns:
        float64 tensor of the shape of `delta`, between 0 and 1/2.

    Raises:
        ValueError: a delta that is negative or not finite.

    Source: the model of Yi and others 2022, Theorem 5; the best rule is derived in the book.

    >>> round(binary_gaussian_error(1.0).item(), 10)
    0.1586552539
    """
    return torch.special.erfc((_delta(delta) / 2).sqrt()) / 2


def _tail(v: Tensor) -> Tensor:
    return torch.log1p(torch.exp(-2 * v)) - math.log(2)


def _delta(delta: ArrayLike) -> Tensor:
    d = _validate.as_float_tensor(delta, "delta").detach().to(torch.float64)
    _validate.check_finite(d, "delta")
    lowest = d.amin().item()
    if lowest < 0:
        raise ValueError(f"delta must be zero or more, got {lowest:.6g}")
    return d
