"""Verdicts in words that cannot be misread, and as a table for a page.

A judge says reproduced, partly, not reproduced or not run. What a reader sees depends on the
record: *reproduced* needs the paper's scale, a smaller record *holds* or *fails at small scale*.
"""

import html
from collections.abc import Mapping
from typing import Any

from ibtutor import record
from ibtutor.experiments._base import SURVIVAL

_UNCLEAR = {"cannot be told": "cannot be told"}
_AT_FULL = _UNCLEAR | {name: name for name in ("reproduced", "partly", "not reproduced")}
_OURS = _UNCLEAR | {"reproduced": "holds", "partly": "partly", "not reproduced": "fails"}
_SMALL = _UNCLEAR | {
    "reproduced": "holds at small scale",
    "partly": "partly at small scale",
    "not reproduced": "fails at small scale",
}
# One look for each kind of answer; the word stands beside the color.
_KIND = {"reproduced": "good", "partly": "mixed", "not reproduced": "bad"}


def is_ours(source: str) -> bool:
    """Whether a claim with this source is a question of ours, and no paper's.

    >>> is_ours("ours: the paper shows the training set only")
    True
    """
    return source.startswith("ours")


def verdict_word(verdict: str, source: str, profile: str, share: str = "") -> str:
    """The verdict on a claim in words; of an unfinished record with the share that was run.

    >>> verdict_word("reproduced", "Kudo 2025, Figure 1", "paper")
    'reproduced'
    >>> verdict_word("reproduced", "ours: no paper says so", "paper")
    'holds'
    >>> verdict_word("not reproduced", "Kudo 2025, Figure 6", "quick")
    'fails at small scale'
    >>> verdict_word("reproduced", "Kudo 2025, Figure 3", "paper", "1 of 3 seeds")
    'reproduced so far (1 of 3 seeds done)'
    """
    full = _OURS if is_ours(source) else _AT_FULL
    word = (full if profile == "paper" else _SMALL).get(verdict, "not run")
    return f"{word} so far ({share} done)" if share and word != "not run" else word


def control_word(judged: Mapping[str, Any]) -> str:
    """What the null controls say of an effect: of one that is not there they are not asked.

    >>> control_word({"verdict": "not reproduced", "controls": {"mixing": "no"}})
    'not asked'
    >>> control_word({"verdict": "partly", "controls": {"mixing": "yes", "decay": "not run"}})
    'remains (against 1 of 2: mixing)'
    >>> control_word({"verdict": "reproduced", "controls": {"mixing": "no", "decay": "yes"}})
    'the control does it too (mixing)'
    """
    controls = judged.get("controls") or {}
    if judged["verdict"] not in ("reproduced", "partly") or not controls:
        return "not asked"
    against = {answer: [n for n, a in controls.items() if a == answer] for answer in SURVIVAL}
    if against["no"]:
        return f"the control does it too ({', '.join(against['no'])})"
    if not against["yes"]:
        return "not run"
    count = f"{len(against['yes'])} of {len(controls)}"
    return f"remains (against {count}: {', '.join(against['yes'])})"


def chip(verdict: str, source: str, profile: str, share: str = "") -> str:
    """The word as a colored label, HTML; without color where only a share was run."""
    word = html.escape(verdict_word(verdict, source, profile, share))
    kind = "none" if share else _KIND.get(verdict, "none")
    return f'<span class="ibtutor-chip ibtutor-{kind}">{word}</span>'


class Notes:
    """Numbered notes under a table: what of a rule is younger than a run, each text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def words(self, judged: Mapping[str, Any]) -> str:
        """A claim with its source and the mark of its note, HTML."""
        mark = ""
        if text := judged.get("changed"):
            if text not in self.texts:
                self.texts.append(text)
            mark = f" <em>Note {self.texts.index(text) + 1}.</em>"
        text, source = html.escape(judged["text"]), html.escape(judged["source"])
        return f"{text} <small>({source}){mark}</small>"

    def below(self) -> str:
        """The notes, HTML: to be asked for after the rows."""
        lines = [f"<em>Note {i}.</em> {html.escape(t)}" for i, t in enumerate(self.texts, 1)]
        return f"<p><small>{'<br>'.join(lines)}</small></p>" if lines else ""


class VerdictTable:
    """The claims of one record with their verdicts, as HTML; rows stack on a narrow screen."""

    def __init__(self, found: record.Record):
        self.found = found
        self.stale = bool(record.read_drift(found.experiment, found.profile))

    def _repr_html_(self) -> str:
        heads = ("claim", "verdict", "null control")
        row = "".join(f"<th scope='col'>{head}</th>" for head in heads)
        notes = Notes()
        body = "".join(self._row(judged, notes) for judged in self.found.verdicts.values())
        note = " A rerun on another day did not confirm every number: stale." if self.stale else ""
        return (
            f"<table class='ibtutor-verdicts'><caption>{html.escape(self.found.scale)}.{note}"
            f"</caption><thead><tr>{row}</tr></thead><tbody>{body}</tbody></table>{notes.below()}"
        )

    def _row(self, judged: Mapping[str, Any], notes: Notes) -> str:
        about = judged["source"], self.found.profile, self.found.share
        label = chip(judged["verdict"], *about)
        cells = (notes.words(judged), label, control_word(judged))
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

    def __repr__(self) -> str:
        lines = [f"{self.found.scale}."]
        for name, judged in self.found.verdicts.items():
            about = judged["source"], self.found.profile, self.found.share
            word = verdict_word(judged["verdict"], *about)
            lines.append(f"{name}: {word}; null control: {control_word(judged)}")
        return "\n".join(lines)


def verdict_table(found: record.Record) -> VerdictTable:
    """The verdicts of a record for a page: the value of a chapter's cell."""
    return VerdictTable(found)
