"""docs/notifications.md says what the code does."""

import re
from pathlib import Path

from notifications.channels.wechat_values import KINDS
from notifications.states import CARRIED, DELIVERY, DeliveryState
from notifications.templates import TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(text: str, columns: int) -> list[list[str]]:
    cells = [
        [c.strip(" `") for c in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]
    return [row for row in cells if len(row) == columns][1:]


def word(flag: bool) -> str:
    return "yes" if flag else "no"


def test_every_state_is_on_the_page_with_its_words():
    expected = []
    for state in DeliveryState:
        label = DELIVERY.label(state)
        expected.append([state.name, label.status, label.label, word(label.finished), word(state in CARRIED)])
    assert rows(section("States of a message on one channel"), 5) == expected


def test_every_edge_is_on_the_page():
    expected = {(e.source.name, str(e.action), e.target.name, ", ".join(sorted(e.by))) for e in DELIVERY.edges}
    assert {tuple(row) for row in rows(section("States of a message on one channel"), 4)} == expected


def test_every_template_is_on_the_page_with_its_values_and_its_text():
    found = {row[0]: row for row in rows(section("Templates"), 4)}
    assert set(found) == set(TEMPLATES)
    for name, template in TEMPLATES.items():
        assert found[name][1] == template.title
        assert found[name][3] == template.text
        named = dict(re.findall(r"`?(\w+)` (\w+)", found[name][2]))
        assert named == {field: str(kind) for field, kind in template.fields.items()}


def test_every_kind_of_value_is_on_the_page():
    assert set(re.findall(r"`([a-z_]+)`", section("Values WeChat accepts"))) >= KINDS
