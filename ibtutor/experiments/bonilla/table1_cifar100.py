"""Bonilla 2025, Table 1 and Figures 1 to 5: smoothing as strong as the image was degraded.

Two arms: as coded, where the methods differ in more than their targets, and fair, where nothing
else differs; see `_training`. "cifar10" is the fair arm on other data. A part is one network.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ibtutor import data, train
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result
from ibtutor.experiments.bonilla import _evaluation, _posterior, _table1_claims, _training
from ibtutor.experiments.bonilla._evaluation import CLEAN, DEGRADED, MANNERS
from ibtutor.experiments.bonilla._table1_claims import difference, finding, of, select, summarize
from ibtutor.experiments.bonilla._training import METHODS

__all__ = [
    "CLEAN",
    "DEGRADED",
    "MANNERS",
    "METHODS",
    "difference",
    "finding",
    "of",
    "select",
]

TITLE = "Information Matching on CIFAR-100"
SOURCE = "Bonilla 2025, Sections 2 to 4, Table 1 and Figures 1 to 5"
CHAPTER = "information_matching"
FIGURE = "Table 1, Figures 1 to 5"
SAYS = (
    "Labels smoothed by the information that an image lost raise clean accuracy by seven points "
    "and degrade more gracefully."
)
NEEDS = ("cifar100",)
GPU = True


def _table(value: float, digits: int) -> Reported:
    return Reported(value, 0.5 * 10**-digits, "Table 1", "table")


REPORTED = {
    "matched_accuracy": _table(0.6324, 4),
    "smoothed_accuracy": _table(0.5594, 4),
    "hard_accuracy": _table(0.5543, 4),
    "matched_top5": _table(0.8514, 4),
    "smoothed_top5": _table(0.8207, 4),
    "hard_top5": _table(0.8235, 4),
    "matched_batched_ece": _table(0.1366, 4),
    "smoothed_batched_ece": _table(0.1121, 4),
    "hard_batched_ece": _table(0.1738, 4),
    "matched_nll": _table(1.5724, 4),
    "smoothed_nll": _table(1.7069, 4),
    "hard_nll": _table(1.8251, 4),
}


@dataclass(frozen=True)
class Config:
    """[P] paper, [C] published code, [O] our choice where both are silent."""

    data: str = "cifar100"  # [P]
    train_images: int = 50_000  # [P]
    test_images: int = 10_000  # [P]
    model: str = "resnet18"  # [P] first layer for small images: [C]
    width: int = 64  # of the first layer; [P] through ResNet-18
    hidden: int = 0  # units of a layer before the last one; only of small networks
    epochs: int = 100  # [P] at most; [C] always
    batch_size: int = 256  # [P] fair arm
    coded_batch_size: int = 128  # [C]
    lr: float = 1e-3  # [P] AdamW
    coded_matched_lr: float = 5e-4  # [C] Information Matching in the coded arm
    weight_decay: float = 1e-4  # [P]
    final_lr: float = 1e-6  # [C] of a cosine
    alpha: float = 0.1  # [P] label smoothing
    cap: float = 0.9  # [P] of eps
    bins: int = 64  # [P]
    crop: int = 4  # [C] pixels of padding; not in the paper
    flip: bool = True  # [C]
    variant: str = "coded"  # [C] of degradations, bins and targets
    max_sigma: float = 50.0  # [C] of blur
    patch: int = 8  # [C] of dropout
    levels: tuple[float, ...] = tuple(i / 10 for i in range(11))  # [P] Figure 3: 11 levels
    arms: tuple[str, ...] = ("fair", "coded")
    seeds: tuple[int, ...] = (0, 1, 2)  # [O] the paper: one run
    precision: str = "bfloat16"  # [O] of the products in training
    measure_every: int = 2  # [O] epochs


SMOKE = replace(
    Config(),
    data="digits",
    train_images=1297,
    test_images=500,
    model="mlp",
    hidden=256,
    epochs=16,
    batch_size=64,
    coded_batch_size=64,
    lr=3e-3,
    coded_matched_lr=1.5e-3,
    bins=16,
    crop=1,
    flip=False,
    max_sigma=4.0,
    patch=2,
    levels=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    seeds=(0, 1),
    precision="float32",
    measure_every=4,
)
QUICK = replace(  # 15 minutes of one core that has bfloat16
    Config(),
    train_images=6_000,
    test_images=1_000,
    model="small_cnn",
    width=16,
    hidden=128,
    epochs=8,
    batch_size=128,
    lr=3e-3,
    coded_matched_lr=1.5e-3,
    arms=("fair", "coded", "cifar10"),
    seeds=(0, 1, 2, 3, 4),
    measure_every=4,
)
SWEPT = ("arms",)
STATED = (
    "data",
    "train_images",
    "test_images",
    "model",
    "epochs",
    "batch_size",
    "lr",
    "weight_decay",
    "alpha",
    "cap",
    "bins",
    "levels",
)  # what the paper says of the config
DIFFERENCES = {
    "data": "embedded digits need no download",
    "model": "a ResNet-18 needs days on two CPU cores",
    "hidden": "a layer of small networks only",
    "batch_size": "fewer images leave too few steps otherwise",
    "lr": "a small network takes larger steps",
    "coded_batch_size": "64 images are 4 % of the digits",
    "coded_matched_lr": "half of the others, as in the code",
    "bins": "17 gray levels and 64 pixels fill no 64 bins",
    "crop": "an image of 8 pixels a side stays in view",
    "flip": "a mirrored digit is none",
    "max_sigma": "the image is a quarter as wide",
    "patch": "the image is a quarter as wide",
    "levels": "fewer, for a page's time",
    "arms": "the fair arm on CIFAR-10 too, three seeds",
    "precision": "nothing is gained on so small a network",
}


def size(config: Config) -> str:
    """The scale in words."""
    network = "ResNet-18" if config.model == "resnet18" else "a small network"
    seeds = f"{len(config.seeds)} seeds of {config.epochs} epochs"
    return f"{config.train_images:,} images, {network}, {seeds}"


def check(config: Config) -> None:
    """ValueError with one clear message for a config that no run could follow."""
    _training.check_data(config.data)
    if len(config.seeds) == 0:
        raise ValueError(f"seeds must name at least one network, got {config.seeds!r}")
    if len(config.arms) == 0 or set(config.arms) - set(METHODS):
        raise ValueError(f"arms must be some of {', '.join(METHODS)}, got {config.arms!r}")
    if len(config.levels) == 0 or not all(0 <= d <= 1 for d in config.levels):
        raise ValueError(f"levels must lie in [0, 1], got {config.levels!r}")
    if config.bins < 2:
        raise ValueError(f"bins must be at least 2, got {config.bins}")
    if config.epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {config.epochs}")


def architecture(config: Config) -> str:
    """A digest of the network's layers."""
    check(config)
    channels = 1 if config.data == "digits" else 3
    network = _training.network(config, _training.CLASSES[config.data], channels)
    return _parts.architecture(network)


