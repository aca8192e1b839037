"""What information says about the error rate: lower bounds for every classifier, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import entr

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

KINDS = ("fano", "weak_fano", "milc", "milc_bits")
# Rounding of entropies that were computed elsewhere, perhaps in float32.
_SLACK = 1e-6


def error_lower_bound(
    mutual_information: ArrayLike, entropy: ArrayLike, num_classes: int, kind: str = "fano"
) -> Tensor:
    r"""A rate below which no classifier's error can lie, given what its input tells of the label.

    With $D = H(Y) - I$ and $l = \log(K - 1)$, each kind is the smallest $P$ that satisfies

    - "fano": $h(P) + P l \ge D$, Fano's inequality itself, solved for P;
    - "weak_fano": $\log 2 + P \log K \ge D$, the textbook form;
    - "milc": $\log 2 - 2 (P - 1/2)^2 + P l \ge D$, the quadratic form of Yi and others;
    - "milc_bits": the same with logarithms to base 2 and 1 for log 2 (arguments stay in nats).

    Always fano >= milc >= milc_bits >= weak_fano.

    Args:
        mutual_information: I(X;Y), or I(T;Y) of the representation T that the classifier sees,
            in nats; any shape. An upper bound of it gives a valid, smaller result.
        entropy: H(Y) in nats; broadcasts with the first.
        num_classes: K, at least two.
        kind: one of the four.

    Returns:
        float64 tensor of the common shape, between 0 and 1 - 1/K; not differentiable.

    Raises:
        ValueError: a negative information or entropy, an information above the entropy, an entropy
            above log K (each by more than rounding, 1e-6 nats), values that are not finite, empty
            or of shapes that do not broadcast, fewer than two classes, an unknown kind.
        TypeError: arguments that are no numbers; a number of classes that is no integer.

    Source: Fano's inequality (Cover and Thomas 2006, Theorem 2.10.1); Yi and others 2022,
    Theorem 4, whose display is rebuilt from its proof.

    >>> import math
    >>> round(error_lower_bound(1.0, math.log(10), 10).item(), 10)
    0.3107827735
    >>> [round(error_lower_bound(0.0, math.log(100), 100, k).item(), 4) for k in KINDS]
    [0.99, 0.8495, 0.9329, 0.8995]
    """
    known, total, k = _arguments(mutual_information, entropy, num_classes)
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    missing = total - known
    if kind == "weak_fano":
        bound = (missing - math.log(2)) / math.log(k)
    elif kind == "fano":
        bound = _invert_fano(missing, (math.log(k) - total).clamp(min=0.0) + known, k)
    else:
        unit = 1.0 if kind == "milc" else math.log(2)
        slope = 2.0 + math.log(k - 1) / unit
        shift = 0.5 - math.log(2) / unit
        excess = missing / unit + shift
        # The smaller root of a quadratic in P, written without differences of near-equals: where
        # nothing is known the discriminant is that of log K alone, and with two classes zero.
        kept = (math.log(k) - total).clamp(min=0.0) + known
        least = max(slope**2 - 8 * (math.log(k) / unit + shift), 0.0)
        bound = 2 * excess / (slope + (least + 8 * kept / unit).sqrt())
    return bound.clamp(0.0, 1.0 - 1.0 / k)


def audenaert_bound(p: ArrayLike, q: ArrayLike, dim: int = -1) -> Tensor:
    r"""The most that the entropies of two distributions can differ, in nats, from their distance.

    $|H(p) - H(q)| \le V \log(K - 1) + h(V)$ with the total variation $V = \frac12 \sum |p - q|$.
    It is Fano's function: couple the two so that they differ with probability V.

    Args:
        p, q: probabilities, shapes `(..., K)` that broadcast and agree along `dim`.
        dim: the dimension that holds the outcomes, of both; negative counts from the last.

    Returns:
        float64 tensor of the common shape without `dim`; finite for all p and q, also where their
        supports differ.

    Raises:
        ValueError: if either is not a distribution along `dim` or has no such dimension, the
            shapes do not fit, or K < 2.
        TypeError: if either holds no real numbers, or `dim` is no integer.

    Source: Audenaert 2007, "A sharp continuity estimate for the von Neumann entropy", Theorem 1,
    there for quantum states; here its classical case.

    >>> round(audenaert_bound([0.5, 0.3, 0.2], [0.45, 0.25, 0.3]).item(), 10)
    0.3943976914
    """
    p, q = _outcomes_last(p, "p", dim), _outcomes_last(q, "q", dim)
    k = p.shape[-1]
    if k != q.shape[-1]:
        raise ValueError(
            f"p and q must have the same length along dim {dim}, got {k} and {q.shape[-1]}"
        )
    _validate.class_count(k, "number of outcomes of p and q")
    try:
        p, q = torch.broadcast_tensors(p, q.to(p.device))
    except RuntimeError:
        raise ValueError(
            f"p and q must have shapes that broadcast, got {tuple(p.shape)} and {tuple(q.shape)}"
        ) from None
    distance = ((p - q).abs().sum(-1) / 2).clamp(max=1.0)
    return _fano_function(distance, k)


def _outcomes_last(value: ArrayLike, name: str, dim: int) -> Tensor:
    """Distributions along `dim`, moved to the end so that the other dimensions broadcast."""
    p = _validate.as_float_tensor(value, name)
    dims = max(p.ndim, 1)  # a single number is refused below
    dim = _validate.integer(dim, "dim", -dims)
    if dim >= dims:
        raise ValueError(f"dim must be at most {dims - 1} for {name}, got {dim}")
    p = _validate.probabilities(p, name, dim).to(torch.float64).movedim(dim, -1)
    return p / p.sum(-1, keepdim=True)  # sums may be off by the rounding of the caller's precision


def _fano_function(error: Tensor, num_classes: int) -> Tensor:
    """h(P) + P log(K - 1) in nats: the most entropy of a label that is guessed with error P."""
    return entr(error) + entr(1 - error) + error * math.log(num_classes - 1)


def _arguments(information: ArrayLike, entropy: ArrayLike, k: int) -> tuple[Tensor, Tensor, int]:
    k = _validate.class_count(k)
    known = _validate.as_float_tensor(information, "mutual_information").detach().double()
    total = _validate.as_float_tensor(entropy, "entropy").detach().double()
    _validate.check_finite(known, "mutual_information")
    _validate.check_finite(total, "entropy")
    try:
        known, total = torch.broadcast_tensors(known, total.to(known.device))
    except RuntimeError:
        raise ValueError(
            "mutual_information and entropy must have shapes that broadcast, "
            f"got {tuple(known.shape)} and {tuple(total.shape)}"
        ) from None
    top = math.log(k)
    _refuse(total > top + _SLACK, total, f"entropy must be at most log {k} = {top:.10g} nats")
    _refuse(total < -_SLACK, total, "entropy must be zero or more")
    _refuse(known < -_SLACK, known, "mutual_information must be zero or more")
    over = known > total + _SLACK
    if over.any():
        i, h = (x[over].flatten()[0].item() for x in (known, total))
        raise ValueError(f"mutual_information must be at most the entropy {h:.10g}, got {i:.10g}")
    known = known.clamp(min=0.0)
    return known, torch.maximum(total, known), k


def _refuse(bad: Tensor, values: Tensor, rule: str) -> None:
    if bad.any():
        # Ten digits: an excess as small as the slack is to be seen.
        raise ValueError(f"{rule}, got {values[bad].flatten()[0].item():.10g}")


def _invert_fano(missing: Tensor, known: Tensor, k: int) -> Tensor:
    """The P in [0, 1 - 1/K] with h(P) + P log(K - 1) = missing; `known` is log K - missing.

    Near the top the left side is flat. There log K minus it, the divergence of the symmetric
    channel from the uniform law, is compared with `known`: that keeps the digits.
    """
    top = 1.0 - 1.0 / k
    low, high = torch.zeros_like(missing), torch.full_like(missing, top)
    for _ in range(60):
        middle = (low + high) / 2
        kept = 1.0 - middle / top  # the strength of label smoothing with this error is 1 - kept
        right = (1.0 + (k - 1) * kept) / k
        flat = right * torch.log1p((k - 1) * kept) + middle * torch.log1p(-kept) > known
        below = torch.where(kept > 0.5, _fano_function(middle, k) < missing, flat)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    # Fano's function is zero at zero alone; and at the top nothing is known.
    ends = torch.where(missing <= 0, torch.zeros_like(high), high)
    return torch.where(known <= 0, torch.full_like(high, top), ends)
