"""The loss of the mean probability over the values of a stochastic latent."""

from __future__ import annotations

import math

from torch import Tensor

from ibtutor.info._validate import ArrayLike
from ibtutor.losses._latent import latent


def prediction_cross_entropy(
    logits: Tensor,
    labels: ArrayLike,
    *,
    encoder_logits: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-log E_{p(z|x)}[p(y|z)] in nats: average the probabilities (Kirsch et al., Section 5.1).

    This is Kirsch's H_Theta[Y|X], what `torch.nn.CrossEntropyLoss` gives for a network without
    randomness. It is at most `decoder_cross_entropy`, by Jensen's inequality (Observation 2).

    Categories give the exact value. S samples give one that is too high in expectation: it falls
    with S from the decoder cross-entropy (S = 1) to this one (Observation 5). The mean is taken
    of log-probabilities, by logsumexp, so that small probabilities do not underflow.

    Args:
        logits, labels, encoder_logits, ignore_index, reduction: as for `decoder_cross_entropy`.

    Raises:
        TypeError, ValueError: as `decoder_cross_entropy`.

    >>> import torch
    >>> logits = torch.tensor([[[0.9, 0.1]], [[0.3, 0.7]]]).log()  # two samples of one input
    >>> round(float(prediction_cross_entropy(logits, torch.tensor([0]))), 6)  # -log 0.6
    0.510826
    """
    log_weight, nll, batch = latent(logits, labels, encoder_logits, ignore_index, reduction)
    if log_weight is None:
        return batch.reduce(math.log(nll.shape[-1]) - (-nll).logsumexp(-1))
    return batch.reduce(-(log_weight - nll).logsumexp(-1))
