"""A rerun raises an alarm when something is broken, and hardly ever when nothing is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibtutor import experiments, record
from ibtutor.experiments import _interval, _verify, _work
from ibtutor.experiments._sweep import Sweep
from ibtutor.experiments.kirsch import fig3_permuted_mnist as mnist
from ibtutor.experiments.kudo import fig3_cifar10 as fig3
from ibtutor.experiments.kudo import fig4_cifar10h as fig4

RECORDS = [
    (experiment, profile)
    for experiment in experiments.ids()
    for profile in ("quick", "paper")
    if record.find(experiment, profile)
]


def drifted(compared):
    return [row for row in compared if row["drifted"]]


# --- the interval --------------------------------------------------------------------------------


def test_with_one_setting_it_is_the_textbook_interval():
    values = [1.0, 2.0, 3.0]
    common = _interval.prior([1.0], 2)
    assert common.dof == 0
    # Mean 2, s = 1: t(0.995; 2) = 9.9248 times sqrt(1 + 1/3).
    half = _interval.allowed(values, common, count=1, level=0.01)
    assert half == pytest.approx(9.92484 * math.sqrt(4 / 3), rel=1e-4)


def test_equal_variances_are_pooled_and_unequal_ones_are_not():
    rng = np.random.default_rng(0)
    equal = rng.normal(size=(4000, 5)).var(axis=1, ddof=1)
    assert _interval.prior(equal, 4).variance == pytest.approx(1.0, rel=0.05)
    assert _interval.prior(equal, 4).dof == _interval.MOST
    scales = np.exp(2 * rng.normal(size=4000))
    assert _interval.prior(scales * equal, 4).dof < 1.5


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_false_alarms_are_rarer_than_promised(seeds, shared):
    """A record of 40 settings whose numbers are normal, independent or moved together by a seed."""
    rng = np.random.default_rng(seeds)
    scale = np.exp(0.5 * rng.normal(size=40))  # variances differ from setting to setting
    alarms, repeats = 0, 400
    for _ in range(repeats):
        own, common = rng.normal(size=(seeds + 1, 40)), rng.normal(size=(seeds + 1, 1))
        x = scale * (math.sqrt(1 - shared) * own + math.sqrt(shared) * common)
        rows = [
            {"method": "ls", "alpha": float(i), "seed": s, "x": x[s, i]}
            for s in range(seeds + 1)
            for i in range(40)
        ]
        alarms += bool(drifted(_verify.compare(rows[:-40], rows[-40:])))
    # 4 expected at most; 12 or more have a chance of 1 in 1,000.
    assert alarms < 12


def test_seeds_that_agree_by_chance_take_the_spread_of_their_quantity():
    names = [f"loss {i}" for i in range(5)]

    def rows(seed, x, equal):
        told = [{"loss": name, "seed": seed, "x": x} for name in names]
        return [*told, {"loss": "equal", "seed": seed, "x": equal}]

    recorded = [*rows(0, 0.97, 0.98), *rows(1, 0.972, 0.98), *rows(2, 0.969, 0.98)]
    assert not drifted(_verify.compare(recorded, rows(3, 0.971, 0.981)))
    assert drifted(_verify.compare(recorded, rows(3, 0.971, 0.5)))
    alone = [row for row in recorded if row["loss"] == "equal"]
    assert drifted(_verify.compare(alone, rows(3, 0.971, 0.981)[-1:])), "nothing to learn from"


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("experiment", "profile"), RECORDS)
def test_no_seed_of_a_record_is_an_alarm_to_the_others(experiment, profile):
    found = experiments.recorded(experiment, profile)
    if getattr(experiments.load(experiment), "SAME_NUMBERS", False):
        pytest.skip("each seed is compared with itself")
    seeds = {row["seed"] for row in found.rows}
    kinds = {}
    for row in found.rows:
        kinds.setdefault(_verify._strings(row), set()).add(row["seed"])
    for seed in seeds if len(seeds) > 2 else ():
        fresh = [r for r in found.rows if r["seed"] == seed and len(kinds[_verify._strings(r)]) > 2]
        rest = [r for r in found.rows if r not in fresh]
        alarms = drifted(_verify.compare(rest, fresh, experiments.load(experiment)))
        assert not alarms, alarms[:3]


def test_a_flat_optimum_may_move_along_but_not_down():
    rows = experiments.recorded("kudo_fig4_cifar10h").rows
    (at,) = [r for r in rows if r["method"] == "solver" and r["beta"] == 0.9]
    along = at | {"i_xt": at["i_xt"] + 2e-5, "i_ty": at["i_ty"] + 1.8e-5}
    assert not drifted(_verify.compare(rows, [along], fig4))
    worse = at | {"objective": at["objective"] - 1e-5}
    assert [r["quantity"] for r in drifted(_verify.compare(rows, [worse], fig4))] == ["objective"]
    far = at | {"i_xt": at["i_xt"] + 0.01, "i_ty": at["i_ty"] + 0.009}
    assert len(drifted(_verify.compare(rows, [far], fig4))) == 2


def test_a_temperature_found_anew_is_compared_and_a_setting_names_the_row():
    rows = [
        {
            "arm": "temperature",
            "seed": s,
            "alpha": a,
            "strength": 2 + 0.01 * s + a,
            "x": 0.1 * s + a,
        }
        for s in range(4)
        for a in (0.1, 0.3)
    ]
    compared = _verify.compare(rows, [rows[-1] | {"strength": 9.0}])
    assert {row["quantity"]: row["drifted"] for row in compared} == {"strength": True, "x": False}
    (lost,) = _verify.compare(rows, [rows[-1] | {"alpha": 0.7}])
    assert (lost["quantity"], lost["drifted"]) == ("(not in the record)", True)


def test_a_module_whose_seeds_repeat_compares_each_with_itself():
    rows = [{"kind": "a", "seed": s, "x": float(10 * s + i)} for s in (0, 1) for i in (0, 1)]
    module = SimpleNamespace(SAME_NUMBERS=True)
    assert not drifted(_verify.compare(rows, rows[:2], module))
    swapped = [rows[0] | {"x": 1.0}, rows[1] | {"x": 0.0}]
    assert len(drifted(_verify.compare(rows, swapped, module))) == 2


def test_what_was_undefined_may_be_so_again():
    nan = math.nan
    rows = [{"arm": "a", "alpha": 0.1, "seed": s, "x": 1 + 0.1 * s, "y": nan} for s in range(3)]
    rows += [row | {"alpha": 0.5, "y": 0.1 * row["seed"]} for row in rows]
    rows[3]["y"] = nan  # one seed of the second setting
    again = [rows[0], rows[3]]
    compared = _verify.compare(rows, again)
    assert len(compared) == 4
    assert not drifted(compared)
    found = _verify.compare(rows, [rows[0] | {"y": 1.0}, rows[3] | {"x": nan, "y": 0.1}])
    assert [(r["quantity"], r["drifted"]) for r in found] == [
        ("x", False),
        ("y", True),
        ("x", True),
        ("y", False),
    ]
    for absent in ({}, {"y": None}):
        kept = [{k: v for k, v in row.items() if k != "y"} | absent for row in rows]
        assert [r["quantity"] for r in drifted(_verify.compare(kept, again))] == ["y", "y"]


# --- what must not pass --------------------------------------------------------------------------

SMALL = replace(
    fig3.SMOKE,
    train_images=600,
    test_images=400,
    alphas=(0.0, 0.1, 0.2, 0.5),
    penalty_alphas=(),
    weight_decays=(),
    seeds=(0, 1, 2, 3, 4),
    epochs=15,
    measure_every=15,
    augment=True,
)


@pytest.fixture(scope="module")
def sound():
    return fig3.run(SMALL, progress=False).rows


def fresh(**changes):
    return fig3.run(replace(SMALL, seeds=(17,), **changes), progress=False).rows


def test_a_fresh_seed_passes(sound):
    assert not drifted(_verify.compare(sound, fresh(), fig3))


@pytest.mark.parametrize("changes", [{"lr": 2 * SMALL.lr}, {"augment": False}], ids=str)
def test_changed_training_is_an_alarm(sound, changes):
    assert drifted(_verify.compare(sound, fresh(**changes), fig3))


def test_another_strength_is_an_alarm(sound):
    rows = [
        row | {"alpha": 0.1, "strength": 0.1}
        for row in fresh()
        if row["alpha"] == 0.2 and row["arm"] == "ls"
    ]
    assert {r["quantity"] for r in drifted(_verify.compare(sound, rows, fig3))} >= {"i_xt", "i_ty"}


def test_shuffled_labels_are_an_alarm(sound, monkeypatch):
    load = fig3.load

    def shuffled(config):
        task = load(config)
        images, labels = task.train
        which = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:30]
        labels = labels.clone()
        labels[which] = labels[which.roll(1)]
        assert (labels != task.train[1]).sum() >= 20  # 5 percent, but for those that met their own
        return replace(task, train=(images, labels))

    monkeypatch.setattr(fig3, "load", shuffled)
    assert drifted(_verify.compare(sound, fresh(), fig3))


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("IBTUTOR_RECORDS", str(tmp_path))
    return tmp_path


def test_verify_confirms_and_marks_drift(own_records):
    experiments.execute("kudo_fig1", "quick", progress=False)
    compared = experiments.verify("kudo_fig1", "quick", progress=False)
    assert len(compared) > 100
    assert not any(row["drifted"] for row in compared)

    found = experiments.recorded("kudo_fig1", "quick")
    changed = [row | {"i_ty": row["i_ty"] + 0.01} for row in found.rows]
    record.write(
        "kudo_fig1",
        "quick",
        config=found.config,
        differences=found.differences,
        rows=changed,
        summary=found.summary,
        verdicts=found.verdicts,
        provenance=found.provenance,
    )
    drifted = [r for r in experiments.verify("kudo_fig1", "quick", progress=False) if r["drifted"]]
    assert {row["quantity"] for row in drifted} == {"i_ty"}
    assert record.read_drift("kudo_fig1", "quick")


def test_verify_refuses_an_unfinished_record_before_it_runs(own_records, monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("it ran")

    tiny = {"width": 16, "num_categories": 10, "train_images": 300, "test_images": 100}
    monkeypatch.setattr(mnist, "SMOKE", replace(mnist.SMOKE, seeds=(0,), epochs=1, **tiny))
    monkeypatch.setattr(mnist, "run", run)
    sweep = Sweep("kirsch_fig3_permuted_mnist", "smoke")
    first, *others = sweep.names
    _work.run_one(sweep, first, device="cpu", progress=False)
    said = r"kirsch_fig3_permuted_mnist\.smoke is unfinished \(1 of 3 parts\): finish it, or name"
    with pytest.raises(record.RecordError, match=said):
        experiments.verify("kirsch_fig3_permuted_mnist", "smoke", progress=False)
    for name in others:
        _work.run_one(sweep, name, device="cpu", progress=False)
    with pytest.raises(record.RecordError, match="no smoke record"):
        experiments.verify("kirsch_fig3_permuted_mnist", "smoke", progress=False)


def test_verify_needs_a_recorded_seed(own_records):
    experiments.execute("kudo_fig4_cifar10h", "smoke", progress=False)
    with pytest.raises(ValueError, match="got 17"):
        experiments.verify("kudo_fig4_cifar10h", "smoke", seed=17, progress=False)
