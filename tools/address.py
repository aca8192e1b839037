"""Write the repository's address, kept in pyproject.toml under [project.urls], everywhere else.

After a change there, or of the version: `python -m tools.address`. With `--check` nothing is
written and the exit code says whether all files agree.

The version decides what the pages open and install: that of a release, `0.2.0`, its tag; that of
the work between two releases, `0.3.0.dev0`, the branch main.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = {".md", ".ipynb", ".py", ".yml", ".yaml", ".cff", ".toml", ".js", ".css", ".html", ".bib"}
# What an address of this project looks like, whoever its owner is.
REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/ibtutor(?![\w-])")
DOCUMENTATION = re.compile(r"https://[\w.-]+\.github\.io/ibtutor(?![\w-])")
VERSION = r"\d+\.\d+\.\d+(?:\.dev\d+)?"
REF = rf"(?:main|v{VERSION})"
ARCHIVE = re.compile(rf"(/archive/refs/)(?:heads/main|tags/v{VERSION})(?=\.zip)")
COLAB = "https://colab.research.google.com/github/"
BRANCH = re.compile(rf"(^  branch: ){REF}$", re.MULTILINE)
STATED_VERSION = re.compile(rf'(^(?:__version__ = "|version: "?)){VERSION}(?="?$)', re.MULTILINE)


@dataclass(frozen=True)
class Address:
    repository: str
    documentation: str
    version: str

    @property
    def ref(self) -> str:
        """What the pages are of: the tag of a release, or the branch main."""
        return "main" if ".dev" in self.version else f"v{self.version}"

    @property
    def archive(self) -> str:
        """What pip installs."""
        kind = "heads" if self.ref == "main" else "tags"
        return f"{self.repository}/archive/refs/{kind}/{self.ref}.zip"

    @property
    def colab(self) -> str:
        """Where Colab opens the files of this version."""
        return f"{COLAB}{self.path}/blob/{self.ref}"

    @property
    def path(self) -> str:
        """Owner and name, as Colab and badges write them."""
        return self.repository.removeprefix("https://github.com/")


def wanted(root: Path = ROOT) -> Address:
    """Return what pyproject.toml says."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf8"))["project"]
    urls = project["urls"]
    return Address(urls["Repository"], urls["Documentation"], project["version"])


def written(root: Path = ROOT) -> Address:
    """Return what _config.yml still says: what the other files were written with."""
    config = yaml.safe_load((root / "_config.yml").read_text("utf8"))
    return Address(config["repository"]["url"], config["html"]["baseurl"], "")


def files(root: Path = ROOT) -> list[Path]:
    """Text files under version control, without those written by others; _config.yml comes last.

    It is what a later run takes the former address from, so a run that broke off can be repeated.
    """
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    own = ("tests/test_release.py", "tests/test_tools.py", "tools/address.py")  # made-up addresses
    skipped = ("book/_static/mathjax/", "tests/vendor/", *own)
    paths = [root / n for n in names if Path(n).suffix in TEXT and not n.startswith(skipped)]
    # pyproject.toml is the source; everything else follows it.
    paths = [p for p in paths if p.is_file() and p != root / "pyproject.toml"]
    return sorted(paths, key=lambda path: path.name == "_config.yml")


def rewrite(text: str, name: str, old: Address, new: Address) -> str:
    """Return a file's text with every address of the project replaced by the wanted one."""
    text = text.replace(old.documentation, new.documentation)
    text = text.replace(old.repository, new.repository)
    text = REPOSITORY.sub(new.repository, text)
    text = DOCUMENTATION.sub(new.documentation, text)
    archive = new.archive.partition("/archive/refs/")[2].removesuffix(".zip")
    text = ARCHIVE.sub(rf"\g<1>{archive}", text)
    # Whoever the owner is, and, in a fork that was renamed before, whatever its name is.
    theirs = rf"(?:[\w.-]+/ibtutor|{re.escape(old.path)})"
    text = re.sub(rf"{re.escape(COLAB)}{theirs}/blob/{REF}(?=/)", new.colab, text)
    if name == "_config.yml":
        text = BRANCH.sub(rf"\g<1>{new.ref}", text)
    if name in ("CITATION.cff", "__init__.py"):
        text = STATED_VERSION.sub(rf"\g<1>{new.version}", text)
    return text


def apply(root: Path = ROOT, *, check: bool = False) -> list[str]:
    """Rewrite all files (none with `check`) and return the names of those that differed."""
    old, new = written(root), wanted(root)
    changed = []
    for path in files(root):
        text = path.read_text("utf8")
        fresh = rewrite(text, path.name, old, new)
        if fresh != text:
            changed.append(path.relative_to(root).as_posix())
            if not check:
                path.write_text(fresh, "utf8")
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    check = parser.parse_args().check
    changed = apply(check=check)
    verb = "differs" if check else "rewritten"
    print("\n".join(f"{verb}: {name}" for name in changed) or "All addresses agree.")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
