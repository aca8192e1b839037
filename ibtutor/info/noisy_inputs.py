"""I(X; T) of a noisy layer on finitely many inputs: exact up to three units, bounds for more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.info.gaussian_bound import classes, latents

_REACH = 8.0  # standard deviations beyond the outermost input: what is left out is below 1e-14
_STEP = 0.2  # standard deviations between nodes (halving it moves no result by 1e-8: tests)
MOST_NODES = 10**8
_CELLS = 2**22  # held at once, inputs times nodes or nodes times nodes: 32 MB


def noisy_information(means: ArrayLike, std: float, labels: ArrayLike | None = None) -> Tensor:
    """I(X; T) in nats for T = f(X) + std * noise, X uniform on N inputs, exact up to quadrature.

    T has the density of a mixture of N Gaussians, and H(T | X) is that of the noise, so I(X; T) =
    H(T) - H(noise). With `labels` it is I(Y; T) = H(T) - H(T | Y) instead. The entropy is a sum on
    a grid, whose error falls exponentially with the number of its nodes.

    Args:
        means: f(x) for each input, `(N, d)` or `(N,)`, at most three dimensions.
        std: of the Gaussian noise on every unit, positive.
        labels: whole numbers `(N,)`, or None.

    Returns:
        float64 tensor without dimensions, in [0, log N]; off by less than 1e-7.

    Raises:
        TypeError: labels that are no whole numbers, std no number.
        ValueError: NaN, wrong shapes, more than three dimensions, std not positive, or means so far
            apart that the grid would have more than 10^8 nodes.

    Source: a layer whose information is known, after Saxe et al. 2018 and Goldfeld et al. 2019.

    >>> far = torch.tensor([0.0, 100.0])
    >>> round(noisy_information(far, 1.0).item(), 9)  # log 2
    0.693147181
    >>> round(noisy_information(torch.tensor([-1.0, 1.0]), 1.0).item(), 9)  # two classes at +-1
    0.33683082
    """
    means, std = _layer(means, std)
    if means.shape[1] > 3:
        raise ValueError(
            f"a grid serves at most 3 dimensions, got {means.shape[1]}; "
            "noisy_information_bounds serves any"
        )
    scaled = means / std
    h_t = _mixture_entropy(scaled)
    if labels is None:
        noise = means.shape[1] / 2 * math.log(2 * math.pi * math.e)
        return (h_t - noise).clamp(min=0.0)
    h_t_given_y = h_t.new_zeros(())
    for rows in classes(labels, len(means)).values():
        part = scaled[rows.to(scaled.device)]
        h_t_given_y += len(part) / len(means) * _mixture_entropy(part)
    return (h_t - h_t_given_y).clamp(min=0.0)


def noisy_information_bounds(means: ArrayLike, std: float) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound on I(X; T), T = f(X) + std * noise, in any number of dimensions.

    -1/N sum_i log 1/N sum_j exp(-D_ij), with D_ij the squared distance of two inputs' means over
    8 std^2 (Chernoff's divergence at 1/2: a lower bound) or 2 std^2 (Kullback and Leibler's: an
    upper bound). Both are exact for clusters that are tight and far apart.

    Args:
        means: f(x) for each input, `(N, d)` or `(N,)`.
        std: of the Gaussian noise on every unit, positive.

    Returns:
        two float64 tensors without dimensions, nats in [0, log N].

    Raises:
        TypeError: std no number.
        ValueError: NaN, a wrong shape, std not positive.

    Source: Kolchinsky and Tracey 2017, used for networks by Saxe et al. 2018.

    >>> low, high = noisy_information_bounds(torch.tensor([-1.0, 1.0]), 1.0)
    >>> round(low.item(), 6), round(high.item(), 6)
    (0.21907, 0.566219)
    """
    means, std = _layer(means, std)
    scaled = means / std
    found = [scaled.new_zeros(()), scaled.new_zeros(())]
    for part in scaled.split(max(1, 2**21 // len(scaled))):
        square = torch.cdist(part, scaled, compute_mode="donot_use_mm_for_euclid_dist").square()
        for i, over in enumerate((8.0, 2.0)):
            found[i] -= (-square / over).logsumexp(1).sum()
    low, high = (v / len(scaled) + math.log(len(scaled)) for v in found)
    return low.clamp(min=0.0), high.clamp(min=0.0)


def _layer(means: ArrayLike, std: float) -> tuple[Tensor, float]:
    std = _validate.number(std, "std")
    if std <= 0:
        raise ValueError(f"std must be positive, got {std:.6g}: without noise I(X; T) is H(X)")
    means = latents(means, "means").detach().double()
    # About the middle of each coordinate: a common offset costs the quotients digits. Half of each
    # end, for their sum may overflow.
    return means - (means.amin(0) / 2 + means.amax(0) / 2), std


def _mixture_entropy(means: Tensor) -> Tensor:
    """H in nats of the mixture of N Gaussians of unit variance at the rows of `means` `(N, d)`."""
    means, counts = means.unique(dim=0, return_counts=True)
    weights = counts.double() / counts.sum()
    ends = [(float(m.min()) - _REACH, float(m.max()) + _REACH) for m in means.T]
    nodes = math.prod((high - low) / _STEP + 1 for low, high in ends)
    if nodes > MOST_NODES:
        raise ValueError(
            f"means span {' x '.join(f'{high - low:.6g}' for low, high in ends)} standard "
            f"deviations; a grid of {nodes:.1e} nodes is too large"
        )
    counts = [math.ceil((high - low) / _STEP) + 1 for low, high in ends]

    def kernel(unit: int, index: Tensor) -> Tensor:
        """Density of each input `(N, M)` at these nodes `(M,)` of one unit's axis."""
        nodes = ends[unit][0] + _STEP * index.double()
        return torch.exp(-0.5 * (means[:, unit, None] - nodes) ** 2) / math.sqrt(2 * math.pi)

    *first_units, last = range(means.shape[1])
    grid = _blocks(math.prod(counts[u] for u in first_units), _CELLS // len(means), means.device)
    total = means.new_zeros(())
    for cells in grid:
        first, rest = weights.unsqueeze(1), cells
        for unit in first_units:
            first = first * kernel(unit, rest % counts[unit])
            rest = rest // counts[unit]
        most = _CELLS // max(len(means), first.shape[1])
        for nodes in _blocks(counts[last], most, means.device):
            total += torch.special.entr(first.T @ kernel(last, nodes)).sum()
    return total * _STEP ** means.shape[1]


def _blocks(count: int, most: int, device: torch.device) -> Iterator[Tensor]:
    """The whole numbers below `count`, at most `most` at a time (but at least one)."""
    step = max(1, most)
    for start in range(0, count, step):
        yield torch.arange(start, min(start + step, count), device=device)
