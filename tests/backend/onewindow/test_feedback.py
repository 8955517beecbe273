"""News of the platform: whatever the order, however often, forged or torn, a case ends where the platform's book says."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.cases import runtime as cases_runtime
from backend.cases.models import Case, Correction
from backend.cases.models import Event as CaseEvent
from backend.cases.settings import CasesSettings
from backend.onewindow import feedback, inbound, ports, queries, signing
from backend.onewindow.models import Event, Project
from backend.onewindow.settings import OneWindowSettings
from kernel import clock, db, http
from kernel.config import load_one
from tests.backend.onewindow.conftest import NoPlanner, Parcels
from tests.backend.onewindow.samples import submitted_case

LINE = load_one(
    OneWindowSettings,
    {
        "ONEWINDOW_BASE_URL": "http://127.0.0.1:9",  # nobody listens: every pull fails at once
        "ONEWINDOW_RID": "us",
        "ONEWINDOW_SECRET": "ours",
        "ONEWINDOW_PLATFORM_RID": "them",
        "ONEWINDOW_PLATFORM_SECRET": "theirs",
    },
)
serials = itertools.count(1)
Work = Callable[[], Awaitable[None]]


@pytest.fixture
async def line(database: None, tmp_path: Path) -> AsyncIterator[None]:
    """The slice with a platform that never answers, only calls."""
    ports.configure(settings=LINE, partner=http.Partner("onewindow", LINE.base_url), parcels=Parcels())
    cases_runtime.configure(
        load_one(CasesSettings, {}), planner=NoPlanner(), work_folder=tmp_path / "work", production=False
    )
    yield
    await http.close()
    await cases_runtime.close()


def message(events: list[Any]) -> tuple[dict[str, str], bytes]:
    """A well signed push."""
    raw = json.dumps({"events": events}, ensure_ascii=False).encode()
    headers = signing.signed_headers(
        profile="ref", rid="them", secret="theirs", verb="event.push", body=raw, now_ms=clock.now_ms()
    )
    return headers, raw


async def push(events: list[Any]) -> dict[str, Any]:
    headers, raw = message(events)
    status, body = await feedback.receive(verb="event.push", headers=headers, raw=raw)
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


def book(number: str) -> list[dict[str, Any]]:
    """A whole case as the platform writes it down."""
    contents: list[tuple[str, dict[str, Any]]] = [
        ("RECEIVED", {"receiveUser": "甲"}),
        (
            "CORRECTION",
            {
                "no": 1,
                "materials": [{"materialId": "photo", "problem": "不清晰"}],
                "reason": "照片不清晰",
                "deadline": 5,
                "unit": "W",
                "sender": "甲",
            },
        ),
        ("ACCEPTED", {"acceptDate": "2026-11-20", "promiseDate": "2026-11-27", "acceptDocNo": "1"}),
        ("STEP", {"processName": "审核", "start": "2026-11-20 11:03:00", "user": "乙", "opinion": "属实"}),
        ("SUSPEND_START", {"id": "T1", "type": "2", "name": "核实", "reason": "核实原证", "days": 3}),
        ("SUSPEND_END", {"id": "T1", "result": "属实"}),
        (
            "RESULT",
            {
                "code": "0",
                "explain": "准予",
                "certificates": [{"name": "老年人优待证", "no": "YDZ1", "issuer": "玉门市民政局"}],
                "deliver": 1,
            },
        ),
        ("CLOSED", {"at": "2026-11-20 11:08:00"}),
    ]
    return [
        # Pairs of events share a second, as they do on the wire.
        {"type": kind, "projectNo": number, "seq": seq, "at": f"2026-11-20 11:{seq // 2:02d}:00", "payload": payload}
        for seq, (kind, payload) in enumerate(contents, start=1)
    ]


async def new_case() -> tuple[str, str]:
    """A case that the platform has; its number and the platform's."""
    serial = next(serials)
    sample = await submitted_case(serial=serial, ready=False, photo=b"")
    number = f"P-{serial}"
    await Project.create(case_no=sample.case_no, project_no=number, wire_version=1)
    return sample.case_no, number


async def finish(work: Work) -> None:
    """Work until nothing changes, retries included."""
    for _ in range(2):
        await work()
        await db.execute("UPDATE kernel_outbox SET run_at = 0 WHERE state = 0")
    await work()


async def history(case_no: str) -> list[tuple[str, str]]:
    case = await Case.get(case_no=case_no)
    rows = await CaseEvent.filter(case_id=case.id).order_by("seq")
    return [(row.kind, row.to_state) for row in rows]


