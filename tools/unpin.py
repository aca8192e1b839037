"""Forget pinned versions, to see what the newest ones break: for a throw-away checkout.

`python -m tools.unpin` empties constraints.txt. With `--pyproject` the exact pins of
pyproject.toml become lower bounds, instead. Needs nothing but Python: it runs before the install.
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXACT = re.compile(r'^(\s*"[\w.-]+(?:\[[\w,-]+\])?)==', re.MULTILINE)


def forget_constraints(root: Path = ROOT) -> None:
    (root / "constraints.txt").write_text("# none: newest versions\n", "utf8")


def forget_exact_pins(root: Path = ROOT) -> int:
    """Rewrite pyproject.toml; return how many requirements had an exact version."""
    path = root / "pyproject.toml"
    text, count = EXACT.subn(r"\1>=", path.read_text("utf8"))
    path.write_text(text, "utf8")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pyproject", action="store_true", help="its exact pins, instead")
    if parser.parse_args().pyproject:
        print(f"pyproject.toml: {forget_exact_pins()} exact versions are lower bounds now")
    else:
        forget_constraints()
        print("constraints.txt is empty: pip takes the newest versions")


if __name__ == "__main__":
    main()
