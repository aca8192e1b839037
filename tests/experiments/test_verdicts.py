"""Words of verdicts: never more than the record's scale allows, never against each other."""

import pytest

from ibtutor import experiments
from ibtutor.experiments import control_word, verdict_table, verdict_word


def test_reproduced_needs_the_papers_scale():
    for profile in ("smoke", "quick"):
        for verdict in ("reproduced", "partly", "not reproduced"):
            word = verdict_word(verdict, "kudo_fig7_cluttered_mnist", profile)
            assert word.endswith("at small scale")
    assert verdict_word("reproduced", "ours_optimal_smoothing", "paper") == "holds"
    assert verdict_word("not run", "kudo_fig1", "paper") == "not run"


@pytest.mark.parametrize(
    ("verdict", "survives", "word"),
    [
        ("reproduced", "yes", "remains"),
        ("partly", "no", "the control does it too"),
        ("reproduced", None, "not asked"),
        ("reproduced", "not run", "not run"),
        ("not reproduced", "yes", "not asked"),
        ("not run", "no", "not asked"),
    ],
)
def test_the_control_is_asked_of_effects_that_are_there(verdict, survives, word):
    judged = {"verdict": verdict} | (
        {} if survives is None else {"survives_null_control": survives}
    )
    assert control_word(judged) == word


def test_a_table_has_every_claim_with_its_word():
    found = experiments.recorded("kudo_fig4_cifar10h")
    text = verdict_table(found)._repr_html_()
    assert text.count("<tr>") == len(found.verdicts) + 1
    assert text.count("ibtutor-chip") == len(found.verdicts)
    assert "The paper&#x27;s scale" in text
    assert repr(verdict_table(found)).startswith("The paper's scale.")
