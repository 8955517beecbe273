"""The two pages about the catalogue: their examples are right and they forget no rule."""

import inspect
import json
import re
from pathlib import Path

import pytest

from backend.catalog import form_shorthand, forms, lint

DOCS = Path(__file__).resolve().parents[3] / "docs"
FORMS = (DOCS / "forms.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", FORMS, re.DOTALL))
def test_the_examples_on_the_forms_page_are_forms(example):
    assert forms.check_schema(json.loads(example)) == ()


def test_the_forms_page_names_every_format_widget_and_kind():
    words = [*forms.FORMATS, *form_shorthand._WIDGETS.values(), *form_shorthand.Kind.__args__, *forms._X_UI]
    assert [word for word in words if f"`{word}`" not in FORMS] == []


def test_the_catalogue_page_explains_every_lint_rule():
    page = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    rules = set(re.findall(r"\bL\d\d\b", inspect.getsource(lint)))
    assert rules == set(re.findall(r"^\| (L\d\d) \|", page, re.MULTILINE))
