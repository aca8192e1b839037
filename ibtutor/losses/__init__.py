"""Objectives as functions of logits, labels and one strength; means over the batch, in nats."""

from ibtutor.info.smoothing import mix_outputs
from ibtutor.losses.confidence_penalty import confidence_penalty
from ibtutor.losses.conversion import convert_smoothing, smoothing_equivalent
from ibtutor.losses.discrete_vib import discrete_vib
from ibtutor.losses.floor import loss_floor
from ibtutor.losses.label_correction import label_correction
from ibtutor.losses.label_smoothing import label_smoothing
from ibtutor.losses.soft_cross_entropy import soft_cross_entropy

__all__ = [
    "confidence_penalty",
    "convert_smoothing",
    "discrete_vib",
    "label_correction",
    "label_smoothing",
    "loss_floor",
    "mix_outputs",
    "smoothing_equivalent",
    "soft_cross_entropy",
]
