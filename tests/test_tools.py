"""The commands behind `make`: pairs, what is executed again, addresses, margins, prose."""

import json
import math
import re
import subprocess
import sys

import nbformat
import pytest

from tools import address, execute, flake, notebooks, pages, prose

HEADER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
PAGE = (
    HEADER
    + """# A page

Some prose.

```{code-cell} ipython3
:tags: [hide-cell]

x = 1
```

More prose.

```{code-cell} ipython3
x + 1
```
"""
)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A checkout with one page and its notebook; returns the page."""
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "BOOK", tmp_path / "book")
    monkeypatch.setattr(execute, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(execute, "REPORTS", tmp_path / "reports")
    (tmp_path / "book").mkdir()
    (tmp_path / "ibtutor").mkdir()
    (tmp_path / "ibtutor" / "module.py").write_text("A = 1\n")
    (tmp_path / "constraints.txt").write_text("numpy==2.0\n")
    page = tmp_path / "book" / "page.md"
    page.write_text(PAGE)
    assert pages.write(page)
    return page


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- pairs ---------------------------------------------------------------------------------------


def test_a_written_pair_agrees_and_is_not_written_again(book):
    assert pages.compare(book) is None
    assert not pages.write(book)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Some prose", "Other prose", "-Some prose.\n    +Other prose."),
        ("x = 1", "x = 2", "+x = 2"),
        ("hide-cell", "hide-input", "tags"),
        ("More prose.\n", "", "code in the .md, markdown in the .ipynb"),
    ],
)
def test_a_pair_that_differs_is_refused_with_the_cell(book, old, new, said):
    edit(book, old, new)
    with pytest.raises(pages.PairError, match="make pairs") as error:
        pages.check_pairs()
    assert "page, cell" in str(error.value)
    assert said in str(error.value)


def test_missing_and_orphaned_notebooks_are_refused(book):
    notebook = book.with_suffix(".ipynb")
    notebook.rename(book.with_name("other.ipynb"))
    with pytest.raises(pages.PairError, match=r"page\.ipynb is missing(.|\n)*other: the \.ipynb"):
        pages.check_pairs()


def test_a_notebook_with_outputs_is_refused(book):
    path = book.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="2")]
    nbformat.write(notebook, path)
    assert "holds outputs" in pages.compare(book)


def test_unchanged_cells_keep_their_ids(book):
    path = book.with_suffix(".ipynb")
    before = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    edit(book, "More prose", "New prose")
    pages.write(book)
    after = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True]


def test_a_notebook_that_does_not_fold_is_refused(book):
    path = book.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    del notebook.cells[1].metadata["cellView"]
    nbformat.write(notebook, path)
    assert "does not fold" in pages.compare(book)
    assert pages.write(book)
    assert pages.compare(book) is None


@pytest.mark.parametrize(
    ("tags", "source", "title"),
    [
        (["hide-cell"], notebooks.setup("page"), "Set-up: run this cell first"),
        (["solution", "hide-cell"], 'check("x", 1, 2)', "Solution of exercise 12"),
        (["hide-input"], "plots.show(fig)", "Figure"),
        (["remove-input"], "table.round(3)", "Table"),
    ],
)
def test_a_folded_cell_says_what_it_is(tags, source, title):
    text = nbformat.v4.new_markdown_cell("# Page\n\n## Exercises\n\n**12 (★).** Why?")
    code = nbformat.v4.new_code_cell(source, metadata={"tags": tags})
    plain = nbformat.v4.new_code_cell("x = 1")
    page = nbformat.v4.new_notebook(cells=[text, code, plain])
    notebooks.dress(page, "page")
    assert code.source == f"# @title {title}\n{source}"
    assert notebooks.undress(code.source) == source
    assert plain.source == "x = 1"
    assert "cellView" not in plain.metadata


def test_cards_and_contents_of_the_front_page_become_prose():
    text = "A\n\n::::{grid} 1 2\n:gutter: 3\n\n:::{grid-item-card} You teach\nBody.\n:::\n::::\n\nB"
    assert notebooks.without_directives(text) == "A\n\n**You teach.** Body.\n\nB"
    assert "list of all pages](http" in notebooks.without_directives(notebooks.CONTENTS)


# --- what is executed again ----------------------------------------------------------------------


def mark(book):
    return execute.fingerprint(book, execute.common_digest())


def test_prose_executes_nothing(book):
    before = mark(book)
    edit(book, "Some prose", "Other prose")
    pages.write(book)
    assert mark(book) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("book/page.md", "x = 1", "x = 2"),
        ("book/page.md", "hide-cell", "raises-exception"),
        ("ibtutor/module.py", "A = 1", "A = 2"),
        ("constraints.txt", "2.0", "2.1"),
    ],
)
def test_code_package_and_versions_execute_again(book, file, old, new):
    before = mark(book)
    edit(pages.ROOT / file, old, new)
    pages.write(book)
    assert mark(book) != before


def test_an_unfinished_run_executes_nothing(book):
    before = mark(book)
    state = pages.ROOT / "ibtutor" / "records" / ".partial" / "run"
    state.mkdir(parents=True)
    (state / "seed.json").write_text("{}")
    assert mark(book) == before


def test_a_new_record_and_another_profile_execute_again(book, monkeypatch):
    marks = {mark(book)}
    (pages.ROOT / "ibtutor" / "records").mkdir()
    (pages.ROOT / "ibtutor" / "records" / "a.quick.json").write_text("{}")
    marks.add(mark(book))
    monkeypatch.setenv("IBTUTOR_PROFILE", "quick")
    marks.add(mark(book))
    assert len(marks) == 3


def test_a_page_is_executed_once_and_a_failing_one_again(book):
    assert [outcome.ok for outcome in execute.execute([book])] == [True]
    assert execute.execute([book]) == []
    executed = nbformat.read(execute.copy_of(book), as_version=4)
    assert pages.code_cells(executed)[1].outputs[0].data["text/plain"] == "2"
    edit(book, "x + 1", "x + missing")
    pages.write(book)
    (outcome,) = execute.execute([book])
    assert not outcome.ok
    assert "x + missing" in outcome.output
    assert "NameError" in outcome.output
    assert not execute.is_fresh(book, mark(book))


def test_a_page_that_hangs_is_killed(book, monkeypatch):
    monkeypatch.setattr(execute, "SECONDS_A_PAGE", 5)
    edit(book, "x + 1", "import os, signal\n\nos.kill(os.getpid(), signal.SIGSTOP)")
    pages.write(book)
    (outcome,) = execute.execute([book])
    assert not outcome.ok
    assert "killed after 5 seconds" in outcome.output
    assert "killed" in (execute.REPORTS / "page.xml").read_text()


# A kernel reads this file when it starts, before it answers.
DIES = """
import os, pathlib
starts = pathlib.Path({folder!r}) / "starts"
starts.write_text(starts.read_text() + "." if starts.exists() else ".")
if len(starts.read_text()) <= {times}:
    os._exit(1)
