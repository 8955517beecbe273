"""Events no honest platform writes: each ends applied or before a person, and none holds up the rest of its case."""

import asyncio
from typing import Any

import pytest

from backend.cases.models import Case, Certificate, Correction
from backend.onewindow import inbound, queries
from backend.onewindow.models import Event, Project
from kernel import db, outbox
from tests.backend.onewindow.conftest import storage_folder, work
from tests.backend.onewindow.test_feedback import Work, book, finish, line, new_case, push

__all__ = ["line", "storage_folder", "work"]


def told(number: str, *contents: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "projectNo": number, "seq": seq, "at": f"2026-11-20 11:{seq:02d}:00", "payload": payload}
        for seq, (kind, payload) in enumerate(contents, start=1)
    ]


async def test_nul_in_a_certificate_does_not_hold_up_the_decision(line: None, work: Work) -> None:
    """PostgreSQL refuses U+0000; the national platform's Oracle does not."""
    case_no, number = await new_case()
    named = {"name": "老年人\x00优待证", "no": "YDZ\x001", "issuer": "玉门市\x00民政局", "validTo": "长期\x00"}
    await push(told(number, ("ACCEPTED", {}), ("RESULT", {"code": "0", "certificates": [named]})))
    await finish(work)
    assert (await Case.get(case_no=case_no)).state == "GRANTED"
    assert (await Certificate.get()).name == "老年人优待证"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("RESULT", {"code": "4\x00"}),
        ("CORRECTION", {"reason": "照片不清晰", "deadline": "²"}),
        ("CORRECTION", {"reason": "照片不清晰", "deadline": "9" * 5000}),
        ("CORRECTION", {"reason": "照片不清晰", "deadline": "0001-01-01"}),
        ("RESULT_FILE", {"attachId": 7}),
    ],
)
async def test_what_cannot_be_applied_waits_for_a_person_and_the_rest_goes_on(
    line: None, storage_folder: None, work: Work, kind: str, payload: dict[str, Any]
) -> None:
    case_no, number = await new_case()
    await push(told(number, ("RECEIVED", {}), (kind, payload), ("ACCEPTED", {})))
    await finish(work)
    assert [review.seq for review in await queries.for_review()] == [2]
    assert (await Case.get(case_no=case_no)).state == "ACCEPTED"
    assert await Correction.all().count() == 0


async def test_an_error_of_ours_sets_the_event_aside_after_some_tries(line: None, work: Work) -> None:
    """A payload that was damaged in our own table stands for every bug of ours: it cannot even be opened."""
    case_no, number = await new_case()
    await push(told(number, ("RECEIVED", {}), ("STEP", {"processName": "审核"}), ("ACCEPTED", {})))
    await inbox_only()
    await Event.filter(project_no=number, seq=2).update(payload_sealed="damaged")
    for _ in range(12):
        await finish(work)
    assert [review.seq for review in await queries.for_review()] == [2]
    assert (await Case.get(case_no=case_no)).state == "ACCEPTED"


async def inbox_only() -> None:
    """The message becomes event rows and nothing is applied yet."""
    for job in await outbox.claim(10, lease_ms=30_000):
        await inbound.handle(job)


async def test_a_late_step_does_not_undo_the_decision_for_the_parcel(line: None, work: Work) -> None:
    """A parcel is told after the decision; a step that is written down later takes nothing back."""
    _, number = await new_case()
    events = told(number, *((e["type"], e["payload"]) for e in book(number)), ("STEP", {"processName": "归档前核对"}))
    await push(events)
    await finish(work)
    project = await Project.get(project_no=number)
    assert (project.applied_seq, project.wire_state) == (len(events), "FINISHED")


async def test_two_who_store_the_same_events_in_opposite_order_do_not_block_each_other(line: None) -> None:
    numbers = [(await new_case())[1] for _ in range(3)]
    events = [event for number in numbers for event in inbound.events_of(_lower(book(number)))]

    async def keep(some: list[inbound.WireEvent]) -> int:
        async with db.transaction():
            return len(await inbound.store(some, pulled=False))

    counts = await asyncio.gather(keep(events), keep(events[::-1]), keep(events[5:] + events[:5]))
    assert sum(counts) == len(events)


def _lower(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key.lower(): value for key, value in entry.items()} for entry in entries]


async def test_messages_about_one_project_are_opened_one_after_the_other(line: None) -> None:
    """Two workers that open them at once would let the later telling stand."""
    _, number = await new_case()
    _, other = await new_case()
    await push(book(number)[:1])
    await push(book(number)[:2])
    await push(book(other)[:1])
    first, second = await outbox.claim(10, lease_ms=30_000), await outbox.claim(10, lease_ms=30_000)
    assert (len(first), len(second)) == (2, 0)
