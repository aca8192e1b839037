"""Work on parts: time that runs out, and processes that share it, are killed and go on."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibtutor import experiments, provenance, record
from ibtutor.experiments import Result, _parts, _run, _work
from ibtutor.experiments._sweep import Sweep
from ibtutor.experiments.kirsch import fig3_permuted_mnist as mnist

ID = "kirsch_fig3_permuted_mnist"
TINY = {"width": 16, "num_categories": 10, "train_images": 300, "test_images": 100}
TINY |= {"seeds": (0, 1), "epochs": 3, "measure_every": 1}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Empty folders of one's own, and an experiment of six parts that takes a second."""
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, **TINY))
    return tmp_path


def names():
    return mnist.parts(mnist.SMOKE)


def made(count=6):
    """The sweep with its first parts."""
    sweep = Sweep(ID, "smoke")
    for name in names()[:count]:
        _work.run_one(sweep, name, device="cpu", progress=False)
    return sweep


# --- time ----------------------------------------------------------------------------------------


def test_no_time_and_no_jobs_are_refused(own):
    with pytest.raises(ValueError, match="minutes must be finite and above 0, got 0"):
        experiments.run_for([ID], "smoke", minutes=0)
    for minutes in (math.inf, math.nan):
        with pytest.raises(ValueError, match=f"minutes must be finite .* got {minutes}"):
            experiments.run_for([ID], "smoke", minutes=minutes)
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        experiments.run_for([ID], "smoke", jobs=0)


def test_time_that_runs_out_stops_a_run_and_the_next_one_finishes_it(own, monkeypatch):
    plain, calls, later = mnist.run_part, [], [0.0]

    def over_in_the_third(config, part, **options):
        calls.append(part)
        if len(calls) == 3:
            later[0] = 3600.0  # the clock is put forward, and the alarm goes off
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            time.sleep(60)
        return plain(config, part, **options)

    clock = SimpleNamespace(
        time=lambda: time.time() + later[0], perf_counter=time.perf_counter, sleep=time.sleep
    )
    monkeypatch.setattr(mnist, "run_part", over_in_the_third)
    monkeypatch.setattr(_work, "time", clock)
    monkeypatch.setattr(_work.Speed, "seconds", lambda *_: 0.01)
    started = time.monotonic()
    (row,) = experiments.run_for([ID], "smoke", minutes=50, progress=False)
    assert time.monotonic() - started < 50
    assert (row["done"], row["of"]) == (2, 6)
    assert calls == list(names()[:3])
    assert experiments.parts_of(ID, "smoke")[2]["state"] == "unfinished"
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    experiments.execute(ID, "smoke", progress=False)
    assert calls == [*names()[:3], *names()[2:]]


def test_parts_that_are_named_run_alone(own):
    """The record comes when the others are there, too."""
    (row,) = experiments.run_for([ID], "smoke", only="seed1-*", progress=False)
    assert (row["done"], row["of"]) == (3, 6)
    there = {r["part"] for r in experiments.parts_of(ID, "smoke") if r["state"] == "done"}
    assert there == {name for name in names() if name.startswith("seed1-")}
    assert record.find(ID, "smoke") is None
    experiments.work_through([ID], "smoke", device="cpu", until=None, only="seed1-*")
    assert len(Sweep(ID, "smoke").missing()) == 3
    (row,) = experiments.run_for([ID], "smoke", only="seed0-*", progress=False)
    assert row["done"] == 6
    assert record.find(ID, "smoke")
    with pytest.raises(ValueError, match="fresh forgets all parts, so all must run again, got"):
        experiments.run_for([ID], "smoke", only="seed0-*", fresh=True)
    assert len(Sweep(ID, "smoke").missing()) == 6  # the record is written, its parts are gone
    assert record.find(ID, "smoke")
    with pytest.raises(ValueError, match=rf"no part of {ID}\.smoke is called 'seed7'; they are"):
        experiments.run_for([ID], "smoke", only="seed7", progress=False)


def test_workers_are_told_which_parts(own, monkeypatch):
    said = []

    def started(command, **_):
        said.append(command)
        raise OSError("enough")

    monkeypatch.setattr(_run.subprocess, "Popen", started)
    with pytest.raises(OSError, match="enough"):
        experiments.run_for([ID], "smoke", only="seed1-*", jobs=2)
    assert said[0][said[0].index("--parts") + 1] == "seed1-*"


