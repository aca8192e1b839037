"""Shared fixtures: the oracles, numbers computed by two independent methods."""

import json
from pathlib import Path

import pytest

try:
    import hypothesis
except ImportError:  # the chapters' tests run without it
    pass
else:
    # The same examples on every run, and no time limit on a busy machine.
    hypothesis.settings.register_profile(
        "ibtutor", deadline=None, derandomize=True, max_examples=40
    )
    hypothesis.settings.load_profile("ibtutor")


@pytest.fixture(scope="session")
def oracle():
    """`oracle("K01")` is a dict with "inputs", "expected" and "tolerance"."""
    entries = json.loads(Path(__file__).with_name("oracles.json").read_text(encoding="utf-8"))
    by_id = {entry["id"]: entry for entry in entries}
    return by_id.__getitem__
