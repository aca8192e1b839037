"""Working through the parts of sweeps: within a time, beside other processes, safe against a kill.

A process takes a part by locking a file. The system frees the lock when the process ends, however
it ends, and the next one goes on from the part's last checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ibtutor import record
from ibtutor.experiments import _parts
from ibtutor.experiments._parts import kind_of
from ibtutor.experiments._sweep import Sweep, together
from ibtutor.provenance import device_name

try:
    import fcntl
except ImportError:  # Windows: one process at a time
    fcntl = None

WAIT = 0.5  # seconds between two looks at parts that other processes have
NOTE = 20.0  # seconds between two notes of the time that a part has taken


class OutOfTime(BaseException):
    """The time is over; not an Exception, so that nothing on the way takes it for a failure."""


def say(line: str) -> None:
    """A line for whoever looks at the terminal; what a program reads goes to standard output."""
    print(line, file=sys.stderr, flush=True)


# --- locks ---------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of that file while inside; gives whether it was to be had."""
    if fcntl is None:
        yield True
        return
    file = _lock(path, wait)
    try:
        yield file is not None
    finally:
        if file is not None:
            path.unlink(missing_ok=True)  # while it is still ours
            file.close()


def _lock(path: Path, wait: bool) -> Any:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            raise record.RecordError(
                f"cannot write {path.parent} ({error.strerror or error}); set IBTUTOR_RECORDS to a "
                "folder that can be written"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except FileNotFoundError:
            pass  # its last owner has just deleted it: make a new one
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            file.close()
            raise record.RecordError(
                f"cannot lock {path} ({error.strerror or error}); set IBTUTOR_RECORDS to a local "
                "disk"
            ) from error
        file.close()


def lock_of(sweep: Sweep, name: str) -> Path:
    folder = sweep.unfinished(name)
    return folder.with_name(f"{folder.name}.lock")


# --- time ----------------------------------------------------------------------------------------


@contextmanager
def alarm(until: float | None) -> Iterator[None]:
    """Raise OutOfTime inside when the clock says `until`, where the system can do that."""
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if until is None or not able:
        yield
        return

    def over(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, until - time.time()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_with_stdin() -> None:
    """End this process as soon as its standard input closes: who started it is gone.

    A killed process cannot stop those that it started. Checkpoints and finished parts stay.
    """

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Speed:
    """How long parts take on this device, from those that are done."""

    def __init__(self, device: str):
        try:
            self.device = device_name(device)
        except (RuntimeError, AssertionError):  # only a cluster's workers have it
            self.device = None
        self.seen: dict[Path, tuple[str, float] | None] = {}

    def look(self, sweep: Sweep) -> None:
        """Take in the seconds of parts that have come."""
        for name in sweep.names:
            path = sweep.find(name)
            if path is None or path in self.seen:
                continue
            self.seen[path] = None
            with suppress(ValueError, KeyError, TypeError, OSError):  # a damaged part is not timed
                where = json.loads(path.read_text(encoding="utf-8"))["provenance"]
                if where["device"] == self.device:
                    self.seen[path] = f"{sweep.experiment}.{kind_of(name)}", where["seconds"]

    def seconds(self, sweep: Sweep, name: str) -> float | None:
        """What a part should take from here; None if nothing like it was seen."""
        kind = f"{sweep.experiment}.{kind_of(name)}"
        known = [found for found in self.seen.values() if found]
        alike = [seconds for found, seconds in known if found == kind] or [
            seconds for found, seconds in known if found.startswith(f"{sweep.experiment}.")
        ]
        spent, share = progress_of(sweep, name)
        if alike:
            return sum(alike) / len(alike) * (1 - share)
        return spent * (1 - share) / share if share > 0 and spent > 0 else None


def progress_of(sweep: Sweep, name: str) -> tuple[float, float]:
    """Seconds spent on an unfinished part, and the share of its epochs that is done."""
    import torch

    folder = sweep.unfinished(name)
    spent = (record.Partial(folder).get("clock") or {"seconds": 0.0})["seconds"]
    epochs = getattr(sweep.config, "epochs", 0)
    for path in folder.rglob("*.pt") if epochs else ():
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            # A part of a control may have epochs of its own.
            epochs = int(saved.get("identity", {}).get("settings.epochs", epochs))
            done = saved["epoch"]
        except Exception:  # damaged: it says so when the part goes on
            continue
        return spent, min(1.0, done / epochs)
    return spent, 0.0


# --- work ----------------------------------------------------------------------------------------


def work(
    sweeps: Iterable[Sweep],
    *,
    device: str = "cpu",
    until: float | None = None,
    progress: bool = True,
    failed: Callable[[Sweep, Exception], None] | None = None,
) -> None:
    """Run wanted parts until none is missing or the time is over.

    What fits in the time comes first, in the order of the sweeps and their parts; then the first
    that does not, which goes on from its checkpoint another time. `failed` is told of an exception
    and drops that sweep; without it the exception is raised.
    """
    open_sweeps, speed = list(sweeps), Speed(device)
    with _parts.kept():
        while until is None or time.time() < until:
            open_sweeps = [s for s in open_sweeps if s.wanted() and not s.recorded_since()]
            if not open_sweeps:
                return
            for sweep in open_sweeps:
                speed.look(sweep)
            for sweep, name in _order(open_sweeps, speed, until):
                with locked(lock_of(sweep, name)) as mine:
                    if not mine or sweep.find(name) is not None or sweep.recorded_since():
                        continue
                    try:
                        run_one(sweep, name, device=device, until=until, progress=progress)
                    except Exception as error:
                        if failed is None:
                            raise
                        failed(sweep, error)
                        open_sweeps.remove(sweep)
                break
            else:
                time.sleep(WAIT)  # other processes have all that is left


def _order(sweeps: list[Sweep], speed: Speed, until: float | None) -> list[tuple[Sweep, str]]:
    """Wanted parts: those that should fit first."""
    left = math.inf if until is None else until - time.time()
    fitting, others = [], []
    for sweep in sweeps:
        for name in sweep.wanted():
            seconds = None if until is None else speed.seconds(sweep, name)
            (fitting if seconds is None or seconds <= left else others).append((sweep, name))
    return fitting + others


def run_one(
    sweep: Sweep, name: str, *, device: str, until: float | None = None, progress: bool = True
) -> None:
    """Run one part, from its checkpoint if there is one, and write its file."""
    partial = record.Partial(sweep.unfinished(name))
    before = partial.get("clock") or {"seconds": 0.0}
    attempts = [*before.get("attempts", []), record.provenance(device, 0.0, {})]
    try:
        with _noted(partial, before["seconds"], attempts) as spent, alarm(until):
            result = run_part(sweep, name, device, progress, partial.folder)
    except OutOfTime:
        return
    seconds = spent()
    last = record.provenance(device, seconds, result.fingerprints)
    sweep.put(name, result, together([*attempts, last]))
    if len(sweep.names) > 1:
        there = len(sweep.names) - len(sweep.missing())
        say(f"{sweep.experiment} {name}: {seconds:.0f} s ({there} of {len(sweep.names)})")


@contextmanager
def _noted(
    partial: record.Partial, before: float, attempts: list[dict[str, Any]]
) -> Iterator[Callable[[], float]]:
    """Note the seconds spent and where, now and then: a kill loses the latest of them alone.

    Gives a function that tells the seconds of all attempts.
    """
    started, ended = time.perf_counter(), threading.Event()

    def spent() -> float:
        return before + time.perf_counter() - started

    def note() -> None:
        partial.put("clock", {"seconds": spent(), "attempts": attempts})

    def keep() -> None:
        while not ended.wait(NOTE):
            with suppress(OSError, record.RecordError):
                note()

    note()
    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield spent
    finally:
        ended.set()
        thread.join()
        note()


def run_part(sweep: Sweep, name: str, device: str, progress: bool, resume: Path | None):
    """One part by its module."""
    options = {"device": device, "progress": progress, "resume": resume}
    if sweep.names == (_parts.WHOLE,):
        return sweep.module.run(sweep.config, **options)
    return sweep.module.run_part(sweep.config, name, **options)
