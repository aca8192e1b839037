"""A submission with our checks in their places: nothing that a student did to them counts."""

import copy
import re
from typing import Any

DEFINED = re.compile(r"^def (\w+)\(", re.MULTILINE)


def rebuilt(sent: Any, release: Any) -> tuple[Any, list[str]]:
    """The student's cells with our checks in their places, and what had to be mended.

    Our cells have our kind and marks again; other marks, which nbgrader might not read, are gone.
    """
    ours = {grade_id(cell): cell for cell in release.cells if grade_id(cell)}
    sent, found = _marked(sent, ours)
    theirs: dict[str, Any] = {}
    for cell in sent.cells:
        if grade_id(cell) in ours:
            theirs.setdefault(grade_id(cell), cell)
    notes = [f"found by their functions: {', '.join(found)}"] if found else []
    checks = [name for name, cell in ours.items() if _locked(cell)]
    if lost := [name for name in checks if name not in theirs]:
        notes.append(f"checks put back: {', '.join(lost)}")
    if edited := [n for n in checks if n in theirs and _differs(theirs[n], ours[n])]:
        notes.append(f"checks had been edited: {', '.join(edited)}")
    answers = [name for name, cell in ours.items() if not _locked(cell)]
    if missing := [name for name in answers if name not in theirs]:
        notes.append(f"missing: {', '.join(missing)}")
    marks = [grade_id(cell) for cell in sent.cells]
    if twice := [name for name in answers if marks.count(name) > 1]:
        notes.append(f"copied, the first one counts: {', '.join(twice)}")
    cells = [
        copy.deepcopy(c)
        for c in sent.cells
        if not (grade_id(c) in ours and _locked(ours[grade_id(c)]))
    ]
    cells = [c for i, c in enumerate(cells) if _is_first(cells, i)]
    for name, cell in ours.items():
        if name not in {grade_id(c) for c in cells}:
            cells.insert(_place(cells, name, list(ours)), copy.deepcopy(cell))
    new = copy.deepcopy(release)
    for index, cell in enumerate(cells):
        if grade_id(cell) in ours:
            own = ours[grade_id(cell)]
            cell.cell_type, cell.metadata = own.cell_type, copy.deepcopy(own.metadata)
        else:
            cell.metadata.pop("nbgrader", None)
        cell["id"] = f"cell-{index}"
        cell.source = cell.source.encode("utf8", "replace").decode("utf8")  # half an emoji
        for key in ("outputs", "execution_count"):
            cell.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    new.cells = cells
    return new, notes


def _marked(sent: Any, ours: dict[str, Any]) -> tuple[Any, list[str]]:
    """The submission with marks where a tool dropped them: an answer is known by its function."""
    sent, found = copy.deepcopy(sent), []
    there = {grade_id(cell) for cell in sent.cells}
    for name, cell in ours.items():
        defined = DEFINED.findall(cell.source)
        if name in there or cell.cell_type != "code" or _locked(cell) or not defined:
            continue
        for one in reversed(sent.cells):
            plain = one.cell_type == "code" and not grade_id(one)
            if plain and set(defined) <= {*DEFINED.findall(one.source)}:
                one.metadata = copy.deepcopy(cell.metadata)
                found.append(name)
                break
    return sent, found


def _is_first(cells: list[Any], index: int) -> bool:
    """Whether no earlier cell carries the same mark: a copied cell keeps its source only."""
    name = grade_id(cells[index])
    return not name or name not in {grade_id(cell) for cell in cells[:index]}


def _place(cells: list[Any], name: str, order: list[str]) -> int:
    """Behind the last cell that comes before `name` in the assignment."""
    before = set(order[: order.index(name)])
    return 1 + max((i for i, cell in enumerate(cells) if grade_id(cell) in before), default=-1)


def grade_id(cell: Any) -> str:
    """The name of a cell that nbgrader knows, or an empty string."""
    mark = cell.get("metadata", {}).get("nbgrader", {})
    return str(mark.get("grade_id", "")) if isinstance(mark, dict) else ""


def _locked(cell: Any) -> bool:
    return cell.metadata["nbgrader"]["locked"]


def _differs(one: Any, other: Any) -> bool:
    return one.source.strip() != other.source.strip()
