"""M34 「市区内收费4元、乡镇6元、酒泉8元、省外按规定收费标准」: quoted before booking, kept afterwards, never guessed."""

import json
from pathlib import Path

import pytest

from tests.rows.county import TOWN

STREET, OTHER_COUNTY, OTHER_PROVINCE, OTHER_CITY = "620981001000", "620922000000", "610113000000", "620102000000"
ZONES = Path(__file__).parents[2] / "backend" / "seed" / "zones.json"


async def quote(citizen, region: str) -> dict:
    return await citizen.call("GET", f"/delivery-quotes?region_code={region}")


async def fee_of(citizen) -> int:
    """The courier's bill of her case."""
    bills = (await citizen.call("GET", f"/cases/{citizen.case_no}"))["bills"]
    return next(bill["due_fen"] for bill in bills if bill["kind"] == "delivery")


@pytest.mark.parametrize(
    ("region", "zone", "amount_fen"),
    [(STREET, "市区", 400), (TOWN, "乡镇", 600), (OTHER_COUNTY, "酒泉", 800)],
)
async def test_M34_the_published_prices(county, region, zone, amount_fen):
    citizen = await county.citizen(proven=False)
    told = await quote(citizen, region)
    assert (told["zone"], told["amount_fen"], told["source"]) == (zone, amount_fen, "table")


async def test_M34_outside_the_province_the_carrier_says_the_price(county):
    told = await quote(await county.citizen(proven=False), OTHER_PROVINCE)
    assert told["zone"] == "省外"
    assert told["source"] == "carrier"
    assert told["amount_fen"] > 0


async def test_M34_a_zone_without_a_price_says_so_and_is_not_guessed(county):
    refusal = await (await county.citizen(proven=False)).refused("GET", f"/delivery-quotes?region_code={OTHER_CITY}")
    assert (refusal.status, refusal.code) == (422, "delivery-zone-unknown")
    assert "还没有公布" in refusal.body["detail"]


async def test_M34_a_price_needs_a_login(county):
    assert (await county.stranger().refused("GET", f"/delivery-quotes?region_code={TOWN}")).status == 401


async def test_M34_nothing_is_sent_without_its_own_quote(county):
    """No quote, another person's, one for elsewhere, one used before: all refused, and nothing is billed."""
    citizen, other = await county.citizen(), await county.citizen(proven=False)
    await citizen.open()
    path = f"/cases/{citizen.case_no}/submission"
    foreign, elsewhere = await quote(other, TOWN), await quote(citizen, STREET)
    for number in (None, foreign["quote_no"], elsewhere["quote_no"]):
        refusal = await citizen.refused("POST", path, await citizen.submission(quote_no=number))
        assert refusal.status == 422, refusal.body
    assert (await citizen.call("GET", f"/cases/{citizen.case_no}"))["bills"] == []

    right = (await quote(citizen, TOWN))["quote_no"]
    await citizen.call("POST", path, await citizen.submission(quote_no=right))
    await citizen.open()
    again = await citizen.refused(
        "POST", f"/cases/{citizen.case_no}/submission", await citizen.submission(quote_no=right)
    )
    assert (again.status, again.code) == (422, "delivery-quote-unusable")


async def test_M34_the_quote_is_kept_when_the_table_changes(county, tmp_path):
    citizen = await county.citizen()
    booked, kept = await quote(citizen, TOWN), await quote(citizen, TOWN)
    first = await citizen.open()
    await citizen.call("POST", f"/cases/{first}/submission", await citizen.submission(quote_no=booked["quote_no"]))
    second = await citizen.open()

    dearer = json.loads(ZONES.read_text(encoding="utf-8"))
    next(zone for zone in dearer["zones"] if zone["name"] == "乡镇")["amount_fen"] = 900
    table = tmp_path / "zones.json"
    table.write_text(json.dumps(dearer, ensure_ascii=False), encoding="utf-8")
    async with county.configured(DELIVERY_ZONES_PATH=str(table)):
        assert (await quote(citizen, TOWN))["amount_fen"] == 900
        await citizen.call("POST", f"/cases/{second}/submission", await citizen.submission(quote_no=kept["quote_no"]))
        for case_no in (first, second):
            citizen.case_no = case_no
            assert await fee_of(citizen) == 600
