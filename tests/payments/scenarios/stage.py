"""The stage of the failure scenarios: the WeChat Pay sandbox over HTTP, our callback door, our worker and timers, one clock for all.

After every scenario the books must agree with themselves and with what the sandbox remembers.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic

import aiohttp
from aiohttp import web

import payments
from kernel import clock, db, http
from kernel.config import load_one
from kernel.worker import Worker
from payments import handlers, janitor, refund_janitor, runtime
from payments.models import Attempt, Bill, Difference, PaymentEvent, Refund
from payments.settings import PaymentSettings, WeChatPaySettings
from payments.states import ACTIVE
from tests.payments.conftest import events
from tests.sandbox.wechat_pay_caller import bank

UNIT, FEE, OWNER, OPENID = "11620981MB0001001X", "YDZ-BB", "owner-one", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
HEARD_BY_NOBODY = dict.fromkeys(
    ("bill.paid", "bill.refund_due", "refund.succeeded", "refund.failed", "refund.denied"), ()
)
# Tests share minutes, so what one of them writes down must not be the rest of another's allowance.
SETTINGS = PaymentSettings(refusals_per_minute=10**6)
_ROUNDS = 8


class MovedClock:
    """The real time, moved ahead by the story; it may also stand still."""

    def __init__(self) -> None:
        self.ahead, self.stands_at = timedelta(), None

    def now(self) -> datetime:
        return self.stands_at or datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return monotonic() + self.ahead.total_seconds()


class Stage:
    """Short words for what every scenario does."""

    def __init__(self, partner, moved: MovedClock) -> None:
        self.partner, self.clock = partner, moved
        self.issued = 0

    async def control(self, method: str, path: str, wish: dict | None = None) -> dict:
        url = f"{self.partner.url}/_control{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=wish) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def fault(self, call: str, effect: dict, times: int | None = 1) -> None:
        await self.control("POST", "/faults", {"match": {"call": call}, "times": times, "effect": effect})

    async def config(self, **wish) -> None:
        await self.control("POST", "/config", wish)

    async def advance(self, **span: float) -> None:
        """Time passes for everybody."""
        self.clock.ahead += timedelta(**span)
        await self.control("POST", "/clock", {"offset_s": int(self.clock.ahead.total_seconds())})

    # -- bills and payments

    async def issue(self, *, days: float = 7, **more) -> str:
        self.issued += 1
        async with db.transaction():
            return await payments.issue_bill(
                subject=f"case:{self.issued}", owner_ref=OWNER, unit_code=UNIT, kind="administrative",
                lines=[payments.Line(fee_code=FEE, name="工本费", quantity=1, price_fen=1000)],
                expires_at=clock.now() + timedelta(days=days), dedupe_key=f"fee:{self.issued}", **more,
            )  # fmt: skip

    async def start(self, bill_no: str, channel: str = "wechat_jsapi"):
        """Taps "pay"; a tap of another phone makes an order of its own."""
        for other in await Attempt.filter(active_slot__isnull=False):
            other.active_slot = f"{other.id}:another phone"
            await other.save()
        return await self.tap(bill_no, channel)

    async def tap(self, bill_no: str, channel: str = "wechat_jsapi"):
        """The same phone once more."""
        return await payments.start_payment(
            owner_ref=OWNER, bill_no=bill_no, channel=channel, payer_openid=OPENID, idem=None
        )

    async def waiting(self):
        """A bill and an order of it that nobody has paid yet."""
        bill_no = await self.issue()
        return bill_no, await self.start(bill_no)

    async def pay(self, payment_no: str, **wish) -> None:
        """The payer pays in the cashier."""
        await self.control("POST", f"/orders/{payment_no}/pay", wish)

    async def paid(self) -> tuple[str, str]:
        """A bill that was issued, paid and settled: its number and the payment's."""
        bill_no = await self.issue()
        view = await self.start(bill_no)
        await self.pay(view.payment_no)
        await self.deliver()
        assert (await self.bill(bill_no)).state == "paid"
        return bill_no, view.payment_no

    async def states(self, view) -> tuple[str, str]:
        """How bill and payment stand."""
        return (await self.bill(view.bill_no)).state, (await self.attempt(view.payment_no)).state

    # -- what the channel heard and says

    async def order(self, payment_no: str) -> dict:
        """What the sandbox remembers of an order."""
        return await self.control("GET", f"/orders/{payment_no}")

    async def heard(self, call: str) -> list[dict]:
        """Every request of one call that reached the sandbox."""
        return (await self.control("GET", f"/requests?call={call}&limit=1000"))["requests"]

    async def notices(self, payment_no: str, **wish) -> list[dict]:
        """Notices exactly as wished; what we answered to each."""
        found = await self.control("POST", "/notifications", {"about": {"out_trade_no": payment_no}, **wish})
        return found["answers"]

    async def notify(self, payment_no: str, **wish) -> dict:
        """One notice exactly as wished; what we answered."""
        return (await self.notices(payment_no, **wish))[0]

    async def certificates_only(self) -> None:
        """We become a merchant of the old kind: no public key of WeChat Pay, its certificates are fetched."""
        lines = self.partner.environment()
        del lines["WECHATPAY_PUBLIC_KEY_ID"], lines["WECHATPAY_PUBLIC_KEY_FILE"]
        payments.configure(SETTINGS, load_one(WeChatPaySettings, lines))
        await self.config(notice_mode="certificate")
        await janitor.refresh_keys()

    async def void(self, bill_no: str) -> None:
        async with db.transaction():
            await payments.void_bills(subject=(await self.bill(bill_no)).subject, reason="已撤回")

    async def bill(self, bill_no: str) -> Bill:
        return await Bill.get(bill_no=bill_no)

    async def attempt(self, payment_no: str) -> Attempt:
        return await Attempt.get(payment_no=payment_no)

    async def shown(self, bill_no: str):
        """The bill as its owner sees it."""
        return await payments.bill(owner_ref=OWNER, bill_no=bill_no)

    # -- refunds

    async def ask_back(self, payment_no: str, fen: int | None = None) -> str:
        """Asked by one person, approved by another."""
        refund_no = await payments.request_refund(
            payment_no=payment_no, amount_fen=fen, cause="operator", reason="收错了", requested_by="王会计"
        )
        await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
        return refund_no

    async def refund(self, refund_no: str | None = None) -> Refund:
        """One refund, or the only one."""
        return await Refund.get(refund_no=refund_no) if refund_no else await Refund.get()

    async def there(self, refund_no: str) -> dict:
        """What the sandbox remembers of a refund."""
        return await self.control("GET", f"/refunds/{refund_no}")

    async def finish(self, refund_no: str, status: str, *, notify: bool = True) -> None:
        await self.control("POST", f"/refunds/{refund_no}/finish", {"status": status, "notify": notify})

    # -- time and timers

    async def deliver(self) -> None:
        """Notices go out and what they promise is worked."""
        await self.control("POST", "/settle")
        await work()

    async def tick(self) -> None:
        """Every timer of payments runs once."""
        await janitor.check_attempts()
        await janitor.expire_bills()
        await refund_janitor.check_refunds()
        await self.deliver()

    async def settle_everything(self) -> None:
        """Time passes until nothing is under way any more, or only a person can go on."""
        for _ in range(_ROUNDS):
            await self.tick()
            waiting = await Refund.filter(next_check_at__isnull=False).exclude(state="abnormal").exists()
            if not waiting and not await Attempt.filter(state__in=[str(s) for s in ACTIVE]).exists():
                return
            await self.advance(seconds=301)


