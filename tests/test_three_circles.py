"""The drawing of three circles writes every number, marks a negative one, refuses wrong names."""

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from ibtutor import plots

XOR = {
    "H[X|Y,Z]": 0.0,
    "H[Y|X,Z]": 0.0,
    "H[Z|X,Y]": 0.0,
    "I[X;Y|Z]": 0.5,
    "I[X;Z|Y]": 0.6,
    "I[Y;Z|X]": 0.7,
    "I[X;Y;Z]": -0.8,
}


@pytest.fixture
def ax():
    fig, ax = plots.new()
    yield ax
    plt.close(fig)


def _hatched(ax) -> int:
    return sum(any(getattr(c, "hatches", None) or [None]) for c in ax.collections)


def test_every_piece_is_written_where_it_belongs(ax):
    plots.three_circles(ax, XOR)
    texts = {t.get_text(): t.get_position() for t in ax.texts}
    assert {"0.500", "0.600", "0.700", "\N{MINUS SIGN}0.800", "0", "X", "Y", "Z"} <= set(texts)
    assert texts["0.500"][0] < 0 < texts["0.600"][0]  # X with Y is left, X with Z right
    assert abs(texts["0.700"][0]) < 1e-9
    assert texts["0.700"][1] > texts["\N{MINUS SIGN}0.800"][1]


def test_only_a_negative_piece_is_hatched(ax):
    plots.three_circles(ax, XOR)
    assert _hatched(ax) == 1
    ax.clear()
    plots.three_circles(ax, {**XOR, "I[X;Y;Z]": 0.8})
    assert _hatched(ax) == 0


def test_words_replace_numbers(ax):
    plots.three_circles(ax, XOR, texts={"I[X;Y|Z]": "residual"})
    shown = {t.get_text() for t in ax.texts}
    assert "residual" in shown
    assert "0.500" not in shown


def test_wrong_names_are_refused(ax):
    with pytest.raises(ValueError, match="pieces must be named"):
        plots.three_circles(ax, {"I[X;Y]": 1.0})
