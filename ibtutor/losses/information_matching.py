"""Information Matching: smoothing as strong as the image lost information (Bonilla 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.image_information import check_variant
from ibtutor.losses import _inputs

_PAPER_CAP = 0.9
# The strength of label smoothing that the paper's cap is at its 100 classes: 0.9 * 100 / 99.
_CAP_STRENGTH = 10 / 11


def information_matching_strength(
    information: float | Tensor,
    num_classes: int,
    *,
    cap: float | None = None,
    variant: str = "described",
) -> Tensor:
    """The alpha of label smoothing that gives an image its matched target.

    With eps = 1 - `information`, limited to [0, cap], the target is label smoothing of strength
    eps K / (K - 1) as described, and of strength eps as coded. So the paper's two rows "LS" and
    "IM" spread one eps differently; compare by alpha.

    Args:
        information: what the image kept, in [0, 1], such as `normalized_mutual_information`; a
            number or a floating tensor of any shape. Gradients flow through it.
        num_classes: K >= 2.
        cap: the largest eps; below (K - 1) / K as described and below 1 as coded, so that the true
            class stays the most likely. None: the paper's 0.9 as coded, and as described the
            smaller of 0.9 and the eps whose strength is that of 0.9 at 100 classes,
            (10 / 11) (K - 1) / K. At ten classes 0.9 itself would give the uniform distribution,
            below ten the true class the least of all.
        variant: "described" or "coded".

    Returns:
        tensor of the shape and type of `information`.

    Raises:
        TypeError: `information` neither a number nor a floating tensor.
        ValueError: `information` outside [0, 1] or NaN (where reading it is free: on the CPU,
            outside `torch.compile` and `torch.func`), a cap out of its range, K < 2.

    Source: Bonilla 2025, section 2.2.

    >>> kept = torch.tensor([1.0, 0.505, 0.0], dtype=torch.float64)
    >>> information_matching_strength(kept, 100).round(decimals=6).tolist()
    [0.0, 0.5, 0.909091]
    """
    k = _validate.class_count(num_classes)
    coded = check_variant(variant) == "coded"
    cap = _cap(cap, k, coded)
    if not isinstance(information, Tensor):
        information = torch.tensor(_validate.number(information, "information"))
    if not information.is_floating_point():
        raise TypeError(f"information must be floating, got {information.dtype}")
    if information.numel() and _inputs.readable(information):
        for end in torch.aminmax(information.detach()):
            _validate.unit_interval(end.item(), "information")
    eps = (1 - information).clamp(0, cap)
    return eps if coded else eps * (k / (k - 1))


def information_matching_targets(
    labels: ArrayLike,
    information: float | Tensor,
    num_classes: int,
    *,
    cap: float | None = None,
    variant: str = "described",
) -> Tensor:
    """Soft labels as soft as the image is degraded, for `soft_cross_entropy`.

    With eps = 1 - `information`, limited to [0, cap], as described: 1 - eps for the true class c
    and eps / (K - 1) for each other one; as coded: eps / K for every class and 1 - eps on top of it
    for c. Both sum to one. (The same loss without the targets, and faster:
    `label_smoothing(logits, labels, information_matching_strength(information, K))`.)

    The paper prints (1 - eps) delta_{k,c} + eps / (K - 1) "for k != c", and says that this
    distributes eps over the other classes, "summing to 1". Where k != c the delta is always zero:
    what is printed are the K - 1 other classes, which sum to eps, and the value of the true class
    is not there. Meant is 1 - eps, as the sentence about the sum shows. (Read for all k, against
    its condition, the formula would sum to 1 + eps / (K - 1).)

    Args:
        labels: `(N, d1, ...)` integers in 0 .. K - 1.
        information: what each image kept, in [0, 1]; a number or a floating tensor that
            broadcasts over the labels. Gradients flow through it.
        num_classes, cap, variant: as for `information_matching_strength`. With the default cap the
            true class stays the most likely for every K.

    Returns:
        `(N, K, d1, ...)`, of the type of `information`, or torch's default type for a number.

    Raises:
        TypeError, ValueError: as `information_matching_strength`, and for labels that are not
            integers or no class, or a shape that does not broadcast over them.

    Source: Bonilla 2025, section 2.2.

    >>> kept = torch.tensor([1.0, 0.7], dtype=torch.float64)
    >>> information_matching_targets([0, 2], kept, 4).round(decimals=6).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.1, 0.1, 0.7, 0.1]]
    >>> kept = torch.tensor(0.7, dtype=torch.float64)
    >>> information_matching_targets([2], kept, 4, variant="coded").round(decimals=6).tolist()
    [[0.075, 0.075, 0.775, 0.075]]
    """
    alpha = information_matching_strength(information, num_classes, cap=cap, variant=variant)
    labels = _inputs.integers(labels).to(alpha.device)
    if labels.numel() and _inputs.readable(labels):
        low, high = (int(x) for x in torch.aminmax(labels))
        if low < 0 or high >= num_classes:
            got = low if low < 0 else high
            raise ValueError(f"labels must lie in 0 .. {num_classes - 1}, got {got}")
    try:
        alpha = alpha.broadcast_to(labels.shape)
    except RuntimeError:
        raise ValueError(
            f"information must be a number or broadcast over the labels' shape "
            f"{tuple(labels.shape)}, got shape {tuple(alpha.shape)}"
        ) from None
    if not labels.ndim:
        raise ValueError(f"labels must have shape (N, d1, ...), got {tuple(labels.shape)}")
    share = (alpha / num_classes).unsqueeze(1)
    classes = torch.arange(num_classes, device=labels.device).view(-1, *[1] * (labels.ndim - 1))
    own = labels.unsqueeze(1) == classes
    return torch.where(own, 1 - (num_classes - 1) * share, share)


def _cap(cap: float | None, num_classes: int, coded: bool) -> float:
    limit = 1.0 if coded else (num_classes - 1) / num_classes
    if cap is None:
        return _PAPER_CAP if coded else min(_PAPER_CAP, _CAP_STRENGTH * limit)
    cap = _validate.number(cap, "cap")
    if not 0 <= cap < limit:
        bound = "1" if coded else f"(K - 1) / K = {limit:.6g}"
        raise ValueError(
            f"cap must lie in [0, {bound}) for the true class to stay the most likely, "
            f"got {cap:.6g}"
        )
    return cap