def shared(config: Config) -> tuple[str, ...]:
    """Methods whose networks are the same in both arms: crop, flip and rate are, and the batch."""
    both = {"fair", "coded"} <= set(config.arms) and config.batch_size == config.coded_batch_size
    return ("hard", "smoothed") if both else ()


def parts(config: Config) -> tuple[str, ...]:
    """What was lost by way and level, then one trained network each, seed by seed."""
    check(config)
    variant = [arm for arm in config.arms if arm == "cifar10"]
    paper = [arm for arm in config.arms if arm not in variant]
    runs = (
        f"seed{seed}-{arm}-{method}"
        for arms, seeds in ((paper, config.seeds), (variant, config.seeds[:3]))
        for seed in seeds
        for arm in arms
        for method in METHODS[arm]
        if not (arm == "coded" and method in shared(config))
    )
    return ("information", *runs)


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """One network: a row, its history and what it does to degraded images.

    ValueError for an unknown part, RuntimeError if the network diverges.
    """
    if part not in parts(config):
        raise ValueError(f"part must be one of {', '.join(parts(config))}, got {part!r}")
    if part == "information":
        return _information(config)
    seed, arm, method = part.split("-")
    seed = int(seed.removeprefix("seed"))
    trained, network, (train_split, test_split) = _training.train_one(
        config, arm, method, seed, device=device, progress=progress, resume=resume
    )
    if trained.diverged:  # no metric takes outputs that are no numbers
        rate = _training.settings(config, arm, method).lr
        raise RuntimeError(
            f"{part}: a row needs a finite loss, got none at rate {rate:g}: {trained.diverged}"
        )
    where = train.resolve_device(device)
    measured = [entry for entry in trained.history if "accuracy" in entry]
    best = max(measured, key=lambda entry: entry["accuracy"])
    row = {"arm": arm, "method": method, "seed": seed}
    row |= {name: measured[-1][name] for name in CLEAN}
    row |= {f"best_{name}": best[name] for name in CLEAN}
    row |= _evaluation.rescaled(trained.test_logits, trained.test_labels)
    degraded = _evaluation.curves(network, test_split, config, where)
    row |= {f"degraded_{name}": float(degraded[..., i].mean()) for i, name in enumerate(DEGRADED)}
    arrays = {
        "degraded": degraded,
        "first_class": _evaluation.first_class(network, test_split, config, where),
        "reliability": _evaluation.reliability(trained.test_logits, trained.test_labels),
        "loss": np.array([entry["loss"] for entry in trained.history]),
        "clean": np.array([[entry[name] for name in CLEAN] for entry in measured]),
    }
    where_from = f"{arm} " if arm == "cifar10" else ""  # other data have a name of their own
    prints = {
        f"{where_from}{name}": data.fingerprint(*split)
        for name, split in (("train", train_split), ("test", test_split))
    }
    return Result([row], arrays=arrays, fingerprints=prints)


