"""What the two experiments on nuisance and redundant factors share: networks and settings."""

from collections.abc import Callable
from typing import Any, Protocol

SWEPT = ("alphas", "weight_decays")


class Training(Protocol):
    """The fields of a config that say how to train."""

    model: str
    alphas: tuple[float, ...]
    weight_decays: tuple[float, ...]
    seeds: tuple[int, ...]
    width: int
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    milestones: tuple[float, ...]
    precision: str


def model_maker(config: Training, image_shape: tuple[int, int, int]) -> Callable[[], Any]:
    """A function that builds the network of `config.model` for images `(C, H, W)`.

    `resnetN` has depth N; `small_cnn` three convolutions from `config.width` up and, like a ResNet,
    an average over space; `fitting_cnn` the same with a hidden layer of 64 units instead of the
    average, so that it fits a few thousand images to the last one; `mlp` two hidden layers of 4 and
    1 times `config.width` with batch normalization.
    """
    from ibtutor import models

    channels, height, width = image_shape
    if config.model.startswith("resnet"):
        depth = int(config.model.removeprefix("resnet"))
        return lambda: models.ResNet(depth, 10, channels)
    if config.model == "small_cnn":
        return lambda: models.SmallCNN(channels, 10, config.width, stem_stride=2)
    if config.model == "fitting_cnn":
        return lambda: models.SmallCNN(
            channels, 10, config.width, stem_stride=2, pooled=4, hidden=64
        )
    if config.model == "mlp":
        hidden = (4 * config.width, config.width)
        return lambda: models.MLP(channels * height * width, hidden, 10, batch_norm=True)
    raise ValueError(f"model must be resnetN, small_cnn, fitting_cnn or mlp, got {config.model!r}")


def settings(config: Training, device: str) -> Any:
    """Settings of `train.fit`; milestones are shares of the epochs."""
    from ibtutor import train

    return train.Settings(
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        momentum=config.momentum,
        milestones=tuple(round(share * config.epochs) for share in config.milestones),
        precision=config.precision,
        channels_last=config.model != "mlp",
        measure_every=config.epochs,
    )


def stacked(config: Training) -> bool:
    """Whether the networks are so small that all runs of a kind train side by side."""
    return config.model == "mlp"


def runs_of(config: Training, part: str) -> list[Any]:
    """The runs of a part, "seed0-ls-0.1" or of all seeds "all-ls"; ValueError if it has none."""
    from ibtutor import train

    planned = {}
    for seed in config.seeds:
        for alpha in config.alphas:
            name = "all-ls" if stacked(config) else f"seed{seed}-ls-{alpha!r}"
            planned.setdefault(name, []).append(train.Run(alpha, seed))
        for decay in config.weight_decays:
            name = f"{'all' if stacked(config) else f'seed{seed}'}-wd-{decay!r}"
            planned.setdefault(name, []).append(train.Run(0.0, seed, weight_decay=decay))
    if part not in planned:
        raise ValueError(f"there is no part {part!r}")
    return planned[part]


def key_of(row: dict[str, Any]) -> tuple[int, str, float]:
    """Seed, method and strength of a row."""
    strength = row["alpha"] if row["method"] == "ls" else row["weight_decay"]
    return row["seed"], row["method"], strength
