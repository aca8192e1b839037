"""Build the site from the executed copies: no page is executed a second time."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook

from tools import execute, notebooks, pages

BUILD = pages.ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
HTML = BUILD / "html"


class SiteError(RuntimeError):
    """The site could not be built from the executed pages."""


def with_outputs(path: Path) -> nbformat.NotebookNode:
    """Return the page as MyST-NB reads it, with the outputs of its executed copy."""
    page = read_myst_markdown_notebook(path.read_text("utf8"), path=path)
    executed = nbformat.read(execute.copy_of(path), as_version=4)
    here, there = pages.code_cells(page), pages.code_cells(executed)
    code = [notebooks.undress(cell.source).strip() for cell in there]
    if [cell.source.strip() for cell in here] != code:
        raise SiteError(f"{pages.name(path)}: the executed copy is of other code; run `make book`")
    for target, source in zip(here, there, strict=True):
        target.outputs = source.outputs
        target.execution_count = source.execution_count
    return page


def fill_cache(paths: list[Path]) -> None:
    """Put every page's outputs where MyST-NB looks. Cleared first: its keys know only the code."""
    shutil.rmtree(CACHE, ignore_errors=True)
    cache = get_cache(CACHE)
    cache.change_cache_limit(10_000)
    for path in paths:
        bundle = CacheBundleIn(with_outputs(path), str(path))
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def build(paths: list[Path]) -> None:
    """Run Jupyter Book with warnings as errors; refuse a page that it executed itself."""
    fill_cache(paths)
    script = Path(sys.executable).with_name("jupyter-book")
    command = [str(script), "build", str(pages.ROOT), "--all", "-W", "-n", "--keep-going"]
    process = subprocess.run(
        command,
        cwd=pages.ROOT,
        env=execute.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    (BUILD / "build.log").write_text(process.stdout, "utf8")
    if process.returncode:
        raise SiteError(process.stdout)
    if "Executing notebook" in process.stdout:
        raise SiteError("A page was executed twice: its outputs were not found in the cache")
    offer_notebooks(paths)


def offer_notebooks(paths: list[Path]) -> None:
    """Let the download button give the notebooks of the repository: folded, with a way back."""
    for path in paths:
        target = HTML / "_sources" / path.relative_to(pages.ROOT).with_suffix(".ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.with_suffix(".ipynb"), target)


def serve(port: int = 8000) -> None:
    """Serve the site on this machine only. The icon font needs http."""
    if not (HTML / "index.html").exists():
        raise SiteError("No site yet: run `make book` first")
    print(f"http://localhost:{port}/ (Ctrl-C ends it)", flush=True)
    command = ["http.server", str(port), "--bind", "127.0.0.1", "--directory", str(HTML)]
    subprocess.run([sys.executable, "-m", *command], check=False)
