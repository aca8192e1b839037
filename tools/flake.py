"""How safely do the chapters' checks hold? Run them over seeds and threads, compare the margins.

    make flake ARGS="information_quantities --seeds 5"

Each chapter's code cells run in a forked child for every seed and for one and two threads. A check
that fails is noted, and the chapter goes on. The table gives, for every check, its mean margin over
the standard deviation of its value; below 4 it will fail by chance some day. A few seeds run once
more with the plain kernels that every processor has (`PORTABLE`): `portable_margin_over_sd` is
their smallest margin over the same standard deviation, so that a check which another processor can
cross shows. The table is printed and kept in benchmarks/flake.csv.
"""

import argparse
import contextlib
import csv
import itertools
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from IPython.display import display

from tools import pages

TABLE = pages.ROOT / "benchmarks" / "flake.csv"
SAFE = 4.0
FIELDS = [
    "chapter",
    "check",
    "runs",
    "failed",
    "threshold",
    "above",
    "mean_value",
    "sd_value",
    "mean_margin",
    "min_margin",
    "margin_over_sd",
    "portable_margin_over_sd",
]
# Read by torch when it is imported, hence a process of its own.
PORTABLE = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"}
PORTABLE_SEEDS = 2


def preload() -> None:
    """Import once, before the forks, what takes seconds. Computes nothing: no threads are made."""
    # Threads that wait by spinning steal the core from those they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import matplotlib as mpl

    mpl.use("Agg")
    import pandas  # noqa: F401
    import sklearn  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # noqa: F401


def _go_on_after_failures() -> None:
    from ibtutor import checks

    strict = checks.check

    def lenient(name, value, threshold, **options):
        try:
            return strict(name, value, threshold, **options)
        except AssertionError:
            return float(value)  # logged with its negative margin; the next checks count too

    checks.check = lenient


def _run_cells(path: Path) -> None:
    transform = TransformerManager().transform_cell
    scope = {"__name__": "__main__", "display": display}  # as a notebook has it
    for cell in pages.code_cells(pages.read_markdown(path)):
        code = compile(transform(cell.source), f"<{path.stem}>", "exec")
        expected = "raises-exception" in cell.metadata.get("tags", [])
        try:
            exec(code, scope)
        except Exception:
            if not expected:
                raise


def run_once(job: tuple[Path, int, int]) -> dict:
    """Run one chapter with one seed and number of threads; return its margins and its error."""
    path, seed, threads = job
    import torch

    torch.set_num_threads(threads)
    error = None
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "checks.jsonl"
        os.environ.update(IBTUTOR_SEED=str(seed), IBTUTOR_CHECK_LOG=str(log))
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.chdir(folder)
        _go_on_after_failures()
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
            try:
                _run_cells(path)
            except Exception:
                error = traceback.format_exc()
        lines = log.read_text("utf8").splitlines() if log.exists() else []
    entries = [{"chapter": pages.name(path), **json.loads(line)} for line in lines]
    return {"job": f"{pages.name(path)} seed {seed} threads {threads}", "error": error} | {
        "entries": _numbered(entries)
    }


def _numbered(entries: list[dict]) -> list[dict]:
    """Tell apart checks of the same name in one run, by their order."""
    seen: Counter = Counter()
    for entry in entries:
        seen[entry["name"]] += 1
        if seen[entry["name"]] > 1:
            entry["name"] += f" ({seen[entry['name']]})"
    return entries


def summarize(entries: list[dict], portable: Sequence[dict] = ()) -> list[dict]:
    """One row for every check: its margin over the standard deviation of its value."""
    elsewhere = defaultdict(list)
    for entry in portable:
        elsewhere[entry["chapter"], entry["name"]].append(entry["margin"])
    groups = defaultdict(list)
    for entry in entries:
        groups[entry["chapter"], entry["name"]].append(entry)
    rows = []
    for (chapter, name), runs in sorted(groups.items()):
        values, margins = ([r[key] for r in runs] for key in ("value", "margin"))
        told = [m for m in margins if math.isfinite(m)]
        spread = statistics.stdev(told) if len(told) > 1 else math.nan
        mean = statistics.fmean(told) if told else -math.inf
        # A check refuses a value that is no number, on any machine.
        there = [m if math.isfinite(m) else -math.inf for m in elsewhere[chapter, name]]
        ratios = [_over(mean, spread), _over(min(there, default=math.nan), spread)]
        least = min(told) if len(told) == len(margins) else -math.inf
        numbers = [statistics.fmean(values), spread, mean, least, *ratios]
        first = [chapter, name, len(runs), sum(not m >= 0 or math.isinf(m) for m in margins)]
        limits = [runs[0]["threshold"], runs[0]["above"]]
        row = [*first, *limits, *(float(f"{number:.6g}") for number in numbers)]
        rows.append(dict(zip(FIELDS, row, strict=True)))
    return rows


