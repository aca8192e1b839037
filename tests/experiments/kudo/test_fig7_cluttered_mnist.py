from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from ibtutor import experiments
from ibtutor.experiments import Result
from ibtutor.experiments.kudo import fig7_cluttered_mnist as fig7
from ibtutor.experiments.kudo._saliency_summary import over_images, paired, summarize

TINY = replace(
    fig7.SMOKE,
    train_size=200,
    test_size=100,
    weight_decays=(0.01,),
    seeds=(0,),
    width=8,
    epochs=2,
    saliency_size=100,
)
CLAIMS = {claim.id: claim for claim in fig7.CLAIMS}
LABELS = np.arange(40) % 10


def made_up(ls, ce, wd=None, wd_information=1.8):
    """Result of a run that never was; each arm: box shares by seed for other digits and for 1."""
    rows, shares = [], {}
    arms = [("ls", 0.0, ce, 2.2), ("ls", 0.1, ls, 1.8)]
    arms += [("wd", 0.01, wd, wd_information)] if wd else []
    for method, strength, values, i_ty in arms:
        for seed, (others, one) in enumerate(values):
            row = {"seed": seed, "method": method, "accuracy": 0.98, "train_accuracy": 1.0}
            row |= {"alpha": strength if method == "ls" else 0.0, "i_ty": i_ty}
            row |= {"weight_decay": strength if method == "wd" else 0.0}
            row |= {"box_others": others, "box_one": one}
            row |= {"stroke_others": others / 2, "stroke_one": one / 2}
            rows.append(row)
            share = np.where(LABELS == 1, one, others) + 0.01 * np.sin(np.arange(40))
            shares[f"{method}{strength}-{seed}"] = share
    return Result(rows, summarize(rows, shares, LABELS))


@pytest.fixture(scope="module")
def tiny():
    return fig7.run(TINY, progress=False)


def test_a_tiny_run_has_every_arm_and_its_pictures(tiny):
    arms = [(row["method"], row["alpha"], row["weight_decay"]) for row in tiny.rows]
    assert arms == [("ls", 0.0, 0.0), ("ls", 0.1, 0.0), ("wd", 0.0, 0.01)]
    assert tiny.arrays["example_images"].shape == (20, 20, 20)
    assert tiny.arrays["example_labels"].tolist() == sorted(list(range(10)) * 2)
    assert tiny.arrays["maps_alpha0.1_seed0"].shape == (20, 5, 5)
    assert tiny.arrays["around_wd0.01_one"].shape == (20, 20)
    for row in tiny.rows:
        for name in ("box_others", "box_one", "stroke_others", "stroke_one"):
            assert 0 <= row[name] <= 1
        assert row["stroke_others"] < row["box_others"]
    assert tiny.summary["chance_box"] == pytest.approx(0.16)
    assert 0 < tiny.summary["chance_stroke"] < 0.16


def test_the_same_seed_gives_the_same_rows(tiny):
    assert fig7.run(TINY, progress=False).rows == tiny.rows


def test_a_finished_piece_is_read_back(tiny, tmp_path, monkeypatch):
    fig7.run(TINY, progress=False, resume=tmp_path)

    def never(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(fig7, "_measure", never)
    again = fig7.run(TINY, progress=False, resume=tmp_path)
    assert again.rows == tiny.rows
    assert again.summary == tiny.summary
    assert again.arrays.keys() == tiny.arrays.keys()


def test_every_claim_can_be_judged(tiny):
    for claim in fig7.CLAIMS:
        claim.verdict(tiny)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no layer named 'layer3'"):
        fig7.run(replace(TINY, layer="layer3"), progress=False)


def test_a_run_that_diverges_says_where():
    message = r"seed0-ls-0\.1: .* finite loss, got none at rate 1e\+30: .* nan in epoch 1"
    with pytest.raises(RuntimeError, match=message):
        fig7.run_part(replace(TINY, lr=1e30), "seed0-ls-0.1", progress=False)


def test_unknown_data_are_refused():
    with pytest.raises(ValueError, match="dataset must be mnist or digits"):
        fig7.run(replace(TINY, dataset="fashion"), progress=False)


def test_the_whole_data_set_need_not_be_balanced():
    (train_set, labels), _ = fig7.load_data(replace(TINY, train_size=1297))
    assert len(train_set.images) == len(labels) == 1297


def test_a_residual_network_runs_too():
    result = fig7.run(
        replace(TINY, model="resnet8", layer="layer3", epochs=1, weight_decays=()), progress=False
    )
    assert result.summary["against_weight_decay"] == {}


def test_all_changes_that_are_not_of_size_are_explained():
    size = {"train_size", "test_size", "seeds", "epochs", "width", "saliency_size"}
    for profile in ("smoke", "quick"):
        chosen = experiments.profile_config("kudo_fig7_cluttered_mnist", profile)
        paper = fig7.Config()
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(paper, field.name)
        }
        assert changed - size <= set(fig7.DIFFERENCES)
    assert fig7.QUICK.saliency_size >= 1000


def verdict(name, result):
    return CLAIMS[name].verdict(result)["verdict"]


CE = [(0.30, 0.2), (0.31, 0.2), (0.29, 0.2)]