async def work() -> None:
    """The worker does what was promised."""
    await Worker(topics=handlers.TOPICS, subscriptions=HEARD_BY_NOBODY).run_until_idle()


async def nothing() -> None:
    """What happens between storing a notice and answering it, usually."""


@asynccontextmanager
async def callback_door(*, port: int = 0, before_answer: Callable[[], Awaitable[None]] = nothing) -> AsyncIterator[str]:
    """Our callback paths, as the edge serves them: raw bytes in, `Ack` out."""

    def take(channel: str):
        async def handler(request: web.Request) -> web.Response:
            answer = await payments.receive_notice(channel=channel, headers=request.headers, raw=await request.read())
            await before_answer()
            return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

        return handler

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/alipay", take("alipay"))
    app.router.add_post("/api/v1/callbacks/wechat-pay", take("wechat"))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def staged(folder: Path, product_url: str) -> AsyncIterator[Stage]:
    """WeChat Pay beside the product; when the story is over the books must agree."""
    moved = MovedClock()
    clock.set_clock(moved)
    try:
        async with bank(folder, product_url=product_url) as partner:
            payments.configure(SETTINGS, load_one(WeChatPaySettings, partner.environment()))
            place = Stage(partner, moved)
            await place.config(time_scale=0, auto_refund="SUCCESS")
            await approved_price()
            yield place
            await books_agree(place)
    finally:
        clock.set_clock(None)
        runtime.use(PaymentSettings(), {})
        await http.close()


