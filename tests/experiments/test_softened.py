"""What changes outputs after training: a table over temperatures, and planned mixtures."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ibtutor.experiments import _softened
from ibtutor.experiments._null_control import match_temperature
from ibtutor.experiments.kudo import _plane, _plane_rows
from ibtutor.experiments.kudo import fig3_cifar10 as fig3


@pytest.mark.parametrize(("count", "classes", "scale"), [(2000, 10, 4.0), (1020, 102, 8.0)])
def test_a_table_of_temperatures_stands_for_the_logits(count, classes, scale):
    generator = torch.Generator().manual_seed(classes)
    labels = torch.arange(count) % classes
    logits = scale / 3 * torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), labels] += 2 * scale * torch.rand(count, generator=generator)
    smooth, kinked = (
        partial(each, labels=labels) for each in (_plane.smooth_scores, _plane.kinked_scores)
    )
    table = _softened.table(logits, smooth, kinked)
    for target in np.linspace(0.05, 0.95 * table["i_ty"][0], 12):
        direct = match_temperature(logits, labels, target)
        found = _softened.at_information(table, target)
        assert found == pytest.approx(direct, rel=1e-4)
        exact = _plane.scores((logits.double() / direct).softmax(1), labels)
        ours = _softened.softened_to(table, found)
        for name in ("i_xt", "i_ty", "gap", "nll"):
            assert ours[name] == pytest.approx(exact[name], abs=1e-4), name
        assert ours["accuracy"] == exact["accuracy"]
        # It jumps where an image changes its bin.
        assert ours["ece"] == pytest.approx(exact["ece"], abs=4 / count)
    assert np.isnan(_softened.at_information(table, table["i_ty"][0] + 0.1))


def test_mixtures_are_exact_where_they_were_planned():
    config = replace(fig3.SMOKE, train_images=200, test_images=100, width=8, epochs=2, seeds=(0,))
    task = fig3.load(config)
    (name,) = [n for n in fig3.parts(config) if n == "all-ls"]
    part = fig3.run_part(config, name, progress=False)
    (plain,) = part.summary["plain"]
    row = _plane_rows.final(part.rows, "ls", "train", 0.0)[0]
    softened = _softened.softened_to(plain["softened"]["train"], 1.0)
    for measure in ("i_xt", "i_ty", "nll", "accuracy"):
        assert softened[measure] == pytest.approx(row[measure], abs=1e-4)
    mixed = {(e["alpha"], e["split"]): e for e in plain["mixed"]}
    assert {alpha for alpha, _ in mixed} == {i / 10 for i in range(1, 10)}
    plain_row = _plane_rows.final(part.rows, "ls", "test", 0.0)[0]
    assert mixed[0.9, "test"]["accuracy"] == plain_row["accuracy"]
    assert part.summary["counts"]["train"] == torch.bincount(task.train[1]).tolist()
