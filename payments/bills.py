"""Bills (缴费单): issuing, giving up, expiring and reopening. Money that arrives is settlement's business, reading is queries'."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel import clock, db, ids
from kernel.problems import Conflict, NotFound, Problem
from payments import ledger, prices, refunds, transitions
from payments.models import Attempt, Bill, BillLine
from payments.money import CURRENCY, checked_fen
from payments.states import ACTIVE, SETTLED, SYSTEM, UNIT, BillAction, BillState

EXPIRY_GRACE_SECONDS = 60


class BillRefused(Problem):
    """The bill may not be issued like this."""

    status, code, title = 422, "bill-refused", "缴费单内容不符合要求"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a bill; `price_fen` is the price of one unit, in fen."""

    fee_code: str
    name: str
    quantity: int
    price_fen: int


async def issue_bill(
    *,
    subject: str,
    owner_ref: str,
    unit_code: str,
    kind: str,
    lines: Sequence[Line],
    expires_at: datetime,
    dedupe_key: str,
    late_policy: str = "refund",
) -> str:
    """Issues and publishes a bill and answers its number; joins the caller's transaction.

    The same `dedupe_key` gives the first bill's number again. `late_policy` says what happens to money that arrives after the
    bill expired: "refund" gives it back, "accept" settles the bill. Raises BillRefused and PriceUnknown.
    """
    _check(kind, lines, expires_at, late_policy)
    async with db.transaction():
        known = await Bill.get_or_none(dedupe_key=dedupe_key)
        if known is not None:
            return known.bill_no
        rows = await _priced_lines(unit_code, kind, lines)
        gross = sum(row.amount_fen for row in rows)
        bill_no = ids.number()
        # Two callers with one key: the second waits here for the first one's commit and then finds its bill.
        await Bill.bulk_create(
            [
                Bill(
                    bill_no=bill_no, dedupe_key=dedupe_key, unit_code=unit_code, kind=kind, subject=subject,
                    owner_ref=owner_ref, title=_title(lines), gross_fen=gross, due_fen=gross, currency=CURRENCY,
                    late_policy=late_policy, state=BillState.DRAFT, expires_at=expires_at,
                )
            ],
            ignore_conflicts=True,
        )  # fmt: skip
        bill = await Bill.get(dedupe_key=dedupe_key)
        if bill.bill_no != bill_no:
            return bill.bill_no
        for row in rows:
            row.bill_id = bill.id
        await BillLine.bulk_create(rows)
        await _publish(bill)
        return bill_no


async def void_bills(*, subject: str, reason: str, kind: str | None = None) -> None:
    """The matter was given up: every bill of the subject stops taking money; joins the caller's transaction.

    With `kind` only the bills of that kind: a parcel that is not sent gives back its fee, not the fee of the matter.

    Unpaid: withdrawn at once, or as soon as the channel has closed what is still open there. Paid: owed back to the payer.
    """
    async with db.transaction():
        of_kind = {} if kind is None else {"kind": kind}
        for bill_id in await Bill.filter(subject=subject, **of_kind).order_by("id").values_list("id", flat=True):
            bill = await db.lock(Bill, id=bill_id)
            if bill is not None:
                await _void(bill, reason[:40])


async def reopen_bill(*, bill_no: str, expires_at: datetime, actor: str = "") -> None:
    """Opens an expired bill again until a new deadline; `actor` stays in its history. Raises NotFound and IllegalTransition."""
    if expires_at <= clock.now():
        raise BillRefused("新的截止时间必须在将来")
    async with db.transaction():
        bill = await db.lock(Bill, bill_no=bill_no)
        if bill is None:
            raise NotFound
        if bill.void_reason is not None:
            raise Conflict("这张缴费单已取消")
        bill.expired_at, bill.expires_at = None, expires_at
        await transitions.step_bill(bill, BillAction.REOPEN, by=UNIT, note=actor or None)


async def expire_bill(*, bill_id: int) -> None:
    """Lets a bill whose deadline passed expire; while anything is open or unknown at a channel that is closed first."""
    async with db.transaction():
        bill = await db.lock(Bill, id=bill_id)
        if bill is None or bill.state != BillState.OPEN or clock.now() < expiry_due(bill):
            return
        active = await active_attempts(bill)
        for attempt in active:
            await transitions.want_close(attempt, by=SYSTEM, reason="bill expired")
        if not [a for a in active if a.state in ACTIVE]:
            await _expire(bill)


def expiry_due(bill: Bill) -> datetime:
    """When an unpaid bill may expire: its deadline and a little grace for what is under way."""
    return bill.expires_at + timedelta(seconds=EXPIRY_GRACE_SECONDS)


async def active_attempts(bill: Bill) -> list[Attempt]:
    """The bill's attempts that are not over, locked, in the order of their ids."""
    query = Attempt.filter(bill_id=bill.id, state__in=list(ACTIVE)).order_by("id")
    return await (query.select_for_update(no_key=True) if db.engine() == "postgres" else query)


