"""One strength in the conventions of others: eps over K - 1 classes, beta of two other losses."""

from __future__ import annotations

import math

from ibtutor.info import _validate

CONVENTIONS = ("K-1", "K")
LOSSES = ("confidence_penalty", "discrete_vib")


def convert_smoothing(eps: float, num_classes: int, from_: str = "K-1") -> float:
    """Convert between the two ways of spreading the smoothing mass.

    From "K-1", where the target keeps 1 - eps and each other class gets eps / (K - 1), to alpha,
    where every class gets alpha / K on top of 1 - alpha for the target (torch's convention):
    alpha = eps K / (K - 1). From "K" the other way.

    Raises:
        ValueError: eps outside [0, 1]; K < 2; an unknown convention; or an eps above (K - 1) / K,
            for which there is no alpha in [0, 1]: the target would get less than the others.

    >>> round(convert_smoothing(0.1, 10), 4)
    0.1111
    >>> round(convert_smoothing(convert_smoothing(0.1, 10), 10, from_="K"), 12)
    0.1
    """
    eps = _validate.unit_interval(eps, "eps")
    k = _validate.class_count(num_classes)
    if from_ not in CONVENTIONS:
        raise ValueError(f"from_ must be one of {', '.join(CONVENTIONS)}, got {from_!r}")
    if from_ == "K":
        return eps * (k - 1) / k
    if eps > (k - 1) / k:
        raise ValueError(
            f"eps must be at most (K - 1) / K = {(k - 1) / k:.6g} for the target to keep the "
            f"largest share, got {eps:.6g}"
        )
    return min(1.0, eps * k / (k - 1))


def smoothing_equivalent(
    strength: float, num_classes: int, loss: str = "confidence_penalty", eps: float = 0.1
) -> float:
    """The alpha of label smoothing that has the same optimum as another loss on one-hot labels.

    Both losses below are minimized, for each example and with uniform r, by an output of the form
    (1 - a) one-hot + a / K. With l(a) = log(1 + K (1 - a) / a), the log odds of such an output:
    the confidence penalty has l(a) = 1 / (beta (1 - a + a / K)), discrete VIB with soft indicator
    eps has l(a) = log(1 + K (1 - eps) / eps) / beta. Both maps rise from 0 towards 1.

    Args:
        strength: beta of the other loss, zero or more.
        num_classes: K >= 2.
        loss: "confidence_penalty" or "discrete_vib".
        eps: softness of the decoder of discrete VIB.

    Raises:
        ValueError: a value outside its range, or an unknown loss.

    >>> round(smoothing_equivalent(0.5, 10), 8)
    0.35677826
    >>> round(smoothing_equivalent(1.0, 10, "discrete_vib"), 8)
    0.1
    """
    beta, k = _validate.non_negative(strength, "strength"), _validate.class_count(num_classes)
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    if beta == 0:
        return 0.0
    if loss == "discrete_vib":
        eps = _validate.unit_interval(eps, "eps")
        if eps == 0:
            raise ValueError("eps must be positive, got 0")
        return _from_odds(math.log1p(k * (1 - eps) / eps) / beta, k)
    from scipy.optimize import brentq  # here, so that importing the losses stays quick

    # In the log odds s the condition reads beta s (1 - a(s) + a(s) / K) = 1, rising in s.
    return _from_odds(brentq(lambda s: beta * s * _on_class(s, k) - 1, 0.0, k / beta), k)


def _from_odds(s: float, k: int) -> float:
    """a with l(a) = s: K / (K - 1 + e^s)."""
    return k / (k + math.expm1(s)) if s < 700 else k * math.exp(-s)


def _on_class(s: float, k: int) -> float:
    """1 - a + a / K at log odds s."""
    return 1 - _from_odds(s, k) * (k - 1) / k
