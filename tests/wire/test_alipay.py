"""Our Alipay gateway and the whole settlement against the sandbox over real HTTP, with keys and with certificates."""

import asyncio
from datetime import date, timedelta
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web

import payments
from kernel import clock, db, http
from kernel.config import load_one
from kernel.worker import Worker
from payments import asking, handlers, runtime
from payments.gateways.refund_port import RefundDraft, RefundOrder, RefundOutcome
from payments.gateways.statement_port import Fetched, LineKind, StatementKind
from payments.models import Attempt, Bill, Difference
from payments.settings import AlipaySettings, PaymentSettings
from payments.states import AttemptState, BillState
from tests.sandbox.alipay_caller import bank

UNIT, FEE, OWNER, BUYER = "11620981MB0001001X", "YDZ-BB", "owner-one", "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"
MINI = "2021000000000099"


class Town:
    """The product with Alipay beside it: our callback door, our worker, and the sandbox's control surface."""

    def __init__(self, partner) -> None:
        self.partner, self.gateway = partner, runtime.gateway("alipay")

    async def control(self, method: str, path: str, wish=None):
        url = f"{self.partner.url}/_control{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=wish) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def fault(self, call: str, effect: dict, times: int = 1) -> None:
        await self.control("POST", "/faults", {"match": {"call": call}, "times": times, "effect": effect})

    async def start(self, *, channel: str = "alipay_wap", key: str = "fee:1"):
        async with db.transaction():
            bill_no = await payments.issue_bill(
                subject="case:1",
                owner_ref=OWNER,
                unit_code=UNIT,
                kind="administrative",
                lines=[payments.Line(fee_code=FEE, name="老年人优待证补办工本费", quantity=1, price_fen=1000)],
                expires_at=clock.now() + timedelta(days=7),
                dedupe_key=key,
            )
        return await payments.start_payment(
            owner_ref=OWNER,
            bill_no=bill_no,
            channel=channel,
            payer_openid=BUYER if "mini" in channel else None,
            idem=None,
        )

    async def open(self, view) -> str:
        """The payer's browser opens the page we signed: only now Alipay has a trade."""
        async with aiohttp.ClientSession() as session, session.get(view.client_action["url"]) as answer:
            assert answer.status == 200
            return await answer.text(encoding=answer.charset or "gbk")

    async def pay(self, payment_no: str, **wish) -> None:
        await self.control("POST", f"/orders/{payment_no}/pay", wish)

    async def settle_down(self) -> None:
        """Notices go out and what they promise is worked."""
        await self.control("POST", "/settle")
        await Worker(topics=handlers.TOPICS, subscriptions={"bill.paid": (), "bill.refund_due": ()}).run_until_idle()

    async def state(self, view) -> str:
        return (await Attempt.get(payment_no=view.payment_no)).state

    async def bill_state(self) -> str:
        return (await Bill.get()).state


@pytest.fixture
async def door():
    """Our callback path, as the edge serves it: raw bytes in, `Ack` out."""

    async def take(request: web.Request) -> web.Response:
        answer = await payments.receive_notice(channel="alipay", headers=request.headers, raw=await request.read())
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/alipay", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


@pytest.fixture
async def town(request, tmp_path, database, door):
    mode = getattr(request, "param", "key")
    async with bank(tmp_path, product_url=door) as partner:
        partner.config["key_mode"] = mode
        settings = load_one(AlipaySettings, partner.environment() | {"ALIPAY_MINI_APP_ID": MINI})
        payments.configure(PaymentSettings(ask_every_seconds=0.2), alipay=settings)
        place = Town(partner)
        await place.control("POST", "/config", {"time_scale": 0})
        item = await payments.propose_price(
            unit_code=UNIT, fee_code=FEE, kind="administrative", name="工本费", unit_name="证", price_fen=1000,
            valid_from_on=date(2026, 1, 1), approval_price="甘发改价格〔2020〕1号", proposed_by="a",
        )  # fmt: skip
        await payments.approve_price(fee_item_id=item, approved_by="b")
        try:
            yield place
            await books_agree(place)
        finally:
            runtime.use(PaymentSettings(), {})
            await http.close()


async def books_agree(place: Town) -> None:
    """Our books agree with themselves, and every trade paid over there is settled, surplus or in suspense here, once."""
    assert (await payments.ledger_check()).violations == []
    for order in (await place.control("GET", "/orders"))["orders"]:
        if order["payments"]:
            key = f"%:alipay:{order['trade_no']}"
            assert len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE dedupe_key LIKE ?", key)) == 1, order


both = pytest.mark.parametrize("town", ["key", "cert"], indirect=True)


@both
async def test_a_page_is_opened_paid_and_settled_by_notice(town):
    view = await town.start()
    assert dict(parse_qsl(urlsplit(view.client_action["url"]).query))["app_id"] == "2021000000000001"
    assert view.payment_no in await town.open(view)
    await town.pay(view.payment_no)
    await town.settle_down()
    assert await town.bill_state() == BillState.PAID
    shown = await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)
    assert (shown.channel, shown.status, shown.client_action) == ("alipay_wap", "paid", None)


@both
async def test_the_mini_program_pays(town):
    view = await town.start(channel="alipay_mini")
    trade = await town.control("GET", f"/orders/{view.payment_no}")
    assert view.client_action == {"tradeNO": trade["trade_no"]}
    await town.pay(view.payment_no)
    await town.settle_down()
    assert await town.bill_state() == BillState.PAID
    assert await Difference.all().count() == 0