async def test_the_book_in_order(line: None, work: Work) -> None:
    case_no, number = await new_case()
    answer = await push(book(number))
    assert answer["code"] == 200
    assert [item["seq"] for item in answer["data"]["acked"]] == list(range(1, 9))
    await finish(work)
    case = await Case.get(case_no=case_no)
    assert (case.state, str(case.promise_on), case.deliver) == ("GRANTED", "2026-11-27", True)
    assert [kind for kind, _ in await history(case_no)] == [
        "received",
        "ask_correction",
        "supply",
        "accept",
        "start",
        "step",
        "open_special",
        "close_special",
        "grant",
        "archived",
    ]
    correction = await Correction.get(case_id=case.id)
    assert clock.local(correction.deadline_at).date().isoformat() == "2026-11-27"


EVENTS = 8


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(EVENTS)),
    again=st.lists(st.integers(0, EVENTS - 1), max_size=6),
    cuts=st.sets(st.integers(1, EVENTS + 5), max_size=5),
    pauses=st.integers(0, 3),
)
async def test_any_order_and_any_copies_end_in_the_same_history(
    line: None, work: Work, order: list[int], again: list[int], cuts: set[int], pauses: int
) -> None:
    reference, number = await new_case()
    await push(book(number))
    await finish(work)
    case_no, number = await new_case()
    events = book(number)
    told = [events[index] for index in [*order, *again]]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(told)), len(told)]
    for turn, (start, end) in enumerate(itertools.pairwise(bounds)):
        await push(told[start:end])
        if turn < pauses:
            await work()
    await finish(work)
    assert await history(case_no) == await history(reference)
    assert (await Project.get(case_no=case_no)).applied_seq == EVENTS
    assert (await Case.get(case_no=case_no)).state == "GRANTED"


async def test_a_gap_holds_later_events_back_and_no_other_case(line: None, work: Work) -> None:
    held, held_number = await new_case()
    free, free_number = await new_case()
    events = book(held_number)
    await push([events[0], events[2], *book(free_number)])
    await finish(work)
    assert (await Case.get(case_no=held)).accepted_at is None
    assert (await Case.get(case_no=free)).state == "GRANTED"
    await push([events[1]])
    await finish(work)
    assert (await Case.get(case_no=held)).state == "ACCEPTED"


async def rows() -> dict[str, int]:
    """How many rows any message could add to."""
    tables = ("kernel_inbox", "kernel_outbox", "kernel_nonce", "onewindow_event", "cases_event")
    return {table: (await db.fetch(f"SELECT COUNT(*) AS n FROM {table}"))[0]["n"] for table in tables}


async def test_no_flipped_bit_gets_through(line: None) -> None:
    _, number = await new_case()
    headers, raw = message(book(number)[:1])
    before = await rows()
    for name, value in headers.items():
        for position in range(len(value)):
            for bit in range(7):
                flipped = chr(ord(value[position]) ^ (1 << bit))
                changed = {**headers, name: value[:position] + flipped + value[position + 1 :]}
                _, body = await feedback.receive(verb="event.push", headers=changed, raw=raw)
                assert json.loads(body)["code"] == 301
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 1 << (position % 8)
        _, body = await feedback.receive(verb="event.push", headers=headers, raw=bytes(damaged))
        assert json.loads(body)["code"] == 301
    assert await rows() == before


async def test_our_own_credentials_do_not_open_the_door_and_an_old_message_neither(line: None) -> None:
    _, number = await new_case()
    raw = message(book(number)[:1])[1]
    now = clock.now_ms()
    before = await rows()
    strangers = [
        {"rid": "us", "secret": "ours", "now_ms": now},
        {"rid": "them", "secret": "ours", "now_ms": now},
        {"rid": "them", "secret": "theirs", "now_ms": now - 301_000},
        {"rid": "them", "secret": "theirs", "now_ms": now + 301_000},
    ]
    for who in strangers:
        headers = signing.signed_headers(profile="ref", verb="event.push", body=raw, **who)
        _, body = await feedback.receive(verb="event.push", headers=headers, raw=raw)
        assert json.loads(body)["code"] == 301
    assert await rows() == before


async def test_a_replayed_message_is_refused_a_repeated_one_is_acknowledged_again(line: None, work: Work) -> None:
    _, number = await new_case()
    events = book(number)[:1]
    headers, raw = message(events)
    first = json.loads((await feedback.receive(verb="event.push", headers=headers, raw=raw))[1])
    replay = json.loads((await feedback.receive(verb="event.push", headers=headers, raw=raw))[1])
    again = await push(events)
    assert (first["code"], replay["code"], again["code"]) == (200, 301, 200)
    assert again["data"]["acked"] == first["data"]["acked"]
    assert again["data"]["duplicate"] is True
    await finish(work)
    assert await Event.filter(project_no=number).count() == 1


async def test_header_names_may_come_in_any_case(line: None) -> None:
    _, number = await new_case()
    headers, raw = message(book(number)[:1])
    shouted = {name.upper(): value for name, value in headers.items()}
    _, body = await feedback.receive(verb="event.push", headers=shouted, raw=raw)
    assert json.loads(body)["code"] == 200


