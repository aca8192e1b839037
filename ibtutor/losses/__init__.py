"""Objectives as functions of logits, labels and one strength, in nats.

All take torch's layout: logits `(N, K, d1, ...)` with the classes second, labels `(N, d1, ...)`,
a `reduction`, and, those on labels, an `ignore_index`. A strength is a number or a tensor that
broadcasts over the labels, and gradients flow to it. No loss waits for its device: shapes and types
are always checked, values on the CPU only; `check_labels` checks a data set once.
"""

from ibtutor.info.smoothing import mix_outputs
from ibtutor.losses._inputs import check_labels
from ibtutor.losses.activation_norm import (
    activation_norm,
    norm_entropy_bound,
    norm_limit,
)
from ibtutor.losses.conditional_entropy_bottleneck import conditional_entropy_bottleneck
from ibtutor.losses.confidence_penalty import confidence_penalty
from ibtutor.losses.conversion import convert_smoothing, smoothing_equivalent
from ibtutor.losses.decoder_cross_entropy import decoder_cross_entropy
from ibtutor.losses.decoder_uncertainty import decoder_uncertainty, optimal_decoder
from ibtutor.losses.discrete_vib import discrete_vib
from ibtutor.losses.floor import loss_floor
from ibtutor.losses.information_matching import (
    information_matching_strength,
    information_matching_targets,
)
from ibtutor.losses.label_correction import label_correction
from ibtutor.losses.label_smoothing import label_smoothing
from ibtutor.losses.log_variance import log_variance
from ibtutor.losses.mutual_information_learning import mutual_information_learning
from ibtutor.losses.prediction_cross_entropy import prediction_cross_entropy
from ibtutor.losses.soft_cross_entropy import soft_cross_entropy
from ibtutor.losses.variational_bottleneck import sample_gaussian, variational_bottleneck

__all__ = [
    "activation_norm",
    "check_labels",
    "conditional_entropy_bottleneck",
    "confidence_penalty",
    "convert_smoothing",
    "decoder_cross_entropy",
    "decoder_uncertainty",
    "discrete_vib",
    "information_matching_strength",
    "information_matching_targets",
    "label_correction",
    "label_smoothing",
    "log_variance",
    "loss_floor",
    "mix_outputs",
    "mutual_information_learning",
    "norm_entropy_bound",
    "norm_limit",
    "optimal_decoder",
    "prediction_cross_entropy",
    "sample_gaussian",
    "smoothing_equivalent",
    "soft_cross_entropy",
    "variational_bottleneck",
]
