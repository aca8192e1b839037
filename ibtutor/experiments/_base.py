"""What every experiment module is made of; see `ibtutor.experiments` for the shape of a module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("table", "text", "read_by_eye", "schematic")
VERDICTS = ("reproduced", "partly", "not reproduced", "cannot be told", "not run")
SURVIVAL = ("yes", "no", "not run")


def network(model: str) -> str:
    """The name of a network in words.

    >>> network("resnet56"), network("fitting_cnn")
    ('ResNet-56', 'a small network')
    """
    return model.replace("resnet", "ResNet-") if model.startswith("resnet") else "a small network"


@dataclass(frozen=True)
class Reported:
    """A value that a paper states, with where it states it; never one that it does not give."""

    value: float
    tolerance: float
    source: str
    kind: str

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")


@dataclass
class Result:
    """What `run` returns: one row a seed and setting, a summary, arrays, fingerprints."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def frame(self):
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)


@dataclass(frozen=True)
class Claim:
    """One testable sentence of a paper and the functions that judge a result by it.

    `source` says where the paper makes the claim, or begins with "ours". `null_control` says for
    each control, by name, whether the effect is still there against it at the same I(T;Y).
    `changed` says what of the rule was written after a run had been seen.
    """

    id: str
    text: str
    source: str
    judge: Callable[[Result], str]
    null_control: Callable[[Result], Mapping[str, str]] | None = None
    changed: str = ""

    def __post_init__(self):
        if not self.source.strip():
            raise ValueError(f'{self.id}: a claim needs a source, or "ours" and why')

    def verdict(self, result: Result) -> dict[str, Any]:
        """The claim judged: text, source, verdict, and the null controls where there are any.

        An effect survives if it is there against every control that was run.
        """
        answer = {"text": self.text, "source": self.source, "verdict": self.judge(result)}
        if self.changed:
            answer["changed"] = self.changed
        if answer["verdict"] not in VERDICTS:
            raise ValueError(
                f"{self.id}: a verdict is one of {VERDICTS}, got {answer['verdict']!r}"
            )
        if self.null_control is not None:
            answers = dict(self.null_control(result))
            if unknown := [value for value in answers.values() if value not in SURVIVAL]:
                raise ValueError(
                    f"{self.id}: a null control answers one of {SURVIVAL}, got {unknown[0]!r}"
                )
            answer["controls"] = answers
            given = set(answers.values()) - {"not run"}
            answer["survives_null_control"] = (
                "not run" if not given else "no" if "no" in given else "yes"
            )
        return answer
