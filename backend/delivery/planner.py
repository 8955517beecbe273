"""The delivery part of a submission: checks the wish against its quote, creates the parcel, issues the courier bill.

It implements `backend.cases.ports.DeliveryPlanner` and joins the transaction of the submission: case, parcel and bill
exist together or not at all.
"""

from datetime import timedelta
from typing import Any

import payments
from backend.cases.ports import DeliveryWish
from backend.delivery import addresses
from backend.delivery.models import Parcel, QuoteRow
from backend.delivery.runtime import runtime
from backend.delivery.states import ParcelState
from kernel import clock, db, ids, rows, together
from kernel.problems import Conflict, FieldError, Invalid

DELIVERY_BILL = "delivery"
DOCUMENT_OUT = "DOCUMENT_OUT"
_FEE_CODE = "courier"
_QUOTE, _REGION = "/delivery/quote_no", "/delivery/recipient/region_code"


class QuoteUnusable(Invalid):
    """The quote is unknown, another person's, expired, used, or for another region."""

    code, title = "delivery-quote-unusable", "寄送报价不能使用，请重新查询寄送费用"


class AlreadyPlanned(Conflict):
    """A case has one way of handing over its result."""

    code, title = "delivery-already-chosen", "这个办件已经选好送达方式"


class Planner:
    """Puts a wish into effect; wiring hands it to the cases slice."""

    async def plan(self, *, case_no: str, account_ref: str, wish: DeliveryWish) -> None:
        """Creates the parcel of a case and, for mail, its bill. Raises Invalid, QuoteUnusable, AlreadyPlanned."""
        if await rows.exists("SELECT 1 FROM delivery_parcel WHERE case_no = ? AND kind = ?", case_no, DOCUMENT_OUT):
            raise AlreadyPlanned
        values = _new(case_no, account_ref, wish.way)
        if wish.way != "mail":
            await together.add(Parcel, **values)
            return
        parcel = Parcel(**values)
        await _by_mail(parcel, wish)
        await together.insert(parcel)


def _new(case_no: str, account_ref: str, way: str) -> dict[str, Any]:
    now = clock.now()
    return {
        "delivery_no": ids.number(),
        "case_no": case_no,
        "owner_ref": account_ref,
        "way": way,
        "kind": DOCUMENT_OUT,
        "carrier": runtime().carrier.code if way == "mail" else "window",
        "state": ParcelState.QUOTED.value,
        "state_at": now,
        "mark_at": now,
    }


async def _by_mail(parcel: Parcel, wish: DeliveryWish) -> None:
    if wish.recipient is None:
        raise Invalid(errors=[FieldError("/delivery/recipient", "请填写收件人")])
    recipient = addresses.check_recipient(wish.recipient)
    quote = await _usable(wish.quote_no, parcel, recipient.region_code)
    where = await addresses.place(recipient.region_code, pointer=_REGION)
    addresses.seal(parcel, recipient, where)
    parcel.quote_no, parcel.zone, parcel.table_version = quote.quote_no, quote.zone, quote.table_version
    parcel.amount_fen, parcel.carrier = quote.amount_fen, quote.carrier
    quote.case_no = parcel.case_no
    await quote.save(update_fields=["case_no"])
    if quote.amount_fen == 0:
        parcel.paid_at = clock.now()
        return
    settings = runtime().settings
    parcel.bill_no = await payments.issue_bill(
        subject=f"case:{parcel.case_no}",
        owner_ref=parcel.owner_ref,
        unit_code=settings.unit_code,
        kind=DELIVERY_BILL,
        lines=[
            payments.Line(
                fee_code=_FEE_CODE,
                name=f"{settings.carrier_name}（{quote.zone}）"[:100],
                quantity=1,
                price_fen=quote.amount_fen,
            )
        ],
        expires_at=clock.now() + timedelta(days=settings.bill_days),
        dedupe_key=f"delivery:{parcel.delivery_no}",
    )


async def _usable(quote_no: str | None, parcel: Parcel, region_code: str) -> QuoteRow:
    quote = await db.lock(QuoteRow, quote_no=quote_no or "", account_ref=parcel.owner_ref)
    if quote is None or quote.case_no is not None:
        raise QuoteUnusable(errors=[FieldError(_QUOTE, "请先查询寄送费用")])
    if quote.valid_until_at < clock.now():
        raise QuoteUnusable(errors=[FieldError(_QUOTE, "报价已过期，请重新查询寄送费用")])
    if quote.region_code != region_code:
        raise QuoteUnusable(errors=[FieldError(_REGION, "收件地区与查询寄送费用时的地区不一致，请重新查询")])
    return quote
