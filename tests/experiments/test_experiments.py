"""Every experiment has its parts; runs write records, resume, verify and feed the ledger."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, is_dataclass, replace

import pytest

from ibtutor import experiments, record
from ibtutor.experiments import Claim, Reported, Result
from ibtutor.experiments.kudo import fig4_cifar10h as fig4


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("experiment", experiments.ids())
def test_a_module_has_all_its_parts(experiment):
    module = experiments.load(experiment)
    for profile in record.PROFILES:
        config = experiments.profile_config(experiment, profile)
        assert is_dataclass(config)
        assert isinstance(config, module.Config)
        with pytest.raises(AttributeError):  # frozen
            config.seeds = ()
    assert module.TITLE
    assert module.SOURCE
    assert isinstance(module.GPU, bool)
    assert module.CLAIMS
    assert len({claim.id for claim in module.CLAIMS}) == len(module.CLAIMS)
    assert all(isinstance(claim, Claim) for claim in module.CLAIMS)
    assert all(isinstance(value, Reported) for value in module.REPORTED.values())
    fields = set(asdict(module.Config()))
    assert set(module.DIFFERENCES) <= fields


@pytest.mark.parametrize("experiment", experiments.ids())
def test_shipped_records_belong_to_the_code(experiment):
    for profile in ("quick", "paper"):
        if record.find(experiment, profile):
            found = experiments.recorded(experiment, profile)
            assert set(found.verdicts) == {c.id for c in experiments.load(experiment).CLAIMS}
            assert found.provenance["seconds"] > 0
            result = Result(found.rows, found.summary, found.arrays)
            for claim in experiments.load(experiment).CLAIMS:
                assert claim.verdict(result) == found.verdicts[claim.id]


def test_an_unknown_experiment_names_those_there_are():
    with pytest.raises(ValueError, match=r"unknown experiment 'kudo_fig99'.*kudo_fig1"):
        experiments.load("kudo_fig99")


def test_the_page_config_follows_the_environment(monkeypatch):
    monkeypatch.delenv("IBTUTOR_PROFILE", raising=False)
    assert experiments.config("kudo_fig4_cifar10h") == fig4.SMOKE
    monkeypatch.setenv("IBTUTOR_SEED", "2")
    assert experiments.config("kudo_fig4_cifar10h") == replace(fig4.SMOKE, seeds=(2000,))
    monkeypatch.setenv("IBTUTOR_SEED", "0")
    monkeypatch.setenv("IBTUTOR_PROFILE", "paper")
    assert experiments.config("kudo_fig4_cifar10h") == fig4.Config()


def test_differences_are_said_in_words():
    told = experiments.differences("kudo_fig4_cifar10h", fig4.SMOKE)
    assert told["steps"] == "steps 200 for 2000"
    assert told["data"].startswith("data digits for cifar10h (an embedded stand-in")
    assert experiments.differences("kudo_fig4_cifar10h", fig4.Config()) == {}


def test_a_run_writes_a_record_that_the_ledger_shows(own_records, monkeypatch):
    path = experiments.execute("kudo_fig1", "paper", progress=False)
    assert path == own_records / "kudo_fig1.paper.json"
    found = experiments.recorded("kudo_fig1")
    assert {v["verdict"] for v in found.verdicts.values()} == {"reproduced"}
    rows = [row for row in experiments.ledger() if row["experiment"] == "kudo_fig1"]
    assert {row["state"] for row in rows} == {"current"}
    assert "kudo_fig1" not in [row["experiment"] for row in experiments.pending()]


def test_a_run_that_fails_keeps_what_was_done(own_records, monkeypatch):
    plain, calls = fig4.minimize_by_adam, []

    def fails_on_the_second(p, config, start, *rest):
        calls.append(start)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(p, config, start, *rest)

    monkeypatch.setattr(fig4, "minimize_by_adam", fails_on_the_second)
    with pytest.raises(KeyboardInterrupt):
        experiments.execute("kudo_fig4_cifar10h", "smoke", progress=False)
    assert record.find("kudo_fig4_cifar10h", "smoke") is None
    experiments.execute("kudo_fig4_cifar10h", "smoke", progress=False)
    assert calls == ["random", "labels", "labels"]
    assert not list((own_records / ".partial").glob("kudo_fig4*"))


def test_a_killed_run_resumes_and_no_partial_record_is_read(own_records):
    command = [sys.executable, "-m", "ibtutor.cli", "run", "kudo_fig4_cifar10h", "--quiet"]
    running = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not list(own_records.glob(".partial/*/adam_random_0.json")):
        assert running.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert record.find("kudo_fig4_cifar10h", "smoke") is None
    experiments.execute("kudo_fig4_cifar10h", "smoke", progress=False)
    after = experiments.recorded("kudo_fig4_cifar10h", "smoke")
    plain = fig4.run(fig4.SMOKE, progress=False)
    assert after.rows == record.plain(plain.rows)


def test_a_verdict_outside_the_list_is_refused():
    claim = Claim("x", "text", "source", lambda result: "maybe")
    with pytest.raises(ValueError, match="'maybe'"):
        claim.verdict(Result([]))
    with pytest.raises(ValueError, match="kind must be"):
        Reported(1.0, 0.1, "Table 1", "guess")


@pytest.mark.parametrize("experiment", experiments.ids())
def test_only_what_the_paper_states_can_differ_from_it(experiment):
    module = experiments.load(experiment)
    names = {field.name for field in fields(module.Config)}
    assert set(module.STATED) <= names
    origin = dict(experiments.recorded(experiment).origin())
    said = {key.rpartition(": ")[2] for key in origin if key.startswith("differs from the paper")}
    assert said <= set(module.STATED)
