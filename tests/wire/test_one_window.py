"""The adapter against the running one-window platform: a case goes out, news comes back, nothing is lost or doubled."""

import base64
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from backend.cases import details as cases
from backend.cases.models import Case, Certificate, Event, ResultFile
from backend.onewindow import forwarding, queries
from backend.onewindow.models import Forwarding, Project
from backend.onewindow.ports import ParcelReport, ParcelStep
from kernel import clock, db, outbox, storage
from tests.backend.onewindow.conftest import Parcels, Platform, callback_url, parcels, platform, storage_folder, work
from tests.backend.onewindow.samples import ID_NUMBER, PHOTO, Sample, attach, submitted_case

__all__ = ["callback_url", "parcels", "platform", "storage_folder", "work"]
Work = Callable[[], Awaitable[None]]


async def hurry() -> None:
    """Whatever waits for a later try is due now."""
    await db.execute("UPDATE kernel_outbox SET run_at = 0 WHERE state = 0")


async def number_of(sample: Sample) -> str:
    return (await Project.get(case_no=sample.case_no)).project_no


async def sent(sample: Sample, verb: str = "case.push") -> Forwarding:
    return await Forwarding.filter(case_no=sample.case_no, verb=verb).order_by("-id").first()


async def publish(event: str, sample: Sample, version: int) -> None:
    async with db.transaction():
        await outbox.publish(
            event,
            key=f"{event}:{sample.case_no}:{version}",
            payload={"case_no": sample.case_no, "data_version": version},
            lane=f"case:{sample.case_no}",
        )


