"""What is to be trained: runs, settings and data, checked before any time is spent."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ibtutor.data.split import fingerprint

LossFunction = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class Run:
    """One training run of a sweep: which loss, how strong, which seed.

    `loss` is "label_smoothing" (strength is alpha; 0 is cross-entropy), the name of a function of
    `ibtutor.losses`, or any function `(logits, targets, strength) -> scalar`. Runs with one seed
    share initial weights, order of batches and augmentation, so they can be compared in pairs.
    `weight_decay` and `lr` replace those of the settings.

    >>> Run(strength=0.1, seed=2).name
    'label_smoothing-0.1-seed2'
    >>> Run(strength=1.2)
    Traceback (most recent call last):
    ...
    ValueError: strength of label_smoothing must lie in [0, 1], got 1.2
    """

    strength: float = 0.0
    seed: int = 0
    loss: str | LossFunction = "label_smoothing"
    weight_decay: float | None = None
    lr: float | None = None
    tag: str = ""

    def __post_init__(self) -> None:
        if self.loss == "label_smoothing" and not 0 <= self.strength <= 1:
            raise ValueError(f"strength of label_smoothing must lie in [0, 1], got {self.strength}")
        if not math.isfinite(self.strength) or self.strength < 0:
            raise ValueError(f"strength must be a number of at least 0, got {self.strength}")

    @property
    def name(self) -> str:
        """A readable name, different for runs that differ; names the checkpoint."""
        parts = [_short(self.loss), f"{self.strength:g}"]
        parts += [f"wd{self.weight_decay:g}"] if self.weight_decay is not None else []
        parts += [f"lr{self.lr:g}"] if self.lr is not None else []
        parts += [self.tag] if self.tag else []
        return "-".join([*parts, f"seed{self.seed}"])


@dataclass(frozen=True)
class Settings:
    """How to train: the defaults are Kudo's for CIFAR-10 (recipe of He et al. 2016, no decay).

    `schedule`: "step" (times `decay` at each of `milestones`), "cosine" (down to `final_lr`),
    "constant", or "plateau" (times `decay` when the training loss has not improved for more than
    `patience` epochs; ends early below `stop_lr`); the first `warmup_epochs` rise linearly from
    `warmup_lr`. `precision` "bfloat16" runs the forward pass under autocast. `stacked` trains runs
    side by side through torch.func: None does so where it is faster (small models without
    convolutions), True always, False never. `captured` replays the step as a CUDA graph: None does
    so on CUDA where a step never waits for the device, False never. `measure_every` epochs the
    outputs on all data are taken and given to `measure`; the last epoch always is. `eval_batch` is
    how many images then go at once: None takes 512, on a card more of small ones.
    """

    epochs: int = 160
    batch_size: int = 128
    optimizer: str = "sgd"  # sgd, adam, adamw
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_all: bool = True  # False: biases and norms are not decayed, as timm does
    schedule: str = "step"
    milestones: tuple[int, ...] = (80, 120)
    decay: float = 0.1
    warmup_epochs: int = 0
    warmup_lr: float = 0.0
    final_lr: float = 0.0
    patience: int = 3
    stop_lr: float = 0.0
    precision: str = "float32"
    channels_last: bool = False
    stacked: bool | None = None
    captured: bool | None = None
    measure_every: int = 1
    eval_batch: int | None = None
    checkpoint_seconds: float = 20.0

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, ("sgd", "adam", "adamw"))
        _one_of("schedule", self.schedule, ("step", "cosine", "constant", "plateau"))
        _one_of("precision", self.precision, ("float32", "bfloat16"))
        for name in ("epochs", "batch_size", "eval_batch", "measure_every"):
            value = getattr(self, name)
            if value is None and name == "eval_batch":
                continue
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("lr", "weight_decay", "warmup_lr", "final_lr"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class Task:
    """Data in memory and how a batch is made of it.

    `train` and `test` are `(images, labels)`: `(N, C, H, W)` uint8 (divided by 255) or any float
    `(N, ...)`, and `(N,)` int64. `targets` `(N, K)` replaces the labels in the loss (soft labels).
    `mean` and `std` standardize each channel. `augment(images, generator)` changes a batch of
    uint8 or float images on the device; `prepare(inputs, targets, generator, run)` may change the
    standardized inputs and the targets together. Raises ValueError if sizes do not fit.

    >>> x, y = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)
    >>> Task((x, y), (x, y))
    Traceback (most recent call last):
    ...
    ValueError: train has 4 images but labels of shape (3,), expected (4,)
    """

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    targets: torch.Tensor | None = None
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None
    prepare: Callable | None = None
    num_classes: int = field(default=0)

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            images, labels = getattr(self, name)
            if len(images) == 0 or labels.shape != (len(images),):
                raise ValueError(
                    f"{name} has {len(images)} images but labels of shape {tuple(labels.shape)}, "
                    f"expected ({len(images)},)"
                )
            if labels.dtype != torch.int64 or int(labels.min()) < 0:
                raise ValueError(f"{name} labels must be int64 from 0 up, got {labels.dtype}")
        if self.train[0].shape[1:] != self.test[0].shape[1:]:
            raise ValueError(
                f"train images are {tuple(self.train[0].shape[1:])}, "
                f"test images {tuple(self.test[0].shape[1:])}"
            )
        largest = max(int(self.train[1].max()), int(self.test[1].max())) + 1
        classes = self.num_classes or max(
            largest, 0 if self.targets is None else self.targets.shape[-1]
        )
        if largest > classes:
            raise ValueError(f"num_classes is {classes}, but there is a label {largest - 1}")
        object.__setattr__(self, "num_classes", classes)
        expected = (len(self.train[0]), classes)
        if self.targets is not None and tuple(self.targets.shape) != expected:
            raise ValueError(f"targets must be {expected}, got {tuple(self.targets.shape)}")


def describe(thing: object) -> str:
    """A name for a function that stays the same from one process to the next."""
    if isinstance(thing, functools.partial):
        values = [*enumerate(thing.args), *sorted(thing.keywords.items())]
        told = ", ".join(f"{name}={describe(value)}" for name, value in values)
        text = f"{describe(thing.func)}({told})"
    elif isinstance(thing, torch.Tensor):  # its text leaves out the middle
        wide = thing.double() if thing.is_floating_point() else thing
        text = f"{thing.dtype} {tuple(thing.shape)} {fingerprint(wide)}"
    elif isinstance(thing, np.ndarray) and thing.dtype.kind in "biuf":
        text = f"numpy {describe(torch.as_tensor(thing))}"
    elif hasattr(thing, "__qualname__"):
        text = f"{thing.__module__}.{thing.__qualname__}"
    else:
        text = repr(thing)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)  # addresses of objects change


def _short(loss: str | LossFunction) -> str:
    """A loss's name without its module; a partial one's arguments as a digest."""
    if isinstance(loss, str):
        return loss
    if isinstance(loss, functools.partial):
        digest = hashlib.sha256(describe(loss).encode()).hexdigest()[:6]
        return f"{_short(loss.func)}-{digest}"
    return describe(loss).rpartition(".")[2]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
