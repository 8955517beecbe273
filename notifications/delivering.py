"""Carrying a message through the channels in three beats: write that it is being sent, call, write what came of it."""

from datetime import timedelta

import msgspec

from kernel import clock, crypto, db, logs, outbox
from notifications import quota
from notifications.channels.base import Channel, Letter, Outcome, Ready, Skip
from notifications.models import Delivery, Message
from notifications.runtime import runtime
from notifications.service import Body, body_context
from notifications.states import CARRIED, DELIVERY, TROUBLE, DeliveryAction, DeliveryState

FAILED_EVENT = "message.failed"
_RETRY_SECONDS = 5.0


async def deliver(message_no: str, *, attempts: int) -> None:
    """Tries the channels in order until one has carried the message. Raises RetryLater when the partner is to be asked again."""
    message = await Message.get(message_no=message_no)
    logs.bind(message_no=message_no)
    for channel in runtime().channels:
        if await _through(channel, message, attempts) in CARRIED:
            return


async def _through(channel: Channel, message: Message, attempts: int) -> DeliveryState:
    begun = await _begin(channel, message)
    if isinstance(begun, DeliveryState):
        return begun
    outcome = await channel.send(begun)
    state = await _conclude(channel, message, begun, outcome)
    if state is DeliveryState.QUEUED:
        # Doubled by try, because RetryLater replaces the outbox's own backoff.
        seconds = outcome.retry_seconds or min(600.0, _RETRY_SECONDS * 2 ** min(attempts, 7))
        raise outbox.RetryLater(seconds, f"{channel.name}: {outcome.code} {outcome.note}")
    return state


async def _begin(channel: Channel, message: Message) -> Ready | DeliveryState:
    """First beat. A row that is found as "sending" belongs to a worker that died during the call: its outcome is unknown."""
    async with db.transaction():
        row = await _locked(channel, message)
        if row.state == DeliveryState.SENDING:
            return await step(row, DeliveryAction.LOSE, note="worker died during the call")
        if row.state != DeliveryState.QUEUED:
            return DeliveryState(row.state)
        if clock.now() - message.created_at > timedelta(hours=runtime().settings.expire_hours):
            return await step(row, DeliveryAction.EXPIRE, note=row.note)
        prepared = await channel.prepare(_letter(message))
        if isinstance(prepared, Skip):
            return await step(row, prepared.action, note=prepared.note)
        row.address_index, row.template_id = prepared.address_index, prepared.template_id
        row.holds_quota = prepared.holds_quota
        await step(row, DeliveryAction.START)
        return prepared


async def _conclude(channel: Channel, message: Message, ready: Ready, outcome: Outcome) -> DeliveryState:
    """Third beat. A receipt that overtook the answer has already decided; then the answer changes nothing."""
    async with db.transaction():
        row = await _locked(channel, message)
        if not DELIVERY.allows(row.state, outcome.action, by="system"):
            return DeliveryState(row.state)
        state = await step(row, outcome.action, code=outcome.code, note=outcome.note)
        if outcome.quota_gone:
            await quota.exhaust(address_index=ready.address_index, template_id=ready.template_id)
        return state


async def step(
    row: Delivery, action: DeliveryAction, *, by: str = "system", code: int | None = None, note: str | None = None
) -> DeliveryState:
    """The one place that changes the state of a delivery, with what it means for the reserved permission."""
    row.state = state = DeliveryState(DELIVERY.step(row.state, action, by=by))
    row.code, row.note, row.changed_at = code, (note or "")[:120] or None, clock.now()
    if row.holds_quota and state not in (DeliveryState.SENDING, DeliveryState.UNKNOWN):
        used = state in (
            DeliveryState.ACCEPTED,
            DeliveryState.DELIVERED,
            DeliveryState.FAILED,
            DeliveryState.UNCONFIRMED,
        )
        await (quota.consume if used else quota.release)(
            address_index=row.address_index or "", template_id=row.template_id or ""
        )
        row.holds_quota = False
    await row.save()
    if state in TROUBLE:
        await _report(row)
    return state


async def _report(row: Delivery) -> None:
    """Not having subscribed is a person's choice; these ends are somebody's mistake and want a look."""
    message = await Message.get(id=row.message_id)  # type: ignore[attr-defined]
    await outbox.publish(
        FAILED_EVENT,
        key=f"{FAILED_EVENT}:{message.message_no}:{row.channel}",
        payload={"message_no": message.message_no, "channel": row.channel, "state": str(row.state)},
        lane=f"message:{message.message_no}",
    )


async def settle_unknown() -> None:
    """Ends the waiting for receipts that never came; the permission counts as used, the message is not sent again."""
    before = clock.now() - timedelta(hours=runtime().settings.unconfirmed_hours)
    waiting = (
        await Delivery.filter(state=DeliveryState.UNKNOWN, changed_at__lt=before)
        .limit(200)
        .values_list("id", flat=True)
    )
    for row_id in waiting:
        async with db.transaction():
            row = await db.lock(Delivery, id=row_id)
            if row is not None and row.state == DeliveryState.UNKNOWN:
                await step(row, DeliveryAction.GIVE_UP, note="no receipt")


async def _locked(channel: Channel, message: Message) -> Delivery:
    await db.execute(
        "INSERT INTO notifications_delivery (message_id, channel, state, holds_quota, changed_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (message_id, channel) DO NOTHING",
        message.id,
        channel.name,
        DeliveryState.QUEUED.value,
        False,
        db.at(clock.now()),
        db.at(clock.now()),
    )
    row = await db.lock(Delivery, message_id=message.id, channel=channel.name)
    if row is None:
        raise RuntimeError("the row that was just written is not there")
    return row


def _letter(message: Message) -> Letter:
    sealed = crypto.unseal(message.body_sealed, context=body_context(message.message_no))
    body = msgspec.json.decode(sealed, type=Body)
    return Letter(message.message_no, message.recipient_ref, message.template, body.values, message.page)
