"""Editions from one source, slides, exercises of every chapter, and what bad input gets."""

import ast
import re
import sys

import nbformat
import pytest
import yaml

from ibtutor import cli
from ibtutor.course import build, editions, notebooks, slides, source
from ibtutor.course.exercises import HEAD, exercises, stub_of, visible_test
from tools import address, pages

CHAPTERS = {chapter.slug: chapter for chapter in source.chapters(pages.ROOT)}
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS.values(), ids=list(CHAPTERS))


def code_exercises():
    found = [(s, one) for s, c in CHAPTERS.items() for one in exercises(c.notebook().cells)]
    return [pytest.param(one, id=f"{slug}-{one.number}") for slug, one in found if one.code]


# --- the exercises of every chapter --------------------------------------------------------------


@each_chapter
def test_at_least_five_exercises_from_recall_to_research(chapter):
    found = exercises(chapter.notebook().cells)
    assert len(found) >= 5
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert {"recall", "research"} <= {one.kind for one in found}
    notebooks.check_solved(chapter, found)


@each_chapter
def test_reading_minutes_are_stated(chapter):
    assert source.minutes(chapter.notebook().cells) >= 20


@each_chapter
def test_prerequisites_follow_the_contents(chapter):
    base = address.wanted().documentation + "/book/"
    order = [one.slug for one in source.chapters(pages.ROOT)]
    text = "\n".join(c.source for c in chapter.notebook().cells[:12] if c.cell_type == "markdown")
    # From "You need" to the end of its clause: what only helps may come later.
    needed = re.findall(r"You need\b.*?(?:[.;](?=\s)|\Z)", text, re.DOTALL)
    links = [link for part in needed for link in re.findall(rf"{re.escape(base)}(\w+)\.html", part)]
    late = [s for s in links if s in order and order.index(s) >= order.index(chapter.slug)]
    assert not late, f"{chapter.slug} needs {late}, which come later"


@pytest.mark.parametrize("one", code_exercises())
def test_a_stub_leaves_open_what_the_visible_test_asks(one):
    stub, test = stub_of(one.code), visible_test(one.code)
    if not test:
        assert one.kind == "research"
        return
    ast.parse(stub)
    # Every name of the test that the solution makes is open, so that the test cannot pass.
    space = {}
    exec(stub, space)
    opened = {name for name in space if not name.startswith("__")}
    assert opened
    used = {n.id for n in ast.walk(ast.parse(test)) if isinstance(n, ast.Name)}
    assert opened <= used
    made = {n.id for n in ast.walk(ast.parse(one.code)) if _stored(n)}
    assert made & used <= opened
    checks = [n for n in ast.walk(ast.parse(test)) if _is_check(n)]
    assert all({n.id for n in ast.walk(c) if isinstance(n, ast.Name)} & opened for c in checks)


def _stored(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_check(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"


# --- editions ------------------------------------------------------------------------------------


@each_chapter
def test_students_get_tests_and_no_solutions(chapter):
    text = "\n".join(cell.source for cell in notebooks.for_students(chapter).cells)
    given = exercises(chapter.notebook().cells)
    assert [m["number"] for m in HEAD.finditer(text)] == [str(one.number) for one in given]
    for one in given:
        for _, solution in one.solution:
            lines = [line for line in notebooks.without_title(solution).splitlines()]
            test = visible_test(one.code) if one.code else ""
            telling = [line for line in lines if len(line) > 60 and line not in test]
            assert not [line for line in telling if line in text], one.number
        if test := visible_test(one.code):
            assert test in text


@each_chapter
def test_instructors_get_solutions_timing_and_rubric(chapter):
    notebook = notebooks.for_instructors(chapter)
    text = "\n".join(cell.source for cell in notebook.cells)
    given = exercises(chapter.notebook().cells)
    assert text.count("**Rubric, ") == len(given)
    assert "> **For the instructor.** Reading: " in text
    assert all(solution in text for one in given for _, solution in one.solution)
    folded = [c for c in notebook.cells if "solution" in c.metadata.get("tags", [])]
    assert not [c for c in folded if c.metadata.get("jupyter", {}).get("source_hidden")]


PAGE = [
    nbformat.v4.new_markdown_cell(
        "# A page\n\n**Question.** Why?\n\nYou need nothing. 20 minutes.\n\n## First\n\n$x$.\n\n"
        "\\begin{align*}\na &= b \\\\\nc &= d \\tag{1}\n\\end{align*}"
    ),
    nbformat.v4.new_code_cell("\n".join(f"x{i} = {i}" for i in range(20))),
    nbformat.v4.new_code_cell("print('seen')"),
    nbformat.v4.new_markdown_cell(
        "## Exercises\n\n**1 (recall, ★, 5 minutes).** Say it.\n\n"
        "<details><summary>Hint</summary>\n\nA hint.\n\n</details>\n\n"
        "<details><summary>Solution</summary>\n\nThe secret.\n\n</details>\n\n"
        "**2 (code, ★★, 10 minutes).** Do it."
    ),
    nbformat.v4.new_code_cell(
        "def twice(x):\n    return x + x\ncheck('four', abs(twice(2) - 4), 0)",
        metadata={"tags": ["solution", "hide-cell"]},
    ),
    nbformat.v4.new_markdown_cell("It was easy.\n\n## References\n\nA paper."),
]


@pytest.fixture
def book(tmp_path):
    """A checkout with one page, executed."""
    root = tmp_path / "checkout"
    for folder in ("book", "executed"):
        (root / folder).mkdir(parents=True)
    toc = {"root": "book/index.md", "parts": [{"caption": "A part", "chapters": []}]}
    toc["parts"][0]["chapters"].append({"file": "book/page.md"})
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    notebook = nbformat.v4.new_notebook(cells=PAGE)
    nbformat.write(notebook, root / "book" / "page.ipynb")
    (root / "book" / "page.md").write_text("# A page\n\n```{code-cell} ipython3\n```\n")
    executed = nbformat.from_dict(notebook)
    executed.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="seen")]
    nbformat.write(executed, root / "executed" / "page.ipynb")
    for name in ("book/course/vendor/reveal", "book/_static/mathjax"):
        (root / name).mkdir(parents=True)
        (root / name / "a.js").write_text("//")
    return root