def test_what_fits_comes_first_and_the_rest_is_told(own, monkeypatch):
    sweep = made(1)
    speed = _work.Speed("cpu")
    speed.look(sweep)
    spent = _parts.read(sweep.path(names()[0])).provenance["seconds"]
    assert speed.seconds(sweep, names()[1]) == pytest.approx(spent)
    lengths = {name: 100.0 for name in names()} | {names()[3]: 1.0, names()[5]: 2.0}
    monkeypatch.setattr(_work.Speed, "seconds", lambda self, sweep, name: lengths[name])
    order = [name for _, name in _work._order([sweep], speed, time.time() + 10)]
    assert order == [names()[i] for i in (3, 5, 1, 2, 4)]
    assert [name for _, name in _work._order([sweep], speed, None)] == list(names()[1:])
    (row,) = _run.left([sweep], "cpu", jobs=2)
    assert row["hours left"] == pytest.approx(303 / 3600 / 2, abs=0.01)


def test_a_checkpoint_shortens_the_estimate(own):
    sweep = made(1)
    folder = sweep.unfinished(names()[1])
    record.Partial(folder).put("clock", {"seconds": 30.0})
    torch.save({"epoch": 1}, folder / "run.pt")
    assert _work.progress_of(sweep, names()[1]) == (30.0, 1 / 3)
    assert _work.Speed("cpu").seconds(sweep, names()[1]) == pytest.approx(60.0)
    (folder / "run.pt").write_bytes(b"broken")
    assert _work.progress_of(sweep, names()[1]) == (30.0, 0.0)


def test_a_part_may_have_epochs_of_its_own(own):
    """The short control of a sweep is half done after half of its epochs, not of the sweep's."""
    sweep = Sweep(ID, "smoke")
    folder = sweep.unfinished(names()[1])
    record.Partial(folder).put("clock", {"seconds": 30.0})
    torch.save({"epoch": 1, "identity": {"settings.epochs": "2"}}, folder / "run.pt")
    assert _work.progress_of(sweep, names()[1]) == (30.0, 1 / 2)


def test_files_that_are_no_parts_are_told(own):
    sweep = made(1)
    path = sweep.path(names()[0])
    assert ID not in str(experiments.refused_parts())
    path.rename(path.with_name("seed99-nothing.json"))
    said = experiments.refused_parts()[f"{ID}.smoke seed99-nothing"]
    assert said.endswith("seed99-nothing.json is no part of the settings of today")


def test_time_that_was_never_noted_gives_no_estimate(own):
    sweep = Sweep(ID, "smoke")
    folder = sweep.unfinished(names()[1])
    folder.mkdir(parents=True)
    torch.save({"epoch": 1}, folder / "run.pt")
    assert _work.Speed("cpu").seconds(sweep, names()[1]) is None


def test_every_attempt_at_a_part_is_told(own, monkeypatch):
    """Its time as far as it was noted, its commit and device."""
    sweep, name = Sweep(ID, "smoke"), names()[0]
    plain, noted = mnist.run_part, []
    monkeypatch.setattr(_work, "NOTE", 0.01)

    def killed(*arguments, **options):
        time.sleep(0.3)  # time for a note
        noted.append(record.Partial(sweep.unfinished(name)).get("clock"))
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist, "run_part", killed)
    monkeypatch.setattr(provenance, "loaded_commit", lambda: "before")
    with pytest.raises(KeyboardInterrupt):
        _work.run_one(sweep, name, device="cpu", progress=False)
    assert noted[0]["seconds"] > 0.1
    monkeypatch.setattr(mnist, "run_part", plain)
    monkeypatch.setattr(provenance, "loaded_commit", lambda: "after")
    _work.run_one(sweep, name, device="cpu", progress=False)
    found = _parts.read(sweep.path(name)).provenance
    assert found["commit"] == "before; after"
    assert found["seconds"] > noted[0]["seconds"]
    assert found["device"].count("CPU") == 1
    assert set(found["data"]) == {"train", "test"}


def test_a_card_that_only_the_workers_have_leaves_the_hours_open(own):
    sweep = made(1)
    number = torch.cuda.device_count()  # one more than there are
    (row,) = _run.left([sweep], f"cuda:{number}")
    assert row["hours left"] is None
    assert (row["done"], row["of"]) == (1, 6)


# --- several processes ---------------------------------------------------------------------------


