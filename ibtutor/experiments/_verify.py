"""Run one seed of a record again and say which numbers have drifted."""

import math
from dataclasses import replace
from typing import Any

from ibtutor import record
from ibtutor.experiments._registry import load, profile_config
from ibtutor.experiments._run import recorded


def verify(
    experiment: str,
    profile: str | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Run one seed again and compare each of its numbers with the record.

    A number has drifted if it is further from the recorded one than three standard deviations of
    the recorded seeds (where there are at least three) and than 1e-6 relative. Returns one row a
    number that was compared; the outcome is kept beside the record, so that the ledger shows it.
    """
    best = recorded(experiment, profile)
    chosen = profile_config(experiment, best.profile)
    if seed not in getattr(chosen, "seeds", (0,)):
        raise ValueError(f"seed must be one of the record's {chosen.seeds}, got {seed}")
    if hasattr(chosen, "seeds"):
        chosen = replace(chosen, seeds=(seed,))
    result = load(experiment).run(chosen, device=device, progress=progress, resume=None)
    compared = _compare(best.rows, result.rows, seed)
    if not compared:
        raise record.RecordError(f"no row of seed {seed} in the record of {experiment}")
    record.write_drift(experiment, best.profile, [row for row in compared if row["drifted"]])
    return compared


# Floats that are settings, not measurements. Strings, booleans and integers always are.
_FLOAT_SETTINGS = frozenset(
    ("alpha", "beta", "eps", "gamma", "rate", "strength", "temperature", "weight_decay")
)


def _settings(row: dict[str, Any]) -> tuple:
    """What names a row among those of one seed."""
    named = {
        name: value
        for name, value in row.items()
        if name != "seed" and (name in _FLOAT_SETTINGS or not isinstance(value, float))
    }
    return tuple(sorted((name, str(value)) for name, value in named.items()))


def _compare(recorded_rows: list[dict], rows: list[dict], seed: int) -> list[dict[str, Any]]:
    groups: dict[tuple, list[dict]] = {}
    for row in recorded_rows:
        groups.setdefault(_settings(row), []).append(row)
    compared = []
    for row in rows:
        peers = groups.get(_settings(row), [])
        same = [peer for peer in peers if peer.get("seed", seed) == seed]
        for name, value in row.items():
            if not same or not isinstance(value, float) or name in _FLOAT_SETTINGS:
                continue
            if name == "seconds" or not isinstance(same[0].get(name), float):
                continue
            before = same[0][name]
            spread = _spread([peer[name] for peer in peers if name in peer])
            allowed = max(3 * spread, 1e-6 * max(1.0, abs(before)))
            drifted = not abs(value - before) <= allowed
            compared.append(
                {
                    "setting": ", ".join(f"{k}={v}" for k, v in _settings(row)),
                    "quantity": name,
                    "recorded": before,
                    "now": value,
                    "allowed": allowed,
                    "drifted": drifted,
                }
            )
    return compared


def _spread(values: list[float]) -> float:
    if len(values) < 3:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
