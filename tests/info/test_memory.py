"""No array grows with the product of two sizes that the caller chooses."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ibtutor.info import _neighbors, binary_gaussian, binary_gaussian_information, noisy_information
from ibtutor.info import noisy_inputs as layer


class Largest(TorchDispatchMode):
    """Cells of the largest tensor that any operation returns."""

    cells = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, torch.Tensor):
                self.cells = max(self.cells, value.numel())
        return found


def uniform(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def most_cells(call, *args):
    with Largest() as seen:
        value = call(*args)
    return seen.cells, value


def test_many_separations_are_taken_in_parts():
    deltas = 10 * uniform(50, 100)
    cells, found = most_cells(binary_gaussian_information, deltas)
    assert cells <= binary_gaussian._CELLS
    assert found.shape == deltas.shape
    for row, column in ((0, 0), (20, 30), (49, 99)):
        one = binary_gaussian_information(deltas[row, column])
        assert found[row, column].item() == pytest.approx(one.item(), abs=1e-14)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_noisy_layer_is_taken_in_parts(d, monkeypatch):
    means, labels = 4 * uniform(50, d), torch.arange(50) % 3
    whole = [noisy_information(means, 1.0, y).item() for y in (None, labels)]
    monkeypatch.setattr(layer, "_CELLS", 5000)
    for y, expected in zip((None, labels), whole, strict=True):
        cells, found = most_cells(noisy_information, means, 1.0, y)
        assert cells <= 5000
        assert found.item() == pytest.approx(expected, abs=1e-13)


def test_many_inputs_and_many_nodes_at_once():
    cells, found = most_cells(noisy_information, 40.0 * torch.arange(600), 1.0)
    assert cells <= layer._CELLS  # 600 inputs, 120,000 nodes
    assert found.item() == pytest.approx(math.log(600), abs=1e-9)


@pytest.mark.parametrize("spread", [1.0, 1e-5])
def test_candidates_in_many_dimensions_are_taken_in_parts(spread, monkeypatch):
    z = 10 * uniform(5, 400).repeat(200, 1) * (spread < 1) + spread * uniform(1000, 400)
    whole = _neighbors.kth_distance(z, 20, "euclidean")
    monkeypatch.setattr(_neighbors, "_CELLS_CPU", 100_000)
    # The sample itself is larger; so is `_ROWS` rows of products.
    cells, found = most_cells(_neighbors.kth_distance, z, 20, "euclidean")
    assert cells <= 401 * 1000
    assert found.tolist() == pytest.approx(whole.tolist(), rel=1e-12)
