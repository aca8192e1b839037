"""Samples (z, y) of distributions whose I(Z; Y) is known, to try estimators on.

In each family one coordinate u holds all that Z knows of Y, so I(Z; Y) = I(u; Y) is a sum or an
integral in one dimension. Then d - 1 coordinates without information are added and everything goes
through an invertible map, which changes no information and can fool an estimator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from ibtutor.info import _validate

_GRID = 20_001


@dataclass(frozen=True)
class Known:
    """A sample and what is true of it: `z` float64 `(N, d)`, `labels` `(N,)`, nats."""

    z: np.ndarray
    labels: np.ndarray
    information: float


def known_sample(
    family: str, *, n: int, d: int, num_classes: int, strength: float, seed: int
) -> Known:
    """Draw from one of `FAMILIES`.

    - "gaussian": u is Gaussian in each class, means `strength` apart, widths 1 or 2 by turns in
      half of the seeds; z is a random linear map.
    - "mixture": each class is three such Gaussians, the classes interleaved like combs.
    - "manifold": u is uniform on an interval for each class, neighbors overlap; z runs along a
      curve in d dimensions, or for odd seeds and d > 2 over a surface.
    - "quantized": the Gaussian family rounded to whole numbers before the linear map.
    - "bounded": tanh of `gain` times each coordinate, gain 2 or 6.
    - "clipped": each coordinate cut at -1 and 1: both ends carry mass.
    - "relu": max(0, x) of each coordinate: exact zeros.

    Args:
        family: one of `FAMILIES`.
        n: rows. d: coordinates. num_classes: equally likely. strength: distance of neighbors.
        seed: of everything random.

    Raises:
        TypeError: n, d, num_classes or seed no whole number.
        ValueError: an unknown family; n or d below 1, num_classes below 2, strength or seed below
            0; a strength at which a fixed grid would miss classes.

    >>> known = known_sample("gaussian", n=10, d=3, num_classes=2, strength=2.0, seed=0)
    >>> known.z.shape, round(known.information, 6)  # two Gaussians at distance 2
    ((10, 3), 0.336831)
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    sizes = ((n, "n", 1), (d, "d", 1), (num_classes, "num_classes", 2), (seed, "seed", 0))
    n, d, num_classes, seed = (_validate.integer(*size) for size in sizes)
    strength = _validate.non_negative(strength, "strength")
    rng = np.random.default_rng([seed, n, d, num_classes, int(1000 * strength)])
    y = np.arange(n) % num_classes
    rng.shuffle(y)
    z, information = FAMILIES[family](rng, y, d, num_classes, strength, seed)
    return Known(z, y, information)


def _widths(k: int, seed: int) -> np.ndarray:
    return np.ones(k) + (np.arange(k) % 2) * (seed % 2)


def _gaussian_coordinates(rng, y, d, k, s, seed):
    centers = s * (np.arange(k) - (k - 1) / 2)
    x = rng.standard_normal((len(y), d))
    x[:, 0] = centers[y] + _widths(k, seed)[y] * x[:, 0]
    return x, centers, _widths(k, seed)


def _linear(rng, x):
    """A random rotation after random units, at most a factor of four between coordinates."""
    d = x.shape[1]
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return (x * np.exp(rng.uniform(-0.7, 0.7, d))) @ rotation


def _gaussian(rng, y, d, k, s, seed):
    x, centers, widths = _gaussian_coordinates(rng, y, d, k, s, seed)
    return _linear(rng, x), _density_information(_normal(centers, widths))


def _mixture(rng, y, d, k, s, seed):
    teeth = s * (np.arange(k)[:, None] + k * np.arange(3) - (3 * k - 1) / 2)
    x = rng.standard_normal((len(y), d))
    x[:, 0] += teeth[y, rng.integers(3, size=len(y))]
    found = _density_information([m for row in teeth for m in zip(row, (1.0,) * 3, strict=True)], k)
    return _linear(rng, x), found


