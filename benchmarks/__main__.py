"""`python -m benchmarks [SUBJECT ...]`: run all subjects, or those named, and print ratios."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path


def subjects() -> list[str]:
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", help="one of: " + ", ".join(subjects()))
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    chosen = parser.parse_args()
    unknown = set(chosen.subject) - set(subjects())
    if unknown:
        parser.error(f"no subject {sorted(unknown)}; there are {', '.join(subjects())}")
    # Subjects import torch and numpy, which read these when they start their threads.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    missed = False
    for subject in chosen.subject or subjects():
        module = import_module(f"benchmarks.{subject}")
        print(module.TITLE, flush=True)
        for row in module.run():
            print(row.line(), flush=True)
            missed |= row.verdict.endswith("MISSED")
    return int(chosen.strict and missed)


if __name__ == "__main__":
    sys.exit(main())
