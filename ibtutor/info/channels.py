"""The best class-conditional channel at a rate, and the bottleneck curve at given rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import brentq

from ibtutor.info import _at_rate, _validate
from ibtutor.info._rows import Rows, merge_rows, mixture_information, plane_point
from ibtutor.info._validate import ArrayLike
from ibtutor.info.bottleneck import climb_at, solve_bottleneck

_CLOSE = 1e-5  # rate error that scaling mends at a loss of its square, nats


@dataclass(frozen=True)
class CurveSolution:
    """Encoders on the bottleneck curve at given rates.

    Attributes:
        betas: slope of the curve there (Kudo's beta), `(R,)`.
        i_xt, i_ty: nats, `(R,)`. log_channel: `(R, K, T)`, as in `BottleneckSolution`.
    """

    betas: torch.Tensor
    i_xt: torch.Tensor
    i_ty: torch.Tensor
    log_channel: torch.Tensor
    _rows: Rows

    @property
    def p_t_given_x(self) -> torch.Tensor:
        """Encoders `(R, N, T)`, made when asked for."""
        return torch.stack([self.encoder(i) for i in range(len(self.betas))])

    def encoder(self, index: int) -> torch.Tensor:
        """p(t|x) at one rate, shape `(N, T)`."""
        scores = self.log_channel[index].T
        return _at_rate.encode(scores, self._rows.w)[self._rows.index]


def best_channel(
    p_y_given_x: ArrayLike,
    rate: float,
    *,
    p_x: ArrayLike | None = None,
    restarts: int = 2,
    seed: int = 0,
) -> torch.Tensor:
    """The class-conditional smoothing M that keeps the most I(T;Y) at this I(X;T).

    Smoothing label y to M[y, .] under cross-entropy gives the encoder sum_y p(y|x) M[y, t]. The
    problem is not concave: this is the best of a constrained ascent from uniform smoothing,
    from the agreement of two labels, from the bottleneck's own channel, and from `restarts`
    random ones.

    Args:
        p_y_given_x: `(N, K)`. rate: nats, in [0, I(X;Y)].

    Returns:
        M, `(K, K)` float64, rows sum to one; symbols are matched to classes.

    Raises:
        ValueError: for a rate outside [0, I(X;Y)]: no smoothing of raw labels passes it.

    >>> toy = [[1., 0.], [0., 1.], [.8, .2], [.2, .8]]
    >>> best_channel(toy, 0.3)
    tensor([[0.9362, 0.0638],
            [0.0638, 0.9362]], dtype=torch.float64)
    """
    rows = merge_rows(p_y_given_x, p_x)
    rate = _validate.non_negative(rate, "rate")
    most, classes = rows.label_information, rows.w.shape[1]
    if rate > most + 1e-12:
        raise ValueError(f"rate must lie in [0, I(X;Y) = {most:.10g}], got {rate:.10g}")
    if rate <= 1e-12:
        return torch.full((classes, classes), 1.0 / classes, dtype=torch.float64)
    if rate >= most - 1e-12:
        return torch.eye(classes, dtype=torch.float64)
    scaled = [_scaled(rows, m, rate) for m in _channel_starts(rows, rate, restarts, seed)]
    # An ascent may miss the rate, or fail: it is scaled in turn, and its start stays in.
    better = (_at_rate.ascend_channel(m, rows, rate)[0] for m in scaled)
    found = [*(_scaled(rows, m, rate) for m in better), *scaled]
    return _match(max(found, key=lambda m: plane_point(rows, rows.w @ m)[1].item()), rows)


def _scaled(rows: Rows, channel: torch.Tensor, rate: float) -> torch.Tensor:
    """The mixture of a channel with the label, or with no information, that has this rate."""
    keep = brentq(lambda k: _rate_of(rows, k, channel) - rate, 0.0, 1.0, xtol=1e-12)
    return _mixed(rows, keep, channel)


def _mixed(rows: Rows, keep: float, channel: torch.Tensor) -> torch.Tensor:
    """Between no information (0), the channel (1/2) and the label itself (1)."""
    eye = torch.eye(len(channel), dtype=channel.dtype)
    if keep >= 0.5:
        return (2 - 2 * keep) * channel + (2 * keep - 1) * eye
    return 2 * keep * channel + (1 - 2 * keep) * (rows.prior @ channel)


def _rate_of(rows: Rows, keep: float, channel: torch.Tensor) -> float:
    return mixture_information(rows.w @ _mixed(rows, keep, channel), rows.p).item()


def _channel_starts(rows: Rows, rate: float, restarts: int, seed: int) -> list[torch.Tensor]:
    """Channels `(K, K)`: uniform smoothing, agreement, the bottleneck's own, random ones."""
    classes = rows.w.shape[1]
    generator = torch.Generator().manual_seed(_validate.integer(seed, "seed", 0))
    prior = rows.prior.clamp_min(1e-300)[:, None]
    even = torch.full((classes, classes), 1.0 / classes, dtype=torch.float64)
    starts = [even, rows.agreement / prior]
    try:
        encoder = bottleneck_at_rate(rows.w, [rate], p_x=rows.p).encoder(0)
    except ValueError:  # the best encoder with K symbols keeps less than this rate
        pass
    else:
        starts.append(_match(rows.w.T @ (encoder * rows.p[:, None]) / prior, rows))
    for _ in range(_validate.integer(restarts, "restarts", 0)):
        noise = torch.rand(classes, classes, generator=generator, dtype=torch.float64).pow(4)
        starts.append(noise / noise.sum(1, keepdim=True))
    # A class that nobody votes for still needs a row that sums to one.
    return [torch.where(s.sum(1, keepdim=True) > 0.5, s, even) for s in starts]


def _match(channel: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Order the symbols so that T = Y is as likely as an order can make it."""
    from scipy.optimize import linear_sum_assignment

    _, order = linear_sum_assignment(-(channel * rows.prior[:, None]).numpy())
    return channel[:, torch.from_numpy(order)]


def bottleneck_at_rate(
    p_y_given_x: ArrayLike,
    rates: Sequence[float] | float,
    *,
    p_x: ArrayLike | None = None,
    num_clusters: int | None = None,
    restarts: int | None = None,
    seed: int = 0,
) -> CurveSolution:
    """The most I(T;Y) found at each given I(X;T), with `num_clusters` symbols.

    Searches the beta whose optimum has the rate. Where the optimum jumps over the rate (the
    curve has a straight piece), a constrained ascent over geometric encoders, which contain an
    optimum, fills the gap.

    Args:
        p_y_given_x: `(N, K)`. rates: nats, each between zero and the rate at beta = 0.

    Returns:
        A `CurveSolution`; I(X;T) is met within 1e-9.

    Raises:
        ValueError: for a rate that no encoder with this many symbols needs or reaches.

    >>> toy = [[1., 0.], [0., 1.], [.8, .2], [.2, .8]]
    >>> round(bottleneck_at_rate(toy, 0.3, num_clusters=2).i_ty.item(), 8)
    0.19075455
    """
    rows = merge_rows(p_y_given_x, p_x)
    wanted = _validate.as_float_tensor(rates, "rates").to(torch.float64).reshape(-1).tolist()
    wanted = [_validate.non_negative(rate, "rates") for rate in wanted]
    betas = [*(i / 20 for i in range(20)), 0.975, 0.99, 1.0]
    grid = solve_bottleneck(
        rows.w, betas, p_x=rows.p, num_clusters=num_clusters, restarts=restarts, seed=seed
    )
    top = grid.i_xt.max().item()
    if max(wanted) > top + 1e-9:
        raise ValueError(
            f"rates must lie in [0, {top:.10g}], the I(X;T) of the best encoder with "
            f"{grid.log_channel.shape[2]} symbols, got {max(wanted):.10g}"
        )
    found = [_at(rows, grid, rate) for rate in wanted]
    scores = torch.stack([f[1] for f in found])
    points = [plane_point(rows, _at_rate.encode(s, rows.w)) for s in scores]
    i_xt, i_ty = (torch.stack(v) for v in zip(*points, strict=True))
    slopes = torch.tensor([f[0] for f in found], dtype=torch.float64)
    return CurveSolution(slopes, i_xt, i_ty, scores.transpose(1, 2), rows)


def _at(rows: Rows, grid, rate: float) -> tuple[float, torch.Tensor]:
    """Slope and scores `(T, K)` at one rate, from a solved grid of betas in rising order."""
    scores = grid.log_channel.transpose(1, 2)
    # Among grid points with a higher rate, the one with the largest beta; below it, the next.
    above = [i for i in range(len(grid.betas)) if grid.i_xt[i] >= rate]
    high = max(above, key=lambda i: grid.betas[i]) if above else int(grid.i_xt.argmax())
    left, right = grid.betas[high].item(), grid.betas[min(high + 1, len(scores) - 1)].item()
    state, value = scores[high], grid.i_xt[high].item()
    other = grid.i_xt[min(high + 1, len(scores) - 1)].item()
    hard = bool(grid.hard[high])
    for _ in range(60):
        if not hard and abs(value - rate) < _CLOSE:
            return left, _at_rate.shrink(state, rows, rate)
        if right - left < 1e-9:
            break
        # Between a secant and a bisection: the rate falls as beta grows, often with a kink.
        part = (value - rate) / max(value - other, 1e-300)
        beta = left + (right - left) * min(max(part, 0.05), 0.95)
        start = scores[high + 1] if hard else state
        trial, now = climb_at(rows, start, beta)
        if now >= rate:
            left, state, value, hard = beta, trial, now, False
        else:
            right, other = beta, now
    return left, _fill(rows, state, hard, rate)


def _fill(rows: Rows, state: torch.Tensor, hard: bool, rate: float) -> torch.Tensor:
    """Best of ascents from scaled encoders: from the jump's upper end and from the labels."""
    symbols, classes = state.shape
    eye = torch.eye(symbols, classes, dtype=torch.float64)
    found = []
    for start in (state, eye):
        scaled = _at_rate.shrink(start, rows, rate)
        if scaled is not None:
            found.append(_at_rate.ascend(scaled, rows, rate))
            # The start itself has the rate: an ascent that failed does not lose it.
            point = plane_point(rows, _at_rate.encode(scaled, rows.w))
            found.append((scaled, point[1].item()))
    if not found:
        raise ValueError(f"no encoder with {symbols} symbols was found at rate {rate:.10g}")
    return max(found, key=lambda pair: pair[1])[0]
