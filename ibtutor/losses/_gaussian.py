"""What the losses on Gaussian latents share: checked means and deviations, and their divergence."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.losses import _inputs
from ibtutor.losses._batch import Batch


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
    std: float | Tensor, name: str, like: Tensor, ignored: Tensor | None = None
) -> Tensor:
    """A positive number, or a floating tensor that broadcasts over `like`; one where ignored."""
    if not isinstance(std, Tensor):
        try:
            value = _inputs.number(std, name, _validate.number)
        except TypeError:
            raise TypeError(f"{name} must be a number or a tensor, got {repr(std)[:60]}") from None
        _positive(float(value), name)
        return like.new_full((), value)
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
        _positive(std.detach().min().item(), name)
    return std


def _positive(value: float, name: str) -> None:
    if value <= 0:  # NaN passes, as NaN logits do
        raise ValueError(
            f"{name} must be positive, got {value:.6g}: without noise the divergence is infinite"
        )


def floating(value: Tensor, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must be floating, got {value.dtype}")
    return value


def wide(value: Tensor) -> Tensor:
    """In float64 where the device has it: sums over dimensions lose no digits."""
    return value if value.device.type == "mps" else value.double()


def divergence(
    mean: Tensor, std: Tensor, other_mean: Tensor | float, other_std: Tensor | float
) -> Tensor:
    """KL(N(mean, std^2) || N(other_mean, other_std^2)), summed over the second dimension.

    `(N, d1, ...)`, in the type of `mean`.
    """
    ratio = (wide(std) / other_std) ** 2
    distance = ((wide(mean) - other_mean) / other_std) ** 2
    return (0.5 * (distance + ratio - 1 - ratio.log())).sum(1).to(mean.dtype)
