"""What `ibtutor.info` offers, and what importing it costs."""

import subprocess
import sys

from ibtutor import info


def test_names_are_sorted_and_there():
    # Constants first, as ruff sorts.
    key = lambda name: (not name.isupper(), name)  # noqa: E731
    assert sorted(info.__all__, key=key) == list(info.__all__)
    assert all(hasattr(info, name) for name in info.__all__)


def test_import_brings_nothing_heavier_than_torch():
    code = (
        "import sys, ibtutor.info, ibtutor.losses;"
        "heavy = {'scipy', 'sklearn', 'pandas', 'matplotlib', 'torchvision'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
