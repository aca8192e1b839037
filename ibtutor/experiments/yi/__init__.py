"""Yi and others 2022, "Mutual Information Learned Classifiers": a module a figure or table."""

PAPER = "Yi and others 2022"
