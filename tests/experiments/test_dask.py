"""Parts on a cluster: two workers, one of them killed, and a scheduler that is not there."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

pytest.importorskip("distributed")

from ibtutor import experiments, record
from ibtutor.experiments.kirsch import fig3_permuted_mnist as mnist

ID = "kirsch_fig3_permuted_mnist"
TINY = {"width": 16, "num_categories": 10, "train_images": 300, "test_images": 100, "seeds": (0, 1)}
# A worker's process: the tiny settings, and a first run that lasts until it is killed.
PRELOAD = """
import os, time
from dataclasses import replace
from pathlib import Path
from ibtutor.experiments.kirsch import _categorical, fig3_permuted_mnist as mnist

mnist.SMOKE = replace(mnist.SMOKE, **{tiny})
run_part = getattr(_categorical.run_part, "plain", _categorical.run_part)  # loaded twice

def slow(config, part, *rest, **options):
    started = Path(os.environ["STARTED"]) / f"{{part}}.{{os.getpid()}}"
    started.touch()
    if part == "seed0-decoder_uncertainty" and len(list(started.parent.glob(f"{{part}}.*"))) == 1:
        time.sleep(600)
    return run_part(config, part, *rest, **options)

slow.plain = run_part
_categorical.run_part = slow
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, **{**TINY, "epochs": 3}))
    return tmp_path


def _start(command, env):
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def cluster(own):
    """A scheduler and two workers, each without a nanny, so that killed means gone."""
    (own / "preload.py").write_text(PRELOAD.format(tiny={**TINY, "epochs": 3}))
    (own / "started").mkdir()
    env = os.environ | {"OMP_NUM_THREADS": "1", "STARTED": str(own / "started")}
    file = own / "scheduler.json"
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler += ["--no-dashboard", "--scheduler-file", str(file)]
    started = [_start(scheduler, env)]
    worker = ["distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny"]
    worker += ["--nthreads", "1", "--no-dashboard", "--preload", str(own / "preload.py")]
    for number in range(2):
        local = env | {"IBTUTOR_RECORDS": str(own / f"worker{number}")}
        started.append(_start([*worker, "--local-directory", str(own / f"dask{number}")], local))
    deadline = time.monotonic() + 60
    while not file.is_file() or not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield own, started[1:]
    for process in started:
        process.kill()
        process.wait()


def test_a_killed_worker_costs_its_run_only(cluster):
    own, workers = cluster
    address = json.loads((own / "scheduler.json").read_text())["address"]

    def kill_the_one_that_hangs():
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            for path in (own / "started").glob("seed0-decoder_uncertainty.*"):
                for worker in workers:
                    if worker.pid == int(path.suffix[1:]):
                        worker.send_signal(signal.SIGKILL)
                        return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_the_one_that_hangs)
    killer.start()
    named = {"address": address, "only": "seed1-prediction*"}
    (row,) = experiments.run_for([ID], "smoke", **named)
    assert (row["done"], row["of"]) == (1, 6)
    path = experiments.execute(ID, "smoke", address=address)
    killer.join()
    assert sum(worker.poll() is None for worker in workers) == 1
    found = experiments.recorded(ID, "smoke")
    assert path == own / "records" / f"{ID}.smoke.json"
    local = mnist.run(mnist.SMOKE, progress=False)
    assert found.rows == record.plain(local.rows)
    assert found.summary == record.plain(local.summary)
    started = [p.name.partition(".")[0] for p in (own / "started").iterdir()]
    assert sorted(started) == sorted([*mnist.parts(mnist.SMOKE), "seed0-decoder_uncertainty"])


def test_a_cluster_that_cannot_be_reached_is_one_message(own, monkeypatch):
    monkeypatch.setattr("ibtutor.experiments._cluster.CONNECT_SECONDS", 1)
    with pytest.raises(RuntimeError, match=r"no dask scheduler answers at 'tcp://127.0.0.1:9'"):
        experiments.execute(ID, "smoke", address="tcp://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="no dask scheduler answers at 'nonsense'"):
        experiments.execute(ID, "smoke", address="nonsense")
