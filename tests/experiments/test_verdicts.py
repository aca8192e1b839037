"""Words of verdicts: never more than the record's scale allows, never against each other."""

import pytest

from ibtutor import experiments, record
from ibtutor.experiments import Claim, Result, control_word, verdict_table, verdict_word
from ibtutor.experiments._verdicts import Notes


def test_reproduced_needs_the_papers_scale():
    for profile in ("smoke", "quick"):
        for verdict in ("reproduced", "partly", "not reproduced"):
            word = verdict_word(verdict, "Kudo 2025, Figure 7", profile)
            assert word.endswith("at small scale")
    assert verdict_word("reproduced", "ours: no paper says it", "paper") == "holds"
    assert verdict_word("not run", "Kudo 2025, Figure 1", "paper") == "not run"


def test_a_share_counts_what_was_done_not_what_came_out_right():
    word = verdict_word("reproduced", "Yi, Table 2", "paper", "9 of 13 parts")
    assert word == "reproduced so far (9 of 13 parts done)"
    assert verdict_word("not run", "Yi, Table 2", "paper", "9 of 13 parts") == "not run"


@pytest.mark.parametrize(
    ("verdict", "controls", "word"),
    [
        ("reproduced", {"mixing": "yes"}, "remains (against 1 of 1: mixing)"),
        ("partly", {"mixing": "no"}, "the control does it too (mixing)"),
        ("reproduced", {}, "not asked"),
        ("reproduced", {"mixing": "not run"}, "not run"),
        ("not reproduced", {"mixing": "yes"}, "not asked"),
        ("cannot be told", {"mixing": "no"}, "not asked"),
        ("not run", {"mixing": "no"}, "not asked"),
    ],
)
def test_the_control_is_asked_of_effects_that_are_there(verdict, controls, word):
    assert control_word({"verdict": verdict, "controls": controls}) == word


def test_a_rule_that_is_younger_than_its_run_says_so():
    """A verdict of today that is not the one of the day of the run needs a word."""
    for experiment in experiments.ids():
        claims = {claim.id: claim for claim in experiments.load(experiment).CLAIMS}
        for profile in ("quick", "paper"):
            if not record.find(experiment, profile):
                continue
            found = experiments.recorded(experiment, profile)
            for name, judged in found.verdicts.items():
                stored = found.stored_verdicts.get(name, {}).get("verdict")
                assert judged["verdict"] == stored or claims[name].changed, (experiment, name)


def test_the_change_of_a_rule_stands_beside_the_claim():
    result = Result([], {})
    claim = Claim("x", "It holds.", "ours", lambda r: "cannot be told", changed="Younger & wiser.")
    assert claim.verdict(result)["changed"] == "Younger & wiser."
    notes = Notes()
    for _ in range(2):
        assert "<em>Note 1.</em>" in notes.words(claim.verdict(result))
    assert notes.below().count("Younger &amp; wiser.") == 1
    assert Notes().below() == ""


def test_a_table_has_every_claim_with_its_word():
    found = experiments.recorded("kudo_fig4_cifar10h")
    text = verdict_table(found)._repr_html_()
    assert text.count("<tr>") == len(found.verdicts) + 1
    assert text.count("ibtutor-chip") == len(found.verdicts)
    assert "The paper&#x27;s scale" in text
    assert repr(verdict_table(found)).startswith("The paper's scale.")
