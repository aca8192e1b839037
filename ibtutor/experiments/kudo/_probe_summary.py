"""From rows of probed networks to means, spreads and differences."""

from collections.abc import Iterable
from typing import Any

from ibtutor.experiments._null_control import MATCH_NATS, mean_and_error, nearest, paired

PROBES = ("linear", "whitened", "mlp")


def _groups(rows: Iterable[dict], method: str, key: str) -> dict[float, list[dict]]:
    groups: dict[float, list[dict]] = {}
    for row in rows:
        if row["method"] == method and not row["diverged"]:
            groups.setdefault(row[key], []).append(row)
    return groups


def _column(rows: Iterable[dict], name: str) -> list[float]:
    return [row[name] for row in rows]


def summarize(rows: list[dict]) -> dict[str, Any]:
    """Means, spreads, differences to cross-entropy and to the matched null controls."""
    by_alpha = _groups(rows, "ls", "alpha")
    by_decay = _groups(rows, "wd", "weight_decay")
    names = ["accuracy", "train_accuracy", "i_ty", *(f"probe_{kind}" for kind in PROBES)]
    summary: dict[str, Any] = {"settings": []}
    for method, groups in (("ls", by_alpha), ("wd", by_decay)):
        for key, members in sorted(groups.items()):
            entry: dict[str, Any] = {"method": method, "strength": key, "trials": len(members)}
            for name in names:
                entry[name], entry[f"{name}_sd"], _ = mean_and_error(_column(members, name))
            summary["settings"].append(entry)
    plain = by_alpha.get(0.0, [])
    # A strength at which every run diverged has a comparison too, one that was not run.
    tried = sorted({row["alpha"] for row in rows if row["method"] == "ls" and row["alpha"] > 0})
    summary["against_cross_entropy"] = [
        _compare(alpha, by_alpha.get(alpha, []), plain) for alpha in tried if plain
    ]
    summary["against_weight_decay"] = []
    for alpha, members in sorted(by_alpha.items()):
        if alpha > 0 and (found := nearest(by_decay, mean_and_error(_column(members, "i_ty"))[0])):
            decay, off = found
            entry = _compare(alpha, members, by_decay[decay])
            entry |= {"weight_decay": decay, "i_ty_off": off, "matched": abs(off) <= MATCH_NATS}
            summary["against_weight_decay"].append(entry)
    return summary


def _compare(alpha: float, ours: list[dict], theirs: list[dict]) -> dict[str, Any]:
    """Smoothing minus the others by measure: a t-interval over seeds, None below two seeds."""
    entry: dict[str, Any] = {"alpha": alpha}
    for name in ("accuracy", *(f"probe_{kind}" for kind in PROBES)):
        entry[name] = paired(ours, theirs, name)
    return entry
