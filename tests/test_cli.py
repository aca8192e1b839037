"""The command: exit codes 0, 1 and 2, JSON for programs, one clear line for people."""

import errno
import json
import sys

import pytest

from ibtutor import cli
from ibtutor.data import sources


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("IBTUTOR_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def ibtutor(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ibtutor", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call


def test_list_names_every_experiment(ibtutor):
    code, out, _ = ibtutor("list", "--json")
    assert code == 0
    assert "kudo_fig4_cifar10h" in [row["id"] for row in json.loads(out)]


def test_run_show_and_verify(ibtutor):
    code, out, _ = ibtutor("run", "kudo_fig1", "--quiet")
    assert code == 0
    assert out.strip().endswith("kudo_fig1.smoke.json")
    code, out, _ = ibtutor("show", "kudo_fig1", "--profile", "smoke")
    assert code == 0
    assert "[holds at small scale; null control: not asked] corner" in out
    code, out, _ = ibtutor("show", "kudo_fig1", "--profile", "smoke", "--json")
    assert json.loads(out)["profile"] == "smoke"
    code, out, _ = ibtutor("verify", "kudo_fig1", "--profile", "smoke", "--quiet")
    assert code == 0
    assert "none drifted" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "kudo_fig99"), 2, "unknown experiment 'kudo_fig99'"),
        (("run", "kudo_fig1", "--profile", "huge"), 2, "got 'huge'"),
        (("run", "kudo_fig1", "--device", "abacus"), 2, "unknown device 'abacus'"),
        (("show", "kudo_fig4_cifar10h", "--profile", "smoke"), 1, "no smoke record"),
        (("data", "check", "imagenet"), 2, "imagenet"),
        (("data", "check", "mnist"), 1, ""),
        (("run",), 2, "name one experiment"),
        (("run", "kudo_fig1", "--queue"), 2, "name one experiment, or give --queue"),
        (("run", "kudo_fig1", "--minutes", "0"), 2, "minutes must be finite and above 0, got 0"),
        (("run", "kudo_fig1", "--minutes", "inf"), 2, "finite and above 0, got inf"),
        (("run", "kudo_fig1", "--minutes", "nan"), 2, "finite and above 0, got nan"),
        (("run", "kudo_fig1", "--jobs", "0"), 2, "jobs must be at least 1, got 0"),
        (("run", "kudo_fig1", "--backend", "slurm"), 2, "backend must be local or dask"),
        (("run", "kudo_fig1", "--backend", "dask"), 2, "--address of its scheduler"),
        (("run", "kudo_fig1", "--parts", "seed9-*"), 2, "no part of kudo_fig1.smoke is called"),
        (("run", "kudo_fig1", "--parts", ""), 2, "no part of kudo_fig1.smoke is called ''"),
        (("run", "kudo_fig1", "--parts", "run", "--fresh"), 2, "--fresh forgets all parts"),
        (("run", "--queue", "--parts", "seed0-*"), 2, "--parts is for one experiment"),
        (("parts", "kudo_fig99"), 2, "unknown experiment 'kudo_fig99'"),
        (("parts", "import"), 2, "`import` and a folder"),
        (("parts", "import", "/nowhere"), 2, "/nowhere is no folder"),
        (("fly",), 2, "No such command"),
        (("run", "kudo_fig4_cifar10h", "--profile", "paper", "--quiet"), 1, "data get cifar10h"),
    ],
)
def test_bad_use_says_what_was_received(ibtutor, arguments, code, message):
    got, _, err = ibtutor(*arguments)
    assert got == code
    assert message in err
    assert "Traceback" not in err


def test_a_worker_runs_the_parts_it_is_told(ibtutor, monkeypatch):
    seen = {}
    monkeypatch.setattr("ibtutor.experiments.work_through", lambda *_, **o: seen.update(o))
    monkeypatch.setattr("ibtutor.experiments._work.end_with_stdin", lambda: None)
    assert ibtutor("worker", "kudo_fig1", "--parts", "seed1-*")[0] == 0
    assert seen["only"] == "seed1-*"


def test_a_full_disk_is_one_line(ibtutor, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ibtutor.record.atomic_write", full)
    code, _, said = ibtutor("run", "kudo_fig1", "--quiet")
    assert code == 1
    assert said == "ibtutor: [Errno 28] No space left on device\n"


def test_pending_says_what_is_missing(ibtutor):
    code, out, _ = ibtutor("pending", "--json")
    assert code == 0
    assert {row["reason"] for row in json.loads(out)} <= {"not run", "no data", "no GPU"}


def test_ledger_has_a_verdict_for_every_claim(ibtutor):
    from ibtutor import experiments

    code, out, _ = ibtutor("ledger", "--json")
    assert code == 0
    rows = json.loads(out)
    assert len(rows) == sum(len(experiments.load(name).CLAIMS) for name in experiments.ids())


def test_doctor_finds_a_damaged_record(ibtutor, own_folders):
    ibtutor("run", "kudo_fig1", "--quiet")
    assert ibtutor("doctor", "--json", "--no-probe")[0] == 0
    path = own_folders / "records" / "kudo_fig1.smoke.json"
    path.write_text(path.read_text()[:100])
    code, out, _ = ibtutor("doctor", "--no-probe")
    assert code == 1
    assert "truncated" in out


def test_parts_are_listed(ibtutor, own_folders):
    code, out, _ = ibtutor("parts", "kudo_fig3_cifar10", "--json")
    assert code == 0
    rows = json.loads(out)
    assert rows[0]["part"] == "seed0-ls-0.0"
    assert {row["state"] for row in rows} <= {"done", "missing"}
    _, out, _ = ibtutor("parts", "kudo_fig1", "--profile", "smoke")
    assert "0 of 1 parts of kudo_fig1.smoke done" in out
    code, out, _ = ibtutor("run", "kudo_fig1", "--minutes", "5", "--quiet")
    assert code == 0
    assert (own_folders / "records" / "kudo_fig1.smoke.json").is_file()
    damaged = own_folders / "records" / "parts" / "kudo_fig1.quick" / "run.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    code, out, _ = ibtutor("doctor", "--no-probe")
    assert code == 1
    assert "part kudo_fig1.quick run" in out


@pytest.mark.parametrize(
    "command", ["list", "run", "show", "verify", "pending", "ledger", "parts", "data", "doctor"]
)
def test_every_command_has_help(ibtutor, command):
    code, out, _ = ibtutor(command, "--help")
    assert code == 0
    assert "Usage" in out


def test_a_failed_download_is_one_sentence_and_verbose_says_all(ibtutor, monkeypatch):
    def offline(staging):
        error = OSError("none of 2 mirrors gave the file")
        error.add_note("http://one: urlopen error, a long story")
        raise error

    monkeypatch.setitem(sources.SOURCES, "tiny", sources.Source("tiny", {"a.bin": "0"}, offline))
    code, _, said = ibtutor("data", "get", "tiny")
    assert code == 1
    assert len(said.splitlines()) == 1
    code, _, said = ibtutor("data", "get", "tiny", "--verbose")
    assert code == 1
    assert "http://one" in said
