"""Kirsch, Lyle and Gal 2020, Figure 4: can the entropy of a latent be scaled away?

See `_noise` for the network, and for how it is shrunk.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ibtutor import data, train
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Reported, Result
from ibtutor.experiments.kirsch import _noise
from ibtutor.experiments.kirsch._noise_claims import CLAIMS, finding, tolerances

__all__ = ["CLAIMS", "finding", "tolerances"]

TITLE = "Scaling the entropy of a latent away, with and without noise"
SOURCE = "Kirsch, Lyle and Gal 2020, Section 7.2 and Figure 4"
CHAPTER = "entropy_needs_noise"
FIGURE = "Figure 4"
SAYS = (
    "Without noise the entropy of the latent can be made arbitrarily small while the training "
    "error stays; with zero-entropy noise the error rises as the entropy falls."
)
NEEDS = ("mnist",)
GPU = True
REPORTED: dict[str, Reported] = {}  # the paper draws two curves and gives no number
SWEPT = ("arms", "noisy_epochs")  # a part's name has both


@dataclass(frozen=True)
class Config:
    """Data, network, training and shrinking; sources: [P] paper, [C] public code, [O] ours."""

    data: str = "mnist"  # [P]
    train_images: int = 60_000  # [P]
    test_images: int = 10_000  # [P]
    channels: tuple[int, int] = (32, 64)  # [C] PyTorch's MNIST example of 2020, which [P] names
    hidden: int = 128  # [C]
    latent: int = 128  # [P]
    samples: int = 12  # [P] dropout masks, in training
    measured_samples: int = 12  # [P] dropout masks, in measuring
    measured: int = 10_000  # [O] images on which latents and errors are measured
    arms: tuple[str, ...] = _noise.ARMS  # [P] without and with noise; [O] the control
    seeds: tuple[int, ...] = (0, 1, 2)  # [O] the paper shows one run
    epochs: int = 12  # [O]
    # [O] of the arm with noise, None for as many: there the encoder grows its outputs against the
    # shrinking, and a first run of 12 epochs ended at 6 nats, above the 1 nat that a claim needs.
    noisy_epochs: int | None = 16
    start_std: float = 2.0  # [O] of each dimension of the latent, in the first epoch
    shrink: float = 0.6  # [O] its factor after each epoch: at the end 128 dimensions hold 0.06 nats
    batch_size: int = 128  # [O]
    lr: float = 1e-4  # [P] Adam
    precision: str = "bfloat16"  # [O] of the products in training; measured in float32


SMOKE = replace(
    Config(),
    data="digits",
    train_images=1297,
    test_images=500,
    channels=(8, 16),
    hidden=64,
    latent=16,
    samples=2,
    measured_samples=4,
    seeds=(0, 1),
    epochs=24,
    noisy_epochs=None,
    batch_size=64,
    lr=2e-3,
    precision="float32",
)
QUICK = replace(
    Config(),
    train_images=5_000,
    test_images=2_000,
    channels=(8, 16),
    samples=2,
    measured=2_000,
    epochs=24,
    noisy_epochs=None,
    shrink=0.65,
    batch_size=64,
    lr=1e-3,
    precision="float32",
)
STATED = ("data", "train_images", "test_images", "latent", "samples", "measured_samples", "lr")
DIFFERENCES = {
    "data": "embedded digits need no download",
    "shrink": "more epochs of fewer steps reach lower",
    "noisy_epochs": "24 epochs are enough",
    "precision": "a small network gains nothing by less",
    "batch_size": "fewer images leave too few steps otherwise",
    "lr": "a tenth of the steps need larger ones",
}
_STANDARD = {"mnist": ((0.1307,), (0.3081,)), "digits": ((0.305,), (0.376,))}


def size(config: Config) -> str:
    """The scale in words."""
    whole = config.channels == Config().channels and config.hidden == Config().hidden
    network = "the example's network" if whole else "a small network"
    runs = f"{len(config.seeds)} seeds of {config.epochs} epochs"
    if config.noisy_epochs:
        runs += f", {config.noisy_epochs} with noise"
    return f"{config.train_images:,} images, {network}, {runs}"


def load(config: Config) -> train.Task:
    """Images and labels of a config, equally many of each class, chosen by a fixed seed."""
    opened = {"mnist": data.mnist, "digits": data.digits}
    if config.data not in opened:
        raise ValueError(f"data must be mnist or digits, got {config.data!r}")
    both = []
    for split, count in (("train", config.train_images), ("test", config.test_images)):
        whole = opened[config.data](split)
        both.append(whole if count == len(whole.labels) else whole.take(count))
    mean, std = _STANDARD[config.data]
    return train.Task(*both, mean=mean, std=std, num_classes=10)


def parts(config: Config) -> tuple[str, ...]:
    """One run an arm and seed."""
    return _noise.parts(config)


def run_part(
    config: Config,
    part: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: Path | None = None,
) -> Result:
    """One row an epoch of one run."""
    if part not in parts(config):
        raise ValueError(f"part must be one of {', '.join(parts(config))}, got {part!r}")
    seed, arm = part.removeprefix("seed").split("-")[:2]
    task = _parts.once(load, config)
    rows = _noise.train_one(
        config, arm, int(seed), task, device=device, progress=progress, resume=resume
    )
    fingerprints = {name: data.fingerprint(*getattr(task, name)) for name in ("train", "test")}
    return Result(rows, fingerprints=fingerprints)


def assemble(config: Config, done: dict[str, Result]) -> Result:
    """All rows in the order of the parts, and the ends of each arm."""
    return _noise.assemble(config, done)


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Rows by arm, seed and epoch: bound on H[Z], errors, decoder cross-entropy."""
    import sys

    return _parts.run(
        sys.modules[__name__], config, device=device, progress=progress, resume=resume
    )
