"""What is claimed of Figures 7 and 8, and how a run is judged by it.

Written before the runs; judged by Student's t since the first record was seen.
"""

from ibtutor.experiments._base import Claim, Result
from ibtutor.experiments._null_control import one_sided, stays, t_interval

HALF_A_POINT = 0.005
CHANGED = "Until a first run had been seen, the rule asked for two standard errors, or for a mean."


def finding(result: Result) -> str:
    """What came of it, in one sentence with a number."""
    found = gap(result, "box_others")
    if found is None:
        return "Too few trials to tell."
    return f"Share of saliency on the digit with smoothing: {told(found)}."


def gap(result: Result, name: str, against: str = "ce") -> dict[str, float] | None:
    """Smoothing minus cross-entropy ("ce") or minus the matched weight decay ("wd").

    The mean difference of the column `name`, trials paired by seed, with Student's 95 % interval:
    `difference`, `low`, `high`, `seeds`. None without two common seeds or a matched weight decay.
    """
    if against not in ("ce", "wd"):
        raise ValueError(f'against must be "ce" or "wd", got {against!r}')
    decay = result.summary.get("against_weight_decay", {})
    if against == "wd" and not decay.get("matched"):
        return None
    theirs = ("ls", 0.0) if against == "ce" else ("wd", decay["weight_decay"])
    return _interval(_smoothed(result, name), _by_seed(result, name, *theirs))


def told(found: dict[str, float]) -> str:
    """A difference with its interval, and what that says of its sign.

    >>> told({"difference": -0.006, "low": -0.0262, "high": 0.015})
    '-0.006 (95 % interval -0.026 to +0.015: the sign cannot be told)'
    """
    says = "the sign cannot be told"
    if found["low"] > 0 or found["high"] < 0:
        says = "above zero" if found["low"] > 0 else "below zero"
    value, low, high = (f"{found[key]:+.3f}" for key in ("difference", "low", "high"))
    return f"{value} (95 % interval {low} to {high}: {says})"


def _interval(ours: dict[int, float], theirs: dict[int, float]) -> dict[str, float] | None:
    return t_interval(ours, theirs) if len(ours.keys() & theirs.keys()) >= 2 else None


def _smoothed(result: Result, name: str) -> dict[int, float]:
    alphas = [r["alpha"] for r in result.rows if r["method"] == "ls" and r["alpha"] > 0]
    return _by_seed(result, name, "ls", alphas[0]) if alphas else {}


def _by_seed(result: Result, name: str, method: str, strength: float) -> dict[int, float]:
    setting = "alpha" if method == "ls" else "weight_decay"
    rows = [r for r in result.rows if r["method"] == method and r[setting] == strength]
    return {row["seed"]: row[name] for row in rows}


def _focus(result: Result) -> str:
    return one_sided(gap(result, "box_others"), "above")


def _focus_survives(result: Result) -> dict[str, str]:
    return {"weight decay": stays(gap(result, "box_others", "wd"), "above")}


def _digit_one(result: Result) -> str:
    harder = _interval(_smoothed(result, "box_one"), _smoothed(result, "box_others"))
    spreads = gap(result, "box_one")
    if harder is None or spreads is None:
        return "not run"
    found = {one_sided(harder, "below"), one_sided(spreads, "below")}
    if "reproduced" in found:
        return "reproduced" if len(found) == 1 else "partly"
    return "not reproduced" if "not reproduced" in found else "cannot be told"


def _digit_one_survives(result: Result) -> dict[str, str]:
    """Does smoothing spread the maps of digit 1 more than weight decay at the same I(T;Y)?"""
    return {"weight decay": stays(gap(result, "box_one", "wd"), "below")}


def _accuracy_equal(result: Result) -> str:
    found = gap(result, "accuracy")
    if found is None:
        return "not run"
    if max(-found["low"], found["high"]) <= HALF_A_POINT:
        return "reproduced"
    return "partly" if abs(found["difference"]) <= HALF_A_POINT else "not reproduced"


CLAIMS = (
    Claim(
        "focus",
        "For digits other than 1 the share of Grad-CAM mass inside the digit's box is larger with "
        "alpha = 0.1 than with cross-entropy: the 95 % interval of the difference (Student's t, "
        "trials paired by seed) lies above zero.",
        "Kudo 2025, Figures 7 and 8",
        _focus,
        _focus_survives,
        changed=CHANGED,
    ),
    Claim(
        "digit_one",
        "With alpha = 0.1 the share for digit 1 lies below that for the other digits, and below "
        "that for digit 1 with cross-entropy: both 95 % intervals lie below zero (partly: one "
        "of the two).",
        "Kudo 2025, Figure 8 and Section 5.3",
        _digit_one,
        _digit_one_survives,
        changed=CHANGED,
    ),
    Claim(
        "accuracy_equal",
        "Test accuracies of both losses differ by at most half a point: the 95 % interval of the "
        "difference lies within it (partly: the mean does, the interval does not).",
        "Kudo 2025, Section 5.3 (97.99 % and 98.05 %)",
        _accuracy_equal,
        changed=CHANGED,
    ),
)
