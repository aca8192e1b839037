"""Kirsch, Lyle and Gal 2020, Figures 1, 5 and 6: three surrogates for an entropy.

See `_surrogate` for the network, the losses and the estimates.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ibtutor import data, models, train
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result
from ibtutor.experiments.kirsch import _surrogate
from ibtutor.experiments.kirsch._surrogate_claims import CLAIMS, finding, summarize, tolerances

__all__ = ["CLAIMS", "finding", "tolerances"]

TITLE = "Surrogates for the entropy of a latent"
SOURCE = "Kirsch, Lyle and Gal 2020, Section 7.3 and Figures 1, 5 and 6"
CHAPTER = "surrogate_objectives"
FIGURE = "Figures 1, 5, 6"
SAYS = (
    "Activation L2, log Var[Z] and log Var[Z|Y] all push the entropy of the latent down as their "
    "weight grows, the activation L2 at smaller weights; information first grows, then shrinks."
)
NEEDS = ("cifar10",)
GPU = True
REPORTED: dict[str, Reported] = {}  # the paper draws curves and gives no number
SWEPT = ("regularizers", "gammas")


@dataclass(frozen=True)
class Config:
    """Data, networks, training, estimates; sources: [P] paper, [C] public code, [O] ours."""

    data: str = "cifar10"  # [P]
    train_images: int = 50_000  # [P]
    test_images: int = 10_000  # [P]
    model: str = "resnet18"  # [P] first layer for small images: [O]
    width: int = 64  # of the first layer; [P] through ResNet-18
    latent: int = 100  # [P]
    regularizers: tuple[str, ...] = _surrogate.REGULARIZERS  # [P] three; [O] the two bottlenecks
    gammas: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)  # [P] range; [O] how many
    seeds: tuple[int, ...] = (0, 1, 2)  # [O]
    epochs: int = 60  # [O]
    batch_size: int = 128  # [O]
    lr: float = 1e-4  # [P] Adam
    decay: float = 0.8  # [P] when the loss has not fallen for more than `patience` epochs
    patience: int = 3  # [P]
    precision: str = "bfloat16"  # [O] of the products in the encoder
    neighbors: int = 3  # [C] the default of NPEET; the estimator is [P]
    points: int = 10_000  # [O] training images that the nearest neighbors are sought among


SMOKE = replace(
    Config(),
    data="digits",
    train_images=1297,
    test_images=500,
    model="mlp",
    width=64,
    latent=8,
    gammas=(1e-2, 0.1, 10.0),
    seeds=(0,),
    epochs=24,
    batch_size=64,
    lr=1e-3,
    precision="float32",
    points=1000,
)
QUICK = replace(  # 40 minutes of one core
    Config(),
    train_images=5_000,
    test_images=2_000,
    model="small_cnn",
    width=16,
    latent=8,
    gammas=(1e-3, 1e-2, 0.1, 1.0, 10.0),
    epochs=30,
    batch_size=100,
    lr=1e-3,
    points=5_000,
)
STATED = (
    "data",
    "train_images",
    "test_images",
    "model",
    "latent",
    "lr",
    "decay",
    "patience",
)
DIFFERENCES = {
    "data": "the embedded digits need no download",
    "model": "a ResNet-18 needs days on two CPU cores",
    "latent": "nearest neighbors can be trusted in 8 dimensions, not in 100",
    "batch_size": "fewer images leave too few steps otherwise",
    "lr": "few steps need to be larger ones",
    "precision": "nothing is gained on so small a network",
}
_STANDARD = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "digits": ((0.305,), (0.376,)),
}
_NETWORKS = {"resnet18": "ResNet-18", "small_cnn": "a small CNN", "mlp": "an MLP"}


def size(config: Config) -> str:
    """The scale in words."""
    network = _NETWORKS[config.model]
    runs = f"{len(config.gammas)} strengths, {config.epochs} epochs"
    return f"{config.train_images:,} images, {network}, latent of {config.latent}, {runs}"


def load(config: Config) -> train.Task:
    """Images and labels of a config, equally many of each class, chosen by a fixed seed."""
    opened = {"cifar10": data.cifar10, "digits": data.digits}
    if config.data not in opened:
        raise ValueError(f"data must be cifar10 or digits, got {config.data!r}")
    both = []
    for split, count in (("train", config.train_images), ("test", config.test_images)):
        whole = opened[config.data](split)
        both.append(whole if count == len(whole.labels) else whole.take(count))
    mean, std = _STANDARD[config.data]
    return train.Task(*both, mean=mean, std=std, num_classes=10)


def encoder(config: Config, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The untrained encoder `(B, *shape)` -> `(B, outputs)`.

    ResNet-18 has a first layer for small images: 3 by 3 without stride, and no pooling after it.
    """
    if config.model == "mlp":
        pixels = shape[0] * shape[1] * shape[2]
        return models.MLP(pixels, (config.width, config.width), outputs)
    if config.model == "small_cnn":
        return models.SmallCNN(shape[0], outputs, config.width, stem_stride=2, pooled=4, hidden=128)
    if config.model == "resnet18":
        from torchvision.models import resnet18

        network = resnet18(num_classes=outputs)
        network.conv1 = nn.Conv2d(shape[0], config.width, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        return network
    raise ValueError(f"model must be resnet18, small_cnn or mlp, got {config.model!r}")


def parts(config: Config) -> tuple[str, ...]:
    """One run a regularizer, strength and seed."""
    return _surrogate.parts(config)


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """One row a logged epoch of one run."""
    if part not in parts(config):
        raise ValueError(f"part must be one of {', '.join(parts(config))}, got {part!r}")
    task = _parts.once(load, config)
    shape = tuple(task.train[0].shape[1:])
    rows = _surrogate.train_one(
        config,
        part,
        lambda outputs: encoder(config, shape, outputs),
        task,
        device=device,
        progress=progress,
        resume=resume,
    )
    fingerprints = {name: data.fingerprint(*getattr(task, name)) for name in ("train", "test")}
    return Result(rows, fingerprints=fingerprints)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows in the order of the parts, and the ends by strength."""
    there = [done[name] for name in parts(config) if name in done]
    rows = [row for result in there for row in result.rows]
    return Result(rows, summarize(rows), fingerprints=there[0].fingerprints if there else {})


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Rows by regularizer, strength, seed and epoch: entropies, bounds, errors."""
    import sys

    return _parts.run(
        sys.modules[__name__], config, device=device, progress=progress, resume=resume
    )
