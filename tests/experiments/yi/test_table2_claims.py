import pytest
from scipy.stats import spearmanr

from ibtutor.experiments import Result
from ibtutor.experiments.yi import _table2_claims
from ibtutor.experiments.yi import table2_mnist as table2

CLAIMS = {claim.id: claim for claim in table2.CLAIMS}


def made_up(mil, ce, own_mil=(0.97,) * 3, own_ce=(0.97,) * 3, brier=(0.93,) * 3, others=0.93):
    """Result of a run that never was: accuracies of the MLP by seed."""
    arms = {("paper's rate", "mil"): mil, ("paper's rate", "ce"): ce}
    arms |= {("own rate", "mil"): own_mil, ("own rate", "ce"): own_ce}
    arms |= {("paper's rate", "brier"): brier}
    arms |= {("paper's rate", loss): (others,) * 3 for loss in ("lsr", "cp", "lc")}
    rows = [
        {
            "model": "mlp",
            "arm": arm,
            "loss": loss,
            "lr": 1e-3,
            "seed": seed,
            "accuracy": accuracy,
            "first_accuracy": accuracy / 2,
            "rank": -accuracy,
        }
        for (arm, loss), values in arms.items()
        for seed, accuracy in enumerate(values)
    ]
    measured = {"mlp": [1, 2, 3], "cnn": [1, 2, 3]}
    return Result(rows, {"full": {"mlp": True}, "measured_epochs": measured})


CE, MIL = (0.930, 0.931, 0.932), (0.950, 0.952, 0.951)


def test_the_table_has_mean_and_spread_and_says_where_there_is_one_seed():
    told = table2.table(made_up(MIL, CE, own_ce=(0.97,)))
    paper, own = told["MLP", "paper's rate"], told["MLP", "own rate"]
    assert paper["milLoss"] == "0.9510 ± 0.0010"
    assert paper["cross-entropy"] == "0.9310 ± 0.0010"
    assert own["cross-entropy"] == "0.9700 (one seed)"
    assert own["label smoothing"] == ""
    assert list(told.columns) == [("MLP", "paper's rate"), ("MLP", "own rate")]


def judged(name, result):
    return CLAIMS[name].verdict(result)


def test_the_gain_and_its_controls():
    found = judged("mlp_gain", made_up(MIL, CE))
    assert found["verdict"] == "reproduced"
    assert found["controls"] == {"own learning rates": "no", "Brier score": "yes"}
    found = judged("mlp_gain", made_up(CE, MIL, own_mil=MIL, own_ce=CE, brier=MIL))
    assert found["verdict"] == "not reproduced"
    assert found["controls"] == {"own learning rates": "yes", "Brier score": "no"}
    assert judged("mlp_gain", made_up((0.9, 0.95, 0.93), CE))["verdict"] == "cannot be told"
    assert judged("cnn_gain", made_up(MIL, CE))["verdict"] == "not run"
    assert judged("cnn_gain", made_up(MIL, CE))["survives_null_control"] == "not run"


def test_cells_without_columns():
    assert judged("mlp_cells", made_up(MIL, CE))["verdict"] == "reproduced"
    assert judged("mlp_cells", made_up(MIL, (0.94,) * 3, others=0.938))["verdict"] == "partly"
    low = made_up((0.91,) * 3, (0.91,) * 3, others=0.91)
    assert judged("mlp_cells", low)["verdict"] == "not reproduced"
    small = made_up(MIL, CE)
    small.summary["full"]["mlp"] = False
    assert judged("mlp_cells", small)["verdict"] == "not run"
    two = made_up(MIL[:2], CE)
    assert judged("mlp_cells", two)["verdict"] == "not run"  # a trial of milLoss is missing


@pytest.mark.parametrize(
    ("others", "answer"), [(0.93, "reproduced"), (0.99, "not reproduced"), (0.941, "cannot")]
)
def test_the_other_losses(others, answer):
    found = made_up(MIL, CE, others=others)
    assert judged("no_gain_elsewhere", found)["verdict"].startswith(answer)


def test_the_other_claims():
    found = made_up(MIL, CE)
    assert judged("slower", found)["verdict"] == "not reproduced"
    assert judged("slower", made_up(CE, MIL))["verdict"] == "reproduced"
    assert judged("information_and_error", found)["verdict"] == "reproduced"
    assert judged("learning_rate", found)["verdict"] == "reproduced"
    assert judged("learning_rate", made_up((0.99,) * 3, CE))["verdict"] == "not reproduced"
    assert judged("brier_score", made_up(MIL, CE, brier=MIL))["verdict"] == "reproduced"
    nothing = Result([], {})
    assert {judged(name, nothing)["verdict"] for name in CLAIMS} == {"not run"}
    assert table2.finding(nothing) == "Too few seeds to tell."


