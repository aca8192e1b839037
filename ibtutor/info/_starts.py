"""Where the search for a bottleneck begins: joint laws of T and Y that break the symmetry."""

from __future__ import annotations

import torch

from ibtutor.info._rows import Rows

_LEAK = 1e-3  # share of mass spread evenly, so that no score starts at minus infinity


def starts(rows: Rows, symbols: int, restarts: int, seed: int) -> torch.Tensor:
    """Joint laws of T and Y, shape `(1 + restarts, symbols, K)`.

    The first is T = a label drawn from p(y|x). Then, in turn: its classes merged one pair at a
    time (the pair that loses least information first) while pairs last, inputs far from each
    other as symbols, and random channels.
    """
    generator = torch.Generator().manual_seed(seed)
    agreement, classes = rows.agreement, rows.w.shape[1]
    channels = [torch.eye(classes, dtype=torch.float64)]
    groups = _merge_order(agreement) if restarts or symbols < classes else []
    smaller = [g for g in groups if g.shape[1] <= symbols]
    if symbols < classes:
        channels, smaller = [smaller[0]], smaller[1:]
    for count in range(restarts):
        if count % 2 == 0 and count // 2 < len(smaller):
            merged = smaller[count // 2] @ smaller[count // 2].T
            # Each class keeps a little of its own symbol: a merger is an offer, not a must.
            mixed = 0.9 * merged / merged.sum(1, keepdim=True) + 0.1 * channels[0] @ channels[0].T
            channels.append(_fit(mixed / mixed.sum(1, keepdim=True), symbols))
        elif count % 4 == 1:
            channels.append(torch.zeros(classes, 0, dtype=torch.float64))
        else:
            raw = torch.rand(classes, symbols, generator=generator, dtype=torch.float64)
            raw = raw.pow(8)  # a few large entries a row
            channels.append(raw / raw.sum(1, keepdim=True))
    joints = [_codebook(rows, _fit(c, symbols).T @ agreement, generator) for c in channels]
    even = rows.prior / symbols
    return (1 - _LEAK) * torch.stack(joints) + _LEAK * even


def _fit(channel: torch.Tensor, symbols: int) -> torch.Tensor:
    """Drop the lightest columns or add empty ones, so that the channel has `symbols` columns."""
    spare = symbols - channel.shape[1]
    if spare >= 0:
        return torch.nn.functional.pad(channel, (0, spare))
    heavy = channel.sum(0).argsort(descending=True, stable=True)[:symbols]
    kept = channel[:, heavy] + 1e-6
    return kept / kept.sum(1, keepdim=True)


def _codebook(rows: Rows, joint: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Fill symbols without mass with inputs that the present symbols describe worst."""
    empty = (joint.sum(1) <= 0).nonzero()[:, 0]
    if not len(empty):
        return joint
    centers = joint[joint.sum(1) > 0]
    share = (0.2 if len(centers) else 1.0) / len(empty)
    joint = (1.0 - share * len(empty)) * joint
    far = torch.full_like(rows.p, 10.0)
    for center in centers / centers.sum(1, keepdim=True):
        far = torch.minimum(far, _divergence(rows.w, center))
    for symbol in empty:
        weight = rows.p * far + 1e-300
        pick = torch.multinomial(weight / weight.sum(), 1, generator=generator).item()
        joint[symbol] = share * rows.w[pick]
        far = torch.minimum(far, _divergence(rows.w, rows.w[pick]))
    return joint


def _divergence(w: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
    """KL(w_x || center) for every row, with a floor under the center."""
    floor = (0.99 * center + 0.01 / len(center)).log()
    return torch.xlogy(w, w).sum(1) - w @ floor


def _merge_order(joint: torch.Tensor) -> list[torch.Tensor]:
    """Greedy mergers of classes as 0/1 matrices `(K, groups)` with K-1, K-2, .. 2 groups.

    Each step merges the pair of rows whose merger loses the least I(T;Y) (Slonim and Tishby's
    agglomerative bottleneck), started from T = a second label.
    """
    groups = torch.eye(len(joint), dtype=torch.float64)
    found = []
    while joint.shape[0] > 2:
        h = _negative_entropy(joint)
        pair = _negative_entropy(joint[:, None] + joint[None])
        loss = h[:, None] + h[None] - pair
        loss.fill_diagonal_(torch.inf)
        a, b = divmod(int(loss.argmin()), len(joint))
        keep = [i for i in range(len(joint)) if i != max(a, b)]
        joint, groups = joint.clone(), groups.clone()
        joint[min(a, b)] += joint[max(a, b)]
        groups[:, min(a, b)] += groups[:, max(a, b)]
        joint, groups = joint[keep], groups[:, keep]
        found.append(groups)
    found.append(torch.ones(len(groups), 1, dtype=torch.float64))
    return found


def _negative_entropy(joint: torch.Tensor) -> torch.Tensor:
    """sum_y J log(J / sum_y J) for each row of unnormalized mass."""
    total = joint.sum(-1)
    return torch.xlogy(joint, joint).sum(-1) - torch.xlogy(total, total)
