"""Yi and others 2022, Table 3: five losses with five networks on CIFAR-10, and the control.

As in Table 2 the control, which the paper lacks, gives cross-entropy and milLoss a learning rate of
their own. Here each run keeps some training images aside, and the rate of a loss is the one that is
best on them; so no run needs another. A second control is short: cross-entropy at larger rates for
a tenth of the epochs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result
from ibtutor.experiments.yi import _losses, _networks, _table3_claims, _training
from ibtutor.experiments.yi._table3_claims import CELLS, LOSSES, OWN, PAPER, SHORT, UNPLACED, gap
from ibtutor.experiments.yi._table3_plan import plan, rates

TITLE = "Five losses on CIFAR-10 at one learning rate, and two at their own"
SOURCE = "Yi and others 2022, Table 3, Figures 16 and 17"
CHAPTER = "mutual_information_learning"
FIGURE = "Table 3"
SAYS = "On CIFAR-10 networks trained with milLoss are 7 to 16 points above cross-entropy."
NEEDS = ("cifar10",)
GPU = True
REPORTED = {
    f"{network}_{loss}": Reported(value, spread, "Yi and others 2022, Table 3", "table")
    for network, cells in CELLS.items()
    for loss, (value, spread) in zip(LOSSES, cells, strict=True)
} | {
    f"{network}_visible_{n}": Reported(
        value,
        0.006,
        "Yi and others 2022, Table 3; the columns of this row's cells are not visible in our copy",
        "table",
    )
    for network, values in UNPLACED.items()
    for n, value in enumerate(values, 1)
}


@dataclass(frozen=True)
class Config:
    """Data, losses and training; sources: [P] paper, [O] our choice."""

    dataset: str = "cifar10"  # [P]
    train_size: int = 50_000  # [P]
    test_size: int = 10_000  # [P]
    networks: tuple[str, ...] = tuple(_networks.NAMES)  # [P]; their first layers: [O]
    losses: tuple[str, ...] = LOSSES  # [P]
    eps: float = 0.1  # [P] strength of label smoothing, confidence penalty and label correction
    lam: float = 50.0  # [P]
    epochs: int = 100  # [P]
    batch_size: int = 256  # [P]
    lr: float = 1e-3  # [P] constant
    momentum: float = 0.9  # [P]; no weight decay, no augmentation [P]
    seeds: tuple[int, ...] = (0, 1, 2)  # [P] 3 trials
    precision: str = "bfloat16"  # [O] of the products
    measure_every: int = 10  # [O] epochs; the curves of cross-entropy and milLoss
    # The controls, all of them [O].
    holdout: int = 5_000  # training images that no run trains on
    tuned: tuple[str, ...] = tuple(_networks.NAMES)  # networks whose losses get their own rates
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # cross-entropy
    mil_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 1e-2)
    short_epochs: int = 10
    short_rates: tuple[float, ...] = (1e-2, 1e-1)  # cross-entropy, for so many epochs


SMOKE = replace(
    Config(),
    dataset="digits",
    train_size=320,
    test_size=100,
    networks=("shufflenet_v2",),
    tuned=("shufflenet_v2",),
    losses=("ce", "lsr", "mil"),
    epochs=2,
    measure_every=1,
    batch_size=64,
    seeds=(0, 1),
    precision="float32",
    holdout=64,
    rates=(1e-3, 1e-2),
    mil_rates=(1e-3,),
    short_epochs=1,
    short_rates=(1e-2,),
)
# Twenty minutes of a data center's card, an hour or two of a small one; a night of two CPU cores.
# The paper's scale takes about half a day of a data center's card.
QUICK = replace(
    Config(),
    train_size=12_288,
    networks=("resnet18", "mobilenet_v2", "efficientnet_b0"),
    tuned=("resnet18", "mobilenet_v2"),
    epochs=12,
    measure_every=3,
    holdout=2_048,
    rates=(1e-3, 1e-2, 1e-1),
    mil_rates=(1e-3, 3e-3, 1e-2),
    short_rates=(),
)
STATED = (
    *("dataset", "train_size", "test_size", "networks", "losses", "eps", "lam", "epochs"),
    *("batch_size", "lr", "momentum", "seeds"),
)  # what the paper says of the config
SWEPT = ("networks", "losses", "tuned", "rates", "mil_rates", "short_epochs", "short_rates")
DIFFERENCES = {
    "dataset": "embedded digits need no download",
    "networks": "time",
    "losses": "time",
    "batch_size": "fewer images leave too few steps otherwise",
    "precision": "nothing is gained on so few images",
    "holdout": "fewer images",
    "tuned": "time",
    "short_epochs": "fewer epochs",
    "short_rates": "time",
    "rates": "time",
    "mil_rates": "time",
    "measure_every": "fewer epochs",
}
CLAIMS = _table3_claims.CLAIMS
table, held_out_table = _table3_claims.table, _table3_claims.held_out_table
_STANDARD = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    "digits": ((0.305,), (0.376,)),
}


def size(config: Config) -> str:
    """The scale in words."""
    networks = " and ".join(_networks.NAMES[name] for name in config.networks)
    if len(config.networks) > 2:
        networks = f"{len(config.networks)} networks"
    return f"{config.train_size:,} images, {networks}, {config.epochs} epochs"


def finding(result: Result) -> str:
    """What came of it, in one sentence with numbers."""
    found = {
        network: (gap(result, network, PAPER), gap(result, network, OWN))
        for network in _table3_claims.networks_of(result)
    }
    told = [
        f"{_networks.NAMES[network]} {_brief(at_paper)}"
        + (f" (own rates {_brief(at_own)})" if at_own else "")
        for network, (at_paper, at_own) in found.items()
        if at_paper
    ]
    if not told:
        return "Too few seeds to tell."
    return f"milLoss minus cross-entropy, accuracy in points: {', '.join(told)}."


def _brief(found: dict[str, float]) -> str:
    return f"{100 * found['difference']:+.1f}"


# --- the run --------------------------------------------------------------------------------------


def parts(config: Config) -> tuple[str, ...]:
    """One trained network each."""
    return tuple(plan(config))


def load(config: Config) -> tuple[Any, dict[str, str]]:
    """The task, where the images held out stand before the test images; and fingerprints."""
    import torch

    from ibtutor import data, train

    opened = {"cifar10": data.cifar10, "digits": data.digits}
    if config.dataset not in opened:
        raise ValueError(f"dataset must be cifar10 or digits, got {config.dataset!r}")
    if not 0 < config.holdout < config.train_size:
        raise ValueError(
            f"holdout must lie in 1..{config.train_size - 1} (below train_size), "
            f"got {config.holdout}"
        )
    both = []
    for split, count in (("train", config.train_size), ("test", config.test_size)):
        whole = opened[config.dataset](split)
        both.append(whole if count == len(whole.labels) else whole.take(count))
    (images, labels), (test_images, test_labels) = both
    held = config.train_size - config.holdout
    mean, std = _STANDARD[config.dataset]
    task = train.Task(
        (images[:held], labels[:held]),
        (torch.cat([images[held:], test_images]), torch.cat([labels[held:], test_labels])),
        mean=mean,
        std=std,
        num_classes=10,
    )
    found = {"train": data.fingerprint(images, labels)}
    return task, found | {"test": data.fingerprint(test_images, test_labels)}


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """Train one network; one row, and `curve` at the paper's rate."""
    from ibtutor import train

    network, loss, lr, seed = plan(config)[part]
    task, fingerprints = _parts.once(load, config)
    short, trained = loss == SHORT, "ce" if loss == SHORT else loss
    how, strength = _losses.arm(
        trained, eps=config.eps, lam=config.lam, batch_size=config.batch_size
    )
    epochs = config.short_epochs if short else config.epochs
    drawn = lr == config.lr and loss in ("ce", "mil")
    settings = train.Settings(
        epochs=epochs,
        batch_size=config.batch_size,
        lr=lr,
        momentum=config.momentum,
        schedule="constant",
        precision=config.precision,
        channels_last=True,
        measure_every=config.measure_every if drawn else epochs,
    )

    def measure(outputs: train.Outputs, run: Any = None, epoch: int = 0) -> dict[str, float]:
        return _measure(outputs, config.holdout)

    (done,) = train.fit(
        _networks.build(network, task.train[0].shape[1]),
        task,
        [train.Run(strength, seed, loss=how)],
        settings,
        device=device,
        resume=resume,
        progress=progress,
        measure=measure,
    )
    history = _training.history_of(done, task, settings, measure)
    names = (*_training.QUANTITIES, "held_accuracy")
    setting = f"rate {lr:g}" + (f", {epochs} epochs" if short else "")
    row = {"network": network, "loss": loss, "setting": setting, "lr": lr, "seed": seed}
    row |= _training.finite({name: history[-1][name] for name in names})
    row |= {"first_accuracy": None, "rank": None}
    if not drawn:
        return Result([row], {}, {}, fingerprints)
    row["first_accuracy"] = history[0]["accuracy"]
    row["rank"] = _training.rank_correlation(history)
    return Result([row], {}, {"curve": _training.curve(history)}, fingerprints)


