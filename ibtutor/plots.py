"""One style for all figures, and figures that carry their own alternative text.

Importing this module sets the book's style for all of matplotlib, since labels and legends that
are added to a figure later take the settings of that moment. It never trains or loads data.
"""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure

# Okabe and Ito's palette: told apart by readers with any common form of color blindness.
palette = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
]

# One color a method, the same in every chapter.
COLORS = {
    "ls": palette[0],
    "ce": palette[6],
    "ib": palette[1],
    "cp": palette[2],
    "vib": palette[3],
    "wd": palette[4],
    "temperature": palette[5],
    "mix": "#8C510A",
    "bound": "#666666",
    "human": palette[2],
}

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.prop_cycle": mpl.cycler(color=palette[:7]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "font.size": 10,
}

mpl.rcParams.update(STYLE)


class Origin(Protocol):
    """What a figure asks of a record: its scale in words, and where it comes from in rows."""

    scale: str

    def origin(self) -> list[tuple[str, str]]: ...


class Figure:
    """A picture with alternative text, caption and origin, as an HTML `<figure>`.

    The picture is embedded, so that the site, Jupyter, Colab and an empty folder show the same.
    """

    def __init__(self, png: bytes, alt: str, caption: str, width: int, origins: Sequence[Origin]):
        self.png, self.alt, self.caption, self.width = png, alt, caption, width
        self.origins = origins

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        return (
            '<figure class="ibtutor-figure">'
            f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" '
            f'width="{self.width}" style="max-width:100%;height:auto">'
            f"<figcaption>{html.escape(self.caption)}{self._folded()}</figcaption></figure>"
        )

    def _folded(self) -> str:
        if not self.origins:
            return ""
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for origin in self.origins
            for name, value in origin.origin()
        )
        return (
            "<details class='ibtutor-origin'><summary>Where these numbers come from</summary>"
            f"<table>{rows}</table></details>"
        )

    def __repr__(self) -> str:
        return f"Figure: {self.caption}"


def show(
    fig: MatplotlibFigure, *, alt: str, caption: str, source: Origin | Sequence[Origin] = ()
) -> Figure:
    """Close a matplotlib figure and return it as HTML with its picture embedded.

    Parameters
    ----------
    fig : a matplotlib figure.
    alt : what is seen, for a reader who cannot see it.
    caption : what the figure shows, in at most three lines; can be read alone.
    source : the record or records it draws. Their scale ends the caption, in words; device,
        settings that differ from the paper and versions stand folded under it, as a table.

    Raises
    ------
    ValueError
        Alternative text or caption is empty.
    """
    for name, text in (("alt", alt), ("caption", caption)):
        if not text.strip():
            raise ValueError(f"{name} must say something about the figure, got {text!r}")
    from matplotlib import pyplot as plt

    origins = list(source) if isinstance(source, Sequence) else [source]
    scales = dict.fromkeys(origin.scale for origin in origins)  # each once, in order
    caption = " ".join([caption, *(f"{scale}." for scale in scales)])
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", bbox_inches="tight", dpi=STYLE["savefig.dpi"])
    width = round(fig.get_figwidth() * 110)
    plt.close(fig)
    alt, caption = (" ".join(text.split()) for text in (alt, caption))
    return Figure(buffer.getvalue(), alt, caption, width, origins)


def new(
    ncols: int = 1, nrows: int = 1, width: float = 6.4, height: float = 4.0
) -> tuple[MatplotlibFigure, Axes]:
    """A new figure in the book's style: `(figure, axes)` as `pyplot.subplots` gives them.

    `width` and `height` are those of the whole figure, in inches.
    """
    from matplotlib import pyplot as plt

    return plt.subplots(nrows, ncols, figsize=(width, height), layout="constrained")


