"""The information bottleneck optimum for a known joint law, at many betas at once.

Objective: I(T;Y) - beta I(X;T) in nats, with Kudo's beta (Tishby's is 1/beta).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ibtutor.info import _fixed_point, _newton, _partition, _validate
from ibtutor.info._rows import Rows, merge_rows, summarize
from ibtutor.info._starts import starts
from ibtutor.info._validate import ArrayLike

_HARD = 1e-9  # below, soft and hard encoders differ by less than beta log T in the objective
_TIE = 1e-10  # nats; by less than this no optimum is better than another
_SMALL = 8192  # entries of an encoder for which more restarts cost next to nothing
_ROUGH = 12  # steps on the summary, enough to see which starts lead
_PATIENCE = 40  # plain and mixed steps before Newton steps take over
_ITERATIONS = 2000  # for problems too large for Newton steps


@dataclass(frozen=True)
class BottleneckSolution:
    """Encoders found by `solve_bottleneck`, one a beta.

    Attributes:
        betas: `(B,)`, weight of I(X;T).
        i_xt, i_ty: I(X;T) and I(T;Y) in nats, `(B,)`.
        objective: I(T;Y) - beta I(X;T), `(B,)`.
        log_channel: `(B, K, T)`; the encoder is softmax_t( sum_y p(y|x) log_channel[y, t] ),
            a geometric mean of the rows of one channel (its largest entry where `hard`).
        hard: `(B,)`, True where the encoder is deterministic.
    """

    betas: torch.Tensor
    i_xt: torch.Tensor
    i_ty: torch.Tensor
    objective: torch.Tensor
    log_channel: torch.Tensor
    hard: torch.Tensor
    _rows: Rows

    @property
    def p_t_given_x(self) -> torch.Tensor:
        """Encoders `(B, N, T)`, made when asked for; `encoder(i)` makes one alone."""
        return torch.stack([self.encoder(i) for i in range(len(self.betas))])

    def encoder(self, index: int) -> torch.Tensor:
        """p(t|x) at one beta, shape `(N, T)`, float64."""
        scores, hard = self.log_channel[index].T, bool(self.hard[index])
        return _encode(scores, self._rows.w, hard)[self._rows.index]


def solve_bottleneck(
    p_y_given_x: ArrayLike,
    betas: Sequence[float] | float,
    *,
    p_x: ArrayLike | None = None,
    num_clusters: int | None = None,
    restarts: int | None = None,
    tol: float = 1e-8,
    seed: int = 0,
    kind: str = "ib",
) -> BottleneckSolution:
    """Maximize I(T;Y) - beta I(X;T) over encoders p(t|x) with `num_clusters` symbols.

    Blahut-Arimoto iterations on distinct rows, mixed (Anderson) and finished by Newton steps
    where they are slow. The problem is not concave: the search starts from p(y|x) itself and
    from `restarts` others, tried on a summary of the rows first; every beta may also take over
    the encoder of another one, and climbs from the best deterministic one as well.
    The result is a lower bound of the maximum; `bottleneck_bound` certifies how far it can be
    off. At beta = 0 nothing weighs on I(X;T) and a hard clustering
    is optimal: the best one where there are two classes and up to 1,024 distinct rows (dynamic
    programming), otherwise the best that single moves reach from all starts. For beta >= 1 the
    data processing inequality makes the constant T optimal.

    Args:
        p_y_given_x: `(N, K)`, rows sum to one. betas: one number or a sequence, each >= 0.
        p_x: `(N,)`, uniform by default.
        num_clusters: number T of symbols, default K. More than there are distinct rows never
            helps; the spare symbols then stay without use.
        restarts: further starts; by default 4, and up to 128 where the table is small.
        tol: aimed precision of the objective, nats. seed: of the random starts.
        kind: "ib", or "dib" for I(T;Y) - beta H(T) (Strouse and Schwab), whose encoders are
            deterministic.

    Returns:
        A `BottleneckSolution`.

    Raises:
        ValueError: for rows that are not distributions, a beta that is negative or not finite.

    Source: Tishby, Pereira and Bialek 1999; the objective of Kudo 2025, Section 5.2.2.

    >>> solution = solve_bottleneck([[1., 0.], [0., 1.], [.8, .2], [.2, .8]], [1 / 1.8, 1.0])
    >>> sorted(round(v, 4) for v in solution.encoder(0)[:, 0].tolist())
    [0.0602, 0.1613, 0.8387, 0.9398]
    >>> solution.objective[1].item()
    0.0
    """
    rows = merge_rows(p_y_given_x, p_x)
    beta = _betas(betas)
    classes = rows.w.shape[1]
    symbols = _validate.integer(
        classes if num_clusters is None else num_clusters, "num_clusters", 1
    )
    if restarts is None:
        restarts = min(max(_SMALL // (len(rows.w) * symbols), 4), 128)
    restarts = _validate.integer(restarts, "restarts", 0)
    tol = _validate.non_negative(tol, "tol")
    if kind not in ("ib", "dib"):
        raise ValueError(f'kind must be "ib" or "dib", got {kind!r}')
    used = Rows(rows.w[rows.p > 0], rows.p[rows.p > 0], rows.index)
    hard = torch.full_like(beta, kind == "dib", dtype=torch.bool) | (beta < _HARD)
    scores = torch.zeros(len(beta), symbols, classes, dtype=torch.float64)
    scores[hard, 0] = 1.0  # for beta >= 1: hard encoders need one symbol on top
    small = summarize(used) if restarts else used
    first = starts(small, symbols, restarts, _validate.integer(seed, "seed", 0))
    open_ = (beta < 1) & (symbols > 1)
    if open_.any():
        found = _search(used, small, first, beta[open_], True, tol)
        scores[open_] = _partition.refine(used, found, beta[open_], first)
    if (soft := open_ & ~hard).any():
        # Deterministic encoders are admissible here as well: nothing below the best one.
        joint = _fixed_point.evaluate(scores[soft], used.w, used.p, True).joint
        offer, above = _climb(used, joint, beta[soft], False, tol)
        found = _search(used, small, first, beta[soft], False, tol)
        value = _fixed_point.evaluate(found, used.w, used.p, False).objective(beta[soft])
        better = above.objective(beta[soft]) > value + _TIE
        scores[soft] = torch.where(better[:, None, None], offer, found)
    i_xt, i_ty = torch.zeros_like(beta), torch.zeros_like(beta)
    for group in (False, True):
        if (which := hard == group).any():
            found = _fixed_point.evaluate(scores[which], used.w, used.p, group)
            i_xt[which], i_ty[which] = found.i_xt.clamp_min(0.0), found.i_ty.clamp_min(0.0)
    trivial = i_ty - beta * i_xt < 0  # the constant T is always there
    scores[trivial] = 0.0
    scores[trivial & hard, 0] = 1.0
    i_xt[trivial], i_ty[trivial] = 0.0, 0.0
    channel = scores.transpose(1, 2)
    return BottleneckSolution(beta, i_xt, i_ty, i_ty - beta * i_xt, channel, hard, rows)


def _betas(value: Sequence[float] | float) -> torch.Tensor:
    beta = _validate.as_float_tensor(value, "betas").detach().to(torch.float64).reshape(-1)
    _validate.check_finite(beta, "betas")
    if beta.min() < 0:
        raise ValueError(f"betas must be zero or more, got {beta.min().item():.6g}")
    return beta


def _encode(scores: torch.Tensor, w: torch.Tensor, hard: bool) -> torch.Tensor:
    logits = scores @ w.T  # symbols first: a softmax over the last dimension is slower
    if hard:
        return torch.nn.functional.one_hot(logits.argmax(0), len(scores)).to(w.dtype)
    return torch.softmax(logits, 0).T


def _search(
    rows: Rows, small: Rows, first: torch.Tensor, beta: torch.Tensor, hard: bool, tol: float
) -> torch.Tensor:
    """Scores `(B, T, K)`: all starts on the summary, the promising ones on all rows."""
    count = len(first)
    if count == 1:
        candidates = first.expand(len(beta), *first.shape[1:])
        which = torch.arange(len(beta))
    else:
        joint = first.repeat(len(beta), 1, 1)
        each = beta.repeat_interleave(count)
        rough = dict(hard=hard, tol=1e-6, limit=_ROUGH)
        _, points = _fixed_point.iterate(joint, each, small.w, small.p, **rough)
        value = points.objective(each).view(-1, count)
        reached = points.joint.view(-1, count, *first.shape[1:])
        best = value.argmax(1)
        # T = a label is nearly always the best start: it stays in unless clearly beaten.
        better = (value.amax(1) > value[:, 0] + 1e-7).nonzero()[:, 0]
        which = torch.cat([torch.arange(len(beta)), better])
        candidates = torch.cat([reached[:, 0], reached[better, best[better]]])
    scores, points = _climb(rows, candidates, beta[which], hard, tol)
    value = points.objective(beta[which])
    chosen = torch.stack(
        [(which == i).nonzero()[:, 0][value[which == i].argmax()] for i in range(len(beta))]
    )
    scores, points = scores[chosen], _take(points, chosen)
    return _share(rows, scores, points, beta, hard, tol)


def _take(points: _fixed_point.Points, index: torch.Tensor) -> _fixed_point.Points:
    return _fixed_point.Points(points.joint[index], points.i_xt[index], points.i_ty[index])


def _climb(
    rows: Rows, joint: torch.Tensor, beta: torch.Tensor, hard: bool, tol: float
) -> tuple[torch.Tensor, _fixed_point.Points]:
    """From joint laws to stationary points on all rows, by iterations and then Newton steps."""
    newton = not hard and joint[0].numel() <= _newton.MAX_SCORES
    limit = _PATIENCE if newton else _ITERATIONS
    target = max(tol, 1e-13)
    scores, points = _fixed_point.iterate(
        joint, beta, rows.w, rows.p, hard=hard, tol=target, limit=limit
    )
    for i in points.unfinished.nonzero()[:, 0].tolist() if newton else []:
        scores[i], now = _newton.polish(
            scores[i], beta[i].item(), rows.w, rows.p, tol=target, limit=100
        )
        points.joint[i], points.i_xt[i], points.i_ty[i] = now.joint[0], now.i_xt[0], now.i_ty[0]
    return scores, points


def _share(
    rows: Rows,
    scores: torch.Tensor,
    points: _fixed_point.Points,
    beta: torch.Tensor,
    hard: bool,
    tol: float,
) -> torch.Tensor:
    """Let a beta start again from another's encoder where that one has the better objective."""
    for _ in range(3):
        table = points.i_ty[None] - beta[:, None] * points.i_xt[None]
        best = table.argmax(1)
        behind = (table.amax(1) > table.diagonal() + max(tol, 1e-12)).nonzero()[:, 0]
        if not len(behind):
            break
        joint = points.joint[best[behind]]
        scores[behind], new = _climb(rows, joint, beta[behind], hard, tol)
        points.joint[behind] = new.joint
        points.i_xt[behind], points.i_ty[behind] = new.i_xt, new.i_ty
    return scores


