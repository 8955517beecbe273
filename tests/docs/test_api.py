"""docs/api.md lists every route with who may call it, as the table of endpoints has it. `python -m tests.docs` writes the tables."""

import pytest

from miniprogram_api.app import load_endpoints
from tests.docs.endpoints import cells
from tests.docs.pages import page, rows, sections

ENDPOINTS = load_endpoints()
SECTIONS = sections(page("api.md"))


@pytest.mark.parametrize("tag", list(dict.fromkeys(row.tag for row in ENDPOINTS)))
def test_every_route_is_listed_as_it_is(tag):
    assert rows(SECTIONS[tag]) == [cells(row) for row in ENDPOINTS if row.tag == tag], "run: python -m tests.docs"


def test_no_route_is_listed_that_does_not_exist():
    listed = sum(
        len(rows(text))
        for heading, text in SECTIONS.items()
        if heading not in ("Conventions", "A first case with curl", "Rights")
    )
    assert listed == len(ENDPOINTS)
