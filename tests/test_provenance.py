"""What a page needs: one line that says what is missing, and how to get it without a new torch."""

import subprocess
import sys
from importlib import metadata

import pytest

from ibtutor import provenance, record

REQUIRES = ["torch>=2.4", "torchvision>=0.19", "scikit-learn>=1.4", 'pooch>=1.8; extra == "data"']
HERE = {"torch": "2.10.0+cu126", "torchvision": "0.25", "scikit-learn": "1.4"}


@pytest.fixture
def here(monkeypatch):
    """Make the environment hold these versions and nothing else."""

    def make(**versions):
        def version(name):
            if name in versions:
                return versions[name]
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(provenance, "find_spec", lambda name: None)

    return make


def test_nothing_is_said_where_all_is_there(here):
    here(**HERE)
    assert provenance.unmet() == {}
    provenance.require()


def test_all_that_is_missing_stands_in_one_line(here):
    here()
    with pytest.raises(provenance.RequirementError) as error:
        record.start("page")
    (line,) = error.value._render_traceback_()
    assert line == (
        "This page needs torch>=2.4 (here: not installed), torchvision>=0.19 (here: not "
        "installed), scikit-learn>=1.4 (here: not installed). Run `%pip install "
        '"torch>=2.4" "torchvision>=0.19" "scikit-learn>=1.4"`, restart the kernel, '
        "run this cell again."
    )


def test_an_old_version_is_told(here):
    here(**HERE | {"scikit-learn": "1.3.9"})
    with pytest.raises(provenance.RequirementError, match=r"scikit-learn>=1.4 \(here: 1.3.9\)"):
        provenance.require()


def test_a_missing_torchvision_does_not_bring_another_torch(here):
    here(**{name: version for name, version in HERE.items() if name != "torchvision"})
    with pytest.raises(provenance.RequirementError) as error:
        provenance.require()
    assert 'install "torchvision>=0.19" "torch==2.10.0"`' in str(error.value)


def test_a_library_without_metadata_counts_as_there(here, monkeypatch):
    here(**{name: version for name, version in HERE.items() if name != "torch"})
    monkeypatch.setattr(provenance, "find_spec", lambda name: object() if name == "torch" else None)
    assert provenance.unmet() == {}


# What a run says of its code after somebody committed beside it.
LATER = """
from ibtutor import experiments, provenance
provenance._git = lambda *arguments: "" if "status" in arguments else "f" * 40
print(provenance.commit() == "f" * 40, provenance.provenance("cpu", 1.0, {})["commit"])
"""


def test_a_commit_made_during_a_run_is_not_that_of_its_code():
    before = provenance.commit()
    if before.startswith("release"):
        pytest.skip("no checkout")
    run = [sys.executable, "-c", LATER]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", before]
