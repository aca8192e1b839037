"""Run one seed of a record again and say which numbers a fresh seed could not have given."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import ModuleType
from typing import Any

from ibtutor import record
from ibtutor.experiments import _interval
from ibtutor.experiments._registry import load, profile_config
from ibtutor.experiments._run import recorded

# What names a row among those of a record; strings name it too. All other numbers were measured.
SETTINGS = frozenset(
    {"alpha", "batch_size", "beta", "epoch", "eps", "gamma", "num_classes", "rate", "strength"}
    | {"temperature", "weight_decay"}
)
NOT_COMPARED = frozenset(("seed", "seconds"))
TOLERANCE = 1e-6  # of a number that does not vary with the seed, absolute or relative


@dataclass
class Number:
    """One measured number of the fresh run beside the recorded ones.

    `recorded` leaves out seeds that gave NaN; `undefined` says whether one did.
    """

    setting: str
    quantity: str
    family: tuple
    recorded: dict[int, float]
    now: float
    tolerance: float
    undefined: bool = False
    allowed: float = field(default=math.nan)
    center: float = field(default=math.nan)

    @property
    def varies(self) -> bool:
        return len(self.recorded) > 1 and len(set(self.recorded.values())) > 1

    @property
    def drifted(self) -> bool:
        if math.isnan(self.now):
            return not self.undefined
        return not abs(self.now - self.center) <= self.allowed

    def row(self) -> dict[str, Any]:
        return {
            "setting": self.setting,
            "quantity": self.quantity,
            "recorded": self.center,
            "now": self.now,
            "allowed": self.allowed,
            "drifted": self.drifted,
        }


def verify(
    experiment: str,
    profile: str | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Run one seed again and compare each of its numbers with the record.

    On another processor, training takes another path, so a rerun is as good as a fresh seed. A
    number that varies over the recorded seeds has drifted if it lies outside the interval in which
    one fresh seed would fall (see `_interval`; over the whole record the chance of a false alarm
    is at most 1 in 100). One that does not vary with the seed may move by 1e-6, absolute or
    relative, or by what the module's `tolerances(row, rows)` says of that row (infinite: it is not
    determined, and not compared). NaN has not drifted where a recorded seed gave it, too. Only the
    last epoch is compared: on the way there, training is too erratic to judge. A module with
    `SAME_NUMBERS = True` draws and sums such that a seed gives the same numbers everywhere: there
    each number is compared with its own.

    Returns one row a number that was compared; the outcome is kept beside the record, so that the
    ledger shows it.

    Raises
    ------
    ValueError
        The record has no such seed.
    RecordError
        There is no record, or it is unfinished.
    """
    best = recorded(experiment, profile)
    if best.share:
        raise record.RecordError(
            f"{experiment}.{best.profile} is unfinished ({best.share}): finish it, or name a "
            "complete profile"
        )
    chosen = profile_config(experiment, best.profile)
    record.read(experiment, best.profile, asdict(chosen))  # all parts without a record are none
    if seed not in getattr(chosen, "seeds", (0,)):
        raise ValueError(f"seed must be one of the record's {chosen.seeds}, got {seed}")
    if hasattr(chosen, "seeds"):
        chosen = replace(chosen, seeds=(seed,))
    module = load(experiment)
    result = module.run(chosen, device=device, progress=progress, resume=None)
    compared = compare(best.rows, result.rows, module)
    if not compared:
        raise record.RecordError(f"no row of seed {seed} in the record of {experiment}")
    record.write_drift(experiment, best.profile, [row for row in compared if row["drifted"]])
    return compared


def compare(
    recorded_rows: list[dict], rows: list[dict], module: ModuleType | None = None
) -> list[dict[str, Any]]:
    """One row a number: setting, quantity, recorded mean, value now, allowed distance, drifted.

    A setting that the record does not hold has drifted, too: then `recorded` is NaN.
    """
    if getattr(module, "SAME_NUMBERS", False):
        seeds = {row.get("seed", 0) for row in rows}
        recorded_rows = [row for row in recorded_rows if row.get("seed", 0) in seeds]
    names = _Names(recorded_rows)
    groups: dict[tuple, list[dict]] = {}
    for key, row in _numbered(recorded_rows, names):
        groups.setdefault(key, []).append(row)
    numbers = []
    for key, row in _numbered(_ends(rows), names):
        peers = groups.get(key, [])
        tolerances = getattr(module, "tolerances", lambda row, rows: {})(row, recorded_rows)
        numbers += _numbers(row, peers, names, tolerances)
    _fill(numbers, module)
    return [number.row() for number in numbers]


