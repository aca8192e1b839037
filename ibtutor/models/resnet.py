"""Residual networks for CIFAR: depth 6n + 2, shortcuts without weights (option A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.stride, self.added = stride, after - before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            half = self.added // 2
            shortcut = F.pad(shortcut, (0, 0, 0, 0, half, self.added - half))
        return F.relu(out + shortcut)


class ResNet(nn.Module):
    """ResNet of He et al. 2016, section 4.2, for images of any size; widths 16, 32, 64.

    `depth` is 6n + 2. Weights of convolutions and of the last layer start Kaiming-normal, as in
    the reference code. `layer1`, `layer2`, `layer3` are the stages, the last one for Grad-CAM.
    ValueError for another depth.

    >>> model = ResNet(8)
    >>> x = torch.zeros(2, 3, 32, 32)
    >>> model(x).shape, model.features(x).shape
    (torch.Size([2, 10]), torch.Size([2, 64]))
    """

    def __init__(self, depth: int = 20, num_classes: int = 10, in_channels: int = 3):
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ..., 56), got {depth}")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1)
        self.layer2 = _stage(16, 32, blocks, 2)
        self.layer3 = _stage(32, 64, blocks, 2)
        self.classifier = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def feature_map(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the last stage before pooling, `(B, 64, H / 4, W / 4)`."""
        out = F.relu(self.norm1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(out)))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The input of the last layer, `(B, 64)`: the penultimate representation."""
        return self.feature_map(x).mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


def _stage(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Block(before, after, stride)
    return nn.Sequential(first, *(_Block(after, after, 1) for _ in range(blocks - 1)))


def resnet20(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-20, 0.27 million weights.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return ResNet(20, num_classes, in_channels)


def resnet56(num_classes: int = 10, in_channels: int = 3) -> ResNet:
    """ResNet-56, 0.85 million weights.

    >>> sum(p.numel() for p in resnet56().parameters())
    853018
    """
    return ResNet(56, num_classes, in_channels)
