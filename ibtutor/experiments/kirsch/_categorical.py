"""Kirsch's figure 3 on any data: three objectives for a categorical latent, three quantities each.

The encoder gives p(z|x) over C categories, the decoder p(y|z) from their one-hot codes. Each
objective trains the same initial networks, and at every logged epoch the three quantities are
computed exactly on the whole training set. Training with the decoder uncertainty never touches the
decoder, so p(y|z) of the training set takes its place (Section 5.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ibtutor import losses, train
from ibtutor.experiments._base import Result
from ibtutor.experiments.kirsch._categorical_claims import EXTRA, OBJECTIVES, summarize


class Network(nn.Module):
    """An encoder over categories and a decoder of their one-hot codes; the output is p(z|x).

    >>> network = Network(nn.Linear(4, 5), nn.Linear(5, 3), 5)
    >>> network(torch.zeros(2, 4)).shape, network.table().shape
    (torch.Size([2, 5]), torch.Size([5, 3]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, num_categories: int):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("codes", torch.eye(num_categories), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of p(z|x), `(B, C)`."""
        return self.encoder(x)

    def table(self) -> torch.Tensor:
        """Logits of p(y|z), `(C, K)`: one row for each category."""
        return self.decoder(self.codes)


def loss(
    name: str,
    encoder_logits: torch.Tensor,
    table: torch.Tensor | None,
    labels: torch.Tensor,
    num_classes: int,
) -> torch.Tensor:
    """One of the three quantities on a batch; `table` `(C, K)` only for the cross-entropies."""
    if name == "decoder_uncertainty":
        return losses.decoder_uncertainty(encoder_logits, labels, num_classes=num_classes)
    return getattr(losses, name)(table, labels, encoder_logits=encoder_logits)


def quantities(
    train_split: tuple[torch.Tensor, torch.Tensor],
    test_split: tuple[torch.Tensor, torch.Tensor],
    table: torch.Tensor | None,
    num_classes: int,
) -> dict[str, float]:
    """The three quantities on the training set, entropies of Z, and how often the label is right.

    A split is `(encoder_logits, labels)`. Without a `table` of the decoder's logits `(C, K)` the
    optimal decoder p(y|z) of the training set takes its place. `optimal_prediction` is the
    prediction cross-entropy with that decoder. Nats; sums in float64.
    """
    (z, y), (z_test, y_test) = (
        (logits.double().log_softmax(1), labels) for logits, labels in (train_split, test_split)
    )
    optimal = losses.optimal_decoder(z, y, num_classes=num_classes)
    decoder = optimal if table is None else table.double().log_softmax(1)
    found = {name: loss(name, z, decoder, y, num_classes) for name in OBJECTIVES}
    found["optimal_prediction"] = losses.prediction_cross_entropy(optimal, y, encoder_logits=z)
    found["h_z"] = torch.special.entr(z.exp().mean(0)).sum()
    found["h_z_given_x"] = torch.special.entr(z.exp()).sum(1).mean()
    for name, logits, labels in (("train", z, y), ("test", z_test, y_test)):
        right = (logits.exp() @ decoder.exp()).argmax(1) == labels
        found[f"{name}_accuracy"] = right.double().mean()
    return {name: float(value) for name, value in found.items()}


def check(config: Any) -> None:
    """ValueError with one clear message for a config that no run could follow."""
    if len(config.seeds) == 0:
        raise ValueError(f"seeds must name at least one trial, got {config.seeds!r}")
    if len(config.objectives) == 0 or set(config.objectives) - set(OBJECTIVES):
        raise ValueError(
            f"objectives must be some of {', '.join(OBJECTIVES)}, got {config.objectives!r}"
        )
    if config.num_categories < 2:
        raise ValueError(f"num_categories must be at least 2, got {config.num_categories}")


@dataclass(frozen=True)
class Sweep:
    """What one panel of the figure trains: networks and data."""

    make_network: Callable[[], Network]
    task: train.Task


def parts(config: Any) -> tuple[str, ...]:
    """A part a run: all objectives of the first seed, then of the next."""
    check(config)
    return tuple(f"seed{s}-{name}" for s in config.seeds for name in config.objectives)


def run_part(
    config: Any,
    part: str,
    sweep: Sweep,
    *,
    device: str,
    progress: bool,
    resume: Path | None,
) -> Result:
    """Train one objective with one seed; one row a logged epoch."""
    from ibtutor import data

    if part not in parts(config):
        raise ValueError(f"there is no part {part!r}")
    seed, _, name = part.removeprefix("seed").partition("-")
    task, networks = sweep.task, []  # networks: the one in training

    def objective(network, inputs, targets, run):
        networks[:] = [network]
        z = network(inputs).float()
        table = None if run.tag == "decoder_uncertainty" else network.table().float()
        with torch.autocast(z.device.type, enabled=False):
            return loss(run.tag, z, table, targets, task.num_classes)

    def measure(outputs, run, epoch):
        table = None
        if run.tag != "decoder_uncertainty":
            with torch.no_grad(), torch.autocast(outputs.train_logits.device.type, enabled=False):
                table = networks[0].table().float().cpu()
        return quantities(
            (outputs.train_logits, outputs.train_labels),
            (outputs.test_logits, outputs.test_labels),
            table,
            task.num_classes,
        )

    (trained,) = train.fit(
        sweep.make_network,
        task,
        [train.Run(seed=int(seed), tag=name)],
        settings(config),
        device=device,
        resume=resume,
        progress=progress,
        measure=measure,
        objective=objective,
    )
    rows = [
        {"objective": name, "seed": int(seed), "epoch": entry["epoch"]}
        | {quantity: entry[quantity] for quantity in (*OBJECTIVES, *EXTRA)}
        for entry in trained.history
        if OBJECTIVES[0] in entry
    ]
    fingerprints = {name: data.fingerprint(*getattr(task, name)) for name in ("train", "test")}
    return Result(rows, fingerprints=fingerprints)


def assemble(config: Any, done: Mapping[str, Result]) -> Result:
    """Rows of all parts in their order, and the summary."""
    there = [done[name] for name in parts(config) if name in done]
    rows = [row for part in there for row in part.rows]
    return Result(rows, summarize(rows), fingerprints=there[0].fingerprints)


def settings(config: Any) -> train.Settings:
    """Adam, and a rate that falls when the training loss stands still."""
    return train.Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adam",
        lr=config.lr,
        schedule="plateau",
        decay=config.decay,
        patience=config.patience,
        precision=config.precision,
        measure_every=config.measure_every,
    )
