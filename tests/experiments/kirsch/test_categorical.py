"""Three quantities of a categorical latent: known answers, training, claims, bad input."""

import math
from dataclasses import fields, replace

import pytest
import torch

from ibtutor import experiments, models
from ibtutor.experiments import Result
from ibtutor.experiments.kirsch import _categorical as categorical
from ibtutor.experiments.kirsch import _categorical_claims as judged_by
from ibtutor.experiments.kirsch import fig3_cifar10 as cifar10
from ibtutor.experiments.kirsch import fig3_permuted_mnist as mnist
from ibtutor.experiments.kirsch._categorical_claims import OBJECTIVES

UNCERTAINTY, DECODER, PREDICTION = OBJECTIVES
TINY = {
    module: replace(module.SMOKE, train_images=200, test_images=100, **size)
    for module, size in (
        (mnist, {"num_categories": 12, "width": 16, "seeds": (0, 1), "epochs": 2}),
        (cifar10, {"num_categories": 12, "width": 16, "seeds": (0, 1), "epochs": 2}),
    )
}
TINY = {module: replace(config, measure_every=1) for module, config in TINY.items()}


@pytest.fixture(scope="module", params=TINY, ids=["mnist", "cifar10"])
def tiny(request):
    return request.param, request.param.run(TINY[request.param], progress=False)


# --- the quantities -------------------------------------------------------------------------------


def test_the_toy_of_the_oracles(oracle):
    """Each input of the toy once for every hundredth of its weight."""
    inputs, expected = (oracle("R03")[key] for key in ("inputs", "expected"))
    counts = [
        [round(100 * x * y) for y in row]
        for x, row in zip(inputs["px"], inputs["p_y_given_x"], strict=True)
    ]
    x = torch.tensor([i for i, row in enumerate(counts) for n in row for _ in range(n)])
    y = torch.tensor([j for row in counts for j, n in enumerate(row) for _ in range(n)])
    logits = torch.tensor(inputs["enc_t_given_x"], dtype=torch.float64).log()[x]
    table = torch.tensor(inputs["clf_y_given_t"], dtype=torch.float64).log()
    found = categorical.quantities((logits, y), (logits, y), table, 2)
    assert found[UNCERTAINTY] == pytest.approx(expected["H_Y_Z"], abs=1e-12)
    assert found[DECODER] == pytest.approx(expected["dec_CE"], abs=1e-12)
    assert found[PREDICTION] == pytest.approx(expected["pred_CE"], abs=1e-12)
    assert judged_by.gap(found) == pytest.approx(expected["KL"], abs=1e-12)


def test_without_a_table_the_optimal_decoder_stands_in():
    logits, labels = torch.randn(50, 6), torch.arange(50) % 3
    found = categorical.quantities((logits, labels), (logits, labels), None, 3)
    assert found[DECODER] == pytest.approx(found[UNCERTAINTY], abs=1e-12)
    assert found[PREDICTION] == found["optimal_prediction"] <= found[DECODER]


def test_a_code_for_each_class_knows_everything():
    labels = torch.arange(40) % 4
    logits = 1e4 * torch.eye(4)[labels]
    found = categorical.quantities((logits, labels), (logits, labels), 1e4 * torch.eye(4), 4)
    for name in OBJECTIVES:
        assert found[name] == pytest.approx(0, abs=1e-12)
    assert found["train_accuracy"] == found["test_accuracy"] == 1
    assert found["h_z"] == pytest.approx(math.log(4))
    assert found["h_z_given_x"] == pytest.approx(0, abs=1e-12)


def test_categories_without_weight_and_probabilities_that_underflow_are_finite():
    labels = torch.arange(20) % 2
    logits = torch.full((20, 5), -1e5)
    logits[:, 0] = 0.0  # float32 gives the others probability zero
    found = categorical.quantities((logits, labels), (logits, labels), None, 2)
    assert found[UNCERTAINTY] == pytest.approx(math.log(2))
    assert all(math.isfinite(value) for value in found.values())


