"""Asking for refunds and deciding about them: the limit, the two people, what the channel cannot do, money owed by rule."""

from datetime import timedelta

from kernel import clock, crypto, db, ids, outbox
from kernel.problems import Conflict, Invalid, NotFound
from payments import differences, receipts, refund_postings, runtime, transitions
from payments.four_eyes import SamePerson, same_person
from payments.gateways.refund_port import RefundCapabilities
from payments.models import Attempt, Bill, Refund
from payments.money import checked_fen
from payments.refund_states import CAUSES, FREE, RefundAction, RefundState
from payments.states import OPERATOR, SETTLED, SYSTEM, UNIT

BILL_REFUND_DUE = "bill.refund_due"
SYSTEM_NAME = "system"
CHANNEL_WAY, OFFLINE_WAY, ADOPTED_WAY = "channel", "offline", "adopted"
_MOST_REASON = 200


class RefundNotPossible(Conflict):
    """The money is not here, is already on its way back, or is not that much."""

    code, title = "refund-not-possible", "现在不能退这笔款"


class RefundRefusedByChannel(Invalid):
    """The channel cannot give this back any more; the unit pays it from its bank account."""

    code, title = "refund-refused-by-channel", "支付渠道不能原路退回这笔款，请改为线下退款"


async def owe_back(bill: Bill, attempt: Attempt, *, amount_fen: int, cause: str, source: str) -> None:
    """Money owed back by rule: requested and approved in the caller's transaction, once per attempt and cause.

    The caller holds the locks of bill and attempt. The timer sends it.
    """
    key = f"{attempt.payment_no}:{cause}"
    if await Refund.filter(dedupe_key=key).exists():
        return
    refund = draft(bill, attempt, amount_fen=amount_fen, cause=cause, source=source, by=SYSTEM_NAME)
    refund.dedupe_key, refund.automatic = key, True
    await refund.save()
    await outbox.publish(
        BILL_REFUND_DUE,
        key=f"{BILL_REFUND_DUE}:{key}",
        payload={"bill_no": bill.bill_no, "subject": bill.subject, "amount_fen": amount_fen, "cause": cause},
        lane=f"bill:{bill.bill_no}",
    )
    await accept(bill, attempt, refund, by=SYSTEM, name=SYSTEM_NAME)


async def request_refund(
    *,
    payment_no: str,
    amount_fen: int | None = None,
    cause: str = "operator",
    reason: str,
    requested_by: str,
    rule_ref: str | None = None,
    way: str = CHANNEL_WAY,
) -> str:
    """A person asks for money to go back (all that is left, if no amount is named) and answers the refund's number.

    Nothing moves before another person approves. Raises NotFound, RefundNotPossible, RefundRefusedByChannel, Invalid,
    and ReceiptInTheWay while the e-receipt cannot be reversed.
    """
    if CAUSES.get(cause) is None or CAUSES[cause].automatic:
        raise Invalid("退款原因不存在")
    if not reason.strip() or len(reason) > _MOST_REASON or not requested_by.strip():
        raise Invalid("请写明退款理由和经办人")
    await receipts.refuse_refund_in_the_way(payment_no)
    async with db.transaction():
        bill, attempt = await lock_payment(payment_no)
        amount = await _checked_amount(bill, attempt, amount_fen)
        refund = draft(bill, attempt, amount_fen=amount, cause=cause, source="income", by=requested_by)
        refund.reason, refund.rule_ref, refund.way = sealed(refund, reason), rule_ref, way
        refused = await channel_refusal(refund, attempt)
        if refused and way == CHANNEL_WAY:
            raise RefundRefusedByChannel(refused)
        if not refused and way == OFFLINE_WAY:
            raise RefundNotPossible("支付渠道可以原路退回这笔款，不需要线下退款")
        await refund.save()
        return refund.refund_no


async def approve_refund(*, refund_no: str, approved_by: str) -> None:
    """Another person agrees: the money is set aside, and the timer sends the refund. Raises SamePerson (403, kept in its history)."""
    async with db.transaction():
        bill, attempt, refund = await lock_refund(refund_no)
        same = same_person(refund.requested_by, approved_by)
        if same:
            await transitions.note_refund(
                refund, "approve_refused", by=OPERATOR, note=f"申请人和批准人相同：{approved_by}"
            )
        else:
            await accept(bill, attempt, refund, by=UNIT, name=approved_by)
    if same:
        raise SamePerson("申请人和批准人不能是同一个人")


