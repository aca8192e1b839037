"""The ledger's page: every claim once, under whose name it belongs, with its scale."""

import pytest

from ibtutor import experiments, record
from ibtutor.experiments import Claim, _matrix
from ibtutor.experiments._verdicts import is_ours


def test_a_paper_has_one_row_an_experiment():
    text = experiments.matrix("kudo").text
    mine = [e for e in experiments.ids() if e.startswith("kudo_")]
    assert text.count("<tr>") == len(mine) + 1
    assert "no record yet" not in text
    assert experiments.matrix("nobody").text.startswith("<p>No experiment")


def test_our_questions_never_stand_under_a_papers_name():
    paper, ours = experiments.details("kudo").text, experiments.details("kudo", ours=True).text
    for claim in experiments.ledger():
        if claim["experiment"].startswith("kudo_"):
            here, there = (ours, paper) if is_ours(claim["source"]) else (paper, ours)
            assert claim["source"].replace("'", "&#x27;") in here, claim["claim"]
            assert not (is_ours(claim["source"]) and claim["source"] in there), claim["claim"]
    for experiment in experiments.ids():
        if experiment.startswith("ours_"):
            assert all(c.source.startswith("ours") for c in experiments.load(experiment).CLAIMS)


def test_the_summary_counts_records():
    text = experiments.summary().text
    full = [e for e in experiments.ids() if e.startswith("kudo_") and record.find(e, "paper")]
    assert f"{len(full)} recorded at the paper's scale" in text
    trained = {e: _matrix._trains(e) for e in experiments.ids()}
    assert trained["yi_fig5_batch_and_weight"]
    assert not trained["kudo_fig4_cifar10h"]
    assert "1 experiments" not in text
    assert "Bonilla 2025</strong>: 1 experiment, 1 at a small scale only." in text


def test_what_an_unfinished_sweep_says_stands_beside_its_claims():
    row = {"verdict": "not run", "source": "Yi", "profile": "none", "text": "t", "claim": "gain"}
    said = "holds at small scale so far (32 of 54 parts done)"
    assert said in _matrix._chip(row | {"so_far": said})
    assert "small" not in _matrix._chip(row | {"so_far": ""})


def test_a_table_folds():
    text = experiments.details("ours", ours=True, fold="in full").text
    assert text.startswith("<details><summary>in full</summary><table")


@pytest.mark.parametrize("experiment", experiments.ids())
def test_a_finding_has_a_number_and_ids_are_told_apart(experiment):
    assert experiments.ids().count(experiment) == 1, f"two experiments are called {experiment}"
    found = experiments.recorded(experiment)
    sentence = experiments.load(experiment).finding(found)
    assert any(c.isdigit() for c in sentence)
    assert sentence.endswith(".")
    assert len(sentence) < 160


def test_a_claim_needs_a_source():
    with pytest.raises(ValueError, match="nameless: a claim needs a source"):
        Claim("nameless", "Something holds.", " ", lambda result: "not run")


@pytest.mark.parametrize("experiment", experiments.ids())
def test_a_claim_is_the_papers_by_name_or_ours(experiment):
    paper = " ".join(experiments.load(experiment).SOURCE.split()[:2])  # "Kudo 2025,"
    for claim in experiments.load(experiment).CLAIMS:
        theirs = claim.source.startswith(paper.rstrip(","))
        assert theirs or is_ours(claim.source), f"{claim.id}: whose is it?"
