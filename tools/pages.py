"""The pages of the book that have cells: where they are and how their two files compare.

A page is `book/<slug>.md`, the only file edited by hand, and `book/<slug>.ipynb`, written from it
for Colab, Jupyter and nbmake: by jupytext, then by `notebooks.dress`. `compare` says how a pair
differs; `write` writes the notebook.
"""

import difflib
import re
from pathlib import Path

import jupytext
import nbformat

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
CODE_CELL = re.compile(r"^```+\{code-cell\}", re.MULTILINE)


class PairError(RuntimeError):
    """A page and its notebook do not say the same."""


def name(path: Path) -> str:
    """Path below book/ without suffix: `information_plane`, `course/assignment_1`."""
    return path.relative_to(BOOK).with_suffix("").as_posix()


def sources() -> list[Path]:
    """Every Markdown page that has cells, in order of name."""
    # Neither those that others include, nor the copies that Jupyter keeps.
    pages = (path for path in BOOK.rglob("*.md") if not path.parent.name.startswith(("_", ".")))
    return sorted(path for path in pages if CODE_CELL.search(path.read_text("utf8")))


def read_markdown(path: Path) -> nbformat.NotebookNode:
    return jupytext.read(path, fmt="md:myst")


def as_notebook(path: Path) -> nbformat.NotebookNode:
    """Return what `book/<slug>.ipynb` is to be."""
    return notebooks.dress(read_markdown(path), name(path))


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compare(path: Path) -> str | None:
    """Say how the notebook beside `path` differs from it, or None: types, tags, folds, sources."""
    notebook_path = path.with_suffix(".ipynb")
    if not notebook_path.exists():
        return f"{name(path)}: {notebook_path.name} is missing"
    text = as_notebook(path).cells
    notebook = nbformat.read(notebook_path, as_version=4).cells
    for index, (want, have) in enumerate(zip(text, notebook, strict=False)):
        where = f"{name(path)}, cell {index}"
        if want.cell_type != have.cell_type:
            return f"{where}: {want.cell_type} in the .md, {have.cell_type} in the .ipynb"
        if want.metadata.get("tags", []) != have.metadata.get("tags", []):
            return (
                f"{where}: tags {want.metadata.get('tags', [])} in the .md, "
                f"{have.metadata.get('tags', [])} in the .ipynb"
            )
        if _fold(want) != _fold(have):
            return f"{where}: the .ipynb does not fold what the page hides"
        if want.source.strip() != have.source.strip():
            lines = difflib.unified_diff(
                have.source.splitlines(), want.source.splitlines(), ".ipynb", ".md", lineterm=""
            )
            return f"{where}:\n" + "\n".join(f"    {line}" for line in lines)
        if have.get("outputs") or have.get("execution_count"):
            return f"{where}: the .ipynb holds outputs; pairs are kept without"
    if len(text) != len(notebook):
        return f"{name(path)}: {len(text)} cells in the .md, {len(notebook)} in the .ipynb"
    return None


def _fold(cell: nbformat.NotebookNode) -> tuple:
    return cell.metadata.get("cellView"), cell.metadata.get("jupyter")


def orphans() -> list[Path]:
    """Notebooks in book/ that no Markdown page stands behind."""
    known = {path.with_suffix(".ipynb") for path in sources()}
    notebooks = (p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return sorted(path for path in notebooks if path not in known)


def check_pairs() -> None:
    """Raise PairError with every difference, unless all pages agree with their notebooks."""
    problems = [problem for path in sources() if (problem := compare(path))]
    problems += [f"{name(path)}: the .ipynb has no .md with cells" for path in orphans()]
    if problems:
        advice = "Edit the .md, then `make pairs` writes the .ipynb from it."
        raise PairError("\n".join(["Pages and notebooks differ:", *problems, advice]))


def write(path: Path) -> bool:
    """Write the notebook of a page where they differ; return whether it was written."""
    if compare(path) is None:
        return False
    target = path.with_suffix(".ipynb")
    fresh = as_notebook(path)
    if target.exists():
        _keep_ids(fresh, nbformat.read(target, as_version=4))
    for cell in code_cells(fresh):
        cell.outputs, cell.execution_count = [], None
    jupytext.write(fresh, target, fmt="ipynb")
    return True


def _keep_ids(fresh: nbformat.NotebookNode, old: nbformat.NotebookNode) -> None:
    """Give unchanged cells their former ids, so that a small edit makes a small diff."""
    former: dict[tuple[str, str], list[str]] = {}
    for cell in old.cells:
        former.setdefault((cell.cell_type, cell.source.strip()), []).append(cell.get("id", ""))
    for cell in fresh.cells:
        ids = former.get((cell.cell_type, cell.source.strip()))
        if ids and (kept := ids.pop(0)):
            cell["id"] = kept
