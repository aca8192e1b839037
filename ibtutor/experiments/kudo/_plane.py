"""Kudo's figure 3 on any data: sweeps on the information plane, with null controls.

Arms: `ls` label smoothing by alpha; `mix` cross-entropy outputs mixed with the uniform after
training; `temperature` the same outputs softened until their training I(T;Y) is that of label
smoothing with the same seed; `cp` confidence penalty at the strength whose optimum is the same;
`wd` cross-entropy with weight decay; `augment` label smoothing with augmentation turned the other
way (on where the sweep has it off); `kaggle` label smoothing on another copy of the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ibtutor import train
from ibtutor.experiments._base import Result
from ibtutor.experiments._softened import at_information, softened_to, table
from ibtutor.experiments.kudo._plane_rows import MEASURES, final, null_control

EARLY = (0.0, 0.1, 0.5, 0.9)  # strengths that make verdicts possible
ARMS = ("ls", "cp", "wd", "augment", "kaggle")
SWEPT = ("alphas", "penalty_alphas", "weight_decays", "other_augment", "kaggle_alphas")


def matching_penalty(alpha: float, num_classes: int) -> float:
    """The confidence penalty's beta whose optimum is label smoothing's with `alpha`.

    From the KKT condition of the penalty on one-hot labels: beta = 1 / (l (1 - a + a / K)) with
    log odds l = log(1 + K (1 - a) / a). ValueError unless 0 < alpha < 1.

    >>> round(matching_penalty(0.3567782573, 10), 6)
    0.5
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
    on_class = 1 - alpha + alpha / num_classes
    return 1 / (math.log1p(num_classes * (1 - alpha) / alpha) * on_class)


