"""Learning rate as a pure function of where training is, so that a resumed run needs no state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ibtutor._training.plan import Settings


def learning_rate(
    settings: Settings, epoch: float, losses: Sequence[float] = (), lr: float | None = None
) -> float:
    """The rate at `epoch` (a fraction inside an epoch), given the training loss of past epochs.

    >>> [round(learning_rate(Settings(), epoch), 6) for epoch in (0, 80, 120)]
    [0.1, 0.01, 0.001]
    >>> cosine = Settings(epochs=10, schedule="cosine", warmup_epochs=2)
    >>> [round(learning_rate(cosine, epoch), 6) for epoch in (0, 1, 2, 6, 10)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    peak = settings.lr if lr is None else lr
    warm = settings.warmup_epochs
    if epoch < warm:
        return settings.warmup_lr + (peak - settings.warmup_lr) * epoch / warm
    if settings.schedule == "step":
        passed = sum(epoch >= milestone for milestone in settings.milestones)
        return peak * settings.decay**passed
    if settings.schedule == "cosine":
        share = min(1.0, (epoch - warm) / max(settings.epochs - warm, 1e-9))
        return settings.final_lr + (peak - settings.final_lr) * (1 + math.cos(math.pi * share)) / 2
    if settings.schedule == "plateau":
        return peak * settings.decay ** _plateaus(losses, settings.patience)
    return peak


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """How often the loss has stood still for more than `patience` epochs, as torch counts it."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - 1e-4):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            count, waited = count + 1, 0
    return count
