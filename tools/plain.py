"""Build the same pages by plain Sphinx at its newest: the way out of Jupyter Book 1.

`make plain`, after `make book`: Jupyter Book writes its configuration down as a conf.py, the
extensions of its own are dropped, and Sphinx builds from the outputs of the executed pages, in an
environment of its own below _build/. Warnings are errors.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tools import pages, website

PLAIN = website.BUILD / "plain"
DROPPED = ("jupyter_book", "sphinx_comments", "sphinx_jupyterbook_latex", "sphinx_thebe")
PATHS = ("bibtex_bibfiles", "html_extra_path", "html_static_path", "templates_path")
PACKAGES = [
    "sphinx",
    "myst-nb",
    "sphinx-book-theme",
    "sphinx-copybutton",
    "sphinx-design",
    "sphinx-external-toc",
    "sphinx-multitoc-numbering",
    "sphinx-togglebutton",
    "sphinxcontrib-bibtex",
    "linkify-it-py",
]


def configuration(generated: str) -> str:
    """Return a conf.py for `sphinx-build -c` from the one that Jupyter Book generates.

    Paths that Sphinx takes from the folder of conf.py become absolute.
    """
    return f"""{generated}
from pathlib import Path as _Path

_root, _here = _Path({str(pages.ROOT)!r}), globals()
extensions = [name for name in extensions if name not in {DROPPED!r}]
nb_execution_cache_path = str(_root / nb_execution_cache_path)
for _name in {PATHS!r}:
    _here[_name] = [str(_root / path) for path in _here.get(_name, [])]
for _name in ("html_logo", "html_favicon"):
    _here[_name] = str(_root / _here[_name]) if _here.get(_name) else ""
"""


def generate() -> str:
    """Let Jupyter Book write its conf.py, in a folder that is not the repository's root."""
    folder = PLAIN / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(pages.ROOT / name, folder / name)
    script = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([str(script), "config", "sphinx", str(folder)], check=True)
    return (folder / "conf.py").read_text("utf8")


def environment() -> Path:
    """Make a fresh environment with the newest versions; return its Python."""
    folder = PLAIN / "venv"
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", *PACKAGES], check=True)
    versions = subprocess.run([*pip, "freeze"], text=True, capture_output=True, check=True).stdout
    (PLAIN / "versions.log").write_text(versions, "utf8")
    ours = [line for line in versions.splitlines() if name_of(line) in PACKAGES]
    print("Newest versions:", ", ".join(ours))
    return python


def name_of(line: str) -> str:
    """Name of a package in a line of `pip freeze`, written as PACKAGES does."""
    return line.split("==")[0].lower().replace("_", "-")


def build(python: Path) -> None:
    """Run Sphinx; refuse warnings, and a page that it executed itself."""
    (PLAIN / "conf.py").write_text(configuration(generate()), "utf8")
    command = [python, "-m", "sphinx", "-b", "html", "-E", "-n", "-W", "--keep-going"]
    command += ["-c", PLAIN, "-d", PLAIN / "doctrees", pages.ROOT, PLAIN / "html"]
    process = subprocess.run(
        [str(part) for part in command],
        env=os.environ | {"PYTHONPATH": str(pages.ROOT / "tools" / "sphinx_ext")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    (PLAIN / "build.log").write_text(process.stdout, "utf8")
    if process.returncode:
        raise website.SiteError(process.stdout)
    if "Executing notebook" in process.stdout:
        raise website.SiteError("A page was executed: its outputs were not found in the cache")


def main() -> int:
    try:
        website.fill_cache(pages.sources())
        build(environment())
    except website.SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Built {(PLAIN / 'html').relative_to(pages.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
