"""Rows of figure 3: those at the end of training, and smoothing beside its null controls."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ibtutor.experiments._base import Result
from ibtutor.experiments._null_control import paired

CONTROLS = ("mix", "temperature", "cp", "wd")
MEASURES = ("i_xt", "i_ty", "gap", "accuracy", "nll", "ece")


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
    if not ends:
        return "No run with label smoothing yet, 0 seeds."
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
    # A strength of which every seed diverged has nothing to be matched.
    alphas = sorted({row["alpha"] for row in final(rows, "ls", "train") if row["alpha"] > 0})
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
    if not reached:
        return [], None
    return theirs, float(np.mean(reached) - np.mean([row["i_ty"] for row in on_train]))
