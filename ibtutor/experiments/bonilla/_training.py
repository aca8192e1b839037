"""One trained network of Bonilla's Table 1: every training image degraded, labels as soft as told.

Two arms. "coded": each method with the augmentation and the learning rate that the published code
gives it. "fair": the same crop, flip, learning rate and batch for all, with three controls that use
the strengths of Information Matching otherwise. "cifar10": the fair arm on CIFAR-10.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ibtutor import data, info, losses, models, train
from ibtutor.experiments import _parts
from ibtutor.experiments.bonilla import _evaluation

METHODS = {
    "coded": ("hard", "smoothed", "matched"),
    "fair": ("hard", "smoothed", "matched", "level", "constant", "shuffled"),
    "cifar10": ("hard", "smoothed", "matched", "shuffled"),
}
CLASSES = {"cifar100": 100, "cifar10": 10, "digits": 10}
_STANDARD = {
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "digits": ((0.305,), (0.376,)),
}


class Network(nn.Module):
    """Standardizes images in [0, 1] and classifies them: degradations come before this.

    >>> Network(nn.Flatten(), (0.5,), (0.5,))(torch.ones(1, 1, 1, 2)).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, body: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.body = body
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1))

    def standardized(self, x: Tensor) -> Tensor:
        """What the body sees of images in [0, 1]."""
        return (x - self.mean) / self.std

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.standardized(x))


