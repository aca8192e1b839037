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


class Source:
    scale = "2,000 images, a small network: not the paper's scale"

    def origin(self):
        return [("seeds", "3 <for 5>")]


def test_show_ends_the_caption_with_the_scale_and_folds_the_origin():
    fig, _ = plots.new()
    shown = plots.show(fig, alt="a", caption="What is seen.", source=[Source(), Source()])
    assert shown.caption == f"What is seen. {Source.scale}."
    text = shown._repr_html_()
    assert "<details class='ibtutor-origin'>" in text
    assert "<th scope='row'>seeds</th><td>3 &lt;for 5&gt;</td>" in text


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