@pytest.mark.parametrize(
    ("ls", "answer"),
    [
        ([0.40, 0.42, 0.41], "reproduced"),
        ([0.20, 0.22, 0.21], "not reproduced"),
        ([0.40, 0.22, 0.50], "cannot be told"),
        # Three standard errors above zero, but with three trials Student's t asks for 4.3.
        ([0.38, 0.34, 0.33], "cannot be told"),
    ],
)
def test_focus_needs_an_interval_above_zero(ls, answer):
    assert verdict("focus", made_up([(share, 0.2) for share in ls], CE)) == answer


def test_one_trial_is_too_few_to_judge():
    alone = made_up([(0.4, 0.2)], [(0.3, 0.25)], [(0.3, 0.3)])
    assert {verdict(name, alone) for name in CLAIMS} == {"not run"}
    assert fig7.finding(alone) == "Too few trials to tell."


@pytest.mark.parametrize(
    ("ls", "words"),
    [
        ([0.40, 0.42, 0.41], "above zero"),
        ([0.20, 0.22, 0.21], "below zero"),
        ([0.38, 0.34, 0.33], "the sign cannot be told"),
    ],
)
def test_the_finding_says_what_the_interval_says(ls, words):
    result = made_up([(share, 0.2) for share in ls], CE)
    assert fig7.finding(result).endswith(f": {words}).")


def test_gaps_are_paired_by_seed_with_students_interval():
    gap = fig7.gap(made_up([(0.40, 0.2), (0.42, 0.2), (0.41, 0.2)], CE), "box_others")
    assert gap["difference"] == pytest.approx(0.11)
    assert gap["high"] - gap["difference"] == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert gap["seeds"] == 3


def test_an_unknown_control_is_refused():
    with pytest.raises(ValueError, match="against must be"):
        fig7.gap(made_up(CE, CE), "box_others", "mix")


@pytest.mark.parametrize(
    ("wd", "information", "answer"), [(0.32, 1.75, "yes"), (0.5, 1.75, "no"), (0.5, 1.0, "not run")]
)
def test_focus_against_weight_decay(wd, information, answer):
    ce = [(0.30, 0.2), (0.31, 0.2), (0.29, 0.2)]
    ls = [(0.4, 0.2), (0.42, 0.2), (0.41, 0.2)]
    decayed = [(wd, 0.2), (wd + 0.01, 0.2), (wd - 0.01, 0.2)]
    result = made_up(ls, ce, decayed, information)
    assert CLAIMS["focus"].verdict(result)["survives_null_control"] == answer


def test_digit_one_has_two_parts():
    ce = [(0.3, 0.25)] * 3
    assert verdict("digit_one", made_up([(0.4, 0.2)] * 3, ce)) == "reproduced"
    assert verdict("digit_one", made_up([(0.4, 0.3)] * 3, ce)) == "partly"
    assert verdict("digit_one", made_up([(0.28, 0.3)] * 3, ce)) == "not reproduced"
    unsure = [(0.4, 0.17), (0.4, 0.24), (0.4, 0.22)]  # lower in every trial, by chance perhaps
    assert verdict("digit_one", made_up(unsure, ce)) == "partly"


@pytest.mark.parametrize(("decayed", "answer"), [(0.3, "yes"), (0.1, "no")])
def test_digit_one_against_weight_decay(decayed, answer):
    result = made_up([(0.4, 0.2)] * 3, [(0.3, 0.25)] * 3, [(0.3, decayed)] * 3)
    assert CLAIMS["digit_one"].verdict(result)["survives_null_control"] == answer


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ((0.0, 0.0, 0.0), "reproduced"),
        ((-0.01, -0.01, -0.01), "not reproduced"),
        ((0.005, 0.0, 0.004), "partly"),
    ],
)
def test_half_a_point_of_accuracy(change, answer):
    result = made_up([(0.4, 0.2)] * 3, [(0.3, 0.2)] * 3)
    for row in result.rows:
        row["accuracy"] += change[row["seed"]] * (row["alpha"] > 0)
    assert verdict("accuracy_equal", result) == answer


def test_without_smoothing_nothing_is_judged():
    empty = Result([], summarize([], {}, LABELS))
    assert {verdict(name, empty) for name in CLAIMS} == {"not run"}


def test_constant_maps_are_left_out_of_the_mean():
    share = np.array([0.2, np.nan, 0.4, 0.6])
    entry = over_images(np.append(share, 0.4), np.array([0, 0, 1, 1, 0]))
    assert entry["one"] == pytest.approx(0.5)
    assert entry["one_error"] == pytest.approx(0.1)


def test_paired_differences_go_by_seed():
    ours = [{"seed": 0, "x": 1.0}, {"seed": 1, "x": 3.0}]
    theirs = [{"seed": 1, "x": 2.0}, {"seed": 0, "x": 0.5}, {"seed": 2, "x": 9.0}]
    gap = paired(ours, theirs, "x")
    assert gap == {"difference": 0.75, "error": pytest.approx(0.25), "all_above": True}


def test_examples_are_two_of_each_digit():
    labels = torch.tensor([1, 0, *range(10), 2, 2, *range(10)])
    assert labels[fig7.example_rows(labels)].tolist() == sorted(list(range(10)) * 2)
