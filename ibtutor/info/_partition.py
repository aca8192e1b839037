"""The best deterministic encoder: a partition of the inputs (beta = 0, or the cost H(T)).

The objective I(T;Y) - beta H(T) is, up to a constant, a sum over the parts of a convex function of
their mass, so at an optimum any two parts are separated by a plane. With two classes every part
is then an interval of p(y|x), and dynamic programming finds the best partition. With more classes
inputs move one at a time from many starts, as long as that helps.
"""

from __future__ import annotations

import torch

from ibtutor.info import _fixed_point
from ibtutor.info._rows import Rows

_INTERVALS = 1024  # inputs for which the table of all intervals takes 8 MB
_MOVES = 2**15  # inputs times symbols times starts for which all single moves are cheap
_GAIN = 1e-13  # nats; a smaller one is rounding


def refine(
    rows: Rows, scores: torch.Tensor, beta: torch.Tensor, first: torch.Tensor
) -> torch.Tensor:
    """Scores `(B, T, K)` of partitions at least as good as the given ones.

    `first` `(S, T, K)` are joint laws of T and Y from which moves start as well.
    """
    n, classes = rows.w.shape
    found = scores.clone()
    for i, b in enumerate(beta):
        if classes == 2 and n <= _INTERVALS:
            joint = _intervals(rows, scores.shape[1], b)
        elif n * first[:, :, 0].numel() <= _MOVES:
            begin = torch.cat([scores[i : i + 1], _fixed_point.update(first, b[None], True)])
            joint = _moves(rows, (begin @ rows.w.T).argmax(1), scores.shape[1], b)
        else:
            continue
        new = _fixed_point.update(joint[None], b[None], True)
        both = torch.cat([scores[i : i + 1], new])
        value = _fixed_point.evaluate(both, rows.w, rows.p, True).objective(b)
        found[i] = both[value.argmax()]
    return found


def _value(mass: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """What a part with the given mass `(..., K)` adds to I(T;Y) - beta H(T) - H(Y)."""
    total = mass.sum(-1)
    return (1 - beta) * torch.special.entr(total) - torch.special.entr(mass).sum(-1)


def _intervals(rows: Rows, symbols: int, beta: torch.Tensor) -> torch.Tensor:
    """Joint law `(T, 2)` of the best partition, all parts being intervals of p(y|x)."""
    order = rows.w[:, 1].argsort()
    mass = (rows.p[:, None] * rows.w)[order].cumsum(0)
    ends = torch.cat([mass.new_zeros(1, 2), mass])
    value = _value((ends[None] - ends[:, None]).clamp_min(0.0), beta)  # from, to
    value[torch.ones_like(value, dtype=torch.bool).tril(-1)] = -torch.inf
    best, cuts = value[0], []
    for _ in range(symbols - 1):  # an interval may be empty
        best, cut = (best[:, None] + value).max(0)
        cuts.append(cut)
    at = [len(order)]
    for cut in reversed(cuts):
        at.append(int(cut[at[-1]]))
    return ends[[*at[::-1]]].diff(dim=0, prepend=ends.new_zeros(1, 2))


def _moves(rows: Rows, label: torch.Tensor, symbols: int, beta: torch.Tensor) -> torch.Tensor:
    """Joint law `(T, K)` of the best partition reached from `label` `(S, n)` by single moves."""
    mass = rows.p[:, None] * rows.w
    each = torch.arange(len(label))
    part = torch.nn.functional.one_hot(label, symbols).to(mass.dtype)  # (S, n, T)
    for _ in range(20 * label.shape[1]):
        joint = part.transpose(1, 2) @ mass
        now = _value(joint, beta)
        with_it = _value(joint[:, None] + mass[None, :, None], beta) - now[:, None]
        own = joint.gather(1, label[:, :, None].expand(*label.shape, mass.shape[1]))
        without = _value((own - mass).clamp_min(0.0), beta) - now.gather(1, label)
        gain = (with_it + without[:, :, None]).masked_fill(part > 0, -torch.inf).flatten(1)
        best, where = gain.max(1)
        if best.max() <= _GAIN:
            break
        row, to = where // symbols, where % symbols
        to = torch.where(best > _GAIN, to, label[each, row])
        label[each, row] = to
        part[each, row] = torch.nn.functional.one_hot(to, symbols).to(part.dtype)
    joint = part.transpose(1, 2) @ mass
    return joint[_value(joint, beta).sum(1).argmax()]
