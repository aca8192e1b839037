"""Draw curve.svg, the figure of README.md, from the closed form: `python book/figures/curve.py`."""

from pathlib import Path

import matplotlib as mpl
import torch

from ibtutor import plots
from ibtutor.info import label_smoothing_information

mpl.rcParams.update({"svg.hashsalt": "ibtutor", "svg.fonttype": "path"})


def draw() -> mpl.figure.Figure:
    """Where label smoothing aims on the information plane, for ten balanced classes."""
    alphas = torch.tensor([0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    nats = label_smoothing_information(alphas, num_classes=10)
    fig, ax = plots.new(width=6.4, height=4.0)
    plots.information_plane_axes(ax, h_y=float(nats[0]))
    ax.plot(nats, nats, "o", color=plots.COLORS["ls"], ms=7, zorder=3)
    for alpha, value in zip(alphas.tolist(), nats.tolist(), strict=True):
        text, offset = (f"{alpha:g}", (8, -11)) if alpha else ("cross-entropy", (-70, 10))
        ax.annotate(text, (value, value), textcoords="offset points", xytext=offset)
    ax.text(0.98, 0.06, "smoothing strength at each point", transform=ax.transAxes, ha="right")
    ax.set_ylim(-0.15, 1.12 * float(nats[0]))
    return fig


if __name__ == "__main__":
    draw().savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})
