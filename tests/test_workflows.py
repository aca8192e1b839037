"""What the workflows and the README name exists. Nothing of GitHub is needed, little is run."""

import importlib.metadata as metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from ibtutor import cli, experiments
from tools import plain, readme, unpin

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
README = (ROOT / "README.md").read_text("utf8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf8")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


def load(path):
    return yaml.safe_load(path.read_text("utf8"))


def jobs():
    return [
        (path.stem, name, job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()
    ]


def steps():
    found = [(f"{file}/{name}", step) for file, name, job in jobs() for step in job["steps"]]
    return [pytest.param(step, id=f"{where}-{i}") for i, (where, step) in enumerate(found)]


def targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE))


def lines_of(script):
    """Commands of a shell script, one each, continued lines joined."""
    return [line.strip() for line in script.replace("\\\n", " ").splitlines() if line.strip()]


def missing(line):
    """What a command names and the repository lacks."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words:
        return []
    if words[0] == "make":
        asked = [w for w in words[1:] if "=" not in w and not w.startswith("-")]
        return [w for w in asked if w not in targets()]
    if words[0] == "bash":
        return [w for w in words[1:2] if not (ROOT / w).is_file()]
    if words[0] == "ibtutor":
        return [w for w in words[1:2] if w[0] != "-" and w not in get_command(cli.app).commands]
    if Path(words[0]).name == "python" and words[1:2] == ["-m"]:
        module, rest = words[2], words[3:]
        if module.startswith("tools"):
            return [] if (ROOT / f"{module.replace('.', '/')}.py").is_file() else [module]
        if module == "pytest":
            paths = [w for w in rest if "/" in w or w in ("tests", "ibtutor")]
            return [w for w in paths if not (ROOT / w).exists()]
        extras = [e for w in rest for e in re.findall(r"^\.\[([\w,]+)\]", w)]
        known = PROJECT["optional-dependencies"]
        return [e for group in extras for e in group.split(",") if e not in known]
    return []


# --- the workflows -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_triggers_and_may_only_read(path):
    workflow = load(path)
    assert workflow[True]  # YAML 1.1 reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]


@pytest.mark.parametrize(("file", "name", "job"), jobs())
def test_a_job_ends_and_waits_for_jobs_that_exist(file, name, job):
    assert job["runs-on"]
    assert 0 < job["timeout-minutes"] <= 60
    needs = job.get("needs", [])
    known = load(ROOT / ".github" / "workflows" / f"{file}.yml")["jobs"]
    assert {needs} if isinstance(needs, str) else set(needs) <= known.keys()


@pytest.mark.parametrize(("file", "name", "job"), jobs())
def test_expressions_name_what_the_job_has(file, name, job):
    keys = job.get("strategy", {}).get("matrix", {}).keys()
    ids = {step["id"] for step in job["steps"] if "id" in step}
    text = yaml.safe_dump(job, width=10_000)
    assert set(re.findall(r"\bmatrix\.(\w+)", text)) <= keys
    assert set(re.findall(r"\bsteps\.(\w+)", text)) <= ids


@pytest.mark.parametrize("step", steps())
def test_a_step_runs_what_exists(step):
    assert ("uses" in step) != ("run" in step)
    if "uses" in step:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", step["uses"]), "pin it to a major version"
        return
    # What comes from outside is not pasted into a script, but handed over in `env`.
    assert not EXPRESSION.search(step["run"])
    assert [what for line in lines_of(step["run"]) if _simple(line) for what in missing(line)] == []


def _simple(line):
    """Whether a line is a command of its own, and not part of a longer shell construct."""
    return line.split()[0] in ("make", "bash", "python", ".venv/bin/python") and "|" not in line


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.parametrize("step", [step for step in steps() if "run" in step.values[0]])
def test_scripts_parse(step):
    done = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_missing_commands_are_seen():
    assert missing("make book nosuch") == ["nosuch"]
    assert missing("X=1 make nosuch ARGS=1") == ["nosuch"]
    assert missing("bash .ci/nosuch") == [".ci/nosuch"]
    assert missing("python -m tools.nosuch --all") == ["tools.nosuch"]
    assert missing("python -m pytest ibtutor tests/nosuch -q") == ["tests/nosuch"]
    assert missing('python -m pip install -e ".[test,nosuch]"') == ["nosuch"]
    assert missing("ibtutor nosuch") == ["nosuch"]


def test_the_pythons_that_are_promised_are_tested():
    prefix = "Programming Language :: Python :: "
    promised = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    job = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]
    tested = job["strategy"]["matrix"]["python"]
    may_fail = re.findall(r"matrix\.python == '([\d.]+)'", job["continue-on-error"])
    assert [version for version in tested if version not in may_fail] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    finder = (ROOT / "tools" / "find_python.sh").read_text("utf8")
    assert all(f"python{version}" in finder for version in tested)
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text("utf8")):
        assert f"Python {promised[0]} to {promised[-1]}" in text


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("jq")), reason="no bash or no jq")
@pytest.mark.parametrize(
    ("open_issues", "called"),
    [([], "issue create"), ([("other", 7), ("The weekly run failed", 9)], "issue comment 9")],
)
def test_a_weekly_failure_opens_one_issue_and_adds_to_it(tmp_path, open_issues, called):
    (script,) = load(ROOT / ".github" / "workflows" / "weekly.yml")["jobs"]["report"]["steps"]
    issues = json.dumps([{"title": title, "number": number} for title, number in open_issues])
    (tmp_path / "issues.json").write_text(issues)
    stub = tmp_path / "gh"
    stub.write_text(
        '#!/bin/sh\nif [ "$2" = list ]; then cat "$HERE/issues.json"; else echo "$@"; fi\n'
    )
    stub.chmod(0o755)
    results = {"links": {"result": "failure"}, "spelling": {"result": "success"}}
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HERE": str(tmp_path)}
    env |= {"RESULTS": json.dumps(results), "RUN": "https://example.org/runs/1"}
    done = subprocess.run(["bash", "-ec", script["run"]], env=env, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(called)
    assert "- links" in done.stdout
    assert "- spelling" not in done.stdout
    assert "https://example.org/runs/1" in done.stdout


def test_the_report_waits_for_every_other_weekly_job():
    weekly = load(ROOT / ".github" / "workflows" / "weekly.yml")["jobs"]
    assert set(weekly["report"]["needs"]) == weekly.keys() - {"report"}


# --- versions ------------------------------------------------------------------------------------


def pins():
    text = (ROOT / "constraints.txt").read_text("utf8")
    return {canonicalize_name(line.split("==")[0]) for line in text.splitlines() if "==" in line}


def needed():
    """Every package that `make` asks for, on any platform, with what it asks for in turn."""
    todo = [Requirement(r) for r in PROJECT["dependencies"]]
    for extra in ("book", "test", "gradcam", "bench", "data", "cluster"):
        todo += [Requirement(r) for r in PROJECT["optional-dependencies"][extra]]
    found, seen = set(), set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found.add(key[0])
        try:
            asked = [Requirement(r) for r in metadata.requires(requirement.name) or []]
        except metadata.PackageNotFoundError:
            continue
        for other in asked:
            extras = re.findall(r'extra == "([^"]+)"', str(other.marker or ""))
            if not extras or set(extras) & requirement.extras:
                todo.append(other)
    return found


def test_no_pin_is_stale():
    assert pins() - needed() == set()


@pytest.mark.skipif(not pins(), reason="the pins were forgotten: newest versions")
def test_no_pin_is_missing():
    # What torch brings for a GPU is not pinned: CPU builds do not have it.
    brought = re.compile(r"nvidia-|cuda-|triton$|(?:pip|setuptools|wheel|ibtutor)$")
    found = [d for d in metadata.distributions() if "_vendor" not in str(d.locate_file(""))]
    here = {canonicalize_name(d.metadata["Name"]) for d in found}
    assert {n for n in needed() & here - pins() if not brought.match(n)} == set()


def test_versions_are_forgotten(tmp_path):
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    unpin.forget_constraints(tmp_path)
    assert "==" not in (tmp_path / "constraints.txt").read_text()
    exact = [r for rs in PROJECT["optional-dependencies"].values() for r in rs if "==" in r]
    assert unpin.forget_exact_pins(tmp_path) == len(exact)
    loose = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    wanted = {k: [r.replace("==", ">=") for r in rs] for k, rs in _extras(PROJECT).items()}
    assert _extras(loose) == wanted
    assert loose["dependencies"] == PROJECT["dependencies"]


def _extras(project):
    return project["optional-dependencies"]


def test_plain_sphinx_gets_no_extension_of_jupyter_book():
    generated = (
        "extensions = ['jupyter_book', 'myst_nb', 'sphinx_thebe']\n"
        "html_static_path = ['book/_static']\nhtml_logo = ''\n"
        "nb_execution_cache_path = '_build/.jupyter_cache'\n"
    )
    found = {}
    exec(plain.configuration(generated), found)
    assert found["extensions"] == ["myst_nb"]
    assert found["html_static_path"] == [str(ROOT / "book" / "_static")]
    assert found["nb_execution_cache_path"] == str(ROOT / "_build" / ".jupyter_cache")
    assert found["html_logo"] == ""
    assert found["bibtex_bibfiles"] == []


# --- the README ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_commands_that_are_named_exist(text):
    fences = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    spans = [s for s in re.findall(r"`([^`\n]+)`", text) if re.match(r"(make|ibtutor) ", s)]
    commands = [line for line in lines_of(fences) if re.search(r"\bmake\b", line)] + spans
    assert commands
    assert [what for line in commands for what in missing(line)] == []


def test_the_python_of_the_readme_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    exec(code, {})


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_local_links_lead_somewhere(name):
    found = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text("utf8"))
    assert [link for link in found if not (ROOT / link).exists()] == []


def test_badges_are_of_workflows_that_exist():
    named = re.findall(r"/actions/workflows/([\w.]+)", README)
    assert set(named) == {path.name for path in WORKFLOWS}


def ledger(*rows):
    names = ("experiment", "profile", "so_far")
    return [dict(zip(names, (*row, "")[:3], strict=True)) for row in rows]


def test_the_readme_claims_what_the_ledger_shows():
    assert readme.updated(README, experiments.ledger()) == README, "`make pairs` writes it"


def test_a_paper_is_planned_until_it_has_a_record_and_its_scale_is_said():
    assert readme.shown(ledger(), "kudo") == "planned"
    assert readme.shown(ledger(("kudo_fig6_occluded_cifar", "none")), "kudo") == "planned"
    rows = [("kudo_fig4_cifar10h", "quick"), ("kudo_fig4_cifar10h", "paper")]
    found = readme.shown(ledger(*rows, ("kudo_fig6_occluded_cifar", "quick")), "kudo")
    assert found == "At the paper's scale: Figure 4. At small scale: Figure 6."
    assert readme.shown(ledger(*rows), "yi") == "planned"
    begun = ledger(("kudo_fig6_occluded_cifar", "none", "holds so far"), *rows)
    assert readme.shown(begun, "kudo") == "At the paper's scale: Figure 4. Unfinished: Figure 6."


def test_a_paper_that_the_readme_does_not_name_is_missed():
    with pytest.raises(ValueError, match="0 rows of Kudo"):
        readme.updated(README.replace("| S. Kudo", "| Kudo, S."), ledger())
