"""The joint distribution of label and symbol, added up chunk by chunk in float64."""

from __future__ import annotations

import torch

# Rows of one class are added in float32 this many at a time, then in float64.
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
    """The fastest of three sums for integer labels `(N,)`."""
    num_labels = int(labels.max()) + 1
    if num_labels * p.shape[1] <= _FEW:
        kind = _FewLabels
    elif p.dtype == torch.float32 and p.is_contiguous():
        kind = _Runs
    else:
        kind = _RowByRow
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


class _RowByRow(_IntegerLabels):
    """Each row is added to the row of its class in float64."""

    def keys(self, block: slice) -> torch.Tensor:
        return self.labels[block]

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        weights = self.next_weights(len(p))
        p = p.to(torch.float64)
        self.value.index_add_(0, key, p if weights is None else p * weights)


class _Runs(_IntegerLabels):
    """Rows of a class are gathered and added in float32 runs of `_RUN`, the runs in float64.

    Twice as fast as row by row in float64. Long float32 sums of equal numbers would drift.
    """

    def __init__(self, p: torch.Tensor, weights: torch.Tensor | None, labels: torch.Tensor, n: int):
        super().__init__(p, weights, labels, n)
        self.p = p

    def keys(self, block: slice) -> torch.Tensor:
        self.block = block
        return self.labels[block]

    def add(self, p: torch.Tensor, key: torch.Tensor, scratch: torch.Tensor) -> None:
        """Nothing yet: classes are scattered over the block, so they wait for its end."""

    def close(self) -> None:
        order, starts, run_labels = _runs(self.labels[self.block], len(self.value))
        weights = None
        if self.weights is not None:
            weights = self.weights[self.block][order].to(self.p.dtype)
        sums = torch.nn.functional.embedding_bag(
            order, self.p[self.block], starts, mode="sum", per_sample_weights=weights
        )
        rows = max(1, 2**16 // sums.shape[1])
        wide = sums.new_empty((rows, sums.shape[1]), dtype=torch.float64)
        for labels, part in zip(run_labels.split(rows), sums.split(rows), strict=True):
            self.value.index_add_(0, labels, wide[: len(part)].copy_(part))


def _runs(labels: torch.Tensor, num_labels: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows sorted by label, where each run of `_RUN` begins in that order, and its label."""
    # Sorting 16-bit keys is several times faster.
    keys = labels.to(torch.int16) if num_labels < 2**15 else labels
    order = torch.argsort(keys, stable=True)
    ordered = labels[order]
    counts = torch.bincount(labels, minlength=num_labels)
    first = counts.cumsum(0) - counts
    position = torch.arange(len(labels), device=labels.device)
    starts = ((position - first[ordered]) % _RUN == 0).nonzero().squeeze(1)
    return order, starts, ordered[starts]
