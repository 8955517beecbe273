"""docs/progress.md has every mission row once, and calls nothing working that no test of that name drives through the public API."""

import ast
import re

from tests.docs.pages import ROOT, page, rows, sections

STATES = {"absent", "partial", "working", "proven"}
ROWS = [f"M{n:02d}" for n in range(1, 70)] + [f"A{n:02d}" for n in range(1, 29)]
SECTIONS = sections(page("progress.md"))
TABLE = rows(SECTIONS["The channel"]) + rows(SECTIONS["Adapters"])


def named_after(row: str) -> list[str]:
    found = []
    for path in (ROOT / "tests" / "rows").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(f"test_{row}_"):
                found.append(node.name)
    return found


def test_every_row_stands_here_exactly_once_and_in_order():
    assert [row[0] for row in TABLE] == ROWS


def test_every_state_is_one_of_four():
    assert {row[1] for row in TABLE} <= STATES


def test_what_is_called_working_has_its_tests():
    for row, state, evidence in TABLE:
        if state in ("working", "proven"):
            assert len(named_after(row)) >= 2, f"{row}: the granting and the refusing path"
            assert "tests/rows/" in evidence, row


def test_what_has_named_after_its_own_is_not_called_absent():
    assert [row for row, state, _ in TABLE if state == "absent" and named_after(row)] == []


def test_what_is_partial_says_what_is_missing():
    assert [row for row, state, evidence in TABLE if state == "partial" and "Missing:" not in evidence] == []


def test_every_named_test_exists():
    named = set(re.findall(r"`(tests/[\w./-]+)`", page("progress.md")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_sum_at_the_top_is_the_sum_of_the_table():
    counted = {state: sum(row[1] == state for row in TABLE) for state in STATES}
    told = re.search(r"(\d+) working, (\d+) partial, (\d+) absent", page("progress.md"))
    assert [int(n) for n in told.groups()] == [
        counted["working"] + counted["proven"],
        counted["partial"],
        counted["absent"],
    ]
