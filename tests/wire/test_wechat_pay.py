"""Our WeChat Pay gateway and the whole settlement against the sandbox over real HTTP, in both key modes."""

import base64
import json
from datetime import date, timedelta

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import payments
from kernel import clock, db, http
from kernel.config import load_one
from kernel.problems import PartnerDown
from kernel.worker import Worker
from payments import handlers, janitor, runtime
from payments.models import Attempt, Bill
from payments.settings import PaymentSettings, WeChatPaySettings
from payments.states import AttemptState, BillState
from tests.sandbox.wechat_pay_caller import bank

UNHEARD = dict.fromkeys(("bill.paid", "bill.refund_due", "refund.succeeded", "refund.failed", "refund.denied"), ())
UNIT, FEE, OWNER, OPENID = "11620981MB0001001X", "YDZ-BB", "owner-one", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


class Town:
    """The product with WeChat Pay beside it: our callback door, our worker, and the sandbox's control surface."""

    def __init__(self, partner, settings: WeChatPaySettings) -> None:
        self.partner, self.settings = partner, settings
        self.gateway = runtime.gateway("wechat")

    async def control(self, method: str, path: str, wish=None):
        url = f"{self.partner.url}/_control{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=wish) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def fault(self, call: str, effect: dict, times: int = 1) -> None:
        await self.control("POST", "/faults", {"match": {"call": call}, "times": times, "effect": effect})

    async def start(self, key: str = "fee:1"):
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
            owner_ref=OWNER, bill_no=bill_no, channel="wechat_jsapi", payer_openid=OPENID, idem=None
        )

    async def pay(self, payment_no: str, **wish) -> None:
        await self.control("POST", f"/orders/{payment_no}/pay", wish)

    async def settle_down(self) -> None:
        """Notices go out and what they promise is worked."""
        await self.control("POST", "/settle")
        await Worker(topics=handlers.TOPICS, subscriptions=UNHEARD).run_until_idle()

    async def attempt(self, payment_no: str) -> Attempt:
        return await Attempt.get(payment_no=payment_no)

    async def order(self, payment_no: str) -> dict:
        return await self.control("GET", f"/orders/{payment_no}")

    async def notify(self, payment_no: str, **wish) -> dict:
        return await self.control("POST", "/notifications", {"about": {"out_trade_no": payment_no}, **wish})

    async def bill_state(self) -> str:
        return (await Bill.get()).state


@pytest.fixture
async def door():
    """Our callback path, as the edge serves it: raw bytes in, `Ack` out."""

    async def take(request: web.Request) -> web.Response:
        answer = await payments.receive_notice(channel="wechat", headers=request.headers, raw=await request.read())
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/wechat-pay", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


@pytest.fixture
async def town(request, tmp_path, database, door):
    mode = getattr(request, "param", "public_key")
    async with bank(tmp_path, product_url=door) as partner:
        lines = partner.environment()
        if mode == "certificate":
            del lines["WECHATPAY_PUBLIC_KEY_ID"], lines["WECHATPAY_PUBLIC_KEY_FILE"]
        settings = load_one(WeChatPaySettings, lines)
        payments.configure(PaymentSettings(), settings)
        place = Town(partner, settings)
        await place.control("POST", "/config", {"time_scale": 0, "notice_mode": mode, "auto_refund": None})
        if mode == "certificate":
            await janitor.refresh_keys()
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
    """Our books agree with themselves, and every order paid over there is settled, surplus or in suspense here, once."""
    assert (await payments.ledger_check()).violations == []
    for order in (await place.control("GET", "/orders"))["orders"]:
        if order["state"] == "SUCCESS":
            key = f"%:wechat:{order['api']['transaction_id']}"
            assert len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE dedupe_key LIKE ?", key)) == 1, order


both = pytest.mark.parametrize("town", ["public_key", "certificate"], indirect=True)


