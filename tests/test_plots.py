"""Figures carry their picture, alternative text and caption."""

import base64
import re

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from ibtutor import plots


def test_show_embeds_the_picture_and_escapes_the_texts():
    fig, ax = plots.new()
    ax.plot([0, 1], [0, 1])
    shown = plots.show(fig, alt='A line from 0 to 1, "rising"', caption="I(T;Y) < H(Y) & more")
    html = shown._repr_html_()
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', html).group(1)
    assert base64.b64decode(picture)[:8] == b"\x89PNG\r\n\x1a\n"
    assert 'alt="A line from 0 to 1, &quot;rising&quot;"' in html
    assert "I(T;Y) &lt; H(Y) &amp; more" in html
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize(("alt", "caption"), [(" ", "c"), ("a", "")])
def test_show_refuses_a_figure_without_words(alt, caption):
    fig, _ = plots.new()
    with pytest.raises(ValueError, match="must say something"):
        plots.show(fig, alt=alt, caption=caption)
    plt.close(fig)


def test_the_plane_names_its_axes_and_units():
    fig, ax = plots.new()
    plots.information_plane_axes(ax, h_y=2.3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("I(X;T) [nats]", "I(T;Y) [nats]")
    plt.close(fig)


def test_image_grid_needs_an_image():
    with pytest.raises(ValueError, match="at least one image"):
        plots.image_grid([])
