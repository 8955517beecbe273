"""The price list: nothing is charged that a second person has not approved on a document."""

from datetime import date

import pytest

import payments
from kernel.problems import Conflict, Forbidden
from payments.prices import PriceRefused
from tests.payments.conftest import FEE, UNIT


async def propose(**changes):
    values = {
        "unit_code": UNIT,
        "fee_code": "NEW",
        "kind": "administrative",
        "name": "工本费",
        "unit_name": "证",
        "price_fen": 500,
        "valid_from_on": date(2026, 11, 1),
        "approval_price": "甘发改价格〔2020〕1号",
        "proposed_by": "a",
    }
    return await payments.propose_price(**(values | changes))


async def test_a_price_counts_from_its_approval_and_its_first_day(books):
    item = await propose()
    with pytest.raises(payments.PriceUnknown):
        await payments.price(unit_code=UNIT, fee_code="NEW")
    await payments.approve_price(fee_item_id=item, approved_by="b")
    assert (await payments.price(unit_code=UNIT, fee_code="NEW")).price_fen == 500
    with pytest.raises(payments.PriceUnknown):
        await payments.price(unit_code=UNIT, fee_code="NEW", on=date(2026, 10, 31))


async def test_a_new_version_replaces_the_old_one_from_its_first_day(books):
    for day, fen in ((date(2026, 11, 1), 500), (date(2026, 12, 1), 700)):
        await payments.approve_price(fee_item_id=await propose(valid_from_on=day, price_fen=fen), approved_by="b")
    assert (await payments.price(unit_code=UNIT, fee_code="NEW", on=date(2026, 11, 30))).price_fen == 500
    assert (await payments.price(unit_code=UNIT, fee_code="NEW", on=date(2026, 12, 1))).price_fen == 700


async def test_an_ended_price_is_no_price(books):
    item = await propose(valid_to_on=date(2026, 11, 18))
    await payments.approve_price(fee_item_id=item, approved_by="b")
    with pytest.raises(payments.PriceUnknown):
        await payments.price(unit_code=UNIT, fee_code="NEW")


async def test_nobody_approves_his_own_price(books):
    item = await propose()
    with pytest.raises(Forbidden):
        await payments.approve_price(fee_item_id=item, approved_by="a")


async def test_a_published_price_is_never_changed(books):
    item = await propose()
    assert await propose(price_fen=600) == item
    await payments.approve_price(fee_item_id=item, approved_by="b")
    with pytest.raises(Conflict):
        await propose(price_fen=700)
    assert (await payments.price(unit_code=UNIT, fee_code="NEW")).price_fen == 600


@pytest.mark.parametrize(
    "changes",
    [{"approval_price": None}, {"kind": "tuition", "approval_education": None}],
)
async def test_each_kind_needs_its_documents(books, changes):
    item = await propose(**changes)
    with pytest.raises(PriceRefused):
        await payments.approve_price(fee_item_id=item, approved_by="b")


@pytest.mark.parametrize("changes", [{"kind": "bribe"}, {"price_fen": 0}, {"price_fen": 1.5}])
async def test_nonsense_is_refused(books, changes):
    with pytest.raises(PriceRefused):
        await propose(**changes)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"price_fen": 999}, payments.BillRefused),
        ({"quantity": 2}, payments.BillRefused),
        ({"quantity": 0}, payments.BillRefused),
        ({"price_fen": 0}, payments.BillRefused),
        ({"fee_code": "NOT-LISTED"}, payments.PriceUnknown),
    ],
)
async def test_a_bill_follows_the_list_to_the_fen(books, line, problem):
    values = {"fee_code": FEE, "name": "工本费", "quantity": 1, "price_fen": 1000} | line
    with pytest.raises(problem):
        await payments.issue_bill(
            subject="case:1", owner_ref="o", unit_code=UNIT, kind="administrative", lines=[payments.Line(**values)],
            expires_at=books.clock.now().replace(year=2027), dedupe_key="k",
        )  # fmt: skip
    assert await payments.bills_of("case:1") == []


async def test_a_carriers_fee_follows_its_quotation(books):
    bill_no = await payments.issue_bill(
        subject="case:1", owner_ref="o", unit_code="CARRIER", kind="delivery",
        lines=[payments.Line(fee_code="EMS-1", name="快递费", quantity=1, price_fen=1200)],
        expires_at=books.clock.now().replace(year=2027), dedupe_key="k",
    )  # fmt: skip
    view = await payments.bill(owner_ref="o", bill_no=bill_no)
    assert (view.kind, view.due_fen, view.status) == ("delivery", 1200, "unpaid")
    assert await payments.outstanding("case:1", "delivery")
    assert not await payments.outstanding("case:1", "administrative")
