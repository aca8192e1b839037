"""Normalized mutual information of image pairs, against scikit-image and numpy's histogram."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks._measure import Row, interleaved
from ibtutor.info import normalized_mutual_information

TITLE = "normalized_mutual_information, 1,000 pairs of 3 x 32 x 32, 64 bins, float32, one thread"


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(1000, 3, 32, 32, generator=generator)
    # scikit-image bins by the range of each image: let every channel have both ends.
    a[..., 0, 0], a[..., 0, 1] = 0.0, 1.0
    b = (a + 0.1 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    b[..., 0, :2] = a[..., 0, :2]
    few = 20  # for the slow ones; times are scaled
    x, y = a[:few].flatten(2).numpy(), b[:few].flatten(2).numpy()

    def entropy(p: np.ndarray) -> float:
        return -float((p[p > 0] * np.log(p[p > 0])).sum())

    def histogram(u: np.ndarray, v: np.ndarray) -> float:
        joint = np.histogram2d(u, v, 64, [(0, 1), (0, 1)])[0] / u.size
        h = entropy(joint.sum(0)) + entropy(joint.sum(1))
        return 2 * (h - entropy(joint)) / h

    def each(function) -> np.ndarray:
        pairs = zip(x, y, strict=True)
        return np.array([np.mean([function(*c) for c in zip(*p, strict=True)]) for p in pairs])

    calls = {
        "ours": lambda: normalized_mutual_information(a, b),
        "histogram2d": lambda: each(histogram),
    }
    try:
        from skimage.metrics import normalized_mutual_information as studholme
    except ImportError:
        pass
    else:
        calls["scikit-image"] = lambda: each(lambda u, v: 2 - 2 / studholme(u, v, bins=64))
    seconds = interleaved(calls, rounds=9)
    for name, target in (("scikit-image", 100), ("histogram2d", None)):
        if name in seconds:
            ratio = seconds[name] * len(a) / few / seconds["ours"]
            yield Row(name, ratio, "x slower", target, at_least=True)
            gap = np.abs(calls[name]() - calls["ours"]()[:few].numpy()).max()
            yield Row(f"difference to {name}, 2 - 2 / S", gap, "", 1e-6)
