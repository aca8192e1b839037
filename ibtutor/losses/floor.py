"""The value that a smoothed loss cannot go below."""

from __future__ import annotations

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.entropy import cross_entropy
from ibtutor.losses._inputs import class_weights


def loss_floor(
    alpha: float,
    *,
    num_classes: int,
    prior: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> float:
    """The smallest mean value of the loss with uniform smoothing, in nats.

    Without class weights it is H(q_alpha), the entropy of the smoothed target, whatever the shares
    of the classes. With weights w the optimal output for class y is proportional to w q_y, and the
    mean is weighted as in `label_smoothing`, so the shares (`prior`, balanced if None) matter.

    Args:
        alpha: strength in [0, 1].
        num_classes: K >= 2.
        prior: shares of the classes, shape `(K,)`.
        weight: class weights, shape `(K,)`.

    Raises:
        ValueError: a value outside its range; weights that are all zero on the classes that occur.

    >>> round(loss_floor(0.1, num_classes=1000), 4)
    1.0148
    """
    alpha = _validate.unit_interval(alpha)
    k = _validate.class_count(num_classes)
    uniform = torch.full((k,), 1 / k, dtype=torch.float64)
    pi = uniform if prior is None else _validate.class_distribution(prior, "prior", k)
    if weight is None:
        # All rows of targets are permutations of one: K numbers instead of K x K.
        target = torch.full((k,), alpha / k, dtype=torch.float64)
        target[0] += 1 - alpha
        return torch.special.entr(target).sum().item()
    w = class_weights(weight, k).to(torch.float64)
    total = (pi * w).sum()
    if total == 0:
        raise ValueError("weight must be positive for a class that occurs, got zero for all")
    weighted = ((1 - alpha) * torch.eye(k, dtype=torch.float64) + alpha / k) * w
    mass = weighted.sum(1)
    present = mass > 0  # a row of weight zero costs nothing
    best = weighted[present] / mass[present, None]
    costs = mass[present] * cross_entropy(best, best)
    return ((pi[present] * costs).sum() / total).item()