def test_the_student_edition_of_a_small_book(book, tmp_path):
    out = tmp_path / "out"
    build(out, "student", book=book)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == {
        "README.md",
        "notebooks/a_part/page.ipynb",
        "slides/a_part.html",
        "slides/reveal/a.js",
        "slides/mathjax/a.js",
    }
    cells = nbformat.read(out / "notebooks/a_part/page.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells)
    assert "A hint." in text
    assert "*Your answer:*" in text
    assert "def twice(x):\n    ...  # your code" in text
    assert "check('four', abs(twice(2) - 4), 0)" in text
    assert not [word for word in ("The secret", "x + x", "It was easy") if word in text]


def test_a_stub_fails_its_test_and_the_solution_passes(book):
    from ibtutor.checks import check

    student = notebooks.for_students(source.chapters(book)[0])
    stub, test = (
        next(c.source for c in student.cells if tag in c.metadata.get("tags", []))
        for tag in ("answer-2", "test-2")
    )
    with pytest.raises(TypeError):
        exec(f"{stub}\n{test}", {"check": check})
    exec(PAGE[4].source, {"check": check})


def test_the_instructor_edition_of_a_small_book(book, tmp_path):
    out = tmp_path / "out"
    build(out, "instructor", book=book, with_slides=False)
    cells = nbformat.read(out / "notebooks/a_part/page.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells)
    assert [word for word in ("The secret", "x + x", "It was easy") if word not in text] == []
    assert "**Rubric, 4 points.** 2: the check passes." in text
    assert "2 code ★★ 10 minutes" in (out / "timing.md").read_text("utf8")


def test_slides_are_one_a_heading_load_nothing_from_elsewhere_and_solve_nothing(book, tmp_path):
    path = slides.write(tmp_path, "A part", source.chapters(book))
    page = path.read_text("utf8")
    body = page[page.index("<body") :]
    assert body.count("<section><section") == 4  # the part, the title, First, Exercises
    assert 'href="#/1"' in body  # from the part to its chapter
    assert "The secret" not in page
    assert "x + x" not in page
    assert "x19" not in page
    assert "seen" in page
    loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"([^\"]+)\"", page)
    assert loaded
    assert not [link for link in loaded if "//" in link]
    assert not re.findall(r"@import|url\((?!data:|#)", page)


def test_long_text_goes_to_slides_below_its_heading():
    text = "\n\n".join(f"Paragraph {i}. " + "word " * 60 for i in range(12))
    cells = slides.slides(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"## Long\n\n{text}")])
    )
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in cells]
    assert kinds[0] == "slide"
    assert kinds.count("subslide") >= 2
    assert "\n".join(cell.source for cell in cells).count("Paragraph") == 12


# --- bad input -----------------------------------------------------------------------------------


