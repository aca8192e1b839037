"""E||Z||^2, the simplest surrogate for an entropy, and the bounds that come with it."""

from __future__ import annotations

import math
import sys

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.losses import _inputs
from ibtutor.losses._batch import reduce
from ibtutor.losses._gaussian import at_least_single, floating, wide


def activation_norm(z: Tensor, *, reduction: str = "mean") -> Tensor:
    """E||Z||^2 of latents: the activation L2 of Kirsch et al. 2020, Section 6.3.

    Add gamma times it to a cross-entropy. With zero-entropy noise on the latent it bounds the
    entropy: H[Z] <= `norm_entropy_bound`. Noise of variance s^2 a dimension that is left out of
    `z` adds the constant k s^2.

    Args:
        z: `(N, k)` floating, or `(N, k, d1, ...)`: the latent's dimensions are the second.
        reduction: "mean" over the inputs (and positions), "sum", or "none" for `(N, d1, ...)`.

    Returns:
        in the type of `z`, but float32 for half precision, which ends at 65504.

    Raises:
        TypeError: z not a floating tensor.
        ValueError: z without a batch, without dimensions or empty, an unknown reduction.

    >>> import torch
    >>> float(activation_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])))
    13.0
    """
    z = floating(z, "z")
    if z.ndim < 2 or z.numel() == 0:
        raise ValueError(
            "z must have shape (batch, dimensions, ...) without an empty dimension, "
            f"got {tuple(z.shape)}"
        )
    norm = reduce(wide(z).square().sum(1), _inputs.check_reduction(reduction))
    return norm.to(at_least_single(z))


def norm_entropy_bound(mean_square: float, dimensions: int) -> float:
    """The most entropy that a latent with that E||Z||^2 can have, in nats.

    H[Z] <= (k / 2) log(2 pi e E||Z||^2 / k), with equality for N(0, E||Z||^2 / k I). For k > 1
    this is not what Kirsch et al. 2020 print (Section 6.3), who leave out both k.

    Args:
        mean_square: E||Z||^2, the noise included; zero or more.
        dimensions: k >= 1.

    Raises:
        TypeError: mean_square no number, dimensions no integer.
        ValueError: either out of range.

    >>> round(norm_entropy_bound(1.0, 1), 6)  # a standard normal
    1.418939
    """
    k = _validate.integer(dimensions, "dimensions", 1)
    value = _validate.non_negative(mean_square, "mean_square")
    return -math.inf if value == 0 else k / 2 * math.log(2 * math.pi * math.e * value / k)


def norm_limit(entropy: float, dimensions: int) -> float:
    """The E||Z||^2 below which the entropy is at most `entropy` nats: the inverse of the bound.

    C' = k exp(2 C / k) / (2 pi e) for an entropy C, where Kirsch et al. 2020 (Section 6.3) print
    exp(2 C) / (2 pi e).

    Args:
        entropy: C in nats, of any sign.
        dimensions: k >= 1.

    Raises:
        TypeError: entropy no number, dimensions no integer.
        ValueError: either out of range, or an entropy whose C' is beyond the largest float.

    >>> round(norm_limit(2.0, 2), 10)
    0.8652559794
    """
    k = _validate.integer(dimensions, "dimensions", 1)
    entropy = _validate.number(entropy, "entropy")
    logarithm = 2 * entropy / k + math.log(k / (2 * math.pi * math.e))
    if logarithm > math.log(sys.float_info.max):
        raise ValueError(
            f"entropy must be small enough for a float to hold the square, got {entropy:.6g} nats "
            f"for {k} dimension(s)"
        )
    return math.exp(logarithm)