async def test_a_lost_notice_is_no_lost_payment(town):
    view = await town.start()
    await town.open(view)
    await town.pay(view.payment_no, notify=False)
    shown = await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)
    assert shown.status == "paid"


async def test_a_page_that_nobody_opened_is_watched(town):
    view = await town.start()
    await asking.work_on(view.payment_no)
    assert await town.state(view) == AttemptState.PENDING
    assert (await town.control("GET", "/orders"))["orders"] == []


@pytest.mark.parametrize("channel", ["alipay_wap", "alipay_mini"])
async def test_an_order_is_closed_when_its_bill_is_given_up(town, channel):
    view = await town.start(channel=channel)
    if channel == "alipay_wap":
        await town.open(view)
    async with db.transaction():
        await payments.void_bills(subject="case:1", reason="withdrawn")
    await asking.work_on(view.payment_no)
    assert await town.state(view) == AttemptState.CLOSED
    assert (await town.control("GET", f"/orders/{view.payment_no}"))["state"] == "TRADE_CLOSED"
    assert await town.bill_state() == BillState.WITHDRAWN


async def test_paid_while_we_close(town):
    view = await town.start(channel="alipay_mini")
    await town.pay(view.payment_no, notify=False)
    async with db.transaction():
        await payments.void_bills(subject="case:1", reason="withdrawn")
    await asking.work_on(view.payment_no)
    assert await town.state(view) == AttemptState.PAID


@pytest.mark.parametrize(
    "effect",
    [
        {"drop": "after"}, {"signature": "other_key"}, {"signature": "none"}, {"status_after": 500}, {"body": "duplicate_key"},
        {"body": "trailing"}, {"code": "20000"},
    ],
)  # fmt: skip
async def test_an_answer_that_proves_nothing_makes_no_second_order(town, effect):
    await town.fault("alipay.trade.create", effect)
    view = await town.start(channel="alipay_mini")
    assert (view.status, view.client_action) == ("ongoing", None)
    await asyncio.sleep(0.3)
    await asking.work_on(view.payment_no)
    assert await town.state(view) == AttemptState.PENDING
    assert len((await town.control("GET", "/orders"))["orders"]) == 1


@pytest.mark.parametrize("body", ["braces", "escaped", "reordered", "spaced", "sign_first"])
async def test_hostile_but_honest_answers_are_understood(town, body):
    view = await town.start(channel="alipay_mini")
    await town.pay(view.payment_no, notify=False)
    await town.fault("alipay.trade.query", {"body": body})
    await asking.work_on(view.payment_no)
    assert await town.state(view) == AttemptState.PAID


@pytest.fixture
async def paid(town):
    """A paid trade, and a way to make refunds of it."""
    view = await town.start(channel="alipay_mini")
    await town.pay(view.payment_no)
    await town.settle_down()
    trade = (await Attempt.get(payment_no=view.payment_no)).channel_txn_id

    def refund(number: str, amount: int) -> RefundOrder:
        draft = RefundDraft(
            refund_no=number, payment_no=view.payment_no, channel_txn_id=trade, amount_fen=amount, paid_fen=1000,
            currency="CNY", reason="重复缴费",
        )  # fmt: skip
        return RefundOrder(
            refund_no=number, payment_no=view.payment_no, channel_txn_id=trade, amount_fen=amount, currency="CNY",
            body=town.gateway.refunds.body(draft),
        )  # fmt: skip

    return refund


async def test_refunds_in_parts_and_their_repetition(town, paid):
    send, query = town.gateway.refunds.send, town.gateway.refunds.query
    first, second = paid("R1", 300), paid("R2", 700)
    assert (await query(first)).outcome is RefundOutcome.NOT_FOUND
    assert (await send(first)).outcome is RefundOutcome.SUCCESS
    assert (await send(first)).outcome is RefundOutcome.NO_REPLY  # fund_change=N: to be asked
    said = await query(first)
    assert (said.outcome, said.amount_fen) == (RefundOutcome.SUCCESS, 300)
    assert (await send(second)).outcome is RefundOutcome.SUCCESS
    assert (await query(second)).amount_fen == 700  # never the running total


async def test_a_refund_that_is_too_much_is_refused(town, paid):
    assert (await town.gateway.refunds.send(paid("R1", 1001))).outcome is RefundOutcome.REFUSED


async def test_a_lost_answer_to_a_refund_is_asked_about(town, paid):
    await town.fault("alipay.trade.refund", {"drop": "after"})
    order = paid("R1", 300)
    assert (await town.gateway.refunds.send(order)).outcome is RefundOutcome.NO_REPLY
    assert (await town.gateway.refunds.query(order)).outcome is RefundOutcome.SUCCESS


async def test_the_days_bill_holds_what_was_paid_and_refunded(town, paid, tmp_path):
    await town.gateway.refunds.send(paid("R1", 300))
    today, port = clock.today(), town.gateway.statements
    await town.control("POST", f"/statements/{today}", {"ready": True})
    found = await port.fetch(day=today, kind=StatementKind.TRADE, into=tmp_path)
    assert isinstance(found, Fetched)
    lines = list(port.lines(found.path, StatementKind.TRADE))
    assert [(line.kind, line.amount_fen) for line in lines] == [(LineKind.PAYMENT, 1000), (LineKind.REFUND, 300)]
    assert lines[1].refund_no == "R1"
