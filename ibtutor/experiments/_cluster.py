"""Missing parts on a dask cluster: each is one task of joblib, its file written as it arrives.

Slurm, Kubernetes and clouds come by dask's own deployers: they start a scheduler, whose address is
given here. Workers need the package and the data. A worker that is killed costs its run only: dask
gives it to another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ibtutor import record
from ibtutor.experiments import _parts
from ibtutor.experiments._parts import Part
from ibtutor.experiments._sweep import Sweep
from ibtutor.experiments._work import lock_of, locked, run_part, say

CONNECT_SECONDS = 10
_one_at_a_time = threading.Lock()  # torch has one state of random numbers in a process


def spread(
    sweeps: Sequence[Sweep], address: str, *, device: str = "cpu", until: float | None = None
) -> None:
    """Run the wanted parts of sweeps on the cluster at that address.

    Raises
    ------
    RuntimeError
        Dask is not installed, no scheduler answers, it has no workers, or parts failed; parts that
        came are kept.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.parallel import get_active_backend

    tasks = [
        delayed(remote)(sweep.experiment, sweep.profile, name, device, until)
        for sweep in sweeps
        for name in sweep.wanted()
    ]
    arrivals = Arrivals(sweeps)
    with _client(address) as client, parallel_config(backend="dask", client=client):
        backend, _ = get_active_backend()
        submit = backend.submit

        def submit_and_keep(task: Any, callback: Any) -> Any:
            """As the backend does, but what a task gives is written before all are done."""

            def arrived(out: Any) -> None:
                arrivals.take(backend.retrieve_result_callback(out))
                callback(out)

            return submit(task, arrived)

        # Joblib would run everything here if the cluster had one core.
        count = backend.effective_n_jobs
        backend.effective_n_jobs = lambda n_jobs: max(2, count(n_jobs))
        backend.submit = submit_and_keep
        try:
            arrivals.take(Parallel(batch_size=1, pre_dispatch="all")(tasks))
        except TimeoutError as error:
            raise RuntimeError(f"the cluster at {address} has no workers") from error
    if failed := arrivals.failed:
        raise RuntimeError(f"{len(failed)} parts failed: {'; '.join(dict.fromkeys(failed))}")


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeError('a cluster needs dask: run pip install "ibtutor[cluster]"') from error
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RuntimeError(
            f"no dask scheduler answers at {address!r}, expected an address like "
            f"tcp://127.0.0.1:8786 ({str(error).splitlines()[0] if str(error) else error!r})"
        ) from error


@dataclass(frozen=True)
class Refusal:
    """In place of a part: why there is none; "" if the time was over."""

    experiment: str
    profile: str
    part: str
    why: str


def remote(
    experiment: str, profile: str, name: str, device: str, until: float | None
) -> Part | Refusal:
    """One part, run by a worker."""
    refused = partial(Refusal, experiment, profile, name)
    with _one_at_a_time:
        try:
            if until is not None and time.time() >= until:
                return refused("")
            sweep = Sweep(experiment, profile)
            with locked(lock_of(sweep, name)) as mine:
                return _run(sweep, name, device) if mine else refused("another process runs it")
        except Exception as error:  # told to the one who asked; the other parts go on
            return refused(str(error))


def _run(sweep: Sweep, name: str, device: str) -> Part:
    state = record.Partial(sweep.unfinished(name))
    started = time.perf_counter()
    with _parts.kept():
        result = run_part(sweep, name, device, False, state.folder)
    seconds = time.perf_counter() - started
    state.clear()
    return sweep.part(name, result, record.provenance(device, seconds, result.fingerprints))


class Arrivals:
    """Writes each part that arrives once, after the checks of any part."""

    def __init__(self, sweeps: Sequence[Sweep]):
        self.sweeps = {(sweep.experiment, sweep.profile): sweep for sweep in sweeps}
        self.failed: list[str] = []
        self.seen: set[tuple] = set()
        self.lock = threading.Lock()  # they come in dask's thread, and all again at the end

    def take(self, answers: Iterable[Part | Refusal]) -> None:
        with self.lock:
            for answer in answers:
                key = answer.experiment, answer.profile, answer.part
                if key not in self.seen:
                    self.seen.add(key)
                    self._keep(answer)

    def _keep(self, answer: Part | Refusal) -> None:
        if isinstance(answer, Refusal):
            self.failed += [f"{answer.part}: {answer.why}"] if answer.why else []
            return
        sweep = self.sweeps[answer.experiment, answer.profile]
        try:
            sweep.check(answer)
            _parts.write(sweep.path(answer.part), answer)
        except record.RecordError as error:
            self.failed.append(str(error))
            return
        seconds, there = answer.provenance["seconds"], len(sweep.names) - len(sweep.missing())
        say(f"{sweep.experiment} {answer.part}: {seconds:.0f} s ({there} of {len(sweep.names)})")