def network(config: Any, num_classes: int, channels: int) -> Network:
    """The untrained network of a config.

    ResNet-18 has a first layer for small images: 3 by 3 without stride, and no pooling after it.
    """
    if config.model == "resnet18":
        from torchvision.models import resnet18

        body = resnet18(num_classes=num_classes)
        body.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        body.maxpool = nn.Identity()
    elif config.model == "small_cnn":
        body = models.SmallCNN(
            channels, num_classes, config.width, stem_stride=2, pooled=4, hidden=config.hidden
        )
    elif config.model == "mlp":
        body = models.MLP(channels * 64, (config.hidden, config.hidden // 2), num_classes)
    else:
        raise ValueError(f"model must be resnet18, small_cnn or mlp, got {config.model!r}")
    return Network(body, *_STANDARD[config.data])


def check_data(name: str) -> None:
    """ValueError for a data set that is not one of ours."""
    if name not in CLASSES:
        raise ValueError(f"data must be cifar100, cifar10 or digits, got {name!r}")


def load(name: str, *counts: int) -> tuple[data.Split, data.Split]:
    """Training and test images, equally many of each class, chosen by a fixed seed."""
    check_data(name)
    opened = {"cifar100": data.cifar100, "cifar10": data.cifar10, "digits": data.digits}
    both = []
    for split, count in zip(("train", "test"), counts, strict=True):
        whole = opened[name](split)
        both.append(whole if count == len(whole.labels) else whole.take(count))
    return tuple(both)


def images(config: Any) -> tuple[data.Split, data.Split]:
    """`load`, read once for all parts that a process runs."""
    return _parts.once(_load, (config.data, config.train_images, config.test_images))


def _load(what: tuple[str, int, int]) -> tuple[data.Split, data.Split]:
    return load(*what)


def degrade(config: Any, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image in one of four ways at a level of its own, both uniform; and the levels."""
    draw = {"generator": generator, "device": generator.device}
    kind = torch.randint(len(data.DEGRADATIONS), (len(clean),), **draw)
    level = torch.rand(len(clean), **draw)
    return degraded(config, clean, level, kind, generator), level


def degraded(config: Any, clean: Tensor, level: Any, kind: Any, generator: torch.Generator):
    """`data.degrade` with the constants of a config."""
    scale = {"max_sigma": config.max_sigma, "patch": config.patch}
    return data.degrade(clean, level, kind, generator, variant=config.variant, **scale)


def matched_strength(config: Any, clean: Tensor, changed: Tensor, num_classes: int) -> Tensor:
    """The strength of label smoothing that Information Matching gives to each image, `(B,)`."""
    kept = info.normalized_mutual_information(clean, changed, config.bins, variant=config.variant)
    return losses.information_matching_strength(
        kept, num_classes, cap=config.cap, variant=config.variant
    )


def drawn_strengths(config: Any, split: data.Split, seed: int = 0) -> np.ndarray:
    """The matched strengths of images degraded as in training, one draw each, `(N,)`."""
    generator = torch.Generator().manual_seed(seed)
    clean = split.images.float() / 255
    changed, _ = degrade(config, clean, generator)
    return matched_strength(config, clean, changed, CLASSES[config.data]).numpy()


def assign(method: str, matched: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """The strengths of a batch, `(B,)`, handed to its images in the way of `method`.

    "matched": as they are. "level": the same numbers, the largest to the most degraded image,
    whatever the way. "shuffled": the same numbers, to images at random. "constant": their mean.

    >>> g = torch.Generator().manual_seed(0)
    >>> assign("level", torch.tensor([0.1, 0.5, 0.3]), torch.tensor([0.9, 0.2, 0.5]), g).tolist()
    [0.5, 0.10000000149011612, 0.30000001192092896]
    """
    if method == "matched":
        return matched
    if method == "constant":
        return matched.mean().expand_as(matched)
    if method == "level":
        return matched.sort().values[level.argsort().argsort()]
    if method == "shuffled":
        return matched[torch.randperm(len(matched), generator=generator, device=generator.device)]
    raise ValueError(f"method must be matched, constant, level or shuffled, got {method!r}")


def prepare(config: Any, method: str, num_classes: int):
    """What a batch of clean images and labels becomes: `Task.prepare` of a method."""

    def change(inputs, labels, generator, run):
        clean = inputs.clamp(0, 1)  # 255 / 255 may round to more than 1
        changed, level = degrade(config, clean, generator)
        if method in ("hard", "smoothed"):  # the loss of the run says how strongly
            return changed, labels
        alpha = matched_strength(config, clean, changed, num_classes)
        alpha = assign(method, alpha, level, generator).float().unsqueeze(1)
        own = nn.functional.one_hot(labels, num_classes).float()
        return changed, (1 - alpha) * own + alpha / num_classes

    return change


def settings(config: Any, arm: str, method: str) -> train.Settings:
    """AdamW with a cosine; the coded arm has the batch and the rates of the published code."""
    coded = arm == "coded"
    return train.Settings(
        epochs=config.epochs,
        batch_size=config.coded_batch_size if coded else config.batch_size,
        optimizer="adamw",
        lr=config.coded_matched_lr if coded and method == "matched" else config.lr,
        weight_decay=config.weight_decay,
        schedule="cosine",
        final_lr=config.final_lr,
        precision=config.precision,
        channels_last=config.precision == "bfloat16",
        measure_every=config.measure_every,
        stacked=False,
    )


def train_one(
    config: Any,
    arm: str,
    method: str,
    seed: int,
    *,
    device: str,
    progress: bool,
    resume: Path | None,
) -> tuple[train.Trained, Network, tuple[data.Split, data.Split]]:
    """One network of an arm, a method and a seed; runs with one seed see the same batches."""
    if arm == "cifar10":
        config = replace(config, data="cifar10")
    both = images(config)
    classes = CLASSES[config.data]
    channels = both[0].images.shape[1]
    cropped = config.crop and not (arm == "coded" and method == "matched")
    crop = _crop(config) if cropped else None
    change = prepare(config, method, classes)
    task = train.Task(*both, augment=crop, prepare=change, num_classes=classes)
    strength = config.alpha if method == "smoothed" else 0.0
    run = train.Run(strength, seed, tag=f"{arm}-{method}")
    (done,) = train.fit(
        lambda: network(config, classes, channels),
        task,
        [run],
        settings(config, arm, method),
        device=device,
        resume=None if resume is None else Path(resume) / "train",
        progress=progress,
        measure=_evaluation.at_an_epoch,
    )
    where = train.resolve_device(device)
    return done, done.load(network(config, classes, channels)).to(where), both


def _crop(config: Any):
    def cut(images, generator):
        return data.random_crop_flip(images, generator, config.crop, config.flip)

    return cut
