"""The table of demo people in docs/sandbox.md says of everybody whether WeChat knows them."""

from pathlib import Path

import pytest

from sandbox.people import DEMO_PEOPLE

PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("person", DEMO_PEOPLE, ids=lambda person: person.key)
def test_everybody_is_listed_as_they_are(person):
    (row,) = [line for line in PAGE.splitlines() if f"| `{person.key}` |" in line]
    assert person.name in row
    assert person.id_number in row
    assert person.phone in row
    assert ("没有微信" in row) is not person.wechat
