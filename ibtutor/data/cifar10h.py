"""CIFAR-10H: how some fifty people each labeled the 10,000 test images of CIFAR-10."""

from __future__ import annotations

import torch

from ibtutor.data.store import ready


def cifar10h_counts() -> torch.Tensor:
    """Votes `(10000, 10)` as int64, in the order of CIFAR-10's test images.

    511,000 votes by people, CC BY-NC-SA 4.0, so the file is never part of this package.
    Raises DataError if it is missing or changed. Source: Peterson et al., ICCV 2019.
    """
    import numpy as np

    counts = np.load(ready("cifar10h") / "cifar10h-counts.npy")
    return torch.from_numpy(counts.astype(np.int64))
