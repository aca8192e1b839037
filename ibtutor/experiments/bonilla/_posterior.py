"""Which smoothing does an image deserve? A population in which the posterior is known.

The population is the embedded digits themselves: one of N images is drawn, degraded at a known way
and level, and read by a sensor with Gaussian noise of standard deviation `SENSOR`. What is observed
then has the density of a mixture of N Gaussians, and p(label | observed) is a ratio of two sums.
Diffusion is its own sensor noise: sqrt(a) x plus noise of variance 1 - a, here without the clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ibtutor import data

SENSOR = 0.05  # of the range of gray levels: our choice, about a step of the digits' 17 levels


def population() -> tuple[Tensor, Tensor]:
    """All 1,797 digits `(N, 1, 8, 8)` in [0, 1], float64, and their labels."""
    parts = data.digits("train"), data.digits("test")
    images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return images.double() / 255, labels


def posterior(
    seen: Tensor,
    means: Tensor,
    std: float,
    labels: Tensor,
    num_classes: int,
    shown: Tensor | None = None,
) -> Tensor:
    """p(y | seen) for a mixture of Gaussians around `means`, equally likely, `(M, K)`.

    `seen` is `(M, ...)`, `means` `(N, ...)`. `shown` `(M, ...)` of 0 and 1 says which pixels were
    seen; which were not is known too.

    >>> means, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    >>> posterior(torch.tensor([[0.5]]), means, 1.0, labels, 2).tolist()
    [[0.5, 0.5]]
    """
    seen, means = seen.flatten(1), means.flatten(1)
    shown = torch.ones_like(seen) if shown is None else shown.flatten(1)
    # |seen - mean|^2 over the pixels shown, up to what all means share
    squared = shown @ (means**2).T - 2 * (seen * shown) @ means.T
    weight = (-0.5 * squared / std**2).softmax(1)
    return weight @ F.one_hot(labels, num_classes).to(weight)


def deserved(
    config: Any, kind: str, level: float, generator: torch.Generator, count: int = 300
) -> tuple[Tensor, Tensor, Tensor]:
    """Of `count` degraded digits: 1 - p(true label | seen), the matched strength, posteriors.

    `config` is that of the digits: bins, constants and variant of the degradations.
    """
    from ibtutor.experiments.bonilla._training import degraded, matched_strength

    images, labels = population()
    rows = torch.randperm(len(images), generator=generator)[:count]
    x, y = images[rows], labels[rows]
    noise = SENSOR * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    shown, std = torch.ones_like(x), SENSOR
    if kind == "diffusion":
        a = _kept(level)
        std = math.sqrt((1 - a) / 4 + SENSOR**2)  # pixels lie in [0, 1], half as wide as [-1, 1]
        own = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        means = math.sqrt(a) * (images - 0.5) + 0.5
        changed = means[rows] + math.sqrt((1 - a) / 4) * own
    elif kind == "dropout":
        shown, means = degraded(config, shown, level, kind, generator), images
        changed = x * shown
    else:
        means = degraded(config, images, level, kind, generator)
        changed = means[rows]
    probs = posterior(changed + noise, means, std, labels, 10, shown)
    strength = matched_strength(config, x, changed.clamp(0, 1), 10)
    return 1 - probs.gather(1, y[:, None]).squeeze(1), strength, probs


def _kept(level: float) -> float:
    """The share a of the image's variance at a level of the diffusion."""
    step = int(999 * level)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    return float((1 - betas).cumprod(0)[step]) if step else 1.0


def table(config: Any, levels: Sequence[float], count: int = 300, seed: int = 0) -> np.ndarray:
    """Means of what is deserved and of the matched strength, by way and level, `(4, levels, 2)`."""
    cells = []
    for kind in data.DEGRADATIONS:
        generator = torch.Generator().manual_seed(seed)
        found = [deserved(config, kind, d, generator, count)[:2] for d in levels]
        cells.append([[float(value.mean()) for value in pair] for pair in found])
    return np.array(cells)
