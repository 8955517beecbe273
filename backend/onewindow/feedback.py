"""Applying the platform's events to cases: strictly in their sequence per project, each in one transaction.

A gap is asked for, never skipped. An event that needs a person is set aside and the following ones go on, so that no
failing item blocks another case or the rest of its own.
"""

from datetime import timedelta

import structlog

from backend.cases.ports import Outcome
from backend.onewindow import client, facts, inbound, pulling, signing
from backend.onewindow.answers import Meaning
from backend.onewindow.client import File, PartnerError
from backend.onewindow.facts import StoredFile, Told, Unclear
from backend.onewindow.inbound import receive
from backend.onewindow.models import Event, Project
from backend.onewindow.pulling import PullFailed
from backend.onewindow.states import EventState
from kernel import clock, db, outbox, storage
from kernel.outbox import Delivery, RetryLater
from kernel.problems import Conflict, DatabaseUnavailable, Invalid, NotFound

log = structlog.get_logger(__name__)

_GAP_SECONDS, _GAP_MOST_SECONDS, _GAP_TRIES = 10.0, 600.0, 12
_FILE_SECONDS = 60.0
# With the outbox's backoff some hours: enough for a repair, short enough for the rest of the case.
_TRIES = 20
_FILE_TYPES = ("application/pdf", "application/ofd", "image/jpeg", "image/png")
_SIGNATURES = {
    "application/pdf": b"%PDF-",
    "application/ofd": b"PK",
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG",
}


class NotForReview(Conflict):
    """Only a decision that was set aside can be confirmed by a person."""

    code, title = "event-not-for-review", "这条办结信息不在待确认状态"


async def apply_events(delivery: Delivery) -> None:
    """Topic "onewindow.apply": work a project's stored events as far as they reach."""
    project_no = delivery.payload["project_no"]
    pulled = False
    while True:
        project = await Project.get_or_none(project_no=project_no)
        if project is None:
            await _set_aside_strangers(project_no)
            return
        event = await Event.get_or_none(project_no=project_no, seq=project.applied_seq + 1)
        waiting = event is not None or await Event.filter(project_no=project_no, seq__gt=project.applied_seq).exists()
        if not waiting:
            return
        if not pulled and (event is None or _acceptance_missed(project, event)):
            pulled = True
            await _pull()
        elif event is None:
            await _ask_again(delivery, project)
            return
        else:
            await _apply(project.case_no, event, tries=delivery.attempts)


async def confirm_result(*, project_no: str, seq: int, outcome: Outcome, operator: str) -> None:
    """A person says what an unclear decision means. Raises NotFound, NotForReview."""
    async with db.transaction():
        project = await db.lock(Project, project_no=project_no)
        event = await Event.get_or_none(project_no=project_no, seq=seq)
        if project is None or event is None:
            raise NotFound("没有找到这条办结信息")
        if event.state != EventState.REVIEW or event.type != "RESULT" or event.at is None:
            raise NotForReview
        await facts.decide(_told(project.case_no, event, None), outcome)
        await _mark(event, EventState.APPLIED, f"{operator} 确认为 {outcome.value}")


async def _ask_again(delivery: Delivery, project: Project) -> None:
    """Another look at a gap later, outside the project's lane: the missing event must not queue behind its own gap."""
    missing, tries = project.applied_seq + 1, int(delivery.payload.get("tries", 0)) + 1
    async with db.transaction():
        if tries <= _GAP_TRIES:
            await outbox.publish(
                inbound.APPLY_TOPIC,
                key=f"{inbound.APPLY_TOPIC}:{project.project_no}:{missing}:gap{tries}",
                payload={"project_no": project.project_no, "tries": tries},
                run_at=clock.now() + timedelta(seconds=min(_GAP_SECONDS * 2**tries, _GAP_MOST_SECONDS)),
            )
        else:
            # From here on the regular pull is the only one who asks.
            log.error("onewindow.gap_stays", project_no=project.project_no, seq=missing)
        await delivery.finish()


def _acceptance_missed(project: Project, event: Event) -> bool:
    """STEP straight after RECEIVED: the platform must have accepted in between, so it is asked before we apply."""
    return event.type == "STEP" and project.wire_state == "RECEIVED"