async def attempt_ended(bill: Bill) -> None:
    """Called when an attempt of a locked bill is over: finishes a withdrawal or an expiry that waited for the channel."""
    if bill.state not in (BillState.OPEN, BillState.EXPIRED):
        return
    if await Attempt.filter(bill_id=bill.id, state__in=list(ACTIVE)).exists():
        return
    if bill.void_reason is not None:
        await _withdraw(bill)
    elif bill.state == BillState.OPEN and clock.now() >= expiry_due(bill):
        await _expire(bill)


def _check(kind: str, lines: Sequence[Line], expires_at: datetime, late_policy: str) -> None:
    if kind not in prices.KINDS:
        raise BillRefused("收费类别不存在")
    if not lines:
        raise BillRefused("缴费单至少要有一个收费项目")
    if expires_at <= clock.now():
        raise BillRefused("缴费截止时间必须在将来")
    if late_policy not in ("refund", "accept"):
        raise BillRefused("逾期处理方式不存在")
    for line in lines:
        try:
            checked_fen(line.price_fen)
            checked_fen(line.price_fen * line.quantity)
        except ValueError:
            raise BillRefused("收费金额必须是大于零的整数分") from None
        if line.quantity < 1:
            raise BillRefused("数量至少为 1")


async def _priced_lines(unit_code: str, kind: str, lines: Sequence[Line]) -> list[BillLine]:
    rows = []
    for line in lines:
        listed = None
        if kind in prices.PRICED_BY_LIST:
            listed = await prices.price(unit_code=unit_code, fee_code=line.fee_code)
            if (listed.kind, listed.price_fen) != (kind, line.price_fen):
                raise BillRefused("收费金额与已批准的收费标准不一致")
            if line.quantity > listed.max_quantity:
                raise BillRefused("数量超过收费标准允许的上限")
        rows.append(
            BillLine(
                fee_code=line.fee_code,
                fee_item_id=listed.fee_item_id if listed else None,
                name=line.name,
                quantity=line.quantity,
                price_fen=line.price_fen,
                amount_fen=line.price_fen * line.quantity,
            )
        )
    return rows


def _title(lines: Sequence[Line]) -> str:
    more = f"等{len(lines)}项" if len(lines) > 1 else ""
    return lines[0].name[:100] + more


async def _publish(bill: Bill) -> None:
    bill.published_at = clock.now()
    await ledger.post(
        kind="publish",
        dedupe_key=f"bill:{bill.bill_no}:v{bill.version}",
        occurred_at=bill.published_at,
        entries=[
            ledger.Entry(ledger.bill_due(bill.bill_no), bill.due_fen),
            ledger.Entry(ledger.unit_income(bill.unit_code), -bill.due_fen),
        ],
        bill_no=bill.bill_no,
    )
    await transitions.step_bill(bill, BillAction.PUBLISH, by=UNIT)


async def _void(bill: Bill, reason: str) -> None:
    if bill.state in (BillState.WITHDRAWN, BillState.WAIVED, BillState.REFUNDED):
        return
    if bill.void_reason is None:
        bill.void_reason = reason
        await bill.save(update_fields=["void_reason"])
    active = await active_attempts(bill)
    for attempt in active:
        await transitions.want_close(attempt, by=UNIT, reason=reason)
    if bill.state in (BillState.PAID, BillState.PART_PAID, BillState.PART_REFUNDED):
        await _owe_applied_money(bill)
    elif not [a for a in active if a.state in ACTIVE]:
        await _withdraw(bill)


async def _owe_applied_money(bill: Bill) -> None:
    """What each attempt paid into the bill and nobody gave back yet is owed back to its payer."""
    settled = Attempt.filter(bill_id=bill.id, state__in=[str(s) for s in SETTLED]).order_by("id")
    for attempt in await (settled.select_for_update(no_key=True) if db.engine() == "postgres" else settled):
        left = await refunds.left_of_income(bill, attempt)
        if left > 0:
            await refunds.owe_back(bill, attempt, amount_fen=left, cause="withdrawal", source="income")


async def _withdraw(bill: Bill) -> None:
    rest = await ledger.balance(ledger.bill_due(bill.bill_no))
    if rest:
        await ledger.post(
            kind="void",
            dedupe_key=f"bill:{bill.bill_no}:void{bill.version}",
            occurred_at=clock.now(),
            entries=[
                ledger.Entry(ledger.unit_income(bill.unit_code), rest),
                ledger.Entry(ledger.bill_due(bill.bill_no), -rest),
            ],
            bill_no=bill.bill_no,
        )
    bill.withdrawn_at = clock.now()
    await transitions.step_bill(bill, BillAction.WITHDRAW, by=UNIT, note=bill.void_reason)


async def _expire(bill: Bill) -> None:
    bill.expired_at = clock.now()
    await transitions.step_bill(bill, BillAction.EXPIRE, by=SYSTEM)
