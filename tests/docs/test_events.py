"""docs/events.md says who publishes what, who hears it, in which lane, and which timers run."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType

from backend import wiring
from tests.docs.pages import ROOT, import_everything, page, rows, sections

SECTIONS = sections(page("events.md"))
EVENTS = rows(SECTIONS["Events"])
TOPICS = rows(SECTIONS["Topics"])
TIMERS = rows(SECTIONS["Timers"])
PACKAGES = ("kernel", "payments", "notifications", "backend", "miniprogram_api")
# Call sites that pass a name on instead of choosing one.
PASSING_ON = {
    "kernel/worker.py",  # the fan-out: names come from the subscriptions
    "kernel/jobs.py",  # ticks: job.<name>
    "kernel/inbox.py",  # inbox.<partner>
    "backend/cases/steps.py",  # steps.publish, called by the rest of the slice
    "payments/transitions.py",  # refund.succeeded, refund.failed, refund.denied: by the state that was reached
    "backend/delivery/parcels.py",  # parcel.moved and the news of a state
}


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_event_with_its_hearers():
    assert {words(row[0])[0]: tuple(words(row[3])) for row in EVENTS} == wiring.subscriptions()


def test_every_topic_with_its_handler_and_patience():
    expected = [
        (t.name, f"{t.handler.__module__}.{t.handler.__name__}", f"{t.max_age_hours:g} h") for t in wiring.topics()
    ]
    assert [(words(row[0])[0], words(row[2])[0], row[3]) for row in TOPICS] == expected


def test_every_timer():
    expected = [(job.name, f"{job.every_seconds:g} s") for job in wiring.recurring()]
    assert [(words(row[0])[0], row[1]) for row in TIMERS] == expected


def test_every_hearer_is_a_topic():
    known = {topic.name for topic in wiring.topics()}
    assert {name for names in wiring.subscriptions().values() for name in names} <= known


def published() -> dict[str, set[str]]:
    """Name → files that publish it, read from the calls themselves; a name that is only passed on counts as "…"."""
    import_everything()
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            file = str(path.relative_to(ROOT))
            module = sys.modules.get(file.removesuffix("/__init__.py").removesuffix(".py").replace("/", "."))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _called(node) == "publish" and node.args:
                    found.setdefault(_value(node.args[0], module), set()).add(file)
    return found


def _value(first: ast.expr, module: ModuleType | None) -> str:
    if isinstance(first, ast.Constant):
        return str(first.value)
    known: object = None
    if isinstance(first, ast.Name):
        known = getattr(module, first.id, None)
    elif isinstance(first, ast.Attribute) and isinstance(first.value, ast.Name):
        known = getattr(getattr(module, first.value.id, None), first.attr, None)
    return known if isinstance(known, str) else "…"


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_published_name_is_on_the_page():
    found = published()
    assert found.pop("…") == PASSING_ON
    assert set(found) <= {words(row[0])[0] for row in (*EVENTS, *TOPICS)}


def test_every_event_is_published_where_the_page_says():
    calls = published()
    for row in EVENTS:
        event, publisher = words(row[0])[0], words(row[2])[0]
        text = Path(ROOT / publisher).read_text(encoding="utf-8")
        assert "publish(" in text, publisher
        assert publisher in calls.get(event, set()) or (publisher in PASSING_ON and f'"{event}"' in text), event


def test_payloads_hold_ids_and_words_only():
    allowed = {
        "case_no", "bill_no", "refund_no", "subject", "delivery_no", "receipt_no", "review_no", "message_no", "inbox_id", "project_no",
        "ref", "channel", "serial", "kind", "state", "status", "cause", "amount_fen", "seq", "number", "round", "data_version", "passing",
    }  # fmt: skip
    assert {name for row in (*EVENTS, *TOPICS) for name in words(row[1])} <= allowed
