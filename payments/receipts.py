"""E-receipts (财政电子票据): wanted when money settles a bill, looked at before a refund, reversed (冲红) after it; no refund is undone."""

from kernel import clock, db, ids, outbox
from kernel.outbox import Delivery, RetryLater
from kernel.problems import Conflict
from payments import differences, receipt_rows, runtime
from payments.gateways.receipt_port import ReceiptEvidence, ReceiptOrder, ReceiptOutcome, ReceiptPort
from payments.models import Attempt, Bill, Difference, Refund
from payments.nontax_models import Receipt
from payments.receipt_states import ReceiptAction, ReceiptState
from payments.states import CHANNEL, SYSTEM

ISSUE_TOPIC, REVERSE_TOPIC = "payments.issue_receipt", "payments.reverse_receipt"
MISSING, NOT_REVERSED, IN_THE_WAY = "RECEIPT_MISSING", "RECEIPT_NOT_REVERSED", "RECEIPT_IN_THE_WAY"
_PATIENCE = 3  # silent tries before a missing receipt is worth a person's look
_FIRST_SECONDS, _MOST_SECONDS = 30, 3600
ON_PAPER_WORDS = "电子票据已换开纸质票据，请先收回并作废纸质票据，再办理退款"
UNKNOWN_WORDS = "暂时无法向财政票据平台核实电子票据能否冲红，请稍后再试"


class ReceiptInTheWay(Conflict):
    """The receipt of this payment cannot be reversed now, so the money may not go back yet."""

    code, title = "receipt-in-the-way", "电子票据现在不能冲红，不能退款"


async def want(bill: Bill, attempt: Attempt, *, amount_fen: int, part: int = 1) -> None:
    """Money settled a bill, in the caller's transaction: where the channel gives receipts, one is wanted for it, once."""
    if runtime.receipt_port(attempt.channel) is None or await Receipt.filter(attempt_id=attempt.id, part=part).exists():
        return
    receipt = await Receipt.create(
        attempt_id=attempt.id, part=part, request_no=ids.number(), channel=attempt.channel, unit_code=bill.unit_code,
        amount_fen=amount_fen, state=ReceiptState.REQUESTED,
    )  # fmt: skip
    await outbox.publish(
        ISSUE_TOPIC,
        key=f"{ISSUE_TOPIC}:{receipt.request_no}",
        payload={"receipt_no": receipt.request_no},
        lane=_lane(receipt),
    )


async def turn_back(attempt: Attempt, refund: Refund) -> None:
    """Money went back, in the caller's transaction: the receipt over it is to be reversed. Surplus never had one."""
    if refund.source != "income":
        return
    known = await receipt_rows.newest(attempt.id)
    receipt = await db.lock(Receipt, id=known.id) if known is not None else None
    if receipt is None or receipt.state in (ReceiptState.REVERSAL_REQUESTED, ReceiptState.REVERSED):
        return
    await receipt_rows.step(receipt, ReceiptAction.WANT_REVERSAL, by=SYSTEM, note=refund.refund_no)
    await outbox.publish(
        REVERSE_TOPIC,
        key=f"{REVERSE_TOPIC}:{receipt.request_no}",
        payload={"receipt_no": receipt.request_no},
        lane=_lane(receipt),
    )


async def issue(delivery: Delivery) -> None:
    """Asks the platform for the receipt until it is there; the same number never issues two."""
    receipt = await Receipt.get(request_no=str(delivery.payload["receipt_no"]))
    if receipt.state != ReceiptState.REQUESTED:
        return
    order, port = await _order(receipt)
    found = await port.issue(order)
    if found.outcome in (ReceiptOutcome.ISSUED, ReceiptOutcome.ON_PAPER):
        async with db.transaction():
            await _issued(receipt.id, found)
            await delivery.finish()
        return
    await receipt_rows.note_error(receipt, found.reason or str(found.outcome))
    if found.outcome is ReceiptOutcome.REFUSED or delivery.attempts >= _PATIENCE:
        attempt = await Attempt.get(id=receipt.attempt_id)
        await differences.record(MISSING, receipt.request_no, attempt=attempt, detail="已缴款，电子票据还没有开出来")
    raise RetryLater(_pause(delivery), f"receipt {found.outcome}")


async def reverse(delivery: Delivery) -> None:
    """冲红 after a refund: checked once more, because somebody may have printed it meanwhile; repeated until it is done."""
    receipt = await Receipt.get(request_no=str(delivery.payload["receipt_no"]))
    if receipt.state != ReceiptState.REVERSAL_REQUESTED:
        return
    order, port = await _order(receipt)
    found = await _reversed_at_last(port, order)
    if found.outcome in (ReceiptOutcome.REVERSED, ReceiptOutcome.NOT_FOUND):
        async with db.transaction():
            await _reversed(receipt.id, found)
            await delivery.finish()
        return
    await receipt_rows.note_error(receipt, found.reason or str(found.outcome))
    attempt = await Attempt.get(id=receipt.attempt_id)
    words = "退款已成功，电子票据还没有冲红"
    if found.outcome is ReceiptOutcome.ON_PAPER:
        words += "：票据已换开纸质，请收回并作废纸质票据"
    await differences.record(NOT_REVERSED, receipt.request_no, attempt=attempt, detail=words)
    raise RetryLater(_pause(delivery), f"reversal {found.outcome}")


