"""Execute the pages once, with nbmake, on copies in executed/, and only where something changed.

What counts as changed is a fingerprint: the notebook's code, every file of the package and its
records, the pinned versions, the interpreter and the IBTUTOR_ variables. Prose is not part of it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat

from ibtutor.course.kernels import NEVER_STARTED, STARTS, kill_tree
from tools import pages

EXECUTED = pages.ROOT / "executed"
REPORTS = pages.ROOT / "reports" / "chapters"
SECONDS_A_PAGE = int(os.environ.get("BOOK_SECONDS_A_PAGE", "600"))
AT_A_TIME = int(os.environ.get("BOOK_AT_A_TIME", "2"))
# These say where to log or find things and change no output of a page in the smoke profile.
UNHASHED = {"IBTUTOR_CHECK_LOG"}
# A killed pytest writes no report of its own.
KILLED = (
    '<testsuites><testsuite name="pytest" tests="1" failures="1">'
    '<testcase classname="chapters" name="{page}" time="{seconds}">'
    '<failure message="{said}"/></testcase></testsuite></testsuites>\n'
)


@dataclass(frozen=True)
class Outcome:
    page: str
    ok: bool
    seconds: float
    output: str


def copy_of(path: Path) -> Path:
    return (EXECUTED / pages.name(path)).with_suffix(".ipynb")


def _note_of(path: Path) -> Path:
    return copy_of(path).with_suffix(".json")


def environment() -> dict[str, str]:
    """One thread a kernel, the smoke profile unless told otherwise, this interpreter's kernel."""
    env = dict(os.environ)
    env["OMP_NUM_THREADS"] = env["MKL_NUM_THREADS"] = "1"
    env.setdefault("IBTUTOR_PROFILE", "smoke")
    env["JUPYTER_PREFER_ENV_PATH"] = "1"
    env["JUPYTER_PLATFORM_DIRS"] = "1"
    env["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    env["IPYTHONDIR"] = str(EXECUTED / ".ipython")
    return env


def package_files() -> list[Path]:
    """Files of the package and its records; not bytecode, nor the state of unfinished runs."""
    package = pages.ROOT / "ibtutor"
    names = (path.relative_to(package) for path in package.rglob("*"))
    kept = (n for n in names if not any(p.startswith((".", "__pycache__")) for p in n.parts))
    return sorted(package / n for n in kept if (package / n).is_file())


def common_digest() -> str:
    """Digest of all that every page depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for path in [*package_files(), pages.ROOT / "constraints.txt"]:
        digest.update(path.relative_to(pages.ROOT).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    variables = {k: v for k, v in environment().items() if k.startswith("IBTUTOR_")}
    for key in sorted(variables.keys() - UNHASHED):
        digest.update(f"{key}={variables[key]}\0".encode())
    return digest.hexdigest()


def fingerprint(path: Path, common: str) -> str:
    """Digest of a page's code cells (sources and tags) and of what all pages depend on."""
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    code = [[c.source, c.metadata.get("tags", [])] for c in pages.code_cells(notebook)]
    return hashlib.sha256((common + json.dumps(code)).encode()).hexdigest()


def seconds_of(path: Path) -> float:
    """How long the page took last time; pages never run count as long, so that they start early."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads(_note_of(path).read_text("utf8"))["seconds"]
    return float("inf")


def is_fresh(path: Path, mark: str) -> bool:
    try:
        note = json.loads(_note_of(path).read_text("utf8"))
    except (OSError, ValueError):
        return False
    return note.get("fingerprint") == mark and copy_of(path).exists()


def run_page(path: Path, mark: str) -> Outcome:
    """Execute one page's copy; a kernel that did not start is started anew."""
    _note_of(path).unlink(missing_ok=True)
    for _ in range(STARTS):
        outcome = _run_once(path)
        if outcome.ok or not NEVER_STARTED.search(outcome.output):
            break
    if outcome.ok:
        note = {"fingerprint": mark, "seconds": outcome.seconds}
        _note_of(path).write_text(json.dumps(note), "utf8")
    return outcome


def _run_once(path: Path) -> Outcome:
    """Execute one page's copy under nbmake, with a limit on the whole process."""
    page, copy = pages.name(path), copy_of(path)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path.with_suffix(".ipynb"), copy)
    report = REPORTS / f"{page.replace('/', '-')}.xml"
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", str(copy), "-q"]
    command += [f"--nbmake-timeout={SECONDS_A_PAGE}", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [f"--junitxml={report}", f"--rootdir={pages.ROOT}"]
    report.unlink(missing_ok=True)
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=pages.ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS_A_PAGE)
    except subprocess.TimeoutExpired:
        kill_tree(process.pid)
        said = f"{page}: killed after {SECONDS_A_PAGE} seconds"
        output = f"{process.communicate()[0]}\n{said}\n"
        report.write_text(KILLED.format(page=page, said=said, seconds=SECONDS_A_PAGE), "utf8")
    seconds = round(time.monotonic() - start, 1)
    return Outcome(page, process.returncode == 0, seconds, output)


def _remove_orphans(paths: list[Path]) -> None:
    known = {copy_of(path) for path in paths}
    for notebook in EXECUTED.rglob("*.ipynb"):
        if notebook not in known:
            notebook.unlink()
            notebook.with_suffix(".json").unlink(missing_ok=True)


def execute(paths: list[Path]) -> list[Outcome]:
    """Execute every page that changed, two at a time, longest first; return what was run."""
    EXECUTED.mkdir(exist_ok=True)
    REPORTS.mkdir(parents=True, exist_ok=True)
    _remove_orphans(paths)
    common = common_digest()
    marks = {path: fingerprint(path, common) for path in paths}
    stale = [path for path in paths if not is_fresh(path, marks[path])]
    stale.sort(key=seconds_of, reverse=True)
    print(f"{len(paths)} pages with cells, {len(stale)} to execute", flush=True)
    outcomes = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        running = [pool.submit(run_page, path, marks[path]) for path in stale]
        for done in as_completed(running):
            outcome = done.result()
            verdict = "ok" if outcome.ok else "FAILED"
            print(f"  {outcome.page:<40} {verdict:>6} {outcome.seconds:7.1f} s", flush=True)
            outcomes.append(outcome)
    return outcomes
