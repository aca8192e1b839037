"""Predict first: a reader's guesses, kept beside the results and scored over a chapter.

A chapter asks before it tells. In a live notebook the reader types the guesses, and each one is
shown where its answer comes out; on the site, where nobody typed, the answer is a fold.
"""

import html
import math
from collections.abc import Mapping
from numbers import Real

COIN = 0.25  # Brier score of a chance of one half, whatever happens
Guess = float | str | Mapping[str, float] | None


class Predictions:
    """Guesses by name: a number, a chance between 0 and 1, a word, or chances of words.

    What a guess means is decided by its answer: for True and False it is the chance of True, for a
    number a number, for a word one of the words. `None` is no guess.

    >>> mine = Predictions(cost=0.05, same=0.8, ends=None)
    >>> mine.reveal("cost", 0.07, "nats")
    cost: you said 0.05, it is 0.07 nats, off by 29%
    >>> mine.reveal("same", True)
    same: you gave it a chance of 80%, and it is so (Brier 0.04)
    >>> mine.reveal("ends", "lower")
    ends: lower (no guess)
    >>> mine.score()
    2 of 3 answered. Numbers: off by 29%. Chances: Brier 0.04; saying 50% gets 0.25, less is better.
    """

    def __init__(self, **guesses: Guess):
        self.guesses = guesses
        self._off: dict[str, float] = {}
        self._brier: dict[str, float] = {}
        self._told: dict[str, bool] = {}

    def reveal(self, name: str, answer: float | bool | str, unit: str = "") -> "Line":
        """The answer, beside the guess of that name.

        Raises
        ------
        ValueError
            There is no prediction of that name, or the guess is not of the answer's kind.
        """
        if name not in self.guesses:
            raise ValueError(f"no prediction {name!r}; there are: {', '.join(self.guesses)}")
        guess = self.guesses[name]
        for kept in (self._off, self._brier):
            kept.pop(name, None)
        self._told[name] = guess is not None
        if guess is None:
            return Line(name, f"{_said(answer)} {unit}".strip(), answered=False)
        if isinstance(answer, str):
            return Line(name, self._word(name, guess, answer))
        number = _number(name, guess)
        if _is_bool(answer):
            return Line(name, self._chance(name, number, bool(answer)))
        return Line(name, self._distance(name, number, float(answer), unit))

    def _chance(self, name: str, guess: float, answer: bool) -> str:
        if not 0 <= guess <= 1:
            raise ValueError(f"{name}: expected a chance between 0 and 1, got {guess:g}")
        self._brier[name] = (guess - answer) ** 2
        so = "it is so" if answer else "it is not so"
        return f"you gave it a chance of {guess:.0%}, and {so} (Brier {self._brier[name]:.2g})"

    def _distance(self, name: str, guess: float, answer: float, unit: str) -> str:
        distance = abs(guess - answer)
        self._off[name] = distance / abs(answer) if answer else distance
        off = f"{self._off[name]:.0%}" if answer else f"{distance:.2g}"
        return f"you said {guess:g}, it is {f'{answer:.3g} {unit}'.strip()}, off by {off}"

    def _word(self, name: str, guess: Guess, answer: str) -> str:
        chances = guess if isinstance(guess, Mapping) else {guess: 1.0}
        if not all(isinstance(word, str) for word in chances):
            raise ValueError(f"{name}: expected a word like {answer!r}, got {guess!r}")
        total = sum(chances.values())
        if not (min(chances.values()) >= 0 and math.isclose(total, 1, abs_tol=1e-6)):
            raise ValueError(f"{name}: expected chances that sum to 1, got {dict(chances)}")
        words = {*chances, answer}
        # Halved, so that two words score as one chance does.
        self._brier[name] = sum((chances.get(w, 0.0) - (w == answer)) ** 2 for w in words) / 2
        said = ", ".join(f"{w} {p:.0%}" if p < 1 else w for w, p in chances.items())
        return f"you said {said}; it is {answer} (Brier {self._brier[name]:.2g})"

    def score(self) -> "Line":
        """How far the guesses were, over all answers that were told."""
        answered = sum(self._told.values())
        if not answered:
            return Line("", "No guess was typed: in a live notebook, type yours.", answered=False)
        said = [f"{answered} of {len(self.guesses)} answered"]
        if self._off:
            said.append(f"Numbers: off by {_mean(self._off):.0%}")
        if self._brier:
            mean = f"{_mean(self._brier):.2g}"
            said.append(f"Chances: Brier {mean}; saying 50% gets {COIN}, less is better")
        return Line("", ". ".join(said) + ".")


class Line:
    """One line; a fold where HTML is shown and nothing was guessed."""

    def __init__(self, name: str, text: str, *, answered: bool = True):
        self.name, self.text, self.answered = name, text, answered

    def _repr_html_(self) -> str:
        name, text = html.escape(self.name.replace("_", " ")), html.escape(self.text)
        if self.answered:
            name = f"<strong>{name}</strong>: " if name else ""
            return f'<p class="ibtutor-prediction">{name}{text}</p>'
        name = f"Your prediction: {name}" if name else "Your score"
        return (
            f'<details class="ibtutor-prediction"><summary>{name}</summary><p>{text}</p></details>'
        )

    def __repr__(self) -> str:
        if not self.name:
            return self.text
        return f"{self.name}: {self.text}" + ("" if self.answered else " (no guess)")


def _number(name: str, guess: Guess) -> float:
    if isinstance(guess, bool) or not isinstance(guess, Real) or not math.isfinite(guess):
        raise ValueError(f"{name}: expected a number, got {guess!r}")
    return float(guess)


def _said(answer: float | bool | str) -> str:
    if isinstance(answer, str):
        return answer
    if _is_bool(answer):
        return "it is so" if answer else "it is not so"
    return f"{float(answer):.3g}"


def _is_bool(answer: object) -> bool:
    return type(answer).__name__ in ("bool", "bool_")  # numpy's too, of either version


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
