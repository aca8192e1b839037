"""Information quantities, in nats. One idea a file; no training, no nn.Module."""

from ibtutor.info.bottleneck import BottleneckSolution, critical_beta, solve_bottleneck
from ibtutor.info.calibration import expected_calibration_error
from ibtutor.info.diagram import (
    InformationAtoms,
    InformationDiagram,
    information_atoms,
    information_diagram,
)
from ibtutor.info.entropy import cross_entropy, entropy, kl_divergence, mutual_information
from ibtutor.info.plane import InformationPlane, information_plane
from ibtutor.info.smoothing import (
    label_smoothing_encoder,
    label_smoothing_information,
    label_smoothing_strength,
    mix_outputs,
)

__all__ = [
    "BottleneckSolution",
    "InformationAtoms",
    "InformationDiagram",
    "InformationPlane",
    "critical_beta",
    "cross_entropy",
    "entropy",
    "expected_calibration_error",
    "information_atoms",
    "information_diagram",
    "information_plane",
    "kl_divergence",
    "label_smoothing_encoder",
    "label_smoothing_information",
    "label_smoothing_strength",
    "mix_outputs",
    "mutual_information",
    "solve_bottleneck",
]