async def deny_refund(*, refund_no: str, denied_by: str, reason: str) -> None:
    """A person refuses it, or takes an approval back before anything was sent. Money owed by rule cannot be denied."""
    async with db.transaction():
        bill, attempt, refund = await lock_refund(refund_no)
        if refund.automatic or (bill.void_reason is not None and not CAUSES[refund.cause].automatic):
            raise Conflict("这笔款依规定应当退还，不能拒绝")
        await take_back(bill, attempt, refund, by=UNIT, name=denied_by, note=reason)


async def retry_refund(*, refund_no: str, requested_by: str, way: str = CHANNEL_WAY) -> str:
    """After a failure a new refund with a new number; a refund nobody heard of any more is asked about again under its own.

    Money owed by rule is sent at once, anything else waits for a second person. Never more than is left of the payment.
    Answers the number to follow.
    """
    async with db.transaction():
        bill, attempt, old = await lock_refund(refund_no)
        if old.state != RefundState.FAILED:
            return await _ask_again(old, requested_by)
        if await Refund.filter(follows_id=old.id).exclude(state=RefundState.DENIED).exists():
            raise Conflict("这笔退款已经重新发起过")
        # A part may have gone back another way since: then the rest is what is still owed.
        amount = min(old.amount_fen, await left_over(attempt))
        if amount <= 0:
            raise RefundNotPossible("这笔支付没有可退的余额了")
        new = draft(
            bill, attempt, amount_fen=amount, cause=old.cause, source=old.source, by=requested_by
        )  # fmt: skip
        new.follows_id, new.way, new.rule_ref = old.id, way, old.rule_ref
        new.automatic = old.automatic and way == CHANNEL_WAY
        if old.reason:
            new.reason = sealed(new, opened(old))
        await new.save()
        if new.automatic:
            await accept(bill, attempt, new, by=SYSTEM, name=requested_by)
        return new.refund_no


async def accept(bill: Bill, attempt: Attempt, refund: Refund, *, by: str, name: str) -> None:
    """The approval of a locked refund: the ledger sets the money aside in the same transaction."""
    refund.decided_by, refund.next_check_at = name, clock.now()
    await transitions.step_refund(bill, refund, RefundAction.APPROVE, by=by, note=name)
    await refund_postings.reserve(bill, attempt, refund)
    if refund.way == ADOPTED_WAY:
        key = f"{refund.channel}:{refund.refund_no}"
        await differences.resolve(differences.REFUND_CHANNEL_ONLY, key, resolution="已登记为退款单", by=name)


async def take_back(bill: Bill, attempt: Attempt, refund: Refund, *, by: str, name: str, note: str) -> None:
    """Denies a locked refund; what was set aside is free again."""
    set_aside = refund.state == RefundState.APPROVED
    refund.decided_by = name
    await transitions.step_refund(bill, refund, RefundAction.DENY, by=by, note=f"{name}：{note}")
    if set_aside:
        await refund_postings.release(bill, attempt, refund)


async def lock_payment(payment_no: str) -> tuple[Bill, Attempt]:
    """Bill and attempt of a payment, locked in this order. Raises NotFound."""
    known = await Attempt.get_or_none(payment_no=payment_no)
    if known is None:
        raise NotFound("没有找到这笔支付")
    bill, attempt = await db.lock(Bill, id=known.bill_id), await db.lock(Attempt, id=known.id)
    if bill is None or attempt is None:
        raise RuntimeError("bills and attempts are never deleted")
    return bill, attempt


async def lock_refund(refund_no: str) -> tuple[Bill, Attempt, Refund]:
    """Bill, attempt and refund, locked in this order. Raises NotFound."""
    known = await Refund.get_or_none(refund_no=refund_no)
    if known is None:
        raise NotFound("没有找到这笔退款")
    bill, attempt = await db.lock(Bill, id=known.bill_id), await db.lock(Attempt, id=known.attempt_id)
    refund = await db.lock(Refund, id=known.id)
    if bill is None or attempt is None or refund is None:
        raise RuntimeError("bills, attempts and refunds are never deleted")
    return bill, attempt, refund


