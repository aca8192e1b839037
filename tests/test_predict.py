"""Guesses beside results: scores against the formula, a fold where nobody guessed, bad guesses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibtutor.predict import COIN, Predictions

chances = st.floats(0, 1)


@given(chances, st.booleans())
def test_a_chance_scores_as_brier_says(chance, happened):
    mine = Predictions(it=chance)
    mine.reveal("it", happened)
    said = str(mine.score())
    assert f"Brier {(chance - happened) ** 2:.2g};" in said


@given(chances)
def test_two_words_score_as_one_chance_does(chance):
    words, one = Predictions(it={"up": chance, "down": 1 - chance}), Predictions(it=chance)
    words.reveal("it", "up")
    one.reveal("it", True)
    assert words._brier["it"] == pytest.approx(one._brier["it"])


def test_one_half_scores_a_quarter_whatever_happens():
    for happened in (True, False):
        mine = Predictions(it=0.5)
        mine.reveal("it", happened)
        assert mine._brier["it"] == COIN


def test_numbers_by_their_distance_and_a_mean_over_the_chapter():
    mine = Predictions(a=1.0, b=3.0, c=0.1)
    mine.reveal("a", 2.0, "nats")
    mine.reveal("b", np.float64(2.0))
    mine.reveal("c", 0.0)
    assert "off by 37%" in str(mine.score())  # of 50, 50 and, absolute, 0.1


def test_a_cell_that_runs_twice_counts_once():
    mine = Predictions(it=0.9)
    mine.reveal("it", True)
    mine.reveal("it", np.bool_(True))
    assert str(mine.score()).startswith("1 of 1 answered. Chances: Brier 0.01;")


def test_without_a_guess_the_answer_is_a_fold_and_with_one_it_stands_open():
    empty, full = Predictions(x=None), Predictions(x="<b>")
    assert empty.reveal("x", 0.07, "nats")._repr_html_().startswith("<details")
    assert "0.07 nats" in empty.reveal("x", 0.07, "nats")._repr_html_()
    assert empty.score()._repr_html_().startswith("<details")
    shown = full.reveal("x", "up")._repr_html_()
    assert shown.startswith("<p")
    assert "&lt;b&gt;" in shown


@pytest.mark.parametrize(
    ("guess", "answer", "message"),
    [
        (1.5, True, "it: expected a chance between 0 and 1, got 1.5"),
        (float("nan"), 0.3, "it: expected a number, got nan"),
        ("up", 0.3, "it: expected a number, got 'up'"),
        (True, 0.3, "it: expected a number, got True"),
        (0.3, "up", "it: expected a word like 'up', got 0.3"),
        ({"up": 0.3, "down": 0.3}, "up", "it: expected chances that sum to 1"),
    ],
)
def test_a_guess_of_another_kind_is_named(guess, answer, message):
    with pytest.raises(ValueError, match=message):
        Predictions(it=guess).reveal("it", answer)


def test_an_unknown_prediction_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no prediction 'c'; there are: a, b"):
        Predictions(a=1, b=None).reveal("c", 1)