@pytest.mark.parametrize("verb", ["attach.get", "case.push", "../event.push", ""])
async def test_we_offer_one_verb(line: None, verb: str) -> None:
    headers, raw = message([])
    _, body = await feedback.receive(verb=verb, headers=headers, raw=raw)
    assert json.loads(body)["code"] == 302


async def test_unreadable_items_are_not_acknowledged_and_hinder_nobody(line: None, work: Work) -> None:
    case_no, number = await new_case()
    good = book(number)[0]
    bad: list[Any] = [
        None,
        [],
        "RECEIVED",
        {**good, "seq": 0},
        {**good, "seq": True},
        {**good, "seq": 2**31},
        {**good, "seq": "1"},
        {**good, "projectNo": ""},
        {**good, "projectNo": "x" * 51},
        {**good, "projectNo": "P\x001"},
        {**good, "type": "received"},
    ]
    answer = await push([*bad, good])
    assert answer["data"]["acked"] == [{"projectNo": number, "seq": 1}]
    await finish(work)
    assert (await Case.get(case_no=case_no)).received_at is not None


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"events":{}}', b"\xff", b"[" * 100_000])
async def test_what_is_no_event_message_is_rejected_whole(line: None, raw: bytes) -> None:
    headers = signing.signed_headers(
        profile="ref", rid="them", secret="theirs", verb="event.push", body=raw, now_ms=clock.now_ms()
    )
    _, body = await feedback.receive(verb="event.push", headers=headers, raw=raw)
    assert json.loads(body)["code"] == 300


async def test_the_first_telling_stands(line: None, work: Work) -> None:
    case_no, number = await new_case()
    events = book(number)
    await push(events[:3])
    await push([{**events[2], "payload": {"acceptDate": "2026-11-20 11:02:00", "promiseDate": "2030-01-01"}}])
    await finish(work)
    assert str((await Case.get(case_no=case_no)).promise_on) == "2026-11-27"
    assert [row.note for row in await queries.for_review()] == ["同一序号后来收到了不同内容"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"type": "PARTY"}, "不认识的事件类型"),
        ({"at": "yesterday"}, "时间无法识别"),
        ({"type": "NOT_ACCEPTED", "payload": {"reason": " null "}}, "没有写明理由"),
        ({"type": "CORRECTION", "payload": {"no": 1}}, "没有写明要补什么"),
        ({"type": "CORRECTION", "payload": {"no": 1, "reason": "补", "deadline": "soon"}}, "期限无法识别"),
        ({"type": "SUSPEND_START", "payload": {"reason": "等"}}, "没有编号"),
        ({"type": "RESULT", "payload": {"code": "1"}}, "含义不明确"),
        ({"type": "RESULT", "payload": {}}, "含义不明确"),
        ({"type": "RESULT_FILE", "payload": {}}, "没有附件编号"),
    ],
)
async def test_what_cannot_be_understood_waits_for_a_person_and_the_rest_goes_on(
    line: None, work: Work, change: dict[str, Any], complaint: str
) -> None:
    case_no, number = await new_case()
    events = book(number)
    await push([events[0], {**events[1], **change}, events[2]])
    await finish(work)
    assert [complaint in row.note for row in await queries.for_review()] == [True]
    assert (await Case.get(case_no=case_no)).state == "ACCEPTED"


@pytest.mark.parametrize(
    ("code", "state"),
    [("0", "GRANTED"), ("6", "GRANTED"), ("7", "REFUSED"), ("5", "RETURNED"), ("2", "VOID"), ("3", "VOID")],
)
async def test_result_codes(line: None, work: Work, code: str, state: str) -> None:
    case_no, number = await new_case()
    events = book(number)[:4]
    result = {"code": code, "explain": "x", "reason": "y", "certificates": [], "deliver": 0}
    events.append({"type": "RESULT", "projectNo": number, "seq": 5, "at": "2026-11-20 11:05:00", "payload": result})
    await push(events)
    await finish(work)
    assert (await Case.get(case_no=case_no)).state == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 11:05:00", "2026-11-20T11:05:00+08:00"),
        ("20261120110500", "2026-11-20T11:05:00+08:00"),
        ("20261120T110500", "2026-11-20T11:05:00+08:00"),
        ("2026112011:05:00", "2026-11-20T11:05:00+08:00"),
        ("2026-13-20 11:05:00", None),
        ("0026-11-20 11:05:00", None),
        ("", None),
        (None, None),
        (20261120110500, None),
    ],
)
def test_moments_of_the_wire(text: Any, expected: str | None) -> None:
    found = inbound.moment(text)
    assert (found.isoformat() if found else None) == expected


async def test_the_personal_part_of_an_event_lies_sealed(line: None, work: Work) -> None:
    _, number = await new_case()
    await push(book(number))
    await finish(work)
    for table in ("kernel_inbox", "kernel_outbox", "onewindow_event"):
        assert "YDZ1" not in repr(await db.fetch(f"SELECT * FROM {table}"))
