"""Run an experiment in a profile, write its record, and read it back."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ibtutor import record
from ibtutor.experiments._base import Result
from ibtutor.experiments._registry import differences, load, profile_config


def execute(
    experiment: str,
    profile: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    fresh: bool = False,
) -> Path:
    """Run an experiment in a profile and write its record; a killed run goes on where it was.

    `fresh` throws an unfinished run away first. Returns the record's path.
    """
    module = load(experiment)
    chosen = profile_config(experiment, profile)
    partial = record.Partial(record.partial_folder(experiment, profile, asdict(chosen)))
    if fresh:
        partial.clear()
    spent = (partial.get("clock") or {"seconds": 0.0})["seconds"]
    started = time.perf_counter()
    try:
        result = module.run(chosen, device=device, progress=progress, resume=partial.folder)
    finally:
        # The time of every attempt counts, that of killed ones as far as they could note it.
        seconds = spent + time.perf_counter() - started
        partial.put("clock", {"seconds": seconds})
    path = _write(experiment, profile, chosen, result, device, seconds)
    partial.clear()
    return path


def _write(
    experiment: str, profile: str, chosen: Any, result: Result, device: str, seconds: float
) -> Path:
    return record.write(
        experiment,
        profile,
        config=asdict(chosen),
        differences=differences(experiment, chosen),
        rows=result.rows,
        summary=result.summary,
        verdicts=judge(experiment, result),
        provenance=record.provenance(device, seconds, result.fingerprints),
        arrays=result.arrays,
    )


def judge(experiment: str, result: Result) -> dict[str, dict[str, Any]]:
    """The verdict of every claim of an experiment on a result."""
    return {claim.id: claim.verdict(result) for claim in load(experiment).CLAIMS}


def recorded(experiment: str, profile: str | None = None) -> record.Record:
    """The record of an experiment in a profile; without one, the fullest there is.

    Raises
    ------
    RecordError
        There is none, it is damaged, or it was made with another config than the code's.

    Its verdicts are those of the present claims on the recorded rows: a rule that was changed after
    the run says so (`Claim.changed`); `stored_verdicts` has those of the day of the run.
    """
    if profile is None:
        for name in ("paper", "quick"):
            if record.find(experiment, name):
                profile = name
                break
        else:
            profile = "paper"
    chosen = profile_config(experiment, profile)
    found = record.read(experiment, profile, asdict(chosen))
    judged = judge(experiment, Result(found.rows, found.summary, found.arrays))
    module = load(experiment)
    return replace(
        found,
        size=module.size(chosen),
        stated=tuple(module.STATED),
        verdicts=judged,
        stored_verdicts=found.verdicts,
    )
