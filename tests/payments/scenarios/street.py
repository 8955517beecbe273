"""The stage with Alipay on it, and WeChat Pay across the street: for what goes wrong with Alipay or between the two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import payments
from kernel import clock, db, http
from kernel.config import load_one
from payments import runtime
from payments.models import Refund
from payments.settings import AlipaySettings, PaymentSettings, WeChatPaySettings
from tests.payments.scenarios import stage
from tests.payments.scenarios.stage import OPENID, OWNER, SETTINGS, MovedClock, Stage, approved_price
from tests.sandbox.alipay_caller import bank as alipay_bank
from tests.sandbox.wechat_pay_caller import bank as wechat_bank

BUYER = "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"
MINI = "2021000000000099"


class Street(Stage):
    """The stage with Alipay on it, and WeChat Pay across the street."""

    def __init__(self, alipay, wechat, moved: MovedClock) -> None:
        super().__init__(alipay, moved)
        self.wechat = Stage(wechat, moved)

    async def advance(self, **span: float) -> None:
        await super().advance(**span)
        await self.wechat.advance(seconds=0)

    async def start(self, bill_no: str, channel: str = "alipay_mini"):
        payer = {"alipay_mini": BUYER, "wechat_jsapi": OPENID}.get(channel)
        return await payments.start_payment(
            owner_ref=OWNER, bill_no=bill_no, channel=channel, payer_openid=payer, idem=None
        )

    async def deliver(self) -> None:
        await self.wechat.control("POST", "/settle")
        await super().deliver()


@asynccontextmanager
async def opened(folder: Path, product_url: str) -> AsyncIterator[Street]:
    """Both channels beside the product; when the story is over the books must agree with both."""
    moved = MovedClock()
    clock.set_clock(moved)
    try:
        async with (
            alipay_bank(folder / "alipay", product_url=product_url) as alipay,
            wechat_bank(folder / "wechat", product_url=product_url) as wechat,
        ):
            payments.configure(
                SETTINGS,
                load_one(WeChatPaySettings, wechat.environment()),
                load_one(AlipaySettings, alipay.environment() | {"ALIPAY_MINI_APP_ID": MINI}),
            )
            place = Street(alipay, wechat, moved)
            await place.config(time_scale=0)
            await place.wechat.config(time_scale=0, auto_refund="SUCCESS")
            await approved_price()
            yield place
            await stage.books_agree(place.wechat)
            await books_agree(place)
    finally:
        clock.set_clock(None)
        runtime.use(PaymentSettings(), {})
        await http.close()


async def books_agree(place: Street) -> None:
    """Every trade paid at Alipay is here once; every refund there has its row and amount here."""
    for order in (await place.control("GET", "/orders"))["orders"]:
        if order["payments"]:
            key = f"%:alipay:{order['trade_no']}"
            assert len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE dedupe_key LIKE ?", key)) == 1, order
    ours = {row.refund_no: row for row in await Refund.filter(channel="alipay")}
    there = {r["out_request_no"]: r for r in (await place.control("GET", "/refunds"))["refunds"]}
    assert {number for number, row in ours.items() if row.state == "success"} == set(there)
    assert all(ours[number].amount_fen == refund["refund_fen"] for number, refund in there.items())
