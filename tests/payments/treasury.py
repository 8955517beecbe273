"""A county whose fees go through the finance platform: our settlement, our callback door and our worker beside the sandbox."""

import contextlib
import time
from datetime import date, timedelta

import aiohttp
from aiohttp import web

import payments
from kernel import clock, db, http
from kernel.config import load_one
from kernel.worker import Worker
from payments import asking, handlers, runtime
from payments.models import Attempt, Bill
from payments.nontax_models import PayCode
from payments.settings import PaymentSettings
from payments.unified_settings import UnifiedPaySettings
from tests.sandbox.unified_pay_caller import finance

UNIT, FEE, OWNER = "11620981MB0001001X", "YDZ-BB", "owner-one"
NOBODY_LISTENS = dict.fromkeys(
    ("bill.paid", "bill.refund_due", "refund.succeeded", "refund.failed", "refund.denied"), ()
)


class Treasury:
    """What tests about this channel do all the time."""

    def __init__(self, partner) -> None:
        self.partner = partner

    async def control(self, method: str, path: str, wish=None, *, status: int = 200):
        url = f"{self.partner.url}/_control{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=wish) as answer:
            found = await answer.json()
            assert answer.status == status, found
            return found

    async def fault(self, call: str, effect: dict, times: int = 1) -> None:
        await self.control("POST", "/faults", {"match": {"call": call}, "times": times, "effect": effect})

    async def issue(self, key: str = "fee:1", days: float = 7, **more) -> str:
        async with db.transaction():
            return await payments.issue_bill(
                subject="case:1", owner_ref=OWNER, unit_code=UNIT, kind="administrative",
                lines=[payments.Line(fee_code=FEE, name="老年人优待证补办工本费", quantity=1, price_fen=1000)],
                expires_at=clock.now() + timedelta(days=days), dedupe_key=key, **more,
            )  # fmt: skip

    async def start(self, bill_no: str, channel: str = "unified_pay"):
        return await payments.start_payment(
            owner_ref=OWNER, bill_no=bill_no, channel=channel, payer_openid=None, idem=None
        )

    async def pay(self, payment_no: str, **wish) -> dict:
        return await self.control("POST", f"/orders/{payment_no}/pay", wish)

    async def at_counter(self, bill_no: str, **wish) -> dict:
        return await self.control("POST", f"/bills/{await self.code(bill_no)}/pay-at-counter", wish)

    async def code(self, bill_no: str) -> str:
        return (await PayCode.get(bill__bill_no=bill_no)).pay_code

    async def bill(self, bill_no: str) -> Bill:
        return await Bill.get(bill_no=bill_no)

    async def attempt(self, payment_no: str) -> Attempt:
        return await Attempt.get(payment_no=payment_no)

    async def attempts(self, bill_no: str) -> list[Attempt]:
        return await Attempt.filter(bill__bill_no=bill_no).order_by("id")

    async def ask(self, payment_no: str) -> None:
        await asking.work_on(payment_no)

    async def order(self, payment_no: str) -> dict:
        return await self.control("GET", f"/orders/{payment_no}")

    async def settle_down(self) -> None:
        """Pushes go out and what they promise is worked."""
        await self.control("POST", "/settle")
        await self.work()

    async def work(self, subscriptions: dict | None = None) -> None:
        await Worker(topics=handlers.TOPICS, subscriptions=subscriptions or NOBODY_LISTENS).run_until_idle()

    async def shift(self, standing, seconds: float) -> None:
        """Our clock stands still and is moved; the platform's is set to the same instant."""
        standing.advance(seconds=seconds)
        await self.control("POST", "/clock", {"offset_s": clock.now().timestamp() - time.time()})

    async def push(self, txn: str, **wish) -> dict:
        return await self.control("POST", "/notifications", {"about": {"txn": txn}, **wish})


@contextlib.asynccontextmanager
async def door():
    """Our callback path, as the edge serves it: raw bytes in, `Ack` out."""

    async def take(request: web.Request) -> web.Response:
        answer = await payments.receive_packet(channel="unified", headers=request.headers, raw=await request.read())
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/unified-pay", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def treasury(folder, *, face: str = "frames", **changed):
    """The sandbox, our channel on it, one approved price; afterwards every invariant of the ledger holds."""
    async with door() as url, finance(folder, product_url=url) as partner:
        partner.config["face"] = face
        lines = partner.environment() | changed
        payments.configure(PaymentSettings(), unified=load_one(UnifiedPaySettings, lines))
        item = await payments.propose_price(
            unit_code=UNIT, fee_code=FEE, kind="administrative", name="工本费", unit_name="证", price_fen=1000,
            valid_from_on=date(2026, 1, 1), approval_price="甘发改价格〔2020〕1号", proposed_by="a",
        )  # fmt: skip
        await payments.approve_price(fee_item_id=item, approved_by="b")
        try:
            yield Treasury(partner)
            await books_agree(partner)
        finally:
            runtime.use(PaymentSettings(), {})
            await http.close()


async def books_agree(partner) -> None:
    """Our books agree with themselves, and no money over there is here twice."""
    assert (await payments.ledger_check()).violations == []
    for payment in partner.bills.payments():
        key = f"%:unified:{payment['txn']}"
        assert len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE dedupe_key LIKE ?", key)) <= 1, payment
