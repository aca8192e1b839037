"""Draw book/_static/preview.png, what a shared link shows: `python -m tools.preview`."""

import textwrap

import torch
import yaml
from matplotlib.figure import Figure

from ibtutor import plots
from ibtutor.info import label_smoothing_information
from tools import pages

FILE = pages.BOOK / "_static" / "preview.png"
PIXELS = (1200, 630)  # what the sites that show previews ask for


def draw() -> Figure:
    """The title beside the curve of the front page, in letters that survive a thumbnail."""
    title = yaml.safe_load((pages.ROOT / "_config.yml").read_text("utf8"))["title"]
    alphas = torch.tensor([0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    nats = label_smoothing_information(alphas, num_classes=10)
    fig = Figure(figsize=(PIXELS[0] / 100, PIXELS[1] / 100), dpi=100, facecolor="white")
    ax = fig.add_axes((0.54, 0.16, 0.43, 0.8))
    plots.information_plane_axes(ax, h_y=float(nats[0]))
    ax.plot(nats, nats, "o", color=plots.COLORS["ls"], ms=15, zorder=3)
    ax.set_xlabel("I(X;T) [nats]", fontsize=20)
    ax.set_ylabel("I(T;Y) [nats]", fontsize=20)
    ax.set_ylim(-0.15, 1.1 * float(nats[0]))
    ax.tick_params(labelsize=16)
    ax.grid(False)
    words = "\n".join(textwrap.wrap(title, 16))
    fig.text(0.04, 0.88, words, fontsize=36, weight="bold", va="top", linespacing=1.25)
    fig.text(0.04, 0.12, "Executable tutorials: ibtutor", fontsize=20, color="#444444")
    return fig


if __name__ == "__main__":
    draw().savefig(FILE, dpi=100)
