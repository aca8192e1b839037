"""Yi's Figures 12 and 13: rows of a small run, judges on made results with a known verdict."""

from dataclasses import replace

import numpy as np
import pytest

from ibtutor.experiments import Result
from ibtutor.experiments.yi import fig12_gaussian as fig12
from ibtutor.info import gaussian_separation

CLAIMS = {claim.id: claim for claim in fig12.CLAIMS}
TINY = replace(fig12.SMOKE, samples=20_000, seeds=(0, 1))


@pytest.fixture(scope="module")
def tiny():
    return fig12.run(TINY, progress=False)


def changed(result, **values):
    rows = [row | values for row in result.rows]
    return Result(rows, fig12.summarize(rows))


def test_rows_of_a_tiny_run(tiny):
    assert len(tiny.rows) == 3 * 2 * 2
    for row in tiny.rows:
        assert row["delta"] == pytest.approx(1 / row["variance"])
        assert abs(row["monte_carlo"] - row["exact"]) < 5 * row["standard_error"]
        assert row["corollary_2"] <= row["fano_through_upper"] + 1e-12
        assert row["fano_through_upper"] <= row["fano_through_exact"] + 1e-12
        assert row["fano_through_exact"] <= row["bayes"] <= row["error_at_most"]
        assert row["simulated_error"] == pytest.approx(row["bayes"], abs=0.02)
    first = tiny.summary["first"]
    assert first["variance"] == 1.0
    assert first["exact"] == pytest.approx(0.3368308203, abs=1e-9)
    assert "0.337" in fig12.finding(tiny)


def test_a_rerun_gives_the_same(tiny):
    assert fig12.run(TINY, progress=False).rows == tiny.rows


def test_verdicts_of_a_tiny_run(tiny):
    assert {claim.judge(tiny) for claim in fig12.CLAIMS} == {"reproduced"}


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("enclosed", {"exact": 2.0}),
        ("enclosed", {"bhattacharyya": 0.9}),
        ("fall", {"jensen": 1.0}),
        ("corollary", {"corollary_2": 0.49}),
        ("corollary", {"simulated_error": 0.0, "corollary_2": 0.05, "bayes": 0.1}),
        ("formula", {"monte_carlo": 0.6}),
        ("half", {"capacity": 0.001}),
    ],
)
def test_judges_can_say_no(tiny, claim, values):
    assert CLAIMS[claim].judge(changed(tiny, **values)) == "not reproduced"


@pytest.mark.parametrize("dim", [2, 5])
def test_a_random_model_has_the_separation(dim):
    mean, covariance = fig12.model(np.random.default_rng(3), 0.7, dim)
    assert gaussian_separation(mean, covariance) == pytest.approx(0.7, rel=1e-10)


def test_a_finished_part_is_not_run_again(tmp_path, monkeypatch, tiny):
    fig12.run(TINY, progress=False, resume=tmp_path)
    monkeypatch.setattr(fig12, "_row", None)
    assert fig12.run(TINY, progress=False, resume=tmp_path).rows == tiny.rows
