"""Experiments made of parts: one trained run each, kept in a small file, on whatever machine.

A module made of parts has `parts(config)`, the names of its parts, most valuable first;
`run_part(config, part, *, device, progress, resume) -> Result`; and `assemble(config, done) ->
Result`, which computes from parts alone what needs several runs, in a fixed order, and copes with
missing ones. `SWEPT` names the fields over which it sweeps: the name of a part says which of their
values it has, so that another strength in the config leaves the part as it is. A name with "seed3"
in it says the seed. `architecture(config)`, where there is one, is a digest of the network. A
module without `parts` is one part, "run".
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ibtutor import _progress, record
from ibtutor.experiments._base import Result

WHOLE = "run"  # the one part of a module that is not made of parts
_SEED = re.compile(r"(?<![a-z])seed(\d+)(?!\d)")


# --- what is computed once for all parts that a process runs -------------------------------------

_kept: dict[Any, Any] | None = None


@contextmanager
def kept() -> Iterator[None]:
    """Within it, `once` keeps the latest value of each function: data serve all parts."""
    global _kept
    outer, _kept = _kept, {} if _kept is None else _kept
    try:
        yield
    finally:
        _kept = outer


def once(function: Callable[[Any], Any], config: Any) -> Any:
    """`function(config)`, computed once for parts that run one after the other.

    >>> with kept():
    ...     once(list, "ab") is once(list, "ab")
    True
    """
    if _kept is None:
        return function(config)
    if function not in _kept or _kept[function][0] != config:
        _kept.pop(function, None)  # the old value goes before the new one comes
        _kept[function] = config, function(config)
    return _kept[function][1]


def architecture(model: Any) -> str:
    """A digest of a network's layers."""
    return hashlib.sha256(str(model).encode()).hexdigest()[:16]


# --- names ---------------------------------------------------------------------------------------


def names(module: ModuleType, config: Any) -> tuple[str, ...]:
    """The parts of an experiment; ValueError if two have one name."""
    if not hasattr(module, "parts"):
        return (WHOLE,)
    found = tuple(module.parts(config))
    twice = [name for name, count in Counter(map(file_name, found)).items() if count > 1]
    if twice:
        raise ValueError(f"{module.__name__}: two parts are called {twice[0]!r}")
    return found


def file_name(part: str) -> str:
    """A part's name as a file can have it.

    >>> file_name("seed0-ls-0.1"), file_name("a/b c")
    ('seed0-ls-0.1', 'a_b_c')
    """
    return "".join(c if c.isalnum() or c in "._+-" else "_" for c in part)


def seed_of(part: str) -> int | None:
    """The seed that a part's name says.

    >>> seed_of("seed12-ls-0.1"), seed_of("all-ls")
    (12, None)
    """
    found = _SEED.search(part)
    return int(found[1]) if found else None


def kind_of(part: str) -> str:
    """What is left of a name without its seed and numbers: parts of a kind last about as long.

    >>> kind_of("seed0-ls-0.1") == kind_of("seed2-ls-0.0") != kind_of("seed0-cp-0.1")
    True
    """
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", _SEED.sub("", part))


def share(all_names: tuple[str, ...], done: Mapping[str, Any]) -> str:
    """How much of an experiment is there, in words; "" if all of it is.

    >>> share(("seed0-a", "seed0-b", "seed1-a", "seed1-b"), {"seed0-a": 1, "seed0-b": 1})
    '1 of 2 seeds'
    >>> share(("seed0-a", "seed0-b"), {"seed0-b": 1})
    '1 of 2 parts'
    """
    there = [name for name in all_names if name in done]
    if len(there) == len(all_names):
        return ""
    seeds: dict[int | None, list[bool]] = {}
    for name in all_names:
        seeds.setdefault(seed_of(name), []).append(name in done)
    whole = sum(all(found) for found in seeds.values())
    if (
        None not in seeds
        and all(all(found) or not any(found) for found in seeds.values())
        and whole
    ):
        return f"{whole} of {len(seeds)} seeds"
    return f"{len(there)} of {len(all_names)} parts"


# --- what must be the same -----------------------------------------------------------------------


def identity(module: ModuleType, config: Any, part: str) -> dict[str, Any]:
    """Settings and network that a part was made with; two that differ are of different runs."""
    swept: set[str] = set()
    if seed_of(part) is not None:
        swept = {"seeds", *getattr(module, "SWEPT", ())}
    fixed = {key: value for key, value in asdict(config).items() if key not in swept}
    found = {"config": record.plain(fixed)}
    if hasattr(module, "architecture"):
        found["model"] = module.architecture(config)
    return found


def differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """How one identity differs from another, in words; "" if it does not."""
    ours, theirs = expected["config"], found.get("config", {})
    said = [
        f"{key}: {theirs.get(key, 'not there')!r}, now {ours.get(key, 'not there')!r}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and not record.added(key, theirs, ours)
    ]
    if not said and found.get("model") != expected.get("model"):
        said = ["another network"]
    return "; ".join(said)


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part as its file holds it."""

    experiment: str
    profile: str
    part: str
    identity: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    provenance: dict[str, Any]
    arrays: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def result(self) -> Result:
        return Result(self.rows, self.summary, self.arrays, self.provenance["data"])


def write(path: Path, part: Part) -> Path:
    """Write a part whole; a file that cannot be written is a RecordError that says which."""
    body = {name: getattr(part, name) for name in Part.__annotations__ if name != "arrays"}
    try:
        return record.write_body(path, body, part.arrays)
    except OSError as error:
        raise record.RecordError(f"cannot write {path} ({error.strerror or error})") from error


def read(path: Path) -> Part:
    """Read a part; RecordError if it is damaged or no part."""
    body, arrays = record.read_body(path)
    body.pop("schema")
    if body.keys() != Part.__annotations__.keys() - {"arrays"}:
        raise record.RecordError(f"{path} is no part of a record")
    return Part(**body, arrays=arrays)


# --- the whole -----------------------------------------------------------------------------------


def run(module: Any, config: Any, *, device: str, progress: bool, resume: Path | None) -> Result:
    """All parts of a module one after the other, assembled; `module` has the three functions.

    RecordError if a finished piece in `resume` was made with other settings.
    """
    partial = record.Partial(resume)
    done: dict[str, Result] = {}
    with kept():
        for name in _progress.bar(module.parts(config), unit="run", shown=progress):
            found = partial.get(name)
            if found is None:
                folder = None if resume is None else Path(resume) / file_name(name)
                result = module.run_part(
                    config, name, device=device, progress=progress, resume=folder
                )
                if resume is not None:
                    about = {"identity": identity(module, config, name)}
                    partial.put(name, _kept_result(result) | about, result.arrays)
                done[name] = result
                continue
            made_with = found.pop("identity", None)  # older pieces do not say
            if made_with and (other := differing(made_with, identity(module, config, name))):
                raise record.RecordError(
                    f"{resume} holds {name} of another run ({other}): choose another folder"
                )
            done[name] = Result(**{"arrays": {}} | found)
    return module.assemble(config, done)


def _kept_result(result: Result) -> dict[str, Any]:
    return {
        "rows": result.rows,
        "summary": result.summary,
        "fingerprints": result.fingerprints,
    }
