"""Information quantities, in nats. One idea a file; no training, no nn.Module."""

from ibtutor.info.bottleneck import BottleneckSolution, critical_beta, solve_bottleneck
from ibtutor.info.entropy import cross_entropy, entropy, kl_divergence, mutual_information

__all__ = [
    "BottleneckSolution",
    "critical_beta",
    "cross_entropy",
    "entropy",
    "kl_divergence",
    "mutual_information",
    "solve_bottleneck",
]
