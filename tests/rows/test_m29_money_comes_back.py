"""M29 「实现网上缴费并产生真实缴费记录」: a matter that is given up gives the fee back by itself, and whoever wants it back may ask."""

from tests.rows.county import until

PAY = 3


async def bill(citizen) -> dict:
    return (await citizen.call("GET", f"/cases/{citizen.case_no}"))["bills"][0]


async def test_M29_a_withdrawn_matter_gives_the_fee_back_and_says_so(county):
    citizen = await county.citizen()
    await citizen.paid_case()
    await citizen.call("POST", f"/cases/{citizen.case_no}/withdrawal", {"reason": "不需要了"})

    async def back() -> dict | None:
        found = await bill(citizen)
        return found if found["status"] == "refunded" else None

    returned = await until("退款到账", back, seconds=60)
    (refund,) = returned["refunds"]
    assert (refund["amount_fen"], refund["cause"], refund["label"]) == (1000, "withdrawal", "已原路退回")
    there = (await citizen.cast.partner(PAY).do("GET", f"/refunds/{refund['refund_no']}"))["status"]
    assert there == "SUCCESS", "the channel's own books say the same"

    async def told() -> bool | None:
        return True if any("已经退还" in message["text"] for message in await citizen.messages()) else None

    await until("退款通知", told, seconds=30)
    overview = await citizen.call("GET", f"/cases/{citizen.case_no}")
    assert "已退还 10.00 元" in overview["next_action"]["text"]


async def test_M29_a_payer_asks_for_the_fee_back_and_nobody_else_may(county):
    citizen, neighbour = await county.citizen(), await county.citizen()
    await citizen.paid_case()
    path = f"/bills/{(await bill(citizen))['bill_no']}/refund-requests"
    assert (await neighbour.refused("POST", path, {"reason": "给我吧"})).status == 404
    assert (await county.stranger().refused("POST", path, {"reason": "给我吧"})).status == 401
    assert (await citizen.refused("POST", path, {"reason": ""})).status == 422
    asked = await citizen.call("POST", path, {"reason": "重复办理了"})
    assert (asked["status"], asked["label"]) == ("refunding", "退款申请待审核")
    again = await citizen.refused("POST", path, {"reason": "重复办理了"})
    assert (again.status, again.code) == (409, "refund-not-possible")
    shown = await bill(citizen)
    assert (shown["status"], len(shown["refunds"])) == ("paid", 1), "until the unit agrees the fee stays paid"
