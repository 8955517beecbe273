"""M29 「实现网上缴费并产生真实缴费记录」·「费用缴纳」: paid from the phone, tied to one bill and one case, provable by asking the channel again."""

import asyncio
from datetime import timedelta

from kernel import clock
from tests.rows.county import until

PAY, WINDOW = 3, 4
AFTERWARDS = "YM-BDC-ZY"  # 二手房转移登记预审: forwarded first, paid before the visit


async def bill(citizen) -> dict:
    return (await citizen.call("GET", f"/cases/{citizen.case_no}"))["bills"][0]


async def start(citizen, bill_no: str) -> dict:
    payment = await citizen.call("POST", f"/bills/{bill_no}/payments", {"channel": "wechat_jsapi"})

    async def ready() -> dict | None:
        found = await citizen.call("GET", f"/payments/{payment['payment_no']}")
        return found if found["client_action"] else None

    return await until("收银台", ready, seconds=30)


async def at_window(citizen) -> bool:
    cases = (await citizen.cast.partner(WINDOW).do("GET", "/cases"))["cases"]
    return any(case["clientRef"] == citizen.case_no for case in cases)


async def paid(citizen, payment_no: str) -> dict:
    async def look() -> dict | None:
        found = await citizen.call("GET", f"/payments/{payment_no}")
        return found if found["status"] == "paid" else None

    return await until("到账", look, seconds=30)


async def test_M29_a_fee_is_paid_from_the_phone_and_only_then_the_case_goes_on(county):
    citizen = await county.citizen()
    await citizen.applied()
    owed = await bill(citizen)
    assert (owed["subject"], owed["due_fen"], owed["status"]) == (f"case:{citizen.case_no}", 1000, "unpaid")
    assert "工本费" in owed["lines"][0]["name"]
    payment = await start(citizen, owed["bill_no"])
    assert payment["status"] == "ongoing", "opening the cashier is not paying"
    assert not await at_window(citizen), "this item is forwarded after the payment"

    channel = citizen.cast.partner(PAY)
    await channel.do("POST", f"/orders/{payment['payment_no']}/pay", {})
    await paid(citizen, payment["payment_no"])

    async def arrived() -> bool | None:
        return True if await at_window(citizen) else None

    await until("到达窗口", arrived, seconds=30)
    settled = await bill(citizen)
    assert (settled["status"], settled["paid_fen"]) == ("paid", 1000)
    orders = (await channel.do("GET", "/orders"))["orders"]
    mine = [order for order in orders if order["out_trade_no"] == payment["payment_no"]]
    assert [order["state"] for order in mine] == ["SUCCESS"], "the channel's own books say the same"


async def test_M29_when_the_channel_says_nothing_it_is_asked(county):
    """No notice comes; the payment is proved by asking again."""
    citizen = await county.citizen()
    await citizen.applied()
    payment = await start(citizen, (await bill(citizen))["bill_no"])
    await citizen.cast.partner(PAY).do("POST", f"/orders/{payment['payment_no']}/pay", {"notify": False})
    assert (await paid(citizen, payment["payment_no"]))["amount_fen"] == 1000


async def test_M29_an_item_may_be_forwarded_before_it_is_paid(county):
    citizen = await county.citizen()
    await citizen.open(AFTERWARDS)
    guide = await citizen.call("GET", f"/items/{AFTERWARDS}")
    assert guide["pay_before_forward"] is False
    required = [m["code"] for m in guide["materials"] if m["need"] == "required"]
    body = {
        "form": {
            "cert_no": "甘（2020）玉门市不动产权第0001234号", "location": "玉门市新市区幸福路 8 号", "price_yuan": 300000,
            "seller_name": "韩玉明", "buyers": [{"name": citizen.name, "id_number": citizen.id_number, "share": 100}],
            "mortgaged": False, "visit_on": str(clock.today() + timedelta(days=3)), "contact_mobile": "13900000001",
        },
        "materials": [{"code": code, "material_ids": [await citizen.material()]} for code in required],
        "delivery": {"way": "pickup"},
    }  # fmt: skip
    await citizen.call("POST", f"/cases/{citizen.case_no}/submission", body)

    async def arrived() -> bool | None:
        return True if await at_window(citizen) else None

    await until("到达窗口", arrived, seconds=30)
    owed = await bill(citizen)
    assert (owed["status"], owed["paid_fen"]) == ("unpaid", 0)
    payment = await start(citizen, owed["bill_no"])
    await citizen.cast.partner(PAY).do("POST", f"/orders/{payment['payment_no']}/pay", {})
    await paid(citizen, payment["payment_no"])


async def test_M29_a_bill_is_paid_once_by_its_owner_through_an_open_channel(county):
    citizen, neighbour = await county.citizen(), await county.citizen()
    await citizen.applied()
    owed = await bill(citizen)
    path = f"/bills/{owed['bill_no']}/payments"
    assert (await neighbour.refused("POST", path, {"channel": "wechat_jsapi"})).status == 404
    assert (await county.stranger().refused("POST", path, {"channel": "wechat_jsapi"})).status == 401
    assert (await citizen.refused("POST", path, {"channel": "cash"})).status == 422
    payment = await start(citizen, owed["bill_no"])
    assert (await neighbour.refused("GET", f"/payments/{payment['payment_no']}")).status == 404
    await citizen.cast.partner(PAY).do("POST", f"/orders/{payment['payment_no']}/pay", {})
    await paid(citizen, payment["payment_no"])
    again = await citizen.refused("POST", path, {"channel": "wechat_jsapi"})
    assert (again.status, again.code) == (409, "bill-not-payable")


async def test_M29_a_forged_notice_pays_nothing(county):
    citizen = await county.citizen()
    await citizen.applied()
    payment = await start(citizen, (await bill(citizen))["bill_no"])
    number = payment["payment_no"]
    forged = {"about": {"out_trade_no": number}, "event": "TRANSACTION.SUCCESS", "tamper": "other_key"}
    await citizen.cast.partner(PAY).do("POST", "/notifications", forged)
    url = f"{county.stack.api}/api/v1/callbacks/wechat-pay"
    async with county.session.post(url, json={"event_type": "TRANSACTION.SUCCESS", "out_trade_no": number}) as answer:
        assert answer.status >= 400
    await asyncio.sleep(1)
    assert (await citizen.call("GET", f"/payments/{number}"))["status"] == "ongoing"
    assert (await bill(citizen))["paid_fen"] == 0
