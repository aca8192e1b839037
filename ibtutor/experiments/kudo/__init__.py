"""Kudo 2025, "Label Smoothing is a Pragmatic Information Bottleneck": a module a figure."""

PAPER = "Kudo 2025"
