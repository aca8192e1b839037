"""The five networks of Yi's Table 3, from torchvision, with a first layer for small images.

The paper names them and no more. Its accuracies fit networks that keep small images large: a first
convolution of 3 by 3 without stride, and no pooling after it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

NAMES = {
    "googlenet": "GoogLeNet",
    "resnet18": "ResNet-18",
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_b0": "EfficientNet-B0",
    "shufflenet_v2": "ShuffleNetV2",
}


def build(name: str, channels: int = 3, num_classes: int = 10) -> Callable[[], nn.Module]:
    """A function that builds an untrained network for `(B, channels, 32, 32)`.

    >>> import torch
    >>> network = build("shufflenet_v2")().eval()
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    if name not in NAMES:
        raise ValueError(f"network must be one of {', '.join(NAMES)}, got {name!r}")
    return lambda: _quick_on_a_cpu(_MAKERS[name](channels, num_classes))


class _StridedDepthwise(nn.Conv2d):
    """A depthwise convolution with stride that is not rounded to bfloat16 on a CPU.

    There its gradient has no fast kernel in that precision.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)


def _quick_on_a_cpu(network: nn.Module) -> nn.Module:
    """The same network and parameters; a bfloat16 step of MobileNetV2 in two thirds of its time."""
    for layer in network.modules():
        if isinstance(layer, nn.ReLU6):
            layer.inplace = False  # in place it is several times slower in half precision
        if type(layer) is nn.Conv2d and layer.groups > 1 and max(layer.stride) > 1:
            layer.__class__ = _StridedDepthwise  # it has the same parameters and buffers
    return network


def _stem(channels: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, bias=False)


def _googlenet(channels: int, num_classes: int) -> nn.Module:
    from torchvision.models import googlenet

    network = googlenet(num_classes=num_classes, aux_logits=False, init_weights=True)
    network.conv1.conv = _stem(channels, 64)
    network.maxpool1 = network.maxpool2 = nn.Identity()
    return network


def _resnet18(channels: int, num_classes: int) -> nn.Module:
    from torchvision.models import resnet18

    network = resnet18(num_classes=num_classes)
    network.conv1, network.maxpool = _stem(channels, 64), nn.Identity()
    return network


def _mobilenet_v2(channels: int, num_classes: int) -> nn.Module:
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2(num_classes=num_classes)
    network.features[0][0] = _stem(channels, 32)
    network.features[2].conv[1][0].stride = (1, 1)
    return network


def _efficientnet_b0(channels: int, num_classes: int) -> nn.Module:
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0(num_classes=num_classes)
    network.features[0][0] = _stem(channels, 32)
    return network


def _shufflenet_v2(channels: int, num_classes: int) -> nn.Module:
    from torchvision.models import shufflenet_v2_x1_0

    network = shufflenet_v2_x1_0(num_classes=num_classes)
    network.conv1[0], network.maxpool = _stem(channels, 24), nn.Identity()
    return network


_MAKERS = {
    "googlenet": _googlenet,
    "resnet18": _resnet18,
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_b0": _efficientnet_b0,
    "shufflenet_v2": _shufflenet_v2,
}
