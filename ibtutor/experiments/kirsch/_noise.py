"""Kirsch's figure 4 on any data: a latent that is shrunk after every epoch, with and without noise.

The encoder is a small CNN with dropout, the decoder one linear layer. After each epoch the latents
of the training set are brought to mean zero and a common standard deviation, smaller each time, and
the decoder's weights grow inversely, so that without noise the network computes what it computed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ibtutor import losses, train
from ibtutor.data import to_float
from ibtutor.experiments._base import Result
from ibtutor.info import ZERO_ENTROPY_STD

ARMS = ("silent", "noisy", "kept")  # no noise; noise; noise and a scale that stays: the control
MEASURES = ("bound", "error", "single_error", "test_error", "cross_entropy", "std", "h_y")
AT_ONCE = 100  # images: more do not fit a processor's cache
FIRST = 1_000  # images on which the untrained latents are brought to their first deviation


class Encoder(nn.Module):
    """The dropout CNN of PyTorch's MNIST example with `latent` outputs; masks anew for each sample.

    Its second dropout acts on a flat vector. `side` is the side of the images, at least 6 pixels.

    >>> Encoder(1, 28, (32, 64), 128, 128)(torch.zeros(2, 1, 28, 28), 3).shape
    torch.Size([3, 2, 128])
    """

    def __init__(self, channels: int, side: int, widths: tuple[int, int], hidden: int, latent: int):
        super().__init__()
        self.first = nn.Conv2d(channels, widths[0], 3)
        self.second = nn.Conv2d(widths[0], widths[1], 3)
        self.hidden = nn.Linear(widths[1] * ((side - 4) // 2) ** 2, hidden)
        self.last = nn.Linear(hidden, latent)

    def forward(self, x: torch.Tensor, samples: int) -> torch.Tensor:
        """`(samples, B, latent)`: everything before the first nonlinearity after a mask once.

        The first dropout drops whole channels, and the next layer is linear: a hidden unit is the
        sum of what each kept channel gives it. So the matrix product, the dearest of all, is done
        once an image and not once a mask.
        """
        x = F.relu(F.max_pool2d(self.second(F.relu(self.first(x))), 2)).flatten(2)  # (B, C, P)
        weight = self.hidden.weight.unflatten(1, x.shape[1:]).permute(1, 2, 0)  # (C, P, hidden)
        given = torch.bmm(x.transpose(0, 1), weight).transpose(0, 1)  # (B, C, hidden)
        kept = F.dropout(given.new_ones(len(x), samples, x.shape[1]), 0.25, self.training)
        x = torch.bmm(kept, given).transpose(0, 1) + self.hidden.bias  # (samples, B, hidden)
        return self.last(F.dropout(F.relu(x), 0.5, self.training))


class Network(nn.Module):
    """Latents `scale * (encoder - center) / spread` plus noise, and a linear decoder.

    The decoder is kept for the latents before scaling: its weights for `z` are `weight / scale`.
    So Adam's steps keep their size beside them, however small the scale.
    """

    def __init__(self, encoder: Encoder, latent: int, num_classes: int, noise_std: float):
        super().__init__()
        self.encoder, self.decoder = encoder, nn.Linear(latent, num_classes)
        self.noise_std = noise_std
        self.register_buffer("center", torch.zeros(latent))
        self.register_buffer("spread", torch.ones(latent))
        self.register_buffer("scale", torch.ones(()))

    def latents(self, x: torch.Tensor, samples: int) -> torch.Tensor:
        """Without the noise, `(samples, B, latent)`."""
        return self.scale * ((self.encoder(x, samples) - self.center) / self.spread)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Logits of latents `(..., latent)`, noise added first."""
        if self.noise_std > 0:
            z = z + self.noise_std * torch.randn_like(z)
        return self.decoder(z / self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.latents(x, 1))[0]

    @torch.no_grad()
    def rescale(self, mean: torch.Tensor, std: torch.Tensor, target: float) -> None:
        """Latents of that mean and deviation get mean zero and deviation `target`.

        Without noise the outputs stay: what the latents lose the decoder's weights gain.
        """
        mean, std = mean / self.scale, (std / self.scale).clamp(min=1e-6)
        self.decoder.bias += self.decoder.weight @ mean
        self.decoder.weight *= std
        self.center += mean * self.spread
        self.spread *= std
        self.scale.fill_(target)


def check(config: Any) -> None:
    """ValueError with one clear message for a config that no run could follow."""
    if len(config.seeds) == 0:
        raise ValueError(f"seeds must name at least one run, got {config.seeds!r}")
    if len(config.arms) == 0 or set(config.arms) - set(ARMS):
        raise ValueError(f"arms must be some of {', '.join(ARMS)}, got {config.arms!r}")
    if not 0 < config.shrink < 1:
        raise ValueError(f"shrink must lie between 0 and 1, got {config.shrink}")
    if config.noisy_epochs is not None and config.noisy_epochs < 1:
        raise ValueError(f"noisy_epochs must be at least 1 or None, got {config.noisy_epochs}")
    for name in ("start_std", "samples", "measured_samples", "measured", "latent"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(config, name)}")


def parts(config: Any) -> tuple[str, ...]:
    """One run an arm and seed, the arms of a seed together; a longer one says how long."""
    check(config)
    names = {arm: arm for arm in config.arms}
    if config.noisy_epochs:
        names["noisy"] = f"noisy-epochs{config.noisy_epochs}"
    return tuple(f"seed{seed}-{names[arm]}" for seed in config.seeds for arm in config.arms)


