"""Train many small networks side by side on a card: one loop, captured once, replays every step.

`ibtutor.train` stacks runs that share a learning rate. SGD is linear in the gradient, so a run's
rate can be a factor of its loss instead, and all runs share the rate 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ibtutor import train
from ibtutor._training.loop import loss_of
from ibtutor.experiments.yi import _training


class Unfolded(nn.Conv2d):
    """A convolution as one matrix product: stacked ones are a batched product, exact in float32.

    Without stride and padding.

    >>> import torch
    >>> torch.manual_seed(0) and None
    >>> layer = Unfolded(2, 3, 5)
    >>> x = torch.randn(4, 2, 9, 8)
    >>> plain = torch.nn.functional.conv2d(x, layer.weight, layer.bias)
    >>> bool(torch.allclose(layer(x), plain, atol=1e-6))
    True
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` -> `(B, out, H - k + 1, W - k + 1)`."""
        for dim, size in zip((2, 3), self.kernel_size, strict=True):
            x = x.unfold(dim, size, 1)
        batch, _, height, width = x.shape[:4]
        patches = x.permute(0, 2, 3, 1, 4, 5).reshape(batch, height * width, -1)
        out = patches @ self.weight.flatten(1).T + self.bias
        return out.transpose(1, 2).unflatten(2, (height, width))


@dataclass(frozen=True, repr=False)
class Scaled:
    """The loss of a run times its learning rate."""

    run: train.Run
    lr: float

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, strength: float) -> torch.Tensor:
        if self.run.loss == "mutual_information_learning":
            return self.lr * two_terms(logits, labels, strength)
        return self.lr * loss_of(self.run, logits, labels)

    def __repr__(self) -> str:
        # Names a checkpoint: the same in every process.
        name = getattr(self.run.loss, "__name__", self.run.loss)
        return f"{name} times {self.lr:.6e}".replace(".", "_")


def two_terms(logits: torch.Tensor, labels: torch.Tensor, strength: float) -> torch.Tensor:
    """milLoss on `(B, K)` in few kernels: without the checks and masks of the package's.

    >>> import torch
    >>> logits, labels = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).log(), torch.tensor([0, 1])
    >>> round(float(two_terms(logits, labels, 50.0)) + torch.tensor(0.8).log().item(), 4)
    34.6574
    """
    log_p = logits.log_softmax(1)
    ce = F.nll_loss(log_p, labels)
    if strength == 0:
        return ce
    classes = torch.arange(logits.shape[1], device=logits.device)
    shares = (labels[:, None] == classes).float().mean(0)
    log_mean = log_p.logsumexp(0) - math.log(len(labels))
    return ce - strength * (shares * log_mean).sum()


def fit(
    make_model: Callable[[], nn.Module],
    task: train.Task,
    runs: Sequence[train.Run],
    settings: train.Settings,
    measure: Callable[[train.Outputs, train.Run, int], dict],
    **options: Any,
) -> list[list[dict]]:
    """The history of every run, as `_shared_batches.fit` has it; here seeds may differ too.

    `options` are `device`, `resume` and `progress`, as `ibtutor.train.fit` has them.
    """
    scaled = []
    for number, run in enumerate(runs):
        loss = Scaled(run, settings.lr if run.lr is None else run.lr)
        scaled.append(replace(run, loss=loss, lr=None, tag=f"{run.tag}{number}"))
    own = replace(settings, lr=1.0, stacked=True, channels_last=False)
    done = train.fit(make_model, task, scaled, own, measure=measure, **options)
    return [_training.history_of(each, task, own, measure) for each in done]


def chosen(device: str | torch.device, precision: str) -> bool:
    """Whether runs train side by side: on a card, in float32."""
    return train.resolve_device(device).type == "cuda" and precision == "float32"


def folder(resume: Path | None, name: str) -> Path | None:
    """A folder of checkpoints inside that of a part; None where nothing is kept."""
    return None if resume is None else Path(resume) / name.replace(" ", "-")
