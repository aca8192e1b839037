"""Kudo 2025, Figure 1: cross-entropy sits at the corner of the IB curve, smoothing on its slope.

The figure is a schematic; with the closed form of Proposition 4.5 it becomes a computation. Each
point is computed twice: by the closed form, and from the outputs themselves in float64.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ibtutor.experiments._base import Claim, Result

TITLE = "The IB curve, the cross-entropy point and the label-smoothing segment"
SOURCE = "Kudo 2025, Figure 1, Propositions 4.2, 4.4 and 4.5"
CHAPTER = "sweeping_the_curve"
FIGURE = "Figure 1"
SAYS = "Smoothing slides from the cross-entropy corner down the curve."
NEEDS: tuple[str, ...] = ()
GPU = False
STATED = ()  # the paper states none of the config
DIFFERENCES: dict[str, str] = {}
REPORTED: dict = {}  # a schematic: the paper gives no number


@dataclass(frozen=True)
class Config:
    """Strengths and numbers of classes at which the curve is computed."""

    alphas: tuple[float, ...] = tuple(
        i / 20 for i in range(21)
    )  # our choice: the paper draws a line
    num_classes: tuple[int, ...] = (10, 102)  # the two data sets of Figure 3


SMOKE = Config(alphas=tuple(i / 10 for i in range(11)))
QUICK = replace(Config())


def size(config: Config) -> str:
    """The scale in words."""
    return "Closed form, no data"


def finding(result: Result) -> str:
    """What came of it, in one sentence with a number."""
    off = max(abs(row["i_xt"] - row["i_ty"]) for row in result.rows)
    return f"On the curve to {off:.0e} nats at {len(result.rows)} points."


def run(
    config: Config, *, device: str = "cpu", progress: bool = True, resume: Path | None = None
) -> Result:
    """Both coordinates of every point, from the outputs and from the closed form, in nats."""
    import torch

    from ibtutor.info import (
        information_plane,
        label_smoothing_encoder,
        label_smoothing_information,
    )

    rows = []
    for k in config.num_classes:
        one_hot = torch.eye(k, dtype=torch.float64, device=device)
        labels = torch.arange(k, device=device)
        for alpha in config.alphas:
            plane = information_plane(label_smoothing_encoder(one_hot, alpha), labels)
            row = {"seed": 0, "num_classes": k, "alpha": alpha}
            row["closed_form"] = float(label_smoothing_information(alpha, num_classes=k))
            row |= {"i_xt": float(plane.i_xt), "i_ty": float(plane.i_ty), "h_y": float(plane.h_y)}
            rows.append(row)
    summary = {
        "largest_distance_from_diagonal": max(abs(r["i_xt"] - r["i_ty"]) for r in rows),
        "largest_error_of_closed_form": max(abs(r["i_xt"] - r["closed_form"]) for r in rows),
    }
    return Result(rows, summary)


def _on_the_diagonal(result: Result) -> str:
    return (
        "reproduced"
        if result.summary["largest_distance_from_diagonal"] < 1e-9
        else "not reproduced"
    )


def _corner(result: Result) -> str:
    corners = [r for r in result.rows if r["alpha"] == 0]
    far = max(max(abs(r["i_xt"] - r["h_y"]), abs(r["i_ty"] - r["h_y"])) for r in corners)
    return "reproduced" if far < 1e-9 else "not reproduced"


def _sweeps(result: Result) -> str:
    frame = result.frame().sort_values("alpha")
    for _, group in frame.groupby("num_classes"):
        falling = bool((group.i_xt.diff().dropna() < 0).all())
        ends = group.i_xt.iloc[0] > group.h_y.iloc[0] - 1e-9 and group.i_xt.iloc[-1] < 1e-9
        if not (falling and ends):
            return "not reproduced"
    return "reproduced"


CLAIMS = (
    Claim(
        "corner",
        "At alpha = 0 the optimum of cross-entropy has I(X;T) = I(T;Y) = H(Y), within 1e-9 nats.",
        "Kudo 2025, Proposition 4.4",
        _corner,
    ),
    Claim(
        "on_the_curve",
        "For every alpha the optimum of label smoothing lies on I(T;Y) = I(X;T), within 1e-9 nats.",
        "Kudo 2025, Proposition 4.5",
        _on_the_diagonal,
    ),
    Claim(
        "sweeps",
        "I(X;T) falls strictly in alpha, from H(Y) at alpha = 0 to 0 at alpha = 1.",
        "Kudo 2025, Figure 1 and Proposition 4.5 (that it falls strictly is ours)",
        _sweeps,
    ),
)
