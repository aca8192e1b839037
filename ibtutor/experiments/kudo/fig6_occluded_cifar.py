"""Kudo 2025, Figure 6: does label smoothing forget the digit that lies over the picture?

Networks learn the class of CIFAR-10 images under an independent MNIST digit. Probes then read the
digit from the frozen penultimate features. Beside smoothing stand two null controls at the same
I(T;Y): a temperature after training, which leaves the features as they were, and weight decay.
"""

import functools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ibtutor.experiments import _parts
from ibtutor.experiments._base import Result, network
from ibtutor.experiments._null_control import information
from ibtutor.experiments._softened import at_information, softened_to, table
from ibtutor.experiments.kudo._factors import SWEPT, key_of, model_maker, runs_of, settings, stacked
from ibtutor.experiments.kudo._probe_claims import CLAIMS, finding
from ibtutor.experiments.kudo._probe_summary import PROBES, summarize

__all__ = ["CLAIMS", "SWEPT", "finding"]

EARLY = (0.0, 0.1, 0.9)  # strengths that come first
TITLE = "Accuracy of probes for the occluding digit, by smoothing strength"
SOURCE = "Kudo 2025, Figure 6 and Section 5.3"
CHAPTER = "nuisance_factors"
FIGURE = "Figure 6"
AFTER_TRAINING = ("temperature",)  # methods that change the outputs of one network
SAYS = "Smoothing lowers a probe's accuracy for the digit; that of the class does not improve."
NEEDS = ("cifar10", "mnist")
GPU = True
REPORTED: dict = {}  # the text states directions only, and the figure's axis is not given to us


@dataclass(frozen=True)
class Config:
    """Data, training and probes; sources: [P] paper, [C] reference code, [O] our choice."""

    dataset: str = "occluded_cifar"  # [P]; "digit_pairs" is the stand-in on embedded digits
    train_size: int = 50_000  # [P] all of CIFAR-10
    test_size: int = 10_000  # [P]
    data_seed: int = 0  # [O] one fixed digit for each image, the same in all trials
    how: str = "over"  # [O] gray value of the digit = opacity of white paint
    overlap: int = 0  # only for the stand-in: columns that both digits share
    alphas: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)  # [O] the grid is not stated
    weight_decays: tuple[float, ...] = (5e-4, 1e-3, 2e-3, 5e-3)  # [O] null control, not in paper
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)  # [P] 5 trials
    model: str = "resnet56"  # [P]
    width: int = 64  # not used by a ResNet
    epochs: int = 160  # [P]
    milestones: tuple[float, ...] = (0.5, 0.75)  # [P] rate times 0.1 at epochs 80 and 120
    batch_size: int = 128  # [C] and He et al. 2016, section 4.2
    lr: float = 0.1  # [P]
    momentum: float = 0.9  # [P]
    augment: bool = True  # [O] random crop, no mirror: a mirrored digit has another label
    precision: str = "float32"  # [O]
    probe_size: int = 50_000  # [O] training features that a probe is fitted on
    probe_epochs: int = 30  # [O] at most, for the MLP probe


SMOKE = replace(
    Config(),
    dataset="digit_pairs",
    train_size=3000,
    test_size=1000,
    alphas=(0.0, 0.1, 0.3, 0.9),
    weight_decays=(0.01,),
    seeds=(0, 1),
    model="mlp",
    epochs=20,
    milestones=(),
    augment=False,
    probe_size=3000,
)
QUICK = replace(
    Config(),
    train_size=2000,
    test_size=4000,
    weight_decays=(1e-2, 2e-2, 4e-2),
    seeds=tuple(range(10)),
    model="fitting_cnn",
    width=16,
    epochs=40,
    batch_size=64,
    augment=False,
    probe_size=2000,
)
STATED = (
    "dataset",
    "train_size",
    "test_size",
    "seeds",
    "model",
    "epochs",
    "milestones",
    "lr",
    "momentum",
)  # what the paper says of the config
DIFFERENCES = {
    "dataset": "two embedded digits side by side need no download",
    "weight_decays": "the strengths whose I(T;Y) lies where smoothing's does, for this network",
    "milestones": "networks forget at the high rate, and few epochs leave little time for it",
    "model": "a ResNet-56 needs weeks on two CPU cores",
    "batch_size": "few images leave too few steps otherwise",
    "augment": "so that few images are fitted in few epochs, as the paper's network fits all",
}


