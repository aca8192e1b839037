"""Small networks for embedded data and patient CPUs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn


class MLP(nn.Module):
    """Fully connected layers with ReLU; `batch_norm` puts a BatchNorm before each ReLU.

    Inputs `(B, ...)` are flattened to `(B, in_features)`.

    >>> model = MLP(64, (256,), 10)
    >>> x = torch.zeros(5, 1, 8, 8)
    >>> model(x).shape, model.features(x).shape
    (torch.Size([5, 10]), torch.Size([5, 256]))
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int] = (256,),
        num_classes: int = 10,
        batch_norm: bool = False,
    ):
        super().__init__()
        sizes = [in_features, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(sizes):
            layers.append(nn.Linear(before, after))
            layers += [nn.BatchNorm1d(after)] if batch_norm else []
            layers.append(nn.ReLU())
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(sizes[-1], num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The input of the last layer, `(B, hidden[-1])`."""
        return self.body(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


class SmallCNN(nn.Module):
    """Three stages of convolution, batch normalization, ReLU and pooling, then global average.

    Widths are `width`, 2 `width` and 4 `width`; about 94,000 weights at width 32 and three input
    channels. Works for images of at least 4 pixels a side.

    >>> model = SmallCNN(1, 10, width=8)
    >>> x = torch.zeros(2, 1, 8, 8)
    >>> model(x).shape, model.features(x).shape
    (torch.Size([2, 10]), torch.Size([2, 32]))
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 10, width: int = 32):
        super().__init__()
        widths = [in_channels, width, 2 * width, 4 * width]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                    nn.MaxPool2d(2) if stage < 2 else nn.Identity(),
                )
                for stage, (before, after) in enumerate(itertools.pairwise(widths))
            )
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The input of the last layer, `(B, 4 * width)`."""
        return self.stages(x).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))
