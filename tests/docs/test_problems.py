"""docs/problems.md lists every refusal a person can meet, with its status, its title and what to do."""

import re

from kernel.problems import all_problems
from miniprogram_api.problems import TYPE_BASE
from tests.docs.pages import import_everything, page, rows

import_everything()
PROBLEMS = sorted({(c.code, c.status, c.title) for c in all_problems() if not c.__module__.startswith("tests.")})
PAGE = page("problems.md")


def documented() -> list[list[str]]:
    return [[re.sub(r"<a id=.*?></a>", "", row[0]).strip("`"), *row[1:]] for row in rows(PAGE)]


def test_every_problem_is_on_the_page_as_the_code_has_it():
    assert sorted((code, int(status), title) for code, status, title, _ in documented()) == PROBLEMS


def test_every_problem_says_what_to_do():
    assert [row[0] for row in documented() if len(row[3]) < 4] == []


def test_a_code_means_one_thing():
    assert len({code for code, _, _ in PROBLEMS}) == len(PROBLEMS)


def test_codes_are_kebab_case_and_titles_are_chinese():
    for code, _, title in PROBLEMS:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", code), code
        assert re.search(r"[一-鿿]", title), code


def test_the_type_of_an_answer_leads_to_its_row():
    """`type` ends in `#code`, and each row carries that anchor."""
    assert TYPE_BASE.endswith("/docs/problems#")
    anchors = re.findall(r'<a id="([a-z0-9-]+)"></a>', PAGE)
    assert sorted(anchors) == [code for code, _, _ in PROBLEMS]
