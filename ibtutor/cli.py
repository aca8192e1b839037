"""The command `ibtutor`: run experiments, read records, fetch data.

Exit codes: 0 all well, 1 it ran and failed (or found something wrong), 2 bad use.
"""

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from ibtutor.course import commands as course

app = typer.Typer(
    help="Label smoothing as an information bottleneck: experiments, records and data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Download and check the real data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(course.app, name="course")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Profile = Annotated[str, typer.Option(help="smoke, quick or paper.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def main() -> None:
    """Entry point of the console script: errors that teach become one line and an exit code."""
    try:
        app(standalone_mode=True)
    except (ValueError, TypeError) as error:
        _fail(error, 2)
    except (RuntimeError, MemoryError, OSError) as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    print(f"ibtutor: {error}", file=sys.stderr)
    raise SystemExit(code)


def _print(rows: list[dict[str, Any]], as_json: bool, empty: str = "nothing") -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
    elif not rows:
        print(empty)
    else:
        import pandas as pd

        with pd.option_context("display.max_colwidth", 88, "display.width", 200):
            print(pd.DataFrame(rows).to_string(index=False))


@app.command("list")
def list_experiments(as_json: Json = False) -> None:
    """List the experiments, what each one shows, and which records there are."""
    from ibtutor import experiments, record

    rows = []
    for experiment in experiments.ids():
        module = experiments.load(experiment)
        found = [name for name in record.PROFILES if record.find(experiment, name)]
        found += [f"paper ({share})"] if (share := experiments.begun(experiment)) else []
        rows.append(
            {"id": experiment, "source": module.SOURCE, "title": module.TITLE}
            | {"records": " ".join(found) or "none", "data": " ".join(module.NEEDS) or "none"}
        )
    _print(rows, as_json)


@app.command()
def run(
    experiment: Annotated[str | None, typer.Argument()] = None,
    profile: Annotated[
        str | None, typer.Option(help="smoke, quick or paper; default smoke, with --queue paper.")
    ] = None,
    device: Device = "cpu",
    queue: Annotated[
        bool, typer.Option("--queue", help="All experiments with missing parts, in turn.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so long; unfinished runs go on next time.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--parts", help="Only parts so named, like 'seed0-*'.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that work side by side.")] = 1,
    backend: Annotated[
        str, typer.Option(help="local, or dask: the workers of a cluster, each run a task.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of dask's scheduler, like tcp://127.0.0.1:8786.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget unfinished runs and parts.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment and write its record. A run that was killed goes on where it was.

    Each trained run is a part and has its own file; several processes or machines may share them.
    """
    from ibtutor import experiments

    if (experiment is None) != queue:
        raise ValueError("name one experiment, or give --queue for all that is missing")
    if backend not in ("local", "dask"):
        raise ValueError(f"backend must be local or dask, got {backend!r}")
    if (backend == "dask") != (address is not None):
        raise ValueError("--backend dask and --address of its scheduler go together")
    if backend == "local":
        _check_device(device)
    options = {"device": device, "progress": not quiet, "fresh": fresh}
    options |= {"jobs": jobs, "address": address}
    if fresh and only is not None:
        raise ValueError("--fresh forgets all parts: it does not go with --parts")
    if queue and only is not None:
        raise ValueError("--parts is for one experiment, not for --queue")
    if not queue and minutes is None and only is None:
        print(experiments.execute(experiment, profile or "smoke", **options))
        return
    if queue and fresh:
        raise ValueError("--fresh is for one experiment, not for --queue")
    profile = profile or ("paper" if queue else "smoke")
    names = experiments.queue(profile) if queue else [experiment]
    options |= {"minutes": minutes, "only": "*" if only is None else only}
    _print(experiments.run_for(names, profile, **options), False)


@app.command(hidden=True)
def worker(
    names: list[str],
    profile: Profile = "smoke",
    device: Device = "cpu",
    until: float | None = None,
    only: Annotated[str, typer.Option("--parts")] = "*",
) -> None:
    """One of the processes of `ibtutor run --jobs N`; it ends when its standard input does."""
    from ibtutor import experiments
    from ibtutor.experiments._work import end_with_stdin

    end_with_stdin()
    experiments.work_through(names, profile, device=device, until=until, only=only)


@app.command()
def parts(
    experiment: Annotated[str, typer.Argument(help="An experiment, or: import.")],
    folder: Annotated[Path | None, typer.Argument(help="With import: where the files are.")] = None,
    profile: Annotated[str, typer.Option(help="smoke, quick or paper.")] = "paper",
    as_json: Json = False,
) -> None:
    """List the parts of an experiment: which are done, where, and which are missing.

    `ibtutor parts import FOLDER` takes in parts that somebody sent; exit code 1 if one is refused.
    """
    from ibtutor import experiments

    if (experiment == "import") != (folder is not None):
        raise ValueError("name an experiment, or `import` and a folder")
    if folder is not None:
        rows = experiments.take_in(folder)
        _print(rows, as_json)
        if any(row["state"] == "refused" for row in rows):
            raise typer.Exit(1)
        return
    rows = experiments.parts_of(experiment, profile)
    _print(rows, as_json)
    if not as_json:
        done = sum(row["state"] == "done" for row in rows)
        print(f"{done} of {len(rows)} parts of {experiment}.{profile} done")


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        have = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise ValueError(
            f"unknown device {device!r}; this machine has: {', '.join(have)}"
        ) from None


@app.command()
def show(experiment: str, profile: str | None = None, as_json: Json = False) -> None:
    """Show a record: summary, verdicts and where it comes from."""
    from dataclasses import asdict

    from ibtutor import experiments

    found = experiments.recorded(experiment, profile)
    if as_json:
        body = asdict(found)
        body.pop("arrays")
        print(json.dumps(body, indent=1))
        return
    print(found.caption())
    for name, value in found.summary.items():
        print(f"  {name}: {value}")
    for claim, judged in found.verdicts.items():
        word = experiments.verdict_word(
            judged["verdict"], judged["source"], found.profile, found.share
        )
        control = experiments.control_word(judged)
        print(f"  [{word}; null control: {control}] {claim}: {judged['text']}")


@app.command()
def verify(
    experiment: str,
    profile: str | None = None,
    seed: Annotated[int, typer.Option(help="Which of the record's seeds to run again.")] = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run one seed of a record again; exit code 1 and a stale ledger row if numbers drifted."""
    from ibtutor import experiments

    _check_device(device)
    compared = experiments.verify(experiment, profile, seed=seed, device=device, progress=not quiet)
    drifted = [row for row in compared if row["drifted"]]
    _print(drifted, as_json, empty=f"{len(compared)} numbers compared, none drifted")
    if drifted:
        raise typer.Exit(1)


@app.command()
def pending(as_json: Json = False) -> None:
    """List the experiments without a paper-scale record, and what each one waits for."""
    from ibtutor import experiments

    rows = experiments.pending()
    if not as_json:
        rows = [{k: v for k, v in row.items() if k != "detail"} for row in rows]
    _print(rows, as_json, empty="every experiment has a paper-scale record")


@app.command()
def ledger(as_json: Json = False) -> None:
    """List every claim with its verdict."""
    from ibtutor import experiments

    rows = experiments.ledger()
    if not as_json:
        rows = [{k: v for k, v in row.items() if k not in ("text", "source")} for row in rows]
    _print(rows, as_json)


@data_app.command("get")
def data_get(
    names: list[str],
    verbose: Annotated[bool, typer.Option("--verbose", help="Say all of what failed.")] = False,
) -> None:
    """Download data sets by name (see `ibtutor data check`), checksums verified."""
    from ibtutor import data

    for name in names:
        try:
            data.get(name)
        except data.DataError as error:
            if verbose and error.__cause__:
                traceback.print_exception(error.__cause__)
            raise
        status = data.check(name)
        print(f"{name}: {status.state} at {status.path}")


@data_app.command("check")
def data_check(names: Annotated[list[str] | None, typer.Argument()] = None, as_json: Json = False):
    """Say which data sets are there and whole; exit code 1 if a file is corrupt or was asked for
    and is missing."""
    from ibtutor import data

    rows = []
    for name in names or data.names():
        status = data.check(name)
        rows.append({"name": name, "state": status.state, "path": str(status.path)})
    _print(rows, as_json)
    bad = [row for row in rows if row["state"] == "corrupt" or (names and row["state"] != "ok")]
    if bad:
        raise typer.Exit(1)


@app.command()
def doctor(
    probe: Annotated[bool, typer.Option(help="Count training steps for five seconds.")] = True,
    as_json: Json = False,
) -> None:
    """Check the installation and the machine; exit code 1 on a problem.

    Versions, memory, disk, accelerator, data and records, and how long a chapter and each profile
    would take here.
    """
    from ibtutor import doctor as found

    rows = found.rows(probe)
    _print(rows, as_json)
    if any(row["state"] in found.BAD for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
