"""The page docs/one-window.md says what the code does."""

import re
from pathlib import Path

from backend.onewindow import answers, facts, settings, states
from backend.onewindow.settings import OneWindowSettings

PAGE = (Path(__file__).parents[3] / "docs" / "one-window.md").read_text(encoding="utf-8")


def table(header: str) -> list[list[str]]:
    """The rows below a header line."""
    _, _, rest = PAGE.partition(f"| {header} |")
    lines = rest.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_states_and_labels() -> None:
    rows = [(state, label) for state, label in table("state | what people read")]
    assert rows == [(str(state), label.label) for state, label in states.FORWARDING.labels.items()]


def test_codes() -> None:
    rows = {int(code): meaning for code, meaning, _ in table("answer | meaning | what we do")}
    assert rows == {
        code: answers.read("case.push", answers.Reply(200, code)).meaning.value
        for code in (200, 300, 301, 302, 303, 304, 305, 429, 500)
    }


def test_events() -> None:
    assert tuple(row[0] for row in table("event | effect on the case")) == facts.TYPES


def test_result_codes() -> None:
    defaults = OneWindowSettings.__dataclass_fields__["result_codes"].default
    rows = dict(table("result code | outcome"))
    assert rows == {code: outcome.value for code, outcome in defaults}
    assert set(rows) | {"1"} == set(settings.RESULT_CODES)


def test_headers() -> None:
    from backend.onewindow import signing

    named = {row[0] for row in table("header | content")}
    assert named == set(signing.signed_headers(profile="ref", rid="r", secret="s", verb="v", body=b"", now_ms=10**12))
    assert re.search(r"ref-sm.*refused", PAGE)
