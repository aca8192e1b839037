"""No result of `ibtutor.info` hangs on the order in which a processor adds float32 numbers."""

import dataclasses

import pytest
import torch

from ibtutor import info
from tests.sequential import SequentialFloat32

ROWS, CLASSES = 3000, 40


def equal_addends(rows=ROWS, classes=CLASSES):
    """Smoothed labels in float32: millions of equal numbers, which drift the most in sequence."""
    labels = torch.arange(rows) % classes
    return info.mix_outputs(torch.eye(classes), 0.3)[labels], labels


P, LABELS = equal_addends()
JOINT = P / P.double().sum().float()
ROW = torch.full((50_000,), 1 / 50_000)
IMAGES = (torch.arange(640) % 13 / 13).view(4, 1, 16, 10)
FEW = info.mix_outputs(torch.eye(4), 0.3)[torch.arange(8) % 4]
CALLS = {
    "entropy": lambda: info.entropy(ROW),
    "cross_entropy": lambda: info.cross_entropy(ROW, ROW),
    "kl_divergence": lambda: info.kl_divergence(ROW, ROW.flip(0)),
    "mutual_information": lambda: info.mutual_information(JOINT),
    "information_plane": lambda: info.information_plane(P, LABELS),
    "information_diagram": lambda: info.information_diagram(torch.full((ROWS,), 1 / ROWS), P, P),
    "expected_calibration_error": lambda: info.expected_calibration_error(P, LABELS),
    "reliability_diagram": lambda: info.reliability_diagram(P, LABELS).gap,
    "calibration_gap": lambda: info.calibration_gap(P, LABELS),
    "brier_score": lambda: info.brier_score(P, LABELS),
    "batched_calibration_error": lambda: info.batched_calibration_error(P, LABELS),
    "normalized_mutual_information": lambda: info.normalized_mutual_information(
        IMAGES, P[:16].view(4, 1, 16, 10)
    ),
    "label_smoothing_information": lambda: info.label_smoothing_information(0.1, prior=ROW),
    "information_atoms": lambda: info.information_atoms(JOINT[:, None].expand(-1, 5, -1) / 5),
    "bottleneck_objective": lambda: info.bottleneck_objective(None, P, P, 0.3),
    "label_smoothing_encoder": lambda: info.label_smoothing_encoder(P, 0.1),
    "pool_labels": lambda: info.pool_labels(P, P[:CLASSES], how="geometric"),
    "pool_labels, arithmetic": lambda: info.pool_labels(P, P[:CLASSES]),
    "agreement_smoothing": lambda: info.agreement_smoothing(FEW, 0.2),
    "solve_bottleneck": lambda: info.solve_bottleneck(FEW, [0.3]).objective,
    "audenaert_bound": lambda: info.audenaert_bound(ROW, ROW.flip(0)),
    "error_lower_bound": lambda: info.error_lower_bound(P[:40, 0] / 9, P[:40, 0] + 1, 40),
    "error_bound_from_counts": lambda: info.error_bound_from_counts((P * 1000).round()).bound,
    "binary_gaussian_information": lambda: info.binary_gaussian_information(P[:40]),
    "bottleneck_bound": lambda: info.bottleneck_bound(FEW, 0.2),
}


def numbers(result):
    """A flat float64 tensor of whatever a function gives."""
    if dataclasses.is_dataclass(result):
        result = [v for v in dataclasses.asdict(result).values() if isinstance(v, float)]
    return torch.as_tensor(result, dtype=torch.float64).flatten()


@pytest.mark.parametrize("name", CALLS)
def test_sums_in_sequence_give_the_same(name):
    usual = numbers(CALLS[name]())
    with SequentialFloat32():
        worst = numbers(CALLS[name]())
    torch.testing.assert_close(worst, usual, rtol=0, atol=1e-9)
