"""M34 inside: a price is told before it is owed, kept when the table changes, and refused where nobody has published one."""

import json
from pathlib import Path

import pytest

import payments
from backend.cases.ports import DeliveryWish
from backend.delivery import planner, runtime, service, tariff
from backend.delivery.carriers.base import CarrierRefused, CarrierUnclear
from backend.delivery.models import Parcel, QuoteRow
from backend.delivery.settings import Settings
from kernel import db
from kernel.problems import Invalid
from tests.backend.delivery.test_tariff import SEED_LIKE
from tests.backend.delivery.world import KEY, OTHER_PROVINCE, REGIONS, STREET, TOWN, recipient

CASE = "620981261120100000019"


async def plan(citizen, wish: DeliveryWish, case_no: str = CASE) -> None:
    async with db.transaction():
        await planner.Planner().plan(case_no=case_no, account_ref=citizen.account_ref, wish=wish)


async def bills(case_no: str = CASE):
    return await payments.bills_of(f"case:{case_no}")


async def test_a_quote_names_zone_price_and_table(world) -> None:
    quote = await service.quote(actor=await world.citizen(), region_code=TOWN)
    assert (quote.zone, quote.amount_fen, quote.source) == ("乡镇", 600, "table")
    assert quote.table_version.endswith("@2018-12-21")
    assert quote.valid_until.utcoffset().total_seconds() == 8 * 3600


async def test_another_province_costs_what_the_carrier_says(world) -> None:
    world.carrier.price_fen = 2345
    quote = await service.quote(actor=await world.citizen(), region_code=OTHER_PROVINCE)
    assert (quote.amount_fen, quote.source) == (2345, "carrier")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(CarrierUnclear("x"), service.CarrierSilent), (CarrierRefused("1", "x"), tariff.ZoneUnknown)],
)
async def test_a_silent_carrier_means_no_price_at_all(world, answer, problem) -> None:
    world.carrier.script = [answer]
    with pytest.raises(problem):
        await service.quote(actor=await world.citizen(), region_code=OTHER_PROVINCE)
    assert await QuoteRow.all().count() == 0


@pytest.mark.parametrize("region", ["620102000000"])
async def test_the_rest_of_the_province_is_refused(world, region) -> None:
    with pytest.raises(tariff.ZoneUnknown):
        await service.quote(actor=await world.citizen(), region_code=region)


@pytest.mark.parametrize("region", ["", "62", "999999999999", "620900000000", "62098110100x", "620000000000"])
async def test_a_region_must_exist_and_reach_down_to_the_county(world, region) -> None:
    with pytest.raises(Invalid):
        await service.quote(actor=await world.citizen(), region_code=region)


async def test_planning_makes_parcel_and_bill_with_the_quoted_price(world) -> None:
    citizen = await world.citizen()
    parcel = await world.planned(citizen)
    (bill,) = await bills(parcel.case_no)
    assert (bill.due_fen, bill.kind, bill.bill_no) == (600, "delivery", parcel.bill_no)
    assert (parcel.state, parcel.amount_fen, parcel.zone) == ("QUOTED", 600, "乡镇")
    assert "2018-12-21" in parcel.table_version
    assert "2018" not in bill.title, "which table it was is for the books, not for the person who pays"


async def test_the_quote_stays_when_the_table_changes(world, tmp_path: Path) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen)
    dearer = {**SEED_LIKE, "document_no": "新表", "valid_from": "2026-11-01"}
    dearer["zones"] = [{"name": "全国", "include": [""], "amount_fen": 9900}]
    (tmp_path / "new.json").write_text(json.dumps(dearer), encoding="utf-8")
    settings = Settings(key=KEY, zones_path=str(tmp_path / "new.json"))
    runtime.configure(settings=settings, carriers={"ems": world.carrier})
    parcel = await world.planned(citizen, wish)
    (bill,) = await bills(parcel.case_no)
    assert bill.due_fen == 600
    assert "2018-12-21" in (parcel.table_version or "")
    assert (await service.quote(actor=citizen, region_code=TOWN)).amount_fen == 9900


