"""Expected calibration error, against torchmetrics and one maximum per row."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks._measure import Row, interleaved
from ibtutor.info import expected_calibration_error

TITLE = "expected_calibration_error, 50,000 x 100, 15 bins, float32, one thread"


def run() -> Iterator[Row]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    probs = (2 * torch.randn(50_000, 100, generator=generator)).softmax(1)
    labels = torch.randint(0, 100, (50_000,), generator=generator)
    chosen, total, ones = probs.new_empty(50_000, 1), probs.new_empty(50_000), torch.ones(100)

    def least_work():  # largest, sum and smallest of each row, and the entry at its label
        pieces = (x.split(2621) for x in (probs, labels.unsqueeze(1), chosen, total))
        for part, label, at, sums in zip(*pieces, strict=True):
            part.amax(1), part.amin()
            torch.mv(part, ones, out=sums)
            torch.gather(part, 1, label, out=at)

    calls = {
        "amax": lambda: probs.amax(1),
        "least": least_work,
        "ours": lambda: expected_calibration_error(probs, labels),
    }
    try:
        from torchmetrics.functional.classification import multiclass_calibration_error
    except ImportError:
        pass
    else:
        calls["torchmetrics"] = lambda: multiclass_calibration_error(
            probs, labels, num_classes=100, n_bins=15
        )
    seconds = interleaved(calls, rounds=25)
    yield Row("multiple of amax alone", seconds["ours"] / seconds["amax"], "x")
    # Rows are checked, so four numbers a row are needed; the rest is the sum by bins.
    yield Row("ours over the least work", seconds["ours"] / seconds["least"], "x", 1.5)
    if "torchmetrics" in seconds:
        ratio = seconds["torchmetrics"] / seconds["ours"]
        yield Row("torchmetrics", ratio, "x slower", 3, at_least=True)
        gap = calls["ours"]() - calls["torchmetrics"]().item()
        yield Row("difference to torchmetrics", abs(gap), "", 1e-6)
