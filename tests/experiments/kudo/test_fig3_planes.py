"""Figure 3: how points are placed, controls matched, and claims judged."""

import math
from dataclasses import replace

import pytest
import torch

from ibtutor import data
from ibtutor.experiments import Result
from ibtutor.experiments.kudo import _plane, _plane_claims, _plane_rows
from ibtutor.experiments.kudo import fig3_cifar10 as cifar10
from ibtutor.experiments.kudo import fig3_flowers102 as flowers102
from ibtutor.info import label_smoothing_information, mix_outputs
from ibtutor.losses import smoothing_equivalent

TINY = replace(
    cifar10.SMOKE,
    train_images=300,
    test_images=100,
    width=16,
    alphas=(0.0, 0.1, 0.5),
    penalty_alphas=(0.1,),
    other_augment=(0.1,),
    seeds=(0, 1),
    epochs=6,
    measure_every=3,
)


PLACES = ("on_the_curve", "sweeps_the_curve", "corner", "closed_form")  # claims of the training set


@pytest.fixture(scope="module")
def tiny():
    return cifar10.run(TINY, progress=False)


@pytest.mark.parametrize("alpha", [0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("num_classes", [2, 10, 102])
def test_the_penalty_has_the_optimum_of_smoothing(alpha, num_classes):
    beta = _plane.matching_penalty(alpha, num_classes)
    assert smoothing_equivalent(beta, num_classes) == pytest.approx(alpha, rel=1e-6)


def test_the_penalty_needs_an_inner_strength():
    for alpha in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match=r"\(0, 1\)"):
            _plane.matching_penalty(alpha, 10)


def test_scores_of_ideal_outputs_are_the_closed_form():
    labels = torch.arange(10).repeat(3)
    one_hot = torch.nn.functional.one_hot(labels).double()
    for alpha in (0.0, 0.1, 0.5):
        scores = _plane.scores(mix_outputs(one_hot, alpha), labels)
        expected = float(label_smoothing_information(alpha, num_classes=10))
        assert scores["i_xt"] == pytest.approx(expected, abs=1e-9)
        assert scores["gap"] == pytest.approx(0, abs=1e-9)
        assert scores["accuracy"] == 1
        assert scores["nll"] == pytest.approx(-math.log(1 - 0.9 * alpha))
        assert scores["ece"] == pytest.approx(0.9 * alpha)


def test_a_run_has_every_arm_split_and_epoch(tiny):
    frame = tiny.frame()
    assert set(frame.arm) == {"ls", "mix", "temperature", "cp", "wd", "augment"}
    smoothed = frame[frame.arm == "ls"]
    assert len(smoothed) == 3 * 2 * 2 * 2  # strengths, seeds, splits, measured epochs
    assert set(smoothed.epoch) == {3, 6}
    changed = frame[frame.arm.isin(["mix", "temperature"])]
    assert len(changed) == 2 * 2 * 2 * 2  # arms, strengths above 0, seeds, splits
    assert frame[["i_xt", "i_ty", "nll", "ece"]].notna().all().all()
    assert (frame.gap > -1e-9).all()  # the data processing inequality


def test_the_temperature_matches_information_on_the_training_set(tiny):
    for alpha in (0.1, 0.5):
        cooled = _plane_rows.final(tiny.rows, "temperature", "train", alpha)
        smoothed = _plane_rows.final(tiny.rows, "ls", "train", alpha)
        for a, b in zip(cooled, smoothed, strict=True):
            assert a["i_ty"] == pytest.approx(b["i_ty"], abs=1e-6)


def test_trained_controls_are_matched_by_information(tiny):
    rows = {(r["alpha"], r["control"]): r for r in tiny.summary["null_control"]}
    decayed = _plane_rows.final(tiny.rows, "wd", "train")
    mean = sum(r["i_ty"] for r in decayed) / len(decayed)
    target = _plane_rows.final(tiny.rows, "ls", "train", 0.5)
    assert rows[0.5, "wd"]["mismatch"] == pytest.approx(
        mean - sum(r["i_ty"] for r in target) / len(target)
    )
    assert rows[0.5, "ce"]["mismatch"] is None


def test_a_run_resumes_to_the_same_rows(tiny, tmp_path):
    first = cifar10.run(TINY, progress=False, resume=tmp_path)
    assert list(tmp_path.glob("*/*.pt"))
    assert first.rows == tiny.rows
    again = cifar10.run(TINY, progress=False, resume=tmp_path)
    assert again.rows == tiny.rows
    assert again.summary["null_control"] == tiny.summary["null_control"]


@pytest.mark.parametrize("every", [1, 3])  # the epoch in which it diverges is measured, or not
def test_a_diverging_run_is_a_row_and_the_others_stay(every):
    config = replace(TINY, optimizer="sgd", weight_decays=(1e9,), penalty_alphas=(), lr=0.1)
    config = replace(config, measure_every=every)
    result = cifar10.run(replace(config, other_augment=()), progress=False)
    assert result.summary["diverged"] == 2
    assert len(_plane_rows.final(result.rows, "ls", "test")) == 6
    assert not _plane_rows.final(result.rows, "wd", "test")


def test_where_all_runs_diverge_nothing_is_reproduced():
    result = cifar10.run(replace(TINY, optimizer="sgd", lr=1e30), progress=False)
    assert {row["diverged"] for row in result.rows} == {"the loss became nan in epoch 1"}
    found = {name: judged["verdict"] for name, judged in verdicts(result).items()}
    for name in PLACES:
        assert found.pop(name) == "not reproduced"
    assert set(found.values()) == {"not run"}


def fabricated(gap=0.01, offset=0.0, mix_gap=0.0, nll=(1.0, 0.5), control_nll=0.8):
    """A result with chosen values: two seeds, alpha 0 and 0.1, ten balanced classes."""
    rows = []
    closed = {a: float(label_smoothing_information(a, num_classes=10)) for a in (0.0, 0.1)}
    for seed in (0, 1, 2):
        for split in ("train", "test"):
            base = {"seed": seed, "split": split, "epoch": 1, "accuracy": 1.0, "ece": 0.0}
            noise = 0.001 * seed
            for alpha, likelihood in zip((0.0, 0.1), nll, strict=True):
                i_ty = closed[alpha] - offset
                place = {"i_xt": i_ty + gap, "i_ty": i_ty, "gap": gap, "nll": likelihood + noise}
                rows.append({**base, "arm": "ls", "alpha": alpha, "strength": alpha, **place})
            for arm in ("mix", "temperature"):
                i_ty = closed[0.1]
                place = {"i_xt": i_ty + mix_gap, "i_ty": i_ty, "gap": mix_gap}
                place["nll"] = control_nll - noise
                rows.append({**base, "arm": arm, "alpha": 0.1, "strength": 0.1, **place})
    summary = {
        "h_y": math.log(10),
        "closed_form": [{"alpha": a, "information": v} for a, v in closed.items()],
        "null_control": _plane_rows.null_control(rows),
    }
    return Result(rows, summary)


def verdicts(result):
    return {claim.id: claim.verdict(result) for claim in cifar10.CLAIMS}


def test_claims_hold_on_a_result_that_obeys_them():
    found = verdicts(fabricated())
    for name in PLACES:
        assert found[name]["verdict"] == "reproduced", name
    assert found["on_the_curve"]["survives_null_control"] == "no"  # mixing is as good


def test_claims_fail_on_results_that_do_not():
    assert verdicts(fabricated(gap=0.06))["on_the_curve"]["verdict"] == "not reproduced"
    far = verdicts(fabricated(offset=0.06))
    assert far["corner"]["verdict"] == "not reproduced"
    assert far["closed_form"]["verdict"] == "not reproduced"
    found = verdicts(fabricated(mix_gap=0.2))
    assert found["on_the_curve"]["survives_null_control"] == "yes"


def test_one_bad_seed_makes_it_partly():
    result = fabricated(gap=0.01)
    bad = next(r for r in result.rows if r["arm"] == "ls" and r["split"] == "train")
    bad["gap"] = 0.06
    assert verdicts(result)["on_the_curve"]["verdict"] == "partly"


def diverging(alpha, seeds):
    """A result that obeys the claims, but the runs of a strength with these seeds diverged."""
    whole = fabricated()
    rows = [
        row
        for row in whole.rows
        if (row["arm"], row["alpha"]) != ("ls", alpha) or row["seed"] not in seeds
    ]
    for seed in seeds:
        row = {"seed": seed, "arm": "ls", "alpha": alpha, "strength": alpha, "split": "train"}
        rows.append(row | {"epoch": -1, "diverged": "the loss became nan in epoch 3"})
    return Result(rows, whole.summary | {"null_control": _plane_rows.null_control(rows)})


@pytest.mark.parametrize(
    ("alpha", "seeds", "answer", "corner"),
    [
        (0.1, (1,), "partly", "reproduced"),
        (0.1, (0, 1, 2), "not reproduced", "reproduced"),
        (0.0, (1,), "partly", "not reproduced"),
        (0.0, (0, 1, 2), "not reproduced", "not reproduced"),
    ],
)
def test_runs_that_diverged_count(alpha, seeds, answer, corner):
    found = {name: judged["verdict"] for name, judged in verdicts(diverging(alpha, seeds)).items()}
    for name in PLACES:
        assert found[name] == (corner if name == "corner" else answer), name


def test_a_run_of_another_arm_that_diverged_is_not_judged():
    result = fabricated()
    result.rows.append({"seed": 0, "arm": "wd", "alpha": 0.0, "split": "train", "diverged": "nan"})
    found = verdicts(result)
    assert {found[name]["verdict"] for name in PLACES} == {"reproduced"}


def mixed(alpha, i_ty, gap=0.0):
    """Rows of outputs mixed after training, with three seeds."""
    place = {"split": "train", "epoch": 1, "i_xt": i_ty + gap, "i_ty": i_ty, "gap": gap}
    place |= {"arm": "mix", "alpha": alpha, "strength": alpha}
    return [place | {"seed": seed} for seed in (0, 1, 2)]


def test_each_control_is_asked_the_claims_own_question():
    """Mixed outputs lie on the curve and fall along it, far from where theory has them."""
    result = fabricated()
    closed = [{"alpha": 0.5, "information": 0.7}]
    result.summary["closed_form"] = result.summary["closed_form"] + closed
    own = [row for row in result.rows if row["arm"] != "mix"]

    def answers(*points):
        found = verdicts(Result(own + [row for rows in points for row in rows], result.summary))
        names = ("on_the_curve", "sweeps_the_curve", "closed_form")
        return [found[name]["controls"]["mixing after training"] for name in names]

    assert answers() == ["not run"] * 3
    assert answers(mixed(0.1, 1.5), mixed(0.5, 0.5)) == ["no", "no", "yes"]
    assert answers(mixed(0.1, 0.5), mixed(0.5, 1.5)) == ["no", "yes", "yes"]
    assert answers(mixed(0.1, 1.5, 0.2), mixed(0.5, 0.5, 0.2)) == ["yes", "no", "yes"]


def test_a_sweep_that_turns_back_is_refused():
    result = fabricated()
    for row in result.rows:
        if row["arm"] == "ls" and row["alpha"] == 0.1:
            row["i_ty"] += 1
    assert verdicts(result)["sweeps_the_curve"]["verdict"] == "not reproduced"


@pytest.mark.parametrize(
    ("nll", "control", "verdict", "survives"),
    [
        ((1.0, 0.5), 0.8, "reproduced", "yes"),
        ((1.0, 0.5), 0.4, "reproduced", "no"),
        ((0.5, 1.0), 0.8, "not reproduced", "no"),
    ],
)
def test_an_effect_survives_only_if_it_beats_the_controls(nll, control, verdict, survives):
    found = verdicts(fabricated(nll=nll, control_nll=control))["test_nll"]
    assert found["verdict"] == verdict
    assert found["survives_null_control"] == survives


@pytest.mark.parametrize(("offset", "sign"), [(0.1, -1), (-0.1, 1)])
def test_information_is_compared_at_the_same_rate(offset, sign):
    """Mixed outputs lie on the diagonal; smoothing is put below or above it by `offset`."""
    result = fabricated()
    for row in result.rows:
        if row["arm"] == "ls" and row["split"] == "test" and row["alpha"] == 0.1:
            row["i_xt"] = 2.0
            row["i_ty"] = 2.0 - offset + 0.001 * row["seed"]
        elif row["split"] == "test":
            row["i_xt"] = row["i_ty"]
    gain = _plane_claims.at_equal_rate(result, "mix")
    assert gain["difference"] == pytest.approx(-offset + 0.001)
    found = verdicts(result)["test_plane"]
    assert found["verdict"] == ("reproduced" if sign > 0 else "not reproduced")
    assert found["survives_null_control"] == ("yes" if sign > 0 else "no")


def test_without_rows_nothing_is_claimed():
    empty = Result([], {"h_y": 1.0, "closed_form": [], "null_control": []})
    assert {v["verdict"] for v in verdicts(empty).values()} == {"not run"}


def test_profiles_build_the_networks_they_name():
    assert type(cifar10.build(cifar10.Config(), 3)).__name__ == "ResNet"
    assert type(cifar10.build(cifar10.QUICK, 3)).__name__ == "SmallCNN"
    assert type(cifar10.build(cifar10.SMOKE, 1)).__name__ == "MLP"
    with pytest.raises(ValueError, match="model must be"):
        cifar10.build(replace(cifar10.SMOKE, model="vgg"), 1)
    with pytest.raises(ValueError, match="data must be"):
        cifar10.load(replace(cifar10.SMOKE, data="svhn"))
    with pytest.raises(ValueError, match="data must be"):
        flowers102.load(replace(flowers102.SMOKE, data="svhn"))
    assert flowers102.build(flowers102.Config(), 3, 102).tokens == 196
    quick = cifar10.build(cifar10.QUICK, 3), flowers102.build(flowers102.QUICK, 3, 102)
    for model, side in zip(quick, (32, flowers102.QUICK.size), strict=True):
        assert len(model(torch.zeros(2, 3, side, side))) == 2


def test_the_copy_of_kaggle_is_an_arm_of_its_own(monkeypatch):
    """Its classes are not balanced, so it has another H(Y) and another curve."""
    opened = []

    def photographs(split, size):
        opened.append(split)
        whole = data.digits("train")
        many = {"train": 102, "val": 102, "kaggle-train": 300, "kaggle-val": 150}[split]
        images = torch.nn.functional.interpolate(whole.images[:many].float(), size=size)
        labels = torch.arange(many) % 102
        return data.Split(images.expand(-1, 3, -1, -1).to(torch.uint8).contiguous(), labels)

    monkeypatch.setattr(flowers102.data, "flowers102", photographs)
    config = replace(flowers102.SMOKE, data="flowers102", test_split="val", epochs=1)
    config = replace(config, kaggle_alphas=(0.0, 0.5), alphas=(0.0,))
    assert flowers102.parts(config) == ("seed0-ls-0.0", "seed0-kaggle-0.0", "seed0-kaggle-0.5")
    result = flowers102.run(config, progress=False)
    assert opened == ["train", "val", "kaggle-train", "kaggle-val"]
    assert {row["arm"] for row in result.rows} == {"ls", "kaggle"}
    assert set(result.fingerprints) == {"train", "test", "kaggle_train", "kaggle_test"}
    assert result.summary["h_y"] == pytest.approx(math.log(102))
    assert result.summary["kaggle"]["train_images"] == 300
    assert result.summary["kaggle"]["h_y"] < result.summary["h_y"]
    assert len(result.summary["kaggle"]["closed_form"]) == 2
    paper = flowers102.parts(flowers102.Config())
    assert all("-kaggle-" in name for name in paper[-30:])
    assert not any("-kaggle-" in name for name in paper[:-30])


def test_the_transformer_learns_the_digits():
    config = replace(flowers102.SMOKE, alphas=(0.0,), epochs=5, erasing=0.25)
    result = flowers102.run(config, progress=False)
    assert _plane_rows.final(result.rows, "ls", "train")[0]["accuracy"] > 0.6
