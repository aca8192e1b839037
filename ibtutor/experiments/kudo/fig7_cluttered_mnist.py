"""Kudo 2025, Figures 7 and 8: does a smoothed network look at the digit and not at the clutter?

Networks learn MNIST digits among crops of the same digit image. Grad-CAM maps, which the paper
shows as pictures, become a number: the share of their mass inside the digit's box and on its
strokes. Beside smoothing stands weight decay at the same I(T;Y). A temperature after training
needs no run: it divides the logits, hence the map, by one number, and leaves every share as it was.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result, network
from ibtutor.experiments._null_control import information
from ibtutor.experiments.kudo._factors import SWEPT, key_of, model_maker, runs_of, settings
from ibtutor.experiments.kudo._saliency_claims import CLAIMS, finding, gap, told
from ibtutor.experiments.kudo._saliency_summary import summarize

__all__ = ["CLAIMS", "SWEPT", "finding", "gap", "told"]

TITLE = "Grad-CAM on self-cluttered digits, cross-entropy and label smoothing"
SOURCE = "Kudo 2025, Figures 7 and 8 and Section 5.3"
CHAPTER = "redundant_factors"
FIGURE = "Figures 7 and 8"
SAYS = "Smoothing draws the saliency to the whole digit, except for the digit 1."
NEEDS = ("mnist",)
GPU = True
REPORTED = {
    "accuracy_ce": Reported(0.9799, 0.005, "Kudo 2025, Section 5.3", "text"),
    "accuracy_ls": Reported(0.9805, 0.005, "Kudo 2025, Section 5.3", "text"),
}
EXAMPLES_A_DIGIT = 2


@dataclass(frozen=True)
class Config:
    """Data, training and maps; sources: [P] paper, [C] reference code, [O] our choice."""

    dataset: str = "mnist"  # [P]; "digits" is the stand-in, embedded digits enlarged
    train_size: int = 60_000  # [P] one canvas for each MNIST image
    test_size: int = 10_000  # [P]
    data_seed: int = 0  # [O] a fixed data set, the same in all trials
    digit_size: int = 28  # [P]
    canvas: int = 60  # [P]
    num_crops: int = 12  # [P]
    crop: int = 8  # [C] default of the generator of Mnih et al.; the paper does not say
    alphas: tuple[float, ...] = (0.0, 0.1)  # [P]
    weight_decays: tuple[float, ...] = (1e-3, 5e-3)  # [O] null control, not in the paper
    seeds: tuple[int, ...] = (0, 1, 2)  # [P] 3 trials
    model: str = "resnet20"  # [P]
    width: int = 64  # not used by a ResNet
    layer: str = "layer3"  # [O] last stage, as is usual for ResNets
    epochs: int = 160  # [P]
    milestones: tuple[float, ...] = (0.5, 0.75)  # [P] rate times 0.1 at epochs 80 and 120
    batch_size: int = 128  # [C] and He et al. 2016, section 4.2
    lr: float = 0.1  # [P]
    momentum: float = 0.9  # [P]
    precision: str = "float32"  # [O]
    saliency_size: int = 10_000  # [O] test images whose map is measured


SMOKE = replace(
    Config(),
    dataset="digits",
    train_size=1200,
    test_size=400,
    digit_size=8,
    canvas=20,
    num_crops=6,
    crop=3,
    weight_decays=(0.005,),
    seeds=(0, 1),
    model="small_cnn",
    width=16,
    layer="stages.4",
    epochs=12,
    batch_size=32,
    saliency_size=400,
)
QUICK = replace(
    Config(),
    train_size=8000,
    test_size=3000,
    weight_decays=(1e-3, 3e-3),
    model="small_cnn",
    width=16,
    layer="stages.4",
    epochs=16,
    batch_size=64,
    precision="bfloat16",
    saliency_size=3000,
)
STATED = (
    "dataset",
    "train_size",
    "test_size",
    "digit_size",
    "canvas",
    "num_crops",
    "alphas",
    "seeds",
    "model",
    "epochs",
    "milestones",
    "lr",
    "momentum",
)  # what the paper says of the config
DIFFERENCES = {
    "dataset": "embedded digits need no download",
    "digit_size": "the embedded digits are small",
    "canvas": "in proportion to the smaller digit",
    "num_crops": "in proportion to the smaller canvas",
    "crop": "in proportion to the smaller digit",
    "weight_decays": "the strengths whose I(T;Y) lies near smoothing's, for this network",
    "model": "a ResNet-20 needs days on two CPU cores",
    "layer": "the last stage of this network, of the same 15x15 resolution at 60x60",
    "batch_size": "fewer images leave too few steps otherwise",
    "precision": "twice as fast on a CPU; maps are computed in float32",
}


def size(config: Config) -> str:
    """The scale in words."""
    return f"{config.train_size:,} images, {network(config.model)}"


def load_data(config: Config) -> tuple[Any, Any]:
    """Training and test data, each as `(Cluttered, labels)`; images are uint8."""
    from ibtutor import data
    from ibtutor.data.cluttered import clutter, enlarge

    if config.dataset not in ("mnist", "digits"):
        raise ValueError(f"dataset must be mnist or digits, got {config.dataset!r}")
    open_split = data.mnist if config.dataset == "mnist" else data.digits
    both = []
    for number, split in enumerate(("train", "test")):
        seed = 2 * config.data_seed + number
        size = config.train_size if split == "train" else config.test_size
        whole = open_split(split)
        source = whole if size == len(whole.labels) else whole.take(size, seed=seed)
        digits = source.images[:, 0]
        if digits.shape[-1] != config.digit_size:
            digits = enlarge(digits.float(), config.digit_size).round().to(digits.dtype)
        made = clutter(
            digits,
            canvas=config.canvas,
            num_crops=config.num_crops,
            crop=config.crop,
            seed=seed,
        )
        both.append((made, source.labels))
    return both[0], both[1]


@dataclass(frozen=True)
class _Data:
    train: Any
    train_labels: Any
    test: Any
    test_labels: Any
    scale: dict[str, tuple[float, ...]]
    fingerprints: dict[str, str]


def _opened(config: Config) -> _Data:
    from ibtutor import data

    (train_set, train_labels), (test_set, test_labels) = load_data(config)
    unit = train_set.images.double() / 255
    scale = {"mean": (float(unit.mean()),), "std": (float(unit.std()),)}
    fingerprints = {
        "train": data.fingerprint(train_set.images, train_labels),
        "test": data.fingerprint(test_set.images, test_labels),
    }
    return _Data(train_set, train_labels, test_set, test_labels, scale, fingerprints)


def architecture(config: Config) -> str:
    """A digest of the network."""
    return _parts.architecture(model_maker(config, (1, config.canvas, config.canvas))())


def parts(config: Config) -> tuple[str, ...]:
    """A part a run: the paper's arms of every seed, then the control."""
    arms = [(s, "ls", a) for s in config.seeds for a in config.alphas]
    arms += [(s, "wd", d) for s in config.seeds for d in config.weight_decays]
    return tuple(f"seed{s}-{arm}-{strength!r}" for s, arm, strength in arms)


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """Train one run, map what it looks at, and measure where the mass of the maps lies.

    RuntimeError if it diverges.
    """
    from ibtutor import train

    opened = _parts.once(_opened, config)
    make = model_maker(config, tuple(opened.train.images.shape[1:]))
    (trained,) = train.fit(
        make,
        train.Task(
            (opened.train.images, opened.train_labels),
            (opened.test.images, opened.test_labels),
            num_classes=10,
            **opened.scale,
        ),
        runs_of(config, part),
        settings(config, device),
        device=device,
        resume=resume,
        progress=progress,
    )
    if trained.diverged:  # its maps are no numbers
        raise RuntimeError(
            f"{part}: a map needs a finite loss, got none at rate {config.lr:g}: {trained.diverged}"
        )
    row, piece = _measure(
        config, trained, make(), opened.test, opened.train_labels, opened.scale, device
    )
    labels = opened.test_labels[: config.saliency_size].numpy()
    shown = example_rows(labels)
    piece |= {"example_boxes": opened.test.boxes[shown].numpy(), "labels": labels.astype("uint8")}
    if config.dataset == "digits":  # MNIST is not ours to pass on
        piece["example_images"] = opened.test.images[shown, 0].numpy()
    strokes = float(opened.test.masks[: config.saliency_size].double().mean())
    about = {"run": trained.run.name, "chance_stroke": strokes}
    return Result([row], about, piece, opened.fingerprints)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows, the comparisons, and arrays to draw from."""
    there = [done[name] for name in parts(config) if name in done]
    rows = [part.rows[0] for part in there]
    first = there[0]
    labels = first.arrays["labels"].astype("int64")
    shares = {part.summary["run"]: part.arrays["box"] for part in there}
    summary = summarize(rows, shares, labels)
    summary["chance_box"] = (config.digit_size / config.canvas) ** 2
    summary["chance_stroke"] = first.summary["chance_stroke"]
    return Result(rows, summary, _pictures(there, labels), first.fingerprints)


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Train all arms, map what they look at, and measure where the mass of the maps lies."""
    this = sys.modules[__name__]
    return _parts.run(this, config, device=device, progress=progress, resume=resume)


