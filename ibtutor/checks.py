"""A chapter's assertions, with the margin by which each one holds."""

import html
import json
import math
import os
import sys
from pathlib import Path


def base_seed() -> int:
    """The seed from which every random thing of a page starts (`IBTUTOR_SEED`, default 0).

    `make flake` runs a page under many of them and compares the margins of its checks with
    their spread.

    >>> base_seed()
    0
    """
    text = os.environ.get("IBTUTOR_SEED", "0")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"IBTUTOR_SEED must be an integer, got {text!r}") from None


def check(name: str, value: float, threshold: float, *, above: bool = False) -> None:
    """Assert that `value <= threshold` (`>=` with `above`), say so in one line, log the margin.

    On a page the line is folded: "ok" and the name stand open, the numbers behind them. A margin
    is positive when the check holds. If `IBTUTOR_CHECK_LOG` names a file, one JSON line a check is
    appended to it, failed checks included.

    Raises
    ------
    AssertionError
        The check fails, or the value is not a finite number.

    >>> check("rows sum to one", 0.0, 1e-12)
    ok: rows sum to one (0 <= 1e-12)
    >>> check("accuracy", 0.9, 0.95, above=True)
    Traceback (most recent call last):
    AssertionError: accuracy: expected >= 0.95, got 0.9
    """
    value, threshold = float(value), float(threshold)
    margin = value - threshold if above else threshold - value
    _log(name, value, threshold, above, margin)
    sign = ">=" if above else "<="
    if not (math.isfinite(value) and margin >= 0):
        raise AssertionError(f"{name}: expected {sign} {threshold:.6g}, got {value:.6g}")
    _show(Passed(name, f"{value:.4g} {sign} {threshold:.4g}"))


class Passed:
    """A check that held: one line, folded where HTML is shown."""

    def __init__(self, name: str, numbers: str):
        self.name, self.numbers = name, numbers

    def _repr_html_(self) -> str:
        name, numbers = html.escape(self.name), html.escape(self.numbers)
        return (
            f'<details class="ibtutor-check"><summary>ok: {name}</summary>'
            f"<code>{numbers}</code></details>"
        )

    def __repr__(self) -> str:
        return f"ok: {self.name} ({self.numbers})"


def _show(passed: Passed) -> None:
    """Through the notebook's display where there is one, else as a line of text."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(passed)
    else:
        print(passed)


def _log(name: str, value: float, threshold: float, above: bool, margin: float) -> None:
    path = os.environ.get("IBTUTOR_CHECK_LOG")
    if not path:
        return
    entry = {"name": name, "value": value, "threshold": threshold, "above": above}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, "margin": margin, "seed": base_seed()}) + "\n")
