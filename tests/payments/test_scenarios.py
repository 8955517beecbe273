"""docs/scenarios.md and the scenarios' tests name each other, number by number."""

import re
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).parent / "scenarios"
PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
ROWS = {int(number): tests for number, tests in re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)}
NOT_YET = {34, 57, 58, 59, 60}


def played() -> dict[int, set[str]]:
    """The files that hold tests of each number."""
    found = defaultdict(set)
    for path in FOLDER.glob("test_*.py"):
        for number in re.findall(r"^async def test_s(\d\d)_[a-z]", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[int(number)].add(path.name)
    return found


def test_every_number_has_its_row():
    assert sorted(ROWS) == list(range(1, 65))


def test_every_row_names_exactly_the_files_that_play_it():
    assert {number for number, tests in ROWS.items() if tests.startswith("not yet")} == NOT_YET
    named = {
        number: set(re.findall(r"`(test_\w+\.py)`", tests)) for number, tests in ROWS.items() if number not in NOT_YET
    }
    assert named == dict(played())
