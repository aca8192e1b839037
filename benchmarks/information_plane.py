"""Exact I(X;T) and I(T;Y) of an output matrix, against whole-matrix entropies."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks._measure import Row, extra_memory, interleaved
from ibtutor.info import information_plane, mutual_information

TITLE = "information_plane, 50,000 rows, float32, one thread"
ROWS = 50_000


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    for symbols in (10, 1000):
        yield from _at(symbols)


def _at(symbols: int) -> Iterator[Row]:
    from scipy.stats import entropy

    generator = torch.Generator().manual_seed(0)
    p = (2 * torch.randn(ROWS, symbols, generator=generator)).softmax(1)
    labels = torch.randint(0, symbols, (ROWS,), generator=generator)
    table, joint = p.numpy(), torch.zeros(symbols, symbols, dtype=torch.float64)
    chunk = torch.empty(2**16 // symbols, symbols)

    def whole_matrix():  # I(X;T) alone
        rows = torch.special.entr(p).sum(1).mean()
        return torch.special.entr(p.mean(0)).sum() - rows

    def least_work():  # one logarithm a cell, one float64 sum of each row into its class
        for part, ys in zip(p.split(len(chunk)), labels.split(len(chunk)), strict=True):
            torch.log(part, out=chunk[: len(part)])
            joint.index_add_(0, ys, part.double())

    seconds = interleaved(
        {
            "read": lambda: p.sum(),
            "least": least_work,
            "ours": lambda: information_plane(p, labels),
            "torch": whole_matrix,
            "scipy": lambda: entropy(table.mean(0)) - entropy(table, axis=1).mean(),
        }
    )
    name, ours = f"{symbols} symbols: ", seconds["ours"]
    yield Row(name + "reads of the matrix", ours / seconds["read"], "x")
    # What no exact float64 answer to both questions can do without, and how near we are.
    yield Row(name + "the least work in reads", seconds["least"] / seconds["read"], "x")
    yield Row(name + "ours over the least work", ours / seconds["least"], "x", 2.0)
    yield Row(
        name + "torch entr, I(X;T) only", seconds["torch"] / ours, "x slower", *_entr(symbols)
    )
    yield Row(name + "scipy entropy, I(X;T) only", seconds["scipy"] / ours, "x slower")
    memory = extra_memory(
        lambda: information_plane(p, labels), lambda: information_plane(p[:9], labels[:9])
    )
    if memory is not None:
        yield Row(name + "extra memory", memory / 1e6, "MB", 50)
    plane, exact = information_plane(p, labels), _float64(p, labels)
    yield Row(name + "error of I(X;T)", abs(plane.i_xt - exact[0]), "nats", 1e-6)
    yield Row(name + "error of I(T;Y)", abs(plane.i_ty - exact[1]), "nats", 1e-6)


def _entr(symbols: int) -> tuple[float | None, bool]:
    """At 1,000 symbols the whole-matrix way takes longer; at 10 our sum by class weighs most."""
    return (1.0 if symbols >= 1000 else None, True)


def _float64(p: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    joint = torch.zeros(int(labels.max()) + 1, p.shape[1], dtype=torch.float64)
    given_x = 0.0
    for rows, ys in zip(p.split(5000), labels.split(5000), strict=True):
        joint.index_add_(0, ys, rows.double())
        given_x += torch.special.entr(rows.double()).sum().item() / len(p)
    joint /= len(p)
    h_t = torch.special.entr(joint.sum(0)).sum().item()
    return h_t - given_x, mutual_information(joint).item()
