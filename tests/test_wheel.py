"""The wheel: built, installed beside nothing of the checkout, and enough for a chapter alone."""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tools import execute, pages

pytest.importorskip("setuptools", reason="setuptools builds the wheel: pip install -e '.[test]'")

FOLDER = pages.ROOT / "ibtutor" / "records"
RECORDS = sorted([*FOLDER.glob("*.json"), *FOLDER.glob("*.npz")])


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that no build folder is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(pages.ROOT / name, source)
    ignore = shutil.ignore_patterns("__pycache__", ".partial")
    shutil.copytree(pages.ROOT / "ibtutor", source / "ibtutor", ignore=ignore)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(source)]
    run(sys.executable, "-m", "pip", "wheel", *options, str(source))
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with the wheel, which borrows torch and the rest from this one."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    scheme = {"base": str(folder), "platbase": str(folder)}
    library = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    # A path in a .pth file does not have its own .pth files read: no editable install gets in.
    (library / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n", "utf8")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "-q", str(wheel))
    return python


def bare_environment(home):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IBTUTOR_", "PYTHON", "XDG_"))}
    return kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1"}


def test_wheel_holds_the_records_and_the_type_marker(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"ibtutor/records/{path.name}" for path in RECORDS} <= names
    assert "ibtutor/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "tools/", "book/"))]


def test_installed_package_is_the_wheel_and_reads_its_records(python, tmp_path):
    code = (
        "import json, ibtutor; from ibtutor import experiments, record;"
        "found = {i: [str(record.find(i, p)) for p in ('paper', 'quick') if record.find(i, p)]"
        " for i in experiments.ids()};"
        "print(json.dumps([ibtutor.__file__, found]))"
    )
    output = run(str(python), "-c", code, cwd=tmp_path, env=bare_environment(tmp_path))
    file, found = json.loads(output)
    prefix = str(python.parents[1])
    assert file.startswith(prefix)
    paths = [path for records in found.values() for path in records]
    assert all(path.startswith(prefix) for path in paths)
    assert len(paths) == len(
        [p for p in RECORDS if p.name.endswith((".paper.json", ".quick.json"))]
    )


def test_a_chapter_runs_alone_in_an_empty_folder(python, tmp_path):
    chapters = [path for path in pages.sources() if path.parent == pages.BOOK]
    if not chapters:
        pytest.skip("no chapter yet")
    quickest = min(chapters, key=execute.seconds_of)
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(quickest.with_suffix(".ipynb"), folder)
    command = ["-m", "pytest", "--nbmake", "-q", "-p", "no:cacheprovider", quickest.stem + ".ipynb"]
    output = run(str(python), *command, cwd=folder, env=bare_environment(tmp_path))
    assert "1 passed" in output
