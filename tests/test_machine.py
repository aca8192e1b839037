"""The probe and what follows from it: minutes scale with speed, a doctor says them."""

import types

import pytest

from ibtutor import doctor, machine


def test_a_machine_half_as_fast_takes_twice_as_long():
    same = machine.Speed(**machine.STEPS)
    half = machine.Speed(**{name: value / 2 for name, value in machine.STEPS.items()})
    assert same.minutes(120) == pytest.approx(2)
    assert half.minutes(120, "dense") == pytest.approx(4)


def test_the_probe_takes_about_as_long_as_it_is_told(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: float(next(clock)))
    counted = []
    rate = machine._steps_a_second(lambda: counted.append(1), 10)
    assert 0.3 < rate <= 1.0  # a step a second, and the clock is read besides
    assert 5 <= len(counted) <= 12


def test_the_probe_leaves_the_threads_as_they_were():
    import torch

    before = torch.get_num_threads()
    speed = machine.probe(0.1)
    assert torch.get_num_threads() == before
    assert speed.dense > speed.conv > 0


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_probe_of_no_time_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds must be positive, got"):
        machine.probe(seconds)


def test_the_doctor_says_memory_disk_accelerator_and_minutes(monkeypatch, tmp_path):
    monkeypatch.setenv("IBTUTOR_DATA", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(machine, "probe", lambda: machine.Speed(**machine.STEPS))
    said = {row["what"]: row["detail"] for row in doctor.rows()}
    assert "GiB" in said["memory"] or "unknown" in said["memory"]
    assert "free at" in said["disk for data"]
    assert said["accelerator"]
    assert said["a chapter (profile smoke)"] == "under a minute, the longest under a minute"
    again = [detail for what, detail in said.items() if what.startswith("record kudo")]
    assert again
    assert all(line.startswith(("again here: ", "took ")) for line in again)
    quiet = {row["what"]: row["detail"] for row in doctor.rows(probe=False)}
    assert "speed" not in quiet


def test_a_record_of_another_device_names_it(monkeypatch):
    found = types.SimpleNamespace(provenance={"device": "NVIDIA H100", "seconds": 600})
    monkeypatch.setattr(doctor.experiments, "recorded", lambda *a: found)
    row = doctor._record("kudo_fig1", "paper", machine.Speed(1, 1))
    assert row["detail"] == "took 10 minutes on NVIDIA H100"