async def left_over(attempt: Attempt) -> int:
    """What may still be given back of a locked attempt, in fen: everything not denied or failed counts, requests included."""
    if attempt.state not in SETTLED:
        return 0
    return int(attempt.amount_fen) - await _held(attempt)


async def left_of_income(bill: Bill, attempt: Attempt) -> int:
    """What may still be given back of the part that paid the bill; surplus goes back by rule, not by request."""
    rows = await db.fetch(
        "SELECT COALESCE(-SUM(e.amount_fen), 0) AS applied FROM payments_ledger_entry e "
        "JOIN payments_ledger_txn t ON t.id = e.txn_id JOIN payments_ledger_account a ON a.id = e.account_id "
        "WHERE a.code = ? AND t.payment_no = ? AND t.kind IN ('pay', 'explain')",
        f"bill:{bill.bill_no}:due", attempt.payment_no,
    )  # fmt: skip
    return int(rows[0]["applied"]) - await _held(attempt, source="income")


async def channel_refusal(refund: Refund, attempt: Attempt) -> str:
    """Why the channel cannot give this back ("" when it can): too old, too many parts. Asked before any call."""
    can, paid_at = _capabilities(attempt), attempt.paid_at
    if paid_at is not None and clock.now() > paid_at + timedelta(days=can.most_days):
        return f"支付已超过 {can.most_days} 天"
    parts = await Refund.filter(attempt_id=attempt.id).exclude(state__in=[str(s) for s in FREE]).exclude(
        refund_no=refund.refund_no
    ).count()  # fmt: skip
    return f"同一笔支付最多分 {can.most_parts} 次退款" if parts >= can.most_parts else ""


def sealed(refund: Refund, text: str) -> str:
    """A person's own words as they are stored."""
    return crypto.seal(text.encode(), context=f"payments_refund.reason:{refund.refund_no}")


def opened(refund: Refund) -> str:
    """The stored words again; "" when there are none."""
    if refund.reason is None:
        return ""
    return crypto.unseal(refund.reason, context=f"payments_refund.reason:{refund.refund_no}").decode()


def _capabilities(attempt: Attempt) -> RefundCapabilities:
    return runtime.gateway(attempt.channel).refunds.capabilities


async def _held(attempt: Attempt, *, source: str | None = None) -> int:
    query = Refund.filter(attempt_id=attempt.id).exclude(state__in=[str(s) for s in FREE])
    return sum(row.amount_fen for row in await (query.filter(source=source) if source else query))


async def _checked_amount(bill: Bill, attempt: Attempt, wanted: int | None) -> int:
    if attempt.state not in SETTLED:
        raise RefundNotPossible("这笔支付没有成功，没有可退的款")
    left = min(await left_over(attempt), await left_of_income(bill, attempt))
    try:
        amount = checked_fen(left if wanted is None else wanted)
    except ValueError:
        raise RefundNotPossible("没有可退的款，或者退款金额不是大于零的整数分") from None
    if amount > left:
        raise RefundNotPossible(f"最多还能退 {left} 分（已申请和在途的退款计算在内）")
    return amount


def draft(bill: Bill, attempt: Attempt, *, amount_fen: int, cause: str, source: str, by: str) -> Refund:
    """A request that is not stored yet; its number is the one the channel will know it by."""
    return Refund(
        refund_no=ids.number(),
        bill_id=bill.id,
        attempt_id=attempt.id,
        channel=attempt.channel,
        amount_fen=checked_fen(amount_fen),
        currency=attempt.currency,
        cause=cause,
        source=source,
        state=RefundState.REQUESTED,
        requested_by=by[:64],
    )


async def _ask_again(refund: Refund, name: str) -> str:
    if not refund.review_required:
        raise Conflict("这笔退款正在进行或者已经结束，不需要重试")
    refund.review_required = False
    refund.ladder_from_at = refund.next_check_at = clock.now()
    await refund.save()
    await transitions.note_refund(refund, "ask_again", by=OPERATOR, note=name)
    return refund.refund_no
