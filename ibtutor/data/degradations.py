"""Four degradations of whole batches, each image at its own level d in [0, 1] (Bonilla 2025).

Diffusion noise, Gaussian blur, coarse dropout and mosaic; at d = 0 each returns the image itself,
exactly. Section 3 of the paper names them and asks that d = 0 loses nothing and that a severe d
keeps next to nothing (section 2.1). All constants are those of the published training code. Two
degradations differ between what is said and what is done there, and `variant` chooses:

- **blur**: as coded the kernel ends at 51 pixels, though the standard deviation grows to 50; as
  described it is a Gaussian, as long as needed.
- **mosaic**: as coded the side of a block is `int(S (d + 0.001)^2)`, at least 1, for an image of
  side S. At S = 32 that is 1, so that nothing happens, for all d below 0.249. As described (our
  reading: any d of note degrades) the side grows linearly, `1 + int((S - 1) d)`.

As coded nothing happens either at step 0 of the diffusion (d < 1 / 999) or where the blur is too
narrow for float32 (d below about 0.003). Nor does every degradation end at nothing: blur as coded
keeps a share of the information at d = 1, and noise sinks to the floor of its histogram, not to
zero (see `ibtutor.info.normalized_mutual_information`).

The published evaluation uses the same functions on images that are already standardized, with
other constants (blur: standard deviation 10 d, kernel of 11 pixels; patches of 4): there clipping
to [0, 1] cuts off all that is darker than the mean, at the smallest step of noise, and what is
dropped becomes gray. `any_range=True` with these constants repeats it.

No step of these functions is a loop over images, and random numbers come from a generator on the
device of the images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.image_information import check_pixels, check_variant

__all__ = [
    "DEGRADATIONS",
    "coarse_dropout",
    "degrade",
    "diffusion_noise",
    "gaussian_blur",
    "mosaic",
]

DEGRADATIONS = ("diffusion", "blur", "dropout", "mosaic")
_STEPS, _FIRST_BETA, _LAST_BETA = 1000, 1e-4, 0.02
_WIDE = torch.float64  # of all sums: constant regions stay constant after rounding to float32


def diffusion_noise(
    images: Tensor, level: ArrayLike, generator: torch.Generator, *, any_range: bool = False
) -> Tensor:
    """Step `int(999 d)` of a diffusion: sqrt(a) x + sqrt(1 - a) noise on x in [-1, 1], clipped.

    a is the product of 1 - beta up to that step, beta rising linearly from 1e-4 to 0.02. Step 0 is
    the image itself, without the noise of beta_0.

    Args:
        images: `(B, C, H, W)`, floating in [0, 1] or uint8 in 0 .. 255.
        level: d in [0, 1], a number or shape `(B,)`.
        generator: of the noise, on the device of the images.
        any_range: take images of any range; the result is clipped to [0, 1] all the same, but for
            step 0, as the published evaluation does.

    Returns:
        images in [0, 1] of the same shape; float32 where uint8 was given.

    Raises:
        TypeError: images neither floating nor uint8.
        ValueError: images of another shape or outside [0, 1], a level outside [0, 1] or of another
            shape (values are read on the CPU only: a device is never waited for).

    Source: Ho et al. 2020, Eq. 4 and section 4; Bonilla 2025, section 3.

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.full((2, 1, 4, 4), 0.25)
    >>> noisy = diffusion_noise(x, torch.tensor([0.0, 1.0]), g)
    >>> bool((noisy[0] == x[0]).all()), bool((noisy[1] == x[1]).any())
    (True, False)
    """
    images, d = _prepare(images, level, any_range)
    betas = torch.linspace(_FIRST_BETA, _LAST_BETA, _STEPS, dtype=_WIDE, device=images.device)
    kept = (1 - betas).cumprod(0)
    step = (d * (_STEPS - 1)).long()
    a = kept[step].to(images.dtype).view(-1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    noisy = a.sqrt() * (2 * images - 1) + (1 - a).sqrt() * noise.to(images)
    return torch.where(step.view(-1, 1, 1, 1) == 0, images, ((noisy + 1) / 2).clamp(0, 1))


def gaussian_blur(
    images: Tensor,
    level: ArrayLike,
    *,
    max_sigma: float = 50.0,
    max_kernel: int = 51,
    variant: str = "described",
    any_range: bool = False,
) -> Tensor:
    """Gaussian blur of standard deviation `max_sigma` d pixels, mirrored at the borders.

    As coded the standard deviation is `max_sigma` d + 0.01, and the kernel has
    2 int(4 sigma + 1/2) + 1 pixels, at most `max_kernel`. As described it is `max_sigma` d, with
    the whole kernel of four standard deviations; there `max_kernel` counts for nothing. Blur is
    per axis; the mirror does not repeat the border pixel.

    Args:
        images, level, any_range: as for `diffusion_noise`.
        max_sigma: standard deviation at d = 1, in pixels.
        max_kernel: the longest kernel as coded, odd.
        variant: "described" or "coded".

    Returns, raises: as `diffusion_noise`; ValueError for a kernel that is not odd.

    >>> x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> bool((gaussian_blur(x, 0.0) == x).all())
    True
    >>> bool((gaussian_blur(x, 1.0) - x.mean((2, 3), keepdim=True)).abs().max() < 0.02)
    True
    """
    images, d = _prepare(images, level, any_range)
    coded = check_variant(variant) == "coded"
    max_sigma = _validate.non_negative(max_sigma, "max_sigma")
    max_kernel = _validate.integer(max_kernel, "max_kernel", 1)
    if max_kernel % 2 == 0:
        raise ValueError(f"max_kernel must be odd, got {max_kernel}")
    sigma = d * max_sigma + (0.01 if coded else 0.0)
    longest = int(4 * (max_sigma + 0.01) + 0.5)
    reach = (4 * sigma + 0.5).long()
    if coded:
        longest = min(longest, max_kernel // 2)
        reach = reach.clamp(max=longest)
    offset = torch.arange(-longest, longest + 1, device=d.device)
    # At standard deviation zero the kernel has one pixel; the 1 avoids 0 / 0.
    spread = torch.where(sigma > 0, sigma, torch.ones_like(sigma)).unsqueeze(1)
    weight = torch.exp(-0.5 * (offset / spread) ** 2)
    weight = weight * (offset.abs() <= reach.unsqueeze(1))
    weight = weight / weight.sum(1, keepdim=True)
    rows, columns = (_mirrored(weight, side) for side in images.shape[2:])
    return _finish(_both_sides(rows, images, columns), images, reach == 0, any_range)


def coarse_dropout(
    images: Tensor,
    level: ArrayLike,
    generator: torch.Generator,
    *,
    patch: int = 8,
    any_range: bool = False,
) -> Tensor:
    """Keep `int(n (1 - d))` of the n square patches at random, and blacken the rest.

    Patches of side `patch` tile the image from its top left corner; those at the far borders may
    be smaller. At 32 x 32 pixels n = 16: d is a ladder of 16 steps, and any d > 0 drops a patch.

    Args:
        images, level, generator, any_range: as for `diffusion_noise`.
        patch: side of a patch in pixels.

    Returns, raises: as `diffusion_noise`.

    >>> g = torch.Generator().manual_seed(0)
    >>> coarse_dropout(torch.ones(1, 1, 32, 32), 0.5, g).mean().item()
    0.5
    """
    images, d = _prepare(images, level, any_range)
    patch = _validate.integer(patch, "patch", 1)
    height, width = images.shape[2:]
    shape = -(-height // patch), -(-width // patch)
    count = shape[0] * shape[1]
    keep = (count * (1 - d)).long()
    draw = torch.rand(len(images), count, generator=generator, device=generator.device)
    rank = draw.to(d.device).argsort(1).argsort(1)
    shown = (rank < keep.unsqueeze(1)).view(-1, 1, *shape)
    shown = shown.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :height, :width]
    return images.masked_fill(~shown, 0.0)


def mosaic(
    images: Tensor, level: ArrayLike, *, variant: str = "described", any_range: bool = False
) -> Tensor:
    """Replace square blocks by their mean, the larger the level the larger the block.

    The side of a block is `1 + int((S - 1) d)` as described and `int(S (d + 0.001)^2)`, at least
    1, as coded, with S the longer side of the image. Blocks tile it from its top left corner;
    those at the far borders may be smaller. At d = 1 the image is one block.

    Args:
        images, level, any_range: as for `diffusion_noise`.
        variant: "described" or "coded".

    Returns, raises: as `diffusion_noise`.

    >>> x = torch.tensor([0.0, 1.0, 0.25, 0.75]).view(1, 1, 1, 4)
    >>> mosaic(x, 0.4).flatten().tolist()
    [0.5, 0.5, 0.5, 0.5]
    >>> mosaic(x, 0.4, variant="coded").flatten().tolist()
    [0.0, 1.0, 0.25, 0.75]
    """
    images, d = _prepare(images, level, any_range)
    longer = max(images.shape[2:])
    if check_variant(variant) == "coded":
        block = (longer * (d + 1e-3) ** 2).long().clamp(min=1)
    else:
        block = 1 + ((longer - 1) * d).long()
    rows, columns = (_block_means(block, side) for side in images.shape[2:])
    return _finish(_both_sides(rows, images, columns), images, block == 1, any_range)


def degrade(
    images: Tensor,
    level: ArrayLike,
    kind: str | ArrayLike,
    generator: torch.Generator,
    *,
    variant: str = "described",
    max_sigma: float = 50.0,
    patch: int = 8,
) -> Tensor:
    """Degrade each image in the way, and to the level, that is given for it.

    With `kind` and `level` drawn uniformly, one for each image, this is the augmentation of the
    paper: `kind = torch.randint(4, (B,))` and `level = torch.rand(B)`.

    Args:
        images: `(B, C, H, W)`, floating in [0, 1] or uint8 in 0 .. 255.
        level: d in [0, 1], a number or shape `(B,)`.
        kind: one of "diffusion", "blur", "dropout", "mosaic", or the number of one for each image,
            integers `(B,)` in 0 .. 3 in this order (`DEGRADATIONS`). On a device all four are
            then computed for all images, so that it is not waited for.
        generator: of noise and patches, on the device of the images.
        variant: "described" or "coded", for blur and mosaic.
        max_sigma, patch: of blur and dropout; the defaults fit images of 32 x 32 pixels.

    Returns:
        images in [0, 1] of the same shape; float32 where uint8 was given.

    Raises:
        TypeError, ValueError: as `diffusion_noise`, and for a kind that is none.

    Source: Bonilla 2025, section 3.

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.rand(4, 3, 32, 32, generator=g)
    >>> bool((degrade(x, 0.0, torch.arange(4), g) == x).all())
    True
    """
    ways = {
        "diffusion": lambda x, d: diffusion_noise(x, d, generator),
        "blur": lambda x, d: gaussian_blur(x, d, max_sigma=max_sigma, variant=variant),
        "dropout": lambda x, d: coarse_dropout(x, d, generator, patch=patch),
        "mosaic": lambda x, d: mosaic(x, d, variant=variant),
    }
    check_variant(variant)
    if isinstance(kind, str):
        if kind not in ways:
            raise ValueError(f"kind must be one of {', '.join(ways)}, got {kind!r}")
        return ways[kind](images, level)
    kind = torch.as_tensor(kind)
    if kind.is_cpu:
        kind = _validate.class_labels(kind, len(images), len(ways), "kind")
    images, d = _prepare(images, level, any_range=False)
    kind = kind.to(images.device)
    result = images.clone()
    for number, way in enumerate(ways.values()):
        mine = kind == number
        if not images.is_cpu:
            result = torch.where(mine.view(-1, 1, 1, 1), way(images, d), result)
        elif mine.any():
            result[mine] = way(images[mine], d[mine])
    return result


def _prepare(images: Tensor, level: ArrayLike, any_range: bool) -> tuple[Tensor, Tensor]:
    """Floating images `(B, C, H, W)` and their levels, float64 `(B,)`."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch tensor, got {type(images).__name__}")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            "images must have shape (B, C, H, W) without an empty dimension, "
            f"got {tuple(images.shape)}"
        )
    if images.dtype == torch.uint8:
        images = images.float() / 255
    elif not images.is_floating_point():
        raise TypeError(f"images must be floating in [0, 1] or uint8, got {images.dtype}")
    elif not any_range:
        check_pixels(images, "images")
    d = _validate.as_float_tensor(level, "level").detach()
    if d.shape not in ((), images.shape[:1]):
        raise ValueError(
            f"level must be a number or have shape ({len(images)},), got {tuple(d.shape)}"
        )
    if d.is_cpu:
        for end in torch.aminmax(d):
            _validate.unit_interval(end.item(), "level")
    d = d.to(images.device, _WIDE).clamp(0, 1)
    return images, d.expand(len(images))


