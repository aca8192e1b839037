"""The joint distribution of label and symbol, added up chunk by chunk in float64."""

from __future__ import annotations

import torch


class JointSum:
    """Adds up p(y|x) p(t|x) over the inputs into `value`, shape `(Y, T)`, float64.

    `keys` holds what `add` needs of each input, along its first dimension.
    """

    keys: torch.Tensor

    def __init__(self, p: torch.Tensor, num_labels: int):
        self.value = p.new_zeros((num_labels, p.shape[1]), dtype=torch.float64)

    def add(self, keys: torch.Tensor, p: torch.Tensor) -> None:
        """Take some inputs: their keys, and their float64 rows times their weights."""
        raise NotImplementedError

    def marginal(self, weights: torch.Tensor | None) -> torch.Tensor | None:
        """p(y), shape `(Y,)`; None without labels."""
        return None


class NoLabels(JointSum):
    """One class: the marginal of T."""

    def __init__(self, p: torch.Tensor):
        super().__init__(p, 1)
        self.keys = p[:, 0]

    def add(self, keys: torch.Tensor, p: torch.Tensor) -> None:
        self.value += p.sum(0)


class SoftLabels(JointSum):
    """Label distributions `(N, Y)`."""

    def __init__(self, p: torch.Tensor, soft: torch.Tensor):
        super().__init__(p, soft.shape[1])
        self.keys = soft

    def add(self, keys: torch.Tensor, p: torch.Tensor) -> None:
        self.value.addmm_(keys.to(torch.float64).T, p)

    def marginal(self, weights: torch.Tensor | None) -> torch.Tensor:
        soft = self.keys.to(torch.float64)
        total = soft.sum(0) if weights is None else weights @ soft
        return total / total.sum()


class HardLabels(JointSum):
    """Integer labels `(N,)`."""

    def __init__(self, p: torch.Tensor, labels: torch.Tensor):
        super().__init__(p, int(labels.max()) + 1)
        self.keys = labels

    def add(self, keys: torch.Tensor, p: torch.Tensor) -> None:
        self.value.index_add_(0, keys, p)

    def marginal(self, weights: torch.Tensor | None) -> torch.Tensor:
        counts = torch.bincount(self.keys, weights, minlength=len(self.value)).to(torch.float64)
        return counts / counts.sum()