"""


@pytest.mark.parametrize(("deaths", "starts"), [(1, 2), (9, 3)])
def test_a_kernel_that_does_not_start_is_started_anew_at_most_twice(book, deaths, starts):
    profile = execute.EXECUTED / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    dies = DIES.format(folder=str(profile), times=deaths)
    (profile / "ipython_kernel_config.py").write_text(dies)
    (outcome,) = execute.execute([book])
    assert outcome.ok == (deaths < starts)
    assert len((profile / "starts").read_text()) == starts


def test_a_kernel_that_dies_in_a_cell_is_not_started_anew(book):
    count = execute.EXECUTED / "count"
    dies = f"import os\n\nopen({str(count)!r}, 'a').write('.')\nos._exit(1)"
    edit(book, "x + 1", dies)
    pages.write(book)
    (outcome,) = execute.execute([book])
    assert not outcome.ok
    assert "Kernel died" in outcome.output
    assert len(count.read_text()) == 1


# --- addresses -----------------------------------------------------------------------------------


def test_all_addresses_agree():
    assert address.apply(check=True) == []


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose files name an old owner and an old version."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nversion = "0.2.0"\n[project.urls]\n'
        'Repository = "https://github.com/you/ibtutor"\n'
        'Documentation = "https://you.example.org/tutor"\n'
    )
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://github.com/old/ibtutor\n  branch: main\n"
        "html: {baseurl: https://old.github.io/ibtutor}\n"
    )
    (tmp_path / "page.md").write_text(
        "https://old.github.io/ibtutor/book/a.html https://github.com/old/ibtutor/issues "
        "https://github.com/stale/ibtutor/archive/refs/tags/v0.1.0.zip "
        "https://colab.research.google.com/github/old/ibtutor/blob/v0.1.0/book/a.ipynb "
        "https://github.com/other/project"
    )
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.1.0\n")
    (tmp_path / "__init__.py").write_text('__version__ = "0.1.0"\n')
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    return tmp_path


def test_a_new_address_is_written_everywhere_and_twice_changes_nothing(checkout):
    written = ["CITATION.cff", "__init__.py", "page.md", "_config.yml"]
    assert address.apply(checkout) == written
    assert address.apply(checkout) == []
    assert (checkout / "page.md").read_text() == (
        "https://you.example.org/tutor/book/a.html https://github.com/you/ibtutor/issues "
        "https://github.com/you/ibtutor/archive/refs/tags/v0.2.0.zip "
        "https://colab.research.google.com/github/you/ibtutor/blob/v0.2.0/book/a.ipynb "
        "https://github.com/other/project"
    )


def test_a_release_opens_and_installs_its_tag_and_work_after_it_main(checkout):
    address.apply(checkout)
    for version, ref, archive in [
        ("0.2.0", "v0.2.0", "tags/v0.2.0"),
        ("0.3.0.dev0", "main", "heads/main"),
        ("0.3.0", "v0.3.0", "tags/v0.3.0"),
    ]:
        text = (checkout / "pyproject.toml").read_text()
        (checkout / "pyproject.toml").write_text(
            re.sub('version = ".*"', f'version = "{version}"', text)
        )
        address.apply(checkout)
        page, config = (checkout / name for name in ("page.md", "_config.yml"))
        assert f"/blob/{ref}/book/a.ipynb" in page.read_text()
        assert f"/archive/refs/{archive}.zip" in page.read_text()
        assert f"  branch: {ref}\n" in config.read_text()
        assert (checkout / "CITATION.cff").read_text().endswith(f"\nversion: {version}\n")
        assert (checkout / "__init__.py").read_text() == f'__version__ = "{version}"\n'
        wanted = address.wanted(checkout)
        assert wanted.archive in page.read_text()
        assert wanted.colab in page.read_text()


def test_copies_that_jupyter_keeps_are_no_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "BOOK", tmp_path)
    for folder in ("", "_included", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "page.md").write_text("```{code-cell} ipython3\n```\n")
    assert pages.sources() == [tmp_path / "page.md"]


# --- margins -------------------------------------------------------------------------------------


def entry(name, value, threshold=1.0, chapter="a"):
    base = {"chapter": chapter, "name": name, "value": value, "threshold": threshold}
    return base | {"above": False, "margin": threshold - value}


def test_margins_are_compared_with_their_spread():
    values = [0.0, 0.2, 0.4]
    exact, shaky = flake.summarize([entry("shaky", v) for v in values] + [entry("exact", 0.5)] * 3)
    assert shaky["margin_over_sd"] == pytest.approx(0.8 / 0.2)
    assert (shaky["runs"], shaky["failed"], shaky["min_margin"]) == (3, 0, 0.6)
    assert math.isinf(exact["margin_over_sd"])


def test_margins_on_other_processors_have_a_column():
    here = [entry("shaky", v) for v in (0.0, 0.2, 0.4)]
    (row,) = flake.summarize(here, [entry("shaky", 0.9), entry("shaky", 0.3)])
    assert row["portable_margin_over_sd"] == pytest.approx(0.1 / 0.2)
    assert flake.too_close(row)
    (row,) = flake.summarize(here, [entry("shaky", 0.3)])
    assert not flake.too_close(row)
    (row,) = flake.summarize(here)
    assert math.isnan(row["portable_margin_over_sd"])
    assert not flake.too_close(row)


@pytest.mark.parametrize("bad", [1.01, math.nan, math.inf, -math.inf])
def test_one_failure_is_too_close_whatever_the_rest(bad):
    (row,) = flake.summarize([entry("rare", 0.0)] * 39 + [entry("rare", bad)])
    assert (row["runs"], row["failed"]) == (40, 1)
    assert row["min_margin"] < 0
    assert flake.too_close(row)
    (alone,) = flake.summarize([entry("alone", bad)])
    assert flake.too_close(alone)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_number_on_other_processors_is_a_failure_there(bad):
    here = [entry("shaky", v) for v in (0.0, 0.2, 0.4)]
    (row,) = flake.summarize(here, [entry("shaky", 0.3), entry("shaky", bad)])
    assert flake.too_close(row)


def test_the_table_keeps_the_rows_of_other_chapters(tmp_path):
    table = tmp_path / "flake.csv"
    flake.save(
        flake.summarize([entry("one", 0.1, chapter="a"), entry("two", 0.1, chapter="b")]), table
    )
    flake.save(flake.summarize([entry("new", 0.2, chapter="b")]), table)
    assert [line.split(",")[:2] for line in table.read_text().splitlines()[1:]] == [
        ["a", "one"],
        ["b", "new"],
    ]


def test_a_run_goes_on_after_a_failed_check(book):
    edit(book, "x = 1", "from ibtutor.checks import base_seed, check\n\nx = base_seed()")
    last = 'check("fails", 2, 1)\ncheck("holds", x, 5)\ndisplay(x)\nraise ValueError("end")'
    edit(book, "x + 1", last)
    code = f"""
