"""Which experiments there are, and the settings of each in a profile."""

from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from ibtutor import checks, record

_PACKAGE = __name__.rpartition(".")[0]


PAPERS = ("kudo", "kirsch", "yi", "bonilla", "ours")  # the order of the book


def papers() -> dict[str, str]:
    """The packages of experiments, each with the paper it belongs to.

    >>> papers()["kudo"]
    'Kudo 2025'
    """
    return {name: import_module(f"{_PACKAGE}.{name}").PAPER for name in PAPERS}


def ids() -> list[str]:
    """The ids of all experiments that can be run, paper by paper: folder and file name.

    >>> "kudo_fig1" in ids()
    True
    """
    return [f"{paper}_{name}" for paper in PAPERS for name in _modules(paper)]


def _modules(paper: str) -> list[str]:
    found = iter_modules([str(Path(__file__).parent / paper)])
    return sorted(module.name for module in found if not module.name.startswith("_"))


def load(experiment: str) -> ModuleType:
    """The module of an experiment.

    Raises
    ------
    ValueError
        There is no experiment of that name; the message lists those there are.
    """
    if experiment not in ids():
        raise ValueError(f"unknown experiment {experiment!r}; there are: {', '.join(ids())}")
    paper, _, name = experiment.partition("_")
    return import_module(f"{_PACKAGE}.{paper}.{name}")


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