async def in_the_way(attempt_id: int) -> str:
    """Why the receipt of a payment forbids a refund now, in Chinese; "" when nothing does. Asks the platform: never in a transaction."""
    receipt = await receipt_rows.newest(attempt_id)
    if receipt is None or receipt.state in (
        ReceiptState.REQUESTED,
        ReceiptState.REVERSAL_REQUESTED,
        ReceiptState.REVERSED,
    ):
        return ""
    order, port = await _order(receipt)
    found = await port.check_reversible(order)
    if found.outcome is ReceiptOutcome.ON_PAPER:
        await _seen(receipt.id, ReceiptState.ISSUED, ReceiptAction.EXCHANGE)
        return ON_PAPER_WORDS
    if found.outcome in (ReceiptOutcome.ISSUED, ReceiptOutcome.REVERSED):
        await _seen(receipt.id, ReceiptState.EXCHANGED_TO_PAPER, ReceiptAction.PAPER_BACK)
        return ""
    return UNKNOWN_WORDS


async def refuse_refund_in_the_way(payment_no: str) -> None:
    """Before a person's request for a refund is taken. Raises ReceiptInTheWay with the reason."""
    attempt = await Attempt.get_or_none(payment_no=payment_no)
    if attempt is not None and (why := await in_the_way(attempt.id)):
        raise ReceiptInTheWay(why)


async def refund_must_wait(refund: Refund) -> str:
    """Why an approved refund may not be sent yet ("" when it may); what only a person can mend is shown as a difference."""
    why = await in_the_way(refund.attempt_id) if refund.source == "income" else ""
    if why == ON_PAPER_WORDS:
        attempt = await Attempt.get(id=refund.attempt_id)
        await differences.record_refund(IN_THE_WAY, refund, attempt, detail=why)
    elif not why:
        await _mended(IN_THE_WAY, refund.refund_no)
    return why


async def _reversed_at_last(port: ReceiptPort, order: ReceiptOrder) -> ReceiptEvidence:
    found = await port.query(order)
    if found.outcome is ReceiptOutcome.ISSUED:
        checked = await port.check_reversible(order)
        return await port.reverse(order, "退款") if checked.outcome is ReceiptOutcome.ISSUED else checked
    # A number that was kept and never used needs no reversal: no receipt ever went out.
    return ReceiptEvidence(outcome=ReceiptOutcome.NOT_FOUND) if found.outcome is ReceiptOutcome.RESERVED else found


async def _issued(receipt_id: int, found: ReceiptEvidence) -> None:
    receipt = await db.lock(Receipt, id=receipt_id)
    if receipt is None or receipt.state != ReceiptState.REQUESTED:
        return
    receipt.code, receipt.number, receipt.check_code = found.code, found.number, found.check_code
    receipt.url, receipt.last_error = found.url or None, None
    await receipt_rows.step(receipt, ReceiptAction.ISSUE, by=CHANNEL)
    if found.outcome is ReceiptOutcome.ON_PAPER:
        await receipt_rows.step(receipt, ReceiptAction.EXCHANGE, by=CHANNEL)
    await _mended(MISSING, receipt.request_no)


async def _reversed(receipt_id: int, found: ReceiptEvidence) -> None:
    """The old receipt is gone; what stays paid gets a new one."""
    receipt = await db.lock(Receipt, id=receipt_id)
    if receipt is None or receipt.state != ReceiptState.REVERSAL_REQUESTED:
        return
    receipt.red_number, receipt.last_error = found.red_number or None, None
    await receipt_rows.step(receipt, ReceiptAction.REVERSE, by=CHANNEL)
    await _mended(NOT_REVERSED, receipt.request_no)
    attempt = await Attempt.get(id=receipt.attempt_id)
    bill = await Bill.get(id=attempt.bill_id)
    rest = await receipt_rows.still_paid_fen(bill, attempt)
    if rest > 0:
        await want(bill, attempt, amount_fen=rest, part=receipt.part + 1)


async def _seen(receipt_id: int, source: ReceiptState, action: ReceiptAction) -> None:
    async with db.transaction():
        receipt = await db.lock(Receipt, id=receipt_id)
        if receipt is not None and receipt.state == source:
            await receipt_rows.step(receipt, action, by=CHANNEL)


async def _mended(class_name: str, key: str) -> None:
    await Difference.filter(class_name=class_name, key=key, state="open").update(
        state="auto_fixed", resolution=f"{clock.local(clock.now()):%Y-%m-%d %H:%M} 已自动补办"
    )


async def _order(receipt: Receipt) -> tuple[ReceiptOrder, ReceiptPort]:
    attempt = await Attempt.get(id=receipt.attempt_id)
    port = runtime.receipt_port(receipt.channel)
    if port is None:
        raise RetryLater(_MOST_SECONDS, f"{receipt.channel} gives no receipts now")
    order = ReceiptOrder(
        request_no=receipt.request_no, payment_no=attempt.payment_no, channel_txn_id=attempt.channel_txn_id or "",
        unit_code=receipt.unit_code, amount_fen=receipt.amount_fen,
    )  # fmt: skip
    return order, port


def _lane(receipt: Receipt) -> str:
    """Issue and reversal of one receipt stand in one lane: a reversal never overtakes the issue it reverses."""
    return f"receipt:{receipt.request_no}"


def _pause(delivery: Delivery) -> float:
    return float(min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(delivery.attempts, 10)))