def test_a_folder_that_is_not_empty_is_left_alone(book, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an empty or a new folder"):
        build(out, "student", book=book, with_slides=False)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    with pytest.raises(ValueError, match="got the file"):
        build(out / "mine.txt", "student", book=book, with_slides=False)


def test_a_chapter_whose_notebook_is_lost_is_named(book, tmp_path):
    (book / "book" / "page.ipynb").unlink()
    with pytest.raises(ValueError, match=r"page\.ipynb is missing: run `make pairs`"):
        build(tmp_path / "out", "student", book=book, with_slides=False)


def test_an_assignment_that_shows_its_solution_stops_the_edition(book, tmp_path):
    (book / "course").mkdir()
    cell = ":tags: [answer_q1]\n### BEGIN SOLUTION\n1\n### END SOLUTION"
    text = f"```{{code-cell}} ipython3\n{cell}\n```\n"
    (book / "course" / "assignment_1.md").write_text(text)
    with pytest.raises(ValueError, match=r"assignment_1: students would see .* BEGIN SOLUTION"):
        build(tmp_path / "out", "student", book=book, with_slides=False)
    assert not (tmp_path / "out").exists()


def without_solution(book, cells):
    nbformat.write(nbformat.v4.new_notebook(cells=cells), book / "book" / "page.ipynb")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (PAGE[:4], r"page, exercise 2: a solution was expected"),
        (PAGE[:3], "page has no exercises"),
        (
            [*PAGE[:3], nbformat.v4.new_markdown_cell("## Exercises\n\n**1. Recall.** Say it.")],
            r"the head of an exercise is '\*\*1. Recall.\*\* Say it.'; expected",
        ),
        (
            [
                *PAGE[:4],
                nbformat.v4.new_code_cell("x = 4", metadata={"tags": ["solution"]}),
            ],
            "code without a visible test",
        ),
    ],
)
def test_a_chapter_without_solutions_is_named_and_nothing_is_written(
    book, tmp_path, cells, message
):
    without_solution(book, cells)
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "out", "student", book=book, with_slides=False)
    assert not (tmp_path / "out").exists()


def test_slides_of_a_page_that_was_not_executed_as_it_stands_are_refused(book, tmp_path):
    (book / "executed" / "page.ipynb").unlink()
    with pytest.raises(RuntimeError, match="page was not executed as it stands: run `make book`"):
        build(tmp_path / "out", "student", book=book)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("build", "OUT", "--edition", "teacher"), 2, "got 'teacher'"),
        (("build", "OUT", "--edition", "student", "--book", "/nowhere"), 2, "a checkout of the bo"),
        (("build", "OUT"), 2, "Missing option"),
        (("grade", "ps9", "OUT"), 2, "no assignment 'ps9'"),
        (("grade", "assignment_1", "/nowhere"), 2, "a folder of submissions, got /nowhere"),
    ],
)
def test_bad_use_says_what_was_received(tmp_path, monkeypatch, capsys, arguments, code, message):
    words = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    monkeypatch.setattr(sys, "argv", ["ibtutor", "course", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == code
    assert message in capsys.readouterr().err


def test_editions_have_names():
    assert editions.EDITIONS == ("student", "instructor")


# --- the pages for teachers ----------------------------------------------------------------------


def page(name):
    return (pages.BOOK / "course" / f"{name}.md").read_text("utf8")


def test_the_syllabus_states_the_minutes_that_the_chapters_state():
    rows = re.findall(r"^\| \d\. .*?/book/(\w+)\.html\) \| (\d+) \|", page("syllabus"), re.M)
    assert len(rows) == 8
    stated = {slug: source.minutes(CHAPTERS[slug].notebook().cells) for slug, _ in rows}
    assert {slug: int(minutes) for slug, minutes in rows} == stated


def test_a_lecture_takes_ninety_minutes():
    cards = re.findall(r"grid-item-card\} \d\. .*\n(.*)\n", page("syllabus"))
    assert len(cards) == 8
    totals = [sum(int(part.split()[0]) for part in card.split(" · ")) for card in cards]
    assert totals == [90] * 8


def test_what_is_to_be_run_live_is_a_heading_of_a_chapter():
    text = page("guide") + page("syllabus").replace("live: *", "**Live:** *")
    named = re.findall(r"\*\*Live:\*\* \*([^*]+)\*", text)
    assert len(named) >= 15
    cells = [cell for c in CHAPTERS.values() for cell in c.notebook().cells]
    headings = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not [what for what in named if f"# {what}" not in headings]


def test_the_table_of_submissions_is_that_of_the_test():
    from tests.test_course_grading import EXPECTED

    rows = re.findall(r"^\| [^|]+ \| (\d) \| ", page("guide"), re.M)
    assert [int(score) for score in rows[: len(EXPECTED)]] == [s for s, _ in EXPECTED.values()]


def test_the_rubric_of_the_guide_is_that_of_the_notebooks():
    rows = re.findall(r"^\| (recall|derive|code|research) \| (\d) \|", page("guide"), re.M)
    assert {kind: int(value) for kind, value in rows} == {
        kind: notebooks.points(kind) for kind, _ in rows
    }
    assert len(rows) == 4


@each_chapter
def test_every_exercise_has_an_anchor_on_its_page(chapter):
    built = pages.ROOT / "_build" / "html" / "book" / f"{chapter.slug}.html"
    if not built.exists():
        pytest.skip("the site is not built: run `make book` first")
    found = re.findall(r'<p id="exercise-(\d+)">', built.read_text("utf8"))
    given = exercises(chapter.notebook().cells)
    assert found == [str(one.number) for one in given]
