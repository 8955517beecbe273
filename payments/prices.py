"""The approved, versioned price list: proposing, approving by a second person, looking a price up. Bills copy prices from here."""

from dataclasses import dataclass
from datetime import date

from kernel import clock, db
from kernel.problems import Conflict, Forbidden, NotFound, Problem
from payments.models import FeeItem
from payments.money import checked_fen

ADMINISTRATIVE, DELIVERY = "administrative", "delivery"
TUITION, BOARDING, SERVICE, COLLECTED = "tuition", "boarding", "service", "collected"  # 学费 住宿费 服务性收费 代收费
_SCHOOL = frozenset({TUITION, BOARDING, SERVICE, COLLECTED})
KINDS = frozenset({ADMINISTRATIVE, DELIVERY}) | _SCHOOL
# Lines of these kinds must equal the list to the fen. A carrier's fee follows its own quotation.
PRICED_BY_LIST = frozenset({ADMINISTRATIVE}) | _SCHOOL


class PriceUnknown(NotFound):
    """No published price for this item on this day: nothing may be charged."""

    code, title = "price-not-published", "这个收费项目没有已批准的标准，不能收费"


class PriceRefused(Problem):
    """The proposal breaks a rule of the price list."""

    status, code, title = 422, "price-refused", "收费标准不符合要求"


@dataclass(frozen=True, kw_only=True)
class Price:
    """One published price."""

    fee_item_id: int
    unit_code: str
    fee_code: str
    kind: str
    name: str
    unit_name: str
    price_fen: int
    max_quantity: int
    valid_from_on: date


async def price(*, unit_code: str, fee_code: str, on: date | None = None) -> Price:
    """What the unit may charge for the item on a day (today by default). Raises PriceUnknown."""
    day = on or clock.today()
    row = (
        await FeeItem.filter(unit_code=unit_code, code=fee_code, state="published", valid_from_on__lte=day)
        .order_by("-valid_from_on")
        .first()
    )
    if row is None or (row.valid_to_on is not None and row.valid_to_on < day):
        raise PriceUnknown
    return Price(
        fee_item_id=row.id,
        unit_code=row.unit_code,
        fee_code=row.code,
        kind=row.kind,
        name=row.name,
        unit_name=row.unit_name,
        price_fen=row.price_fen,
        max_quantity=row.max_quantity,
        valid_from_on=row.valid_from_on,
    )


async def propose_price(
    *,
    unit_code: str,
    fee_code: str,
    kind: str,
    name: str,
    unit_name: str,
    price_fen: int,
    valid_from_on: date,
    proposed_by: str,
    approval_price: str | None = None,
    approval_education: str | None = None,
    valid_to_on: date | None = None,
    optional: bool = False,
    max_quantity: int = 1,
) -> int:
    """Writes a new version of a price and answers its id; it charges nobody until it is approved.

    A second proposal for the same item and first day replaces an unapproved one and is refused for a published one.
    """
    if kind not in KINDS:
        raise PriceRefused("收费类别不存在")
    try:
        checked_fen(price_fen)
    except ValueError:
        raise PriceRefused("收费标准必须是大于零的整数分") from None
    async with db.transaction():
        row = await db.lock(FeeItem, unit_code=unit_code, code=fee_code, valid_from_on=valid_from_on)
        if row is not None and row.state == "published":
            raise Conflict("这一天起的收费标准已经生效，请另定生效日期")
        row = row or FeeItem(unit_code=unit_code, code=fee_code, valid_from_on=valid_from_on)
        row.update_from_dict(
            {
                "kind": kind,
                "name": name,
                "unit_name": unit_name,
                "price_fen": price_fen,
                "optional": optional,
                "max_quantity": max_quantity,
                "approval_price": approval_price,
                "approval_education": approval_education,
                "valid_to_on": valid_to_on,
                "state": "proposed",
                "proposed_by": proposed_by,
            }
        )
        await row.save()
        fee_item_id: int = row.id
        return fee_item_id


async def approve_price(*, fee_item_id: int, approved_by: str) -> None:
    """Publishes a proposed price. Raises Forbidden for the proposer and PriceRefused without the documents its kind needs."""
    async with db.transaction():
        row = await db.lock(FeeItem, id=fee_item_id)
        if row is None:
            raise PriceUnknown
        if row.state == "published":
            return
        if row.proposed_by == approved_by:
            raise Forbidden("收费标准须由另一人复核")
        missing = [
            text
            for needed, value, text in (
                (row.kind in PRICED_BY_LIST, row.approval_price, "财政、价格主管部门的批准文号"),
                (row.kind in _SCHOOL, row.approval_education, "教育主管部门的批准文号"),
            )
            if needed and not value
        ]
        if missing:
            raise PriceRefused("缺少" + "、".join(missing))
        row.state, row.approved_by, row.approved_at = "published", approved_by, clock.now()
        await row.save()