def _over(margin: float, spread: float) -> float:
    """Margin in standard deviations; infinite where nothing varies."""
    if math.isnan(margin):
        return math.nan
    return margin / spread if spread > 0 else math.copysign(math.inf, margin or 1.0)


def too_close(row: dict) -> bool:
    """Whether a check will fail by chance some day, here or on another processor."""
    # A few portable runs sit at most a few deviations below the mean; NaN: not run there.
    near = row["margin_over_sd"] < SAFE or row["portable_margin_over_sd"] < SAFE / 2
    return row["failed"] > 0 or near


def save(rows: list[dict], table: Path = TABLE) -> None:
    """Write the rows; chapters that were not run keep the rows they had."""
    fresh = {row["chapter"] for row in rows}
    kept = []
    if table.exists():
        with table.open(newline="", encoding="utf8") as file:
            kept = [row for row in csv.DictReader(file) if row["chapter"] not in fresh]
    table.parent.mkdir(exist_ok=True)
    with table.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(kept + rows, key=lambda row: (row["chapter"], row["check"])))


def report(rows: list[dict]) -> None:
    heads = f"{'runs':>4} {'failed':>6} {'margin/sd':>10} {'portable':>10}"
    print(f"{'chapter':<28} {'check':<52} {heads}", flush=True)
    for row in sorted(rows, key=lambda row: row["margin_over_sd"]):
        mark = " <- too close" if too_close(row) else ""
        print(
            f"{row['chapter'][:28]:<28} {row['check'][:52]:<52} {row['runs']:>4} "
            f"{row['failed']:>6} {row['margin_over_sd']:>10.3g} "
            f"{row['portable_margin_over_sd']:>10.3g}{mark}",
            flush=True,
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="slugs; all chapters without any")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--entries", type=Path, help="write the margins there, and no table")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    chosen = [p for p in pages.sources() if not options.chapters or p.stem in options.chapters]
    if unknown := set(options.chapters) - {path.stem for path in chosen}:
        print(f"No such chapter: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    preload()
    rows, errors = [], []
    for path in chosen:  # saved chapter by chapter: an end before the last one loses little
        jobs = list(itertools.product([path], range(options.seeds), options.threads))
        entries, failed = run_all(jobs, options.jobs)
        if options.entries:
            options.entries.write_text(json.dumps({"entries": entries, "errors": failed}), "utf8")
            return int(bool(failed))
        portable, failed_there = run_portable(path, min(PORTABLE_SEEDS, options.seeds))
        failed += failed_there
        fresh = summarize(entries, portable)
        save(fresh)
        report(fresh)
        rows += fresh
        errors += failed
    for error in errors[:5]:
        print(f"\n{error}", file=sys.stderr)
    close = [row for row in rows if too_close(row)]
    print(f"{len(chosen)} chapters, {len(errors)} errors, {len(rows)} checks, {len(close)} close")
    return 1 if errors or close else 0


def run_all(jobs: list[tuple[Path, int, int]], at_a_time: int) -> tuple[list[dict], list[str]]:
    """Run every job in a forked child of its own; return all margins and what went wrong."""
    entries, errors = [], []
    with multiprocessing.get_context("fork").Pool(at_a_time, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(run_once, jobs, chunksize=1):
            entries += result["entries"]
            if result["error"]:
                errors.append(f"{result['job']}\n{result['error']}")
                print(f"error in {result['job']}", flush=True)
    return entries, errors


def run_portable(path: Path, seeds: int) -> tuple[list[dict], list[str]]:
    """The same chapter with the kernels of `PORTABLE`, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "entries.json"
        command = [sys.executable, "-m", "tools.flake", path.stem, "--seeds", str(seeds)]
        command += ["--threads", "1", "--entries", str(file)]
        subprocess.run(command, env=os.environ | PORTABLE, cwd=pages.ROOT, check=False)
        if not file.exists():
            return [], [f"{path.stem}: the portable runs ended early"]
        found = json.loads(file.read_text("utf8"))
    return found["entries"], found["errors"]


if __name__ == "__main__":
    sys.exit(main())
