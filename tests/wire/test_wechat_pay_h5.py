"""WeChat Pay from a mobile browser against the sandbox: the page to open, its short life, and the payment that follows."""

from datetime import timedelta

import pytest

import payments
from kernel import clock, db
from kernel.config import load_one
from payments import asking
from payments.checkout import PayerMissing
from payments.models import Attempt
from payments.settings import PaymentSettings, WeChatPaySettings
from payments.states import AttemptState, BillState
from tests.wire.test_wechat_pay import FEE, OWNER, UNIT, door, town  # noqa: F401

BACK = "https://zsb.example.gov.cn/paid?a=1"


@pytest.fixture
async def browser(town):  # noqa: F811
    lines = town.partner.environment() | {"WECHATPAY_H5": "true", "WECHATPAY_H5_RETURN_URL": BACK}
    payments.configure(PaymentSettings(ask_every_seconds=0.2), load_one(WeChatPaySettings, lines))
    return town


async def start(address: str | None = "14.23.150.211"):
    async with db.transaction():
        bill_no = await payments.issue_bill(
            subject="case:1", owner_ref=OWNER, unit_code=UNIT, kind="administrative",
            lines=[payments.Line(fee_code=FEE, name="工本费", quantity=1, price_fen=1000)],
            expires_at=clock.now() + timedelta(days=7), dedupe_key="fee:1",
        )  # fmt: skip
    return await payments.start_payment(
        owner_ref=OWNER, bill_no=bill_no, channel="wechat_h5", payer_openid=None, payer_address=address, idem=None
    )


async def test_a_page_is_opened_and_paid(browser):
    view = await start()
    assert set(view.client_action) == {"url"}
    assert view.client_action["url"].endswith("&redirect_url=https%3A%2F%2Fzsb.example.gov.cn%2Fpaid%3Fa%3D1")
    assert (await payments.bill(owner_ref=OWNER, bill_no=view.bill_no)).channels == ["wechat_jsapi", "wechat_h5"]
    await browser.pay(view.payment_no)
    await browser.settle_down()
    assert await browser.bill_state() == BillState.PAID


async def test_the_same_order_gives_a_fresh_page(browser):
    view = await start()
    stored = await Attempt.get(payment_no=view.payment_no)
    stored.client_action_at -= timedelta(minutes=5)  # an h5_url lives five minutes
    await stored.save()
    again = await start()
    assert again.payment_no == view.payment_no
    assert again.client_action["url"] != view.client_action["url"]
    assert len((await browser.control("GET", "/orders"))["orders"]) == 1


async def test_the_phone_must_have_an_address(browser):
    with pytest.raises(PayerMissing):
        await start(None)


async def test_a_lost_answer_makes_no_second_order(browser):
    await browser.fault("h5", {"drop": "after"})
    view = await start()
    assert (view.status, view.client_action) == ("ongoing", None)
    await asking.work_on(view.payment_no)
    assert (await Attempt.get()).state == AttemptState.PENDING
    assert len((await browser.control("GET", "/orders"))["orders"]) == 1