def size(config: Config) -> str:
    """The scale in words."""
    return f"{config.train_size:,} images, {network(config.model)}"


def load_data(config: Config) -> tuple[Any, Any]:
    """Training and test data as `ibtutor.data.occluded.Occluded`."""
    from ibtutor import data
    from ibtutor.data.occluded import digit_pairs, occluded

    both = []
    for number, split in enumerate(("train", "test")):
        seed = 2 * config.data_seed + number
        size = config.train_size if split == "train" else config.test_size
        if config.dataset == "digit_pairs":
            source = data.digits(split)
            digits = source.images[:, 0]
            both.append(digit_pairs(digits, source.labels, size, overlap=config.overlap, seed=seed))
        elif config.dataset == "occluded_cifar":
            source, marks = data.cifar10(split).take(size, seed=seed), data.mnist(split)
            digits = marks.images[:, 0]
            both.append(occluded(*source, digits, marks.labels, seed=seed, how=config.how))
        else:
            raise ValueError(
                f"dataset must be occluded_cifar or digit_pairs, got {config.dataset!r}"
            )
    return both[0], both[1]


def _standardization(images: Any) -> dict[str, tuple[float, ...]]:
    """Mean and standard deviation of each channel of the training images."""
    unit = images.double() / 255
    return {
        "mean": tuple(unit.mean((0, 2, 3)).tolist()),
        "std": tuple(unit.std((0, 2, 3)).tolist()),
    }


def _no_mirror(images: Any, generator: Any) -> Any:
    from ibtutor.data import random_crop_flip

    return random_crop_flip(images, generator, flip=False)


@dataclass(frozen=True)
class _Data:
    train: Any
    test: Any
    scale: dict[str, tuple[float, ...]]
    fingerprints: dict[str, str]


def _opened(config: Config) -> _Data:
    from ibtutor import data

    both = load_data(config)
    fingerprints = {
        name: data.fingerprint(part.images, part.labels, part.nuisance)
        for name, part in zip(("train", "test"), both, strict=True)
    }
    return _Data(*both, _standardization(both[0].images), fingerprints)


def architecture(config: Config) -> str:
    """A digest of the network."""
    shapes = {"occluded_cifar": (3, 32, 32), "digit_pairs": (1, 8, 16 - config.overlap)}
    if config.dataset not in shapes:
        raise ValueError(f"dataset must be occluded_cifar or digit_pairs, got {config.dataset!r}")
    return _parts.architecture(model_maker(config, shapes[config.dataset])())


