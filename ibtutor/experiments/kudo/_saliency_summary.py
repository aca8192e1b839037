"""From shares of saliency, image by image, to means with standard errors and paired differences."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ibtutor.experiments._null_control import MATCH_NATS, mean_and_error, nearest

MEASURES = ("accuracy", "box_others", "box_one", "stroke_others", "stroke_one")


def summarize(
    rows: list[dict[str, Any]], shares: Mapping[str, np.ndarray], labels: np.ndarray
) -> dict[str, Any]:
    """Summary of the arms: see the keys. `shares` holds, by run, the box share of each image."""
    groups: dict[tuple[str, float], list[dict]] = {}
    for row in rows:
        strength = row["alpha"] if row["method"] == "ls" else row["weight_decay"]
        groups.setdefault((row["method"], strength), []).append(row)
    plain = groups.get(("ls", 0.0), [])
    smoothed = [key for key in groups if key[0] == "ls" and key[1] > 0]
    summary: dict[str, Any] = {
        "settings": [_setting(key, members) for key, members in sorted(groups.items())],
        "images": len(labels),
        "over_images": {name: over_images(share, labels) for name, share in shares.items()},
        "against_cross_entropy": {},
        "against_weight_decay": {},
    }
    if not smoothed or not plain:
        return summary
    ours = groups[smoothed[0]]
    summary["against_cross_entropy"] = {name: paired(ours, plain, name) for name in MEASURES}
    decays = {key: members for key, members in groups.items() if key[0] == "wd"}
    if found := nearest(decays, mean_and_error(row["i_ty"] for row in ours)[0]):
        key, off = found
        gaps = {name: paired(ours, groups[key], name) for name in MEASURES}
        matched = abs(off) <= MATCH_NATS
        summary["against_weight_decay"] = {
            "weight_decay": key[1],
            "i_ty_off": off,
            "matched": matched,
            **gaps,
        }
    return summary


def _setting(key: tuple[str, float], members: list[dict]) -> dict[str, Any]:
    entry: dict[str, Any] = {"method": key[0], "strength": key[1], "trials": len(members)}
    for name in (*MEASURES, "train_accuracy", "i_ty"):
        entry[name], entry[f"{name}_sd"], entry[f"{name}_error"] = mean_and_error(
            row[name] for row in members
        )
    return entry


def over_images(share: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Mean share of one run and its standard error over images; constant maps are left out."""
    entry = {}
    for which, chosen in (("others", labels != 1), ("one", labels == 1)):
        values = share[chosen & ~np.isnan(share)]
        entry[which] = float(values.mean())
        entry[f"{which}_error"] = float(values.std(ddof=1) / math.sqrt(len(values)))
    return entry


def paired(ours: list[dict], theirs: list[dict], name: str) -> dict[str, Any]:
    """Mean of the differences seed by seed, and its standard error over seeds."""
    other = {row["seed"]: row[name] for row in theirs}
    gaps = [row[name] - other[row["seed"]] for row in ours if row["seed"] in other]
    mean, _, error = mean_and_error(gaps)
    return {"difference": mean, "error": error, "all_above": all(gap > 0 for gap in gaps)}
