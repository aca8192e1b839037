from dataclasses import replace

import pytest

from ibtutor.experiments import Result
from ibtutor.experiments.yi import _training
from ibtutor.experiments.yi import fig5_batch_and_weight as fig5

TINY = replace(
    fig5.SMOKE,
    train_size=128,
    test_size=50,
    batch_sizes=(16, 64),
    lams=(0.0, 5.0),
    epochs=4,
    seeds=(0, 1),
)
CLAIMS = {claim.id: claim for claim in fig5.CLAIMS}


@pytest.fixture(scope="module")
def tiny():
    return fig5.run(TINY, progress=False)


def test_a_tiny_run_has_every_sweep(tiny):
    seen = {(r["sweep"], r["batch_size"], r["strength"], r["steps"]) for r in tiny.rows}
    assert seen == {
        *(("equal epochs", 16, lam, 32) for lam in (0.0, 50.0)),
        *(("equal steps", 16, lam, 8) for lam in (0.0, 50.0)),
        *((sweep, 64, lam, 8) for sweep in ("equal epochs", "equal steps") for lam in (0.0, 50.0)),
        *(("weight", 64, lam, 8) for lam in (0.0, 5.0, 50.0)),
    }
    assert len(tiny.rows) == 2 * len(seen)
    for claim in fig5.CLAIMS:
        claim.verdict(tiny)
    assert fig5.finding(tiny).startswith("At equal steps milLoss is")


def test_a_finished_piece_is_read_back(tiny, tmp_path, monkeypatch):
    fig5.run(TINY, progress=False, resume=tmp_path)

    def never(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(_training, "train_all", never)
    assert fig5.run(TINY, progress=False, resume=tmp_path).rows == tiny.rows


def test_what_is_missing_is_left_out(tiny):
    names = fig5.parts(TINY)
    assert names == ("batch64-epochs4", "batch16-epochs1", "batch16-epochs4")
    one = fig5.run_part(TINY, names[1], progress=False)
    found = fig5.assemble(TINY, {names[1]: one})
    assert found.rows == [
        row for row in tiny.rows if (row["sweep"], row["batch_size"]) == ("equal steps", 16)
    ]
    for result in (found, fig5.assemble(TINY, {})):
        for claim in fig5.CLAIMS:
            claim.verdict(result)


def made_up(epochs, steps, weights=None):
    """Accuracies of (cross-entropy, milLoss) at the batch sizes 32 and 512, for two sweeps."""
    rows = []

    def add(sweep, batch_size, lam, accuracy):
        for seed in range(3):
            value = accuracy + 0.001 * ((seed + batch_size + lam) % 3)
            rows.append(
                {"sweep": sweep, "batch_size": batch_size, "strength": lam, "seed": seed}
                | {"accuracy": value}
            )

    for sweep, found in (("equal epochs", epochs), ("equal steps", steps)):
        for batch_size, pair in zip((32, 512), found, strict=True):
            for lam, accuracy in zip((0.0, 50.0), pair, strict=True):
                add(sweep, batch_size, lam, accuracy)
    for lam, accuracy in (weights or {}).items():
        add("weight", 512, lam, accuracy)
    return Result(rows, {"lam": 50.0, "batch_size": 512, "num_classes": 10, "ends": [32, 512]})


def judged(name, result):
    return CLAIMS[name].verdict(result)


def test_a_fall_that_cross_entropy_shares():
    found = judged("batch_size", made_up([(0.98, 0.98), (0.8, 0.8)], [(0.8, 0.8), (0.8, 0.8)]))
    assert found["verdict"] == "reproduced"
    assert found["controls"] == {"equal steps": "no", "cross-entropy": "no"}


def test_a_fall_of_milloss_alone():
    found = judged("batch_size", made_up([(0.9, 0.99), (0.9, 0.8)], [(0.9, 0.99), (0.9, 0.8)]))
    assert found["controls"] == {"equal steps": "yes", "cross-entropy": "yes"}
    rises = made_up([(0.9, 0.8), (0.9, 0.9)], [(0.9, 0.8), (0.9, 0.9)])
    assert judged("batch_size", rises)["verdict"] == "not reproduced"


def test_a_gain_that_fades():
    fades = made_up([(0.9, 0.9)] * 2, [(0.8, 0.9), (0.8, 0.81)])
    assert judged("fades", fades)["verdict"] == "reproduced"
    assert "+10.0 points" in fig5.finding(fades)
    same = made_up([(0.9, 0.9)] * 2, [(0.8, 0.8), (0.8, 0.8)])
    assert judged("fades", same)["verdict"] in ("cannot be told", "not reproduced")


@pytest.mark.parametrize(
    ("weights", "answer"),
    [
        ({0.0: 0.8, 50.0: 0.9, 500.0: 0.3}, "reproduced"),
        ({0.0: 0.9, 50.0: 0.8, 500.0: 0.3}, "not reproduced"),
        ({0.0: 0.9, 50.0: 0.9005, 500.0: 0.3}, "cannot be told"),
        ({0.0: 0.9, 50.0: 0.8995, 500.0: 0.3}, "cannot be told"),  # an end ahead by nothing
        ({0.0: 0.3, 50.0: 0.8995, 501.0: 0.9}, "cannot be told"),
        ({0.0: 0.9, 50.0: 0.8}, "not run"),
    ],
)
def test_a_best_weight_inside(weights, answer):
    assert judged("weight", made_up([(0.9, 0.9)] * 2, [(0.9, 0.9)] * 2, weights))["verdict"] == (
        answer
    )


def test_the_ends_are_those_of_the_plan():
    """Without the planned smallest batch nothing is said of it, whatever there is."""
    found = made_up([(0.98, 0.98), (0.8, 0.8)], [(0.8, 0.9), (0.8, 0.81)])
    found.summary["ends"] = [16, 512]
    for name in ("batch_size", "fades"):
        assert judged(name, found)["verdict"] == "not run"
    assert fig5.finding(found) == "Too few seeds to tell."
    planned = fig5.assemble(TINY, {"batch64-epochs4": Result(found.rows)})
    assert planned.summary["ends"] == [16, 64]
    del found.summary["ends"]  # a record from before, whose sweep is complete
    assert judged("batch_size", found)["verdict"] == "reproduced"


def test_nothing_is_judged_without_a_run():
    nothing = Result([], {})
    assert {judged(name, nothing)["verdict"] for name in CLAIMS} == {"not run"}
    assert fig5.finding(nothing) == "Too few seeds to tell."
