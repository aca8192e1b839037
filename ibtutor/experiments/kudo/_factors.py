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
