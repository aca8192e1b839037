"""Kudo 2025, Figure 3 (right): transformers on Flowers-102 on the empirical information plane."""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ibtutor import data, models, train
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result
from ibtutor.experiments.kudo import _plane
from ibtutor.experiments.kudo._plane import SWEPT, Plane
from ibtutor.experiments.kudo._plane_claims import claims
from ibtutor.experiments.kudo._plane_rows import largest_gap

__all__ = ["SWEPT"]

TITLE = "Cross-entropy at the corner, smoothing along the curve: Flowers-102"
SOURCE = "Kudo 2025, Figure 3, right; Section 5.2.1"
CHAPTER = "information_plane"
FIGURE = "Figure 3, Flowers-102"
AFTER_TRAINING = ("mix", "temperature")  # methods that change the outputs of one network
SAYS = "On training images networks lie near the curve and move along it with alpha."
NEEDS = ("flowers102",)
GPU = True
REPORTED: dict[str, Reported] = {}  # the paper draws the points and gives no number
CLAIMS = claims(SOURCE)


@dataclass(frozen=True)
class Config:
    """The paper's settings; it follows the reference code of CCT where it says no more."""

    data: str = "flowers102"
    train_split: str = "train"  # ours: the official one, H(Y) = ln 102; CCT's used another copy
    test_split: str = "val"  # ours
    size: int = 224  # CCT's code
    layers: int = 7  # paper: CCT-7/7x2
    heads: int = 4
    width: int = 256
    tokenizer: tuple[tuple[int, int], ...] = ((7, 2), (7, 2))  # (kernel, stride)
    attention_dropout: float = 0.1  # CCT's code
    stochastic_depth: float = 0.1  # CCT's code
    alphas: tuple[float, ...] = tuple(i / 10 for i in range(10))  # paper: 0.0 to 0.9
    penalty_alphas: tuple[float, ...] = (0.1, 0.2, 0.5)  # ours: null control
    weight_decays: tuple[float, ...] = (0.3, 1.0)  # ours: null control
    other_augment: tuple[float, ...] = ()  # ours: strengths repeated without augmentation
    # The copy that CCT's authors used: 6,552 images, H(Y) = 4.5003; tested on its 818.
    kaggle_alphas: tuple[float, ...] = tuple(i / 10 for i in range(10))
    seeds: tuple[int, ...] = (0, 1, 2)  # ours: the paper does not say
    epochs: int = 310  # CCT's code: 300 and 10 at the lowest rate
    batch_size: int = 96  # CCT's code
    lr: float = 5e-4  # CCT's code, AdamW
    warmup_epochs: int = 10  # CCT's code, from 1e-6
    final_lr: float = 1e-5  # CCT's code
    weight_decay: float = 0.06  # CCT's code, none on biases and norms
    augment: bool = True  # crop of 0.8 to 1, flip; the paper takes out CCT's stronger ones
    erasing: float = 0.25  # CCT's code: probability of random erasing
    precision: str = "bfloat16"  # CCT's code: mixed precision
    measure_every: int = 10


