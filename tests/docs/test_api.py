"""docs/api.md lists every route with who may call it, as the table of endpoints has it."""

import pytest

from miniprogram_api.app import load_endpoints
from tests.docs.pages import page, rows, sections

WHO = {
    frozenset(): "公开",
    frozenset({"citizen"}): "群众",
    frozenset({"courier"}): "快递员",
    frozenset({"citizen", "courier", "agent"}): "登录者",
}
ENDPOINTS = load_endpoints()
SECTIONS = sections(page("api.md"))


def expected(row) -> list[str]:
    size = f"{row.max_body // 1024} kB" if row.method in ("POST", "PUT", "PATCH") else ""
    return [
        f"`{row.method} {row.route}`", row.summary, WHO[row.roles], "key" if row.idempotent else "",
        "etag" if row.etag else "", row.limit or "", size,
    ]  # fmt: skip


@pytest.mark.parametrize("tag", list(dict.fromkeys(row.tag for row in ENDPOINTS)))
def test_every_route_is_listed_as_it_is(tag):
    assert rows(SECTIONS[tag]) == [expected(row) for row in ENDPOINTS if row.tag == tag]


def test_no_route_is_listed_that_does_not_exist():
    listed = sum(len(rows(text)) for heading, text in SECTIONS.items() if heading not in ("Conventions", "Rights"))
    assert listed == len(ENDPOINTS)
