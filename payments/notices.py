"""Notices of channels: verified, stored, acknowledged; what one statement cannot settle is handled afterwards by the worker. Refused ones are counted and a few written down."""

import hashlib
from collections.abc import Mapping

import structlog

from kernel import clock, db, inbox, metrics
from kernel.outbox import Delivery, Permanent
from kernel.problems import DatabaseUnavailable
from payments import asking, at_once, differences, paycodes, refund_asking, refund_settlement, runtime, settlement
from payments.gateways.base import Ack, PaymentGateway, Refusal, Rejected, VerifiedNotice

log = structlog.get_logger(__name__)

# Probes are the partner's own tests of our verification: counted apart, so that they raise no alarm about forgeries.
_COUNT = metrics.counter("payments_notices", "Payment notices by verdict", "channel", "verdict")
_window = {"minute": 0, "written": 0}


async def receive_notice(*, channel: str, headers: Mapping[str, str], raw: bytes) -> Ack:
    """Takes the received bytes of a notice and answers what the partner expects. Fast: only what one statement can do is settled here."""
    gateway = runtime.gateway(channel)
    try:
        verdict = await gateway.verify_notification(headers, raw)
        if isinstance(verdict, VerifiedNotice):
            await _store(gateway, verdict, headers, raw)
            _COUNT.labels(channel, "stored").inc()
            return gateway.ack(verdict)
        await _refused(channel, verdict, raw)
        return gateway.ack(verdict)
    except DatabaseUnavailable:
        _COUNT.labels(channel, str(Refusal.NOT_STORED)).inc()
        return gateway.ack(Rejected(reason=Refusal.NOT_STORED))


async def handle(delivery: Delivery) -> None:
    """Handles one stored notice: effect, inbox mark and outbox row in one transaction."""
    message = await inbox.load(int(delivery.payload["inbox_id"]))
    gateway = next((g for g in runtime.gateways() if g.partner == message.partner), None)
    if gateway is None:
        raise Permanent(f"{message.partner} is not configured")
    notice = gateway.open_stored(message.body)
    if isinstance(notice, Rejected):
        raise Permanent(f"a stored notice does not open: {notice.reason}")
    if notice.refund_no is not None and notice.payment_no is not None:
        # It may have overtaken the payment's own notice: first the payment is known, then what came of it.
        await refund_asking.settle_payment_first(channel=gateway.channel, payment_no=notice.payment_no)
    async with db.transaction():
        note = await _effect(gateway, notice)
        await inbox.mark_handled(message.id, note)
        await delivery.finish()


async def _effect(gateway: PaymentGateway, notice: VerifiedNotice) -> str:
    if notice.evidence is not None:
        return str(await settlement.apply_evidence(notice.evidence))
    if notice.ask_about is not None:
        await paycodes.ask_soon(gateway.channel, notice.ask_about)
        return "asked"
    if notice.refund is not None:
        return str(await refund_settlement.apply_refund_evidence(notice.refund))
    if notice.ask and notice.payment_no is not None:
        await asking.ask_soon(notice.payment_no)
        return "to be asked"
    return "ignored"


async def _store(gateway: PaymentGateway, notice: VerifiedNotice, headers: Mapping[str, str], raw: bytes) -> None:
    kept = {name.lower(): value for name, value in headers.items() if name.lower().startswith(gateway.kept_headers)}
    lane = f"payment:{notice.payment_no}"[:80] if notice.payment_no else None
    taken = await at_once.take(gateway, notice, headers=kept, body=raw, lane=lane)
    new = taken is at_once.Taken.SETTLED
    if taken is at_once.Taken.NOT_HERE:
        new = await inbox.receive(
            partner=gateway.partner, external_id=notice.event_id, headers=kept, body=raw, lane=lane
        )
    log.info(
        "payments.notice", channel=gateway.channel, event_type=notice.event_type, payment_no=notice.payment_no, new=new
    )


async def _refused(channel: str, verdict: Rejected, raw: bytes) -> None:
    _COUNT.labels(channel, str(verdict.reason)).inc()
    if verdict.reason is Refusal.PROBE:
        return
    if verdict.reason in (Refusal.FOREIGN, Refusal.UNREADABLE):
        # These were signed by the channel itself, so nobody can flood us with them.
        await differences.record(
            differences.FOREIGN_MERCHANT if verdict.reason is Refusal.FOREIGN else "SECURITY_UNREADABLE_NOTICE",
            f"{channel}:{hashlib.sha256(raw).hexdigest()[:40]}",
            channel=channel,
            detail=verdict.detail or str(verdict.reason),
        )
        return
    if _may_write():
        log.warning(
            "payments.notice_refused",
            channel=channel,
            reason=str(verdict.reason),
            serial=verdict.serial,
            ref=hashlib.sha256(raw).hexdigest()[:12],
        )


def _may_write() -> bool:
    """A stranger can send as many forgeries as he likes: a few per minute are written down, the rest are only counted."""
    minute = clock.now_ms() // 60_000
    if _window["minute"] != minute:
        _window["minute"], _window["written"] = minute, 0
    _window["written"] += 1
    return _window["written"] <= runtime.settings().refusals_per_minute
