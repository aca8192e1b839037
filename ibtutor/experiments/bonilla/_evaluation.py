"""What a trained network does: on clean images, and by the way and level of a degradation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ibtutor import data, info
from ibtutor.data.degradations import coarse_dropout, diffusion_noise, gaussian_blur, mosaic

CLEAN = ("accuracy", "top5", "nll", "brier", "ece", "batched_ece", "gap")
DEGRADED = ("accuracy", "nll", "brier", "ece", "gap", "true")
MANNERS = ("image", "standardized")
_SEED = 7  # of noise and patches: every network sees the same degraded images


def at_an_epoch(outputs, run, epoch: int) -> dict[str, float]:
    """`clean_metrics` of the test images, for the history of a run."""
    return clean_metrics(outputs.test_logits, outputs.test_labels)


def clean_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The columns of Table 1 and more: shares, nats, and calibration in three ways.

    `ece` has 15 bins over all images; `batched_ece` is that of the published evaluation; `gap` is
    mean confidence less accuracy, with its sign.
    """
    probs = logits.double().softmax(1)
    found = metrics(probs, labels)
    top = probs.topk(min(5, probs.shape[1]), dim=1).indices
    found["top5"] = float((top == labels[:, None]).any(1).double().mean())
    found["batched_ece"] = info.batched_calibration_error(probs, labels)
    return {name: found[name] for name in CLEAN}


def metrics(probs: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, proper scores and calibration of outputs `(N, K)`; `true` is mean p(label)."""
    right = probs.gather(1, labels[:, None]).squeeze(1)
    return {
        "accuracy": float((probs.argmax(1) == labels).double().mean()),
        "nll": float(-right.clamp(min=1e-300).log().mean()),
        "brier": info.brier_score(probs, labels),
        "ece": info.expected_calibration_error(probs, labels),
        "gap": info.calibration_gap(probs, labels),
        "true": float(right.mean()),
    }


def reliability(logits: Tensor, labels: Tensor, bins: int = 10) -> np.ndarray:
    """Number, mean confidence and accuracy of the images in each bin, `(3, bins)`; NaN if empty."""
    found = info.reliability_diagram(logits.double().softmax(1), labels, bins)
    return torch.stack([found.counts.double(), found.confidence, found.accuracy]).numpy()


def rescaled(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """One temperature fitted to every other image, judged on those between: the cheap remedy.

    >>> g = torch.Generator().manual_seed(0)
    >>> labels = torch.randint(3, (4000,), generator=g)
    >>> sure = 4 * nn.functional.one_hot(labels, 3) + 2 * torch.randn(4000, 3, generator=g)
    >>> rescaled(3 * sure, labels)["temperature"] > rescaled(sure, labels)["temperature"]
    True
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()
    fit, fit_labels = logits[::2], labels[::2]

    def loss(log_temperature: float) -> float:
        scaled = fit / math.exp(log_temperature)
        return float(nn.functional.cross_entropy(scaled, fit_labels))

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    temperature = math.exp(found.x)
    after = metrics((logits[1::2] / temperature).softmax(1), labels[1::2])
    return {
        "temperature": temperature,
        "rescaled_ece": after["ece"],
        "rescaled_nll": after["nll"],
    }


def curves(network: nn.Module, split: data.Split, config: Any, device: torch.device) -> np.ndarray:
    """`DEGRADED` of the network by way and level, `(4, levels, metrics)`."""
    cells = [
        [metrics(probs, labels) for probs, labels in _levels(network, split, config, kind, device)]
        for kind in data.DEGRADATIONS
    ]
    return np.array([[[cell[name] for name in DEGRADED] for cell in row] for row in cells])


def first_class(
    network: nn.Module, split: data.Split, config: Any, device: torch.device
) -> np.ndarray:
    """Mean p(label) on the images of class 0 by manner, way and level, `(2, 4, levels)`.

    In CIFAR-100 class 0 are the apples of the paper's Figures 3 to 5. Manner "image" degrades
    images in [0, 1]; "standardized" what the network sees, as the published evaluation does.
    """
    apples = data.Split(*(part[split.labels == 0] for part in split))
    return np.array(
        [
            [
                [
                    float(probs[:, 0].mean())
                    for probs, _ in _levels(network, apples, config, kind, device, manner)
                ]
                for kind in data.DEGRADATIONS
            ]
            for manner in MANNERS
        ]
    )


def information_kept(config: Any, images: Tensor) -> np.ndarray:
    """Mean normalized mutual information of images uint8 by way and level, `(4, levels)`."""
    clean, found = images.float() / 255, []
    for kind in data.DEGRADATIONS:
        for level in config.levels:
            generator = torch.Generator().manual_seed(_SEED)
            changed = _degraded(config, clean, level, kind, generator)
            kept = info.normalized_mutual_information(
                clean, changed, config.bins, variant=config.variant
            )
            found.append(float(kept.mean()))
    return np.array(found).reshape(len(data.DEGRADATIONS), -1)


def _levels(network, split, config, kind, device, manner="image"):
    """Outputs `(N, K)` float64 and labels, on the CPU, for each level."""
    half = config.precision == "bfloat16"
    if half:
        network = network.to(memory_format=torch.channels_last)
    for level in config.levels:
        generator = torch.Generator(device).manual_seed(_SEED)
        found = []
        for images in split.images.split(1000):
            x = images.to(device).float() / 255
            if manner == "image":
                x = network.standardized(_degraded(config, x, level, kind, generator))
            else:
                x = _as_published(network.standardized(x), level, kind, config, generator)
            if half:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                found.append(network.body(x).double().softmax(1).cpu())
        yield torch.cat(found), split.labels


def _degraded(config, x, level, kind, generator):
    from ibtutor.experiments.bonilla._training import degraded

    return degraded(config, x, level, kind, generator)


def _as_published(x: Tensor, level: float, kind: str, config: Any, generator) -> Tensor:
    """The degradations of `scripts/evaluate_models.py`, with its constants."""
    if kind == "diffusion":
        return diffusion_noise(x, level, generator, any_range=True)
    if kind == "blur":
        sigma = config.max_sigma / 5
        return gaussian_blur(
            x, level, max_sigma=sigma, max_kernel=11, variant="coded", any_range=True
        )
    if kind == "dropout":
        patch = max(1, config.patch // 2)
        return coarse_dropout(x, level, generator, patch=patch, any_range=True)
    return mosaic(x, level, variant="coded", any_range=True)