def _numbered(rows: list[dict], names: "_Names") -> Iterator[tuple[tuple, dict]]:
    """Rows with what names them; rows of one seed that are named alike are told apart by order."""
    seen: Counter = Counter()
    for row in rows:
        key = names.key(row)
        seen[key, row.get("seed", 0)] += 1
        yield (*key, seen[key, row.get("seed", 0)]), row


def _ends(rows: list[dict]) -> list[dict]:
    """Rows at the last epoch of their kind: on the way there, training is too erratic to judge."""
    last: dict[tuple, int] = {}
    for row in rows:
        last[_strings(row)] = max(row.get("epoch", 0), last.get(_strings(row), 0))
    return [row for row in rows if row.get("epoch", 0) == last[_strings(row)]]


class _Names:
    """What names a row: its strings, and those of `SETTINGS` that come again with another seed.

    The temperature at which outputs reach some information is found anew for each seed: there it
    was measured, though elsewhere a temperature is a setting.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]):
        seeds: dict[tuple, dict[Any, set]] = {}
        for row in rows:
            for name in SETTINGS & row.keys():
                seen = seeds.setdefault((_strings(row), name), {})
                seen.setdefault(row[name], set()).add(row.get("seed", 0))
        self.found_anew = {
            column
            for column, values in seeds.items()
            if len(set().union(*values.values())) > 1 and all(len(s) == 1 for s in values.values())
        }

    def settings(self, row: Mapping[str, Any]) -> dict[str, Any]:
        kind = _strings(row)
        return {n: row[n] for n in SETTINGS & row.keys() if (kind, n) not in self.found_anew}

    def key(self, row: Mapping[str, Any]) -> tuple:
        return (*_strings(row), *sorted(self.settings(row).items()))

    def measured(self, row: Mapping[str, Any]) -> dict[str, float]:
        return {
            name: float(value)
            for name, value in row.items()
            if isinstance(value, int | float)
            and name not in NOT_COMPARED
            and name not in self.settings(row)
        }


def _strings(row: Mapping[str, Any]) -> tuple:
    return tuple(sorted((name, value) for name, value in row.items() if isinstance(value, str)))


def _numbers(
    row: Mapping[str, Any], peers: list[dict], names: _Names, tolerances: Mapping[str, float]
) -> list[Number]:
    setting = ", ".join(f"{k}={v}" for k, v in names.key(row))
    if not peers:
        return [Number(setting, "(not in the record)", (), {}, math.nan, 0.0)]
    found = []
    for quantity, now in names.measured(row).items():
        told = [p for p in peers if isinstance(p.get(quantity), int | float)]
        values = {p.get("seed", 0): float(p[quantity]) for p in told if not math.isnan(p[quantity])}
        size = max((abs(value) for value in values.values()), default=0.0)
        tolerance = tolerances.get(quantity, TOLERANCE * max(1.0, size))
        if math.isinf(tolerance):
            continue  # not determined
        family, undefined = (quantity, _strings(row)), any(math.isnan(p[quantity]) for p in told)
        found.append(Number(setting, quantity, family, values, now, tolerance, undefined))
    return found


def _fill(numbers: list[Number], module: ModuleType | None) -> None:
    """Center and allowed distance of every number, family by family."""
    families: dict[tuple, list[Number]] = {}
    for number in numbers:
        families.setdefault((*number.family, len(number.recorded)), []).append(number)
    # Fewer than three tell nothing of what is common to them: they join those of their quantity.
    for name in [name for name, mine in families.items() if len(mine) < 3]:
        families.setdefault((name[0], (), name[-1]), []).extend(families.pop(name))
    varying = {name for name, mine in families.items() if any(n.varies for n in mine)}
    count = sum(len(families[name]) for name in varying)
    for name, mine in families.items():
        variances = [_variance(number.recorded.values()) for number in mine]
        common = None
        if name in varying:
            # Outputs changed after training share one network a seed, so they vary together.
            shared = any(v in getattr(module, "AFTER_TRAINING", ()) for _, v in name[1])
            common = _interval.prior(variances[:1] if shared else variances, name[-1] - 1)
        for number in mine:
            values = list(number.recorded.values())
            number.center = sum(values) / len(values) if values else math.nan
            number.allowed = number.tolerance
            if common is not None:
                number.allowed += _interval.allowed(values, common, count)


def _variance(values: Iterable[float]) -> float:
    values = list(values)
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
