"""Augmentation of a whole batch on the device that holds it: no Python per image, no workers.

Random numbers come from the generator, which must live on the device of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F


def to_float(
    images: torch.Tensor,
    mean: Sequence[float] | torch.Tensor = (0.0,),
    std: Sequence[float] | torch.Tensor = (1.0,),
) -> torch.Tensor:
    """uint8 images in 0..255 as float32: `(images / 255 - mean) / std`, one value a channel.

    Float images are only standardized. ValueError if `mean` does not fit the channels.

    >>> round(to_float(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), (0.5,), (0.5,)).item(), 6)
    1.0
    """
    channels = images.shape[1]
    if len(mean) not in (1, channels) or len(std) not in (1, channels):
        raise ValueError(
            f"mean and std must have 1 or {channels} values, got {len(mean)} and {len(std)}"
        )
    unit = 255.0 if images.dtype == torch.uint8 else 1.0
    shape = (1, -1) + (1,) * (images.ndim - 2)
    scale = 1 / (unit * torch.as_tensor(std, device=images.device).view(shape))
    shift = -unit * scale * torch.as_tensor(mean, device=images.device).view(shape)
    if images.dtype == torch.float32:
        return images * scale + shift
    return images.float().mul_(scale).add_(shift)  # in place: no third pass over new memory


def random_crop_flip(
    images: torch.Tensor, generator: torch.Generator, pad: int = 4, flip: bool = True
) -> torch.Tensor:
    """Pad by `pad` zeros, cut a window of the old size anywhere, mirror half of the images.

    `images` is `(B, C, H, W)` of any type; so is the result. The augmentation of CIFAR in
    He et al. 2016, section 4.2. ValueError for images of another shape.

    >>> g = torch.Generator().manual_seed(0)
    >>> random_crop_flip(torch.ones(4, 3, 8, 8, dtype=torch.uint8), g).shape
    torch.Size([4, 3, 8, 8])
    """
    batch, _, height, width = _four(images)
    top, left = (
        torch.randint(2 * pad + 1, (batch,), generator=generator, device=images.device)
        for _ in range(2)
    )
    windows = F.pad(images, (pad,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    cut = windows[torch.arange(batch, device=images.device), :, top, left]
    if not flip:
        return cut
    mirrored = torch.rand(batch, 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, cut.flip(3), cut)


def random_resized_crop(
    images: torch.Tensor,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.8, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: bool = True,
) -> torch.Tensor:
    """Cut a window of random area and shape from each image and stretch it back, bilinear.

    `scale` bounds the share of the area, `ratio` the ratio of width to height; windows that would
    leave the image are clipped to it. `(B, C, H, W)` uint8 or float in, the same type out.
    As in Szegedy et al. 2015, without the rejection step.

    >>> g = torch.Generator().manual_seed(0)
    >>> random_resized_crop(torch.full((2, 3, 8, 8), 7, dtype=torch.uint8), g).unique().tolist()
    [7]
    """
    batch, *_ = _four(images)
    device = images.device
    draw = torch.rand(5, batch, generator=generator, device=device)
    area = scale[0] + (scale[1] - scale[0]) * draw[0]
    shape = torch.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * draw[1])
    width = (area * shape).sqrt().clamp(max=1.0)
    height = (area / shape).sqrt().clamp(max=1.0)
    center_x = (1 - width) * (2 * draw[2] - 1)
    center_y = (1 - height) * (2 * draw[3] - 1)
    if flip:
        width = torch.where(draw[4] < 0.5, -width, width)
    zero = torch.zeros_like(width)
    affine = torch.stack(
        [torch.stack([width, zero, center_x], 1), torch.stack([zero, height, center_y], 1)], 1
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return moved.round().to(torch.uint8) if images.dtype == torch.uint8 else moved


def random_erasing(
    images: torch.Tensor,
    generator: torch.Generator,
    probability: float = 0.25,
    area: tuple[float, float] = (0.02, 1 / 3),
) -> torch.Tensor:
    """Replace one rectangle in some of the images by noise, pixel by pixel.

    `images` is `(B, C, H, W)` float, already standardized: the noise is standard normal. `area`
    bounds the share of the rectangle, whose sides differ by at most 10 to 3.
    As in Zhong et al. 2020, mode "pixel" of the usual implementations.

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.zeros(8, 3, 16, 16)
    >>> bool((random_erasing(x, g, probability=0.0) == x).all())
    True
    """
    batch, _, height, width = _four(images)
    device = images.device
    draw = torch.rand(5, batch, generator=generator, device=device)
    share = area[0] + (area[1] - area[0]) * draw[0]
    shape = torch.exp(math.log(0.3) + math.log(1 / 0.09) * draw[1])
    box_h = ((share * shape).sqrt() * height).clamp(max=height)
    box_w = ((share / shape).sqrt() * width).clamp(max=width)
    top, left = draw[2] * (height - box_h), draw[3] * (width - box_w)
    rows = torch.arange(height, device=device) + 0.5
    columns = torch.arange(width, device=device) + 0.5
    in_rows = (rows > top[:, None]) & (rows < (top + box_h)[:, None])
    in_columns = (columns > left[:, None]) & (columns < (left + box_w)[:, None])
    chosen = (draw[4] < probability)[:, None, None]
    mask = (in_rows[:, :, None] & in_columns[:, None, :] & chosen)[:, None]
    noise = torch.randn(images.shape, generator=generator, device=device)
    return torch.where(mask, noise.to(images.dtype), images)


def _four(images: torch.Tensor) -> tuple[int, int, int, int]:
    if images.ndim != 4:
        raise ValueError(f"images must be (B, C, H, W), got {tuple(images.shape)}")
    return tuple(images.shape)
