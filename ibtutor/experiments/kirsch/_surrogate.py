"""Kirsch's figures 1, 5 and 6 on any data: a cross-entropy and a surrogate for an entropy.

A deterministic encoder gives the mean of a Gaussian latent with zero-entropy noise, a linear
decoder reads it. Beside the three surrogates train two bottlenecks that know their rate, VIB and
CEB; there the encoder gives deviations too, which start at that of the noise.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ibtutor import info, losses, train
from ibtutor.info import ZERO_ENTROPY_STD

SURROGATES = ("activation_norm", "log_variance", "log_variance_given_y")
BOTTLENECKS = ("variational_bottleneck", "conditional_entropy_bottleneck")
REGULARIZERS = SURROGATES + BOTTLENECKS
NONE, SCALED = "none", "scaled"  # no regularizer; that network with latents scaled after training
FACTORS = (1.0, 0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.025, 0.018, 0.012, 0.008, 0.005)
INFORMATION = ("h_z", "h_z_given_y", "h_z_given_x", "bound_z", "bound_z_given_y", "norm")
MEASURES = (*INFORMATION, "cross_entropy", "train_error", "test_error")


class Network(nn.Module):
    """Mean and deviation of p(z|x) and a linear decoder; the output is `(B, 2 k)`, means first.

    With `learned` the encoder gives 2 k numbers and the backward encoder of CEB is there; else k,
    and every deviation is that of zero-entropy noise.

    >>> Network(nn.Linear(4, 3), 3, 10, learned=False)(torch.zeros(2, 4)).shape
    torch.Size([2, 6])
    """

    def __init__(self, encoder: nn.Module, latent: int, num_classes: int, learned: bool):
        super().__init__()
        self.encoder, self.decoder = encoder, nn.Linear(latent, num_classes)
        self.latent, self.learned = latent, learned
        if learned:
            self.class_mean = nn.Parameter(torch.zeros(num_classes, latent))
            self.class_width = nn.Parameter(torch.full((num_classes, latent), _width(1.0)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.encoder(x).float()
        if not self.learned:
            return torch.cat([z, torch.full_like(z, ZERO_ENTROPY_STD)], 1)
        mean, width = z.split(self.latent, 1)
        return torch.cat([mean, F.softplus(width + _width(ZERO_ENTROPY_STD)) + 1e-4], 1)

    def class_std(self) -> torch.Tensor:
        """Of the backward encoder, `(K, k)`."""
        return F.softplus(self.class_width) + 1e-4


def _width(std: float) -> float:
    """The number whose softplus is `std`."""
    return math.log(math.expm1(std))


def objective_of(regularizer: str, num_classes: int):
    """The loss of a batch: decoder cross-entropy of one draw, plus gamma times the regularizer."""

    def objective(model, inputs, labels, run):
        output = model(inputs)
        with torch.autocast(output.device.type, enabled=False):
            mean, std = output.float().chunk(2, 1)
            logits = model.decoder(losses.sample_gaussian(mean, std))
            return _loss(regularizer, model, logits, labels, run.strength, mean, std, num_classes)

    return objective


def _loss(regularizer, model, logits, labels, gamma, mean, std, num_classes):
    if regularizer == "variational_bottleneck":
        return losses.variational_bottleneck(logits, labels, gamma, mean=mean, std=std)
    if regularizer == "conditional_entropy_bottleneck":
        backward = {"class_mean": model.class_mean, "class_std": model.class_std()}
        return losses.conditional_entropy_bottleneck(
            logits, labels, gamma, mean=mean, std=std, **backward
        )
    loss = losses.decoder_cross_entropy(logits, labels)
    if regularizer == "activation_norm":
        return loss + gamma * losses.activation_norm(mean)
    if regularizer == "log_variance":
        return loss + gamma * losses.log_variance(mean)
    if regularizer == "log_variance_given_y":
        with warnings.catch_warnings():  # a class with one example is left out of that batch
            warnings.filterwarnings("ignore", message=".* with a single example in this batch")
            return loss + gamma * losses.log_variance(mean, labels, num_classes=num_classes)
    return loss


def check(config: Any) -> None:
    """ValueError with one clear message for a config that no run could follow."""
    settings(config)
    if len(config.seeds) == 0:
        raise ValueError(f"seeds must name at least one run, got {config.seeds!r}")
    if len(config.regularizers) == 0 or set(config.regularizers) - set(REGULARIZERS):
        raise ValueError(
            f"regularizers must be some of {', '.join(REGULARIZERS)}, got {config.regularizers!r}"
        )
    if len(config.gammas) == 0 or min(config.gammas) <= 0:
        raise ValueError(f"gammas must be positive numbers, got {config.gammas!r}")
    rest = config.train_images % config.batch_size
    if 0 < rest <= 10:
        raise ValueError(
            f"the last batch of {rest} of {config.train_images} images may hold no two of one "
            f"class: choose another batch_size than {config.batch_size}"
        )
    if config.points < 20 * config.neighbors:
        raise ValueError(
            f"points must be at least {20 * config.neighbors} for {config.neighbors} neighbors, "
            f"got {config.points}"
        )


def parts(config: Any) -> tuple[str, ...]:
    """One run a regularizer, strength and seed; the paper's own regularizers first."""
    check(config)
    runs = [(NONE, None)]
    for group in (SURROGATES, BOTTLENECKS):
        runs += [(r, g) for g in config.gammas for r in config.regularizers if r in group]
    return tuple(
        f"seed{seed}-{name}" + ("" if gamma is None else f"-{gamma:g}")
        for seed in config.seeds
        for name, gamma in runs
    )


