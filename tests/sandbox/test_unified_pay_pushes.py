"""Confirmation pushes, statements, the provincial face and the person's pages of the unified payment sandbox."""

import base64

import aiohttp
import pytest
from aiohttp import web

from tests.sandbox.unified_pay_caller import CODE, UNIT, Unit, finance


@pytest.fixture
async def product():
    """Our side's door: keeps what comes and answers what the test wants."""
    got, answers = [], []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response(body=answers[-1](got[-1]) if answers else b"")

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/unified-pay", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield got, answers, f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


@pytest.fixture
async def unit(tmp_path, product):
    async with finance(tmp_path, product_url=product[2]) as partner:
        found = Unit(partner)
        await found.control("POST", "/config", {"time_scale": 0.001})
        yield found


async def paid(unit, **wish) -> dict:
    await unit.control("POST", "/config", {"time_scale": 1})
    await unit.place()
    payment = await unit.control("POST", "/orders/ORDER1/pay", {"notify": False, **wish})
    await unit.control("POST", "/config", {"time_scale": 0.001})
    return payment


async def test_a_confirmation_is_repeated_until_it_is_accepted(unit, product):
    got, answers, _ = product
    refusals = iter(("99999", "99999"))
    answers.append(lambda _: unit.frame("8001", {"OriMsgNo": "5996", "Result": next(refusals, "00000")}, upper=True))
    payment = await paid(unit)
    await unit.control("POST", f"/bills/{CODE}/pay-at-counter", {"force": True})
    await unit.control("POST", "/settle")
    assert len(got) == 3
    for raw in got:
        push = unit.opened(raw)
        assert push.number == "5996" and push.fields["PayCode"] == CODE and push.fields["Amt"] == "10.00"
        assert push.fields["TraNoBus"] != payment["txn"]


@pytest.mark.parametrize("answer", [b"", b"garbage", "other"])
async def test_an_answer_that_proves_nothing_does_not_end_the_repeats(unit, product, answer):
    got, answers, _ = product
    forged = (
        unit.frame("8001", {"OriMsgNo": "5996", "Result": "00000"}, token="somebody") if answer == "other" else answer
    )
    answers.append(lambda _: forged)
    payment = await paid(unit)
    found = await unit.control("POST", "/notifications", {"about": {"txn": payment["txn"]}})
    assert len(got) == 1 and found["answers"][0]["accepted"] == 0


async def test_a_person_can_damage_a_push_in_every_way(unit):
    first = await paid(unit, payer="王䶮")
    second = await unit.control("POST", f"/bills/{CODE}/pay-at-counter", {"force": True, "notify": False})

    async def made(**wish) -> bytes:
        wish = {"about": {"txn": first["txn"]}, "deliver": False, **wish}
        return base64.b64decode((await unit.control("POST", "/notifications", wish))["request"]["body_base64"])

    whole = await made()
    assert unit.opened(whole).fields["PayerName"] == "王䶮"
    assert unit.opened(await made(override={"Amt": "9.00"})).fields["Amt"] == "9.00"
    for tamper in ("mac_wrong", "body_byte", "other_token", "mac_lower"):
        with pytest.raises(AssertionError):
            unit.opened(await made(tamper=tamper))
    assert int((await made(tamper="frame_short"))[:8]) < len(whole)
    joined = await made(**{"with": [second["txn"]]})
    length = int(joined[:8])
    assert unit.opened(joined[:length]).fields["TraNoBus"] == first["txn"]
    assert unit.opened(joined[length:]).fields["TraNoBus"] == second["txn"]
    await unit.control("POST", "/notifications", {"about": {"txn": first["txn"]}, "tamper": "nonsense"}, status=400)
    await unit.control("POST", "/notifications", {"about": {"txn": "0"}}, status=404)