def test_a_lock_dies_with_its_owner(tmp_path):
    path = tmp_path / "locks" / "part.lock"
    code = (
        "import sys, time; from pathlib import Path; from ibtutor.experiments._work import locked\n"
        f"with locked(Path({str(path)!r})) as mine: print(mine, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "True\n"
    with _work.locked(path) as mine:
        assert not mine
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with _work.locked(path) as mine:
        assert mine
        with _work.locked(path) as again:
            assert not again
    assert not path.exists()


def test_a_disk_without_locks_is_told_and_not_waited_for(tmp_path, monkeypatch):
    def unsupported(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_work.fcntl, "flock", unsupported)
    said = r"cannot lock .*part\.lock \(No locks available\); set IBTUTOR_RECORDS to a local disk"
    with pytest.raises(record.RecordError, match=said), _work.locked(tmp_path / "part.lock"):
        pass


# Forks a process for each line it reads; two runs of one sweep, a checkpoint after every epoch.
SERVER = """
import os, signal, sys, traceback
from dataclasses import replace
from ibtutor import experiments, train
from ibtutor._training import loop
from ibtutor.experiments import _run, _work
from ibtutor.experiments.kirsch import _categorical, fig3_permuted_mnist as mnist

mnist.SMOKE = replace(mnist.SMOKE, **{tiny})
plain, one_epoch = _categorical.settings, loop._train_epoch
_categorical.settings = lambda config: replace(plain(config), checkpoint_seconds=0.0)

def counted(group, epoch, *rest):
    with open(os.environ["EPOCHS"], "a") as file:
        file.write(f"{{group.runs[0].name}} {{epoch}}\\n")
    return one_epoch(group, epoch, *rest)

loop._train_epoch = counted
_work.WAIT = 0.05
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            experiments.execute({ID!r}, "smoke", progress=False)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    print(pid, flush=True)
"""


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_sweep_killed_five_times_on_two_processes_is_the_undisturbed_one(own, monkeypatch):
    """Nothing is done twice but the epoch in which a kill fell."""
    tiny = TINY | {"epochs": 8}
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, **{"epochs": 8}))
    undisturbed = mnist.run(mnist.SMOKE, progress=False)
    epochs, said = own / "epochs", own / "said"
    epochs.touch()
    with said.open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER.format(tiny=tiny, ID=ID)],
            env=os.environ | {"EPOCHS": str(epochs), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

        def start():
            server.stdin.write("go\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        assert server.stdout.readline() == "ready\n"
        moments = np.random.default_rng().integers(4, 40, size=5).cumsum()
        pids, killed, deadline = [start(), start()], 0, time.monotonic() + 150
        while any(map(_alive, pids)):
            assert time.monotonic() < deadline, said.read_text()
            trained = len(epochs.read_text().splitlines())
            if killed < 5 and trained >= min(moments[killed], 8 * killed + 7):
                victim = pids.pop(killed % 2)
                os.kill(victim, signal.SIGKILL)
                killed += 1
                pids.append(start())
            time.sleep(0.002)
        server.stdin.close()
        server.wait()
        server.stdout.close()
    assert killed == 5, said.read_text()
    found = experiments.recorded(ID, "smoke")
    assert found.rows == record.plain(undisturbed.rows)
    assert found.summary == record.plain(undisturbed.summary)
    assert found.share == ""
    done = [line.split(":")[0].split()[1] for line in said.read_text().splitlines()]
    assert sorted(done) == sorted(names()), said.read_text()
    trained = epochs.read_text().splitlines()
    assert len(set(trained)) == 6 * 8
    assert len(trained) <= 6 * 8 + 5
    assert not (own / "records" / "parts").exists()


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_with_the_process_that_started_them(tmp_path):
    leader = subprocess.Popen(
        [sys.executable, "-m", "ibtutor.cli", "run", "kirsch_fig4_noise", "--jobs", "2", "--quiet"],
        env=os.environ | {"IBTUTOR_RECORDS": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("*.lock"))) < 2:
        assert leader.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = children.read_text().split()
    assert len(workers) == 2
    leader.kill()
    leader.wait()
    deadline = time.monotonic() + 10
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not list(tmp_path.glob("*.json"))


def test_jobs_make_the_record_of_one_process(own):
    config = experiments.load("kudo_fig3_flowers102").SMOKE
    path = experiments.execute("kudo_fig3_flowers102", "smoke", jobs=2)
    found = json.loads(path.read_text())
    alone = experiments.load("kudo_fig3_flowers102").run(config, progress=False)
    assert found["rows"] == record.plain(alone.rows)
    assert list(found["parts"]) == ["seed0-ls-0.0", "seed0-ls-0.5"]
    assert Result(found["rows"], found["summary"]).summary == record.plain(alone.summary)
