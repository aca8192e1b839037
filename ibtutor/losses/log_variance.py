"""The mean-field Gaussian bounds on H[Z] and H[Z|Y] as losses on a batch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._gaussian import at_least_single, floating, wide

ZERO_ENTROPY_VARIANCE = 1 / (2 * math.pi * math.e)


def log_variance(
    z: Tensor,
    labels: ArrayLike | None = None,
    *,
    num_classes: int | None = None,
    noise_variance: float = ZERO_ENTROPY_VARIANCE,
) -> Tensor:
    """sum_i 1/2 log(2 pi e Var[Z_i]) of a batch, in nats; with labels, of Var[Z_i|Y].

    It bounds H[Z], and with labels H[Z|Y], from above (Kirsch et al. 2020, Section 6.3,
    Observation 7): no distribution of that variance has more entropy than a Gaussian with
    independent dimensions. Add gamma times it to a cross-entropy.

    `noise_variance` is the variance of the noise that is added to the latent but not yet in `z`;
    its default has entropy zero, so that the value is never below zero and a collapsed latent
    gives zero. Pass 0 if `z` has the noise in it. Without any noise the value has no lower bound.

    Variances are those of the batch (divided by n - 1), their sums in float64. Half the logarithm
    of one is too low on average: without noise by 0.027 nats a dimension for 20 examples, by 0.135
    for 5. With labels, classes are weighed by their number of examples. A class with one example
    has no variance and is left out, with a warning where counting is free (see `check_labels`).

    Args:
        z: `(N, k)` floating, N >= 2.
        labels: `(N,)` integers in 0 .. K - 1, or None.
        num_classes: K. Needed with labels on a GPU, where finding it would wait for the device.
        noise_variance: zero or more, finite.

    Returns:
        a scalar in the type of `z`, but float32 for half precision.

    Raises:
        TypeError: z not a floating tensor, labels not integers.
        ValueError: a shape that is not `(N, k)`, labels of another length, a label that is no
            class, a negative noise variance; where reading them is free also: no class with two
            examples, or a dimension that is constant up to rounding without noise.

    >>> import torch
    >>> z = torch.tensor([[-1.0], [1.0], [4.0], [6.0]])
    >>> y = torch.tensor([0, 0, 1, 1])
    >>> round(float(log_variance(z, y, noise_variance=0.0)), 6)  # variance 2 in each class
    1.765512
    >>> float(log_variance(torch.ones(3, 5))) == 0  # collapsed, but for zero-entropy noise
    True
    """
    z = floating(z, "z")
    if z.ndim != 2 or z.shape[1] == 0:
        raise ValueError(f"z must have shape (batch, dimensions), got {tuple(z.shape)}")
    if len(z) < 2:
        raise ValueError(f"z must have at least 2 examples to have a variance, got {len(z)}")
    noise = _inputs.number(noise_variance, "noise_variance", _validate.non_negative)
    values = wide(z)
    if labels is None:
        variance = values.var(0)
        if noise == 0 and _inputs.readable(z):
            everyone = torch.zeros(len(z), dtype=torch.int64)
            _refuse_constant(values, everyone, variance[None], torch.tensor([True]), None)
        return _entropies(variance, noise).sum().to(at_least_single(z))
    labels = _inputs.class_labels(labels, z, "z")
    # Before they go to a device, where reading them waits.
    labels, names = _classes(labels.cpu() if z.is_cpu else labels, num_classes)
    labels = labels.to(z.device)
    classes = torch.arange(len(names), device=z.device)
    member = (labels[:, None] == classes).to(values)
    count = member.sum(0)  # (K,)
    enough = count > 1
    if _inputs.readable(labels):
        _check_counts(count, names)
    mean = (member.t() @ values) / count.clamp(min=1)[:, None]
    squares = (values - member @ mean).square()
    variance = (member.t() @ squares) / (count - 1).clamp(min=1)[:, None]
    # A class left out has the variance one, so that no gradient through it is infinite.
    variance = torch.where(enough[:, None], variance, 1.0)
    if noise == 0 and _inputs.readable(z) and _inputs.readable(labels):
        _refuse_constant(values, labels, variance, enough, names)
    entropies = _entropies(variance, noise)
    weight = torch.where(enough, count, 0.0)
    return (weight * entropies.sum(1) / weight.sum()).sum().to(at_least_single(z))


def _entropies(variance: Tensor, noise: float) -> Tensor:
    """1/2 log(2 pi e variance) of each dimension, exactly zero where only the noise is left."""
    if noise == 0:
        return 0.5 * (variance / ZERO_ENTROPY_VARIANCE).log()
    ratio = variance / noise
    return 0.5 * (ratio.log1p() + math.log(noise / ZERO_ENTROPY_VARIANCE))


def _refuse_constant(
    values: Tensor, labels: Tensor, variance: Tensor, enough: Tensor, names: Sequence[int] | None
) -> None:
    """Say where one of the classes `(K,)` with enough examples is constant up to rounding.

    Not by `variance` `(K, k)` alone: equal numbers may differ from their mean in the last digit.
    """
    rows, values = labels[:, None].expand_as(values), values.detach()
    low = torch.full_like(variance, math.inf).scatter_reduce(0, rows, values, "amin")
    high = torch.full_like(variance, -math.inf).scatter_reduce(0, rows, values, "amax")
    still = (variance == 0) | (high - low <= 1e-14 * torch.maximum(high.abs(), low.abs()))
    where = (still & enough[:, None]).nonzero().tolist()
    if where:
        of_class = f" of class {names[where[0][0]]}" if names is not None else ""
        raise ValueError(
            f"z has no variance in dimension {where[0][1]}{of_class}, so its log is minus "
            "infinity; add noise and give its variance as noise_variance"
        )


def _classes(labels: Tensor, num_classes: int | None) -> tuple[Tensor, Sequence[int]]:
    """Labels from 0 on and the classes that they stand for: all K, or those that occur.

    Labels outside are refused where it is free.
    """
    if num_classes is not None:
        k = _validate.class_count(num_classes)
        if _inputs.readable(labels):
            _inputs.check_labels(labels, k)
        return labels, range(k)
    if not _inputs.readable(labels):
        raise ValueError("num_classes must be given where labels are not on the CPU")
    found, labels = labels.unique(return_inverse=True)
    if found[0] < 0:
        raise ValueError(f"labels must not be negative, got {int(found[0])}")
    return labels, found.tolist()


def _check_counts(count: Tensor, names: Sequence[int]) -> None:
    """Say which classes have too few examples for a variance."""
    if not (count > 1).any():
        raise ValueError(
            "labels must have at least 2 examples of one class to have a variance in it, got "
            f"{int(count.sum())} classes with one example each"
        )
    alone = (count == 1).nonzero().flatten().tolist()
    if alone:
        shown = ", ".join(str(names[c]) for c in alone[:5]) + (", ..." if len(alone) > 5 else "")
        warnings.warn(
            f"{len(alone)} class(es) with a single example in this batch have no variance and "
            f"are left out: {shown}; use larger batches",
            stacklevel=3,
        )
