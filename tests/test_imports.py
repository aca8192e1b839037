"""Imports go one way, from `cli` down to `info`, as LAYERS says.

Read from the source, so that an import inside a function counts as well.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ibtutor"

# From low to high. A namespace may use those below it; beside it only where NEIGHBORS says so.
LAYERS = [
    {"info", "checks", "predict", "_files", "_modes", "_progress", "provenance", "machine"},
    {"data", "models", "losses"},
    {"train", "_training", "record", "plots", "probes", "saliency"},
    {"experiments", "course", "explorer"},
    {"doctor"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
NEIGHBORS = {("train", "_training"), ("probes", "train"), ("saliency", "train")}
# What plots.py draws it is handed: it never trains and never loads data.
FORBIDDEN = {("plots", "data"), ("plots", "models")}

FILES = sorted(PACKAGE.rglob("*.py"))


def namespace(path: Path) -> str:
    """`info` for ibtutor/info/entropy.py, `train` for ibtutor/train.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Namespaces of ibtutor that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "ibtutor":
                found |= {alias.name for alias in node.names}
            elif node.module and node.module.startswith("ibtutor."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            found |= {name.split(".")[1] for name in names if name.startswith("ibtutor.")}
    return found - {"__version__"}


def allowed(source: str, target: str) -> bool:
    if source == target or (source, target) in NEIGHBORS:
        return True
    return (source, target) not in FORBIDDEN and LEVEL[target] < LEVEL[source]


def identity(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_namespace_has_a_layer():
    names = {namespace(path) for path in FILES} - {"__init__", "__main__"}
    assert names <= LEVEL.keys(), f"give {names - LEVEL.keys()} a place in LAYERS"


def test_the_rule_itself():
    assert allowed("cli", "experiments")
    assert allowed("losses", "info")
    assert not allowed("info", "losses")
    assert not allowed("data", "models")
    assert not allowed("experiments", "cli")
    assert not allowed("plots", "data")


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_imports_go_one_way(path):
    source = namespace(path)
    if source == "__main__":
        assert imported(path) <= {"cli"}
        return
    if source == "__init__":
        assert not imported(path)
        return
    wrong = {target for target in imported(path) if not allowed(source, target)}
    assert not wrong, f"{source} must not import {wrong}"


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_package_imports_nothing_of_the_repository(path):
    roots = set()
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.split(".")[0])
    assert not roots & {"tools", "tests", "book", "benchmarks"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "info").glob("*.py")), ids=identity)
def test_info_holds_no_networks(path):
    tree = ast.parse(path.read_text("utf8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            assert not {base for base in bases if base.split(".")[-1] == "Module"}
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in {"torch.nn.Module", "nn.Module", "torch.optim"}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print('\\n'.join({{m.split('.')[0] for m in sys.modules}}))"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement", ["import ibtutor", "from ibtutor import record, checks"])
def test_importing_loads_nothing_heavy(statement):
    heavy = {"torch", "torchvision", "numpy", "scipy", "sklearn", "pandas", "matplotlib", "typer"}
    if "record" in statement:
        heavy -= {"numpy"}
    assert not loaded_after(statement) & heavy
