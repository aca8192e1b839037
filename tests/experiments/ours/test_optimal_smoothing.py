"""Optimal smoothing: the table of theory, the folds of practice, and judges that can fail."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ibtutor import info
from ibtutor.experiments import Result
from ibtutor.experiments.ours import _smoothing_claims as claims
from ibtutor.experiments.ours import _smoothing_practice as practice
from ibtutor.experiments.ours import _smoothing_theory as theory
from ibtutor.experiments.ours import optimal_smoothing as experiment

TINY = replace(
    experiment.SMOKE, rates=(1.0,), channel_restarts=0, bound_starts=20, width=4, epochs=1
)


@pytest.fixture(scope="module")
def result():
    return experiment.run(TINY, progress=False)


@pytest.fixture(scope="module")
def votes():
    rng = np.random.default_rng(0)
    means = rng.dirichlet(np.full(3, 0.2), 40)
    return torch.tensor(np.stack([rng.multinomial(20, m) for m in means])).double()


def test_order_of_methods_at_each_rate(result):
    for at in claims.table(result.rows).values():
        assert at["ls"] <= at["channel"] + 1e-9
        assert at["channel"] <= result.summary["ceiling"] + 1e-9
        assert max(at["channel"], at["geometric"], at["agreement"]) <= at["bottleneck"] + 1e-7
        assert at["bottleneck"] - 1e-9 <= at["bound"] <= at["bottleneck"] + 1e-3


def test_every_method_has_the_rate(result):
    rows = [row for row in result.rows if row["part"] == "theory"]
    assert {row["method"] for row in rows} >= {*theory.METHODS, "bound"}
    assert all(abs(row["i_xt"] - row["rate"]) < 1e-7 for row in rows)


def test_practice_rows_are_complete(result):
    rows = [row for row in result.rows if row["part"] == "practice"]
    assert len(rows) == len(TINY.seeds) * (2 + 4 * 4)
    assert {row["seed"] for row in rows} == set(TINY.seeds)
    for row in rows:
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["ece"] <= 1
        assert row["i_ty"] <= row["i_xt"] + 1e-9
        # a cross-entropy to people's votes is at least their mean entropy
        assert row["nll_people"] > 0.05


def test_theory_alone_needs_no_images(monkeypatch):
    def refuse(*_):
        raise AssertionError("the theory opened images")

    monkeypatch.setattr(practice, "run_fold", refuse)
    found = experiment.run(replace(TINY, network=None, rates=()), progress=False)
    assert not [row for row in found.rows if row["part"] == "practice"]
    verdicts = {claim.id: claim.verdict(found) for claim in experiment.CLAIMS}
    assert verdicts["optimal_costs_accuracy"]["verdict"] == "not run"
    assert verdicts["more_relevance_better_fit_to_people"]["survives_null_control"] == "not run"


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    config = replace(TINY, network=None, rates=())
    first = experiment.run(config, progress=False, resume=tmp_path)

    def refuse(*_):
        raise AssertionError("a finished rate was computed again")

    monkeypatch.setattr(theory, "rows_at_rate", refuse)
    assert experiment.run(config, progress=False, resume=tmp_path).rows == first.rows


def test_folds_cover_all_inputs_once():
    held = [practice.fold_indices(103, 5, seed)[1] for seed in range(5)]
    assert torch.equal(torch.cat(held).sort().values, torch.arange(103))
    inside, outside = practice.fold_indices(103, 5, 7)
    assert torch.equal(outside, held[2])
    assert not set(inside.tolist()) & set(outside.tolist())


def test_targets_have_one_rate_and_class_names(votes):
    w, p_x = votes / votes.sum(1, keepdim=True), torch.full((40,), 1 / 40).double()
    rate = 0.6 * info.information_plane(w).i_xt
    named = practice.soft_targets(w, p_x, rate, 0)
    for kind in practice.KINDS[1:]:
        assert math.isclose(info.information_plane(named[kind]).i_xt, rate, abs_tol=1e-6)
        joint = named[kind].T @ w
        assert joint.trace() >= joint[[1, 2, 0]].trace() - 1e-9
        # a network that gives the votes back, changed afterwards, gives the targets back
        after = practice.changed_afterwards(w, w, p_x, named[kind])
        assert (after - named[kind]).abs().mean() < 0.02


def test_decoding_by_hand():
    w = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    targets = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).double()
    found = practice.decode(torch.tensor([[1.0, 0.0]]).double(), targets, w, torch.ones(2) / 2)
    assert torch.allclose(found, torch.tensor([[0.9, 0.1]]).double())


def test_overlap_of_classes():
    w = torch.eye(3).double()
    p_x = torch.full((3,), 1 / 3).double()
    merged = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]).double()
    assert math.isclose(theory.shared_symbol(w, p_x, merged, (0, 1)), 1.0)
    assert theory.shared_symbol(w, p_x, merged, (0, 2)) == 0.0
    assert theory.decoding(w, p_x, merged)["decoded_classes"] == 2


def test_mixture_weights_by_hand():
    w = torch.tensor([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0.2, 0.8, 0], [0.5, 0, 0.5]]).double()
    found = theory.mixture_weights(w)
    # classes 0 and 1 have two weights; class 2 has no unanimous input
    assert found["pairs_that_forbid_channels"] == 1
    assert (found["fewest_mixture_weights"], found["most_mixture_weights"]) == (0, 2)


def test_local_slope_is_that_of_weak_smoothing(votes):
    w, p_x = votes / votes.sum(1, keepdim=True), torch.full((40,), 1 / 40).double()
    facts = theory.label_facts(w, p_x)
    for smoothing, name in ((None, "slope_uniform"), (w.mean(0), "slope_prior")):
        encoder = info.label_smoothing_encoder(w, 0.999, smoothing=smoothing)
        plane = info.information_plane(encoder, p_y_given_x=w)
        assert math.isclose(plane.i_ty / plane.i_xt, facts[name], abs_tol=5e-3)
    assert facts["slope_prior"] <= facts["lambda_2"] <= facts["contraction"] + 1e-9


def _result(share=0.03, certificate=1e-7, agreement=0.6, nll=0.0):
    gap = {"gap": 0.03, "gap_share": share, "certificate_gap": certificate}
    gap |= {"closed_by_agreement": agreement, "closed_by_channel": 0.95}
    rows = []
    for seed in range(5):
        for method in ("ls", "agreement", "bottleneck"):
            lead = nll if method != "ls" else 0.0
            for how in ("trained", "afterwards"):
                row = {"part": "practice", "method": method, "how": how, "reading": "decoded"}
                row |= {"seed": seed, "nll_people": 1 - lead * (how == "trained") + 0.001 * seed}
                rows.append(row)
    return Result(rows, {"gaps": [{"rate": 1.0} | gap, {"rate": 2.0} | gap]})


def _judge(name, found):
    return next(c for c in experiment.CLAIMS if c.id == name).verdict(found)


@pytest.mark.parametrize(
    ("claim", "good", "bad"),
    [
        ("smoothing_loses_little", {}, {"share": 0.2}),
        ("agreement_closes_half", {}, {"agreement": 0.1}),
        ("more_relevance_better_fit_to_people", {"nll": 0.1}, {"nll": -0.1}),
    ],
)
def test_judges_can_say_both(claim, good, bad):
    assert _judge(claim, _result(**good))["verdict"] == "reproduced"
    assert _judge(claim, _result(**bad))["verdict"] == "not reproduced"


def test_certificate_and_control_can_fail():
    assert _judge("certified", _result(certificate=1e-3))["verdict"] == "partly"
    assert _judge("certified", _result(certificate=-1e-3))["verdict"] == "not reproduced"
    control = "survives_null_control"
    name = "more_relevance_better_fit_to_people"
    assert _judge(name, _result(nll=0.1))[control] == "yes"
    assert _judge(name, _result(nll=-0.1))[control] == "no"


def test_paired_difference_is_the_mean_and_its_error():
    rows = _result(nll=0.1).rows
    mean, error = claims.paired_difference(
        rows, ("agreement", "trained", "decoded"), ("ls", "trained", "decoded"), "nll_people"
    )
    assert math.isclose(mean, -0.1)
    assert error < 1e-12


def test_unknown_data_and_network():
    with pytest.raises(ValueError, match="data must be"):
        experiment.load("mnist")
    with pytest.raises(ValueError, match="network must be"):
        practice.make_network(replace(TINY, network="vit"), 1)
