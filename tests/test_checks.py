"""check() passes, fails and logs its margin."""

import json

import pytest

from ibtutor.checks import Passed, base_seed, check


def test_says_so_in_one_line_and_returns_nothing(capsys):
    assert check("error", 1e-9, 1e-6) is None
    check("accuracy", 0.97, 0.9, above=True)
    assert capsys.readouterr().out.splitlines() == [
        "ok: error (1e-09 <= 1e-06)",
        "ok: accuracy (0.97 >= 0.9)",
    ]


def test_numbers_fold_where_html_is_shown():
    text = Passed("a < b", "1 <= 2")._repr_html_()
    assert "<summary>ok: a &lt; b</summary><code>1 &lt;= 2</code>" in text


@pytest.mark.parametrize(
    ("value", "threshold", "above"),
    [(2.0, 1.0, False), (0.5, 1.0, True), (float("nan"), 1.0, False), (float("inf"), 1.0, True)],
)
def test_fails_with_both_numbers(value, threshold, above):
    with pytest.raises(AssertionError, match=f"got {value:g}"):
        check("x", value, threshold, above=above)


def test_logs_every_margin_with_its_seed(tmp_path, monkeypatch):
    log = tmp_path / "margins.jsonl"
    monkeypatch.setenv("IBTUTOR_CHECK_LOG", str(log))
    monkeypatch.setenv("IBTUTOR_SEED", "3")
    check("gap", 0.25, 1.0)
    with pytest.raises(AssertionError):
        check("rise", 0.25, 1.0, above=True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["name"], line["margin"], line["seed"]) for line in lines] == [
        ("gap", 0.75, 3),
        ("rise", -0.75, 3),
    ]


def test_a_seed_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("IBTUTOR_SEED", "one")
    with pytest.raises(ValueError, match="'one'"):
        base_seed()