def information_plane_axes(ax: Axes, h_y: float | None = None, limit: float | None = None) -> Axes:
    """Draw what no point can pass: the diagonal I(T;Y) = I(X;T) and the ceiling H(Y).

    `h_y` and `limit` (right end of the axis, default 1.08 of the ceiling) are in nats.
    """
    limit = limit or 1.08 * (h_y or 1.0)
    corner = min(h_y or limit, limit)
    ax.plot([0, corner], [0, corner], color=COLORS["bound"], lw=1, ls="--", zorder=1)
    if h_y is not None:
        ax.plot([h_y, limit], [h_y, h_y], color=COLORS["bound"], lw=1, ls="--", zorder=1)
    ax.set(xlabel="I(X;T) [nats]", ylabel="I(T;Y) [nats]", xlim=(-0.03 * limit, limit))
    ax.set_ylim(-0.03 * limit, 1.04 * corner)
    return ax


def image_grid(
    images: Iterable, titles: Iterable[str] | None = None, columns: int = 8, size: float = 1.1
) -> MatplotlibFigure:
    """Pictures in a grid without axes; images of shape `(H, W)` or `(H, W, 3)` in [0, 1]."""
    from matplotlib import pyplot as plt

    images = list(images)
    if not images:
        raise ValueError("image_grid needs at least one image, got none")
    titles = list(titles) if titles is not None else [""] * len(images)
    rows = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        fig, axes = plt.subplots(
            rows,
            columns,
            figsize=(columns * size, rows * size),
            squeeze=False,
            layout="constrained",
        )
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title, fontsize=8)
    return fig


_CENTERS = {"Y": (-0.6, 0.35), "Z": (0.6, 0.35), "X": (0.0, -0.69)}
_PLACES = {
    "H[X|Y,Z]": (0, -1.2),
    "H[Y|X,Z]": (-1.05, 0.62),
    "H[Z|X,Y]": (1.05, 0.62),
    "I[X;Y|Z]": (-0.62, -0.34),
    "I[X;Z|Y]": (0.62, -0.34),
    "I[Y;Z|X]": (0, 0.72),
    "I[X;Y;Z]": (0, 0.02),
}


def three_circles(
    ax: Axes, pieces: Mapping[str, float], title: str = "", texts: Mapping[str, str] | None = None
) -> Axes:
    """Draw the seven pieces of three variables on equal circles, numbers in nats.

    Areas are not to scale: a piece may be negative, which no area can show; it is hatched in
    orange. The strength of a color is the size of the piece. `texts` replaces numbers by words.

    Raises
    ------
    ValueError
        `pieces` does not hold exactly the seven names, from "H[X|Y,Z]" to "I[X;Y;Z]".
    """
    if set(pieces) != set(_PLACES):
        raise ValueError(f"pieces must be named {sorted(_PLACES)}, got {sorted(pieces)}")
    import numpy as np

    grid = np.stack(np.meshgrid(*[np.linspace(-1.85, 1.85, 500)] * 2))
    disk = {k: ((grid - np.reshape(c, (2, 1, 1))) ** 2).sum(0) < 1 for k, c in _CENTERS.items()}
    top = max(abs(value) for value in pieces.values())
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
    for name, value in pieces.items():
        circles = name[2:].split("|")[0]  # left of the bar: the circles that the piece lies in
        region = np.logical_and.reduce([disk[k] == (k in circles) for k in _CENTERS])
        zero = abs(value) < 1e-9
        if not zero:
            color, strength = palette[1 if value < 0 else 5], 0.15 + 0.6 * abs(value) / top
            ax.contourf(*grid, region, [0.5, 1.5], colors=[color], alpha=strength)
        if value < 0 and not zero:
            ax.contourf(*grid, region, [0.5, 1.5], colors="none", hatches=["///"])
        number = "0" if zero else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
        text = (texts or {}).get(name, number)
        ax.text(*_PLACES[name], text, ha="center", va="center", fontsize=9, bbox=box)
    angle = np.linspace(0, 2 * np.pi, 200)
    for name, (x, y) in _CENTERS.items():
        ax.plot(x + np.cos(angle), y + np.sin(angle), color="black", lw=1.2)
        ax.text(2.6 * x, 1.2 if y > 0 else -1.85, name, fontsize=13, ha="center", va="center")
    ax.set(title=title, aspect="equal", xlim=(-1.9, 1.9), ylim=(-2.0, 1.6))
    ax.axis("off")
    return ax
