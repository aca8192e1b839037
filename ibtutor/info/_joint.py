"""The joint distribution of label and symbol, added up chunk by chunk in float64."""

from __future__ import annotations

import torch

# Rows of one class are added in the input's type this many at a time, then in float64.
_RUN = 16
# Up to this many labels times symbols, a product with one-hot labels is faster.
_FEW = 512


class JointSum:
    """Adds up p(x) p(y|x) p(t|x) over the inputs into `value`, shape `(Y, T)`."""

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, num_labels: int):
        self.value = p.new_zeros((num_labels, p.shape[1]), dtype=torch.float64)
        # Scaled to mean one, so that sums are alike with and without weights.
        self.weights = None if weights is None else weights * len(p)

    def open(self, block: slice) -> torch.Tensor:
        """Begin a block of rows; returns what `add` needs of each row."""
        self.row = block.start
        return self.keys(block)

    def keys(self, block: slice) -> torch.Tensor:
        """A tensor with one entry for each row of the block."""
        raise NotImplementedError

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        """Take the rows `p`, in order; `scratch`, of the same shape, may be overwritten."""
        raise NotImplementedError

    def next_weights(self, count: int) -> torch.Tensor | None:
        """Weights of the next rows, shape `(count, 1)`."""
        if self.weights is None:
            return None
        start, self.row = self.row, self.row + count
        return self.weights[start : self.row].unsqueeze(1)

    def close(self) -> None:
        """End the block."""

    def marginal(self) -> torch.Tensor | None:
        """p(y), shape `(Y,)`; None without labels."""
        return None


class SoftLabels(JointSum):
    """Label distributions: one float64 matrix product per chunk."""

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, soft: torch.Tensor):
        super().__init__(p, weights, soft.shape[1])
        self.soft = soft

    def keys(self, block: slice) -> torch.Tensor:
        return self.soft[block]

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        weights = self.next_weights(len(p))
        y = key.to(torch.float64) if weights is None else key * weights
        self.value.addmm_(y.T, p.to(torch.float64))

    def marginal(self) -> torch.Tensor:
        if self.weights is None:
            total = self.soft.sum(0, dtype=torch.float64)
        else:
            total = self.weights.to(self.soft.dtype) @ self.soft
        return total.to(torch.float64) / total.sum()


class NoLabels(JointSum):
    """One class: the marginal of T. Torch sums a chunk in short runs, which do not drift."""

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None):
        super().__init__(p, weights, 1)

    def keys(self, block: slice) -> torch.Tensor:
        return self.value.new_empty(block.stop - block.start)

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        weights = self.next_weights(len(p))
        if weights is not None:
            p = torch.mul(p, weights.to(p.dtype), out=scratch)
        self.value += p.sum(0)


def hard_labels(p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor) -> JointSum:
    """The faster of two sums for integer labels `(N,)`."""
    num_labels = int(labels.max()) + 1
    kind = _FewLabels if num_labels * p.shape[1] <= _FEW else _ManyLabels
    return kind(p, weights, labels, num_labels)


class _IntegerLabels(JointSum):
    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor, n: int):
        super().__init__(p, weights, n)
        self.labels = labels

    def marginal(self) -> torch.Tensor:
        counts = torch.bincount(self.labels, self.weights, minlength=len(self.value))
        return counts.to(torch.float64) / counts.sum()


class _FewLabels(_IntegerLabels):
    """A product with one-hot labels, all in float64."""

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor, n: int):
        super().__init__(p, weights, labels, n)
        self.one_hot = self.wide = self.value[:0]

    def keys(self, block: slice) -> torch.Tensor:
        return self.labels[block].unsqueeze(1)

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        size = len(p)
        if len(self.wide) < size:
            self.one_hot = p.new_empty((size, len(self.value)), dtype=torch.float64)
            self.wide = p.new_empty(p.shape, dtype=torch.float64)
        weights = self.next_weights(size)
        one_hot = self.one_hot[:size].zero_()
        one_hot.scatter_(1, key, 1.0 if weights is None else weights)
        self.value.addmm_(one_hot.T, self.wide[:size].copy_(p))


class _ManyLabels(_IntegerLabels):
    """Integer labels: rows of a class are added in runs of `_RUN`, the runs in float64.

    Long float32 sums of equal numbers drift and short ones do not; adding every row in
    float64 would cost twice as much.
    """

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor, n: int):
        super().__init__(p, weights, labels, n)
        work = torch.float64 if p.dtype == torch.float64 else torch.float32
        self.partial = p.new_empty((0, p.shape[1]), dtype=work)

    def keys(self, block: slice) -> torch.Tensor:
        run, self.run_label = _runs(self.labels[block], len(self.value))
        count = len(self.run_label)
        if len(self.partial) < count:
            self.partial = self.partial.new_empty((count + count // 16, self.value.shape[1]))
        self.partial[:count].zero_()
        return run

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        weights = self.next_weights(len(p))
        if weights is not None:
            p = torch.mul(p, weights.to(p.dtype), out=scratch)
        self.partial.index_add_(0, key, p)

    def close(self) -> None:
        sums = self.partial[: len(self.run_label)]
        rows = max(1, 2**16 // sums.shape[1])
        wide = sums.new_empty((rows, sums.shape[1]), dtype=torch.float64)
        for labels, part in zip(self.run_label.split(rows), sums.split(rows), strict=True):
            self.value.index_add_(0, labels, wide[: len(part)].copy_(part))


def _runs(labels: torch.Tensor, num_labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of the run each row belongs to, and the label of each run."""
    # Sorting 16-bit keys is several times faster.
    keys = labels.to(torch.int16) if num_labels < 2**15 else labels
    order = torch.argsort(keys, stable=True)
    ordered = labels[order]
    counts = torch.bincount(labels, minlength=num_labels)
    first = counts.cumsum(0) - counts
    position = torch.arange(len(labels), device=labels.device)
    opens = (position - first[ordered]) % _RUN == 0
    run = torch.empty_like(labels)
    run[order] = opens.cumsum(0) - 1
    return run, ordered[opens]
