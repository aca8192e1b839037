"""The runs that Table 3 is made of."""

from __future__ import annotations

from typing import Any

from ibtutor.experiments.yi import _networks
from ibtutor.experiments.yi._table3_claims import SHORT


def rates(config: Any, network: str, loss: str) -> tuple[float, ...]:
    """Learning rates of a loss, the paper's first; two losses of a tuned network have others.

    The short control, of tuned networks alone, has its own.
    """
    others = {"ce": config.rates, "mil": config.mil_rates} if network in config.tuned else {}
    if loss == SHORT:
        return config.short_rates if network in config.tuned else ()
    return tuple(dict.fromkeys((config.lr, *others.get(loss, ()))))


def plan(config: Any) -> dict[str, tuple[str, str, float, int]]:
    """Network, loss, rate and seed of each part; the paper's table first, then the controls."""
    if unknown := set(config.tuned) - set(_networks.NAMES):
        raise ValueError(
            f"tuned must be of {', '.join(_networks.NAMES)}, got {', '.join(sorted(unknown))}"
        )
    every = [
        (network, loss, lr, seed)
        for network in config.networks
        for loss in (*config.losses, SHORT)
        for lr in rates(config, network, loss)
        for seed in config.seeds
    ]
    every.sort(key=lambda p: (p[1] == SHORT, p[2] != config.lr, p[1] not in ("ce", "mil")))
    return {_name(config, *p): p for p in every}


def _name(config: Any, network: str, loss: str, lr: float, seed: int) -> str:
    epochs = f"-epochs{config.short_epochs}" if loss == SHORT else ""
    return f"seed{seed}-{network}-{'ce' if loss == SHORT else loss}-{lr:g}{epochs}"
