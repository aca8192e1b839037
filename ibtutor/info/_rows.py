"""The joint law of inputs and labels, with equal rows merged.

Everything about the information plane depends on x only through p(y|x) (the minimal sufficient
statistic), so inputs with the same posterior count as one input with their added weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.special import entr

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike


@dataclass(frozen=True)
class Rows:
    """Distinct posteriors `w` `(n, K)`, their weights `p` `(n,)`, and each input's row `(N,)`."""

    w: torch.Tensor
    p: torch.Tensor
    index: torch.Tensor

    @property
    def prior(self) -> torch.Tensor:
        """p(y), shape `(K,)`."""
        return self.p @ self.w

    @property
    def label_information(self) -> float:
        """I(X;Y) in nats."""
        return mixture_information(self.w, self.p).item()

    @property
    def agreement(self) -> torch.Tensor:
        """G[y, y'] = sum_x p(x) p(y|x) p(y'|x), the joint law of two labels of one input."""
        return self.w.T @ (self.w * self.p[:, None])


def mixture_information(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """I(X;T) of rows `q` `(..., n, T)` with weights `p` `(n,)`, as a mean of divergences.

    The mean of KL(q(.|x) || q) has no cancellation between two large entropies.
    """
    mean = torch.einsum("n,...nt->...t", p, q)
    ratio = q / mean.clamp_min(torch.finfo(q.dtype).tiny)[..., None, :]
    return torch.einsum("n,...nt->...", p, torch.xlogy(q, ratio)).clamp_min(0.0)


def plane_point(rows: Rows, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """I(X;T) and I(T;Y) of encoders `q` `(..., n, T)` on merged rows, in nats."""
    joint = torch.einsum("nk,...nt->...kt", rows.w * rows.p[:, None], q)
    prior = rows.prior
    given_y = joint / prior.clamp_min(torch.finfo(joint.dtype).tiny)[:, None]
    return mixture_information(q, rows.p), mixture_information(given_y, prior)


def merge_rows(p_y_given_x: ArrayLike, p_x: ArrayLike | None = None) -> Rows:
    """Check the joint law and merge its equal rows exactly.

    Rows of weight zero are kept with weight zero, so that every input has an encoder.

    Raises:
        ValueError: if a row of `p_y_given_x` is not a distribution or `p_x` does not fit.
    """
    w = _validate.probabilities(p_y_given_x, "p_y_given_x", ndim=2).detach()
    w = w.to(device="cpu", dtype=torch.float64)
    w = w / w.sum(1, keepdim=True)
    if p_x is None:
        weight = torch.full((len(w),), 1.0 / len(w), dtype=torch.float64)
    else:
        weight = _validate.probabilities(p_x, "p_x", ndim=1).detach()
        weight = weight.to(device="cpu", dtype=torch.float64)
        if len(weight) != len(w):
            raise ValueError(f"p_x must have {len(w)} entries, one a row, got {len(weight)}")
        weight = weight / weight.sum()
    first, index = _distinct(w.numpy())
    index = torch.from_numpy(index)
    p = torch.zeros(len(first), dtype=torch.float64).index_add_(0, index, weight)
    return Rows(w[torch.from_numpy(first)].contiguous(), p, index)


def _distinct(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First occurrence of each distinct row, and the distinct row of each row.

    Sorting one hash a row is ten times faster than sorting rows; a collision, which the
    comparison below would find, falls back to the sort.
    """
    bits = np.ascontiguousarray(w + 0.0).view(np.uint64)  # + 0.0: one zero only
    odd = np.random.default_rng(0).integers(1, 2**63, w.shape[1], dtype=np.uint64) * 2 + 1
    mixed = bits ^ (bits >> np.uint64(29))  # short fractions end in zeros: fold the top down
    _, first, index = np.unique(
        (mixed * odd).sum(1, dtype=np.uint64), return_index=True, return_inverse=True
    )
    if not np.array_equal(w[first][index], w):
        _, first, index = np.unique(w, axis=0, return_index=True, return_inverse=True)
    return first, index.reshape(-1)


def summarize(rows: Rows, levels: int = 4, keep: float = 0.9) -> Rows:
    """A smaller law for a first search: rows rounded to `1/levels` share their mean posterior.

    p(y) is kept exactly. Returns `rows` itself unless the summary is at most half as long and
    keeps the share `keep` of I(X;Y).
    """
    rounded = torch.round(rows.w * levels)
    first, index = _distinct(rounded.numpy())
    if 2 * len(first) > len(rows.w):
        return rows
    group = torch.from_numpy(index)
    p = torch.zeros(len(first), dtype=torch.float64).index_add_(0, group, rows.p)
    w = torch.zeros(len(first), rows.w.shape[1], dtype=torch.float64)
    w.index_add_(0, group, rows.w * rows.p[:, None])
    used = p > 0
    small = Rows(w[used] / p[used, None], p[used], group)
    # An entropy is never increased by merging, so the ratio is at most one.
    return small if small.label_information >= keep * rows.label_information else rows


def prior_entropy(rows: Rows) -> float:
    """H(Y) in nats."""
    return entr(rows.prior).sum().item()