def _measure(outputs: Any, holdout: int) -> dict[str, float]:
    """What Table 2 measures, and the accuracy on the images held out."""
    held, held_labels = outputs.test_logits[:holdout], outputs.test_labels[:holdout]
    right = (held.argmax(1) == held_labels).double().mean()
    test = outputs.test_logits[holdout:], outputs.test_labels[holdout:]
    outputs = outputs._replace(test_logits=test[0], test_labels=test[1])
    return _training.measure(outputs) | {"held_accuracy": float(right)}


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows there are, curves, and the own rate of a loss: the best on the images held out.

    A loss has none before all of its rates have been tried with all seeds.
    """
    planned = plan(config)
    there = [name for name in planned if name in done]
    curves: dict[str, list] = {}
    for name in there:
        if "curve" in done[name].arrays:
            network, loss, *_ = planned[name]
            curves.setdefault(f"{network}_{loss}", []).append(done[name].arrays["curve"])
    rows = [row for name in there for row in done[name].rows]
    order = [*config.networks, *config.losses, SHORT]
    rows.sort(key=lambda r: (order.index(r["network"]), order.index(r["loss"]), r["lr"], r["seed"]))
    chosen: dict[str, dict[str, float]] = {}
    edge: dict[str, list[str]] = {}
    for network in dict.fromkeys(row["network"] for row in rows):
        for loss in ("ce", "mil", SHORT):
            at = rates(config, network, loss)
            tried = _table3_claims.held_out(rows, network, loss, at, config.seeds)
            if len(tried) > (loss != SHORT):  # the table's losses were tried at the paper's, too
                best = max(tried, key=tried.get)
                chosen.setdefault(network, {})[loss] = best
                if loss != SHORT and best in (min(tried), max(tried)):
                    edge.setdefault(network, []).append(loss)
    paper = Config()
    full = all(getattr(config, k) == getattr(paper, k) for k in ("dataset", "train_size", "epochs"))
    tuned = [name for name in config.networks if name in config.tuned]
    tuned = [name for name in tuned if any(row["network"] == name for row in rows)]
    summary = {"lr": config.lr, "tuned": tuned, "rates": chosen, "edge": edge, "full": full}
    summary["measured_epochs"] = _training.measured(config.epochs, config.measure_every)
    arrays = {key: _training.stack(values) for key, values in curves.items()}
    fingerprints = {key: value for name in there for key, value in done[name].fingerprints.items()}
    return Result(rows, summary, arrays, fingerprints)


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Train every network with every loss; tuned ones also at other rates and for fewer epochs."""
    module = sys.modules[__name__]
    return _parts.run(module, config, device=device, progress=progress, resume=resume)