def _manifold(rng, y, d, k, s, seed):
    step = s / (1 + s)  # intervals of length 1, their starts this far apart
    u = step * y + rng.random(len(y))
    edges = np.unique(np.concatenate([step * np.arange(k), step * np.arange(k) + 1]))
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    inside = (step * np.arange(k)[:, None] < middle) & (middle < step * np.arange(k)[:, None] + 1)
    information = _table_information(inside * length / k)
    if d == 1:
        return u[:, None], information
    t = u / edges[-1]
    wave = 2 * math.pi * np.arange(1, 4) * t[:, None] * 0.6
    curve = np.concatenate([t[:, None], np.sin(wave), np.cos(wave)], 1)
    curve = curve @ rng.standard_normal((7, d)) + 2.0 * t[:, None] * rng.standard_normal(d)
    if seed % 2 and d > 2:
        curve = curve + rng.random((len(y), 1)) * rng.standard_normal(d)
    return curve, information


def _quantized(rng, y, d, k, s, seed):
    x, centers, widths = _gaussian_coordinates(rng, y, d, k, s, seed)
    # Twelve widths around each class: between classes that lie farther apart no cell is needed.
    reach = math.ceil(12 * widths.max())
    near = np.floor(centers)[:, None] + np.arange(-reach, reach + 1)
    ends = np.unique(near) + 0.5
    below = special.ndtr((ends[:, None] - centers) / widths)
    return _linear(rng, np.round(x)), _table_information(np.diff(below, axis=0).T / k)


def _bounded(rng, y, d, k, s, seed):
    x, centers, widths = _gaussian_coordinates(rng, y, d, k, s, seed)
    gain = (2.0, 6.0)[seed // 2 % 2] / (1 + s * (k - 1) / 2)
    return np.tanh(gain * x), _density_information(_normal(centers, widths))


def _clipped(rng, y, d, k, s, seed):
    x, centers, widths = _gaussian_coordinates(rng, y, d, k, s, seed)
    reach = 1 + s * (k - 1) / 4
    z = np.clip(x / reach, -1, 1)
    return z, _density_information(_normal(centers, widths), low=-reach, high=reach)


def _relu(rng, y, d, k, s, seed):
    x, centers, widths = _gaussian_coordinates(rng, y, d, k, s, seed)
    return np.maximum(x, 0.0), _density_information(_normal(centers, widths), low=0.0)


def _normal(centers, widths):
    return list(zip(centers, widths, strict=True))


def _density_information(
    parts: list[tuple[float, float]], k: int | None = None, low=-math.inf, high=math.inf
) -> float:
    """I(u; Y) of classes that are Gaussians (mean, width), or mixtures of equally many of them.

    With `low` or `high` u is cut there, and what lies beyond becomes an atom at the end.
    """
    centers, widths = (np.array(v)[:, None] for v in zip(*parts, strict=True))
    k = k or len(parts)
    start = max(low, (centers - 12 * widths).min())
    stop = min(high, (centers + 12 * widths).max())
    u = np.linspace(start, stop, _GRID)
    if u[1] - u[0] > widths.min() / 2:
        raise ValueError(
            f"strength is too large: the classes span {stop - start:.6g} widths, and beyond "
            f"{_GRID // 2:,} they fall between the {_GRID:,} nodes of the integral"
        )
    density = np.exp(-0.5 * ((u - centers) / widths) ** 2) / widths / math.sqrt(2 * math.pi)
    mass = density * (u[1] - u[0])
    mass[:, [0, -1]] /= 2
    ends = [special.ndtr((low - centers) / widths), special.ndtr((centers - high) / widths)]
    mass = np.concatenate([mass, *ends], 1).reshape(k, -1, _GRID + 2).mean(1)
    return _table_information(mass / k)


def _table_information(joint: np.ndarray) -> float:
    """I of a joint table `(K, M)` of masses; cells of a fine grid count as points."""
    joint = joint / joint.sum()
    # The logarithms apart: the product of both sums underflows where a cell has almost no mass.
    parts = (joint, joint.sum(0), joint.sum(1, keepdims=True))
    own, column, row = (special.xlogy(joint, part) for part in parts)
    return max(0.0, float((own - column - row).sum()))


FAMILIES: dict[str, Callable] = {
    "gaussian": _gaussian,
    "mixture": _mixture,
    "manifold": _manifold,
    "quantized": _quantized,
    "bounded": _bounded,
    "clipped": _clipped,
    "relu": _relu,
}
