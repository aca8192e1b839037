"""Kudo 2025, "Label Smoothing is a Pragmatic Information Bottleneck": a module a figure or table."""

PAPER = "Kudo 2025"
