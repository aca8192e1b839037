"""CIFAR-10, CIFAR-100 and MNIST through torchvision, whole and in memory."""

from __future__ import annotations

from pathlib import Path

import torch

from ibtutor.data.split import Split
from ibtutor.data.store import ready


def cifar10(split: str = "train") -> Split:
    """CIFAR-10: 50,000 training or 10,000 test images `(N, 3, 32, 32)`, ten classes.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: Krizhevsky 2009.
    """
    return _cifar("cifar10", "CIFAR10", split)


def cifar100(split: str = "train") -> Split:
    """CIFAR-100 with its 100 fine labels: 50,000 or 10,000 images `(N, 3, 32, 32)`.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: Krizhevsky 2009.
    """
    return _cifar("cifar100", "CIFAR100", split)


def mnist(split: str = "train") -> Split:
    """MNIST: 60,000 training or 10,000 test digits `(N, 1, 28, 28)`.

    Raises DataError if the files are missing or damaged, ValueError for another split.
    Source: LeCun, Cortes, Burges 1998.
    """
    folder = _whole("mnist", split)
    from torchvision.datasets import mnist as files  # its class may open other files than these

    part = "train" if split == "train" else "t10k"
    images = files.read_image_file(str(folder / f"{part}-images-idx3-ubyte"))
    labels = files.read_label_file(str(folder / f"{part}-labels-idx1-ubyte"))
    return Split(images.unsqueeze(1), labels)


def _cifar(name: str, torchvision_class: str, split: str) -> Split:
    folder = _whole(name, split)
    from torchvision import datasets

    data = getattr(datasets, torchvision_class)(folder.parent, train=split == "train")
    images = torch.as_tensor(data.data).permute(0, 3, 1, 2)
    return Split(images.contiguous(), torch.as_tensor(data.targets, dtype=torch.int64))


def _whole(name: str, split: str) -> Path:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return ready(name)
