"""The explorer at rest: what stands in a notebook, and on a page without scripts."""

import re

import pytest
import torch

from ibtutor import explorer, info


@pytest.mark.parametrize("part", explorer.PARTS)
def test_every_part_is_a_picture_with_its_words_and_a_link(part):
    text = explorer.show(part)._repr_html_()
    assert text.startswith(f'<div id="ib-explorer" class="ib-explorer" data-part="{part}"></div>')
    assert re.search(r'<figure class="ibtutor-figure"><img src="data:image/png;base64,', text)
    assert len(re.search(r'alt="([^"]+)"', text)[1]) > 50
    assert f'<a href="{explorer.ADDRESS}">' in text.partition("<figcaption>")[2]


def test_another_part_is_refused():
    with pytest.raises(ValueError, match="one of all, front, one, three, votes, got 'two'"):
        explorer.show("two")


def test_the_words_are_true_of_the_numbers():
    alpha, k = explorer.ALPHA, explorer.CLASSES
    soft = info.mix_outputs(torch.eye(k, dtype=torch.float64), alpha)[0]
    assert [f"{float(soft[i]):.2f}" for i in (0, 1)] == ["0.91", "0.01"]
    kept = [info.label_smoothing_information(a, num_classes=k) for a in (alpha, 0.0)]
    assert [f"{float(v):.3f}" for v in kept] == ["1.802", "2.303"]
    lengths = {name: float(move.norm()) for name, move in explorer.pulls().items()}
    assert min(lengths, key=lengths.get) == "vib"
    assert all(float(move[0]) > 0 for move in explorer.pulls().values())
    w = explorer.votes()
    channel = info.mix_outputs(torch.eye(2, dtype=torch.float64), alpha)
    for how, short in (("arithmetic", True), ("geometric", False)):
        plane = info.information_plane(info.pool_labels(w, channel, how), p_y_given_x=w)
        best = info.bottleneck_at_rate(w, plane.i_xt, num_clusters=3).i_ty
        assert bool(best - plane.i_ty > 1e-4) == short
