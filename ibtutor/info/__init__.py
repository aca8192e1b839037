"""Information quantities, in nats. One idea a file; no training, no nn.Module."""

from importlib import import_module

from ibtutor.info.binary_gaussian import (
    BinaryGaussianBounds,
    binary_gaussian_bounds,
    binary_gaussian_error,
    binary_gaussian_information,
    gaussian_separation,
)
from ibtutor.info.binning import binned_information, counted_information
from ibtutor.info.bottleneck import BottleneckSolution, critical_beta, solve_bottleneck
from ibtutor.info.calibration import expected_calibration_error
from ibtutor.info.diagram import (
    InformationAtoms,
    InformationDiagram,
    information_atoms,
    information_diagram,
)
from ibtutor.info.entropy import cross_entropy, entropy, kl_divergence, mutual_information
from ibtutor.info.error_bounds import audenaert_bound, error_lower_bound
from ibtutor.info.error_estimates import (
    ErrorBoundEstimate,
    error_bound_from_counts,
    error_bound_from_predictions,
)
from ibtutor.info.estimator_report import (
    Estimate,
    EstimatorReport,
    estimator_report,
    estimator_report_rates,
)
from ibtutor.info.gaussian_bound import ZERO_ENTROPY_STD, gaussian_entropy_bound
from ibtutor.info.image_information import (
    normalized_mutual_information,
    normalized_mutual_information_floor,
)
from ibtutor.info.knn import (
    BiasWarning,
    knn_entropy,
    knn_entropy_bias,
    knn_mutual_information,
)
from ibtutor.info.noisy_inputs import noisy_information, noisy_information_bounds
from ibtutor.info.objectives import bottleneck_objective
from ibtutor.info.plane import InformationPlane, information_plane
from ibtutor.info.reliability import (
    ReliabilityDiagram,
    batched_calibration_error,
    brier_score,
    calibration_gap,
    reliability_diagram,
)
from ibtutor.info.smoothing import (
    label_smoothing_encoder,
    label_smoothing_information,
    label_smoothing_strength,
    mix_outputs,
)

__all__ = [
    "ZERO_ENTROPY_STD",
    "BiasWarning",
    "BinaryGaussianBounds",
    "BottleneckSolution",
    "CurveSolution",
    "ErrorBoundEstimate",
    "Estimate",
    "EstimatorReport",
    "InformationAtoms",
    "InformationDiagram",
    "InformationPlane",
    "ReliabilityDiagram",
    "agreement_smoothing",
    "audenaert_bound",
    "batched_calibration_error",
    "best_channel",
    "binary_gaussian_bounds",
    "binary_gaussian_error",
    "binary_gaussian_information",
    "binned_information",
    "bottleneck_at_rate",
    "bottleneck_bound",
    "bottleneck_objective",
    "brier_score",
    "calibration_gap",
    "confidence_penalty_encoder",
    "contraction_coefficient",
    "counted_information",
    "critical_beta",
    "cross_entropy",
    "entropy",
    "error_bound_from_counts",
    "error_bound_from_predictions",
    "error_lower_bound",
    "estimator_report",
    "estimator_report_rates",
    "expected_calibration_error",
    "gaussian_entropy_bound",
    "gaussian_separation",
    "geometric_smoothing",
    "information_atoms",
    "information_diagram",
    "information_plane",
    "kl_divergence",
    "knn_entropy",
    "knn_entropy_bias",
    "knn_mutual_information",
    "known_sample",
    "label_smoothing_at_rate",
    "label_smoothing_encoder",
    "label_smoothing_information",
    "label_smoothing_strength",
    "mix_outputs",
    "mutual_information",
    "noisy_information",
    "noisy_information_bounds",
    "normalized_mutual_information",
    "normalized_mutual_information_floor",
    "pool_labels",
    "reliability_diagram",
    "solve_bottleneck",
]

# These need scipy.optimize, which takes longer to import than all the rest: on first use.
_LAZY = {
    "CurveSolution": "channels",
    "agreement_smoothing": "pooling",
    "best_channel": "channels",
    "bottleneck_at_rate": "channels",
    "bottleneck_bound": "certificate",
    "confidence_penalty_encoder": "pooling",
    "contraction_coefficient": "certificate",
    "geometric_smoothing": "pooling",
    "known_sample": "known_information",
    "label_smoothing_at_rate": "pooling",
    "pool_labels": "pooling",
}


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
