"""Bonilla 2025, "Mutual Information-Guided Adaptive Label Smoothing": a module a figure or table."""

PAPER = "Bonilla 2025"
