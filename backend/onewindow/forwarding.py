"""Sending a message to the platform in three beats: write the intent, call outside any transaction, write the outcome.

Nothing follows case.push before it is acknowledged, and no parcel is told before the decision. What the platform will
not take is parked for a person; what cannot be delivered is tried again until its age says otherwise.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from backend.onewindow import messages
from backend.onewindow.answers import Meaning, Reading
from backend.onewindow.attachments import NotUploaded
from backend.onewindow.client import NotSent, PartnerError, mask_numbers, send
from backend.onewindow.messages import DELIVERY, PUSH, WITHDRAW, NothingToTell, NotNumbered
from backend.onewindow.models import Forwarding, Project
from backend.onewindow.ports import runtime
from backend.onewindow.states import FORWARDING, OPEN_STATES, Act, ForwardingState
from kernel import clock, db, ids, outbox
from kernel.outbox import Delivery, Permanent, RetryLater
from kernel.problems import Conflict, NotFound

log = structlog.get_logger(__name__)

RESEND_TOPIC = "onewindow.resend"
_GUARD_SECONDS = 30.0
_AUTH_SECONDS = 300.0
_TRIES_AT_ONCE = 3
_SUCCESS = (Meaning.DONE, Meaning.ALREADY)
_DECIDED = ("FINISHED", "DELIVERING", "DELIVERED", "RATED")


class NotParked(Conflict):
    """Only a message that was refused or given up can be sent again by hand."""

    code, title = "forwarding-not-parked", "这条报送不在待处理状态，不能重新发送"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be told: which verb, about which case, and what makes it one message and no other."""

    case_no: str
    verb: str
    subject: str
    data_version: int = 0


async def forward(delivery: Delivery, order: Order) -> None:
    """Bring one message as far as it comes now. Raises RetryLater or Permanent for the outbox."""
    row = await _intent(order)
    await _work(delivery, row)


async def resume(delivery: Delivery) -> None:
    """An operator's resend."""
    row = await Forwarding.get_or_none(ref=delivery.payload["ref"])
    if row is None:
        raise Permanent("unknown forwarding")
    await _work(delivery, row)


async def resend(*, ref: str, operator: str, reason: str) -> None:
    """An operator sends a parked message again, with a reason that is kept. Raises NotFound, NotParked.

    A refused message is built anew from the case as it is now; one that was given up repeats its bytes, because it
    may have arrived.
    """
    async with db.transaction():
        row = await db.lock(Forwarding, ref=ref)
        if row is None:
            raise NotFound("没有找到这条报送")
        if not FORWARDING.allows(row.state, Act.REVIVE, by="operator"):
            raise NotParked
        if row.state == ForwardingState.REFUSED:
            row.body_sealed, row.body_sha256 = None, ""
        row.revived += 1
        row.started_at = clock.now()
        row.note = f"{operator}：{reason}"[:200]
        await _step(row, Act.REVIVE, by="operator")
        await outbox.publish(
            RESEND_TOPIC,
            key=f"{RESEND_TOPIC}:{ref}:{row.revived}",
            payload={"ref": ref},
            lane=f"onewindow:case:{row.case_no}",
        )


async def _intent(order: Order) -> Forwarding:
    """Beat one. From here on the message is visible as “正在送往窗口”."""
    async with db.transaction():
        await db.execute(
            "INSERT INTO onewindow_forwarding (ref, case_no, verb, subject, data_version, wire_version, state, "
            "body_sha256, attempts, revived, started_at, code, note, created_at) "
            "VALUES (?, ?, ?, ?, ?, 0, ?, '', 0, 0, ?, '', '', ?) ON CONFLICT (case_no, verb, subject) DO NOTHING",
            ids.public_id(),
            order.case_no,
            order.verb,
            order.subject,
            order.data_version,
            ForwardingState.PENDING.value,
            db.at(clock.now()),
            db.at(clock.now()),
        )
        return await Forwarding.get(case_no=order.case_no, verb=order.verb, subject=order.subject)


async def _work(delivery: Delivery, row: Forwarding) -> None:
    if row.state not in OPEN_STATES:
        return
    try:
        if not await _may_go(row):
            await _settle(delivery, row, Act.ACKNOWLEDGE, code="", note="平台没有这件申请，无需告知")
            return
        reading = await _try(row)
    except NothingToTell as nothing:
        await _settle(delivery, row, Act.ACKNOWLEDGE, code="", note=nothing.why)
        return
    except (NotNumbered, NotUploaded) as error:
        reading = error.reading
    except PartnerError as error:
        await _not_now(delivery, row, str(error), None)
        return
    await _conclude(delivery, row, reading)


