"""What a refund writes into the ledger: set aside, paid, freed, paid by bank, due again. One balanced posting each, once per key."""

from datetime import datetime

from kernel import clock
from payments import ledger
from payments.models import Attempt, Bill, Refund


async def reserve(bill: Bill, attempt: Attempt, refund: Refund) -> None:
    """Approved: the amount is taken from where it stands and set aside."""
    await _post("reserve", bill, attempt, refund, debit=_source(bill, attempt, refund), credit=ledger.refund_reserved())


async def reserve_again(bill: Bill, attempt: Attempt, refund: Refund, *, covered: bool) -> None:
    """A failed refund turns out to have been paid: set aside again, or, when the money went back twice, to be found again."""
    source = _source(bill, attempt, refund) if covered else ledger.suspense(attempt.channel)
    await _post("reserve_again", bill, attempt, refund, debit=source, credit=ledger.refund_reserved())


async def release(bill: Bill, attempt: Attempt, refund: Refund) -> None:
    """Failed, or taken back before it was sent: the amount stands where it came from."""
    await _post("release", bill, attempt, refund, debit=ledger.refund_reserved(), credit=_source(bill, attempt, refund))


async def success(bill: Bill, attempt: Attempt, refund: Refund, *, at: datetime) -> None:
    """The channel paid it."""
    receivable = ledger.channel_receivable(attempt.channel)
    await _post("success", bill, attempt, refund, debit=ledger.refund_reserved(), credit=receivable, at=at)


async def reopen(bill: Bill, attempt: Attempt, refund: Refund, *, at: datetime) -> None:
    """A part payment went back and the bill stays payable: the payer owes that part again."""
    due, income = ledger.bill_due(bill.bill_no), ledger.unit_income(bill.unit_code)
    await _post("reopen", bill, attempt, refund, debit=due, credit=income, at=at)


async def offline(bill: Bill, attempt: Attempt, refund: Refund) -> None:
    """The unit paid it from its bank account."""
    await _post("offline", bill, attempt, refund, debit=ledger.refund_reserved(), credit=ledger.bank(bill.unit_code))


async def twice(bill: Bill, attempt: Attempt, refund: Refund, *, at: datetime) -> None:
    """The channel paid what the unit had paid by bank already: to be found again."""
    suspense, receivable = ledger.suspense(attempt.channel), ledger.channel_receivable(attempt.channel)
    await _post("twice", bill, attempt, refund, debit=suspense, credit=receivable, at=at)


def _source(bill: Bill, attempt: Attempt, refund: Refund) -> ledger.Account:
    return ledger.surplus(attempt.payment_no) if refund.source == "surplus" else ledger.unit_income(bill.unit_code)


async def _post(
    step: str,
    bill: Bill,
    attempt: Attempt,
    refund: Refund,
    *,
    debit: ledger.Account,
    credit: ledger.Account,
    at: datetime | None = None,
) -> None:
    posted = await ledger.post(
        kind=f"refund_{step}",
        dedupe_key=f"refund:{refund.refund_no}:{step}",
        occurred_at=at or clock.now(),
        entries=[ledger.Entry(debit, refund.amount_fen), ledger.Entry(credit, -refund.amount_fen)],
        bill_no=bill.bill_no,
        payment_no=attempt.payment_no,
        refund_no=refund.refund_no,
    )
    if not posted:
        raise ledger.LedgerError(f"a refund was posted twice: {step}")