SMOKE = replace(
    Config(),
    data="digits",
    train_split="train",
    test_split="test",
    size=8,
    layers=1,
    heads=2,
    width=32,
    tokenizer=((3, 1),),
    attention_dropout=0.0,
    stochastic_depth=0.0,
    alphas=(0.0, 0.5),
    penalty_alphas=(),
    weight_decays=(),
    kaggle_alphas=(),
    seeds=(0,),
    epochs=12,
    batch_size=32,
    lr=3e-3,
    warmup_epochs=1,
    augment=False,
    erasing=0.0,
    precision="float32",
    measure_every=4,
)
QUICK = replace(
    Config(),
    size=64,
    layers=2,
    width=128,
    tokenizer=((7, 4), (3, 1)),
    attention_dropout=0.0,
    stochastic_depth=0.0,
    alphas=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
    penalty_alphas=(0.1,),
    weight_decays=(),
    kaggle_alphas=(),
    seeds=(0, 1, 2),
    epochs=70,
    batch_size=32,
    lr=3e-3,
    warmup_epochs=4,
    augment=False,
    erasing=0.0,
    precision="float32",
    measure_every=7,
)
STATED = ("layers", "tokenizer", "alphas", "augment")  # what the paper says of the config
DIFFERENCES = {
    "data": "embedded, so that it runs without a download",
    "test_split": "the embedded data has no other",
    "kaggle_alphas": "six times as many images as the official split",
    "layers": "a smaller transformer for a CPU",
    "heads": "a smaller transformer for a CPU",
    "tokenizer": "smaller convolutions for smaller images",
    "attention_dropout": "few epochs reach zero training error only without it",
    "stochastic_depth": "few epochs reach zero training error only without it",
    "batch_size": "more steps an epoch",
    "lr": "a smaller network, fewer epochs",
    "warmup_epochs": "fewer epochs",
    "augment": "few epochs reach zero training error only without it",
    "erasing": "few epochs reach zero training error only without it",
    "precision": "matrix units of the CPU do not pay on so small a network",
}
_MEAN, _STD = (0.4353, 0.3773, 0.2872), (0.2966, 0.2455, 0.2698)  # CCT's code


def build(config: Config, channels: int, num_classes: int) -> torch.nn.Module:
    """The untrained transformer of a config."""
    return models.CCT(
        config.size,
        num_classes,
        channels,
        layers=config.layers,
        heads=config.heads,
        width=config.width,
        tokenizer=config.tokenizer,
        attention_dropout=config.attention_dropout,
        stochastic_depth=config.stochastic_depth,
    )


def size(config: Config) -> str:
    """The scale in words."""
    return f"Images of {config.size} pixels, a transformer of {config.layers} layers"


def finding(result: Result) -> str:
    """What came of it, in one sentence with a number."""
    return largest_gap(result)


def load(config: Config) -> train.Task:
    """Photographs decoded once to `size` pixels, or the embedded digits for the smoke profile."""
    if config.data == "digits":
        both = data.digits(config.train_split), data.digits(config.test_split)
        return train.Task(*both, mean=(0.305,), std=(0.376,), num_classes=10)
    if config.data != "flowers102":
        raise ValueError(f"data must be flowers102 or digits, got {config.data!r}")
    splits = (config.train_split, config.test_split)
    both = [data.flowers102(split, config.size) for split in splits]
    return train.Task(*both, mean=_MEAN, std=_STD, num_classes=102)


def _erase(probability: float, inputs, targets, generator, run):
    return data.random_erasing(inputs, generator, probability), targets


def _kaggle_plane_of(config: Config) -> Plane:
    return _plane_of(replace(config, train_split="kaggle-train", test_split="kaggle-val"))


def _plane_of(config: Config) -> Plane:
    task = load(config)
    if config.erasing:
        task = replace(task, prepare=partial(_erase, config.erasing))
    settings = train.Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adamw",
        lr=config.lr,
        schedule="cosine",
        warmup_epochs=config.warmup_epochs,
        warmup_lr=1e-6,
        final_lr=config.final_lr,
        weight_decay=config.weight_decay,
        decay_all=False,
        precision=config.precision,
        channels_last=True,
    )
    channels = task.train[0].shape[1]
    return Plane(
        partial(build, config, channels, task.num_classes),
        task,
        settings,
        data.random_resized_crop,
    )


def _num_classes(config: Config) -> int:
    return 10 if config.data == "digits" else 102


def architecture(config: Config) -> str:
    """A digest of the network."""
    channels = 1 if config.data == "digits" else 3
    return _parts.architecture(build(config, channels, _num_classes(config)))


def parts(config: Config) -> tuple[str, ...]:
    """A part a run; those on the copy of Kaggle come last."""
    return _plane.parts(config, _num_classes(config))


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """Rows of one run, and for cross-entropy what its outputs become after training."""
    plane = _parts.once(_kaggle_plane_of if "-kaggle-" in part else _plane_of, config)
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
