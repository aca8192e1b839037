"""What a loader returns, and how a record names the data it saw."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch


class Split(NamedTuple):
    """Images `(N, C, H, W)` as uint8 in 0..255 and labels `(N,)` as int64, both in memory.

    >>> images, labels = Split(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 1]))
    >>> images.shape[0] == labels.shape[0]
    True
    """

    images: torch.Tensor
    labels: torch.Tensor

    def take(self, count: int, *, seed: int = 0, num_classes: int | None = None) -> Split:
        """The first `count` of a seeded shuffle, with equally many images of each class.

        Classes whose number does not divide `count` evenly differ by one image. `num_classes`
        defaults to the largest label plus one. Raises ValueError if a class has too few images.

        >>> split = Split(torch.zeros(6, 1, 2, 2, dtype=torch.uint8),
        ...               torch.tensor([0, 0, 0, 1, 1, 1]))
        >>> split.take(4).labels.bincount().tolist()
        [2, 2]
        """
        total = len(self.labels)
        if not 0 < count <= total:
            raise ValueError(f"count must lie in 1..{total} (the images there are), got {count}")
        classes = num_classes or int(self.labels.max()) + 1
        order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
        by_class = [order[self.labels[order] == k] for k in range(classes)]
        quota = [count // classes + (k < count % classes) for k in range(classes)]
        short = [k for k in range(classes) if len(by_class[k]) < quota[k]]
        if short:
            have = len(by_class[short[0]])
            raise ValueError(
                f"{count} images of {classes} classes need {quota[short[0]]} of class {short[0]}, "
                f"but there are {have}"
            )
        picked = torch.cat([rows[:n] for rows, n in zip(by_class, quota, strict=True)])
        picked = picked[torch.argsort(picked)]
        return Split(self.images[picked], self.labels[picked])


def fingerprint(*tensors: torch.Tensor) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of shapes, types and bytes.

    >>> fingerprint(torch.tensor([1, 2]))
    '74c2ea681e78ff91'
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
