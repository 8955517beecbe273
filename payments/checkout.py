"""Starting a payment: the intent in one transaction, the channel's call outside, one active attempt per bill, channel and payer."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import structlog

from kernel import clock, crypto, db, ids
from kernel.idempotency import Idempotency, run_once
from kernel.problems import Conflict, Invalid, NotFound, PartnerDown
from payments import asking, ledger, pacing, queries, runtime, settlement, transitions, views
from payments.gateways.base import OrderDraft
from payments.models import Attempt, Bill
from payments.runtime import Offer
from payments.states import ACTIVE, PAYER, AttemptAction, AttemptState
from payments.views import PaymentView

log = structlog.get_logger(__name__)

_WAITS, _WAIT_SECONDS = 40, 0.1  # for the outcome of a call another request is making


class BillNotPayable(Conflict):
    """The bill takes no money now: paid, waived, given up, expired or not open yet."""

    code, title = "bill-not-payable", "这张缴费单现在不能缴费"


class PayerMissing(Invalid):
    """The channel needs to know who pays."""

    code, title = "payer-missing", "请在要使用的微信或支付宝中登录后再支付"


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Who pays: our account, and what the channel wants to know. Personal data never shows in repr."""

    account_ref: str
    channel_id: str | None = field(default=None, repr=False)  # openid or buyer_open_id
    address: str | None = field(default=None, repr=False)  # of the phone


class Intent(msgspec.Struct, frozen=True):
    """What the idempotency key stands for: the number under which everything can be asked again."""

    payment_no: str


async def start_payment(
    *,
    owner_ref: str,
    bill_no: str,
    channel: str,
    payer_openid: str | None,
    payer_address: str | None = None,
    idem: Idempotency | None,
) -> PaymentView:
    """Starts, or continues, the payment of a bill and answers what the phone needs.

    `channel` is a way to pay as phones name it (wechat_jsapi, alipay_wap); `payer_openid` is the payer's id at that channel.
    Raises NotFound, BillNotPayable, ChannelUnavailable, PayerMissing, and PartnerDown when certainly nothing was sent.
    """
    offer = runtime.offer(channel)
    if (offer.can.needs_payer_id and not payer_openid) or (offer.can.needs_payer_address and not payer_address):
        raise PayerMissing
    payer = Payer(account_ref=owner_ref, channel_id=payer_openid, address=payer_address)
    mine: list[str] = []

    async def work() -> Intent:
        bill = await db.lock(Bill, bill_no=bill_no, owner_ref=owner_ref)
        if bill is None:
            raise NotFound("没有找到这张缴费单")
        attempt, created = await _attempt(bill, offer, payer)
        if created:
            mine.append(attempt.payment_no)
        return Intent(attempt.payment_no)

    intent = await run_once(idem, Intent, work)
    if mine:
        await asking.send(intent.payment_no)
    else:
        await _continue(intent.payment_no, offer)
    attempt = await Attempt.get(payment_no=intent.payment_no)
    if attempt.state == AttemptState.CREATED:
        raise PartnerDown("支付渠道暂时没有响应，没有扣款，请稍后再试", retry_after_seconds=5)
    return await queries.payment(owner_ref=owner_ref, payment_no=intent.payment_no)


async def payment(*, owner_ref: str, payment_no: str) -> PaymentView:
    """One payment of this payer; asks the channel first if it is not over. The phone calls this when it returns from the cashier."""
    attempt = await Attempt.get_or_none(payment_no=payment_no, payer_ref=owner_ref)
    if attempt is None:
        raise NotFound("没有找到这笔支付")
    asks = attempt.state in ACTIVE and not attempt.review_required
    if asks and await asking.may_ask(payment_no):
        await asking.work_on(payment_no)
    return await queries.payment(owner_ref=owner_ref, payment_no=payment_no)


