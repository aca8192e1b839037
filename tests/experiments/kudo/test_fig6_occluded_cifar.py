from dataclasses import fields, replace

import pytest
import torch

from ibtutor import experiments
from ibtutor.experiments import Result
from ibtutor.experiments._null_control import information, match_temperature, nearest
from ibtutor.experiments.kudo import fig6_occluded_cifar as fig6
from ibtutor.experiments.kudo._probe_summary import PROBES, summarize

TINY = replace(
    fig6.SMOKE,
    train_size=300,
    test_size=200,
    alphas=(0.0, 0.3),
    weight_decays=(0.01,),
    seeds=(0,),
    width=16,
    epochs=3,
    probe_size=300,
    probe_epochs=5,
)
CLAIMS = {claim.id: claim for claim in fig6.CLAIMS}


def made_up(probe_by_alpha, probe_by_decay=None, accuracy=0.9, noise=0.001):
    """Rows of a run that never was: one probe value a setting, the same for the three probes."""
    rows = []
    for seed in range(3):
        for alpha, (probe, i_ty) in probe_by_alpha.items():
            rows.append({"method": "ls", "alpha": alpha, "weight_decay": 0.0, "i_ty": i_ty})
            rows[-1] |= {f"probe_{kind}": probe + noise * (seed - 1) for kind in PROBES}
        for decay, (probe, i_ty) in (probe_by_decay or {}).items():
            rows.append({"method": "wd", "alpha": 0.0, "weight_decay": decay, "i_ty": i_ty})
            rows[-1] |= {f"probe_{kind}": probe + noise * (seed - 1) for kind in PROBES}
        for row in rows:
            row.setdefault("seed", seed)
    for row in rows:
        drop = accuracy - 0.1 if row["alpha"] == 0.5 else accuracy
        row |= {"accuracy": drop, "train_accuracy": 1.0, "diverged": False}
    return Result(rows, summarize(rows))


@pytest.fixture(scope="module")
def tiny():
    return fig6.run(TINY, progress=False)


def test_a_tiny_run_has_every_arm(tiny):
    arms = [(row["method"], row["alpha"], row["weight_decay"]) for row in tiny.rows]
    assert arms[:3] == [("ls", 0.0, 0.0), ("ls", 0.3, 0.0), ("wd", 0.0, 0.01)]
    assert set(arms[3:]) <= {("temperature", 0.3, 0.0)}
    for row in tiny.rows:
        for kind in PROBES:
            assert 0 <= row[f"probe_{kind}"] <= 1
    assert len(tiny.fingerprints["train"]) == 16


def test_the_same_seed_gives_the_same_rows(tiny):
    again = fig6.run(TINY, progress=False)
    assert again.rows == tiny.rows
    assert again.fingerprints == tiny.fingerprints


def test_a_killed_run_goes_on_to_the_same_rows(tiny, tmp_path, monkeypatch):
    calls = []
    measure = fig6._measure

    def stop_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(fig6, "_measure", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        fig6.run(TINY, progress=False, resume=tmp_path)
    monkeypatch.setattr(fig6, "_measure", measure)
    resumed = fig6.run(TINY, progress=False, resume=tmp_path)
    assert resumed.rows == tiny.rows


def test_every_claim_can_be_judged(tiny):
    for claim in fig6.CLAIMS:
        claim.verdict(tiny)


def test_the_classes_are_learned_and_smoothing_compresses():
    small = replace(TINY, train_size=1000, epochs=8, width=32, probe_size=500)
    rows = {row["alpha"]: row for row in fig6.run(small, progress=False).rows[:2]}
    assert rows[0.0]["accuracy"] > 0.6
    assert rows[0.3]["i_ty"] < rows[0.0]["i_ty"] - 0.3


def test_all_changes_that_are_not_of_size_are_explained():
    size = {"train_size", "test_size", "alphas", "seeds", "epochs", "width", "probe_size"}
    for profile in ("smoke", "quick"):
        chosen = experiments.profile_config("kudo_fig6_occluded_cifar", profile)
        paper = fig6.Config()
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(paper, field.name)
        }
        assert changed - size <= set(fig6.DIFFERENCES)


def test_unknown_data_and_models_are_refused():
    with pytest.raises(ValueError, match="dataset must be occluded_cifar or digit_pairs"):
        fig6.run(replace(TINY, dataset="cifar"), progress=False)
    with pytest.raises(ValueError, match="model must be resnetN, small_cnn, fitting_cnn or mlp"):
        fig6.run(replace(TINY, model="transformer"), progress=False)


def verdict(name, result):
    return CLAIMS[name].verdict(result)["verdict"]


