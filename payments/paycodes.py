"""缴款码: given once per bill and amount, and the way from a statement about a code to the attempt its money belongs to."""

from dataclasses import replace
from datetime import UTC
from typing import Any

from kernel import clock, crypto, db, ids
from payments import ledger, transitions
from payments.gateways.base import Evidence, EvidenceKind, Outcome
from payments.gateways.unified_pay import codes
from payments.gateways.unified_pay.book import Demand, DemandLine
from payments.models import Attempt, Bill, BillLine, LedgerTxn
from payments.nontax_models import PayCode
from payments.states import ACTIVE, SETTLED, AttemptState

ELSEWHERE = "elsewhere"  # the product of money that came without an order of ours


class CodeTable:
    """The table behind `CodeBook` for one channel and one region's way to make codes."""

    def __init__(self, *, channel: str, region: str, template: str) -> None:
        self._channel, self._region, self._template = channel, region, template

    async def demand(self, payment_no: str) -> Demand | None:
        """The demand of an attempt; makes the code on first use, committed before anybody outside hears of it.

        A code by itself is a number too: money without an order of ours is asked about under it.
        """
        attempt = await Attempt.get_or_none(payment_no=payment_no, channel=self._channel)
        row = await PayCode.get_or_none(channel=self._channel, pay_code=payment_no)
        if attempt is None and row is None:
            return None
        bill = await Bill.get(id=row.bill_id if row else attempt.bill_id if attempt else 0)
        if row is None and attempt is not None:
            row = await PayCode.get_or_none(channel=self._channel, bill_id=bill.id, amount_fen=attempt.amount_fen)
            row = row or await self._make(bill, attempt.amount_fen)
        if row is None:
            return None
        lines = await BillLine.filter(bill_id=bill.id).order_by("id")
        return Demand(
            pay_code=row.pay_code,
            bill_no=bill.bill_no,
            unit_code=bill.unit_code,
            title=bill.title,
            amount_fen=row.amount_fen,
            lines=tuple(
                DemandLine(code=one.fee_code, name=one.name, quantity=one.quantity, amount_fen=one.amount_fen)
                for one in lines
            ),
            order_ends_at=attempt.expires_at if attempt else bill.expires_at,
            registered=row.registered,
        )

    async def knows(self, pay_code: str) -> bool:
        """Whether the code is ours."""
        return await PayCode.filter(channel=self._channel, pay_code=pay_code).exists()

    async def registered(self, pay_code: str) -> None:
        """The platform has the bill."""
        await PayCode.filter(channel=self._channel, pay_code=pay_code).update(registered=True)

    async def _make(self, bill: Bill, amount_fen: int) -> PayCode:
        """Two callers may make one at the same time: the first row wins, the other number is never used."""
        year = clock.local(clock.now()).year
        serial = await ids.next_serial(f"pay_code:{self._region}:{year}")
        pay_code = codes.make(self._template, region=self._region, serial=serial, year=year)
        row = PayCode(bill_id=bill.id, channel=self._channel, pay_code=pay_code, amount_fen=amount_fen)
        await PayCode.bulk_create([row], ignore_conflicts=True)
        return await PayCode.get(channel=self._channel, bill_id=bill.id, amount_fen=amount_fen)


async def attributed(evidence: Evidence) -> list[Evidence]:
    """What a statement about a code means for our attempts; anything else passes unchanged. Inside the caller's transaction.

    Money that came without an order of ours (a bank counter) gets an attempt of its own, so that it is settled, shown and given
    back like any other. The order that was asked about is over then: the platform takes no second payment for a paid code, and
    should it, the correction edge finds it.
    """
    if evidence.code is None or evidence.outcome is not Outcome.PAID:
        return [evidence]
    row = await PayCode.get_or_none(channel=evidence.channel, pay_code=evidence.code.pay_code)
    bill = await db.lock(Bill, id=row.bill_id) if row is not None else None
    if bill is None:
        return [replace(evidence, payment_no=evidence.payment_no or evidence.code.pay_code)]
    owner = await _owner(bill, evidence)
    found = [replace(evidence, payment_no=owner)]
    if evidence.kind is EvidenceKind.QUERY and evidence.payment_no not in ("", owner):
        found.append(
            replace(
                evidence, outcome=Outcome.CLOSED, source_id=f"{evidence.payment_no}:paid otherwise"[:80], code=None,
                channel_txn_id=None, amount_fen=None, currency=None, occurred_at=None, reason="paid otherwise",
            )
        )  # fmt: skip
    return found


async def ask_soon(channel: str, pay_code: str) -> None:
    """An unproven hint about a code: its open attempts are asked about at the next tick of the timer."""
    states: list[Any] = [str(state) for state in ACTIVE]
    marks = ", ".join("?" for _ in states)
    await db.execute(
        f"UPDATE payments_attempt SET next_check_at = ? WHERE NOT review_required AND state IN ({marks}) AND bill_id IN "
        "(SELECT bill_id FROM payments_pay_code WHERE channel = ? AND pay_code = ?) AND channel = ?",
        db.at(clock.now()), *states, channel, pay_code, channel,
    )  # fmt: skip


async def _owner(bill: Bill, evidence: Evidence) -> str:
    """The number of the attempt this money belongs to; the same transaction always finds the same one."""
    code, txn = evidence.code, evidence.channel_txn_id
    known = await Attempt.filter(channel=evidence.channel, channel_txn_id=txn).first()
    if known is not None:
        return known.payment_no
    parked = await LedgerTxn.get_or_none(dedupe_key=f"line:{evidence.channel}:{txn}")
    if parked is not None and parked.payment_no:
        return parked.payment_no
    attempts = (
        await Attempt.filter(bill_id=bill.id, channel=evidence.channel).exclude(product=ELSEWHERE).order_by("-id")
    )
    free = [one for one in attempts if one.state not in SETTLED and not one.review_required]
    named = next((one for one in free if code and one.payment_no == code.order_no), None)
    if named is not None:
        return named.payment_no
    if code is None or code.elsewhere or code.order_no:
        return (await _counter_attempt(bill, evidence)).payment_no
    # A platform that names no order: the one that was asked about, an open one, or the newest.
    asked = [one for one in free if one.payment_no == evidence.payment_no and one.state in ACTIVE]
    likely = asked or [one for one in free if one.state in ACTIVE] or free
    return likely[0].payment_no if likely else (await _counter_attempt(bill, evidence)).payment_no


async def _counter_attempt(bill: Bill, evidence: Evidence) -> Attempt:
    """An attempt for money that came by another door; it is settled in this same transaction, and never sent."""
    rest, now = await ledger.balance(ledger.bill_due(bill.bill_no)), clock.now()
    # The code is its number, as in the platform's own statement; should the code be paid so twice, the second gets one of ours.
    payment_no = evidence.code.pay_code if evidence.code else ids.number()
    if await Attempt.filter(payment_no=payment_no).exists():
        payment_no = ids.number()
    await transitions.attempt_opened(bill)
    return await Attempt.create(
        bill_id=bill.id,
        payment_no=payment_no,
        channel=evidence.channel,
        product=ELSEWHERE,
        amount_fen=rest or evidence.amount_fen,
        currency=bill.currency,
        payer_ref=bill.owner_ref,
        state=AttemptState.CREATED,
        active_slot=f"{bill.id}:{evidence.channel}:{evidence.channel_txn_id}"[:120],
        request_body=crypto.seal(b"{}", context=f"payments_attempt.request_body:{payment_no}"),
        expires_at=now.astimezone(UTC),
        ladder_from_at=now,
    )
