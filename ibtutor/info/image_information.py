"""Normalized mutual information of image pairs from histograms of their pixels, batched.

Two readings of it are in use, named alike wherever ibtutor follows Bonilla 2025: "described" is
what the paper says, "coded" what its published code does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

VARIANTS = ("described", "coded")
MAX_BINS = 4096
# Cells of the joint histograms held at once: 1 MB on a processor, where they stay in the cache.
_CELLS_CPU, _CELLS_DEVICE = 2**18, 2**26
# One pixel unlike all others gives at least log(N) / N, far above the rounding of a zero.
_NO_ENTROPY = 1e-9


def normalized_mutual_information(
    a: ArrayLike, b: ArrayLike, bins: int = 64, *, variant: str = "described"
) -> Tensor:
    """2 I(A; B) / (H(A) + H(B)) of each pair of images, averaged over their channels.

    I and H are those of the empirical joint histogram of the pixels: in each channel, pixel n of
    `a` and pixel n of `b` are one draw of a pair of gray levels. The value lies in [0, 1] and is
    symmetric. Three things to know before using it as a measure of what a degradation destroyed:

    - **A floor.** With few pixels a cell independent images share information by chance alone. Two
      independent noise images of 32 x 32 pixels with 64 bins have 0.36, not 0; with 8 bins 0.012.
      `normalized_mutual_information_floor` measures it.
    - It is blind to invertible maps of the gray levels: an image and its negative have 1.
    - It is local: a noise image moved by one pixel falls to the floor, though nothing is lost.

    A channel is constant where all its pixels fall into one bin. Where both are constant the
    formula is 0 / 0; nothing was lost, and the value is 1 (0 as coded). Where one is, it is 0.

    Args:
        a: `(B, C, H, W)`: floating in [0, 1], or uint8 in 0 .. 255.
        b: the same shape; its type may differ.
        bins: gray levels told apart, 2 to 4096.
        variant: "described" for bins of equal width, [j / bins, (j + 1) / bins) and 1.0 in the
            last one. "coded" for `floor((bins - 1) x)`, where the last bin holds 1.0 alone; the
            code's guards of 1e-10 are left out, they move a value by about 1e-4.

    Returns:
        float64 tensor `(B,)` on the device of `a`.

    Raises:
        TypeError: bins no integer; images of another type.
        ValueError: shapes that are not `(B, C, H, W)` or differ, bins or the variant out of range,
            pixels outside [0, 1] or NaN (read on the CPU only: a device is never waited for, and
            such pixels count in the nearest bin, NaN in the first).

    Source: Bonilla 2025, section 2.1. Studholme et al. 1999, cited there, is another number,
    S = (H + H') / H(A, B) in [1, 2]; for one channel this one is 2 - 2 / S.

    >>> x = torch.tensor([0.1, 0.1, 0.9, 0.9]).view(1, 1, 2, 2)
    >>> y = torch.tensor([0.2, 0.8, 0.2, 0.8]).view(1, 1, 2, 2)
    >>> pairs = torch.cat([x, x, x]), torch.cat([1 - x, y, torch.zeros_like(x)])
    >>> normalized_mutual_information(*pairs, bins=2).round(decimals=9).tolist()
    [1.0, 0.0, 0.0]
    """
    a, b = _images(a, "a"), _images(b, "b")
    b = b.to(a.device)
    _validate.same_shape(a, b, ("a", "b"))
    bins = _bins(bins)
    check_variant(variant)
    h_a, h_b, h_ab = _entropies(a, b, bins, variant == "coded")
    constant = (h_a == 0) | (h_b == 0)
    shared = (h_a + h_b - h_ab).masked_fill(constant, 0.0)
    value = (2 * shared / (h_a + h_b)).clamp(0.0, 1.0)
    both = (h_a == 0) & (h_b == 0)
    return value.masked_fill(both, 0.0 if variant == "coded" else 1.0).mean(1)


def normalized_mutual_information_floor(
    a: ArrayLike,
    b: ArrayLike,
    bins: int = 64,
    *,
    generator: torch.Generator,
    variant: str = "described",
) -> Tensor:
    """The same quantity after the pixels of `b` were put in random order: what chance alone gives.

    Both images keep their gray levels, and nothing but the size of the histogram relates them. So
    an image that has lost everything about `a` has about this value, not zero. One order is drawn
    for each image, the same in all channels; the spread between draws is small, since each is a
    mean over all pixels. The mean of I over all orders is known in closed form (Vinh et al. 2010).

    Args:
        a, b, bins, variant: as for `normalized_mutual_information`.
        generator: of the orders, on the device of the images.

    Returns:
        float64 tensor `(B,)`.

    >>> g = torch.Generator().manual_seed(0)
    >>> noise = torch.rand(50, 1, 32, 32, generator=g)
    >>> round(normalized_mutual_information_floor(noise, noise, generator=g).mean().item(), 2)
    0.36
    """
    b = _images(b, "b")
    count, _, height, width = b.shape
    draw = torch.rand(count, 1, height * width, generator=generator, device=generator.device)
    order = draw.argsort(2).to(b.device).expand(-1, b.shape[1], -1)
    shuffled = b.flatten(2).gather(2, order).view_as(b)
    return normalized_mutual_information(a, shuffled, bins, variant=variant)


def check_variant(variant: str) -> str:
    """One of the two readings of Bonilla 2025."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    return variant


def _bins(value: int) -> int:
    bins = _validate.integer(value, "bins", 2)
    if bins > MAX_BINS:
        raise ValueError(f"bins must be at most {MAX_BINS}, got {bins}")
    return bins


def _images(value: ArrayLike, name: str) -> Tensor:
    """Images `(B, C, H, W)`, uint8 or floating of at least 32 bits, in [0, 1]."""
    byte = getattr(value, "dtype", None) in (torch.uint8, "uint8")
    images = torch.as_tensor(value) if byte else _validate.as_float_tensor(value, name).detach()
    if not byte and isinstance(value, Tensor) and not value.is_floating_point():
        raise TypeError(f"{name} must be floating in [0, 1] or uint8, got {value.dtype}")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            f"{name} must have shape (B, C, H, W) without an empty dimension, "
            f"got {tuple(images.shape)}"
        )
    return images.float() if images.dtype in (torch.float16, torch.bfloat16) else images


