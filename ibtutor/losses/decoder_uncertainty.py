"""H[Y|Z] of a categorical latent: the decoder cross-entropy of the best possible decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from ibtutor.info import _validate
from ibtutor.info._validate import ArrayLike
from ibtutor.losses import _inputs
from ibtutor.losses._batch import Batch
from ibtutor.losses._latent import encoded


def decoder_uncertainty(
    encoder_logits: Tensor,
    labels: ArrayLike,
    *,
    num_classes: int,
    detach_decoder: bool = False,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """H[Y|Z] in nats of labels and a categorical latent (Kirsch et al. 2020, Section 5.4).

    The decoder is p(y|z) of the given batch, see `optimal_decoder`; no other has a lower decoder
    cross-entropy on it (Observation 4). So the value belongs to this batch: with few examples a
    category it is lower than in the population. It lies between 0 and H(Y), and it is at least
    H(Y) - log C: with fewer categories than classes it cannot reach 0.

    The term of the gradient that comes through p(y|z) is zero (Appendix A.3), so detaching the
    decoder gives the same gradient of the mean and of the sum. Second derivatives, and the
    gradient of single entries, differ.

    Sums run in float64 where the device has it. A class without an example and a category without
    weight add nothing.

    Args:
        encoder_logits: `(N, C, d1, ...)`, or `(C,)` without a batch: p(z|x) is their softmax.
        labels: `(N, d1, ...)` integers in 0 .. K - 1.
        num_classes: K >= 2.
        detach_decoder: whether p(y|z) counts as constant.
        ignore_index: label of positions that count for nothing; outside 0 .. K - 1.
        reduction: "mean" is H[Y|Z]; "sum" is that times the number of positions; "none" is the
            share of each, E_{p(z|x)}[-log p(y|z)], `(N, d1, ...)`.

    Raises:
        TypeError: logits not a floating tensor, labels or num_classes not integers.
        ValueError: shapes that do not match, an unknown reduction, fewer than 2 categories or
            classes; a label that is no class, where reading it is free: on the CPU, outside
            `torch.compile` and `torch.func`.

    >>> import torch
    >>> sure, even = torch.tensor([[9e9, 0.0], [0.0, 9e9]]), torch.zeros(2, 2)
    >>> float(decoder_uncertainty(sure, [0, 1], num_classes=2))  # Z tells the class
    0.0
    >>> round(float(decoder_uncertainty(even, [0, 1], num_classes=2)), 6)  # Z tells nothing: log 2
    0.693147
    """
    k = _validate.class_count(num_classes)
    batch = encoded(encoder_logits, labels, k, ignore_index, reduction)
    log_p, labels = _rows(batch)
    log_q = _decoder(log_p.detach() if detach_decoder else log_p, labels, k, batch)
    cost = -log_q.t().index_select(0, labels)
    shares = (log_p.exp() * cost).sum(1).view(batch.labels.shape)
    return batch.reduce(shares.to(batch.log_p.dtype))


def optimal_decoder(
    encoder_logits: Tensor, labels: ArrayLike, *, num_classes: int, ignore_index: int = -100
) -> Tensor:
    """log p(y|z) of a batch, `(C, K)`: the decoder of least cross-entropy on it.

    p(y|z) is the share of class y in what the batch puts on category z (Kirsch et al. 2020,
    Section 5.4). With it as `logits`, `decoder_cross_entropy` is `decoder_uncertainty`. A share
    below the smallest positive number of its type counts as that number, so that no class costs
    infinity. A category on which the batch puts nothing gives every class the same.

    Args:
        encoder_logits, labels, num_classes, ignore_index: as for `decoder_uncertainty`.

    Raises:
        TypeError, ValueError: as `decoder_uncertainty`.

    >>> import torch
    >>> encoder_logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    >>> optimal_decoder(encoder_logits, [0, 1], num_classes=2).exp()
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """
    k = _validate.class_count(num_classes)
    batch = encoded(encoder_logits, labels, k, ignore_index, "mean")
    return _decoder(*_rows(batch), k, batch).log_softmax(1).to(batch.log_p.dtype)


def _rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """log p(z|x) as `(M, C)`, in float64 where there is such a thing, and the labels `(M,)`."""
    log_p = batch.log_p.movedim(_inputs.class_dim(batch.log_p), -1)
    wide = log_p.dtype if log_p.device.type == "mps" else torch.float64
    return log_p.reshape(-1, log_p.shape[-1]).to(wide), batch.labels.flatten()


def _decoder(log_p: Tensor, labels: Tensor, num_classes: int, batch: Batch) -> Tensor:
    """log p(y|z), `(C, K)`, from rows relative to each category's largest, so none underflows."""
    classes = torch.arange(num_classes, device=labels.device)
    member = labels[:, None] == classes
    if batch.ignored is not None:
        member = member & ~batch.ignored.flatten()[:, None]
    tiny = torch.finfo(log_p.dtype).tiny
    largest = log_p.detach().amax(0).clamp(min=torch.finfo(log_p.dtype).min)
    mass = (log_p - largest).exp().t() @ member.to(log_p.dtype)  # (C, K)
    return mass.clamp(min=tiny).log() - mass.sum(1, keepdim=True).clamp(min=tiny).log()
