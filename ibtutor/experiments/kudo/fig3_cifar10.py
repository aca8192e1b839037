"""Kudo 2025, Figure 3 (left): networks on CIFAR-10 on the empirical information plane."""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ibtutor import data, models, train
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result, network
from ibtutor.experiments.kudo import _plane
from ibtutor.experiments.kudo._plane import SWEPT, Plane
from ibtutor.experiments.kudo._plane_claims import claims
from ibtutor.experiments.kudo._plane_rows import largest_gap

__all__ = ["SWEPT"]

TITLE = "Cross-entropy at the corner, smoothing along the curve: CIFAR-10"
SOURCE = "Kudo 2025, Figure 3, left; Section 5.2.1"
CHAPTER = "information_plane"
FIGURE = "Figure 3, CIFAR-10"
AFTER_TRAINING = ("mix", "temperature")  # methods that change the outputs of one network
SAYS = "On training images networks lie near the curve and move along it with alpha."
NEEDS = ("cifar10",)
GPU = True
REPORTED: dict[str, Reported] = {}  # the paper draws the points and gives no number
CLAIMS = claims(SOURCE)


@dataclass(frozen=True)
class Config:
    """The paper's settings; what it leaves open is marked."""

    data: str = "cifar10"
    train_images: int = 50_000
    test_images: int = 10_000
    model: str = "resnet56"  # paper
    width: int = 0  # of the small networks only
    alphas: tuple[float, ...] = tuple(i / 10 for i in range(10))  # paper: 0.0 to 0.9
    penalty_alphas: tuple[float, ...] = (0.1, 0.2, 0.5)  # ours: null control, beta by its optimum
    weight_decays: tuple[float, ...] = (5e-4, 5e-3)  # ours: null control
    other_augment: tuple[float, ...] = ()  # ours: strengths repeated without augmentation
    seeds: tuple[int, ...] = (0, 1, 2)  # ours: the paper does not say
    epochs: int = 160  # paper
    batch_size: int = 128  # He et al. 2016, section 4.2: the paper does not say
    optimizer: str = "sgd"  # paper, momentum 0.9
    lr: float = 0.1  # paper
    schedule: str = "step"  # paper: times 0.1 at 80 and 120
    weight_decay: float = 0.0  # paper
    augment: bool = True  # paper: "standard", read as pad 4, random crop, flip
    precision: str = "float32"  # ours
    measure_every: int = 10


SMOKE = replace(
    Config(),
    data="digits",
    train_images=1297,
    test_images=500,
    model="mlp",
    width=64,
    alphas=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
    penalty_alphas=(0.1, 0.2, 0.5),
    weight_decays=(0.02,),
    seeds=(0, 1, 2),
    epochs=40,
    batch_size=128,
    optimizer="adam",
    lr=0.02,
    schedule="cosine",
    augment=False,
    measure_every=4,
)
QUICK = replace(
    Config(),
    train_images=2000,
    test_images=2000,
    model="small_cnn",
    width=16,
    penalty_alphas=(0.1, 0.2, 0.5),
    weight_decays=(0.01, 0.02, 0.04),
    other_augment=(0.0, 0.1),
    seeds=(0, 1, 2, 3, 4),
    epochs=24,
    batch_size=64,
    lr=0.05,
    schedule="cosine",
    augment=False,
    precision="bfloat16",
    measure_every=3,
)
STATED = (
    "train_images",
    "test_images",
    "model",
    "alphas",
    "epochs",
    "optimizer",
    "lr",
    "schedule",
    "weight_decay",
    "augment",
)  # what the paper says of the config
DIFFERENCES = {
    "data": "embedded, so that it runs without a download",
    "model": "fits its training set in seconds on one core, which the claim needs",
    "width": "the small network's",
    "optimizer": "small networks settle faster with it",
    "lr": "with the smaller network and batch",
    "batch_size": "more steps an epoch on few images",
    "schedule": "one cosine instead of two steps: fewer epochs",
    "augment": "few epochs reach zero training error only without it",
    "precision": "matrix units of the CPU",
    "other_augment": "what augmentation does, in an arm of its own",
}
_STANDARD = {  # mean and standard deviation of each channel
    "cifar10": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # the reference code's
    "digits": ((0.305,), (0.376,)),
}


def size(config: Config) -> str:
    """The scale in words."""
    return f"{config.train_images:,} images, {network(config.model)}"


def finding(result: Result) -> str:
    """What came of it, in one sentence with a number."""
    return largest_gap(result)


def build(config: Config, channels: int) -> torch.nn.Module:
    """The untrained network of a config."""
    if config.model == "resnet56":
        return models.resnet56(10, channels)
    if config.model == "resnet20":
        return models.resnet20(10, channels)
    if config.model == "mlp":
        return models.MLP(64, (config.width,), 10, batch_norm=True)
    if config.model == "small_cnn":
        return models.SmallCNN(channels, 10, config.width, stem_stride=2, pooled=4, hidden=128)
    raise ValueError(f"model must be resnet56, resnet20, small_cnn or mlp; got {config.model!r}")


def load(config: Config) -> train.Task:
    """Training and test images of a config, equally many of each class, chosen by a fixed seed."""
    opened = {"cifar10": data.cifar10, "digits": data.digits}
    if config.data not in opened:
        raise ValueError(f"data must be cifar10 or digits, got {config.data!r}")
    both = []
    for split, count in (("train", config.train_images), ("test", config.test_images)):
        whole = opened[config.data](split)
        both.append(whole if count == len(whole.labels) else whole.take(count))
    mean, std = _STANDARD[config.data]
    return train.Task(*both, mean=mean, std=std, num_classes=10)


def _plane_of(config: Config) -> Plane:
    task = load(config)
    settings = train.Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer=config.optimizer,
        lr=config.lr,
        schedule=config.schedule,
        milestones=(config.epochs // 2, config.epochs * 3 // 4),
        weight_decay=config.weight_decay,
        precision=config.precision,
        channels_last=config.model != "mlp",
    )
    pad = 1 if config.data == "digits" else 4
    return Plane(
        partial(build, config, task.train[0].shape[1]),
        task,
        settings,
        partial(data.random_crop_flip, pad=pad, flip=config.data != "digits"),
        stacked=config.model == "mlp",
    )


def architecture(config: Config) -> str:
    """A digest of the network."""
    return _parts.architecture(build(config, 1 if config.data == "digits" else 3))


def parts(config: Config) -> tuple[str, ...]:
    """A part a run; small networks on embedded data, which share a loop, a part an arm."""
    return _plane.parts(config, 10, stacked=config.model == "mlp")


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """Rows of one part, and for cross-entropy what its outputs become after training."""
    plane = _parts.once(_plane_of, config)
    return _plane.run_part(config, part, plane, device=device, progress=progress, resume=resume)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """The rows of all parts, arms that change outputs after training, and the summary."""
    return _plane.assemble(config, done)


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Rows by arm, strength, seed, split and epoch: the plane, accuracy, NLL, calibration."""
    this = sys.modules[__name__]
    return _parts.run(this, config, device=device, progress=progress, resume=resume)