async def _pull() -> None:
    try:
        await pulling.pull()
    except (PartnerError, PullFailed) as error:
        # The stored events still decide what happens next: a gap waits, anything else goes on.
        log.warning("onewindow.pull_failed", reason=str(error))


async def _apply(case_no: str, event: Event, *, tries: int) -> None:
    file: StoredFile | None = None
    complaint = "" if event.at is not None else "事件时间无法识别"
    if not complaint and event.type == "RESULT_FILE":
        try:
            file = await _fetch(case_no, event)
        except RetryLater:
            raise
        except Exception as error:
            complaint = _reason(error, tries)
    async with db.transaction():
        project = await db.lock(Project, project_no=event.project_no)
        if project is None or project.applied_seq != event.seq - 1:
            return  # another worker was faster
        try:
            if complaint:
                raise Unclear(complaint)
            async with db.transaction():  # a savepoint: what a refused fact has begun is undone
                applied = await facts.apply(_told(case_no, event, file))
            await _mark(event, EventState.APPLIED, applied.value)
        except Exception as error:
            await _set_aside(event, _reason(error, tries))
        project.applied_seq = event.seq
        project.wire_state = facts.wire_state(project.wire_state, event.type)
        await project.save()


def _reason(error: Exception, tries: int) -> str:
    """Why a person must look. Raises the error again while the database is away, and for some tries when the fault is ours."""
    if isinstance(error, Unclear):
        return error.reason
    if isinstance(error, NotFound | Conflict | Invalid):
        return error.detail
    if isinstance(error, DatabaseUnavailable) or db.is_outage(error) or tries < _TRIES:
        raise error
    log.error("onewindow.event_failed", exc_info=error)
    return "本系统多次处理失败，请联系运维人员"


def _told(case_no: str, event: Event, file: StoredFile | None) -> Told:
    if event.at is None:
        raise Unclear("事件时间无法识别")
    return Told(
        case_no=case_no,
        source_ref=inbound.source_ref(event),
        type=event.type,
        # The wire counts whole seconds; the sequence keeps the order within one.
        at=event.at + timedelta(microseconds=min(event.seq, 999_999)),
        payload=inbound.payload(event),
        file=file,
    )


async def _set_aside(event: Event, reason: str) -> None:
    log.error("onewindow.event_for_review", project_no=event.project_no, seq=event.seq, type=event.type)
    await _mark(event, EventState.REVIEW, reason)


async def _mark(event: Event, state: EventState, note: str) -> None:
    event.state, event.note, event.applied_at = state.value, note[:200], clock.now()
    await event.save()


async def _set_aside_strangers(project_no: str) -> None:
    """Events about a number we never asked for: kept for a person, they touch no case."""
    for event in await Event.filter(project_no=project_no, state=EventState.WAITING.value):
        await _set_aside(event, "不是本系统的办件编号")


async def _fetch(case_no: str, event: Event) -> StoredFile:
    """The result file, stored under a key chosen beforehand. Raises Unclear, or RetryLater while the platform is away."""
    attach_id = inbound.payload(event).get("attachid")
    if not isinstance(attach_id, str) or not 0 < len(attach_id) <= 64:
        raise Unclear("结果文件没有附件编号")
    if event.storage_key is None:
        event.storage_key = storage.new_key("result")
        await Event.filter(id=event.id).update(storage_key=event.storage_key)
    try:
        found = await client.get_file(attach_id=attach_id, about=client.About(case_no=case_no, info="结果文件"))
    except PartnerError as error:
        raise RetryLater(_FILE_SECONDS, str(error)) from None
    if not isinstance(found, File):
        if found.meaning is Meaning.PARK:
            raise Unclear(f"平台不提供结果文件（{found.code}）")
        raise RetryLater(found.wait_seconds or _FILE_SECONDS, f"attach.get {found.code}")
    if found.mime not in _FILE_TYPES or not found.content.startswith(_SIGNATURES[found.mime]):
        raise Unclear("结果文件的类型不能接受")
    await storage.put(event.storage_key, found.content)
    return StoredFile(
        storage_key=event.storage_key,
        sha256=signing.digest(found.content),
        bytes=len(found.content),
        mime=found.mime,
    )


__all__ = ["NotForReview", "apply_events", "confirm_result", "receive"]
