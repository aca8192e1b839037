"""What the experiments on milLoss share: networks, data, runs and the numbers of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

QUANTITIES = ("accuracy", "train_accuracy", "ce", "train_ce", "label_ce", "information")


def network(model: str, side: int = 28, unfolded: bool = False) -> Callable[[], Any]:
    """A function that builds `mlp` (two layers of 64) or `cnn` (10 and 20 channels, then 50).

    `unfolded` convolutions are matrix products: the same weights and outputs, and they stack.
    """
    from torch import nn

    from ibtutor import models
    from ibtutor.experiments.yi._stacked import Unfolded

    conv = Unfolded if unfolded else nn.Conv2d

    if model == "mlp":
        return lambda: models.MLP(side * side, (64, 64), 10)
    if model != "cnn":
        raise ValueError(f"model must be mlp or cnn, got {model!r}")
    if side != 28:
        raise ValueError(f"the cnn takes images of 28 by 28 pixels, got {side} by {side}")
    return lambda: nn.Sequential(
        *(conv(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(conv(10, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(320, 50), nn.ReLU(), nn.Linear(50, 10)),
    )


def load(dataset: str, train_size: int, test_size: int) -> tuple[Any, Any]:
    """Training and test split, whole or balanced; `digits` stands in for `mnist`."""
    from ibtutor import data

    if dataset not in ("mnist", "digits"):
        raise ValueError(f"dataset must be mnist or digits, got {dataset!r}")
    open_split = data.mnist if dataset == "mnist" else data.digits
    pairs = (open_split("train"), train_size), (open_split("test"), test_size)
    train_set, test_set = (s if size == len(s.labels) else s.take(size) for s, size in pairs)
    return train_set, test_set


def task_of(config: Any) -> tuple[Any, Any, dict[str, str]]:
    """The task of a config, the one for tuning (held-out training images), and fingerprints."""
    from ibtutor import data, train

    train_set, test_set = load(config.dataset, config.train_size, config.test_size)
    fingerprints = {
        "train": data.fingerprint(train_set.images, train_set.labels),
        "test": data.fingerprint(test_set.images, test_set.labels),
    }
    whole = train.Task(tuple(train_set), tuple(test_set), num_classes=10)
    tuning = None
    if held := getattr(config, "holdout", 0):
        inner, outer = (
            (train_set.images[rows], train_set.labels[rows])
            for rows in (slice(None, -held), slice(-held, None))
        )
        tuning = train.Task(inner, outer, num_classes=10)
    return whole, tuning, fingerprints


def measure(outputs: Any, run: Any = None, epoch: int = 0) -> dict[str, float]:
    """Accuracy and cross-entropy on both splits; the learned information on the test split.

    That is the cross-entropy of the labels' shares with the mean prediction, minus the
    cross-entropy: what the two terms of milLoss learn, in nats.
    """
    accuracy, ce, label_ce = _of(outputs.test_logits, outputs.test_labels)
    train_accuracy, train_ce, _ = _of(outputs.train_logits, outputs.train_labels)
    values = (accuracy, train_accuracy, ce, train_ce, label_ce, label_ce - ce)
    return dict(zip(QUANTITIES, values, strict=True))


def _of(logits: Any, labels: Any) -> tuple[float, float, float]:
    """Accuracy and the two terms of milLoss on a whole split, in float64."""
    import torch

    accuracy = float((logits.argmax(1) == labels).double().mean())
    if not bool(logits.isfinite().all()):
        return accuracy, math.nan, math.nan
    log_p = logits.double().log_softmax(1)
    ce = -float(log_p.gather(1, labels[:, None]).mean())
    shares = torch.bincount(labels, minlength=logits.shape[1]).double() / len(labels)
    log_mean = log_p.logsumexp(0) - math.log(len(labels))
    return accuracy, ce, -float((shares * log_mean).sum())


def train_all(
    model: str,
    task: Any,
    runs: Sequence[Any],
    settings: Any,
    *,
    device: str,
    resume: Path | None,
    progress: bool,
) -> list[list[dict]]:
    """The measured history of every run.

    On a card all runs train side by side; on a processor MLPs of one seed do, CNNs one by one.
    """
    from ibtutor import train
    from ibtutor.experiments.yi import _shared_batches, _stacked

    side = task.train[0].shape[-1]
    common = {"device": device, "resume": resume, "progress": progress}
    if _stacked.chosen(device, settings.precision):
        make = network(model, side, unfolded=True)
        return _stacked.fit(make, task, runs, settings, measure, **common)
    make = network(model, side)
    if model == "cnn":
        done = train.fit(make, task, runs, settings, measure=measure, **common)
        return [history_of(each, task, settings, measure) for each in done]
    found: dict[str, list[dict]] = {}
    for seed in dict.fromkeys(run.seed for run in runs):
        group = [run for run in runs if run.seed == seed]
        histories = _shared_batches.fit(make, task, group, settings, measure, **common)
        found |= {run.name: history for run, history in zip(group, histories, strict=True)}
    return [found[run.name] for run in runs]


def history_of(
    done: Any, task: Any, settings: Any, measure: Callable[[Any, Any, int], dict]
) -> list[dict]:
    """What was measured of a run; from where it diverged on, what its last outputs give.

    So its end is not an older measurement, and its curve is as long as any other.
    """
    from ibtutor import train

    found = {entry["epoch"]: entry for entry in done.history if "accuracy" in entry}
    if done.diverged:
        outputs = train.Outputs(
            done.train_logits, task.train[1].cpu(), done.test_logits, done.test_labels
        )
        for epoch in measured(settings.epochs, settings.measure_every):
            if epoch not in found:
                found[epoch] = {"epoch": epoch} | measure(outputs, done.run, epoch)
    return list(found.values())


def batches(images: int, size: int) -> int:
    """How many batches an epoch has: `ibtutor.train` leaves out a last one of a single image."""
    whole, rest = divmod(images, size)
    return whole + (rest > 1 or whole == 0)


def rank_correlation(history: Sequence[dict]) -> float | None:
    """Spearman's correlation of information and error over the measured epochs."""
    from scipy import stats

    values = [(entry["information"], 1 - entry["accuracy"]) for entry in history]
    still = any(len(set(column)) < 2 for column in zip(*values, strict=True))
    if len(values) < 3 or still or any(math.isnan(information) for information, _ in values):
        return None
    return float(stats.spearmanr(*zip(*values, strict=True)).statistic)


def finite(values: dict[str, float], otherwise: float | None = None) -> dict[str, float | None]:
    """The values with `otherwise` for those of a run that diverged."""
    return {k: v if math.isfinite(v) else otherwise for k, v in values.items()}


def curve(history: Sequence[dict]) -> Any:
    """The measured quantities by epoch, float32; zeros where a run diverged."""
    return stack([list(finite({k: e[k] for k in QUANTITIES}, 0.0).values()) for e in history])


def stack(values: Sequence) -> Any:
    """An array of a record."""
    import numpy as np

    return np.asarray(values, dtype="float32")


def measured(epochs: int, every: int) -> list[int]:
    """The epochs that are measured: every so many, and the last."""
    return sorted({*range(every, epochs + 1, every), epochs})
