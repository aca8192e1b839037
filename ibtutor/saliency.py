"""Grad-CAM (Selvaraju et al. 2017) and how much of it lies where it should.

The map weighs the channels of a convolutional layer by the mean gradient of a class score and
keeps the positive part. Kudo 2025, figures 7 and 8, shows such maps; here they become a number:
the share of a map's mass inside the digit's box and on its strokes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ibtutor._modes import evaluating

__all__ = ["display_map", "find_layer", "grad_cam", "mass_share", "mean_around_box"]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name.

    Raises:
        ValueError: if there is none; the message lists the names of the convolutional layers.

    >>> find_layer(nn.Sequential(nn.Conv2d(1, 2, 3)), "0")
    Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    modules = dict(model.named_modules())
    if not name or name not in modules:
        convolutions = [k for k, m in modules.items() if isinstance(m, nn.Conv2d)]
        raise ValueError(f"no layer named {name!r}; convolutional layers: {convolutions}")
    return modules[name]


def grad_cam(
    model: nn.Module,
    images: Tensor,
    layer: str,
    *,
    targets: Tensor | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
) -> tuple[Tensor, Tensor]:
    """Grad-CAM maps at the size of the layer's output, not rescaled.

    For class score s and activations A `(C, h, w)`: relu(sum_c w_c A_c), w_c = mean of ds/dA_c.
    One backward pass serves a whole batch, because in evaluation mode images do not interact.

    Args:
        model: gives logits `(N, K)`; put into evaluation mode, and each module restored.
        images: `(N, C, H, W)`, moved to the model's device in batches.
        layer: name of the layer, as in `model.named_modules()`.
        targets: `(N,)` class to explain; None: the predicted class.
        transform: applied to each batch first, for instance from bytes to standardized floats.
        batch_size: images at once.

    Returns:
        Maps `(N, h, w)`, not negative, and logits `(N, K)`, both on the CPU.

    Raises:
        ValueError: if the layer does not exist, is not used, or gives no `(N, C, h, w)` output, or
            the targets are not one for each image.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 10))
    >>> maps, logits = grad_cam(model, torch.rand(4, 1, 8, 8), "0")
    >>> maps.shape, logits.shape
    (torch.Size([4, 6, 6]), torch.Size([4, 10]))
    """
    caught: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        # A leaf that asks for a gradient: nothing below the layer is differentiated.
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise ValueError(f"layer {layer!r} must give one tensor (N, C, h, w), got a {kind}")
        caught.append(output.detach().requires_grad_())
        return caught[-1].clone()  # the next layer may work in place, which a leaf forbids

    if targets is not None and targets.shape != images.shape[:1]:
        raise ValueError(f"targets must have shape ({len(images)},), got {tuple(targets.shape)}")
    device = next((p.device for p in model.parameters()), images.device)
    maps, scores = [], []
    handle = find_layer(model, layer).register_forward_hook(keep)
    try:
        for start in range(0, len(images), batch_size):
            caught.clear()
            # Also when the caller switched gradients off, by either way.
            with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
                part = images[start : start + batch_size].to(device)
                part = part.clone() if part.is_inference() else part
                logits = model(part if transform is None else transform(part))
                if len(caught) != 1 or caught[0].ndim != 4:
                    shapes = [tuple(a.shape) for a in caught]
                    raise ValueError(
                        f"layer {layer!r} must be used once and give (N, C, h, w), got {shapes}"
                    )
                chosen = logits.argmax(1) if targets is None else targets[start:][:batch_size]
                score = logits.gather(1, chosen.to(logits.device)[:, None]).sum()
                (gradient,) = torch.autograd.grad(score, caught[0])
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append((weights * caught[0]).sum(1).relu().detach().float().cpu())
            scores.append(logits.detach().float().cpu())
    finally:
        handle.remove()
    return torch.cat(maps), torch.cat(scores)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(maps[:, None], size=size, mode="bilinear")[:, 0]


def display_map(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps `(N, h, w)` shifted and scaled to [0, 1], enlarged: `(N, *size)`, for the eye only.

    The same scaling as in the library pytorch-grad-cam. Shares of mass are not computed on it:
    subtracting the smallest value moves mass.

    >>> display_map(torch.tensor([[[0.0, 2.0], [1.0, 2.0]]]), (2, 2))
    tensor([[[0.0000, 1.0000],
             [0.5000, 1.0000]]])
    """

    def unit(x: Tensor) -> Tensor:
        x = x - x.amin((1, 2), keepdim=True)
        return x / (1e-7 + x.amax((1, 2), keepdim=True))

    return unit(_resize(unit(maps), size))


