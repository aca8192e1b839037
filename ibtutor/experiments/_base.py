"""What every experiment module is made of; see `ibtutor.experiments` for the shape of a module."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = ("table", "text", "read_by_eye", "schematic")
VERDICTS = ("reproduced", "partly", "not reproduced", "not run")
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

    `null_control` says whether the effect is still there against outputs that were changed after
    training to the same I(T;Y) (`survives_null_control`).
    """

    id: str
    text: str
    source: str
    judge: Callable[[Result], str]
    null_control: Callable[[Result], str] | None = None

    def __post_init__(self):
        if not self.source.strip():
            raise ValueError(f'{self.id}: a claim needs a source, or "ours" and why')

    def verdict(self, result: Result) -> dict[str, str]:
        """The claim judged: text, source, verdict, and the null control where there is one."""
        answer = {"text": self.text, "source": self.source, "verdict": self.judge(result)}
        if answer["verdict"] not in VERDICTS:
            raise ValueError(
                f"{self.id}: a verdict is one of {VERDICTS}, got {answer['verdict']!r}"
            )
        if self.null_control is not None:
            answer["survives_null_control"] = self.null_control(result)
            if answer["survives_null_control"] not in SURVIVAL:
                raise ValueError(
                    f"{self.id}: survives_null_control is one of {SURVIVAL}, "
                    f"got {answer['survives_null_control']!r}"
                )
        return answer
