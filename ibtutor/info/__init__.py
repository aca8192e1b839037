"""Information quantities, in nats. One idea a file; no training, no nn.Module."""

from ibtutor.info.bottleneck import BottleneckSolution, critical_beta, solve_bottleneck
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
    "InformationPlane",
    "critical_beta",
    "cross_entropy",
    "entropy",
    "information_plane",
    "kl_divergence",
    "label_smoothing_encoder",
    "label_smoothing_information",
    "label_smoothing_strength",
    "mix_outputs",
    "mutual_information",
    "solve_bottleneck",
]
