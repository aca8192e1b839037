"""The one place where random numbers of training come from.

Each use has its own seed, a function of the run's seed, the use and the epoch. So nothing depends
on what was drawn before, and a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derived_seed(seed: int, use: str, epoch: int = 0) -> int:
    """A seed for one use, the same in every process and on every machine.

    >>> derived_seed(0, "order", 1) == derived_seed(0, "order", 1) != derived_seed(0, "order", 2)
    True
    """
    words = [seed & 0xFFFFFFFF, zlib.crc32(use.encode()), epoch]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def generator(
    seed: int, use: str, epoch: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator on `device`, seeded for one use."""
    return torch.Generator(device).manual_seed(derived_seed(seed, use, epoch))
