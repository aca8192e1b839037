"""The conditional entropy bottleneck with Gaussian encoders, forward and backward."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _gaussian, _inputs
from ibtutor.losses._latent import latent


def conditional_entropy_bottleneck(
    logits: Tensor,
    labels: ArrayLike,
    beta: float | Tensor,
    *,
    mean: Tensor,
    std: float | Tensor,
    class_mean: Tensor,
    class_std: float | Tensor = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """E_z[-log p(y|z)] + beta KL(p(z|x) || b(z|y)) in nats (Fischer 2020, Section 3).

    The backward encoder b(z|y) is a Gaussian for each class, trained along. The divergence is
    exact; averaged over the data it is at least I(X;Z|Y), what the latent keeps of the input
    beyond the label, with equality if b(z|y) = p(z|y). So it can reach zero without forgetting
    the label, which the rate of `variational_bottleneck` cannot. At beta = 0 this is
    `decoder_cross_entropy`.

    Args:
        logits, labels, beta, mean, std, ignore_index, reduction: as for `variational_bottleneck`;
            beta is the weight of I(X;Z|Y) here.
        class_mean: `(K, k)`, the mean of b(z|y) of each class.
        class_std: positive: a number, or a tensor that broadcasts over `class_mean`.

    Returns:
        in float32 where logits and mean are in half precision, as `variational_bottleneck`.

    Raises:
        TypeError, ValueError: as `variational_bottleneck`; a class_mean of another shape.

    >>> import torch
    >>> mean, even = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 1, 2)
    >>> centers = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> options = {"mean": mean, "std": 0.5, "class_mean": centers, "class_std": 0.5}
    >>> near, far = (conditional_entropy_bottleneck(even, [y], 1.0, **options) for y in (0, 1))
    >>> round(float(near), 6), round(float(far - near), 6)  # log 2; 2^2 / (2 0.5^2)
    (0.693147, 8.0)
    """
    _, nll, batch = latent(logits, labels, None, ignore_index, reduction)
    mean = _gaussian.means(mean, "mean", batch)
    std = _gaussian.deviation(std, "std", mean, batch.ignored)
    centers = _gaussian.floating(class_mean, "class_mean")
    wanted = (logits.shape[2], mean.shape[1])
    if centers.shape != wanted:
        raise ValueError(
            f"class_mean must have shape {wanted}, one row a class, got {tuple(centers.shape)}"
        )
    spread = _gaussian.deviation(class_std, "class_std", centers).expand(wanted)
    rows = batch.labels.flatten()
    own_mean, own_std = (
        _gaussian.wide(table).index_select(0, rows).unflatten(0, batch.labels.shape).movedim(-1, 1)
        for table in (centers, spread)
    )
    rate = _gaussian.divergence(mean, std, own_mean, own_std)
    beta = _inputs.strength(beta, "beta", rate, _validate.non_negative)
    return batch.reduce(nll.mean(-1) + beta * rate)