def scores(probs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Place on the information plane, accuracy, negative log-likelihood and calibration error.

    `probs` is `(N, K)` float64, `labels` `(N,)`; information and likelihood in nats.
    """
    return smooth_scores(probs, labels) | kinked_scores(probs, labels)


def smooth_scores(probs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Those of `scores` that are smooth in the outputs."""
    from ibtutor.info import information_plane

    plane = information_plane(probs, labels)
    likelihood = probs.gather(1, labels[:, None]).clamp_min(torch.finfo(probs.dtype).tiny)
    return {
        "i_xt": float(plane.i_xt),
        "i_ty": float(plane.i_ty),
        "gap": float(plane.i_xt - plane.i_ty),
        "nll": float(-likelihood.log().mean()),
    }


def kinked_scores(probs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """The other ones."""
    from ibtutor.info import expected_calibration_error

    return {
        "accuracy": float((probs.argmax(1) == labels).double().mean()),
        "ece": float(expected_calibration_error(probs, labels)),
    }


@dataclass(frozen=True)
class Plane:
    """What a panel of the figure trains: networks, data, settings, and its augmentation."""

    make_model: Callable[[], torch.nn.Module]
    task: train.Task
    settings: train.Settings
    augment: Callable
    stacked: bool = False  # small networks train side by side: all runs of a kind are one part


def parts(config, num_classes: int, *, stacked: bool = False) -> tuple[str, ...]:
    """Names of the parts: first what the verdicts need, of the first seed, then the rest of it.

    With `stacked` all seeds and strengths that share a loop are one part.
    """
    planned = plan(config, num_classes)
    if stacked:
        return tuple(dict.fromkeys(_name(item, stacked) for item in planned))
    seeds = list(config.seeds)
    early = {"ls": EARLY, "cp": EARLY, "wd": (0.0,)}

    def order(item: tuple[str, float, train.Run]) -> tuple:
        arm, alpha, run = item
        late = alpha not in early.get(arm, ())
        return arm == "kaggle", seeds.index(run.seed), late, ARMS.index(arm)

    return tuple(_name(item, stacked) for item in sorted(planned, key=order))


def _name(item: tuple[str, float, train.Run], stacked: bool) -> str:
    arm, alpha, run = item
    strength = run.weight_decay if arm == "wd" else alpha
    if stacked:
        return f"all-wd-{strength!r}" if arm == "wd" else f"all-{arm}"
    return f"seed{run.seed}-{arm}-{strength!r}"


def run_part(
    config,
    part: str,
    plane: Plane,
    *,
    device: str,
    progress: bool,
    resume: Path | None,
) -> Result:
    """Train one run, or those that share a loop; its rows, and what later ones need of it."""
    task = plane.task
    mine = [i for i in plan(config, task.num_classes) if _name(i, plane.stacked) == part]
    if not mine:
        raise ValueError(f"there is no part {part!r}")
    augmented = config.augment != (mine[0][0] == "augment")
    done = train.fit(
        plane.make_model,
        replace(task, augment=plane.augment if augmented else None),
        [run for _, _, run in mine],
        replace(plane.settings, measure_every=config.measure_every),
        resume=resume,
        measure=_measure,
        device=device,
        progress=progress,
    )
    rows, plain = [], []
    for (arm, alpha, run), trained in zip(mine, done, strict=True):
        rows += _rows(arm, alpha, run, trained)
        if arm == "ls" and alpha == 0 and not trained.diverged:
            plain.append(_changed_after_training(config, trained, task))
    counts = {
        split: torch.bincount(labels.cpu(), minlength=task.num_classes).tolist()
        for split, (_, labels) in (("train", task.train), ("test", task.test))
    }
    prefix = "kaggle_" if mine[0][0] == "kaggle" else ""
    fingerprints = {f"{prefix}{name}": value for name, value in _fingerprints(task).items()}
    return Result(rows, {f"{prefix}counts": counts, "plain": plain}, fingerprints=fingerprints)


def assemble(config, done: Mapping[str, Result]) -> Result:
    """Rows in the order of the plan, then what changes outputs after training, then the summary."""
    found: dict[tuple, list[dict]] = {}
    plain: dict[int, dict] = {}
    for part in done.values():
        for row in part.rows:
            key = row["seed"], row["arm"], row["alpha"], row["strength"]
            found.setdefault(key, []).append(row)
        plain |= {entry["seed"]: entry for entry in part.summary["plain"]}
    all_counts, fingerprints = {}, {}
    for part in done.values():
        all_counts |= {key: value for key, value in part.summary.items() if "counts" in key}
        fingerprints |= part.fingerprints
    counts = all_counts.get("counts") or all_counts["kaggle_counts"]
    planned = plan(config, len(counts["train"]))
    rows: list[dict] = []
    for arms in (("ls", "cp", "wd"), ("augment",), ("kaggle",)):
        for arm, alpha, run in planned:
            if arm in arms:
                strength = run.weight_decay if arm == "wd" else run.strength
                rows += found.get((run.seed, arm, alpha, float(strength)), [])
    rows += _after_training(config, rows, plain)
    summary = _summary(rows, counts, config.epochs)
    if "kaggle_counts" in all_counts:
        summary["kaggle"] = _of_data(rows, "kaggle", all_counts["kaggle_counts"])
    return Result(rows, summary, fingerprints=fingerprints)


def plan(config, num_classes: int) -> list[tuple[str, float, train.Run]]:
    """(arm, alpha, run) of everything that is trained; alpha is 0 with weight decay."""
    planned = []
    for seed in config.seeds:
        planned += [("ls", alpha, train.Run(alpha, seed)) for alpha in config.alphas]
        for alpha in config.penalty_alphas:
            beta = matching_penalty(alpha, num_classes)
            planned.append(("cp", alpha, train.Run(beta, seed, loss="confidence_penalty")))
        for decay in config.weight_decays:
            planned.append(("wd", 0.0, train.Run(0.0, seed, weight_decay=decay)))
        planned += [("augment", alpha, train.Run(alpha, seed)) for alpha in config.other_augment]
        copies = getattr(config, "kaggle_alphas", ())
        planned += [("kaggle", alpha, train.Run(alpha, seed)) for alpha in copies]
    return planned


def _measure(outputs: train.Outputs, run: train.Run, epoch: int) -> dict:
    train_split = scores(outputs.train_logits.double().softmax(1), outputs.train_labels)
    test_split = scores(outputs.test_logits.double().softmax(1), outputs.test_labels)
    return {"train": train_split, "test": test_split}


def _rows(arm: str, alpha: float, run: train.Run, trained: train.Trained) -> list[dict]:
    strength = run.weight_decay if arm == "wd" else run.strength
    base = {"seed": run.seed, "arm": arm, "alpha": alpha, "strength": float(strength)}
    if trained.diverged:
        return [{**base, "split": "train", "epoch": -1, "diverged": trained.diverged}]
    measured = [entry for entry in trained.history if "train" in entry]
    return [
        {**base, "split": split, "epoch": entry["epoch"], **entry[split]}
        for entry in measured
        for split in ("train", "test")
    ]


def _changed_after_training(config, trained: train.Trained, task: train.Task) -> dict:
    """What outputs of cross-entropy become by mixing and by temperature, without the outputs.

    Mixtures at the strengths of the config and at every tenth; for temperatures a table.
    """
    from ibtutor.losses import mix_outputs

    alphas = sorted({*config.alphas, *(i / 10 for i in range(1, 10))} - {0.0})
    mixed, softened = [], {}
    for split in ("train", "test"):
        logits = trained.train_logits if split == "train" else trained.test_logits
        labels = (task.train if split == "train" else task.test)[1].cpu()
        probs = logits.double().softmax(1)
        for alpha in alphas:
            place = scores(mix_outputs(probs, alpha), labels)
            mixed.append({"alpha": alpha, "split": split, **place})
        measures = (partial(each, labels=labels) for each in (smooth_scores, kinked_scores))
        softened[split] = table(logits, *measures)
    seed, epoch = trained.run.seed, trained.history[-1]["epoch"]
    return {"seed": seed, "epoch": epoch, "mixed": mixed, "softened": softened}


def _after_training(config, rows: list[dict], plain: dict[int, dict]) -> list[dict]:
    """The arms that change the outputs of cross-entropy after training."""
    added = []
    for seed in config.seeds:
        base = plain.get(seed)
        for row in final(rows, "ls", "train") if base else ():
            alpha = row["alpha"]
            if row["seed"] != seed or alpha == 0:
                continue
            temperature = at_information(base["softened"]["train"], row["i_ty"])
            for split in ("train", "test"):
                changed = {"mix": (alpha, _mixed(base, alpha, split))}
                if math.isfinite(temperature):
                    softened = softened_to(base["softened"][split], temperature)
                    changed["temperature"] = temperature, softened
                for arm, (strength, place) in changed.items():
                    if place:
                        about = {"seed": seed, "arm": arm, "alpha": alpha, "strength": strength}
                        added.append(about | {"split": split, "epoch": base["epoch"]} | place)
    return added


def _mixed(base: dict, alpha: float, split: str) -> dict[str, float] | None:
    for entry in base["mixed"]:
        if (entry["alpha"], entry["split"]) == (alpha, split):
            return {name: entry[name] for name in MEASURES}
    return None


def _summary(rows: list[dict], counts: dict[str, list[int]], epochs: int) -> dict:
    return _of_data(rows, "ls", counts) | {
        "epochs": epochs,
        "num_classes": len(counts["train"]),
        "diverged": sum("diverged" in row for row in rows),
        "null_control": null_control(rows),
    }


def _of_data(rows: list[dict], arm: str, counts: dict[str, list[int]]) -> dict:
    """What follows from the classes' counts alone: entropies, and the places that theory names."""
    from ibtutor.info import entropy, label_smoothing_information

    prior, test_prior = (
        torch.tensor(counts[split], dtype=torch.float64) / sum(counts[split])
        for split in ("train", "test")
    )
    closed = {
        alpha: float(label_smoothing_information(alpha, prior=prior))
        for alpha in sorted({row["alpha"] for row in rows if row["arm"] == arm})
    }
    return {
        "h_y": float(entropy(prior)),
        "h_y_test": float(entropy(test_prior)),
        "train_images": sum(counts["train"]),
        "test_images": sum(counts["test"]),
        "closed_form": [{"alpha": alpha, "information": value} for alpha, value in closed.items()],
    }


def _fingerprints(task: train.Task) -> dict[str, str]:
    from ibtutor.data import fingerprint

    return {"train": fingerprint(*task.train), "test": fingerprint(*task.test)}
