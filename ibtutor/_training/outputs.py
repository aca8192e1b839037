"""What training gives back, and the outputs of a model on data in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from ibtutor._modes import evaluating
from ibtutor._training.plan import Run
from ibtutor.data.augment import to_float


class Outputs(NamedTuple):
    """Logits `(N, K)` float32 and labels `(N,)` of both splits, on the CPU."""

    train_logits: torch.Tensor
    train_labels: torch.Tensor
    test_logits: torch.Tensor
    test_labels: torch.Tensor


class Prediction(NamedTuple):
    """Logits `(N, K)` and penultimate features `(N, D)` (None unless asked for), float32, CPU."""

    logits: torch.Tensor
    features: torch.Tensor | None


@dataclass
class Trained:
    """One finished run; see `ibtutor.train.fit`."""

    run: Run
    history: list[dict]
    train_logits: torch.Tensor
    test_logits: torch.Tensor
    test_labels: torch.Tensor
    state: dict[str, torch.Tensor]
    diverged: str | None = None

    @property
    def train_probs(self) -> torch.Tensor:
        """Softmax outputs on the training split, `(N, K)` float64."""
        return self.train_logits.double().softmax(dim=1)

    @property
    def test_probs(self) -> torch.Tensor:
        """Softmax outputs on the test split, `(N, K)` float64."""
        return self.test_logits.double().softmax(dim=1)

    @property
    def accuracy(self) -> float:
        """Share of test images whose largest output is the label."""
        return float((self.test_logits.argmax(dim=1) == self.test_labels).double().mean())

    def load(self, model: nn.Module) -> nn.Module:
        """The trained weights in `model`, in evaluation mode."""
        model.load_state_dict(self.state)
        return model.eval()


def predict(
    model: nn.Module,
    images: torch.Tensor,
    *,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    features: bool = False,
) -> Prediction:
    """Outputs of `model` in evaluation mode on images of any number, batch by batch.

    Each of its modules is left in the mode it was in. With `features=True` also
    `model.features(x)`, the input of the last layer.

    >>> model = nn.Linear(3, 2)
    >>> predict(model, torch.zeros(5, 3)).logits.shape
    torch.Size([5, 2])
    """
    model.to(device)
    logits, penultimate = [], []
    with evaluating(model), torch.inference_mode():
        for batch in images.split(batch_size):
            inputs = to_float(batch.to(device), mean, std)
            logits.append(model(inputs).float().cpu())
            if features:
                penultimate.append(model.features(inputs).float().cpu())
    return Prediction(torch.cat(logits), torch.cat(penultimate) if features else None)
