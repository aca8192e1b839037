"""Make a release: `make release VERSION=0.2.0`, or `python -m tools.release 0.2.0 --dry-run`.

One command: it dates the notes of CHANGELOG.md, writes the version everywhere, so that every Colab
link and every first cell names the tag, commits and tags, builds the wheel and the site from the
tag into dist/, and goes on to the next version under development. Nothing is pushed: it ends with
the commands that publish. With `--dry-run` all of it happens in a copy that is thrown away.
"""

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
STATED = re.compile(r'^version = "([^"]+)"', re.MULTILINE)
UNRELEASED = "## Unreleased\n"


class ReleaseError(RuntimeError):
    """Why there is no release."""


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def stated(root: Path) -> str:
    return STATED.search((root / "pyproject.toml").read_text("utf8"))[1]


def following(version: str) -> str:
    """What is worked on after a release: 0.3.0.dev0 after 0.2.0 and 0.2.1."""
    major, minor, _ = VERSION.fullmatch(version).groups()
    return f"{major}.{int(minor) + 1}.0.dev0"


def notes(text: str) -> str:
    """What CHANGELOG.md says of the coming release."""
    found = re.search(rf"^{UNRELEASED}(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def dated(text: str, version: str, day: str) -> str:
    """Give the notes of the coming release its version and day, and room for the next."""
    return text.replace(UNRELEASED, f"{UNRELEASED}\n## {version} ({day})\n", 1)


def check(root: Path, version: str) -> None:
    """Refuse what would make a wrong release, with all reasons at once."""
    problems = []
    if not VERSION.fullmatch(version):
        problems.append(f"a version is three numbers, such as 0.2.0, got {version!r}")
    elif numbers(version) < numbers(stated(root)):
        problems.append(f"{version} comes before {stated(root)}, which pyproject.toml states")
    if git(root, "status", "--porcelain", "--untracked-files=no"):
        problems.append("there are changes that are not committed")
    if git(root, "tag", "--list", f"v{version}"):
        problems.append(f"the tag v{version} exists")
    if not notes((root / "CHANGELOG.md").read_text("utf8")):
        problems.append('CHANGELOG.md says nothing under "Unreleased"')
    if problems:
        raise ReleaseError("No release: " + "; ".join(problems))


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in VERSION.match(version).groups())


def write_version(root: Path, version: str) -> None:
    """State a version in pyproject.toml and everything that follows from it, notebooks included."""
    path = root / "pyproject.toml"
    path.write_text(STATED.sub(f'version = "{version}"', path.read_text("utf8"), count=1), "utf8")
    for module in (["tools.address"], ["tools.book", "pairs"]):
        python(root, "-m", *module)


def python(root: Path, *arguments: str) -> None:
    """Run the Python of this environment on the checkout at `root`, and on its package."""
    command = [sys.executable, *arguments]
    paths = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env={**os.environ, **paths}, check=False)
    if done.returncode:
        raise ReleaseError(f"failed in {root}: python {' '.join(arguments)}")


def commit(root: Path, message: str) -> None:
    git(root, "add", "-u")
    git(root, "commit", "-q", "-m", message)


def build(root: Path, version: str, *, site: bool) -> list[Path]:
    """Build wheel and site into dist/; the wheel from a copy, so that no build folder is left."""
    dist = root / "dist"
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        git(root, "clone", "-q", "--no-hardlinks", "--branch", f"v{version}", str(root), str(copy))
        options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(dist), "."]
        python(copy, "-m", "pip", "wheel", "--disable-pip-version-check", *options)
    made = sorted(dist.glob(f"*-{version}-*.whl"))
    if site:
        python(root, "-m", "tools.book", "build")
        base = dist / f"ibtutor-{version}-site"
        made.append(Path(shutil.make_archive(str(base), "zip", root / "_build" / "html")))
    return made


def release(root: Path, version: str, *, site: bool = True) -> list[Path]:
    """Make the release in a checkout; return the files to publish."""
    check(root, version)
    log = root / "CHANGELOG.md"
    day = datetime.date.today().isoformat()
    log.write_text(dated(log.read_text("utf8"), version, day), "utf8")
    write_version(root, version)
    commit(root, f"Release {version}")
    git(root, "tag", "-a", f"v{version}", "-m", f"Release {version}")
    made = build(root, version, site=site)
    write_version(root, following(version))
    commit(root, f"Work on {following(version)}")
    return made


def rehearse(root: Path, version: str, *, site: bool = True) -> list[str]:
    """Make the release in a clone of what is committed, and throw it away; return what was made."""
    check(root, version)
    with tempfile.TemporaryDirectory(prefix="ibtutor-release-") as folder:
        copy = Path(folder) / "ibtutor"
        git(root, "clone", "-q", "--no-hardlinks", str(root), str(copy))
        for name in ("user.name", "user.email"):
            git(copy, "config", name, git(root, "config", name))
        if (root / "executed").is_dir():
            shutil.copytree(root / "executed", copy / "executed")
        return [path.name for path in release(copy, version, site=site)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="three numbers, such as 0.2.0")
    parser.add_argument("--dry-run", action="store_true", help="in a copy that is thrown away")
    parser.add_argument("--no-site", action="store_true", help="wheel only: no page is executed")
    given = parser.parse_args()
    try:
        if given.dry_run:
            names = rehearse(ROOT, given.version, site=not given.no_site)
            print(f"A release would make: tag v{given.version}, {', '.join(names)}")
            return 0
        made = release(ROOT, given.version, site=not given.no_site)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    files = " ".join(str(path.relative_to(ROOT)) for path in made)
    print(f"Made {files}. To publish:")
    print(f"  git push origin main v{given.version}")
    print(f"  gh release create v{given.version} {files} --notes-from-tag")
    return 0


if __name__ == "__main__":
    sys.exit(main())