def example_rows(labels: Any) -> Any:
    """The first two images of each digit, whatever the networks make of them."""
    import torch

    labels = torch.as_tensor(labels)
    return torch.cat([torch.nonzero(labels == k)[:EXAMPLES_A_DIGIT, 0] for k in range(10)])


def _pictures(there: list[Result], labels: Any) -> dict[str, Any]:
    """Arrays to draw from: example maps of the paper's arms, and mean maps around the box."""
    first = there[0].arrays
    arrays = {
        "example_boxes": first["example_boxes"],
        "example_labels": labels[example_rows(labels)],
    }
    if "example_images" in first:
        arrays["example_images"] = first["example_images"]
    groups: dict[str, list[Any]] = {}
    for part in there:
        row, piece = part.rows[0], part.arrays
        if row["method"] == "ls":
            arrays[f"maps_alpha{row['alpha']:g}_seed{row['seed']}"] = piece["examples"]
        _, method, strength = key_of(row)
        for which in ("others", "one"):
            key = f"around_{method}{strength:g}_{which}"
            groups.setdefault(key, []).append(piece[f"around_{which}"])
    return arrays | {key: (sum(maps) / len(maps)).astype("float16") for key, maps in groups.items()}


def _measure(
    config: Config,
    trained: Any,
    model: Any,
    test_set: Any,
    train_labels: Any,
    scale: dict,
    device: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One row, and arrays: box share by image, example maps, mean maps around the box."""
    from ibtutor import saliency
    from ibtutor.data import to_float

    count = config.saliency_size
    network = trained.load(model).to(device)
    maps, _ = saliency.grad_cam(
        network,
        test_set.images[:count],
        config.layer,
        transform=lambda part: to_float(part, **scale),
    )
    box = saliency.mass_share(maps, test_set.box_masks()[:count], on_constant="nan")
    stroke = saliency.mass_share(maps, test_set.masks[:count], on_constant="nan")
    labels = trained.test_labels[:count]
    seen = ~box.isnan()
    decay = trained.run.weight_decay
    row = {
        "seed": trained.run.seed,
        "method": "ls" if decay is None else "wd",
        "alpha": trained.run.strength,
        "weight_decay": decay or 0.0,
        "accuracy": trained.accuracy,
        "train_accuracy": float((trained.train_logits.argmax(1) == train_labels).double().mean()),
        **information(trained.train_probs, train_labels),
        "constant_maps": int((~seen).sum()),
    }
    for name, share in (("box", box), ("stroke", stroke)):
        for which, chosen in (("others", labels != 1), ("one", labels == 1)):
            row[f"{name}_{which}"] = float(share[seen & chosen].mean())
    pieces = {"box": box.numpy(), "examples": maps[example_rows(labels)].numpy().astype("float16")}
    for which, chosen in (("others", labels != 1), ("one", labels == 1)):
        boxes = test_set.boxes[:count][chosen]
        around = saliency.mean_around_box(maps[chosen], boxes, config.canvas)
        pieces[f"around_{which}"] = around.numpy()
    return row, pieces