def train_one(
    config: Any, arm: str, seed: int, task: train.Task, *, device: str, progress: bool, resume
) -> list[dict[str, Any]]:
    """One row an epoch: bound on H[Z], errors and cross-entropies, before the next rescaling.

    RuntimeError if it diverges.
    """
    _, channels, side, _ = task.train[0].shape
    noise_std = 0.0 if arm == "silent" else ZERO_ENTROPY_STD

    def network() -> Network:
        encoder = Encoder(channels, side, config.channels, config.hidden, config.latent)
        model = Network(encoder, config.latent, task.num_classes, noise_std)
        _, mean, std = measured(model, task, replace(config, measured=FIRST), seed, 0)
        model.rescale(mean, std, config.start_std)
        return model

    def objective(model, inputs, targets, run):
        logits = model.decode(model.latents(inputs, config.samples)).float()
        return losses.decoder_cross_entropy(logits, targets)

    def observe(model, run, epoch):
        found, mean, std = measured(model, task, config, seed, epoch)
        shrunk = config.start_std * (1.0 if arm == "kept" else config.shrink**epoch)
        model.rescale(mean, std, shrunk)
        return found

    (done,) = train.fit(
        network,
        task,
        [train.Run(0.0, seed, "decoder_cross_entropy", tag=arm)],
        settings(config, arm),
        device=device,
        resume=None if resume is None else Path(resume),
        progress=progress,
        objective=objective,
        observe=observe,
    )
    if done.diverged:  # its latents have no bound
        raise RuntimeError(f"seed {seed}, {arm}: latents need a finite loss: {done.diverged}")
    return [
        {"arm": arm, "seed": seed, "epoch": entry["epoch"]}
        | {name: entry[name] for name in MEASURES}
        for entry in done.history
    ]


def settings(config: Any, arm: str) -> train.Settings:
    """Adam at a constant rate: a plateau of the loss would be the noise's doing here."""
    return train.Settings(
        epochs=config.noisy_epochs or config.epochs if arm == "noisy" else config.epochs,
        batch_size=config.batch_size,
        optimizer="adam",
        lr=config.lr,
        schedule="constant",
        precision=config.precision,
        eval_batch=AT_ONCE,
    )


@torch.no_grad()
def measured(
    model: Network, task: train.Task, config: Any, seed: int, epoch: int
) -> tuple[dict[str, float], torch.Tensor, torch.Tensor]:
    """What a row holds, and the mean and deviation of the latents, noise apart.

    On the first `measured` training images, with dropout and noise as in training.
    """
    device = model.scale.device
    was_training = model.training
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(1_000_003 * seed + epoch)
        found, mean, std = _on(model, task, task.train, config)
        test = _on(model, task, task.test, config)[0]
    model.train(was_training)
    found |= {
        "bound": mean_field_bound(std, model.noise_std),
        "test_error": test["error"],
        "std": float(std.log().mean().exp()),
    }
    return found, mean.to(model.scale), std.to(model.scale)


def mean_field_bound(std: torch.Tensor, noise_std: float) -> float:
    """sum_i 1/2 log(2 pi e (std_i^2 + noise_std^2)) in nats, float64."""
    variance = std.double() ** 2 + noise_std**2
    return float(0.5 * (2 * math.pi * math.e * variance).log().sum())


def _on(model: Network, task: train.Task, split, config: Any):
    """Errors and cross-entropy of a split's first images, mean and deviation of latents.

    `error` is that of the mean probability over the samples, `single_error` that of one sample.
    """
    images, labels = (part[: config.measured] for part in split)
    device, samples = model.scale.device, config.measured_samples
    wrong, single, nats, count = 0.0, 0.0, 0.0, 0
    total = square = torch.zeros((), dtype=torch.float64)
    for x, y in zip(images.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
        z = model.latents(to_float(x.to(device), task.mean, task.std), samples)
        log_p = model.decode(z).double().log_softmax(-1).cpu()  # (S, B, classes)
        nats -= float(log_p.gather(-1, y.expand(samples, -1)[..., None]).mean(0).sum())
        wrong += float((log_p.logsumexp(0).argmax(-1) != y).sum())
        single += float((log_p.argmax(-1) != y).sum()) / samples
        flat = (z / model.scale).double().flatten(0, 1).cpu()
        total, square, count = total + flat.sum(0), square + flat.square().sum(0), count + len(flat)
    mean = total / count
    scale = float(model.scale)
    std = (square / count - mean**2).clamp(min=1e-24).sqrt()
    found = {"error": wrong, "single_error": single, "cross_entropy": nats}
    found = {name: value / len(labels) for name, value in found.items()}
    shares = labels.bincount().double() / len(labels)
    found["h_y"] = float(torch.special.entr(shares).sum())
    return found, scale * mean, scale * std


def assemble(config: Any, done: dict[str, Result]) -> Result:
    """The rows of all parts that are there, in their order."""
    from ibtutor.experiments.kirsch._noise_claims import summarize

    there = [done[name] for name in parts(config) if name in done]
    rows = [row for result in there for row in result.rows]
    fingerprints = there[0].fingerprints if there else {}
    return Result(rows, summarize(rows), fingerprints=fingerprints)
