"""The five losses that Yi and others compare, and one of ours: cross-entropy with a Brier score."""

from __future__ import annotations

from typing import Any

# Name in the paper's tables -> function of ibtutor.losses; Section "Experimental results".
PAPERS = {
    "ce": "label_smoothing",  # with strength 0
    "lsr": "label_smoothing",
    "cp": "confidence_penalty",
    "lc": "label_correction",
    "mil": "mutual_information_learning",
}
NAMES = {
    "ce": "cross-entropy",
    "lsr": "label smoothing",
    "cp": "confidence penalty",
    "lc": "label correction",
    "mil": "milLoss",
    "brier": "cross-entropy and Brier score",
}


def brier(logits: Any, labels: Any, strength: float) -> Any:
    """Cross-entropy plus strength times the Brier score, the mean of sum_k (p_k - 1[y = k])^2.

    >>> import torch
    >>> round(float(brier(torch.zeros(1, 2), torch.tensor([0]), 2.0)), 6)  # log 2 + 2 / 2
    1.693147
    """
    import torch
    from torch.nn import functional as F

    hits = (labels.unsqueeze(-1) == torch.arange(logits.shape[-1], device=labels.device)).float()
    score = (logits.softmax(-1) - hits).square().sum(-1).mean()
    return F.cross_entropy(logits, labels) + strength * score


def brier_weight(lam: float, num_classes: int, batch_size: int) -> float:
    """What milLoss of strength lam asks for on average over batches: lam K / (2 B).

    >>> brier_weight(50.0, 10, 512)
    0.48828125
    """
    return lam * num_classes / (2 * batch_size)


def arm(loss: str, *, eps: float, lam: float, batch_size: int, num_classes: int = 10) -> tuple:
    """The loss of a `train.Run` and its strength, for a name of `NAMES`."""
    strengths = {"ce": 0.0, "lsr": eps, "cp": eps, "lc": eps, "mil": lam}
    if loss == "brier":
        return brier, brier_weight(lam, num_classes, batch_size)
    if loss not in PAPERS:
        raise ValueError(f"loss must be one of {', '.join(NAMES)}, got {loss!r}")
    return PAPERS[loss], strengths[loss]
