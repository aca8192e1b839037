"""Self-cluttered digits: a digit on a larger canvas among crops of the same digit image.

Kudo 2025, section 5.3, figures 7 and 8: 60x60 canvas, one MNIST digit, 12 crops of the same image.
The crops are a redundant factor: given the digit they say nothing more about the class, and yet
they are not independent of it. The paper gives no crop size; 8x8 and the order of drawing (crops
first, added and clipped, the digit on top) follow the generator of Mnih et al. 2014 as released.

`crops_from` cuts the crops from other images instead: then they are a nuisance, not redundant.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ibtutor.data._unit import check_unit

__all__ = ["Cluttered", "clutter", "enlarge"]

# Rows handled at once: index tensors are eight times as large as the pixels that they gather.
_CHUNK = 4096


@dataclass(frozen=True)
class Cluttered:
    """Canvases and where everything lies on them.

    Attributes:
        images: `(N, 1, S, S)`, same type as the digits.
        boxes: `(N, 4)` top, left, bottom, right of the digit's own frame (end exclusive), int64.
        masks: `(N, S, S)` bool, the strokes of the digit (gray value above the threshold).
        crop_source: `(N, P, 2)` row and column in the digit image where each crop was cut.
        crop_target: `(N, P, 2)` row and column on the canvas where it was added.
    """

    images: Tensor
    boxes: Tensor
    masks: Tensor
    crop_source: Tensor
    crop_target: Tensor

    def box_masks(self) -> Tensor:
        """The boxes as masks, `(N, S, S)` bool."""
        size = self.images.shape[-1]
        line = torch.arange(size)
        top, left, bottom, right = self.boxes[:, :, None].unbind(1)
        rows = (line >= top) & (line < bottom)
        columns = (line >= left) & (line < right)
        return rows[:, :, None] & columns[:, None, :]


def enlarge(digits: Tensor, size: int) -> Tensor:
    """Digits `(M, h, w)` float32 resized to `(M, size, size)`, bilinear.

    >>> enlarge(torch.ones(2, 8, 8), 14).shape
    torch.Size([2, 14, 14])
    """
    return interpolate(digits[:, None], size=(size, size), mode="bilinear")[:, 0]


def clutter(
    digits: Tensor,
    *,
    canvas: int = 60,
    num_crops: int = 12,
    crop: int = 8,
    threshold: float = 0.2,
    crops_from: Tensor | None = None,
    seed: int,
) -> Cluttered:
    """One cluttered canvas for each digit image.

    Crops come first: each is a `crop` x `crop` window of the digit image, added at a uniform
    position; then the whole digit is added at a uniform position. Sums are clipped at full ink.

    Args:
        digits: `(N, h, w)`, uint8 in 0..255 or float32 in [0, 1].
        canvas: side of the canvas S, at least h and w.
        num_crops: crops a canvas, P.
        crop: side of a crop, at most h and w.
        threshold: gray value, as a share of full ink, above which a pixel of the digit is stroke.
        crops_from: `(N,)` row of the image that the crops are cut from; None: the digit itself.
        seed: of all positions.

    Raises:
        ValueError: if shapes, sizes or the number of rows in `crops_from` do not fit, or floats lie
            outside [0, 1].
        TypeError: if digits are neither uint8 nor float32.

    >>> data = clutter(torch.rand(5, 28, 28), seed=0)
    >>> data.images.shape, data.crop_source.shape
    (torch.Size([5, 1, 60, 60]), torch.Size([5, 12, 2]))
    >>> int((data.boxes[:, 2] - data.boxes[:, 0]).unique())
    28
    """
    _check(digits, canvas, num_crops, crop, crops_from)
    count, h, w = digits.shape
    full = 255 if digits.dtype == torch.uint8 else 1.0
    generator = torch.Generator().manual_seed(seed)
    # Every position is drawn before any pixel is touched: chunks do not change the result.
    source = _positions(generator, count, num_crops, h - crop, w - crop)
    target = _positions(generator, count, num_crops, canvas - crop, canvas - crop)
    place = _positions(generator, count, 1, canvas - h, canvas - w)
    origin = torch.arange(count) if crops_from is None else crops_from.long()

    images = digits.new_zeros(count, 1, canvas, canvas)
    masks = torch.zeros(count, canvas, canvas, dtype=torch.bool)
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        ink = torch.zeros(rows.stop - start, canvas * canvas)
        crops = _windows(digits[origin[rows]], source[rows], crop, crop)
        _add(ink, crops, target[rows], canvas)
        ink.clamp_(max=full)
        _add(ink, digits[rows][:, None].float(), place[rows], canvas)
        images[rows] = ink.clamp_(max=full).view(-1, 1, canvas, canvas).to(digits.dtype)
        strokes = torch.zeros_like(ink)
        _add(strokes, (digits[rows] > threshold * full)[:, None].float(), place[rows], canvas)
        masks[rows] = strokes.view(-1, canvas, canvas) > 0

    corner = place[:, 0]
    boxes = torch.cat([corner, corner + torch.tensor([h, w])], dim=1)
    return Cluttered(images, boxes, masks, source, target)


def _check(
    digits: Tensor, canvas: int, num_crops: int, crop: int, crops_from: Tensor | None
) -> None:
    if digits.ndim != 3:
        raise ValueError(f"digits must have shape (N, h, w), got {tuple(digits.shape)}")
    if digits.dtype not in (torch.uint8, torch.float32):
        raise TypeError(f"digits must be uint8 (0 to 255) or float32 (0 to 1), got {digits.dtype}")
    check_unit(digits, "digits")
    h, w = digits.shape[-2:]
    if not (1 <= crop <= min(h, w) and max(h, w) <= canvas and num_crops >= 0):
        raise ValueError(
            "need 1 <= crop <= digit size <= canvas and num_crops >= 0, got "
            f"crop {crop}, digits {h}x{w}, canvas {canvas}, num_crops {num_crops}"
        )
    if crops_from is not None and crops_from.shape != digits.shape[:1]:
        raise ValueError(
            f"crops_from needs one row for each digit, got {tuple(crops_from.shape)} for "
            f"{len(digits)} digits"
        )


def _positions(generator: torch.Generator, count: int, each: int, high: int, wide: int) -> Tensor:
    """Uniform corners `(count, each, 2)` with rows in 0..high and columns in 0..wide."""
    rows = torch.randint(high + 1, (count, each), generator=generator)
    columns = torch.randint(wide + 1, (count, each), generator=generator)
    return torch.stack([rows, columns], dim=-1)


def _flat_index(corners: Tensor, h: int, w: int, width: int) -> Tensor:
    """Flat pixel numbers `(N, P, h, w)` of windows with the given corners, rows `width` wide."""
    rows = corners[..., 0, None, None] + torch.arange(h)[:, None]
    columns = corners[..., 1, None, None] + torch.arange(w)
    return rows * width + columns


def _windows(images: Tensor, corners: Tensor, h: int, w: int) -> Tensor:
    """Windows `(N, P, h, w)` cut from images `(N, H, W)`, as float32."""
    index = _flat_index(corners, h, w, images.shape[-1]).flatten(1)
    cut = images.flatten(1).gather(1, index).float()
    return cut.view(*corners.shape[:2], h, w)


def _add(ink: Tensor, windows: Tensor, corners: Tensor, width: int) -> None:
    """Add windows `(N, P, h, w)` to flat canvases `(N, S * S)`, in place."""
    index = _flat_index(corners, *windows.shape[-2:], width)
    ink.scatter_add_(1, index.flatten(1), windows.flatten(1))
