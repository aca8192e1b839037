"""What the two experiments on nuisance and redundant factors share: networks and settings."""

from collections.abc import Callable
from typing import Any, Protocol


class Training(Protocol):
    """The fields of a config that say how to train."""

    model: str
    width: int
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    milestones: tuple[float, ...]
    precision: str


def model_maker(config: Training, image_shape: tuple[int, int, int]) -> Callable[[], Any]:
    """A function that builds the network of `config.model` for images `(C, H, W)`.

    `resnetN` has depth N; `small_cnn` three stages from `config.width` up; `mlp` two hidden layers
    of 4 and 1 times `config.width` with batch normalization.
    """
    from ibtutor import models

    channels, height, width = image_shape
    if config.model.startswith("resnet"):
        depth = int(config.model.removeprefix("resnet"))
        return lambda: models.ResNet(depth, 10, channels)
    if config.model == "small_cnn":
        return lambda: models.SmallCNN(channels, 10, config.width)
    if config.model == "mlp":
        hidden = (4 * config.width, config.width)
        return lambda: models.MLP(channels * height * width, hidden, 10, batch_norm=True)
    raise ValueError(f"model must be resnetN, small_cnn or mlp, got {config.model!r}")


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