def mass_share(maps: Tensor, masks: Tensor, *, on_constant: str = "raise") -> Tensor:
    """Share of each map's mass that lies inside its mask.

    Maps are enlarged to the masks' size (bilinear), then summed. A map that is the same everywhere
    (for Grad-CAM: zero everywhere) points nowhere, so it has no share.

    Args:
        maps: `(N, h, w)`, not negative.
        masks: `(N, H, W)` bool.
        on_constant: `"raise"`, or `"nan"` to mark such maps, so that they can be counted.

    Returns:
        `(N,)` float64 in [0, 1]. Chance, for a map that ignores the mask: the mask's area share.

    Raises:
        ValueError: if shapes do not fit, a value is negative, or a map is constant.
        TypeError: if the masks are not bool.

    >>> maps = torch.tensor([[[3.0, 1.0], [0.0, 0.0]]])
    >>> mask = torch.tensor([[[True, False], [False, False]]])
    >>> mass_share(maps, mask).tolist()
    [0.75]
    """
    if maps.ndim != 3 or masks.ndim != 3 or len(maps) != len(masks):
        raise ValueError(
            "maps must have shape (N, h, w) and masks (N, H, W), got "
            f"{tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, got {masks.dtype}")
    if on_constant not in ("raise", "nan"):
        raise ValueError(f'on_constant must be "raise" or "nan", got {on_constant!r}')
    if not bool((maps >= 0).all()):
        raise ValueError(f"maps must not be negative, got a smallest value of {maps.min():.3g}")
    constant = maps.amax((1, 2)) == maps.amin((1, 2))
    if on_constant == "raise" and bool(constant.any()):
        raise ValueError(
            f"{int(constant.sum())} of {len(maps)} saliency maps are constant and point nowhere; "
            'pass on_constant="nan" to mark them'
        )
    large = _resize(maps.double(), masks.shape[-2:])
    total = large.sum((1, 2))
    inside = (large * masks).sum((1, 2))
    # A constant map of zeros would divide by zero; its share is replaced in the next line.
    share = inside / torch.where(constant, torch.ones_like(total), total)
    return torch.where(constant, torch.full_like(share, torch.nan), share)


def mean_around_box(maps: Tensor, boxes: Tensor, canvas: int, *, chunk: int = 512) -> Tensor:
    """Mean map seen from the box: each map is enlarged, scaled to mass 1 and shifted.

    After the shift the middle of the box lies in the middle of the window. The mean at a place is
    taken over the maps whose canvas reaches there. Constant maps are left out.

    Args:
        maps: `(N, h, w)`, not negative; boxes: `(N, 4)` top, left, bottom, right on the canvas.
        canvas: side S of the canvas.
        chunk: maps at once.

    Returns:
        `(S, S)` float64 in multiples of evenly spread mass; NaN where no canvas reaches.

    Raises:
        ValueError: if shapes do not fit.

    >>> maps = torch.zeros(2, 4, 4)
    >>> maps[0, 0, 0], maps[1, 3, 3] = 1.0, 5.0
    >>> boxes = torch.tensor([[0, 0, 1, 1], [3, 3, 4, 4]])
    >>> mean_around_box(maps, boxes, 4)[2, 2].item()
    16.0
    """
    if maps.ndim != 3 or boxes.shape != (len(maps), 4):
        raise ValueError(
            "maps must have shape (N, h, w) and boxes (N, 4), got "
            f"{tuple(maps.shape)} and {tuple(boxes.shape)}"
        )
    keep = maps.amax((1, 2)) > maps.amin((1, 2))
    maps, boxes = maps[keep], boxes[keep]
    total = torch.zeros(2, canvas, canvas, dtype=torch.float64)
    # Twice the canvas leaves room for a window around every box.
    corner = (boxes[:, :2] + boxes[:, 2:]).div(2, rounding_mode="floor") - canvas // 2 + canvas
    line = torch.arange(canvas)
    for part, start in zip(maps.double().split(chunk), corner.split(chunk), strict=True):
        large = _resize(part, (canvas, canvas))
        large = large / large.mean((1, 2), keepdim=True)
        both = torch.stack([large, torch.ones_like(large)], dim=1)
        wide = torch.nn.functional.pad(both, (canvas, canvas, canvas, canvas))
        rows = (start[:, 0, None] + line)[:, None, :, None]
        columns = (start[:, 1, None] + line)[:, None, None, :]
        which = torch.arange(len(part))[:, None, None, None]
        total += wide[which, torch.arange(2)[None, :, None, None], rows, columns].sum(0)
    return total[0] / total[1].where(total[1] > 0, torch.nan)