def test_fewer_categories_than_classes_leave_uncertainty():
    labels = torch.arange(40) % 4
    logits = 1e4 * torch.eye(4)[labels][:, :2]  # classes 2 and 3 share the categories evenly
    found = categorical.quantities((logits, labels), (logits, labels), None, 4)
    assert found[UNCERTAINTY] >= math.log(4) - math.log(2) - 1e-12


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_has_a_row_for_every_objective_seed_and_epoch(tiny):
    _, result = tiny
    keys = [(row["objective"], row["seed"], row["epoch"]) for row in result.rows]
    expected = [(o, s, e) for s in (0, 1) for o in OBJECTIVES for e in (1, 2)]
    assert keys == expected
    measured = (*OBJECTIVES, *judged_by.EXTRA)
    assert all(math.isfinite(row[name]) for row in result.rows for name in measured)
    assert result.summary["logged"] == 12


def test_both_inequalities_hold_at_every_step(tiny):
    _, result = tiny
    assert min(judged_by.margins(result.rows)) > -judged_by.ROUNDING
    assert result.summary["margin_decoder"] > 0


def test_the_same_seed_gives_the_same_rows_and_a_finished_run_is_read_back(tiny, tmp_path):
    module, result = tiny
    config = TINY[module]
    assert module.run(config, progress=False, resume=tmp_path).rows == result.rows
    started = module.run(config, progress=False, resume=tmp_path)
    assert started.rows == result.rows


def test_a_run_stopped_in_the_middle_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    config = replace(TINY[mnist], seeds=(0,), epochs=3)
    whole = mnist.run(config, progress=False)
    plain, calls = categorical.quantities, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(categorical, "quantities", stops)
    with pytest.raises(KeyboardInterrupt):
        mnist.run(config, progress=False, resume=tmp_path)
    assert mnist.run(config, progress=False, resume=tmp_path).rows == whole.rows


def test_training_with_the_uncertainty_leaves_the_decoder_alone():
    config = replace(TINY[mnist], objectives=(UNCERTAINTY,), seeds=(0,))
    rows = mnist.run(config, progress=False).rows
    assert all(abs(judged_by.gap(row)) < 1e-12 for row in rows)
    assert rows[-1][UNCERTAINTY] < rows[0][UNCERTAINTY]


def test_all_trials_see_one_permutation_of_the_pixels():
    images, _ = mnist.load(TINY[mnist]).train
    again, _ = mnist.load(TINY[mnist]).train
    other, _ = mnist.load(replace(TINY[mnist], permutation_seed=1)).train
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    assert torch.equal(images.flatten(1).sort(1).values, other.flatten(1).sort(1).values)


@pytest.mark.parametrize("model", ["resnet18", "small_cnn"])
def test_encoders_give_a_logit_for_each_category(model):
    config = replace(cifar10.QUICK, model=model, num_categories=7, channels=64, width=8)
    network = cifar10.encoder(config, 3).eval()
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, r"seeds must name at least one trial, got \(\)"),
        ({"objectives": ()}, "objectives must be some of decoder_uncertainty"),
        ({"objectives": ("accuracy",)}, r"got \('accuracy',\)"),
        ({"num_categories": 1}, "num_categories must be at least 2, got 1"),
        ({"data": "fashion"}, "or digits, got 'fashion'"),
        ({"train_images": 10**6}, "count must lie in 1..1297"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("module", TINY, ids=["mnist", "cifar10"])
def test_bad_settings_are_refused_before_any_training(module, change, message):
    with pytest.raises(ValueError, match=message):
        module.run(replace(TINY[module], **change), progress=False)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="model must be resnet18 or small_cnn, got 'vgg'"):
        cifar10.run(replace(TINY[cifar10], model="vgg"), progress=False)


# --- claims ---------------------------------------------------------------------------------------

WIGGLE = (0.0, 0.01, -0.01)


