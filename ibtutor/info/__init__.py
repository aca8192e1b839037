"""Information quantities, in nats. One idea a file; no training, no nn.Module."""

from ibtutor.info.entropy import cross_entropy, entropy, kl_divergence, mutual_information

__all__ = [
    "cross_entropy",
    "entropy",
    "kl_divergence",
    "mutual_information",
]