@both
async def test_from_the_tap_to_paid_by_notice(town):
    view = await town.start()
    assert set(view.client_action) == {"timeStamp", "nonceStr", "package", "signType", "paySign"}
    await town.pay(view.payment_no)
    await town.settle_down()
    assert await town.bill_state() == BillState.PAID
    shown = await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)
    assert (shown.status, shown.client_action) == ("paid", None)
    order = await town.order(view.payment_no)
    assert [t["status"] for t in order["notices"][0]["tries"]] == [204]


async def test_what_the_phone_gets_opens_the_cashier(town):
    view = await town.start()
    action = view.client_action
    order = await town.order(view.payment_no)
    assert action["package"] == f"prepay_id={order['prepay_ids'][0]}"
    message = "".join(
        f"{part}\n" for part in (town.settings.app_id, action["timeStamp"], action["nonceStr"], action["package"])
    )
    public = town.settings.merchant_key().public_key()
    public.verify(base64.b64decode(action["paySign"]), message.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (action["signType"], action["timeStamp"].isdigit()) == ("RSA", True)


@both
async def test_no_notice_comes_and_the_return_to_the_case_asks(town):
    view = await town.start()
    await town.pay(view.payment_no, notify=False)
    assert (await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)).status == "paid"


async def test_a_merchant_without_platform_certificates_keeps_working(town):
    await town.control("POST", "/config", {"key_mode": "public_key"})
    await janitor.refresh_keys()
    assert (await town.start()).client_action is not None


async def test_closing(town):
    view = await town.start()
    async with db.transaction():
        await payments.void_bills(subject="case:1", reason="withdrawn")
    await janitor.check_attempts()
    assert (await town.order(view.payment_no))["state"] == "CLOSED"
    assert await town.bill_state() == BillState.WITHDRAWN


async def test_closing_what_was_paid_meanwhile(town):
    view = await town.start()
    await town.pay(view.payment_no, notify=False)
    async with db.transaction():
        await payments.void_bills(subject="case:1", reason="withdrawn")
    await janitor.check_attempts()
    assert (await town.attempt(view.payment_no)).state == AttemptState.PAID
    shown = await payments.bill(owner_ref=OWNER, bill_no=view.bill_no)
    assert (shown.status, shown.refunds[0].amount_fen) == ("refunding", 1000)


@pytest.mark.parametrize(
    "effect", [{"drop": "after"}, {"signature": "signtest"}, {"signature": "none"}, {"status_after": 500}]
)
async def test_a_close_whose_answer_proves_nothing_is_asked_about(town, effect):
    view = await town.start()
    await town.fault("close", effect)
    async with db.transaction():
        await payments.void_bills(subject="case:1", reason="withdrawn")
    await janitor.check_attempts()
    assert (await town.attempt(view.payment_no)).state == AttemptState.CLOSED  # the query that follows proves it


async def test_nobody_listens_there(town):
    await town.partner.stop()
    with pytest.raises(PartnerDown):
        await town.start()
    await town.partner.start()


async def test_the_log_holds_no_openid_key_or_body(town, capsys):
    view = await town.start()
    await town.pay(view.payment_no)
    await town.settle_down()
    written = capsys.readouterr()
    text = written.out + written.err
    assert view.payment_no in text
    for secret in (OPENID, town.settings.api_v3_key, "prepay_id", "BEGIN"):
        assert secret not in text


async def test_the_body_is_what_the_documentation_asks_for(town):
    view = await town.start()
    line = (await town.control("GET", "/requests?call=jsapi"))["requests"][0]
    body = json.loads(base64.b64decode(line["body"]))
    assert set(body) == {
        "appid",
        "mchid",
        "description",
        "out_trade_no",
        "time_expire",
        "notify_url",
        "amount",
        "payer",
    }
    assert body["amount"] == {"total": 1000, "currency": "CNY"}
    assert body["out_trade_no"] == view.payment_no
    assert body["time_expire"].endswith("+08:00")
