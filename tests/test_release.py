"""A release, rehearsed in copies; and a fork under another name, built."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tools import address, execute, pages, release, website

FORK = ("https://github.com/somebody/smooth-course", "https://somebody.example.org/courses/smooth")
TRACES = re.compile(r"ibtutor\.github\.io|github\.com/ibtutor|github/ibtutor/")
TEXT = {".html", ".ipynb", ".js", ".md", ".xml", ".json", ".txt", ".css", ".svg", ".inv"}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture
def checkout(tmp_path):
    """What stands in this checkout, committed or not, as the only commit of another one."""
    target = tmp_path / "checkout"
    names = run("git", "-C", str(pages.ROOT), "ls-files", "-co", "--exclude-standard").split("\n")
    for name in filter(None, names):
        if (pages.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pages.ROOT / name, target / name)
    for command in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "A reader"],
        ["config", "user.email", "reader@example.org"],
        ["add", "-A"],
        ["commit", "-q", "-m", "All of it"],
    ):
        run("git", "-C", str(target), *command)
    return target


def test_a_release_tags_opens_its_tag_and_makes_the_wheel(checkout):
    (wheel,) = release.release(checkout, "7.8.9", site=False)
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = [name for name in file.namelist() if name.endswith("/METADATA")]
        assert "\nVersion: 7.8.9\n" in file.read(metadata).decode()
        assert '__version__ = "7.8.9"' in file.read("ibtutor/__init__.py").decode()

    def show(ref, name):
        return release.git(checkout, "show", f"{ref}:{name}")

    notebook = show("v7.8.9", "book/sweeping_the_curve.ipynb")
    assert "/blob/v7.8.9/book/sweeping_the_curve.ipynb" in notebook
    assert "/archive/refs/tags/v7.8.9.zip" in notebook
    assert "  branch: v7.8.9" in show("v7.8.9", "_config.yml")
    assert re.search(r"^## 7\.8\.9 \(\d{4}-\d\d-\d\d\)$", show("v7.8.9", "CHANGELOG.md"), re.M)
    # Work goes on under the next version, on main.
    assert release.stated(checkout) == "7.9.0.dev0"
    assert "/archive/refs/heads/main.zip" in show("main", "book/sweeping_the_curve.ipynb")
    assert "## Unreleased\n\n## 7.8.9" in show("main", "CHANGELOG.md")
    assert release.git(checkout, "status", "--porcelain") == ""
    with pytest.raises(release.ReleaseError, match=r"7\.8\.9 comes before .*tag v7\.8\.9 exists"):
        release.check(checkout, "7.8.9")


def test_a_rehearsal_is_a_release_elsewhere(checkout, monkeypatch):
    def made(root, version, *, site):
        assert root != checkout
        assert release.git(root, "log", "-1", "--format=%s") == "All of it"
        return [root / "dist" / f"ibtutor-{version}.whl"]

    monkeypatch.setattr(release, "release", made)
    assert release.rehearse(checkout, "7.8.9", site=False) == ["ibtutor-7.8.9.whl"]
    assert release.git(checkout, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("version", "change", "said"),
    [
        ("7.8", None, "three numbers, such as 0.2.0, got '7.8'"),
        ("v7.8.9", None, "three numbers"),
        ("0.0.1", None, "0.0.1 comes before"),
        ("7.8.9", ("README.md", "more"), "not committed"),
        ("7.8.9", ("CHANGELOG.md", "# Changelog\n"), 'says nothing under "Unreleased"'),
    ],
)
def test_a_wrong_release_is_refused(checkout, version, change, said):
    if change:
        name, text = change
        (checkout / name).write_text(text)
    with pytest.raises(release.ReleaseError, match=said):
        release.check(checkout, version)


def test_the_changelog_has_notes_for_the_next_release():
    assert release.notes((pages.ROOT / "CHANGELOG.md").read_text("utf8"))


def rename(root, repository, documentation):
    """The one edit of a fork, and the command that follows it."""
    path = root / "pyproject.toml"
    text = re.sub(r'(?m)^Repository = ".*"', f'Repository = "{repository}"', path.read_text())
    path.write_text(
        re.sub(r'(?m)^Documentation = ".*"', f'Documentation = "{documentation}"', text)
    )
    address.apply(root)


def traces(folder):
    found = (path for path in folder.rglob("*") if path.suffix in TEXT and path.is_file())
    own = ("tests/test_release.py", "tests/test_tools.py", "tools/address.py")
    return [
        path.relative_to(folder).as_posix()
        for path in found
        if TRACES.search(path.read_text("utf8", errors="ignore"))
        and not path.as_posix().endswith(own)
        and not {".git", "vendor", "executed"} & set(path.parts)
    ]


def test_a_fork_renamed_twice_leaves_no_trace(checkout):
    rename(checkout, "https://github.com/first/fork", "https://first.github.io/fork")
    rename(checkout, *FORK)
    assert traces(checkout) == []
    grep = ["git", "-C", str(checkout), "grep", "-lE", r"first/fork|first\.github"]
    grep += ["--", ":!tests/test_release.py"]
    assert subprocess.run(grep, capture_output=True, text=True, check=False).stdout == ""


def test_a_fork_is_built_under_its_own_name_without_a_trace_of_the_old_one(checkout):
    try:
        for path in pages.sources():
            website.with_outputs(path)
    except (FileNotFoundError, website.SiteError):
        pytest.skip("the pages as they are now were not executed: run `make book` first")
    old = address.written(checkout)
    rename(checkout, *FORK)
    new = address.wanted(checkout)
    for copy in execute.EXECUTED.rglob("*.ipynb"):
        target = checkout / "executed" / copy.relative_to(execute.EXECUTED)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = address.rewrite(copy.read_text("utf8"), copy.name, old, new)
        target.write_text(text, "utf8")
    code = "from tools import pages, website; website.build(pages.sources())"
    paths = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    run(sys.executable, "-c", code, cwd=checkout, env={**os.environ, **paths})
    html = checkout / "_build" / "html"
    assert traces(html) == []
    page = (html / "book" / "sweeping_the_curve.html").read_text("utf8")
    colab = "https://colab.research.google.com/github/somebody/smooth-course/blob/main/book/"
    assert f"{colab}sweeping_the_curve.ipynb" in page
    assert f'<link rel="canonical" href="{FORK[1]}/book/sweeping_the_curve.html"' in page
    assert FORK[1] in (html / "sitemap.xml").read_text("utf8")
