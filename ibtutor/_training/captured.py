"""A training step captured once as a CUDA graph and replayed: Python launches nothing any more.

At batch 128 a small network's kernels are shorter than their launches. A graph starts them all at
once. It can only hold what is the same in every step, so what changes lies on the device: the order
of the images, a counter of steps, the learning rates of the epoch, the sums of losses. The random
generators are registered with the graph, which advances them as the plain loop does, so both loops
see the same batches, crops and dropout masks.

The first steps of a loop are ordinary ones, on the stream of the capture: they create what the
optimizer and the libraries need, and they show whether a step waits for the device, which no graph
can hold. Then the loop stays plain and says why.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

WARM_UP = 3


class Captured:
    """Steps over one device's batches: plain at first, then replayed.

    `step(rows)` trains on the images `rows` `(R, B)` and returns the losses `(R,)`; it reads its
    learning rate from `rate`, a tensor on the device.
    """

    def __init__(
        self,
        step: Callable[[torch.Tensor], torch.Tensor],
        generators: Sequence[torch.Generator],
        rate: torch.Tensor,
    ):
        self.step, self.generators, self.rate = step, generators, rate
        self.device = rate.device
        card = self.device.type == "cuda"
        self.stream = torch.cuda.Stream(self.device) if card else None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.refused = "" if card else f"{self.device} has no graphs"
        self._plain_steps = 0

    def epoch(self, order: torch.Tensor, batch_size: int, rates: Sequence[float]) -> torch.Tensor:
        """Train on the batches of `order` `(R, N)`, one rate each; the last may be smaller.

        Returns the sums of the losses over images, `(R,)` float64 on the device.
        """
        self._load(order, batch_size, rates)
        full, rest = divmod(order.shape[1], batch_size)
        with self._on_stream():
            for _ in range(full):
                self._next()
            if rest:
                self.rate.fill_(rates[-1])
                self.sums += self.step(self.order[:, -rest:]) * rest
        return self.sums

    @contextmanager
    def _on_stream(self) -> Iterator[None]:
        if self.stream is None:
            yield
            return
        outer = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outer)
        with torch.cuda.stream(self.stream):
            yield
        outer.wait_stream(self.stream)

    def _load(self, order: torch.Tensor, batch_size: int, rates: Sequence[float]) -> None:
        values = torch.tensor(rates, dtype=torch.float32)
        if not hasattr(self, "order"):
            self.order, self.rates = order.clone(), values.to(self.device)
            self.columns = torch.arange(batch_size, device=self.device)
            self.number = torch.zeros(1, dtype=torch.int64, device=self.device)
            self.sums = torch.zeros(len(order), dtype=torch.float64, device=self.device)
        # In place: the graph knows these tensors by their addresses.
        self.order.copy_(order)
        self.rates.copy_(values)
        self.number.zero_()
        self.sums.zero_()

    def _next(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        elif self.refused or self._plain_steps < WARM_UP - 1:
            self._body()
        elif self._plain_steps == WARM_UP - 1:
            self.refused = self._waits()
            if self.refused:
                print(f"not captured as a CUDA graph: {self.refused}", file=sys.stderr)
        else:
            self._capture()
            self.graph.replay()
        self._plain_steps += 1

    def _body(self) -> None:
        self.rate.copy_(self.rates.index_select(0, self.number).squeeze(0))
        rows = self.order.index_select(1, self.number * len(self.columns) + self.columns)
        self.sums += self.step(rows) * len(self.columns)
        self.number += 1

    def _waits(self) -> str:
        """Take a plain step; say what in it waited for the device, "" if nothing did."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self._body()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        for warning in caught:
            if "called a synchronizing" in str(warning.message):
                return f"a step waits for the device at {warning.filename}:{warning.lineno}"
        return ""

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        torch.cuda.synchronize(self.device)
        try:
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                self._body()
        except RuntimeError as error:
            raise RuntimeError(
                f"a training step could not be captured as a CUDA graph ({error}); "
                "Settings(captured=False) trains without one"
            ) from error
        self.graph = graph


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Convolutions that give the same numbers each time on one card; this costs 0.5 % there."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
