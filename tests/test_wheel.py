"""The wheel, and the notebooks with nothing else: in Colab, in an empty folder, on a bad day."""

import functools
import http.server
import json
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import threading
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest

from tools import address, execute, notebooks, pages

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
    python = environment_like_this(tmp_path_factory.mktemp("env"))
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "-q", str(wheel))
    return python


def bare_environment(home):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("IBTUTOR_", "PYTHON", "XDG_"))}
    return kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1"}


def test_wheel_holds_the_records_and_the_type_marker(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"ibtutor/records/{path.name}" for path in RECORDS} <= names
    parts = {path.relative_to(pages.ROOT).as_posix() for path in (FOLDER / "parts").glob("*/*.*")}
    assert {path for path in parts if path.endswith((".json", ".npz"))} <= names
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


# --- notebooks away from the checkout ------------------------------------------------------------

# Whole pages take minutes, so two run whole, the one that most people open in a fresh Colab, and
# the quickest; of all others the first cell, which is where an installation shows, and the imports.
PAGES = {pages.name(path): path.with_suffix(".ipynb") for path in pages.sources()}
OPENED_MOST = "label_smoothing_in_practice"
# Runs a notebook in a folder as Jupyter does, and goes on after nothing.
EXECUTE = """
import sys, nbclient, nbformat
source, folder, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
client = nbclient.NotebookClient(
    notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
)
try:
    client.execute()
except nbclient.exceptions.CellExecutionError:
    pass
finally:
    nbformat.write(notebook, target)
"""


def environment_like_this(folder):
    """An interpreter that borrows torch and pip from this one, and has no ibtutor."""
    venv.create(folder, with_pip=False)
    library = library_of(folder)
    # A path in a .pth file does not have its own .pth files read: no editable install gets in.
    (library / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n", "utf8")
    return folder / "bin" / "python"


def library_of(folder):
    scheme = {"base": str(folder), "platbase": str(folder)}
    return Path(sysconfig.get_path("purelib", "venv", vars=scheme))


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A folder that, on the path, makes an interpreter look like Colab's."""
    folder = tmp_path_factory.mktemp("colab")
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").write_text("")
    (folder / "sitecustomize.py").write_text("import google.colab\n")
    return folder


@pytest.fixture(scope="module")
def server(wheel, tmp_path_factory):
    """The address of a folder with the wheel, and with one for a Python that does not exist yet."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(wheel, folder)
    with zipfile.ZipFile(folder / TOO_NEW, "w") as archive:
        about = "ibtutor-9.0.dist-info"
        text = "Metadata-Version: 2.1\nName: ibtutor\nVersion: 9.0\nRequires-Python: >=3.99\n"
        archive.writestr(f"{about}/METADATA", text)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{about}/RECORD", "")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


TOO_NEW = "ibtutor-9.0-py3-none-any.whl"


def outside(page, folder, archive=None):
    """Copy a page's notebook into an empty folder; its first cell may install something else."""
    folder.mkdir()
    text = PAGES[page].read_text("utf8")
    assert address.wanted().archive in text
    copy = folder / PAGES[page].name
    copy.write_text(text.replace(address.wanted().archive, archive or address.wanted().archive))
    return copy


def execute_in(python, notebook, folder, env):
    """Run a notebook whole and return its code cells."""
    target = notebook.parent.parent / "executed.ipynb"
    run(str(python), "-c", EXECUTE, str(notebook), str(folder), str(target), env=env, cwd="/")
    return pages.code_cells(nbformat.read(target, as_version=4))


def errors(cells):
    return ["\n".join(o.traceback) for c in cells for o in c.outputs if o.output_type == "error"]


def was_run(cells):
    return [bool(cell.execution_count) for cell in cells]


@pytest.fixture(scope="module")
def all_alone(python, colab, tmp_path_factory):
    env = bare_environment(tmp_path_factory.mktemp("home")) | {"PYTHONPATH": str(colab)}
    script = Path(__file__).with_name("alone.py")
    notebooks = [str(path) for path in PAGES.values()]
    output = run(str(python), str(script), *notebooks, env=env, cwd="/")
    return json.loads(output.splitlines()[-1])


@pytest.mark.parametrize("page", PAGES)
def test_a_notebook_starts_and_imports_alone_in_an_empty_folder(all_alone, page):
    error, left = all_alone[Path(page).name]
    assert not error
    assert not left


def test_a_fresh_colab_installs_the_package_alone_and_runs_the_page(wheel, server, colab, tmp_path):
    python = environment_like_this(tmp_path / "env")
    before = {path.name for path in library_of(tmp_path / "env").iterdir()}
    notebook = outside(OPENED_MOST, tmp_path / "content", f"{server}/{wheel.name}")
    env = bare_environment(tmp_path) | {"PYTHONPATH": str(colab)}
    cells = execute_in(python, notebook, notebook.parent, env)
    assert not errors(cells)
    assert all(was_run(cells))
    assert not cells[0].outputs
    assert [path.name for path in notebook.parent.iterdir()] == [notebook.name]
    new = {path.name for path in library_of(tmp_path / "env").iterdir()} - before
    assert new - {"__pycache__"} == {"ibtutor", f"{wheel.name.rpartition('-py3')[0]}.dist-info"}


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="a folder nobody can write: Linux")
def test_a_page_runs_in_a_folder_that_cannot_be_written(python, tmp_path):
    quickest = min(set(PAGES) - {OPENED_MOST}, key=lambda p: (execute.seconds_of(PAGES[p]), p))
    with pytest.raises(OSError, match=r"/proc/ibtutor"):
        Path("/proc/ibtutor").write_text("")
    notebook = outside(quickest, tmp_path / "content")
    cells = execute_in(python, notebook, "/proc", bare_environment(tmp_path))
    assert not errors(cells)
    assert all(was_run(cells))


