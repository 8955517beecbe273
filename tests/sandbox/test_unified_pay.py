"""The finance front end over real TCP: frames, proofs, the life of bills, orders, refunds and e-receipts."""

import asyncio

import aiohttp
import pytest

from tests.sandbox.unified_pay_caller import CODE, UNIT, Unit, finance, order_fields


@pytest.fixture
async def unit(tmp_path):
    async with finance(tmp_path) as partner:
        yield Unit(partner)


async def test_an_uploaded_order_answers_the_address_behind_its_code(unit):
    got = await unit.place()
    assert (got.number, got.fields["OriMsgNo"], got.fields["Result"]) == ("5001", "8994", "00000")
    assert got.fields["Information"].endswith("/pay/ORDER1") and "<MsgRef>ORDER1</MsgRef>" in got.xml
    bill = await unit.control("GET", f"/bills/{CODE}")
    assert (bill["amount_fen"], bill["payer"], bill["state"]) == (1000, "王䶮", "UNPAID")


async def test_a_frame_may_come_in_pieces_and_two_may_come_at_once(unit):
    (got,) = await unit.send(unit.frame("8994", order_fields()), pause=True)
    assert got.fields["Result"] == "00000"
    pair = unit.frame("8997", {"PayCode": CODE}) + b"\r\n" + unit.frame("8997", {"PayCode": "0"}, msg_id="M2")
    first, second = await unit.send(pair, answers=2)
    assert (first.number, second.fields["Result"]) == ("5997", "18004")


@pytest.mark.parametrize("damage", ["token", "byte", "length", "tail"])
async def test_what_proves_nothing_is_not_answered(unit, damage):
    frame = unit.frame("8994", order_fields(), token="wrong" if damage == "token" else None)
    if damage == "byte":
        frame = frame.replace(b"<VER>1.0", b"<VER>1.1")
    if damage == "length":
        frame = f"{len(frame) - 10:<8}".encode() + frame[8:]
    if damage == "tail":
        frame = frame.replace(b"</CFX>", b"</CFX >")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await unit.send(frame)
    assert (await unit.control("GET", "/bills"))["bills"] == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code": "6209812630000000000"}, "18002"),
        ({"code": "11010126300000000007"}, "18003"),
        ({"ChgAgenCode": "11620981MB9999999X"}, "18012"),
        ({"Amt": "11.00"}, "18001"),
        ({"Amt": "1e1"}, "18001"),
        ({"PayInfo": "YDZ-BB|工本费|10.00|证|1||0.0-0.0"}, "18001"),
        ({"PayInfo": "A|甲|5.00|证|1||0.0-0.0#A|甲|5.00|证|1||0.0-0.0#"}, "18001"),
    ],
)
async def test_an_order_that_breaks_a_rule_is_refused_by_code(unit, changed, code):
    changed = dict(changed)
    got = await unit.place(changed.pop("code", CODE), **changed)
    assert got.fields["Result"] == code


async def test_the_same_order_again_is_the_same_and_another_content_is_not(unit):
    first, second = await unit.place(), await unit.place()
    assert first.fields["Information"] == second.fields["Information"]
    assert (await unit.control("GET", "/orders/ORDER1"))["times_created"] == 2
    other = await unit.place(Amt="20.00", PayInfo="YDZ-BB|工本费|20.00|证|1||0.0-0.0#")
    assert other.fields["Result"] == "18005"
    assert (await unit.place(PayerName="另一个人")).fields["Result"] == "18006"


async def test_an_order_ends_after_half_an_hour_and_the_bill_stays(unit):
    await unit.place()
    await unit.control("POST", "/clock", {"offset_s": 1795})
    asked = await unit.ask("8997", {"PayCode": CODE, "Hold2": "ORDER1"})
    assert (asked.fields["PayStats"], asked.fields["OrdStats"]) == ("0", "3")
    assert (await unit.place()).fields["Result"] == "18008"
    assert (await unit.place(order_no="ORDER2")).fields["Result"] == "00000"
    refused = await unit.control("POST", "/orders/ORDER1/pay", {}, status=409)
    assert "失效" in refused["error"]


async def test_a_code_paid_at_the_counter_takes_no_order_and_says_who_paid(unit):
    await unit.place()
    await unit.control("POST", f"/bills/{CODE}/pay-at-counter", {"payer": "李㛃", "notify": False})
    assert (await unit.place(order_no="ORDER2")).fields["Result"] == "232"
    assert (await unit.ask("8995", {"PayCode": CODE, "Hold2": "ORDER1"})).fields["Result"] == "232"
    asked = (await unit.ask("8997", {"PayCode": CODE})).fields
    assert (asked["PayStats"], asked["PayMode"], asked["PayerName"], asked["Hold2"]) == ("1", "01", "李㛃", "")
    assert asked["TraNoBus"] and asked["Amt"] == "10.00"


