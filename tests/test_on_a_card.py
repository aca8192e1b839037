"""What is handed over on a card gives what it gives on the processor; skipped without a card."""

import pytest
import torch

from ibtutor import info, losses

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

generator = torch.Generator().manual_seed(0)
Z = torch.randn(2000, 12, generator=generator)
Y = torch.randint(5, (2000,), generator=generator)
Z[:, 0] += Y
P = torch.randn(2000, 5, generator=generator, dtype=torch.float64).softmax(1)
LOGITS = torch.randn(512, 10, generator=generator)
LABELS = torch.randint(10, (512,), generator=generator)

IN_FLOAT64 = {
    "knn_entropy": lambda on: info.knn_entropy(on(Z)),
    "knn_mutual_information": lambda on: info.knn_mutual_information(on(Z), on(Y)),
    "noisy_information_bounds": lambda on: info.noisy_information_bounds(on(Z), 1.0),
    "binned_information": lambda on: info.binned_information(on(Z), on(Y), 8),
    "gaussian_entropy_bound": lambda on: info.gaussian_entropy_bound(on(Z)),
    "information_plane": lambda on: info.information_plane(on(P), on(Y)),
    "expected_calibration_error": lambda on: info.expected_calibration_error(on(P), on(Y)),
    "brier_score": lambda on: info.brier_score(on(P), on(Y)),
    "entropy": lambda on: info.entropy(on(P)),
    "mutual_information": lambda on: info.mutual_information(on(P[:5]) / 5),
    "error_bound": lambda on: info.error_bound_from_predictions(on(P.argmax(1)), on(Y)),
}
IN_FLOAT32 = {
    name: lambda on, name=name, strength=strength: getattr(losses, name)(
        on(LOGITS), on(LABELS), strength
    )
    for name, strength in (
        *(("label_smoothing", 0.1), ("confidence_penalty", 0.1), ("label_correction", 0.1)),
        ("mutual_information_learning", 50.0),
    )
}


def numbers(value):
    """All numbers in a result, one after the other."""
    if isinstance(value, torch.Tensor):
        return value.double().cpu().flatten()
    if isinstance(value, (int, float)):
        return torch.tensor([float(value)], dtype=torch.float64)
    if hasattr(value, "_asdict"):
        value = value._asdict().values()
    elif hasattr(value, "__dict__"):
        value = vars(value).values()
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return torch.empty(0, dtype=torch.float64)
    return torch.cat([numbers(each) for each in value])


@pytest.mark.filterwarnings("ignore::ibtutor.info.BiasWarning")  # few points in 12 dimensions
@pytest.mark.parametrize("name", [*IN_FLOAT64, *IN_FLOAT32])
def test_it_is_the_same_there(name):
    function = (IN_FLOAT64 | IN_FLOAT32)[name]
    here, there = (numbers(function(lambda x, d=device: x.to(d))) for device in ("cpu", "cuda"))
    assert len(here)
    tolerance = 1e-11 if name in IN_FLOAT64 else 1e-4
    torch.testing.assert_close(there, here, rtol=tolerance, atol=tolerance)
