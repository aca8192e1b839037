"""The data that needs no download: scikit-learn's digits, real scans, 8 by 8."""

from __future__ import annotations

import torch

from ibtutor.data.split import Split

_TRAIN = 1297  # of 1,797; the other 500 are the test split
_SPLIT_SEED = 20201  # fixed for good: changing it would change every smoke number of the book


def digits(split: str = "train") -> Split:
    """The 1,797 digits of scikit-learn, split once: 1,297 for training and 500 for testing.

    `split` is "train" or "test". Images are `(N, 1, 8, 8)`; the original gray values 0..16 are
    stretched to 0..255, which loses nothing. Raises ValueError for another split.
    Source: UCI optical recognition of handwritten digits (Alpaydin and Kaynak 1998).

    >>> images, labels = digits("train")
    >>> tuple(images.shape), tuple(digits("test").labels.shape), int(labels.max())
    ((1297, 1, 8, 8), (500,), 9)
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.tensor((raw.images * (255 / 16)).round(), dtype=torch.uint8).unsqueeze(1)
    labels = torch.tensor(raw.target, dtype=torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    picked = order[:_TRAIN] if split == "train" else order[_TRAIN:]
    return Split(images[picked], labels[picked])
