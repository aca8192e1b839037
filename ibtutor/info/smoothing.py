"""Label smoothing on the information plane: closed form, inverse, and the outputs themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike


def label_smoothing_information(
    alpha: ArrayLike,
    *,
    num_classes: int | None = None,
    prior: ArrayLike | None = None,
    smoothing: ArrayLike | None = None,
) -> Tensor:
    """I(X;T) = I(T;Y) of the label-smoothing optimum, in nats (Kudo 2025, Proposition 4.5).

    Args:
        alpha: strength in [0, 1]; any shape.
        num_classes: K, for balanced classes; or else
        prior: shares of the classes, shape `(K,)`.
        smoothing: the distribution r that receives the mass alpha, shape `(K,)`; uniform if None.

    Returns:
        float64 tensor of the shape of `alpha`; exact to rounding, also near alpha = 1.

    Raises:
        ValueError: alpha outside [0, 1]; neither or both of `num_classes` and `prior`; a prior or
            smoothing that is no distribution over the same classes.

    >>> round(float(label_smoothing_information(0.1, num_classes=10)), 10)
    1.8022970579
    >>> round(float(label_smoothing_information(0.3, prior=[0.5, 0.3, 0.2])), 10)
    0.4258712533
    """
    strength = strengths(alpha).unsqueeze(-1)
    pi, r = _classes(num_classes, prior, smoothing, strength.device)
    mean = (1 - strength) * pi + strength * r
    # I = sum_y pi_y KL(q_y || mean). With d = q_y / mean - 1 the terms are mean * phi(d), and phi
    # has no cancellation left: d is computed directly, not as a difference of two near-equals.
    safe = torch.where(mean > 0, mean, torch.ones_like(mean))
    own = (1 - strength) * (1 - pi) / safe
    other = -(1 - strength) * pi / safe
    return (mean * (pi * _phi(own) + (1 - pi) * _phi(other))).sum(-1)


def _phi(d: Tensor) -> Tensor:
    """(1 + d) log(1 + d) - d, which is d^2 / 2 for small d and 1 at d = -1."""
    d = d.clamp(min=-1.0)
    inside = torch.where(d > -1, d, torch.zeros_like(d))
    exact = torch.special.xlog1py(1 + d, inside) - d
    # Below 1e-3 the difference would lose digits; the next term of the series is d^7 / 42.
    series = d * d * (1 / 2 - d * (1 / 6 - d * (1 / 12 - d * (1 / 20 - d / 30))))
    return torch.where(d.abs() < 1e-3, series, exact)


def strengths(alpha: ArrayLike, name: str = "alpha") -> Tensor:
    """`alpha` as a float64 tensor whose entries lie in [0, 1]."""
    values = _validate.as_float_tensor(alpha, name).to(torch.float64)
    outside = values[~((values >= 0) & (values <= 1))]
    if outside.numel():
        raise ValueError(f"{name} must lie in [0, 1], got {outside.flatten()[0].item():.6g}")
    return values


def _classes(
    num_classes: int | None, prior: ArrayLike | None, smoothing: ArrayLike | None, device
) -> tuple[Tensor, Tensor]:
    if (num_classes is None) == (prior is None):
        raise ValueError(
            f"give either num_classes or prior, got num_classes={num_classes} and "
            f"prior={'None' if prior is None else 'a prior'}"
        )
    if prior is None:
        k = _validate.class_count(num_classes)
        pi = torch.full((k,), 1 / k, dtype=torch.float64)
    else:
        pi = _validate.class_distribution(prior, "prior", None)
        k = _validate.class_count(len(pi), "number of classes in prior")
    if smoothing is None:
        r = torch.full((k,), 1 / k, dtype=torch.float64)
    else:
        r = _validate.class_distribution(smoothing, "smoothing", k)
    return pi.to(device), r.to(device)


def label_smoothing_strength(
    information: float,
    *,
    num_classes: int | None = None,
    prior: ArrayLike | None = None,
    smoothing: ArrayLike | None = None,
) -> float:
    """The one strength whose optimum has this information: the inverse of the closed form.

    Raises:
        ValueError: information below 0 or above H(Y), in nats.

    >>> round(label_smoothing_strength(1.0, num_classes=10), 10)
    0.3453141927
    """
    from scipy.optimize import brentq

    def excess(alpha: float) -> float:
        kept = label_smoothing_information(
            alpha, num_classes=num_classes, prior=prior, smoothing=smoothing
        )
        return float(kept) - target

    target = _validate.number(information, "information")
    target_top = excess(0.0) + target
    if not 0.0 <= target <= target_top + 1e-12:
        raise ValueError(f"information must lie in [0, {target_top:.6g}] nats, got {target:.6g}")
    if excess(0.0) <= 0:
        return 0.0
    return 1.0 if target == 0 else float(brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-14))


def mix_outputs(probs: ArrayLike, alpha: float, smoothing: ArrayLike | None = None) -> Tensor:
    """Smooth outputs after training: (1 - alpha) p + alpha r, the null control of the book.

    Args:
        probs: outputs of shape `(..., K)`, rows that sum to one.
        alpha: strength in [0, 1].
        smoothing: r of shape `(K,)`; uniform if None.

    Returns:
        tensor of the shape and type of `probs`.

    Raises:
        ValueError: rows that are no distributions, alpha outside [0, 1], r of another length.

    >>> mix_outputs([[1.0, 0.0]], 0.2).tolist()
    [[0.9, 0.1]]
    """
    p = _validate.probabilities(probs, "probs")
    strength = _validate.unit_interval(alpha)
    if smoothing is None:
        return (1 - strength) * p + strength / p.shape[-1]
    r = _validate.class_distribution(smoothing, "smoothing", p.shape[-1])
    return (1 - strength) * p + strength * r.to(p)


def label_smoothing_encoder(
    p_y_given_x: ArrayLike, alpha: float, smoothing: ArrayLike | None = None
) -> Tensor:
    """The theoretical optimum of label smoothing, q(t|x) = (1 - alpha) p(t|x) + alpha r(t).

    With one label an input this is Proposition 4.5 of Kudo 2025; with several it is the mean of
    the smoothed targets, to which cross-entropy drives a flexible model (Section 5.2.2).

    Args:
        p_y_given_x: shape `(N, K)`; the share of each label among those of an input.
        alpha: strength in [0, 1].
        smoothing: r of shape `(K,)`; uniform if None.

    Returns:
        encoder of shape `(N, K)`.

    >>> label_smoothing_encoder([[1.0, 0.0], [0.5, 0.5]], 0.2).tolist()
    [[0.9, 0.1], [0.5, 0.5]]
    """
    p = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2)
    return mix_outputs(p, alpha, smoothing)
