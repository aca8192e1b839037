"""The book's explorer at rest: the pictures that stand where it cannot move.

`show(part)` is what a page holds: a place for the explorer, which runs in the book's pages, and
behind it a picture with a link, for Colab, Jupyter and readers without JavaScript. Exact numbers;
nothing is trained.
"""

import html
import math

import numpy as np
import torch
from matplotlib.axes import Axes

from ibtutor import info, losses, plots

ADDRESS = "https://ibtutor.github.io/ibtutor/book/explorer.html"
ALPHA, BETA, DISSENT, CLASSES = 0.1, 0.5, 0.2, 10  # where the explorer begins
OUTPUT = (0.2, 0.56, 0.24)  # three classes, the label is the first: confidently wrong

# What each panel shows, in the words for those who see it and for those who do not.
SEEN = {
    "bars": "The soft label of class 1 has 0.91 on its class and 0.01 on nine others.",
    "plane": "On the information plane it is a point on the dashed line, at 1.802 of 2.303 nats.",
    "simplex": "In the triangle of three classes three arrows lead from an output that is wrong "
    "towards the label, the arrow of the bottleneck the shortest.",
    "curve": "With contradicting votes the mean lies below the best possible curve, the geometric "
    "mean on it.",
}
PARTS = {
    "all": ("bars", "plane", "simplex", "curve"),
    "front": ("bars", "plane"),
    "one": ("bars", "plane"),
    "three": ("simplex",),
    "votes": ("curve",),
}
LABEL = "a soft label and the point it aims at (α = 0.1, ten balanced classes)"  # noqa: RUF001
PULL = "three losses pull an output that is wrong (β = 0.5)"
VOTES = "votes that contradict each other, pooled (one in five dissents on two of four inputs)"
CAPTIONS = {
    "all": f"{LABEL}; below, {PULL}, and {VOTES}",
    "front": LABEL,
    "one": LABEL,
    "three": PULL,
    "votes": VOTES,
}


class Explorer:
    """A place for the explorer, and the picture that stands there until it runs."""

    def __init__(self, part: str, picture: plots.Figure):
        self.part, self.picture = part, picture

    def _repr_html_(self) -> str:
        link = f' <a href="{ADDRESS}">Move it in the explorer.</a></figcaption>'
        picture = self.picture._repr_html_().replace("</figcaption>", link, 1)
        place = f'<div id="ib-explorer" class="ib-explorer" data-part="{html.escape(self.part)}">'
        return f"{place}</div>{picture}"

    def __repr__(self) -> str:
        return self.picture.caption


def show(part: str = "all") -> Explorer:
    """Return the explorer, or a part of it, for a page; in a notebook its picture and a link.

    Parameters
    ----------
    part : `all`; `one` (one label, one strength) or `front`, which is smaller; `three` (the pull
        of three losses); `votes` (labels that contradict each other).

    Raises
    ------
    ValueError
        There is no such part.

    Examples
    --------
    >>> show("three").picture.caption
    'The explorer at rest: three losses pull an output that is wrong (β = 0.5). Exact, ...'
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    panels = PARTS[part]
    columns = min(len(panels), 2)
    rows = len(panels) // columns
    size = {"width": 7.4 if columns == 2 else 4.4, "height": 3.3 * rows}
    fig, axes = plots.new(columns, rows, **size)
    for name, ax in zip(panels, np.atleast_1d(axes).flat, strict=True):
        DRAW[name](ax)
    return Explorer(
        part,
        plots.show(
            fig,
            alt=" ".join(SEEN[name] for name in panels),
            caption=f"The explorer at rest: {CAPTIONS[part]}. Exact, no network is trained.",
        ),
    )


def draw_bars(ax: Axes) -> None:
    """The soft label of class 1."""
    soft = info.mix_outputs(torch.eye(CLASSES, dtype=torch.float64), ALPHA)[0]
    colors = [plots.palette[0]] + ["#888888"] * (CLASSES - 1)
    ax.bar(range(1, CLASSES + 1), soft.numpy(), color=colors)
    ax.set(xlabel="class", ylabel="soft label of class 1", ylim=(0, 1))


def draw_plane(ax: Axes) -> None:
    """The strengths on the information plane, one of them marked."""
    alphas = torch.linspace(0, 1, 11, dtype=torch.float64)
    kept = info.label_smoothing_information(alphas, num_classes=CLASSES)
    plots.information_plane_axes(ax, h_y=float(kept[0]))
    ax.plot(kept.numpy(), kept.numpy(), ".", color=plots.COLORS["bound"])
    here = float(info.label_smoothing_information(ALPHA, num_classes=CLASSES))
    ax.plot(here, here, "o", color=plots.COLORS["ls"], label=rf"$\alpha$ = {ALPHA}")
    ax.legend(loc="lower right")


def pulls() -> dict[str, torch.Tensor]:
    """How the output moves when its logits follow minus the gradient of each loss."""
    p, label = torch.tensor(OUTPUT, dtype=torch.float64), torch.tensor(0)
    functions = {
        "ls": lambda z: losses.label_smoothing(z, label, ALPHA),
        "cp": lambda z: losses.confidence_penalty(z, label, BETA),
        "vib": lambda z: losses.discrete_vib(z, label, BETA),
    }
    found = {}
    for name, loss in functions.items():
        logits = p.log().requires_grad_()
        (slope,) = torch.autograd.grad(loss(logits), logits)
        found[name] = (-p * (slope - (p * slope).sum())).detach()
    return found


def _place(p: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Corner of class 1 on top; x and y of a distribution of three classes."""
    p = p.numpy()
    return p[..., 2] + p[..., 0] / 2, p[..., 0] * math.sqrt(3) / 2