import json, pathlib
from tools import flake, pages
pages.BOOK = pathlib.Path({str(book.parent)!r})
result = flake.run_once((pathlib.Path({str(book)!r}), 3, 1))
print(json.dumps(result))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert [(e["name"], e["value"], e["margin"]) for e in result["entries"]] == [
        ("fails", 2.0, -1.0),
        ("holds", 3.0, 2.0),
    ]
    assert "ValueError: end" in result["error"]


# --- prose ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["```{note}\nhello\n```", ":::{tip}\nhello\n:::", "see {ref}`there`", "(label)=\n# Head"],
)
def test_directives_and_roles_are_found(text):
    assert any(prose.is_directive_or_role(token) for token in prose.tokens_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "`{ref}` as code",
        "```python\n{x}\n```",
        "a set $\\{a, b\\}$",
        "<details>\n\nx\n\n</details>",
    ],
)
def test_plain_markdown_is_not_taken_for_directives(text):
    assert not any(prose.is_directive_or_role(token) for token in prose.tokens_of(text))


def test_tags_in_broken_formulas_are_found():
    broken = "$$ a \\\\ b \\tag{1} $$"
    assert any(map(prose.breaks_in_the_browser, prose.tokens_of(broken)))
    assert not any(map(prose.breaks_in_the_browser, prose.tokens_of("$$ a \\tag{1} $$")))


def test_exercises_are_counted_in_their_section():
    cells = ["## Text\n\n**1. No.**", "## Exercises\n\n**1. Recall.** x", "**2. Derive.** y"]
    cells += ["### Exercise 3\n\nz", "## References\n\n**4. No.**"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(c) for c in cells])
    assert prose.exercises(notebook) == 3


def test_headings_inside_details_are_found():
    text = "# A\n\n<details><summary>s</summary>\n\n## B\n\n</details>\n\n## C"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    assert prose.headings_inside_details(notebook) == ["B"]
    assert prose.headings(notebook) == [(1, "A"), (2, "B"), (2, "C")]