async def test_a_case_goes_out_with_its_photo_and_is_acknowledged(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    case = platform.case(number)
    assert (case["clientRef"], case["state"], case["dataVersion"]) == (sample.case_no, "SUBMITTED", 1)
    assert case["body"]["applicant"]["applyerPageCode"] == ID_NUMBER
    assert case["body"]["form"] == [{"name": "reason", "nameCn": "补办原因", "value": "遗失"}]
    attach_id = case["body"]["materials"][0]["attachIds"][0]
    assert platform.partner.desk.attachment(attach_id)[1] == PHOTO
    view = await queries.forwarding(case_no=sample.case_no)
    assert view is not None
    assert (view.state, view.label) == ("acknowledged", "窗口系统已收到")
    calls = await queries.calls(case_no=sample.case_no)
    assert [call.verb for call in calls] == ["case.push", "attach.put", "serial.new"]
    assert ID_NUMBER not in repr(calls)


async def test_the_body_lies_sealed(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    for table in ("onewindow_forwarding", "onewindow_call", "onewindow_event", "kernel_outbox"):
        assert ID_NUMBER not in repr(await db.fetch(f"SELECT * FROM {table}"))
    assert (await sent(sample)).body_sealed


async def test_while_the_platform_is_down_the_case_is_shown_on_its_way(platform: Platform, work: Work) -> None:
    await platform.fault("*", {"drop": "before"}, times=50)
    sample = await submitted_case()
    await work()
    view = await queries.forwarding(case_no=sample.case_no)
    assert view is not None
    assert (view.state, view.label) == ("pending", "已提交，正在送往窗口，系统会自动重发，无需重复提交")
    await platform.http.delete(f"{platform.partner.url}/_control/faults")
    await hurry()
    await work()
    assert (await sent(sample)).state == "acknowledged"


async def test_a_push_that_was_stored_but_not_answered_is_repeated_byte_for_byte(
    platform: Platform, work: Work
) -> None:
    await platform.fault("case.push", {"drop": "after"})
    sample = await submitted_case()
    await work()
    assert (await sent(sample)).state == "sent"
    await hurry()
    await work()
    assert (await sent(sample)).state == "acknowledged"
    first, second = platform.requests("case.push")
    assert first["body"] == second["body"]
    assert first["nonce"] != second["nonce"]
    assert platform.case(await number_of(sample))["dataVersion"] == 1


@pytest.mark.parametrize(
    "effect",
    [
        {"html200": True},
        {"status": 502, "body": "html"},
        {"code": 500},
        {"code": 429},
        {"body": "garbage"},
        {"reply": {"code": 300, "message": "接口令牌不存在"}},
    ],
)
async def test_what_is_no_conclusive_answer_is_tried_again(platform: Platform, work: Work, effect: dict) -> None:
    await platform.fault("case.push", effect)
    sample = await submitted_case()
    await work()
    assert (await sent(sample)).state == "sent"
    await hurry()
    await work()
    assert (await sent(sample)).state == "acknowledged"


async def test_already_in_that_state_is_success(platform: Platform, work: Work) -> None:
    await platform.fault("case.push", {"reply": {"code": 300, "message": "当前业务已办结"}})
    sample = await submitted_case()
    await work()
    assert (await sent(sample)).state == "acknowledged"


async def test_a_refused_signature_is_tried_once_more_at_once_and_then_waits(platform: Platform, work: Work) -> None:
    await platform.fault("case.push", {"reply": {"code": 301}})
    sample = await submitted_case()
    await work()
    assert (await sent(sample)).state == "acknowledged"

    await platform.fault("case.push", {"reply": {"code": 301}}, times=2)
    other = await submitted_case(serial=2)
    await work()
    row = await sent(other)
    assert (row.state, row.attempts) == ("sent", 2)
    await hurry()
    await work()
    assert (await sent(other)).state == "acknowledged"


@pytest.mark.parametrize("code", [300, 302, 303, 304])
async def test_what_the_platform_will_not_take_is_parked_for_a_person(
    platform: Platform, work: Work, code: int
) -> None:
    await platform.fault("case.push", {"reply": {"code": code, "data": {"errors": [{"field": "f", "rule": "r"}]}}})
    sample = await submitted_case()
    await work()
    assert (await sent(sample)).state == "refused"
    parked = await queries.parked()
    assert [(row.case_no, row.code, row.note) for row in parked] == [(sample.case_no, str(code), "f：r")]
    await forwarding.resend(ref=parked[0].ref, operator="操作员甲", reason="平台已更正")
    await work()
    assert (await sent(sample)).state == "acknowledged"
    with pytest.raises(forwarding.NotParked):
        await forwarding.resend(ref=parked[0].ref, operator="操作员甲", reason="再来一次")


async def test_lost_attachments_travel_again(platform: Platform, work: Work) -> None:
    await platform.fault("case.push", {"lose_attachments": True})
    sample = await submitted_case()
    # The fault works on the number in the body, which exists only after serial.new: it is the first push itself.
    await work()
    assert (await sent(sample)).state == "acknowledged"
    assert len(platform.requests("attach.put")) == 2
    assert len(platform.requests("case.push")) == 2


async def test_a_message_too_old_is_given_up_and_shown(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await platform.fault("case.push", {"code": 500}, times=50)
    await work()
    await Forwarding.all().update(started_at=clock.now() - timedelta(hours=73))
    await hurry()
    await work()
    assert (await sent(sample)).state == "dead"
    assert [row.state for row in await queries.parked()] == ["dead"]
    await platform.http.delete(f"{platform.partner.url}/_control/faults")
    await forwarding.resend(ref=(await sent(sample)).ref, operator="操作员甲", reason="线路恢复")
    await work()
    assert (await sent(sample)).state == "acknowledged"


async def test_a_correction_is_asked_answered_and_goes_back(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.clerk(number, "receive", "correction")
    await platform.partner.callbacks.settle()
    await work()
    case = await Case.get(case_no=sample.case_no)
    assert case.state == "CORRECTING"
    async with db.transaction():
        # What the answer of the applicant does in the cases slice, without its screens.
        correction = await case.corrections.all().first()
        case.data_version = 2
        await attach(case, PHOTO + b"sharper", version=2)
        correction.state, correction.answered_version = "answered", 2
        await correction.save()
        case.state = "SUBMITTED"
        await case.save()
    await publish("case.corrected", sample, 2)
    await work()
    stored = platform.case(number)
    assert (stored["state"], stored["dataVersion"]) == ("SUPPLEMENTED", 2)
    attach_id = stored["supplements"][0]["materials"][0]["attachIds"][0]
    assert platform.partner.desk.attachment(attach_id)[1] == PHOTO + b"sharper"
    assert len(platform.requests("attach.put")) == 2


async def test_a_withdrawal_waits_for_the_push_and_then_goes(platform: Platform, work: Work) -> None:
    await platform.fault("case.push", {"code": 500})
    sample = await submitted_case()
    await work()
    await publish("case.withdrawn", sample, 2)
    await work()
    assert platform.requests("case.withdraw") == []
    await hurry()
    await work()
    await hurry()
    await work()
    assert platform.case(await number_of(sample))["state"] == "WITHDRAWN"
    assert (await sent(sample, "case.withdraw")).state == "acknowledged"


async def test_there_is_nothing_to_withdraw_at_a_platform_that_never_took_the_case(
    platform: Platform, work: Work
) -> None:
    await platform.fault("case.push", {"reply": {"code": 300}})
    sample = await submitted_case()
    await work()
    await publish("case.withdrawn", sample, 2)
    await work()
    assert (await sent(sample, "case.withdraw")).state == "acknowledged"
    assert platform.requests("case.withdraw") == []


async def test_a_whole_case_comes_back_with_its_certificate(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    for action in ("receive", "accept", "step", "suspend", "resume", "decide", "result_file", "close"):
        await platform.clerk(number, action)
        await platform.partner.callbacks.settle()
        await work()
    case = await Case.get(case_no=sample.case_no)
    assert (case.state, case.deliver) == ("GRANTED", True)
    assert await Certificate.filter(case_id=case.id).count() == 1
    file = await ResultFile.get(case_id=case.id)
    assert (await storage.get(file.storage_key)).startswith(b"%PDF-")
    assert (await Project.get(case_no=sample.case_no)).applied_seq == 8
    assert all(doc["acked"] for doc in platform.partner.store.all("event"))
    assert await queries.for_review() == []


async def test_a_decision_right_after_acceptance_writes_the_implied_start(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    await platform.clerk(await number_of(sample), "receive", "accept", "decide")
    await platform.partner.callbacks.settle()
    await work()
    case = await Case.get(case_no=sample.case_no)
    kinds = [event.kind for event in await Event.filter(case_id=case.id).order_by("seq")]
    assert case.state == "GRANTED"
    assert kinds == ["received", "accept", "start", "grant"]


async def test_an_unclear_decision_waits_for_a_person(platform: Platform, work: Work) -> None:
    from backend.cases.ports import Outcome
    from backend.onewindow import feedback

    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.clerk(number, "receive", "accept", "step")
    await platform.clerk(number, "decide", code="1")
    await platform.partner.callbacks.settle()
    await work()
    assert (await Case.get(case_no=sample.case_no)).state == "PROCESSING"
    waiting = await queries.for_review()
    assert [(row.case_no, row.type) for row in waiting] == [(sample.case_no, "RESULT")]
    await feedback.confirm_result(project_no=number, seq=waiting[0].seq, outcome=Outcome.REFUSED, operator="操作员甲")
    assert (await Case.get(case_no=sample.case_no)).state == "REFUSED"
    assert await queries.for_review() == []


async def test_events_that_were_never_pushed_are_pulled(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.control("/config", {"event_gap": 2, "event_copies": 1})
    await platform.clerk(number, "receive", "accept", "step")
    await platform.partner.callbacks.settle()
    await work()
    assert (await Case.get(case_no=sample.case_no)).state == "PROCESSING"
    assert (await Project.get(case_no=sample.case_no)).applied_seq == 3
    assert all(doc["acked"] for doc in platform.partner.store.all("event"))


async def test_a_step_right_after_receipt_makes_us_ask_before_we_believe(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.clerk(number, "receive")
    step = {
        "type": "STEP",
        "projectNo": number,
        "seq": 2,
        "at": "2026-11-20 12:00:00",
        "payload": {"processName": "审核"},
    }
    await platform.control("/events/send", {"events": [step]})
    await platform.partner.callbacks.settle()
    await work()
    assert platform.requests("event.pull")
    case = await Case.get(case_no=sample.case_no)
    kinds = [event.kind for event in await Event.filter(case_id=case.id).order_by("seq")]
    assert kinds == ["received", "accept", "start", "step"]


async def test_the_regular_pull_finds_what_was_lost_at_the_end(platform: Platform, work: Work) -> None:
    from backend.onewindow import pulling

    sample = await submitted_case()
    await work()
    await platform.control("/config", {"event_gap": 5})
    await platform.clerk(await number_of(sample), "receive", "accept")
    await pulling.safety_net()
    await pulling.safety_net()
    await work()
    assert (await Case.get(case_no=sample.case_no)).state == "ACCEPTED"


async def test_a_message_backwards_with_a_stranger_in_it_is_sorted_out(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.control("/config", {"event_hold": True})
    await platform.clerk(number, "receive", "accept", "step")
    stranger = {"type": "RESULT", "projectNo": "620981-000000W9", "seq": 1, "at": "2026-11-20 10:00:00", "payload": {}}
    broken = {"type": "RECEIVED", "projectNo": number, "seq": "two"}
    await platform.control("/events/send", {"events": [stranger, broken]})
    await platform.control("/events/flush", {"order": "desc", "together": True})
    await platform.partner.callbacks.settle()
    await work()
    assert (await Case.get(case_no=sample.case_no)).state == "PROCESSING"
    assert [row.case_no for row in await queries.for_review()] == [None]


async def test_a_missing_result_file_stops_nobody(platform: Platform, work: Work) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.clerk(number, "receive", "accept", "decide", "result_file")
    platform.partner.desk.lose_attachments(number)
    await platform.clerk(number, "close")
    await platform.partner.callbacks.settle()
    await work()
    case = await Case.get(case_no=sample.case_no)
    assert case.archived_at is not None
    assert [row.type for row in await queries.for_review()] == ["RESULT_FILE"]


async def test_the_parcel_is_told_after_the_decision(platform: Platform, work: Work, parcels: Parcels) -> None:
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    step = ParcelStep(canonical="PICKED_UP", at="2026-11-20 12:00:00", place="玉门", text="已揽收")
    parcels.reports["D1"] = ParcelReport(carrier="EMS", waybill_no="1234567890123", steps=(step,))
    async with db.transaction():
        payload = {"delivery_no": "D1", "case_no": sample.case_no, "state": "PICKED_UP"}
        await outbox.publish("parcel.moved", key="parcel.moved:D1:1", payload=payload, lane="parcel:D1")
    await work()
    assert platform.requests("delivery.push") == []
    await platform.clerk(number, "receive", "accept", "decide")
    await platform.partner.callbacks.settle()
    await work()
    await hurry()
    await work()
    assert platform.case(number)["state"] == "DELIVERING"
    assert (await sent(sample, "delivery.push")).state == "acknowledged"


async def test_the_national_profile_works_both_ways(platform: Platform, work: Work) -> None:
    from dataclasses import replace

    from backend.onewindow import ports

    runtime = ports.runtime()
    await platform.control("/config", {"profile": "gjzwfwpt"})
    ports.configure(
        settings=replace(runtime.settings, profile="gjzwfwpt"), partner=runtime.partner, parcels=runtime.parcels
    )
    sample = await submitted_case()
    await work()
    number = await number_of(sample)
    await platform.clerk(number, "receive", "accept")
    await platform.partner.callbacks.settle()
    await work()
    assert (await Case.get(case_no=sample.case_no)).state == "ACCEPTED"
    assert b'"projectno"' in base64.b64decode(platform.requests("case.push")[0]["body"])
    assert await cases.package(case_no=sample.case_no)


async def test_bodies_that_arrived_are_forgotten_after_a_month(platform: Platform, work: Work) -> None:
    from backend.onewindow import retention
    from backend.onewindow.models import Call

    sample, stuck = await submitted_case(), await submitted_case(serial=2)
    await platform.fault("case.push", {"reply": {"code": 300}}, times=1)
    await work()
    long_ago = clock.now() - timedelta(days=31)
    await Forwarding.all().update(settled_at=long_ago)
    await retention.sweep()
    bodies = {row.state: row.body_sealed for row in (await sent(sample), await sent(stuck))}
    assert bodies["acknowledged"] is None
    assert bodies["refused"]
    assert await Call.all().count() > 0
    await Call.all().update(created_at=clock.now() - timedelta(days=201))
    await retention.sweep()
    assert await Call.all().count() == 0