async def approved_price() -> None:
    """The one thing that costs something on every stage."""
    item = await payments.propose_price(
        unit_code=UNIT, fee_code=FEE, kind="administrative", name="工本费", unit_name="证", price_fen=1000,
        valid_from_on=date(2026, 1, 1), approval_price="甘发改价格〔2020〕1号", proposed_by="a",
    )  # fmt: skip
    await payments.approve_price(fee_item_id=item, approved_by="b")


async def differences() -> list[str]:
    """The classes of everything that was found, in the order of finding."""
    return [row.class_name for row in await Difference.all().order_by("id")]


def security_events(lines: list[Mapping]) -> list[str]:
    """What the log calls for a person's eyes: refused forgeries, and proven statements that do not fit."""
    named = {"payments.notice_refused": "reason", "payments.difference": "class_name"}
    return [line[named[line["event"]]] for line in lines if line["event"] in named]


async def books_agree(place: Stage) -> None:
    """The invariants: our books by themselves, our books against the sandbox's, and what others heard."""
    assert (await payments.ledger_check()).violations == []
    orders = (await place.control("GET", "/orders"))["orders"]
    refunds = (await place.control("GET", "/refunds"))["refunds"]
    await _every_order_once(orders)
    await _every_refund_once(refunds)
    await _receivable(orders, refunds)
    into_paid = await PaymentEvent.filter(object_kind="bill", target="paid").exclude(source="paid").count()
    assert len(await events("bill.paid")) == into_paid


async def _every_order_once(orders: list[dict]) -> None:
    """What was paid there is settled, surplus or in suspense here, exactly once."""
    for order in orders:
        for payment in order["payments"]:
            rows = await db.fetch(
                "SELECT dedupe_key FROM payments_ledger_txn WHERE kind IN ('pay', 'suspense') AND dedupe_key LIKE ?",
                f"%:wechat:{payment['transaction_id']}",
            )
            assert len(rows) == 1, (order["out_trade_no"], rows)


async def _every_refund_once(refunds: list[dict]) -> None:
    """What was refunded there has a row here with its amount and outcome; what we call paid back was paid back there."""
    ours = {row.refund_no: row for row in await Refund.filter(channel="wechat")}
    paid_there = {r["out_refund_no"] for r in refunds if r["status"] == "SUCCESS"}
    for refund in refunds:
        row = ours.get(refund["out_refund_no"])
        if row is None:
            found = await db.fetch("SELECT key FROM payments_difference WHERE class_name = 'REFUND_CHANNEL_ONLY'")
            assert f"wechat:{refund['out_refund_no']}" in {one["key"] for one in found}
        else:
            assert row.amount_fen == refund["refund_fen"]
    assert {number for number, row in ours.items() if row.state == "success"} == paid_there & set(ours)


async def _receivable(orders: list[dict], refunds: list[dict]) -> None:
    """What the channel holds for us: everything paid there less everything refunded there that has a row here."""
    known = {row.refund_no for row in await Refund.all()}
    there = sum(p["total_fen"] for order in orders for p in order["payments"])
    back = sum(r["refund_fen"] for r in refunds if r["status"] == "SUCCESS" and r["out_refund_no"] in known)
    rows = await db.fetch(
        "SELECT COALESCE(SUM(e.amount_fen), 0) AS fen FROM payments_ledger_entry e "
        "JOIN payments_ledger_account a ON a.id = e.account_id WHERE a.code = 'channel:wechat:receivable'"
    )
    assert int(rows[0]["fen"]) == there - back
