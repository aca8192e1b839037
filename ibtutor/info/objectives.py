"""IB, DIB and CEB as one family of functions of an encoder, in nats."""

from __future__ import annotations

import torch

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike

_KINDS = ("ib", "dib", "ceb")


def bottleneck_objective(
    p_x: ArrayLike | None,
    p_y_given_x: ArrayLike,
    p_t_given_x: ArrayLike,
    beta: float,
    kind: str = "ib",
) -> torch.Tensor:
    r"""What a bottleneck maximizes: I(T;Y) - beta C, with one of three costs C.

    Args:
        p_x: `(N,)`, or None for equal weights. p_y_given_x: `(N, K)`. p_t_given_x: `(N, T)`.
        beta: weight of the cost (Kudo's; Kirsch's and Tishby's is its inverse).
        kind: "ib": C = I(X;T). "dib": C = H(T) = I(X;T) + H(T|X), which also charges for
            noise, so its optimum is deterministic. "ceb": C = I(X;T|Y) = I(X;T) - I(T;Y), which
            charges for the redundant part alone.

    Returns:
        A float64 scalar, differentiable in `p_t_given_x` where it is positive.

    Kirsch's Observation 1 in these terms, with $b = 1/\beta > 1$ and up to the positive factor b:
    $I(X;T) - b I(T;Y) = I(X;T|Y) + (b-1) H(Y|T) - (b-1) H(Y)$, and the same with H(T) and H(T|Y).
    As $I(X;T|Y) = I(X;T) - I(T;Y)$, CEB at beta is (1 + beta) times IB at beta / (1 + beta).

    Raises:
        ValueError: for rows that are not distributions, shapes that do not fit, beta < 0.

    Source: Tishby et al. 1999; Strouse and Schwab 2017; Fischer 2020; Kirsch et al. 2020,
    Observation 1.

    >>> toy = [.5, .3, .2], [[.9, .1], [.2, .8], [.5, .5]], [[.8, .2], [.3, .7], [.6, .4]]
    >>> round(-3 * bottleneck_objective(*toy, beta=1 / 3).item(), 10)
    -0.0142471525
    >>> round(-3 * bottleneck_objective(*toy, beta=1 / 3, kind="dib").item(), 10)
    0.5538156833
    """
    w = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).to(torch.float64)
    q = _validate.probabilities(p_t_given_x, "p_t_given_x", ndim=2).to(w)
    if p_x is None:
        p = w.new_full((len(w),), 1.0 / len(w))
    else:
        p = _validate.class_distribution(p_x, "p_x", None).to(w)
    if not len(p) == len(w) == len(q):
        raise ValueError(
            "p_x, p_y_given_x and p_t_given_x must have one row an input, "
            f"got {len(p)}, {len(w)} and {len(q)}"
        )
    beta = _validate.non_negative(beta, "beta")
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    w, q = (rows / rows.sum(1, keepdim=True) for rows in (w, q))
    joint = w.T @ (q * p[:, None])
    i_ty = _information(joint)
    if kind == "dib":
        return i_ty - beta * torch.special.entr(joint.sum(0)).sum()
    i_xt = _information(q * p[:, None])
    return i_ty - beta * (i_xt - i_ty if kind == "ceb" else i_xt)


def _information(joint: torch.Tensor) -> torch.Tensor:
    """Mutual information of an unchecked joint law, as a divergence from the product."""
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    # xlogy(0, anything) is 0; the product is positive wherever the joint is.
    return torch.xlogy(joint, joint / product.clamp_min(torch.finfo(joint.dtype).tiny)).sum()