async def _may_go(row: Forwarding) -> bool:
    """The sequence guard. False: there is nothing at the platform that this message could change."""
    if row.verb == PUSH:
        return True
    project = await Project.get_or_none(case_no=row.case_no)
    if row.verb == DELIVERY:
        if project is None or project.wire_state not in _DECIDED:
            if await runtime().parcels.report(delivery_no=row.subject.partition(":")[0]) is None:
                # Given up before it was booked, with a case that was withdrawn or not accepted: no decision will come.
                raise NothingToTell("没有寄出，无需告知")
            raise RetryLater(_GUARD_SECONDS, "the decision is not known yet")
        return True
    push = await Forwarding.filter(case_no=row.case_no, verb=PUSH).order_by("-id").first()
    if push is not None and push.state in OPEN_STATES:
        raise RetryLater(_GUARD_SECONDS, "the case is not acknowledged yet")
    if row.verb == WITHDRAW and project is not None and project.wire_version == 0:
        return push is not None and push.state == ForwardingState.DEAD
    return project is not None


async def _try(row: Forwarding) -> Reading:
    """Send until there is something to conclude from: once more after new uploads or with a fresh nonce."""
    signed_again = False
    for _ in range(_TRIES_AT_ONCE):
        prepared = await messages.prepare(row)
        reading = await _send(row, prepared.body)
        if reading.meaning is Meaning.UPLOAD:
            await messages.discard(row)
        elif reading.meaning is Meaning.SIGN and not signed_again:
            signed_again = True
        else:
            break
    return reading


async def _send(row: Forwarding, body: bytes) -> Reading:
    """Beat two, between the marks “sent” and its outcome: after a crash here the same bytes go again."""
    before = row.state
    async with db.transaction():
        row.attempts += 1
        row.sent_at = clock.now()
        await _step(row, Act.SEND)
    try:
        return await send(row.verb, body, about=messages.about(row))
    except NotSent:
        if before == ForwardingState.PENDING:
            async with db.transaction():
                await _step(row, Act.UNSEND)
        raise


async def _conclude(delivery: Delivery, row: Forwarding, reading: Reading) -> None:
    """Beat three."""
    if reading.meaning in _SUCCESS:
        await _settle(delivery, row, Act.ACKNOWLEDGE, code=reading.code, note="")
    elif reading.meaning in (Meaning.PARK, Meaning.UPLOAD):
        log.error("onewindow.parked", verb=row.verb, case_no=row.case_no, ref=row.ref, code=reading.code)
        current = reading.data.get("currentversion")
        theirs = current if reading.code == "303" and isinstance(current, int) else None
        await _settle(delivery, row, Act.REFUSE, code=reading.code, note=_explain(reading), theirs=theirs)
    elif reading.meaning is Meaning.SIGN:
        # Not this message's fault: our clock or secret is wrong, and a person must hear of it.
        log.error("onewindow.signature_refused", verb=row.verb, ref=row.ref)
        await _not_now(delivery, row, "signature refused", _AUTH_SECONDS)
    else:
        await _not_now(delivery, row, f"answer {reading.code}", reading.wait_seconds)


async def _settle(
    delivery: Delivery, row: Forwarding, act: Act, *, code: str, note: str, theirs: int | None = None
) -> None:
    async with db.transaction():
        fresh = await db.lock(Forwarding, id=row.id)
        if fresh is not None and fresh.state in OPEN_STATES:
            fresh.code, fresh.note, fresh.settled_at = code, note[:200], clock.now()
            await _step(fresh, act)
            if act is Act.ACKNOWLEDGE:
                await _advance(fresh.case_no, fresh.wire_version)
            if theirs is not None:
                await _advance(fresh.case_no, theirs)
        await delivery.finish()


async def _advance(case_no: str, wire_version: int) -> None:
    """The platform's data version only grows; the next message counts on from it."""
    project = await db.lock(Project, case_no=case_no)
    if project is not None and project.wire_version < wire_version:
        project.wire_version = wire_version
        await project.save()


async def _not_now(delivery: Delivery, row: Forwarding, reason: str, seconds: float | None) -> None:
    """Try again later, or give up when the message has been on its way for too long."""
    limit = timedelta(hours=runtime().settings.give_up_hours)
    if clock.now() - row.started_at > limit:
        log.error("onewindow.given_up", verb=row.verb, case_no=row.case_no, ref=row.ref)
        await _settle(delivery, row, Act.GIVE_UP, code="", note="长时间无法送达")
        return
    wait = seconds if seconds is not None else min(600.0, 0.5 * 2 ** min(delivery.attempts, 12))
    raise RetryLater(wait, reason)


async def _step(row: Forwarding, act: Act, *, by: str = "worker") -> None:
    """The only writer of a message's state."""
    row.state = FORWARDING.step(row.state, act, by=by).value
    await row.save()


def _explain(reading: Reading) -> str:
    """For the operator: which fields or files, never their values."""
    errors = reading.data.get("errors")
    if isinstance(errors, list):
        parts = [f"{e.get('field')}：{e.get('rule')}" for e in errors if isinstance(e, dict)]
        return mask_numbers("；".join(parts))[:200]
    for name, label in (("currentversion", "平台当前版本"), ("state", "平台当前状态"), ("missing", "缺少附件")):
        if name in reading.data:
            return f"{label} {reading.data[name]}"[:200]
    return ""
