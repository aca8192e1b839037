"""Records are whole or refused; pieces of a run are whole or computed again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from ibtutor import record
from ibtutor.record import Partial, RecordError


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path / "records"))
    return tmp_path / "records"


def write(**changes):
    settings = {
        "config": {"alphas": (0.0, 0.1), "seeds": (0, 1)},
        "differences": {"seeds": "2 seeds for 5"},
        "rows": [{"seed": 0, "i_xt": np.float64(1.5)}, {"seed": 1, "i_xt": 1.25}],
        "summary": {"mean": 1.375},
        "verdicts": {"one": {"text": "a", "source": "b", "verdict": "reproduced"}},
        "provenance": {"commit": "0" * 40, "device": "CPU", "seconds": 3.0, "date": "2026-01-02"}
        | {"versions": {"torch": "2.9"}},
        "arrays": {"curve": np.arange(3.0)},
    }
    return record.write("toy", "quick", **(settings | changes))


def test_a_record_comes_back_as_it_was_written():
    write()
    found = record.read("toy", "quick", {"alphas": [0.0, 0.1], "seeds": [0, 1]})
    assert found.rows == [{"seed": 0, "i_xt": 1.5}, {"seed": 1, "i_xt": 1.25}]
    assert found.config == {"alphas": [0.0, 0.1], "seeds": [0, 1]}
    assert found.frame()["i_xt"].mean() == found.summary["mean"]
    np.testing.assert_array_equal(found.arrays["curve"], np.arange(3.0))


def test_a_record_says_its_scale_and_origin():
    write()
    found = replace(record.read("toy", "quick"), size="2,000 images")
    assert found.scale == "2,000 images, CPU: not the paper's scale"
    parts = {name: {"device": name} for name in ("CPU (AMD)", "NVIDIA H100", "CPU (Intel)")}
    assert replace(found, parts=parts).scale == "2,000 images, CPU and GPU: not the paper's scale"
    assert replace(found, profile="paper").scale == "The paper's scale"
    assert replace(found, experiment="ours_toy", profile="paper").scale == "2,000 images"
    assert ("differs from the paper: seeds", "2 seeds for 5") in found.origin()
    assert found.caption().startswith("2,000 images, CPU: not the paper's scale. record: toy")


def test_infinity_survives():
    write(summary={"worst": float("inf")})
    assert record.read("toy", "quick").summary["worst"] == float("inf")


def test_a_missing_record_says_what_to_run():
    with pytest.raises(RecordError, match="ibtutor run toy --profile quick"):
        record.read("toy", "quick")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_record_is_refused(share):
    path = write()
    text = path.read_text()
    path.write_text(text[: int(share * len(text))])
    with pytest.raises(RecordError, match="truncated"):
        record.read("toy", "quick")


def test_an_edited_record_is_refused():
    path = write()
    path.write_text(path.read_text().replace("1.375", "1.475"))
    with pytest.raises(RecordError, match="checksum"):
        record.read("toy", "quick")


def test_a_record_of_another_config_is_refused_with_the_difference():
    write()
    with pytest.raises(RecordError, match=r"alphas: recorded \[0.0, 0.1\], now \[0.5\]"):
        record.read("toy", "quick", {"alphas": (0.5,), "seeds": (0, 1)})


def test_another_schema_is_refused(monkeypatch):
    write()
    monkeypatch.setattr(record, "SCHEMA", 99)
    with pytest.raises(RecordError, match="schema 1, this code reads 99"):
        record.read("toy", "quick")


def test_missing_and_changed_arrays_are_refused():
    arrays = write().with_suffix(".npz")
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-1])
    with pytest.raises(RecordError, match=r"toy.quick.npz does not belong"):
        record.read("toy", "quick")
    arrays.unlink()
    with pytest.raises(RecordError, match="missing"):
        record.read("toy", "quick")


def test_what_json_cannot_hold_is_named():
    with pytest.raises(TypeError, match="got set"):
        write(summary={"bad": {1, 2}})


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = record.atomic_write(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        record.atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_partial_keeps_pieces_and_forgets_damaged_ones(tmp_path):
    partial = Partial(tmp_path / "state")
    assert partial.get("run 1/2") is None
    partial.put("run 1/2", {"loss": 0.5}, {"probs": np.eye(2)})
    value = partial.get("run 1/2")
    assert value["loss"] == 0.5
    np.testing.assert_array_equal(value["arrays"]["probs"], np.eye(2))
    (file,) = (tmp_path / "state").glob("*.json")
    file.write_text(file.read_text()[:-20])
    assert partial.get("run 1/2") is None
    partial.clear()
    assert not (tmp_path / "state").exists()


def test_partial_without_a_folder_keeps_nothing():
    partial = Partial(None)
    partial.put("a", {"b": 1})
    assert partial.get("a") is None


def test_unfinished_runs_of_two_configs_do_not_meet():
    one = record.partial_folder("toy", "quick", {"alphas": (0.1,)})
    assert one != record.partial_folder("toy", "quick", {"alphas": (0.2,)})
    assert one == record.partial_folder("toy", "quick", {"alphas": [0.1]})


def test_drift_speaks_of_one_record_only():
    write()
    record.write_drift("toy", "quick", [{"quantity": "i_xt", "recorded": 1.0, "now": 2.0}])
    assert record.read_drift("toy", "quick")[0]["now"] == 2.0
    write(summary={"mean": 7.0})
    assert record.read_drift("toy", "quick") == []


def test_a_killed_writer_leaves_no_record(records):
    code = (
        "import os, time\n"
        "from ibtutor import record\n"
        "os.fsync = lambda _: (print('writing', flush=True), time.sleep(60))\n"
        "record.atomic_write(record.folder() / 'toy.quick.json', 'x' * 100)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert record.find("toy", "quick") is None


def test_profile_is_read_from_the_environment(monkeypatch):
    monkeypatch.delenv("IBTUTOR_PROFILE", raising=False)
    assert record.profile() == "smoke"
    monkeypatch.setenv("IBTUTOR_PROFILE", "huge")
    with pytest.raises(ValueError, match="smoke, quick, paper, got 'huge'"):
        record.profile()


def test_a_stamp_needs_a_start(monkeypatch):
    from ibtutor import provenance

    monkeypatch.setattr(provenance, "_clock", {})
    with pytest.raises(RuntimeError, match=r"record.start"):
        record.stamp()
    record.start("a_page")
    time.sleep(0.01)
    html = record.stamp()._repr_html_()
    assert "a_page" in html
    assert "profile smoke" in html
    assert "torch" in html


def test_a_record_is_plain_json():
    body = json.loads(write().read_text())
    assert body["schema"] == record.SCHEMA
    assert len(body["checksum"]) == 64
