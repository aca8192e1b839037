"""What the papers left open: a module a question of ours."""

PAPER = "Beyond the papers"
