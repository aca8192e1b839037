"""Yi's Figures 3 and 11: rows of a small run, judges on made results with a known verdict."""

from dataclasses import replace

import numpy as np
import pytest

from ibtutor.experiments import Result
from ibtutor.experiments.yi import fig3_error_bound as fig3

CLAIMS = {claim.id: claim for claim in fig3.CLAIMS}
TINY = replace(fig3.SMOKE, num_classes=(2, 100), points=5, channels=3, samples=5000)


@pytest.fixture(scope="module")
def tiny():
    return fig3.run(TINY, progress=False)


def changed(result, what, **values):
    """The result with other numbers in the rows of one kind."""
    rows = [row | values if row["what"] == what else row for row in result.rows]
    return Result(rows, fig3.summarize(rows))


def test_rows_of_a_tiny_run(tiny):
    curves = [row for row in tiny.rows if row["what"] == "curve"]
    channels = [row for row in tiny.rows if row["what"] == "channel"]
    assert len(curves) == 3 * 2 * 5
    assert len(channels) == 2 * 3
    for row in channels:
        assert row["weak_fano"] <= row["milc_bits"] <= row["milc"] <= row["fano"]
        assert row["fano"] <= row["bayes"] + 1e-9
        assert row["simulated_best"] == pytest.approx(row["bayes"], abs=0.04)
        assert row["simulated_learned"] >= row["bayes"] - 0.04
    assert tiny.summary["milc"] == pytest.approx(0.9329141496, abs=1e-9)
    assert tiny.summary["fano"] == pytest.approx(0.99, abs=1e-7)
    assert "0.933" in fig3.finding(tiny)


def test_a_rerun_gives_the_same(tiny):
    assert fig3.run(TINY, progress=False).rows == tiny.rows


def test_verdicts_of_a_tiny_run(tiny):
    found = {name: claim.judge(tiny) for name, claim in CLAIMS.items()}
    assert found.pop("above_fano") == "not reproduced"
    assert set(found.values()) == {"reproduced"}


def test_judges_can_say_no(tiny):
    assert CLAIMS["falls"].judge(changed(tiny, "curve", milc=0.2)) == "not reproduced"
    assert CLAIMS["imbalanced"].judge(changed(tiny, "curve", milc=0.9)) == "not reproduced"
    assert CLAIMS["above_weak_fano"].judge(changed(tiny, "curve", milc=0.1, weak_fano=0.2)) == (
        "not reproduced"
    )
    assert CLAIMS["above_fano"].judge(changed(tiny, "curve", milc=0.3, fano=0.2)) == "reproduced"
    given_up = changed(tiny, "curve", milc=0.3, fano=0.2)
    first = next(row for row in given_up.rows if "milc" in row)
    first.update(milc=0.0, fano=0.1)  # where the bound says nothing it is below, too
    assert CLAIMS["above_fano"].judge(given_up) == "partly"
    other = changed(tiny, "curve", milc=0.6, milc_bits=0.6)
    assert CLAIMS["about_nine_tenths"].judge(other) == "not reproduced"
    below = changed(tiny, "channel", bayes=0.1, milc=0.2, simulated_best=0.2)
    assert CLAIMS["holds_for_channels"].judge(below) == "not reproduced"
    below = changed(tiny, "channel", bayes=0.3, milc=0.2, simulated_best=0.1)
    assert CLAIMS["holds_for_channels"].judge(below) == "not reproduced"


@pytest.mark.parametrize("name", ["balanced", "heavy", "geometric"])
def test_shares_are_distributions(name):
    for k in (2, 7, 1000):
        pi = fig3.shares(name, k)
        assert pi.shape == (k,)
        assert pi.sum() == pytest.approx(1)
        assert (pi >= 0).all()


def test_an_unknown_prior_is_refused():
    with pytest.raises(ValueError, match=r"prior must be balanced, .*, got 'flat'"):
        fig3.shares("flat", 3)


def test_simulation_counts_what_the_decision_misses():
    joint = np.array([[0.4, 0.1], [0.1, 0.4]])
    found = fig3.simulate(np.random.default_rng(0), joint, 100_000)
    assert found["simulated_best"] == pytest.approx(0.2, abs=0.01)


def test_a_finished_seed_is_not_run_again(tmp_path, monkeypatch, tiny):
    fig3.run(TINY, progress=False, resume=tmp_path)
    monkeypatch.setattr(fig3, "channel_row", None)
    assert fig3.run(TINY, progress=False, resume=tmp_path).rows == tiny.rows
