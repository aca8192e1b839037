"""What makes experiments run, and one package a paper: a module for each figure or table.

The id of an experiment is its folder and file: `kudo/fig1.py` is `kudo_fig1`. A module has `TITLE`,
`SOURCE`, `CHAPTER` (the page that explains it), `FIGURE` and `SAYS` (what the paper says of it, for
the ledger), `NEEDS` (names of real data sets), `GPU` (whether the paper's scale wants one),
`Config` (a frozen dataclass whose defaults are the paper's settings), `SMOKE`, `QUICK`, `REPORTED`,
`CLAIMS`, `STATED` (the fields that the paper states), `DIFFERENCES` (field -> why it was changed,
for changes that are not of size), `size(config) -> str` (the scale in words), `finding(result) ->
str` (what came of it, in one sentence with a number) and `run(config, *, device, progress, resume)
-> Result`. Where it applies also `tolerances(row, rows)`, `AFTER_TRAINING` and `SAME_NUMBERS`, for
`verify`. Helpers of one paper lie beside its modules. A module that trains a sweep is made of
parts: `_parts` says what it has in addition, `_sweep` makes a record of them, `_work` runs them.
"""

from ibtutor.experiments._base import Claim, Reported, Result
from ibtutor.experiments._exchange import take_in
from ibtutor.experiments._ledger import ledger, pending
from ibtutor.experiments._matrix import details, matrix, summary
from ibtutor.experiments._null_control import t_interval
from ibtutor.experiments._registry import (
    config,
    differences,
    ids,
    load,
    papers,
    profile_config,
)
from ibtutor.experiments._run import (
    begun,
    complete,
    execute,
    parts_of,
    queue,
    recorded,
    refused_parts,
    run_for,
    work_through,
)
from ibtutor.experiments._verdicts import control_word, verdict_table, verdict_word
from ibtutor.experiments._verify import verify
from ibtutor.provenance import loaded_commit

loaded_commit()  # read now, and kept

__all__ = [
    "Claim",
    "Reported",
    "Result",
    "begun",
    "complete",
    "config",
    "control_word",
    "details",
    "differences",
    "execute",
    "ids",
    "ledger",
    "load",
    "matrix",
    "papers",
    "parts_of",
    "pending",
    "profile_config",
    "queue",
    "recorded",
    "refused_parts",
    "run_for",
    "summary",
    "t_interval",
    "take_in",
    "verdict_table",
    "verdict_word",
    "verify",
    "work_through",
]