async def test_the_statement_of_a_day_has_totals_and_can_be_spoiled(unit):
    payment = await paid(unit)
    refund = {"RefundNo": "R1", "TraNoBus": payment["txn"], "RefundAmt": "4.00"}
    await unit.ask("8990", refund)
    await unit.control("POST", "/settle")
    day = payment["txn"][:8]
    assert (await unit.ask("8970", {"BillDate": day, "PageNo": "1"})).fields["Result"] == "18020"
    await unit.control("POST", "/clock", {"offset_s": 86400})
    await unit.control("POST", "/config", {"page_lines": 3})
    pages = [(await unit.ask("8970", {"BillDate": day, "PageNo": str(n)})).fields for n in (1, 2)]
    assert [page["PageCount"] for page in pages] == ["2", "2"]
    lines = "\n".join(page["FileContent"] for page in pages).split("\n")
    assert lines[0].startswith("类型|时间") and lines[-1] == "合计|2|10.00|4.00" and len(lines) == 4
    await unit.control("POST", f"/statements/{day}", {"drop": ["R1"], "truncate": True})
    (spoiled,) = [(await unit.ask("8970", {"BillDate": day, "PageNo": "1"})).fields["FileContent"].split("\n")]
    assert len(spoiled) == 2
    await unit.control("POST", f"/statements/{day}", {"ready": "none"})
    assert (await unit.ask("8970", {"BillDate": day, "PageNo": "1"})).fields["Result"] == "18021"


async def province(unit, operation: str, inner: str) -> str:
    body = f'<?xml version="1.0" encoding="GBK"?><ROOT><REQUEST>{inner}</REQUEST></ROOT>'.encode("gb18030")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{unit.partner.url}/province/{operation}", data=body) as got,
    ):
        return (await got.read()).decode("gb18030")


async def test_the_provincial_face_says_99_for_what_is_paid(unit):
    code = f'<PARAM NAME="NOTICENO">{CODE}</PARAM>'
    bill = (
        f"<APP_PAY><NOTICENO>{CODE}</NOTICENO><ENTERCODE>{UNIT}</ENTERCODE><TOTALMONEY>80.0</TOTALMONEY><PAYER>王䶮</PAYER>"
        "<PROJECT><CHITCODE>1</CHITCODE><CHITNAME>工本费</CHITNAME><CHMONEY>80</CHMONEY></PROJECT></APP_PAY>"
    )
    assert "<CODE>01</CODE>" in await province(unit, "Get_Pay_Info_With_Order_Flow", code)
    assert "<CODE>00</CODE>" in await province(unit, "Put_Pay_Info", bill)
    await unit.control("POST", "/config", {"time_scale": 1})
    order = await province(unit, "Create_Order_Flow", code + '<PARAM NAME="PAYNO">P1</PARAM>')
    assert "<CODE>00</CODE>" in order and "/pay/P1" in order and "<LOSETIME>" in order
    await unit.control("POST", f"/bills/{CODE}/pay-at-counter", {"notify": False})
    refused = await province(unit, "Create_Order_Flow", code + '<PARAM NAME="PAYNO">P2</PARAM>')
    assert "<CODE>99</CODE>" in refused and "该缴款单已缴款" in refused and "<PAYMONEY>80.00</PAYMONEY>" in refused
    assert "<PAYSTATE>1</PAYSTATE>" in await province(unit, "Get_Pay_Info_With_Order_Flow", code)
    assert "<CODE>02</CODE>" in await province(unit, "Nothing", code)
    assert "<CODE>03</CODE>" in await province(unit, "Put_Pay_Info", "<!DOCTYPE a>")


@pytest.mark.parametrize(
    ("choice", "state", "word"),
    [
        ("phone", "PAID", "缴款成功"),
        ("counter", "OPEN", "缴款成功"),
        ("decline", "OPEN", "放弃"),
        ("nonsense", "OPEN", "没有"),
    ],
)
async def test_a_person_pays_or_not_at_the_page(unit, choice, state, word):
    await unit.control("POST", "/config", {"time_scale": 1, "auto_notify": False})
    await unit.place()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{unit.partner.url}/pay/ORDER1") as page:
            assert "应缴 10.00 元" in await page.text()
        async with session.post(f"{unit.partner.url}/pay/ORDER1", data={"choice": choice}) as page:
            assert word in await page.text()
    assert (await unit.control("GET", "/orders/ORDER1"))["state"] == state
    paid_now = (await unit.control("GET", f"/bills/{CODE}"))["state"]
    assert paid_now == ("PAID" if choice in ("phone", "counter") else "UNPAID")


async def test_a_person_can_pay_twice_and_too_late(unit):
    await unit.control("POST", "/config", {"time_scale": 1, "auto_notify": False})
    await unit.place()
    async with aiohttp.ClientSession() as session:
        for choice in ("phone", "twice", "late"):
            async with session.post(f"{unit.partner.url}/pay/ORDER1", data={"choice": choice}) as page:
                assert "缴款成功" in await page.text()
        async with session.post(f"{unit.partner.url}/pay/ORDER1", data={"choice": "phone"}) as page:
            assert page.status == 409
    assert len((await unit.control("GET", "/payments"))["payments"]) == 3
