"""Bonilla 2025, "Mutual Information-Guided Adaptive Label Smoothing": a module a figure."""

PAPER = "Bonilla 2025"
