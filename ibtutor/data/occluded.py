"""A nuisance with a known label: a digit that lies on or beside the picture to classify.

Occluded CIFAR (Achille and Soatto 2018; Kudo 2025, section 5.3, figures 5 and 6) puts an MNIST
digit over a CIFAR-10 image, independent of its class. We found no published generator of it. The
choices here: the digit's gray value is the opacity of white paint on all channels, the digit is
centered, it is drawn uniformly with replacement, and each image keeps its digit in every epoch.

`digit_pairs` is the stand-in on small digits: the left digit is the class, the right one the
nuisance. Here too the two are drawn independently.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ibtutor.data._unit import check_unit

__all__ = ["Occluded", "digit_pairs", "draw_partners", "occlude", "occluded"]


@dataclass(frozen=True)
class Occluded:
    """Images with two labels: one to learn, one that should be forgotten.

    Attributes:
        images: `(N, C, H, W)`, same type as the source images.
        labels: `(N,)` the class, int64.
        nuisance: `(N,)` the label of the digit that occludes or accompanies, int64.
        partner: `(N,)` the row of the digit in its source.
    """

    images: Tensor
    labels: Tensor
    nuisance: Tensor
    partner: Tensor


def draw_partners(num_images: int, num_digits: int, *, seed: int) -> Tensor:
    """Row of the digit that each image gets: `(num_images,)`, uniform, with replacement.

    Drawing with replacement makes the digit exactly independent of the image, whatever the order
    of both sources.

    Raises:
        ValueError: if there is no digit to draw from.

    >>> draw_partners(4, 10, seed=0).shape
    torch.Size([4])
    """
    if num_digits < 1 or num_images < 0:
        raise ValueError(
            f"need at least 1 digit and 0 or more images, got {num_digits} digits and "
            f"{num_images} images"
        )
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_digits, (num_images,), generator=generator)


def _check_batch(images: Tensor, digits: Tensor) -> None:
    if images.ndim != 4 or digits.ndim != 3:
        raise ValueError(
            "images must have shape (N, C, H, W) and digits (N, h, w), got "
            f"{tuple(images.shape)} and {tuple(digits.shape)}"
        )
    if len(images) != len(digits):
        raise ValueError(
            f"each image needs exactly one digit, got {len(images)} images and {len(digits)} "
            "digits; choose the digits with draw_partners(num_images, num_digits, seed=...)"
        )
    if images.dtype != digits.dtype or images.dtype not in (torch.uint8, torch.float32):
        raise TypeError(
            "images and digits must both be uint8 (0 to 255) or both float32 (0 to 1), got "
            f"{images.dtype} and {digits.dtype}"
        )
    check_unit(images, "images")
    check_unit(digits, "digits")


def occlude(
    images: Tensor, digits: Tensor, *, offset: tuple[int, int] | None = None, how: str = "over"
) -> Tensor:
    """Paint a white digit over each image.

    Args:
        images: `(N, C, H, W)`, uint8 in 0..255 or float32 in [0, 1].
        digits: `(N, h, w)`, same type; gray value = opacity of the paint.
        offset: row and column of the digit's upper left corner; None centers it.
        how: `"over"` blends (`image + digit * (1 - image)`), `"max"` takes the pixel-wise maximum.

    Returns:
        `(N, C, H, W)` new tensor, same type as `images`.

    Raises:
        ValueError: if the numbers of images and digits differ, the digit does not fit, or floats
            lie outside [0, 1].
        TypeError: if the types differ or are neither uint8 nor float32.

    >>> image, digit = torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 2, 2)
    >>> occlude(image, digit)[0, 0, 1].tolist()
    [0.5, 1.0, 1.0, 0.5]
    """
    _check_batch(images, digits)
    height, width = images.shape[-2:]
    h, w = digits.shape[-2:]
    top, left = ((height - h) // 2, (width - w) // 2) if offset is None else offset
    if not (0 <= top <= height - h and 0 <= left <= width - w):
        raise ValueError(
            f"a {h}x{w} digit at offset ({top}, {left}) does not fit into a {height}x{width} image"
        )
    out = images.clone()
    patch = out[:, :, top : top + h, left : left + w]
    paint = digits[:, None]
    if how == "max":
        patch.copy_(torch.maximum(patch, paint))
    elif how == "over":
        patch.copy_(_paint_over(patch, paint))
    else:
        raise ValueError(f'how must be "over" or "max", got {how!r}')
    return out


def _paint_over(patch: Tensor, paint: Tensor) -> Tensor:
    if patch.dtype == torch.float32:
        return patch + paint * (1 - patch)
    # 255 * 255 fits into int32; adding 127 rounds to the nearest integer.
    wide = patch.to(torch.int32)
    return (wide + (paint.to(torch.int32) * (255 - wide) + 127) // 255).to(torch.uint8)


def occluded(
    images: Tensor,
    labels: Tensor,
    digits: Tensor,
    digit_labels: Tensor,
    *,
    seed: int,
    offset: tuple[int, int] | None = None,
    how: str = "over",
) -> Occluded:
    """Occluded CIFAR from its two sources, one fixed digit for each image.

    Use training digits for training images and test digits for test images.

    Args:
        images: `(N, C, H, W)`; labels: `(N,)`.
        digits: `(M, h, w)`; digit_labels: `(M,)`. M need not equal N: digits are drawn.
        seed: of the draw.
        offset, how: see `occlude`.

    Raises:
        ValueError: if a source has different numbers of pictures and labels.

    >>> cifar, mnist = torch.zeros(6, 3, 32, 32), torch.rand(4, 28, 28)
    >>> data = occluded(cifar, torch.arange(6), mnist, torch.arange(4), seed=0)
    >>> data.images.shape, bool((data.nuisance == data.partner).all())
    (torch.Size([6, 3, 32, 32]), True)
    """
    for name, pictures, marks in (("image", images, labels), ("digit", digits, digit_labels)):
        if len(pictures) != len(marks):
            raise ValueError(
                f"each {name} needs one label, got {len(pictures)} {name}s and {len(marks)} labels"
            )
    partner = draw_partners(len(images), len(digits), seed=seed)
    painted = occlude(images, digits[partner], offset=offset, how=how)
    return Occluded(painted, labels.long(), digit_labels[partner].long(), partner)


def digit_pairs(
    digits: Tensor, labels: Tensor, num_samples: int, *, overlap: int = 0, seed: int
) -> Occluded:
    """Two independent digits in one picture: the left one is the class, the right one nuisance.

    The stand-in for Occluded CIFAR on small embedded digits. With `overlap` the right digit is
    moved to the left and the larger value wins where both have ink.

    Args:
        digits: `(M, h, w)` float32 or uint8; labels: `(M,)`.
        num_samples: number of pictures.
        overlap: columns shared by both digits, below w: with w nobody could say which is left.
        seed: of both draws.

    Returns:
        Images `(num_samples, 1, h, 2 w - overlap)`.

    Raises:
        ValueError: if counts differ, a picture is not (M, h, w), or the overlap is out of range.

    >>> ink = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
    >>> data = digit_pairs(ink, torch.arange(2), 5, seed=0)
    >>> data.images.shape, bool((data.images[:, 0, 0, 0] == data.labels).all())
    (torch.Size([5, 1, 8, 16]), True)
    """
    if digits.ndim != 3 or len(digits) != len(labels):
        raise ValueError(
            "digits must have shape (M, h, w) with one label each, got digits "
            f"{tuple(digits.shape)} and {len(labels)} labels"
        )
    h, w = digits.shape[-2:]
    if not 0 <= overlap < w:
        raise ValueError(f"overlap must lie in 0..{w - 1} for digits {w} wide, got {overlap}")
    rows = draw_partners(2 * num_samples, len(digits), seed=seed)
    left, right = rows[:num_samples], rows[num_samples:]
    images = digits.new_zeros(num_samples, 1, h, 2 * w - overlap)
    images[:, 0, :, :w] = digits[left]
    images[:, 0, :, w - overlap :] = torch.maximum(images[:, 0, :, w - overlap :], digits[right])
    return Occluded(images, labels[left].long(), labels[right].long(), right)
