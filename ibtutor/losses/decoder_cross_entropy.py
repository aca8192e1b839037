"""The mean loss over the values of a stochastic latent."""

from __future__ import annotations

from torch import Tensor

from ibtutor.info._validate import ArrayLike
from ibtutor.losses._batch import times
from ibtutor.losses._latent import latent


def decoder_cross_entropy(
    logits: Tensor,
    labels: ArrayLike,
    *,
    encoder_logits: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """E_{p(z|x)}[-log p(y|z)] in nats: average the losses (Kirsch et al. 2020, Section 5.1).

    This is Kirsch's H_Theta[Y|Z]. It is at least `prediction_cross_entropy` (Observation 2), and
    at least `decoder_uncertainty` of the same encoder and data (Observation 4).

    The latent is either sampled, or one of C categories. S samples (dropout masks, draws of a
    Gaussian, members of an ensemble) give an unbiased estimate for every S. Categories give the
    exact value, and gradients flow to the decoder and to the encoder.

    Args:
        logits: of the decoder. Sampled: `(S, N, K, d1, ...)`, the samples first. Categorical:
            `(C, K)`, one row for each category.
        labels: `(N, d1, ...)` integers in 0 .. K - 1.
        encoder_logits: None for samples; `(N, C, d1, ...)` for categories: p(z|x) is their
            softmax.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean" over the positions that count, "sum", or "none" for `(N, d1, ...)`.

    Raises:
        TypeError: logits not floating tensors, labels not integers.
        ValueError: shapes that do not match, an unknown reduction, fewer than 2 classes or
            categories; a label that is no class, where reading it is free: on the CPU, outside
            `torch.compile` and `torch.func`.

    >>> import torch
    >>> logits = torch.tensor([[[0.9, 0.1]], [[0.3, 0.7]]]).log()  # two samples of one input
    >>> round(float(decoder_cross_entropy(logits, torch.tensor([0]))), 6)
    0.654667
    >>> even = torch.zeros(1, 2)  # two categories, equally likely
    >>> round(float(decoder_cross_entropy(logits[:, 0], [0], encoder_logits=even)), 6)
    0.654667
    """
    log_weight, nll, batch = latent(logits, labels, encoder_logits, ignore_index, reduction)
    if log_weight is None:
        return batch.reduce(nll.mean(-1))
    return batch.reduce(times(log_weight.exp(), nll).sum(-1))