async def _attempt(bill: Bill, offer: Offer, payer: Payer) -> tuple[Attempt, bool]:
    # One active attempt per way to pay: the cashier of one product cannot be opened with what another one needs.
    slot = f"{bill.id}:{offer.name}:{payer.account_ref}"
    active = await Attempt.filter(active_slot=slot).first()
    if active is not None and not await _outlived(active, offer):
        return active, False
    if not views.takes_payment(bill):
        raise BillNotPayable(_why_not(bill))
    can, now = offer.can, clock.now()
    amount = await ledger.balance(ledger.bill_due(bill.bill_no))
    if not can.minimum_fen <= amount <= can.maximum_fen:
        raise BillNotPayable("金额超出这种支付方式的范围")
    life = min(runtime.settings().order_minutes * 60, can.order_life_seconds)
    expires_at = min(bill.expires_at, now + timedelta(seconds=life)).replace(microsecond=0)
    if (expires_at - now).total_seconds() < can.least_life_seconds:
        raise BillNotPayable("离缴费截止时间太近，来不及支付")
    return await _create(bill, offer, payer, slot=slot, amount=amount, expires_at=expires_at), True


async def _outlived(active: Attempt, offer: Offer) -> bool:
    """Where the bill outlives its orders, an order past its end makes room for a new number and is watched until it is closed."""
    if not offer.can.bill_outlives_order or clock.now() < active.expires_at:
        return False
    old = await db.lock(Attempt, id=active.id)
    if old is None or old.state not in ACTIVE or old.review_required:
        return False
    old.active_slot = f"{old.active_slot}:{old.payment_no}"
    await old.save(update_fields=["active_slot"])
    await transitions.want_close(old, by=PAYER, reason="order expired")
    return True


async def _create(bill: Bill, offer: Offer, payer: Payer, *, slot: str, amount: int, expires_at: datetime) -> Attempt:
    """First beat: number and exact bytes are committed before anything is sent."""
    payment_no, payer_id = ids.number(), payer.channel_id or ""
    draft = OrderDraft(
        payment_no=payment_no,
        product=offer.product,
        amount_fen=amount,
        currency=bill.currency,
        description=bill.title,
        expires_at=expires_at,
        payer_id=payer_id,
        payer_address=payer.address,
    )
    attempt = Attempt(
        bill_id=bill.id,
        payment_no=payment_no,
        channel=offer.gateway.channel,
        product=offer.product,
        amount_fen=amount,
        currency=bill.currency,
        payer_ref=payer.account_ref,
        payer_index=crypto.blind_index(payer_id, purpose=settlement.PAYER_INDEX) if payer_id else None,
        state=AttemptState.CREATED,
        active_slot=slot,
        request_body=crypto.seal(offer.gateway.order_body(draft), context=asking.body_context(payment_no)),
        expires_at=expires_at,
        ladder_from_at=clock.now(),
    )
    pacing.mark_sending(attempt)
    await attempt.save()
    await transitions.attempt_opened(bill)
    await transitions.step_attempt(attempt, AttemptAction.SEND, by=PAYER)
    return attempt


async def _continue(payment_no: str, offer: Offer) -> None:
    """Brings an attempt that exists already to a point where the phone can go on, without ever making a second order."""
    attempt = await Attempt.get(payment_no=payment_no)
    for _ in range(_WAITS):
        if attempt.state != AttemptState.SENDING or pacing.stale(attempt):
            break
        await asyncio.sleep(_WAIT_SECONDS)
        attempt = await Attempt.get(payment_no=payment_no)
    if attempt.review_required or attempt.state not in ACTIVE:
        return
    if attempt.state == AttemptState.PENDING:
        if not views.action_usable(attempt, offer.can.client_action_life_seconds) and clock.now() < attempt.expires_at:
            await asking.send(payment_no)  # the identical request gives a fresh cashier for the same order
    elif await asking.may_ask(payment_no):
        await asking.work_on(payment_no)


def _why_not(bill: Bill) -> str:
    return f"缴费单当前状态：{views.bill_status(bill, [], []).label}"