def _mirrored(weight: Tensor, side: int) -> Tensor:
    """Matrices `(B, side, side)` that blur one axis; what lies outside is mirrored, repeatedly.

    `weight` `(B, 2 n + 1)` is the kernel. Mirrored, an axis has period 2 (side - 1), and pixel j
    lies at j and at -j.
    """
    reach, period = weight.shape[1] // 2, max(1, 2 * (side - 1))
    padded = F.pad(weight, (0, -weight.shape[1] % period))
    folded = padded.view(len(weight), -1, period).sum(1)  # entry r: offsets r - n, modulo period
    to = torch.arange(side, device=weight.device)
    once, again = ((sign * to - to[:, None] + reach) % period for sign in (1, -1))
    twice = (-to % period != to).to(_WIDE)
    return folded[:, once] + folded[:, again] * twice


def _block_means(block: Tensor, side: int) -> Tensor:
    """Matrices `(B, side, side)` that replace entries by the mean of their block."""
    number = torch.arange(side, device=block.device) // block.unsqueeze(1)
    same = (number.unsqueeze(2) == number.unsqueeze(1)).to(_WIDE)
    return same / same.sum(2, keepdim=True)


def _both_sides(rows: Tensor, images: Tensor, columns: Tensor) -> Tensor:
    """rows X columns^T for each image and channel, in float64."""
    return rows.unsqueeze(1) @ images.to(_WIDE) @ columns.mT.unsqueeze(1)


def _finish(changed: Tensor, images: Tensor, untouched: Tensor, any_range: bool) -> Tensor:
    """The type of the images again, no rounding outside [0, 1], and the identity exactly."""
    if not any_range:
        changed = changed.clamp(0, 1)
    return torch.where(untouched.view(-1, 1, 1, 1), images, changed.to(images.dtype))