@pytest.mark.parametrize(
    ("probes", "answer"),
    [
        ({0.1: 0.4, 0.5: 0.3, 0.9: 0.2}, "reproduced"),
        ({0.1: 0.4, 0.5: 0.6}, "partly"),
        ({0.1: 0.6, 0.5: 0.6}, "not reproduced"),
        ({}, "not run"),
    ],
)
def test_the_linear_probe_must_fall_at_every_strength(probes, answer):
    result = made_up({0.0: (0.5, 2.2)} | {a: (p, 1.0) for a, p in probes.items()})
    assert verdict("nuisance_falls", result) == answer
    assert verdict("stricter_probes_agree", result) == answer


def with_column(result, name, values):
    """The column of smoothed rows set by seed, and the summary made anew."""
    for row in result.rows:
        if row["alpha"] > 0:
            row[name] = values[row["seed"]]
    return Result(result.rows, summarize(result.rows))


def test_a_stricter_probe_may_disagree():
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)})
    result = with_column(result, "probe_mlp", (0.6, 0.61, 0.62))
    assert verdict("nuisance_falls", result) == "reproduced"
    assert verdict("stricter_probes_agree", result) == "partly"


def test_a_fall_within_the_spread_cannot_be_told():
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.49, 1.8)})
    # Three standard errors below, but with three seeds Student's t asks for 4.3.
    result = with_column(result, "probe_linear", (0.42, 0.46, 0.47))
    assert verdict("nuisance_falls", result) == "cannot be told"
    assert "by -5.0 (-11.3 to +1.3) at alpha = 0.1" in fig6.finding(result)


def test_one_seed_is_too_few_to_judge():
    rows = [r for r in made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)}).rows if r["seed"] == 0]
    alone = Result(rows, summarize(rows))
    assert {verdict(name, alone) for name in CLAIMS} == {"not run"}
    assert fig6.finding(alone).startswith("Fewer than 2 seeds")


@pytest.mark.parametrize(
    ("decay", "answer"),
    [((0.45, 1.75), "yes"), ((0.2, 1.75), "no"), ((0.2, 1.3), "not run")],
)
def test_the_null_control_compares_at_matched_information(decay, answer):
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)}, {0.01: decay})
    controls = CLAIMS["nuisance_falls"].verdict(result)["controls"]
    assert controls == {"a temperature after training": "yes", "weight decay": answer}


def test_a_class_read_better_under_smoothing_contradicts_the_paper():
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)})
    assert verdict("accuracy_no_better", result) == "reproduced"
    better = with_column(result, "accuracy", (0.95, 0.951, 0.952))
    assert verdict("accuracy_no_better", better) == "not reproduced"


def test_diverged_runs_are_left_out():
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)})
    result.rows.append({"method": "ls", "alpha": 0.1, "seed": 9, "diverged": True})
    assert summarize(result.rows)["settings"] == result.summary["settings"]


def test_a_strength_without_a_run_that_ended_keeps_its_claims_from_holding():
    result = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)})
    rows = result.rows + [
        {"method": "ls", "alpha": 0.9, "seed": seed, "diverged": True} for seed in range(3)
    ]
    found = Result(rows, summarize(rows))
    assert {verdict(name, found) for name in CLAIMS} == {"not run"}
    assert "at alpha = 0.1" in fig6.finding(found)


def test_a_diverging_run_is_a_row_and_the_others_stay(tiny):
    found = fig6.run(replace(TINY, weight_decays=(1e9,)), progress=False)
    broken = found.rows.pop(2)
    assert (broken["method"], broken["diverged"]) == ("wd", True)
    assert "i_ty" not in broken
    assert found.rows == [row for row in tiny.rows if row["method"] != "wd"]


def test_nothing_is_softened_to_a_run_that_diverged():
    rows = made_up({0.0: (0.5, 2.2), 0.1: (0.4, 1.8)}).rows[:2]
    rows[1]["diverged"] = True
    del rows[1]["i_ty"]
    assert fig6._temperature_rows(rows, {0: {}}) == []


def test_temperature_reaches_the_information_asked_for():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    logits = 6 * torch.eye(10)[labels] + torch.randn(400, 10, generator=generator)
    for wanted in (0.5, 1.5, 2.0):
        temperature = match_temperature(logits, labels, wanted)
        probs = (logits.double() / temperature).softmax(1)
        assert information(probs, labels)["i_ty"] == pytest.approx(wanted, abs=1e-6)
    assert match_temperature(logits, labels, 2.4) != match_temperature(logits, labels, 2.4)  # NaN


def test_nearest_setting_is_by_the_mean():
    groups = {"a": [{"i_ty": 1.0}, {"i_ty": 2.0}], "b": [{"i_ty": 0.5}]}
    assert nearest(groups, 1.4) == ("a", pytest.approx(0.1))
    assert nearest({}, 1.0) is None