async def test_name_phone_and_address_are_sealed_and_masked(world) -> None:
    parcel = await world.planned(await world.citizen())
    assert (parcel.name_mask, parcel.phone_mask) == ("王**", "139****0001")
    assert parcel.address_mask.startswith("甘肃省酒泉市玉门市玉门镇")
    stored = await db.fetch("SELECT * FROM delivery_parcel")
    for clear in ("王秀英", "13900000001", "永丰村"):
        assert clear not in str(stored)


async def refused(citizen, wish: DeliveryWish) -> str:
    with pytest.raises(Invalid) as problem:
        await plan(citizen, wish)
    assert await Parcel.all().count() == 0
    assert await bills() == []
    return problem.value.errors[0].pointer


async def test_another_persons_quote_is_none(world) -> None:
    wish = await world.wish(await world.citizen())
    assert await refused(await world.citizen(), wish) == "/delivery/quote_no"


async def test_an_expired_quote_is_asked_again(world, frozen_clock) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen)
    frozen_clock.advance(minutes=121)
    assert await refused(citizen, wish) == "/delivery/quote_no"


async def test_a_changed_region_is_not_the_quoted_one(world) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen, TOWN)
    moved = DeliveryWish(way="mail", quote_no=wish.quote_no, recipient=recipient(STREET))
    assert await refused(citizen, moved) == "/delivery/recipient/region_code"


async def test_a_missing_or_unknown_quote_is_refused(world) -> None:
    citizen = await world.citizen()
    for quote_no in (None, "", "nonsense"):
        wish = DeliveryWish(way="mail", quote_no=quote_no, recipient=recipient())
        assert await refused(citizen, wish) == "/delivery/quote_no"
    assert await refused(citizen, DeliveryWish(way="mail", recipient=None)) == "/delivery/recipient"


async def test_prices_nobody_used_are_forgotten_after_a_month(world, frozen_clock) -> None:
    citizen = await world.citizen()
    await service.quote(actor=citizen, region_code=STREET)
    parcel = await world.planned(citizen)
    frozen_clock.advance(days=31)
    await service.quote(actor=citizen, region_code=TOWN)
    await service.sweep()
    left = await QuoteRow.all().order_by("id")
    assert [row.case_no for row in left] == [parcel.case_no, None]


async def test_one_quote_serves_one_case(world) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen)
    await world.planned(citizen, wish)
    with pytest.raises(planner.QuoteUnusable):
        await plan(citizen, wish)


async def test_a_case_has_one_way(world) -> None:
    citizen = await world.citizen()
    await plan(citizen, await world.wish(citizen))
    with pytest.raises(planner.AlreadyPlanned):
        await plan(citizen, DeliveryWish(way="pickup"))


async def test_every_wrong_field_is_named_and_none_repeated(world) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen)
    bad = DeliveryWish(
        way="mail", quote_no=wish.quote_no, recipient=recipient(name=" ", phone="0937-1234567", address="x\u202e")
    )
    with pytest.raises(Invalid) as problem:
        await plan(citizen, bad)
    assert [e.pointer.rsplit("/", 1)[1] for e in problem.value.errors] == ["name", "phone", "address"]
    assert "1234567" not in str(problem.value.errors)


async def test_a_failing_submission_leaves_neither_parcel_nor_bill_nor_used_quote(world) -> None:
    citizen = await world.citizen()
    wish = await world.wish(citizen)
    with pytest.raises(RuntimeError):
        async with db.transaction():
            await planner.Planner().plan(case_no=CASE, account_ref=citizen.account_ref, wish=wish)
            raise RuntimeError("the rest of the submission failed")
    assert await Parcel.all().count() == 0
    assert (await QuoteRow.get()).case_no is None
    await plan(citizen, wish)


async def test_collecting_at_the_window_costs_nothing(world) -> None:
    citizen = await world.citizen()
    await plan(citizen, DeliveryWish(way="pickup"))
    assert await bills() == []
    assert (await Parcel.get()).way == "pickup"


def test_the_world_has_every_zone() -> None:
    assert {TOWN, STREET, OTHER_PROVINCE} < set(REGIONS)