def _information(config: Config) -> Result:
    """What training images keep by way and level, drawn strengths, the digits' known posterior."""
    split = _training.images(config)[0]
    few = split if len(split.labels) <= 1000 else split.take(1000)
    arrays = {
        "kept": _evaluation.information_kept(config, few.images),
        "strengths": _training.drawn_strengths(config, few),
        "posterior": _posterior.table(SMOKE, config.levels),
    }
    return Result([], arrays=arrays)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows in the order of the parts, arrays stacked in the order of the rows."""
    runs = [done[name] for name in parts(config)[1:] if name in done]
    # To `verify` a "temperature" would be a setting, which names the row.
    names = {"temperature": "fitted_temperature"}
    rows = [{names.get(k, k): v for k, v in row.items()} for r in runs for row in r.rows]
    common = [("fair", method) for method in shared(config)]
    twice = [i for i, row in enumerate(rows) if (row["arm"], row["method"]) in common]
    rows += [rows[i] | {"arm": "coded"} for i in twice]
    arrays = dict(done["information"].arrays) if "information" in done else {}
    if runs:
        order = [*range(len(runs)), *twice]
        for name in runs[0].arrays:
            arrays[name] = np.stack([runs[i].arrays[name] for i in order])
    prints = {k: v for result in runs for k, v in result.fingerprints.items()}
    result = Result(rows, arrays=arrays, fingerprints=prints)
    result.summary = summarize(result) | {
        "levels": list(config.levels),
        "clean_epochs": _measured_epochs(config),
    }
    return result


def _measured_epochs(config: Config) -> list[int]:
    every = range(config.measure_every, config.epochs + 1, config.measure_every)
    return sorted({*every, config.epochs})


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Every part, then the whole: rows by arm, method and seed."""
    check(config)
    module = sys.modules[__name__]
    return _parts.run(module, config, device=device, progress=progress, resume=resume)


CLAIMS, shares = _table1_claims.CLAIMS, _table1_claims.shares
