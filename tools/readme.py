"""The README's table of papers says what the ledger shows: `make pairs` writes its last column."""

import re

from ibtutor import experiments
from tools import pages

README = pages.ROOT / "README.md"
SCALES = {"paper": "At the paper's scale", "quick": "At small scale"}
UNFINISHED = "Unfinished"


def shown(ledger: list[dict], paper: str) -> str:
    """Return what of a paper has a record, by scale: `At small scale: Figure 6.`, or `planned`."""
    rows: dict[str, list[dict]] = {}
    for row in ledger:
        if row["experiment"].startswith(f"{paper}_"):
            rows.setdefault(row["experiment"], []).append(row)
    figures = {said: [] for said in (*SCALES.values(), UNFINISHED)}
    for name, found in rows.items():
        profiles = {row["profile"] for row in found}
        # The largest scale counts; a record that its code refuses is none.
        said = next((said for scale, said in SCALES.items() if scale in profiles), None)
        if said or any(row["so_far"] for row in found):
            figures[said or UNFINISHED].append(experiments.load(name).FIGURE)
    parts = [f"{said}: {'; '.join(names)}." for said, names in figures.items() if names]
    return " ".join(parts) or "planned"


def updated(text: str, ledger: list[dict]) -> str:
    """Return the README with the last column of the papers' rows as the ledger has it."""
    for paper, name in experiments.papers().items():
        if paper == "ours":
            continue
        first = name.split()[0].strip(",")
        row = re.compile(rf"^(\| \w\. {first}\b[^|\n]*\|)[^|\n]*\|$", re.MULTILINE)
        text, found = row.subn(rf"\g<1> {shown(ledger, paper)} |", text)
        if found != 1:
            raise ValueError(f"README.md has {found} rows of {name}, not one")
    return text


def write() -> bool:
    """Bring the README up to date; return whether it changed."""
    text = README.read_text("utf8")
    fresh = updated(text, experiments.ledger())
    if fresh != text:
        README.write_text(fresh, "utf8")
    return fresh != text