def climb_at(rows: Rows, scores: torch.Tensor, beta: float) -> tuple[torch.Tensor, float]:
    """From one encoder's scores `(T, K)` to the nearby optimum at another beta, and its I(X;T)."""
    tol = 1e-14  # the rate moves by the square root of what the objective still lacks
    if scores.numel() <= _newton.MAX_SCORES:
        found, points = _newton.polish(scores, beta, rows.w, rows.p, tol=tol, limit=100)
    else:
        now = _fixed_point.evaluate(scores[None], rows.w, rows.p, False)
        betas = torch.tensor([beta], dtype=torch.float64)
        found, points = _climb(rows, now.joint, betas, False, tol)
    return found[0], points.i_xt.item()


def critical_beta(p_y_given_x: ArrayLike, *, p_x: ArrayLike | None = None) -> float:
    """The beta below which a non-constant T first appears by a small step from the constant one.

    It is the second eigenvalue of D^(-1/2) G D^(-1/2), the squared maximal correlation of X and
    Y; T may appear earlier by a jump, up to the strong data-processing constant.

    >>> round(critical_beta([[1., 0.], [0., 1.], [.8, .2], [.2, .8]]), 12)
    0.68
    """
    rows = merge_rows(p_y_given_x, p_x)
    seen = rows.prior > 0
    root = rows.prior[seen].sqrt()
    scaled = rows.agreement[seen][:, seen] / root[:, None] / root
    values = torch.linalg.eigvalsh(scaled)
    return float(values[-2].clamp(0.0, 1.0)) if len(values) > 1 else math.nan
