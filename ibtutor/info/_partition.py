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
    count, symbols = scores.shape[:2]
    if classes == 2 and n <= _INTERVALS:
        joint = torch.stack([_intervals(rows, symbols, b) for b in beta])
    elif n * first[:, :, 0].numel() <= _MOVES:
        begin = torch.stack([_fixed_point.update(first, b[None], True) for b in beta])
        begin = torch.cat([scores[:, None], begin], 1).flatten(0, 1)
        each = beta.repeat_interleave(len(begin) // count)
        reached, value = _moves(rows, (begin @ rows.w.T).argmax(1), symbols, each)
        best = value.view(count, -1).argmax(1)
        joint = reached.view(count, -1, symbols, classes)[torch.arange(count), best]
    else:
        return scores
    new = _fixed_point.update(joint, beta, True)
    before, after = (
        _fixed_point.evaluate(s, rows.w, rows.p, True).objective(beta) for s in (scores, new)
    )
    return torch.where((after > before)[:, None, None], new, scores)


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


def _moves(
    rows: Rows, label: torch.Tensor, symbols: int, beta: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Joint laws `(S, T, K)` of the partitions that single moves reach from `label` `(S, n)`.

    Also the objective of each, up to a constant; `beta` `(S,)` is that of each start.
    """
    mass = rows.p[:, None] * rows.w
    beta = beta[:, None]
    joint = torch.nn.functional.one_hot(label, symbols).to(mass.dtype).transpose(1, 2) @ mass
    now = _value(joint, beta)
    enter = _value(joint[:, None] + mass[None, :, None], beta[:, None]) - now[:, None]
    active = torch.arange(len(label))
    final, value = torch.empty_like(joint), now.new_empty(len(label))
    for _ in range(20 * label.shape[1]):
        own = joint.gather(1, label[:, :, None].expand(-1, -1, mass.shape[1]))
        leave = _value((own - mass).clamp_min(0.0), beta) - now.gather(1, label)
        gain = (enter + leave[:, :, None]).scatter_(2, label[:, :, None], -torch.inf).flatten(1)
        best, where = gain.max(1)
        moves = best > _GAIN
        if not moves.all():
            final[active], value[active] = joint, now.sum(1)
            state = (active, label, joint, now, enter, beta, where)
            active, label, joint, now, enter, beta, where = (v[moves] for v in state)
            if not len(active):
                break
        each = torch.arange(len(active))[:, None]
        row, to = (where // symbols)[:, None], (where % symbols)[:, None]
        changed = torch.cat([label[each, row], to], 1)  # only two parts differ from before
        label[each, row] = to
        part = (label[:, None] == changed[:, :, None]).to(mass.dtype) @ mass
        joint[each, changed] = part
        now[each, changed] = alone = _value(part, beta)
        entered = _value(part[:, None] + mass[None, :, None], beta[:, None]) - alone[:, None]
        enter.scatter_(2, changed[:, None].expand(entered.shape), entered)
    final[active], value[active] = joint, now.sum(1)
    return final, value
