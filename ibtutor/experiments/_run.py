"""Run experiments in a profile, write their records, and read them back."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ibtutor import record
from ibtutor.experiments import _parts
from ibtutor.experiments._base import Result
from ibtutor.experiments._cluster import spread
from ibtutor.experiments._registry import ids, load, profile_config
from ibtutor.experiments._sweep import Sweep
from ibtutor.experiments._work import Speed, locked, say, work
from ibtutor.provenance import PROFILES

# What is most wanted at the paper's scale; then the others, those that train networks first.
QUEUE = (
    "kudo_fig3_cifar10",
    "kudo_fig6_occluded_cifar",
    "kudo_fig7_cluttered_mnist",
    "kudo_fig3_flowers102",
)
GRACE = 60.0  # seconds that a worker may take to stop


def execute(
    experiment: str,
    profile: str,
    *,
    device: str = "cpu",
    progress: bool = True,
    fresh: bool = False,
    jobs: int = 1,
    address: str | None = None,
) -> Path:
    """Run an experiment in a profile and write its record; a killed run goes on where it was.

    `fresh` throws unfinished runs and parts away first. Returns the record's path.
    """
    options = {"device": device, "progress": progress, "fresh": fresh}
    (row,) = run_for([experiment], profile, jobs=jobs, address=address, **options)
    path = record.find(experiment, profile)
    if path is None or row["done"] < row["of"]:
        raise record.RecordError(f"{experiment}.{profile} was not finished")
    return path


def run_for(
    experiments: Sequence[str],
    profile: str,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool = True,
    fresh: bool = False,
    jobs: int = 1,
    address: str | None = None,
    only: str = "*",
) -> list[dict[str, Any]]:
    """Run missing parts of experiments, for so many minutes or to the end; see `left`.

    With `jobs` so many processes work side by side; `address` is that of a dask scheduler, whose
    workers do it instead. Of the parts those that fit the pattern `only` are run. Records of what
    is complete are written.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"minutes must be finite and above 0, got {minutes:g}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if fresh and only != "*":
        raise ValueError(
            f"fresh forgets all parts, so all must run again, got only parts called {only!r}"
        )
    until = None if minutes is None else time.time() + 60 * minutes
    sweeps = []
    for sweep in [Sweep(experiment, profile, only) for experiment in experiments]:
        if fresh:
            sweep.forget(fresh=True)
        try:
            put_aside_damaged(sweep)
        except record.RecordError as error:
            if len(experiments) == 1:
                raise
            say(str(error))
        else:
            sweeps.append(sweep)
    if address is not None:
        spread(sweeps, address, device=device, until=until)
    elif jobs == 1:
        work(sweeps, device=device, until=until, progress=progress, failed=_told(experiments))
    else:
        _side_by_side([s.experiment for s in sweeps], profile, device, until, jobs, only)
    for sweep in sweeps:
        finish(sweep)
    return left(sweeps, device, jobs)


def work_through(
    experiments: Sequence[str], profile: str, *, device: str, until: float | None, only: str = "*"
) -> None:
    """What one of several processes does."""
    sweeps = [Sweep(experiment, profile, only) for experiment in experiments]
    work(sweeps, device=device, until=until, progress=False, failed=_told(experiments))


def _told(experiments: Sequence[str]) -> Callable[[Sweep, Exception], None] | None:
    """With several experiments one that fails, for want of data, does not stop the others."""
    if len(experiments) == 1:
        return None
    return lambda sweep, error: say(f"{sweep.experiment}: {error}")


def put_aside_damaged(sweep: Sweep) -> None:
    """Rename damaged parts, so that they run again; RecordError for parts of other settings."""
    _, refused = sweep.done()
    for name, why in refused.items():
        path = sweep.find(name)
        try:
            _parts.read(path)
        except record.RecordError:
            path.rename(path.with_name(f"{path.name}.damaged"))
            say(f"{why}: put aside, to be run again")
        else:
            raise record.RecordError(f"{why}. Move {path} away, or use --fresh to run all again")


def finish(sweep: Sweep) -> Path | None:
    """Write the record if all parts are there; returns its path, or None.

    The parts of a sweep at the paper's scale stay: each says where it comes from.
    """
    if sweep.missing():
        return None
    lock = record.folder() / ".partial" / f"{sweep.experiment}.{sweep.profile}.lock"
    with locked(lock, wait=True):
        if sweep.recorded_since() or sweep.missing():
            return record.find(sweep.experiment, sweep.profile)
        done, refused = sweep.done()
        if refused:
            raise record.RecordError("; ".join(refused.values()))
        found = sweep.record(done, judge)
        path = record.write(
            found.experiment,
            found.profile,
            config=found.config,
            differences=found.differences,
            rows=found.rows,
            summary=found.summary,
            verdicts=found.verdicts,
            provenance=found.provenance,
            arrays=found.arrays,
            parts=found.parts,
        )
        sweep.fresh().unlink(missing_ok=True)
        if sweep.profile != "paper" or sweep.names == (_parts.WHOLE,):
            sweep.forget()
    return path


