"""CIFAR-10, CIFAR-100 and MNIST through torchvision, whole and in memory."""

from __future__ import annotations

import torch

from ibtutor.data.split import Split
from ibtutor.data.store import DataError, ready, root

_SIZES = {
    "cifar10": {"train": 50_000, "test": 10_000},
    "cifar100": {"train": 50_000, "test": 10_000},
    "mnist": {"train": 60_000, "test": 10_000},
}


def cifar10(split: str = "train") -> Split:
    """CIFAR-10: 50,000 training or 10,000 test images `(N, 3, 32, 32)`, ten classes.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: Krizhevsky 2009.
    """
    return _open("cifar10", "CIFAR10", split)


def cifar100(split: str = "train") -> Split:
    """CIFAR-100 with its 100 fine labels: 50,000 or 10,000 images `(N, 3, 32, 32)`.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: Krizhevsky 2009.
    """
    return _open("cifar100", "CIFAR100", split)


def mnist(split: str = "train") -> Split:
    """MNIST: 60,000 training or 10,000 test digits `(N, 1, 28, 28)`.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: LeCun, Cortes, Burges 1998.
    """
    return _open("mnist", "MNIST", split)


def _open(name: str, torchvision_class: str, split: str) -> Split:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    folder = ready(name)
    from torchvision import datasets

    try:
        data = getattr(datasets, torchvision_class)(root(), train=split == "train")
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{folder} cannot be read: {error}. Run: ibtutor data get {name}"
        ) from error
    images = torch.as_tensor(data.data)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    labels = torch.as_tensor(data.targets, dtype=torch.int64)
    expected = _SIZES[name][split]
    if len(images) != expected or len(labels) != expected:
        raise DataError(
            f"{folder} holds {len(images)} {split} images and {len(labels)} labels, not "
            f"{expected}. Run: ibtutor data get {name}"
        )
    return Split(images.contiguous(), labels)
