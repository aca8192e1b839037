"""Models: `model(x)` gives logits `(B, K)`, `model.features(x)` the input of the last layer."""

from ibtutor.models.cct import CCT, cct_7_7x2
from ibtutor.models.resnet import ResNet, resnet20, resnet56
from ibtutor.models.small import MLP, SmallCNN

__all__ = ["CCT", "MLP", "ResNet", "SmallCNN", "cct_7_7x2", "resnet20", "resnet56"]
