"""The exercises of a chapter, read from its notebook: heads, statements, solutions, stubs.

An exercise begins with its head, `**3 (code, ★★, 15 minutes).**`, below the heading Exercises. Its
solution begins at the first `<details>` that is no hint, or at the first cell tagged `solution`,
and ends at the next head or heading.
"""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("recall", "derive", "code", "derive and code", "research")
HEAD = re.compile(
    r"^\*\*(?P<number>\d+) \((?P<kind>" + "|".join(KINDS) + r"), (?P<stars>★{1,3}), "
    r"(?P<time>(?P<minutes>\d+) minutes|a day|a day and a GPU)\)\.\*\*",
    re.MULTILINE,
)
# Any line that looks like the head of an exercise, well formed or not.
LOOKS_LIKE_A_HEAD = re.compile(r"^\*\*(?:Exercise )?\d+\b.*$", re.MULTILINE)
DETAILS = re.compile(r"^<details>.*?^</details>\n*", re.MULTILINE | re.DOTALL)
HINT = re.compile(r"<summary>\s*Hint", re.IGNORECASE)
SECTION = re.compile(r"^(?=## )", re.MULTILINE)
EXERCISES = re.compile(r"\A## Exercises\b")


@dataclass
class Exercise:
    """One exercise: what its head says, the statement, and its solution as (type, source)."""

    number: int
    kind: str
    stars: int
    time: str
    statement: str
    solution: list[tuple[str, str]] = field(default_factory=list)

    @property
    def minutes(self) -> int | None:
        """Minutes of a first try; None where the head says a day."""
        return int(self.time.split()[0]) if self.time[0].isdigit() else None

    @property
    def code(self) -> str:
        """The solution's code, in one piece; empty where it is prose."""
        return "\n".join(source for kind, source in self.solution if kind == "code")


def pieces(cells: list[Any]) -> list[tuple[str, Any]]:
    """Cells cut at second-level headings and heads of exercises: (where, cell or text).

    `where` is "body", or "exercises" for all that stands in the section of that name.
    """
    found, inside = [], False
    for cell in cells:
        if cell.cell_type != "markdown":
            found.append(("exercises" if inside else "body", cell))
            continue
        for part in SECTION.split(cell.source):
            if part.startswith("## "):
                inside = bool(EXERCISES.match(part))
            if part.strip():
                texts = re.split(rf"(?={HEAD.pattern})", part, flags=re.M) if inside else [part]
                where = "exercises" if inside else "body"
                found += [(where, t.strip("\n")) for t in _joined(texts) if t.strip()]
    return found


def _joined(parts: list[str | None]) -> list[str]:
    """What `re.split` gives for a pattern with groups, without the groups."""
    step = HEAD.groups + 1
    return [part or "" for part in parts[::step]]


def is_solution(cell: Any) -> bool:
    return cell.cell_type == "code" and "solution" in cell.metadata.get("tags", [])


def exercises(cells: list[Any]) -> list[Exercise]:
    """The exercises of a notebook, in order.

    Raises
    ------
    ValueError
        A head is not of the form above.
    """
    found: list[Exercise] = []
    for where, piece in pieces(cells):
        if where != "exercises":
            continue
        if isinstance(piece, str):
            if match := HEAD.match(piece):
                found.append(_exercise(match, piece))
                continue
            if bad := LOOKS_LIKE_A_HEAD.search(piece):
                raise ValueError(
                    f"the head of an exercise is {bad[0][:60]!r}; expected, for instance, "
                    "'**3 (code, ★★, 15 minutes).** …', with a kind of " + ", ".join(KINDS)
                )
            if found and not piece.startswith("## "):
                found[-1].solution.append(("markdown", piece))
        elif found:
            kind = "code" if is_solution(piece) else "given"
            found[-1].solution.append((kind, piece.source))
    return found


def _exercise(match: re.Match, text: str) -> Exercise:
    statement, solution = divided(text)
    one = Exercise(
        int(match["number"]), match["kind"], len(match["stars"]), match["time"], statement
    )
    if solution:
        one.solution.append(("markdown", solution))
    return one


def divided(text: str) -> tuple[str, str]:
    """The statement of an exercise, with its hints, and the solution that follows in the text."""
    for found in DETAILS.finditer(text):
        if not HINT.search(found[0]):
            return text[: found.start()].rstrip(), text[found.start() :].strip()
    return text.rstrip(), ""


def visible_test(code: str) -> str:
    """The checks of a solution: its top-level statements that call `check`.

    >>> visible_test('x = 1\\ncheck("one", x, 1)\\nprint(x)')
    'check("one", x, 1)'
    """
    lines = code.splitlines()
    found = [n for n in ast.parse(code).body if isinstance(n, ast.Expr) and _calls_check(n)]
    return "\n".join("\n".join(lines[n.lineno - 1 : n.end_lineno]) for n in found)


def _calls_check(node: ast.AST) -> bool:
    calls = (n for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(isinstance(n.func, ast.Name) and n.func.id == "check" for n in calls)


def stub_of(code: str) -> str:
    """What the checks of a solution need, left open: a name is `...`, a function has no body.

    >>> print(stub_of('def f(x):\\n    return 2 * x\\ny = f(1)\\ncheck("two", f(1) - y, 0)'))
    def f(x):
        ...  # your code
    <BLANKLINE>
    y = ...  # your code
    """
    used = {n.id for n in ast.walk(ast.parse(visible_test(code))) if isinstance(n, ast.Name)}
    parts, seen = [], set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef) and node.name in used - seen:
            seen.add(node.name)
            parts.append(f"def {node.name}({ast.unparse(node.args)}):\n    ...  # your code\n")
        elif not (isinstance(node, ast.Expr) and _calls_check(node)):
            stored = [n.id for n in ast.walk(node) if _stores(n) and n.id in used - seen]
            for name in dict.fromkeys(stored):
                seen.add(name)
                parts.append(f"{name} = ...  # your code")
    return "\n".join(parts)


def _stores(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
