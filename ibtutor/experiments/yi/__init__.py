"""Yi and others 2022, "Mutual Information Learned Classifiers": a module a figure."""

PAPER = "Yi and others 2022"
