"""The variational information bottleneck with a Gaussian latent."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _gaussian, _inputs
from ibtutor.losses._latent import latent


def sample_gaussian(
    mean: Tensor,
    std: float | Tensor,
    samples: int = 1,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws `mean + std * noise`, `(samples, *mean.shape)`: gradients flow to both.

    This is the reparameterization of Kingma and Welling (2014): the noise comes first, so that a
    draw is a function of the mean and the deviation that can be differentiated.

    Args:
        mean: floating, for instance `(N, k)`.
        std: positive, a number or a tensor that broadcasts over `mean`.
        samples: S >= 1.
        generator: for the noise; torch's own if None.

    Returns:
        in the type of `mean` (of `std`, if that is a tensor and wider).

    Raises:
        TypeError: mean not a floating tensor, std neither that nor a number (`True` is none),
            samples no integer.
        ValueError: shapes that do not match, samples < 1, a std that is not positive (where
            reading it is free).

    >>> import torch
    >>> z = sample_gaussian(torch.tensor([[2.0, -1.0]]), 1e-9, samples=3)
    >>> z.shape, [round(x, 3) for x in z.mean(0).flatten().tolist()]
    (torch.Size([3, 1, 2]), [2.0, -1.0])
    """
    mean = _gaussian.floating(mean, "mean")
    std = _gaussian.deviation(std, "std", mean, why="")
    shape = (_validate.integer(samples, "samples", 1), *mean.shape)
    noise = torch.randn(shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + std * noise


def variational_bottleneck(
    logits: Tensor,
    labels: ArrayLike,
    beta: float | Tensor,
    *,
    mean: Tensor,
    std: float | Tensor,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """E_z[-log p(y|z)] + beta KL(p(z|x) || N(0, I)) in nats (Alemi et al. 2017, Eq. 17).

    p(z|x) is N(mean, std^2) with independent dimensions. The divergence is exact; averaged over
    the inputs it is at least I(X;Z), because N(0, I) stands for the p(z) that nobody knows. beta
    is the weight of I(X;Z), as in Kudo 2025 (Tishby's is 1 / beta). At beta = 0 this is
    `decoder_cross_entropy`. With one fixed std it is, but for a constant, cross-entropy plus
    beta / 2 times `activation_norm` (Kirsch et al. 2020, Appendix A.7).

    Args:
        logits: of the decoder at sampled latents, `(S, N, K, d1, ...)`, the samples first; see
            `sample_gaussian`.
        labels: `(N, d1, ...)` integers in 0 .. K - 1.
        beta: zero or more: a number, or a tensor that broadcasts over the labels.
        mean: `(N, k, d1, ...)`, the means of p(z|x).
        std: positive: a number, or a tensor that broadcasts over `mean`.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean" over the positions that count, "sum", or "none" for `(N, d1, ...)`.

    Returns:
        in float32 where logits and mean are in half precision, which holds no such divergence.

    Raises:
        TypeError: logits or mean not floating tensors, std neither that nor a number (`True` is
            none), labels not integers.
        ValueError: shapes that do not match, an unknown reduction, fewer than 2 classes; a label
            that is no class, a beta or std out of range, where reading it is free.

    >>> import torch
    >>> mean, even = torch.tensor([[0.5, -1.0, 2.0]]), torch.zeros(1, 1, 2)
    >>> round(float(variational_bottleneck(even, [0], 1.0, mean=mean, std=0.3)), 5)  # log 2 + KL
    5.56507
    """
    _, nll, batch = latent(logits, labels, None, ignore_index, reduction)
    mean = _gaussian.means(mean, "mean", batch)
    std = _gaussian.deviation(std, "std", mean, batch.ignored)
    rate = _gaussian.divergence(mean, std, 0.0, 1.0)
    beta = _inputs.strength(beta, "beta", rate, _validate.non_negative)
    return batch.reduce(nll.mean(-1) + beta * rate)