def parts(config: Config) -> tuple[str, ...]:
    """A part a run: few strengths for every seed, then the control, then the other strengths.

    The small network of the smoke profile trains side by side: there a kind of run is one part.
    """
    if stacked(config):
        return ("all-ls", *(f"all-wd-{decay!r}" for decay in config.weight_decays))
    early = [(s, "ls", a) for s in config.seeds for a in config.alphas if a in EARLY]
    decays = [(s, "wd", d) for s in config.seeds for d in config.weight_decays]
    late = [(s, "ls", a) for s in config.seeds for a in config.alphas if a not in EARLY]
    return tuple(f"seed{s}-{arm}-{strength!r}" for s, arm, strength in early + decays + late)


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """Train one run, or those that share a loop, and probe the features."""
    from ibtutor import record, train

    opened = _parts.once(_opened, config)
    make = model_maker(config, tuple(opened.train.images.shape[1:]))
    mine = runs_of(config, part)
    done = train.fit(
        make,
        train.Task(
            (opened.train.images, opened.train.labels),
            (opened.test.images, opened.test.labels),
            augment=_no_mirror if config.augment else None,
            num_classes=10,
            **opened.scale,
        ),
        mine,
        settings(config, device),
        device=device,
        resume=None if resume is None else Path(resume) / "train",
        progress=progress,
    )
    partial = record.Partial(None if resume is None else Path(resume) / "probes")
    rows, plain = [], []
    for trained in done:
        row = partial.get(trained.run.name)
        if row is None:
            row = _measure(config, trained, make(), opened.train, opened.test, opened.scale, device)
            partial.put(trained.run.name, row)
        rows.append(row)
        if row["method"] == "ls" and row["alpha"] == 0 and not row["diverged"]:
            measure = functools.partial(information, labels=opened.train.labels)
            softened = table(trained.train_logits, measure)
            plain.append({"seed": row["seed"], "softened": softened})
    return Result(rows, {"plain": plain}, fingerprints=opened.fingerprints)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows, cross-entropy at matched I(T;Y), and the comparisons."""
    found = {key_of(row): row for part in done.values() for row in part.rows}
    plain = {e["seed"]: e["softened"] for p in done.values() for e in p.summary["plain"]}
    order = [(s, "ls", a) for s in config.seeds for a in config.alphas]
    order += [(s, "wd", d) for s in config.seeds for d in config.weight_decays]
    rows = [found[key] for key in order if key in found]
    rows += _temperature_rows(rows, plain)
    return Result(rows, summarize(rows), fingerprints=next(iter(done.values())).fingerprints)


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Train all arms, probe their features, and compare at matched I(T;Y)."""
    this = sys.modules[__name__]
    return _parts.run(this, config, device=device, progress=progress, resume=resume)


def _measure(
    config: Config,
    trained: Any,
    model: Any,
    train_set: Any,
    test_set: Any,
    scale: dict,
    device: str,
) -> dict[str, Any]:
    """One row: accuracy, information, and what each probe reads from the features."""
    from ibtutor import probes, train

    decay = trained.run.weight_decay
    row = {
        "seed": trained.run.seed,
        "method": "ls" if decay is None else "wd",
        "alpha": trained.run.strength,
        "weight_decay": decay or 0.0,
        "accuracy": trained.accuracy,
        "train_accuracy": float(
            (trained.train_logits.argmax(1) == train_set.labels).double().mean()
        ),
    }
    if trained.diverged:  # its outputs are no probabilities
        return row | {"diverged": True}
    row |= information(trained.train_probs, train_set.labels) | {"diverged": False}
    network = trained.load(model)
    seen = [
        train.predict(network, part.images, device=device, features=True, **scale).features
        for part in (train_set, test_set)
    ]
    scores = probes.probe_all(
        seen[0][: config.probe_size],
        train_set.nuisance[: config.probe_size],
        seen[1],
        test_set.nuisance,
        kinds=PROBES,
        seed=trained.run.seed,
        max_epochs=config.probe_epochs,
    )
    for kind, score in scores.items():
        row |= {f"probe_{kind}": score.test, f"probe_{kind}_train": score.train}
        row["chance"] = score.chance
    return row


def _temperature_rows(rows: list[dict], plain: dict[int, Any]) -> list[dict]:
    """Cross-entropy softened after training to the I(T;Y) of each smoothed run.

    The features are those of cross-entropy, so the probes read what they read there. `plain` has
    the table of each seed's outputs.
    """
    bases = {r["seed"]: r for r in rows if r["method"] == "ls" and r["alpha"] == 0}
    softened = []
    for row in rows:
        smoothed = row["method"] == "ls" and row["alpha"] > 0 and not row["diverged"]
        if not smoothed or row["seed"] not in plain:
            continue
        outputs = plain[row["seed"]]
        temperature = at_information(outputs, row["i_ty"])
        if temperature != temperature:  # not reached at any temperature
            continue
        changed = {"method": "temperature", "alpha": row["alpha"], "temperature": temperature}
        softened.append(bases[row["seed"]] | changed | softened_to(outputs, temperature))
    return softened
