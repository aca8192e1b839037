"""Where the course is made from: a checkout of the book, its contents, its notebooks."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANY_MINUTES = re.compile(r"\b(\d+) minutes")
WORDS = {"twenty-five": 25}
OWN_PAGES = {"ledger", "errata", "notation", "references", "glossary", "explorer", "index"}


@dataclass(frozen=True)
class Chapter:
    """A chapter: its slug, the part of the contents it stands in, and its files."""

    slug: str
    part: str
    root: Path

    @property
    def path(self) -> Path:
        return self.root / "book" / f"{self.slug}.ipynb"

    @property
    def executed(self) -> Path:
        return self.root / "executed" / f"{self.slug}.ipynb"

    def notebook(self, *, executed: bool = False) -> Any:
        """The notebook, with outputs where `executed` is asked for and `make book` ran this one."""
        import nbformat

        path = self.executed if executed and self.is_executed() else self.path
        return nbformat.read(path, as_version=4)

    def is_executed(self) -> bool:
        """Whether `make book` executed the page as it stands: the same code, cell by cell."""
        import nbformat

        if not self.executed.exists():
            return False
        here, there = (
            [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
            for path in (self.path, self.executed)
        )
        return here == there

    def seconds(self) -> float | None:
        """How long `make book` took to execute the page; None where it did not."""
        try:
            return json.loads(self.executed.with_suffix(".json").read_text("utf8"))["seconds"]
        except (OSError, ValueError, KeyError):
            return None


def root(folder: Path | None = None) -> Path:
    """The checkout that holds the book: `folder`, or the one that this package runs from.

    Raises
    ------
    ValueError
        There is no `_toc.yml` with a `book/` beside it.
    """
    found = folder or Path(__file__).resolve().parents[2]
    if not ((found / "_toc.yml").is_file() and (found / "book").is_dir()):
        raise ValueError(
            f"expected a checkout of the book with _toc.yml and book/, got {found}; clone the "
            "repository and install it with `pip install -e .`, or name it with --book"
        )
    return found


def chapters(folder: Path) -> list[Chapter]:
    """The chapters that have exercises to give, in the order of the contents.

    ValueError if the notebook of one is missing.
    """
    import yaml

    toc = yaml.safe_load((folder / "_toc.yml").read_text("utf8"))
    found = []
    for part in toc.get("parts", []):
        for entry in part["chapters"]:
            file = Path(entry["file"])
            slug = file.relative_to("book").with_suffix("").as_posix()
            chapter = Chapter(slug, part["caption"], folder)
            page = chapter.path.with_suffix(".md")
            if slug in OWN_PAGES or "/" in slug or "{code-cell}" not in page.read_text("utf8"):
                continue
            if not chapter.path.exists():
                raise ValueError(f"{chapter.path} is missing: run `make pairs`")
            found.append(chapter)
    return found


def minutes(cells: list[Any]) -> int | None:
    """Minutes of reading that the first screens of a chapter state, exercises apart."""
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"][:8]
    for text in texts:
        for line in text.splitlines():
            if "You need" in line or "no other chapter is needed" in line:
                if number := ANY_MINUTES.search(line):
                    return int(number[1])
                for word, value in WORDS.items():
                    if word in line:
                        return value
    return None


def title(cells: list[Any]) -> str:
    """The first-level heading."""
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.partition("\n")[0].removeprefix("# ").strip()
    return ""


def slug(text: str) -> str:
    """A name for a file.

    >>> slug("Label smoothing is a bottleneck")
    'label_smoothing_is_a_bottleneck'
    """
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def empty_folder(out: Path) -> Path:
    """Make `out`, or take it if it is an empty folder.

    Raises
    ------
    ValueError
        It is a file, or a folder that holds something: nothing is overwritten.
    """
    if out.is_file():
        raise ValueError(f"expected a folder to write into, got the file {out}")
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"expected an empty or a new folder, got {out} with {len(list(out.iterdir()))} "
            "entries; nothing is overwritten: remove it or name another"
        )
    out.mkdir(parents=True, exist_ok=True)
    return out