async def test_closing_can_be_repeated_and_ends_the_order(unit):
    await unit.place()
    for _ in range(2):
        assert (await unit.ask("8995", {"PayCode": CODE, "Hold2": "ORDER1"})).fields["Result"] == "00000"
    await unit.control("POST", "/orders/ORDER1/pay", {}, status=409)
    assert (await unit.ask("8995", {"PayCode": CODE, "Hold2": "NONE"})).fields["Result"] == "18007"


async def paid(unit, **wish) -> dict:
    await unit.place()
    return await unit.control("POST", "/orders/ORDER1/pay", {"notify": False, **wish})


async def test_a_refund_is_remembered_and_never_exceeds_the_payment(unit):
    txn = (await paid(unit))["txn"]
    await unit.control("POST", "/config", {"auto_refund": None})
    ask = {"RefundNo": "R1", "TraNoBus": txn, "RefundAmt": "6.00"}
    for _ in range(2):
        got = await unit.ask("8990", ask)
        assert (got.number, got.fields["RefStats"]) == ("5990", "0")
    assert (await unit.ask("8990", {**ask, "RefundAmt": "5.00"})).fields["Result"] == "18012"
    assert (await unit.ask("8990", {**ask, "RefundNo": "R2", "RefundAmt": "5.00"})).fields["Result"] == "18014"
    await unit.control("POST", "/refunds/R1/finish", {"state": "SUCCESS"})
    assert (await unit.ask("8991", {"RefundNo": "R1"})).fields["RefStats"] == "1"
    assert (await unit.ask("8991", {"RefundNo": "R9"})).fields["Result"] == "18010"


async def test_a_receipt_is_issued_once_and_not_reversed_while_it_is_on_paper(unit):
    txn = (await paid(unit))["txn"]
    number = (await unit.ask("8999", {"Hold2": "Q1", "ChgAgenCode": UNIT})).fields["Information"]
    issue = {"PayCode": CODE, "BillNo": number, "Trade_Id": "Q1", "TraNoBus": txn, "Amt": "10.00"}
    first, second = await unit.ask("8981", issue), await unit.ask("8981", issue)
    assert first.fields == second.fields and first.fields["BillStats"] == "1" and len(first.fields["CheckCode"]) == 6
    async with aiohttp.ClientSession() as session, session.get(first.fields["Invoice_Url"]) as page:
        assert "财政电子票据" in await page.text()

    await unit.control("POST", f"/receipts/{number}/exchange-to-paper", {})
    for call in ("8983", "8984"):
        assert (await unit.ask(call, {"Trade_Id": "Q1"})).fields["Result"] == "18103"
    await unit.control("POST", f"/receipts/{number}/void-paper", {})
    assert (await unit.ask("8983", {"Trade_Id": "Q1"})).fields["Result"] == "00000"
    red = [(await unit.ask("8984", {"Trade_Id": "Q1"})).fields["Information"] for _ in range(2)]
    assert red[0] == red[1] != number
    assert (await unit.ask("8985", {"Trade_Id": "Q1"})).fields["BillStats"] == "3"
    await unit.control("POST", f"/receipts/{number}/exchange-to-paper", {}, status=409)


async def test_faults_hit_frames_too(unit):
    await unit.place()
    for effect in ({"drop": "after"}, {"drop": "before"}, {"body": "garbage"}, {"signature": "other_key"}):
        await unit.control("POST", "/faults", {"match": {"call": "8997"}, "effect": effect})
        with pytest.raises(
            (AssertionError, ValueError, UnicodeDecodeError, asyncio.IncompleteReadError, ConnectionError)
        ):
            await unit.ask("8997", {"PayCode": CODE})
    await unit.control("POST", "/faults", {"match": {"call": "8997"}, "effect": {"code": "29999"}})
    assert (await unit.ask("8997", {"PayCode": CODE})).fields["Result"] == "29999"
    log = (await unit.control("GET", "/requests?call=8997"))["requests"]
    assert [line["fields"]["PayCode"] for line in log] == [CODE] * 5


async def test_everything_survives_a_restart(tmp_path):
    async with finance(tmp_path) as partner:
        await paid(Unit(partner))
    async with finance(tmp_path) as partner:
        assert (await Unit(partner).place(order_no="ORDER2")).fields["Result"] == "232"
