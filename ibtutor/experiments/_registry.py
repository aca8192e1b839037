"""Which experiments there are, and the settings of each in a profile."""

from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from ibtutor import checks, record


def ids() -> list[str]:
    """The ids of all experiments that can be run, in alphabetical order.

    >>> "kudo_fig1" in ids()
    True
    """
    names = (module.name for module in iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in names if not name.startswith("_"))


def load(experiment: str) -> ModuleType:
    """The module of an experiment.

    Raises
    ------
    ValueError
        There is no experiment of that name; the message lists those there are.
    """
    if experiment not in ids():
        raise ValueError(f"unknown experiment {experiment!r}; there are: {', '.join(ids())}")
    return import_module(f"ibtutor.experiments.{experiment}")


def profile_config(experiment: str, profile: str) -> Any:
    """The config of an experiment in a profile (smoke, quick, paper)."""
    module = load(experiment)
    if profile not in record.PROFILES:
        raise ValueError(f"profile must be one of {', '.join(record.PROFILES)}, got {profile!r}")
    return {"smoke": module.SMOKE, "quick": module.QUICK, "paper": module.Config()}[profile]


def config(experiment: str) -> Any:
    """The config that a page runs: that of `IBTUTOR_PROFILE`, seeds moved by `IBTUTOR_SEED`."""
    chosen = profile_config(experiment, record.profile())
    shift = 1000 * checks.base_seed()
    if shift and "seeds" in {field.name for field in fields(chosen)}:
        chosen = replace(chosen, seeds=tuple(seed + shift for seed in chosen.seeds))
    return chosen


def differences(experiment: str, chosen: Any) -> dict[str, str]:
    """How a config differs from the paper: one sentence for each field that does."""
    module = load(experiment)
    paper = module.Config()
    changed = {}
    for item in fields(chosen):
        ours, theirs = getattr(chosen, item.name), getattr(paper, item.name)
        if ours != theirs:
            why = module.DIFFERENCES.get(item.name)
            text = f"{item.name} {_brief(ours)} for {_brief(theirs)}"
            changed[item.name] = f"{text} ({why})" if why else text
    return changed


def _brief(value: Any) -> str:
    if isinstance(value, tuple | list) and len(value) > 6:
        return f"{len(value)} values"
    return str(value)
