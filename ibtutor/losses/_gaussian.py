"""What the losses on Gaussian latents share: checked means and deviations, and their divergence."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.losses import _inputs
from ibtutor.losses._batch import Batch

_WHY = ": without noise the divergence is infinite"


def means(mean: Tensor, name: str, batch: Batch) -> Tensor:
    """A floating tensor `(N, k, d1, ...)` beside labels `(N, d1, ...)`; zero where ignored."""
    labels = batch.labels
    mean = floating(mean, name)
    fits = mean.ndim >= 2 and mean.shape[:1] + mean.shape[2:] == labels.shape
    if not fits or mean.numel() == 0:
        wanted = ", ".join(map(str, (*labels.shape[:1], "k", *labels.shape[1:])))
        raise ValueError(
            f"{name} must have shape ({wanted}) with k >= 1 dimensions to match labels of shape "
            f"{tuple(labels.shape)}, got {tuple(mean.shape)}"
        )
    return mean if batch.ignored is None else mean.masked_fill(batch.ignored.unsqueeze(1), 0.0)


def deviation(
    std: float | Tensor, name: str, like: Tensor, ignored: Tensor | None = None, why: str = _WHY
) -> Tensor:
    """A positive number, or a floating tensor that broadcasts over `like`; one where ignored.

    `why` ends the message on one that is not positive.
    """
    if not isinstance(std, Tensor):
        try:
            value = _inputs.number(std, name, _validate.number)
        except TypeError:
            raise TypeError(f"{name} must be a number or a tensor, got {repr(std)[:60]}") from None
        _positive(float(value), name, why)
        return like.new_full((), value, dtype=at_least_single(like))  # half makes zero of 1e-8
    std = floating(std, name)
    try:
        fits = torch.broadcast_shapes(std.shape, like.shape) == like.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must be a number or broadcast over shape {tuple(like.shape)}, "
            f"got shape {tuple(std.shape)}"
        )
    if ignored is not None:
        std = torch.where(ignored.unsqueeze(1), 1.0, std)
    if std.numel() and _inputs.readable(std):
        _positive(std.detach().min().item(), name, why)
    return std


def _positive(value: float, name: str, why: str) -> None:
    if value <= 0:  # NaN passes, as NaN logits do
        raise ValueError(f"{name} must be positive, got {value:.6g}{why}")


def floating(value: Tensor, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must be floating, got {value.dtype}")
    return value


def wide(value: Tensor) -> Tensor:
    """In float64 where the device has it: sums over dimensions lose no digits."""
    return value.to(at_least_single(value)) if value.device.type == "mps" else value.double()


def at_least_single(value: Tensor) -> torch.dtype:
    """Its type, but float32 for half precision, which ends at 65504 and at 6e-8."""
    return torch.promote_types(value.dtype, torch.float32)


def divergence(
    mean: Tensor, std: Tensor, other_mean: Tensor | float, other_std: Tensor | float
) -> Tensor:
    """KL(N(mean, std^2) || N(other_mean, other_std^2)), summed over the second dimension.

    `(N, d1, ...)`, in the type of `mean`, half precision in float32.
    """
    ratio = (wide(std) / other_std) ** 2
    distance = ((wide(mean) - other_mean) / other_std) ** 2
    return (0.5 * (distance + ratio - 1 - ratio.log())).sum(1).to(at_least_single(mean))