def check_pixels(images: Tensor, name: str) -> None:
    """Raise unless all pixels lie in [0, 1]; a device is not waited for."""
    if images.dtype == torch.uint8 or not images.is_cpu:
        return
    low, high = (x.item() for x in torch.aminmax(images))
    if not (low >= 0 and high <= 1):  # NaN fails both
        got = high if low >= 0 else low
        raise ValueError(f"{name} must hold pixels in [0, 1], got {got:.6g}")


def _entropies(a: Tensor, b: Tensor, bins: int, coded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """H(A), H(B) and H(A, B) in nats, each float64 `(B, C)`; those of constants exactly zero."""
    count, channels, height, width = a.shape
    pixels, cells = height * width, bins * bins
    rows = max(1, (_CELLS_CPU if a.is_cpu else _CELLS_DEVICE) // cells)
    a, b = a.reshape(-1, pixels), b.reshape(-1, pixels)
    rows = min(rows, len(a))
    n = torch.arange(1, pixels + 1, dtype=torch.float64, device=a.device)
    log = torch.cat([n.new_zeros(1), n.log()])  # of a count
    total = log * torch.arange(pixels + 1, device=a.device)  # n log n
    offset = (torch.arange(rows, dtype=torch.int32, device=a.device) * cells).unsqueeze(1)
    # Integers: float32 cannot count beyond 2^24.
    one = a.new_ones(rows * pixels, dtype=torch.int32)
    counts = a.new_empty(rows * cells, dtype=torch.int32)
    sums = a.new_empty(3, len(a), dtype=torch.float64)
    pieces = (x.split(rows) for x in (a, b, sums.T))
    for part_a, part_b, out in zip(*pieces, strict=True):
        k = len(part_a)
        check_pixels(part_a, "a"), check_pixels(part_b, "b")  # here they enter the cache
        cell = _levels(part_a, bins, coded).mul_(bins).add_(_levels(part_b, bins, coded))
        cell = cell.add_(offset[:k]).view(-1)
        joint = counts[: k * cells].zero_()
        joint.scatter_add_(0, cell.to(torch.int64), one[: k * pixels])
        # Summed over pixels: log of the count of the pixel's own cell. Most cells are empty.
        own = joint.index_select(0, cell)
        joint = joint.view(k, bins, bins)
        for i, marginal in enumerate(joint.sum(d, dtype=torch.int32) for d in (2, 1)):
            terms = total.index_select(0, marginal.view(-1))
            out[:, i] = terms.view(k, bins).sum(1)
        out[:, 2] = log.index_select(0, own).view(k, pixels).sum(1)
    h = log[pixels] - sums.view(3, count, channels) / pixels
    h_a, h_b, h_ab = torch.where(h < _NO_ENTROPY, torch.zeros_like(h), h)
    return h_a, h_b, h_ab


def _levels(images: Tensor, bins: int, coded: bool) -> Tensor:
    """The bin of each pixel, int32, a new tensor."""
    steps = bins - 1 if coded else bins
    if images.dtype == torch.uint8:  # in integers: no bin hangs on the rounding of k / 255
        gray = torch.arange(256, device=images.device)
        table = (gray * steps // 255).clamp_(max=bins - 1).to(torch.int32)
        return table.index_select(0, images.reshape(-1).to(torch.int32)).view_as(images)
    scaled = images * steps
    if not images.is_cpu:
        scaled = scaled.nan_to_num_(0.0).clamp_(0, bins)  # not checked there
    return scaled.to(torch.int32).clamp_(max=bins - 1)
