"""What the carrier tells: callbacks (verify, store, acknowledge, then handle) and the track we ask for when nothing comes."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import structlog

from backend.delivery import parcels
from backend.delivery.carriers.base import BadCallback, CarrierEvent, CarrierReply, CarrierUnclear
from backend.delivery.models import Parcel
from backend.delivery.reviews import ReviewKind, open_review
from backend.delivery.runtime import runtime
from backend.delivery.states import Canonical, ParcelState
from kernel import clock, db, inbox, outbox
from kernel.outbox import Delivery
from kernel.problems import NotFound

log = structlog.get_logger(__name__)

TRACK = "delivery.track"
_POLL_BATCH = 100
_S = ParcelState
_REVIEW_OF = {
    Canonical.CANCELLED: ReviewKind.CARRIER_CANCELLED,
    Canonical.LOST: ReviewKind.LOST,
    Canonical.RETURNED: ReviewKind.RETURNED,
}
_HANDED_OVER = frozenset({_S.DELIVERED, _S.COLLECTED})
_CALLED_OFF = frozenset({_S.CANCELLED, _S.RETURNED})


async def receive_callback(*, carrier: str, headers: Mapping[str, str], raw: bytes) -> CarrierReply:
    """A carrier calls: a verified message about a waybill of ours is stored and acknowledged, a copy only acknowledged.

    A waybill we do not know (yet: the answer to our booking may be under way) is not acknowledged, so it comes again.
    """
    adapter = runtime().carriers.get(carrier)
    if adapter is None:
        raise NotFound
    try:
        callback = adapter.parse_callback(headers, raw)
    except BadCallback as error:
        log.warning("courier.callback_refused", carrier=carrier, reason=str(error))
        refused = adapter.acknowledge("", accepted=False)
        return CarrierReply(400, refused.headers, refused.body)
    waybills = {event.waybill_no for event in callback.events}
    known = await Parcel.filter(carrier=carrier, waybill_no__in=list(waybills))
    if len(known) != len(waybills):
        log.warning("courier.callback_unknown_waybill", carrier=carrier)
        return adapter.acknowledge(callback.reply_token, accepted=False)
    await inbox.receive(
        partner=carrier,
        external_id=callback.external_id,
        headers={"x-real-ip": {k.lower(): v for k, v in headers.items()}.get("x-real-ip", "")},
        body=raw,
        lane=parcels.lane(known[0]) if len(known) == 1 else None,
    )
    return adapter.acknowledge(callback.reply_token, accepted=True)


async def handle_message(job: Delivery) -> None:
    """A stored callback: its events go to their parcels; "signed" is checked against the carrier's own track."""
    message = await inbox.load(job.payload["inbox_id"])
    events = runtime().carriers[message.partner].parse_callback(message.headers, message.body).events
    async with db.transaction():
        new = await ingest(events)
        await inbox.mark_handled(message.id, f"{new} new of {len(events)}")
        await job.finish()


async def ingest(events: Iterable[CarrierEvent]) -> int:
    """Records events and moves their parcels by event time; joins the caller's transaction. Answers how many were new."""
    new = 0
    for event in sorted(events, key=lambda one: (one.waybill_no, one.at, one.code)):
        parcel = await db.lock(Parcel, carrier=event.carrier, waybill_no=event.waybill_no)
        if parcel is not None and await parcels.report(parcel, event):
            new += 1
            await _consequences(parcel, event)
    return new


async def _consequences(parcel: Parcel, event: CarrierEvent) -> None:
    state = ParcelState(parcel.state)
    if event.canonical is Canonical.SIGNED:
        if state not in _HANDED_OVER:
            await open_review(parcel, ReviewKind.CARRIER_SIGNED, f"{event.code} {clock.local(event.at):%m-%d %H:%M}")
            await _ask(parcel, f"signed:{event.code}:{event.at.timestamp():.0f}")
    elif (kind := _REVIEW_OF.get(event.canonical)) and state not in _HANDED_OVER and state.value == event.canonical:
        if parcel.cancel_at is None:
            await open_review(parcel, kind, event.code)
    elif parcels.is_movement(event.canonical) and state in _CALLED_OFF and event.at > parcel.state_at:
        await open_review(parcel, ReviewKind.MOVES_AFTER_END, event.code)


async def _ask(parcel: Parcel, why: str) -> None:
    await outbox.publish(
        TRACK,
        key=f"{TRACK}:{parcel.delivery_no}:{why}",
        payload={"delivery_no": parcel.delivery_no},
        lane=parcels.lane(parcel),
    )


async def ask_carrier(job: Delivery) -> None:
    """Fetches the whole track of one parcel; an empty or unclear answer means nothing and is asked again by the next poll."""
    parcel = await Parcel.get_or_none(delivery_no=job.payload["delivery_no"])
    if parcel is None or parcel.waybill_no is None:
        return
    try:
        events = await runtime().carriers[parcel.carrier].track(parcel.waybill_no)
    except CarrierUnclear as unclear:
        log.info("courier.track_unclear", carrier=parcel.carrier, reason=str(unclear))
        events = ()
    async with db.transaction():
        await ingest(events)
        await job.finish()


async def poll() -> None:
    """Asks about parcels under way that nobody has reported on for a while (a timer; one batch per tick)."""
    now, wait = clock.now(), timedelta(minutes=runtime().settings.poll_minutes)
    due = await Parcel.filter(poll_at__lte=now).order_by("poll_at", "id").limit(_POLL_BATCH).only("id")
    for row in due:
        async with db.transaction():
            parcel = await db.lock(Parcel, id=row.id)
            if parcel is None or parcel.poll_at is None or parcel.poll_at > now:
                continue
            heard = parcel.news_at or parcel.state_at
            if heard + wait <= now:
                await _ask(parcel, f"poll:{now.timestamp():.0f}")
                parcel.poll_at = now + wait
            else:
                parcel.poll_at = heard + wait
            await parcel.save(update_fields=["poll_at"])