@pytest.mark.parametrize("seeds", [0, 1, 3])
def test_what_is_missing_of_a_planned_network_counts(seeds):
    """Of the CNN no run, one seed, all: claims on both networks rest on both."""
    found = made_up(CE, MIL)
    cnn = made_up(CE, MIL).rows
    found.rows += [row | {"model": "cnn"} for row in cnn if row["seed"] < seeds]
    found.summary["full"]["cnn"] = True
    word = "reproduced" if seeds == 3 else "partly"
    for name in ("no_gain_elsewhere", "slower", "information_and_error", "learning_rate"):
        assert judged(name, found)["verdict"] == word, name
        assert "missing" in CLAIMS[name].changed
    assert judged("cnn_cells", found)["verdict"] == ("not reproduced" if seeds == 3 else "not run")
    # Most comparisons are missing: label smoothing says little of three losses.
    found.rows = [row for row in found.rows if row["loss"] in ("ce", "mil", "lsr")]
    assert judged("no_gain_elsewhere", found)["verdict"] == "not run"


def test_a_missing_part_mends_no_failure():
    parts = ["not reproduced", "cannot be told", "not run"]
    assert _table2_claims.together(parts) == "not reproduced"
    assert _table2_claims.together(["not reproduced", "reproduced", "not run"]) == "partly"
    assert _table2_claims.together(["reproduced", "cannot be told"]) == "partly"
    assert _table2_claims.together([]) == "not run"


def test_a_correlation_is_judged_up_to_rounding_and_a_run_without_one_has_failed():
    rank = spearmanr([1, 2, 3, 4], [3, 4, 2, 1]).statistic
    assert rank == pytest.approx(-0.8)
    for ranks, answer in (
        ([rank, -1.0], "reproduced"),
        ([-0.79, -1.0], "partly"),
        ([-1.0, -1.0, None], "partly"),
        ([-1.0], "not run"),
    ):
        assert _table2_claims.tracks([{"rank": r} for r in ranks], [1, 2, 3]) == answer


def test_a_network_that_was_measured_once_has_no_course():
    """As the CNN of the quick profile: no correlation, and its first epoch is its last."""
    found = made_up(CE, MIL)
    found.summary["full"]["cnn"] = True
    found.rows += [row | {"model": "cnn", "rank": None} for row in made_up(CE, MIL).rows]
    assert judged("information_and_error", found)["verdict"] == "partly"
    found.summary["measured_epochs"]["cnn"] = [6]
    mlp_alone = [row for row in found.rows if row["model"] == "mlp"]
    failed = Result([row | {"rank": None} for row in mlp_alone], found.summary)
    assert judged("information_and_error", failed)["verdict"] == "not reproduced"
    cnn_alone = [row for row in found.rows if row["model"] == "cnn"]
    for name in ("information_and_error", "slower"):
        assert judged(name, Result(cnn_alone, found.summary))["verdict"] == "not run"
        assert judged(name, found)["verdict"] == "partly"


def test_the_finding_tells_of_the_cnn_from_the_first_seed_on():
    found = made_up(MIL, CE)
    assert "CNN" not in table2.finding(found)
    common = {"model": "cnn", "arm": "paper's rate"}
    found.rows += [common | {"loss": "mil", "seed": 0, "accuracy": 0.9812}]
    assert "CNN" not in table2.finding(found)
    found.rows += [common | {"loss": "ce", "seed": 0, "accuracy": 0.9810}]
    assert ", CNN +0.02 (one seed); own rates MLP " in table2.finding(found)
    for seed in (1, 2):
        found.rows += [common | {"loss": "mil", "seed": seed, "accuracy": 0.98 + seed / 1000}]
        found.rows += [common | {"loss": "ce", "seed": seed, "accuracy": 0.98}]
    assert ", CNN +0.11 (" in table2.finding(found)
    for row in found.rows[-6:]:
        found.rows += [row | {"arm": "own rate"}]
    assert table2.finding(found).count("CNN +0.11 (") == 2


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="arm must be"):
        table2.gap(made_up(MIL, CE), "mlp", "best rate")