def made_up(**ends):
    """A result with three trials; `ends` gives (H[Y|Z], gap, H_Theta[Y|X], that with p(y|z))."""
    rows = []
    for objective in OBJECTIVES:
        uncertainty, gap, prediction, optimal = ends[objective]
        for seed, wiggle in enumerate(WIGGLE):
            for epoch in (1, 2):
                low = uncertainty + wiggle + (2 - epoch)
                row = {"objective": objective, "seed": seed, "epoch": epoch, UNCERTAINTY: low}
                row |= {DECODER: low + gap, PREDICTION: prediction + wiggle}
                rows.append(row | {"optimal_prediction": optimal + wiggle})
    return Result(rows, judged_by.summarize(rows))


# What the paper tells of Permutation-MNIST, in numbers.
AS_TOLD = {
    UNCERTAINTY: (0.5, 0.0, 0.45, 0.45),
    DECODER: (0.1, 0.01, 0.08, 0.08),
    PREDICTION: (1.5, 0.2, 1.3, 1.6),
}


def verdicts(module, **changes):
    result = made_up(**(AS_TOLD | changes))
    return {claim.id: claim.verdict(result)["verdict"] for claim in module.CLAIMS}


def test_what_the_paper_tells_would_be_reproduced():
    assert set(verdicts(mnist).values()) == {"reproduced"}
    lowest = {PREDICTION: (0.4, 0.5, 0.05, 0.4), UNCERTAINTY: (0.9, 0.0, 0.8, 0.8)}
    assert set(verdicts(cifar10, **lowest).values()) == {"reproduced"}


@pytest.mark.parametrize(
    ("changes", "claim", "answer"),
    [
        ({DECODER: (0.1, -0.001, 0.08, 0.08)}, "bounds", "not reproduced"),
        ({DECODER: (0.1, 0.01, 0.2, 0.2)}, "bounds", "not reproduced"),
        ({DECODER: (0.1, 0.3, 0.08, 0.08)}, "gap_order", "not reproduced"),
        ({DECODER: (0.1, 0.3, 0.08, 0.08)}, "gap_tiny", "not reproduced"),
        ({UNCERTAINTY: (0.05, 0.0, 0.04, 0.04)}, "decoder_trains_best", "partly"),
        ({DECODER: (1.9, 0.01, 1.8, 1.8)}, "decoder_trains_best", "not reproduced"),
        ({PREDICTION: (0.7, 0.2, 0.6, 0.9)}, "prediction_hardly_trains", "not reproduced"),
        ({PREDICTION: (0.3, 0.2, 0.2, 0.4)}, "prediction_trains_worst", "partly"),
        ({PREDICTION: (1.5, 0.2, 1.6, 1.7)}, "no_order", "not reproduced"),
        ({PREDICTION: (1.5, 0.2, 1.3, 1.2)}, "fits_the_mixture", "not reproduced"),
        ({PREDICTION: (1.5, 0.005, 1.3, 1.6)}, "gap_on_the_way", "not reproduced"),
    ],
)
def test_each_claim_can_fail(changes, claim, answer):
    assert verdicts(mnist, **changes)[claim] == answer


@pytest.mark.parametrize("name", [DECODER, UNCERTAINTY, PREDICTION])
@pytest.mark.parametrize("place", [0, 7])
def test_a_step_that_is_no_number_breaks_the_bounds(name, place):
    result = made_up(**AS_TOLD)
    result.rows[place][name] = math.nan
    bounds = next(claim for claim in mnist.CLAIMS if claim.id == "bounds")
    assert bounds.verdict(result)["verdict"] == "not reproduced"


def test_a_difference_within_the_noise_cannot_be_told():
    result = made_up(**AS_TOLD)
    for row in result.rows:
        if row["objective"] == DECODER:  # 0.1 and 0.1, but with another order of the trials
            row[UNCERTAINTY] = 0.5 + WIGGLE[-1 - row["seed"]]
            row[DECODER] = row[UNCERTAINTY] + 0.01
    claims = {claim.id: claim for claim in mnist.CLAIMS}
    assert claims["decoder_trains_best"].verdict(result)["verdict"] == "partly"
    same = judged_by.difference(result, DECODER, UNCERTAINTY, UNCERTAINTY)
    assert same["low"] < 0 < same["high"]