@pytest.fixture(scope="module")
def without_ibtutor(tmp_path_factory):
    return environment_like_this(tmp_path_factory.mktemp("without"))


NO_NETWORK = {name: "http://127.0.0.1:9" for name in ("https_proxy", "HTTPS_PROXY")}


@pytest.mark.parametrize(
    ("file", "variables", "said"),
    [
        (None, NO_NETWORK, r"ERROR: Could not install .* OSError|error: connection-failed"),
        (
            "moved.zip",
            {},
            r"ERROR: HTTP error 404 while getting http://127\.0\.0\.1:\d+/moved\.zip",
        ),
        (TOO_NEW, {}, r"ERROR: Package 'ibtutor' requires a different Python: 3\.\S+ not in"),
    ],
    ids=["no network", "404", "old Python"],
)
def test_an_install_that_fails_says_so_in_one_line_and_stops(
    without_ibtutor, server, tmp_path, file, variables, said
):
    notebook = outside("index", tmp_path / "content", file and f"{server}/{file}")
    env = bare_environment(tmp_path) | {"PIP_RETRIES": "0"} | variables
    cells = execute_in(without_ibtutor, notebook, notebook.parent, env)
    (output,) = cells[0].outputs
    (line,) = output.traceback
    assert "\n" not in line
    assert line.startswith("ibtutor was not installed. Check the network (")
    assert re.search(f"pip says: (?:{said})", line)
    assert was_run(cells) == [True] + [False] * (len(cells) - 1)


def test_the_line_of_a_failed_install_names_a_section_that_exists():
    (link,) = set(re.findall(r"https://\S+#\w+", notebooks.setup("index")))
    base = address.wanted().documentation
    page, _, section = link.removeprefix(f"{base}/").partition("#")
    text = (pages.ROOT / page).with_suffix(".md").read_text("utf8")
    assert f"\n## {section.capitalize()}\n" in text


def test_without_any_library_the_first_cell_names_all_that_are_missing(wheel, tmp_path):
    """As in plain Jupyter: nothing is installed behind the reader's back, and no torch at all."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "-q", str(wheel))
    cell = tmp_path / "cell.py"
    cell.write_text(notebooks.setup("index"))
    done = subprocess.run([str(python), str(cell)], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ibtutor.provenance.RequirementError: This page needs torch>=")
    assert last.count("(here: not installed)") == 10
    assert '`%pip install "torch>=' in last
