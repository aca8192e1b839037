"""Entropies, divergences and mutual information of finite distributions, in nats.

Every sum runs in float64, whatever the type of the input, and 0 log 0 is 0 exactly.
"""

from __future__ import annotations

import torch
from torch.special import entr

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

# The smallest number above -1: its log1p is -36.7.
_ABOVE_MINUS_ONE = -1.0 + 2.0**-53


def entropy(p: ArrayLike, dim: int = -1) -> torch.Tensor:
    r"""Shannon entropy $H(p) = -\sum_y p_y \log p_y$ in nats.

    Args:
        p: probabilities, shape `(..., K)`; they sum to one along `dim`.
        dim: the dimension that holds the outcomes.

    Returns:
        A float64 tensor of the shape of `p` without `dim`; differentiable.

    Raises:
        ValueError: if `p` is empty, not finite, negative or does not sum to one.

    Source: Kirsch, Lyle and Gal 2020, Section 2, with h(p) = -ln p.

    >>> round(entropy([0.5, 0.5]).item(), 6)  # log 2
    0.693147
    >>> entropy([[1.0, 0.0], [0.25, 0.75]])
    tensor([0.0000, 0.5623], dtype=torch.float64)
    """
    p = _validate.probabilities(p, "p", dim)
    return entr(p.to(torch.float64)).sum(dim)


def cross_entropy(p: ArrayLike, q: ArrayLike, dim: int = -1) -> torch.Tensor:
    r"""Cross-entropy $H(p, q) = -\sum_y p_y \log q_y$ in nats; infinite where q = 0 < p.

    Args:
        p, q: probabilities, shapes `(..., K)` that broadcast and agree along `dim`.
        dim: the dimension that holds the outcomes.

    Returns:
        A float64 tensor; differentiable in both arguments where they are positive.

    Raises:
        ValueError: if either is not a distribution along `dim` or the shapes do not fit.

    Source: Kirsch, Lyle and Gal 2020, Section 3.1.

    >>> round(cross_entropy([0.5, 0.5], [0.75, 0.25]).item(), 6)
    0.836988
    >>> cross_entropy([1.0, 0.0], [0.0, 1.0]).item()
    inf
    """
    p, q = _pair(p, q, dim)
    return 0.0 - torch.xlogy(p, q).sum(-1)  # 0.0 - x: never a negative zero


def kl_divergence(p: ArrayLike, q: ArrayLike, dim: int = -1) -> torch.Tensor:
    r"""Divergence $KL(p \| q) = \sum_y p_y \log (p_y / q_y)$ in nats.

    It is never negative, zero where p = q, and infinite where q = 0 < p.

    Args:
        p, q: probabilities, shapes `(..., K)` that broadcast and agree along `dim`.
        dim: the dimension that holds the outcomes.

    Returns:
        A float64 tensor.

    Raises:
        ValueError: if either is not a distribution along `dim` or the shapes do not fit.

    Source: Kudo 2025, Eq. 9 (there with p the uniform distribution).

    >>> round(kl_divergence([0.5, 0.5], [0.75, 0.25]).item(), 6)
    0.143841
    >>> kl_divergence([1.0, 0.0], [1.0, 0.0]).item()
    0.0
    """
    p, q = _pair(p, q, dim)
    divergence = torch.xlogy(p, p) - torch.xlogy(p, q)
    # Rounding alone can leave about -1e-17 where p = q, or a negative zero.
    return divergence.sum(-1).clamp(min=0.0) + 0.0


def mutual_information(joint: ArrayLike) -> torch.Tensor:
    r"""Mutual information $I(A;B)$ of a joint distribution, in nats.

    Computed as $\sum_{ab} q\,\varphi(\delta)$ with $q = p(a)p(b)$, $\delta = p(a,b)/q - 1$
    and $\varphi(\delta) = (1+\delta)\log(1+\delta) - \delta \ge 0$. No two large entropies
    are subtracted, so a small value keeps its digits.

    Args:
        joint: $p(a, b)$, shape `(..., A, B)`; it sums to one over the last two dimensions.

    Returns:
        A float64 tensor of shape `(...)`; never negative.

    Raises:
        ValueError: if `joint` has fewer than two dimensions or is not a distribution.

    Source: Kirsch, Lyle and Gal 2020, Section 2.

    >>> round(mutual_information([[0.5, 0.0], [0.0, 0.5]]).item(), 6)  # log 2
    0.693147
    >>> mutual_information([[0.25, 0.25], [0.25, 0.25]]).item()
    0.0
    """
    joint = _validate.as_float_tensor(joint, "joint")
    if joint.ndim < 2:
        raise ValueError(f"joint must have at least 2 dimensions, got shape {tuple(joint.shape)}")
    joint = _validate.probabilities(joint, "joint", (-2, -1)).to(torch.float64)
    joint = joint / joint.sum((-2, -1), keepdim=True)
    product = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    # Where the product is 0 the joint is 0 too and the cell adds nothing.
    safe = torch.where(product > 0, product, torch.ones_like(product))
    excess = joint - product
    # Where the joint is (nearly) 0 the ratio is -1; kept off it, 0 times its logarithm is 0.
    ratio = (excess / safe).clamp(min=_ABOVE_MINUS_ONE)
    return (joint * ratio.log1p() - excess).sum((-2, -1)).clamp(min=0.0) + 0.0


def _pair(p: ArrayLike, q: ArrayLike, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Both in float64 on the device of `p`, with the outcomes in the last dimension."""
    p = _validate.probabilities(p, "p", dim).to(torch.float64)
    q = _validate.probabilities(q, "q", dim).to(p)
    if p.shape[dim] != q.shape[dim]:
        raise ValueError(
            f"p and q must have the same length along dim {dim}, "
            f"got {p.shape[dim]} and {q.shape[dim]}"
        )
    # Broadcasting aligns the last dimensions: elsewhere outcomes would meet other axes.
    return p.movedim(dim, -1), q.movedim(dim, -1)