def split_name(part: str) -> tuple[int, str, float]:
    """Seed, regularizer and strength of a part.

    >>> split_name("seed2-log_variance-0.01"), split_name("seed0-none")
    ((2, 'log_variance', 0.01), (0, 'none', 0.0))
    """
    seed, name, *gamma = part.removeprefix("seed").split("-", 2)
    return int(seed), name, float(gamma[0]) if gamma else 0.0


def train_one(
    config: Any, part: str, encoder, task: train.Task, *, device: str, progress: bool, resume
) -> list[dict[str, Any]]:
    """One row a logged epoch; for the network without regularizer also one a factor, at the end.

    `encoder(outputs)` builds the untrained encoder with that many outputs.
    """
    seed, name, gamma = split_name(part)
    learned, networks = name in BOTTLENECKS, []
    logged = epochs_to_log(config.epochs)

    def network() -> Network:
        made = encoder(config.latent * (2 if learned else 1))
        networks.append(Network(made, config.latent, task.num_classes, learned))
        return networks[-1]

    def measure(outputs, run, epoch):
        if epoch not in logged:
            return {}
        return measured(networks[-1], outputs, config, device)

    (done,) = train.fit(
        network,
        task,
        [train.Run(gamma, seed, "decoder_cross_entropy", tag=name)],
        settings(config),
        device=device,
        resume=None if resume is None else Path(resume),
        progress=progress,
        measure=measure,
        objective=objective_of(name, task.num_classes),
    )
    said = {"regularizer": name, "gamma": gamma, "seed": seed}
    rows = [
        said | {k: entry[k] for k in ("epoch", *MEASURES)}
        for entry in done.history
        if "h_z" in entry
    ]
    if name != NONE or done.diverged or done.history[-1]["epoch"] != config.epochs:
        return rows
    # From what was trained, not while training: a run that resumes from its end needs them, too.
    outputs = train.Outputs(
        done.train_logits, task.train[1].cpu(), done.test_logits, done.test_labels
    )
    model = done.load(networks[-1])
    scaled = said | {"regularizer": SCALED, "epoch": config.epochs}
    return rows + [
        scaled | {"gamma": factor} | measured(model, outputs, config, device, factor)
        for factor in FACTORS
    ]


def epochs_to_log(epochs: int) -> tuple[int, ...]:
    """Epochs at equal steps of their logarithm, the last one always.

    >>> epochs_to_log(20)
    (1, 2, 3, 4, 6, 8, 11, 16, 20)
    """
    steps = {round(2 ** (i / 2)) for i in range(2 * math.ceil(math.log2(epochs)) + 1)}
    return tuple(sorted({1, epochs} | {step for step in steps if step < epochs}))


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
        channels_last=config.model != "mlp",
    )


@torch.no_grad()
def measured(
    model: Network, outputs: train.Outputs, config: Any, device: str, factor: float = 1.0
) -> dict[str, float]:
    """Entropies of the latent, its bounds, and what the decoder makes of it.

    Nearest neighbors on the first `points` training images, all else on all of them; one draw of
    the noise an image, the same at every epoch. The means are multiplied by `factor` before the
    noise comes, and the decoder's weights divided.
    """
    generator = torch.Generator().manual_seed(0)
    weight, bias = (p.detach().double().cpu() for p in model.decoder.parameters())
    found: dict[str, float] = {}
    splits = {
        "train": (outputs.train_logits, outputs.train_labels),
        "test": (outputs.test_logits, outputs.test_labels),
    }
    for split, (output, labels) in splits.items():
        mean, std = output.double().chunk(2, 1)
        mean = factor * mean
        z = mean + std * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
        logits = F.linear(z, weight / factor, bias)
        found[f"{split}_error"] = float((logits.argmax(1) != labels).double().mean())
        if split == "train":
            found["cross_entropy"] = float(F.cross_entropy(logits, labels))
            found |= entropies(z, mean, std, labels, config, device)
    return found


def entropies(z, mean, std, labels, config: Any, device: str) -> dict[str, float]:
    """H[Z], H[Z|Y] by nearest neighbors, H[Z|X] exactly, the two Gaussian bounds and the norm."""
    some, of = z[: config.points].to(device if device.startswith("cuda") else "cpu"), labels
    of, k = of[: config.points].to(some.device), config.neighbors
    with warnings.catch_warnings():  # their bias is told on the page
        warnings.simplefilter("ignore", info.BiasWarning)
        h_z = info.knn_entropy(some, k)
        by_class = [
            (of == c).double().mean() * info.knn_entropy(some[of == c], k) for c in of.unique()
        ]
    noise = float((std**2).mean())  # equal for all where it is not learned
    bounds = [losses.log_variance(z, y, noise_variance=0.0) for y in (None, labels)]
    return {
        "h_z": float(h_z),
        "h_z_given_y": float(sum(by_class)),
        "h_z_given_x": float(0.5 * (2 * math.pi * math.e * std**2).log().sum(1).mean()),
        "bound_z": float(bounds[0]),
        "bound_z_given_y": float(bounds[1]),
        "norm": float(losses.activation_norm(mean)) + noise * mean.shape[1],
    }
