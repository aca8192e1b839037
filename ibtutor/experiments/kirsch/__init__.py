"""Kirsch, Lyle and Gal 2020, "Unpacking Information Bottlenecks": a module a figure."""

PAPER = "Kirsch, Lyle and Gal 2020"