def _side_by_side(
    experiments: Sequence[str],
    profile: str,
    device: str,
    until: float | None,
    jobs: int,
    only: str = "*",
) -> None:
    """Processes of the same command on the same folder."""
    command = [sys.executable, "-m", "ibtutor.cli", "worker", *experiments, "--profile", profile]
    command += ["--parts", only]
    command += [] if until is None else ["--until", str(until)]
    workers = [
        subprocess.Popen(
            [*command, "--device", _device_of(device, number)],
            stdin=subprocess.PIPE,  # closes when this process ends, however it ends
            env={"OMP_NUM_THREADS": str(threads(jobs))} | os.environ,
        )
        for number in range(jobs)
    ]
    try:
        for worker in workers:
            worker.wait(None if until is None else max(0.0, until - time.time()) + GRACE)
    except subprocess.TimeoutExpired:
        say("a worker did not stop in time: it is ended, and goes on from its checkpoint next time")
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
            worker.stdin.close()
    if bad := [worker for worker in workers if worker.returncode not in (0, None)]:
        said = "what each said stands above; fewer --jobs need less memory"
        say(f"{len(bad)} of {jobs} workers failed: {said}")
        if len(bad) == jobs:
            raise RuntimeError("no worker came to the end")


def threads(jobs: int) -> int:
    """Threads for each of so many processes."""
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (have or 1) // jobs)


def _device_of(device: str, number: int) -> str:
    """Several cards are shared out among the processes."""
    if device != "cuda":
        return device
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{number % count}" if count > 1 else device


def queue(profile: str = "paper") -> list[str]:
    """Experiments without a complete record in a profile, most wanted first."""
    rest = sorted(set(ids()) - set(QUEUE), key=lambda e: (not load(e).GPU, ids().index(e)))
    return [e for e in (*QUEUE, *rest) if e in ids() and not complete(e, profile)]


def complete(experiment: str, profile: str) -> bool:
    """Whether there is a whole record of today's settings."""
    try:
        return not recorded(experiment, profile).share
    except record.RecordError:
        return False


def begun(experiment: str) -> str:
    """What there is of an unfinished run at the paper's scale, as "2 of 3 seeds"; "" if none."""
    try:
        return recorded(experiment, "paper").share
    except record.RecordError:
        return ""


def refused_parts() -> dict[str, str]:
    """Parts that belong to no sweep of today or are damaged, and why."""
    found = {}
    for sweep in (Sweep(experiment, profile) for experiment in ids() for profile in PROFILES):
        if sweep.any():
            for name, why in sweep.done()[1].items():
                found[f"{sweep.experiment}.{sweep.profile} {name}"] = why
        for path in sweep.strays():
            found[f"{sweep.experiment}.{sweep.profile} {path.stem}"] = (
                f"{path} is no part of the settings of today"
            )
    return found


def left(sweeps: Sequence[Sweep], device: str, jobs: int = 1) -> list[dict[str, Any]]:
    """One row a sweep: parts done and missing, and the hours that the missing ones need."""
    speed, rows = Speed(device), []
    for sweep in sweeps:
        speed.look(sweep)
        missing = [] if sweep.recorded_since() else sweep.missing()
        seconds = [speed.seconds(sweep, name) for name in missing]
        known = None not in seconds
        rows.append(
            {
                "experiment": sweep.experiment,
                "profile": sweep.profile,
                "done": len(sweep.names) - len(missing),
                "of": len(sweep.names),
                "hours left": round(sum(seconds) / 3600 / jobs, 2) if known else None,
            }
        )
    return rows


def parts_of(experiment: str, profile: str) -> list[dict[str, Any]]:
    """One row a part: done, missing, unfinished or refused, with where it was made."""
    sweep = Sweep(experiment, profile)
    done, refused = sweep.done()
    rows = []
    for name in sweep.names:
        row = {"part": name, "state": "missing", "device": "", "seconds": None, "detail": ""}
        if name in done:
            where = done[name].provenance
            row |= {"state": "done", "device": where["device"], "seconds": where["seconds"]}
        elif name in refused:
            row |= {"state": "refused", "detail": refused[name]}
        elif sweep.unfinished(name).is_dir():
            row |= {"state": "unfinished"}
        rows.append(row)
    return rows


def judge(experiment: str, result: Result) -> dict[str, dict[str, Any]]:
    """The verdict of every claim of an experiment on a result."""
    return {claim.id: claim.verdict(result) for claim in load(experiment).CLAIMS}


def recorded(experiment: str, profile: str | None = None) -> record.Record:
    """The record of an experiment in a profile; without one, the fullest there is.

    Where there is none, but some of its parts, they make an unfinished one, whose `share` says how
    much was run; a complete record at a smaller scale comes before it.

    Raises
    ------
    RecordError
        There is none, it is damaged, or it was made with another config than the code's.

    Its verdicts are those of the present claims on the recorded rows: a rule that was changed after
    the run says so (`Claim.changed`); `stored_verdicts` has those of the day of the run.
    """
    if profile is None:
        names = ("paper", "quick")
        whole = [name for name in names if record.find(experiment, name)]
        some = [name for name in names if Sweep(experiment, name).any()]
        profile = (whole + some + ["paper"])[0]
    chosen = profile_config(experiment, profile)
    try:
        found = record.read(experiment, profile, asdict(chosen))
    except record.RecordError:
        sweep = Sweep(experiment, profile)
        done, _ = sweep.done()
        if not done:
            raise
        return sweep.record(done, judge)
    judged = judge(experiment, Result(found.rows, found.summary, found.arrays))
    module = load(experiment)
    return replace(
        found,
        size=module.size(chosen),
        stated=tuple(module.STATED),
        verdicts=judged,
        stored_verdicts=found.verdicts,
    )