def draw_simplex(ax: Axes) -> None:
    """Three losses pull one output of three classes."""
    ax.plot(*_place(torch.eye(3)[[0, 1, 2, 0]]), color="#888888", lw=1)
    x, y = _place(torch.tensor(OUTPUT, dtype=torch.float64))
    names = {"ls": "smoothing", "cp": "penalty", "vib": "bottleneck"}
    look = {"angles": "xy", "scale_units": "xy", "scale": 0.6, "width": 0.015}
    for kind, move in pulls().items():
        ax.quiver(x, y, *_place(move), color=plots.COLORS[kind], label=names[kind], **look)
    ax.text(0.5, 0.9, "class 1, the label", ha="center")
    ax.text(0, -0.09, "class 2", ha="center")
    ax.text(1, -0.09, "class 3", ha="center")
    ax.set(aspect="equal", xlim=(-0.2, 1.5), ylim=(-0.15, 1))
    ax.legend(loc="center right", fontsize=8)
    ax.axis("off")


def votes(dissent: float = DISSENT) -> torch.Tensor:
    """Four inputs, two classes: all agree on two of them, a share dissents on the others."""
    lean = [1 - dissent, dissent]
    return torch.tensor([[1, 0], [0, 1], lean, lean[::-1]], dtype=torch.float64)


def draw_curve(ax: Axes) -> None:
    """Arithmetic and geometric means of smoothed votes, and the best possible curve."""
    w = votes()

    def pooled(alpha: float, how: str = "arithmetic") -> info.InformationPlane:
        channel = (1 - alpha) * torch.eye(2, dtype=torch.float64) + alpha / 2
        return info.information_plane(info.pool_labels(w, channel, how), p_y_given_x=w)

    rates = np.linspace(0.01, 0.68, 30)
    best = [info.information_plane(info.geometric_smoothing(w, r), p_y_given_x=w) for r in rates]
    ax.plot(rates, [b.i_ty for b in best], color=plots.COLORS["ib"], label="best possible")
    means = [pooled(alpha) for alpha in np.linspace(0, 1, 11)]
    ax.plot([m.i_xt for m in means], [m.i_ty for m in means], ":", color=plots.COLORS["ls"])
    mean, geometric = pooled(ALPHA), pooled(ALPHA, "geometric")
    ax.plot(mean.i_xt, mean.i_ty, "o", color=plots.COLORS["ls"], label="mean")
    look = {"color": plots.COLORS["cp"], "label": "geometric mean"}
    ax.plot(geometric.i_xt, geometric.i_ty, "s", **look)
    ax.set(xlabel="I(X;T) [nats]", ylabel="I(T;Y) [nats]")
    ax.legend(loc="lower right")


DRAW = {"bars": draw_bars, "plane": draw_plane, "simplex": draw_simplex, "curve": draw_curve}
