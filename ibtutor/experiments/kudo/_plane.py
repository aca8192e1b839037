"""Kudo's figure 3 on any data: sweeps on the information plane, with null controls.

Arms: `ls` label smoothing by alpha; `mix` cross-entropy outputs mixed with the uniform after
training; `temperature` the same outputs softened until their training I(T;Y) is that of label
smoothing with the same seed; `cp` confidence penalty at the strength whose optimum is the same;
`wd` cross-entropy with weight decay; `augment` label smoothing with augmentation turned the other
way (on where the sweep has it off).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ibtutor import train
from ibtutor.experiments._base import Result
from ibtutor.experiments._null_control import match_temperature, paired

CONTROLS = ("mix", "temperature", "cp", "wd")
MEASURES = ("i_xt", "i_ty", "gap", "accuracy", "nll", "ece")


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
    from ibtutor.info import expected_calibration_error, information_plane

    plane = information_plane(probs, labels)
    likelihood = probs.gather(1, labels[:, None]).clamp_min(torch.finfo(probs.dtype).tiny)
    return {
        "i_xt": float(plane.i_xt),
        "i_ty": float(plane.i_ty),
        "gap": float(plane.i_xt - plane.i_ty),
        "accuracy": float((probs.argmax(1) == labels).double().mean()),
        "nll": float(-likelihood.log().mean()),
        "ece": float(expected_calibration_error(probs, labels)),
    }


def sweep(
    config,
    make_model: Callable[[], torch.nn.Module],
    task: train.Task,
    settings: train.Settings,
    augment: Callable,
    *,
    device: str,
    progress: bool,
    resume: Path | None,
) -> Result:
    """Train all arms of `config` and place their outputs on the plane; see the module."""
    main = replace(task, augment=augment if config.augment else None)
    other = replace(task, augment=None if config.augment else augment)
    rows: list[dict] = []
    plain: dict[tuple[float, int], train.Trained] = {}
    planned = _plan(config, task.num_classes)
    for arms, data, name in ((("ls", "cp", "wd"), main, "main"), (("augment",), other, "other")):
        mine = [item for item in planned if item[0] in arms]
        done = train.fit(
            make_model,
            data,
            [run for _, _, run in mine],
            replace(settings, measure_every=config.measure_every),
            resume=resume and Path(resume) / name,
            measure=_measure,
            device=device,
            progress=progress,
        )
        for (arm, alpha, run), trained in zip(mine, done, strict=True):
            rows += _rows(arm, alpha, run, trained)
            if arm == "ls":
                plain[alpha, run.seed] = trained
    rows += _after_training(config, plain, task)
    return Result(rows, _summary(rows, task, settings.epochs), fingerprints=_fingerprints(task))


def _plan(config, num_classes: int) -> list[tuple[str, float, train.Run]]:
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


def _after_training(config, plain: dict, task: train.Task) -> list[dict]:
    """The arms that change the outputs of cross-entropy after training."""
    from ibtutor.losses import mix_outputs

    rows = []
    labels = {"train": task.train[1].cpu(), "test": task.test[1].cpu()}
    for alpha, seed in plain:
        base, smoothed = plain.get((0.0, seed)), plain[alpha, seed]
        if alpha == 0 or base is None or base.diverged or smoothed.diverged:
            continue
        target = scores(smoothed.train_probs, labels["train"])["i_ty"]
        temperature = match_temperature(base.train_logits, labels["train"], target)
        for split in ("train", "test"):
            logits = base.train_logits if split == "train" else base.test_logits
            changed = {"mix": (alpha, mix_outputs(logits.double().softmax(1), alpha))}
            if math.isfinite(temperature):
                changed["temperature"] = temperature, (logits.double() / temperature).softmax(1)
            for arm, (strength, probs) in changed.items():
                row = {"seed": seed, "arm": arm, "alpha": alpha, "strength": float(strength)}
                row |= {"split": split, "epoch": base.history[-1]["epoch"]}
                rows.append(row | scores(probs, labels[split]))
    return rows


def _summary(rows: list[dict], task: train.Task, epochs: int) -> dict:
    from ibtutor.info import entropy, label_smoothing_information

    prior = torch.bincount(task.train[1], minlength=task.num_classes).double()
    prior /= prior.sum()
    closed = {
        alpha: float(label_smoothing_information(alpha, prior=prior))
        for alpha in sorted({row["alpha"] for row in rows if row["arm"] == "ls"})
    }
    test_prior = torch.bincount(task.test[1], minlength=task.num_classes).double()
    return {
        "h_y": float(entropy(prior)),
        "h_y_test": float(entropy(test_prior / test_prior.sum())),
        "epochs": epochs,
        "num_classes": task.num_classes,
        "train_images": len(task.train[1]),
        "test_images": len(task.test[1]),
        "closed_form": [{"alpha": alpha, "information": value} for alpha, value in closed.items()],
        "diverged": sum("diverged" in row for row in rows),
        "null_control": null_control(rows),
    }


def final(rows: Iterable[dict], arm: str, split: str, alpha: float | None = None) -> list[dict]:
    """Rows of one arm at the end of training, by seed."""
    mine = [r for r in rows if r["arm"] == arm and r["split"] == split and "diverged" not in r]
    if alpha is not None:
        mine = [r for r in mine if r["alpha"] == alpha]
    last = max((r["epoch"] for r in mine), default=0)
    return sorted((r for r in mine if r["epoch"] == last), key=lambda r: (r["alpha"], r["seed"]))


def largest_gap(result: Result) -> str:
    """How far any strength ends from the curve on the training set, in one sentence."""
    ends = final(result.rows, "ls", "train")
    worst = max(ends, key=lambda row: row["gap"])
    seeds = len({row["seed"] for row in ends})
    return (
        f"At most {worst['gap']:.3f} of {result.summary['h_y']:.2f} nats under the curve, "
        f"{seeds} seeds."
    )


def null_control(rows: list[dict]) -> list[dict]:
    """Label smoothing minus each control on the test split, at matched training I(T;Y).

    One row an alpha, control and measure: paired difference over seeds with its 95 % interval,
    and `mismatch`, how far the control's training I(T;Y) is off, in nats (None for `ce`, which is
    cross-entropy as it is).
    """
    table = []
    alphas = sorted({row["alpha"] for row in rows if row["arm"] == "ls" and row["alpha"] > 0})
    for alpha in alphas:
        ours = final(rows, "ls", "test", alpha)
        on_train = final(rows, "ls", "train", alpha)
        for control in ("ce", *CONTROLS):
            theirs, off = _control(rows, control, alpha, on_train)
            for measure in MEASURES:
                if gap := paired(ours, theirs, measure):
                    entry = {"alpha": alpha, "control": control, "measure": measure}
                    table.append(entry | gap | {"mismatch": off})
    return table


def _control(rows: list[dict], control: str, alpha: float, on_train: list[dict]):
    """Test rows of a control for that alpha, and how far off its training I(T;Y) is.

    Outputs changed after training have a strength for each alpha; of what is trained (penalty,
    weight decay) the strength with the nearest mean I(T;Y) is taken.
    """
    if control == "ce":
        return final(rows, "ls", "test", 0.0), None
    at_end = final(rows, control, "train")
    if control in ("mix", "temperature"):
        at_end = [row for row in at_end if row["alpha"] == alpha]
        theirs = [row for row in final(rows, control, "test") if row["alpha"] == alpha]
    else:
        target = np.mean([row["i_ty"] for row in on_train])
        means: dict[float, list[float]] = {}
        for row in at_end:
            means.setdefault(row["strength"], []).append(row["i_ty"])
        if not means:
            return [], None
        nearest = min(means, key=lambda s: abs(np.mean(means[s]) - target))
        at_end = [row for row in at_end if row["strength"] == nearest]
        theirs = [row for row in final(rows, control, "test") if row["strength"] == nearest]
    reached = [row["i_ty"] for row in at_end]
    if not reached or not on_train:
        return [], None
    return theirs, float(np.mean(reached) - np.mean([row["i_ty"] for row in on_train]))


def _fingerprints(task: train.Task) -> dict[str, str]:
    from ibtutor.data import fingerprint

    return {"train": fingerprint(*task.train), "test": fingerprint(*task.test)}
