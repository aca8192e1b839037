"""The ledger as a page shows it: a row an experiment, its claims as chips, details folded."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ibtutor import record
from ibtutor.experiments._ledger import rows_of
from ibtutor.experiments._registry import ids, load, papers
from ibtutor.experiments._run import begun, recorded
from ibtutor.experiments._verdicts import Notes, chip, control_word, is_ours


@dataclass(frozen=True)
class Html:
    """HTML for a cell of the ledger."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def summary() -> Html:
    """What became of the papers' experiments, in plain words, counted from the records."""
    sentences = []
    for paper, name in papers().items():
        mine = [experiment for experiment in ids() if experiment.startswith(f"{paper}_")]
        if paper == "ours" or not mine:
            continue
        full = [e for e in mine if record.find(e, "paper")]
        small = [e for e in mine if e not in full and record.find(e, "quick")]
        trained = sum(_trains(e) for e in full)
        some = [share for e in mine if e not in full if (share := begun(e))]
        parts = [f"{len(full)} recorded at the paper's scale" if full else ""]
        parts[0] += f" ({trained} of them with trained networks)" if trained else ""
        parts += [f"{len(small)} at a small scale only"] if small else []
        parts += [f"{len(some)} begun at the paper's scale"] if some else []
        count = "1 experiment" if len(mine) == 1 else f"{len(mine)} experiments"
        told = ", ".join(part for part in (count, *parts) if part)
        sentences.append(f"<strong>{html.escape(name)}</strong>: {told}.")
    return Html("<p>" + " ".join(sentences) + "</p>")


def _trains(experiment: str) -> bool:
    """Whether networks are trained: only then has the config epochs."""
    return hasattr(load(experiment).Config(), "epochs")


def matrix(paper: str) -> Html:
    """One row an experiment of a paper: what it says, what we saw, the scale, its own claims."""
    says = "the question" if paper == "ours" else "the paper says"
    heads = ("figure", says, "we saw", "claims", "null control")
    rows = [_row(experiment) for experiment in ids() if experiment.startswith(f"{paper}_")]
    return _table(heads, rows, "No experiment of this paper is in the package yet.")


def _row(experiment: str) -> tuple[str, ...]:
    module, claims = load(experiment), _claims(experiment, ours=experiment.startswith("ours"))
    link = f'<a href="{module.CHAPTER}.html">{html.escape(module.FIGURE)}</a>'
    chips = "".join(f"<div>{_chip(claim)}</div>" for claim in claims)
    asked = [
        word.partition(" (")[0] for claim in claims if (word := control_word(claim)) != "not asked"
    ]
    control = "; ".join(f"{word} ({asked.count(word)})" for word in dict.fromkeys(asked))
    profile = next((c["profile"] for c in claims if c["profile"] != "none"), None)
    if profile is None:
        saw = "no record yet"
    else:
        found = recorded(experiment, profile)
        stale = " <em>(stale)</em>" if record.read_drift(experiment, profile) else ""
        saw = (
            f"{html.escape(module.finding(found))} <small>{html.escape(found.scale)}</small>{stale}"
        )
    if (share := begun(experiment)) and profile != "paper":
        saw += f" <small>At the paper's scale so far: {html.escape(share)}.</small>"
    return link, html.escape(module.SAYS), saw, chips, control or "not asked"


def _chip(claim: dict[str, Any]) -> str:
    label = chip(claim["verdict"], claim["source"], claim["profile"])
    name = f'<span title="{html.escape(claim["text"])}">{html.escape(_name(claim))}: {label}</span>'
    return name + _so_far(claim)


def _name(claim: dict[str, Any]) -> str:
    return claim["claim"].replace("_", " ")


def details(paper: str, *, ours: bool = False, fold: str | None = None) -> Html:
    """Every claim in full: of the paper, or with `ours` our questions about its experiments.

    `fold` is the line under which the table is folded.
    """
    rows, notes = [], Notes()
    for experiment in ids():
        if not experiment.startswith(f"{paper}_"):
            continue
        module = load(experiment)
        for claim in _claims(experiment, ours=ours):
            scale = (
                "" if claim["profile"] == "none" else recorded(experiment, claim["profile"]).scale
            )
            rows.append(
                (
                    html.escape(module.FIGURE),
                    notes.words(claim),
                    chip(claim["verdict"], claim["source"], claim["profile"]),
                    html.escape(scale) + _so_far(claim),
                    control_word(claim),
                )
            )
    heads = ("figure", "claim (source)", "verdict", "scale", "null control")
    table = _table(heads, rows, "Nothing here yet.").text + notes.below()
    if fold is None:
        return Html(table)
    return Html(f"<details><summary>{html.escape(fold)}</summary>{table}</details>")


def _so_far(claim: dict[str, Any]) -> str:
    said = claim["so_far"]
    if said in ("", "not run"):
        return ""
    return f"<br><small>{html.escape(said)}</small>"


def _claims(experiment: str, *, ours: bool) -> list[dict[str, Any]]:
    return [claim for claim in rows_of(experiment) if is_ours(claim["source"]) == ours]


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]], empty: str) -> Html:
    """Cells carry the name of their column, for a narrow screen, where rows stack."""
    heads, rows = list(heads), list(rows)
    if not rows:
        return Html(f"<p>{empty}</p>")
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    body = ""
    for row in rows:
        cells = "".join(
            f"<td data-head='{name}'>{cell}</td>" for name, cell in zip(heads, row, strict=True)
        )
        body += f"<tr>{cells}</tr>"
    head, body = f"<thead><tr>{head}</tr></thead>", f"<tbody>{body}</tbody>"
    return Html(f"<table class='ibtutor-verdicts'>{head}{body}</table>")