def test_a_gap_that_closes_again_counts_on_the_way():
    result = made_up(**(AS_TOLD | {PREDICTION: (1.5, 0.001, 1.3, 1.6)}))
    for row in result.rows:
        if row["objective"] == PREDICTION and row["epoch"] == 1:
            row[DECODER] += 0.5
    assert judged_by.peaks(result, PREDICTION) == pytest.approx(dict.fromkeys(range(3), 0.501))
    judged = {claim.id: claim.verdict(result)["verdict"] for claim in mnist.CLAIMS}
    assert judged["gap_on_the_way"] == "reproduced"
    assert judged["gap_order"] == "not reproduced"


def test_nothing_is_judged_without_rows_or_with_one_trial():
    empty = Result([], judged_by.summarize([]))
    for module in (mnist, cifar10):
        assert {c.verdict(empty)["verdict"] for c in module.CLAIMS} == {"not run"}
    alone = made_up(**AS_TOLD)
    alone.rows = [row for row in alone.rows if row["seed"] == 0]
    judged = {c.id: c.verdict(alone)["verdict"] for c in mnist.CLAIMS}
    assert judged.pop("bounds") == "reproduced"
    assert set(judged.values()) == {"not run"}


def test_the_finding_names_both_gaps():
    assert "0.010 nats when it is trained, 0.200" in mnist.finding(made_up(**AS_TOLD))
    assert len(mnist.finding(made_up(**AS_TOLD))) < 160
    assert "0 logged steps" in mnist.finding(Result([]))
    at_the_end = mnist.at_the_end(made_up(**AS_TOLD), PREDICTION)
    assert at_the_end == pytest.approx((0.2, 0.2, 0.2))
    epochs, at = mnist.over_trials(made_up(**AS_TOLD), DECODER, lambda row: row[UNCERTAINTY])
    assert epochs == [1, 2]
    assert at[-1] == pytest.approx((0.095, 0.1, 0.105))


def test_a_pair_of_classes_in_one_category_costs_what_verify_allows():
    labels = torch.arange(100) % 10
    apart = 1e4 * torch.eye(10)[labels]
    paired = 1e4 * torch.eye(10)[labels.clamp(min=1)]  # 0 and 1 share one
    one, two = (categorical.quantities((z, labels), (z, labels), None, 10) for z in (apart, paired))
    allowed = mnist.tolerances({}, [])
    for name in (UNCERTAINTY, DECODER, "h_z", "train_accuracy", "test_accuracy"):
        assert abs(two[name] - one[name]) == pytest.approx(allowed[name], abs=1e-9)
    assert "h_z_given_x" not in allowed


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", TINY, ids=["mnist", "cifar10"])
def test_all_changes_that_are_not_of_size_are_explained(module):
    size = {"train_images", "test_images", "seeds", "epochs", "width", "channels", "measure_every"}
    for chosen in (module.SMOKE, module.QUICK):
        changed = {
            field.name
            for field in fields(chosen)
            if getattr(chosen, field.name) != getattr(module.Config(), field.name)
        }
        assert changed - size <= set(module.DIFFERENCES)
    assert len(module.QUICK.seeds) >= 5
    name = "kirsch_fig3_permuted_mnist" if module is mnist else "kirsch_fig3_cifar10"
    assert experiments.load(name) is module


def test_the_network_is_the_papers():
    config = mnist.Config()
    hidden = (config.width, config.width)
    encoder, decoder = models.MLP(784, hidden, 100), models.MLP(100, hidden, 10)
    network = categorical.Network(encoder, decoder, config.num_categories)
    assert sum(p.numel() for p in network.encoder.parameters()) == 1_955_940
    assert network.table().shape == (100, 10)
