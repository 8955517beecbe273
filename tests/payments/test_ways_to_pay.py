"""Several ways to pay one bill: what is offered, what a signed link that nobody opened means, and that the first to pay wins."""

from dataclasses import replace

import pytest

import payments
from payments import asking, runtime
from payments.checkout import PayerMissing
from payments.models import Refund
from payments.runtime import ChannelUnavailable
from payments.settings import PaymentSettings
from payments.states import AttemptState, BillState
from tests.payments.conftest import OWNER
from tests.payments.fakes import CAPABILITIES, FakeChannel

A = AttemptState
LINK = replace(CAPABILITIES, needs_payer_id=False, prepared_locally=True, maximum_fen=10**6)


@pytest.fixture
def alipay(books):
    """A second channel beside WeChat whose orders are links that we sign ourselves."""
    fake = FakeChannel(
        channel="alipay", partner="alipay", product="wap", capabilities=LINK, proven_not_found=True, txn_prefix="2088"
    )
    runtime.use(PaymentSettings(), {"wechat": books.channel, "alipay": fake})
    return fake


async def start(books, *, channel: str):
    bill_no = await books.issue()
    return await books.start(bill_no, channel=channel)


async def test_a_bill_says_how_it_may_be_paid(books, alipay):
    bill_no = await books.issue()
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).channels == ["wechat_jsapi", "alipay_wap"]
    alipay.capabilities = replace(LINK, maximum_fen=999)
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).channels == ["wechat_jsapi"]


async def test_a_paid_bill_offers_no_way(books, alipay):
    view = await start(books, channel="wechat_jsapi")
    books.channel.pay(view.payment_no)
    await asking.work_on(view.payment_no)
    assert (await payments.bill(owner_ref=OWNER, bill_no=view.bill_no)).channels == []


@pytest.mark.parametrize("name", ["wechat", "alipay_mini", "wechat_wap", "cash", ""])
async def test_a_way_that_is_not_offered_here(books, alipay, name):
    with pytest.raises(ChannelUnavailable):
        await books.start(await books.issue(), channel=name)


async def test_the_view_names_the_way_that_was_chosen(books, alipay):
    view = await start(books, channel="alipay_wap")
    assert view.channel == "alipay_wap"
    assert (await books.attempt(view.payment_no)).product == "wap"


async def test_a_link_needs_no_payer_and_an_app_does(books, alipay):
    bill_no = await books.issue()
    more = {"owner_ref": OWNER, "bill_no": bill_no, "payer_openid": None, "idem": None}
    assert (await payments.start_payment(channel="alipay_wap", **more)).status == "ongoing"
    with pytest.raises(PayerMissing):
        await payments.start_payment(channel="wechat_jsapi", **more)


async def test_a_product_that_must_name_the_phones_address(books, alipay):
    alipay.capabilities = replace(LINK, needs_payer_address=True)
    bill_no = await books.issue()
    more = {"owner_ref": OWNER, "bill_no": bill_no, "channel": "alipay_wap", "payer_openid": None, "idem": None}
    with pytest.raises(PayerMissing):
        await payments.start_payment(**more)
    assert (await payments.start_payment(**more, payer_address="192.0.2.7")).status == "ongoing"


async def test_a_link_that_nobody_opened_stays_open_and_is_not_sent_again(books, alipay):
    view = await start(books, channel="alipay_wap")
    books.clock.advance(seconds=6)
    await asking.work_on(view.payment_no)
    assert (await books.attempt(view.payment_no)).state == A.PENDING
    assert alipay.count("prepare") == 1


async def test_a_link_ends_ten_minutes_after_its_time_and_not_before(books, alipay):
    view = await start(books, channel="alipay_wap")
    books.clock.advance(minutes=30, seconds=1)
    await asking.work_on(view.payment_no)
    assert (await books.attempt(view.payment_no)).state == A.PENDING
    books.clock.advance(minutes=9, seconds=58)
    await asking.work_on(view.payment_no)
    attempt = await books.attempt(view.payment_no)
    assert attempt.state == A.PENDING
    assert (attempt.next_check_at - attempt.expires_at).total_seconds() == 600
    books.clock.advance(seconds=2)
    await asking.work_on(view.payment_no)
    assert (await books.attempt(view.payment_no)).state == A.CLOSED


async def test_an_unproven_no_never_ends_a_link(books, alipay):
    view = await start(books, channel="alipay_wap")
    alipay.proven_not_found = False
    books.clock.advance(hours=3)
    await asking.work_on(view.payment_no)
    assert (await books.attempt(view.payment_no)).state == A.PENDING


async def test_the_first_to_pay_wins_and_the_unopened_link_of_the_other_channel_is_watched_to_its_end(books, alipay):
    bill_no = await books.issue()
    link = await books.start(bill_no, channel="alipay_wap")
    view = await books.start(bill_no, channel="wechat_jsapi")
    books.channel.pay(view.payment_no)
    await asking.work_on(view.payment_no)
    assert (await books.bill(bill_no)).state == BillState.PAID
    await asking.work_on(link.payment_no)
    assert (await books.attempt(link.payment_no)).state == A.CLOSING
    books.clock.advance(minutes=40)
    await asking.work_on(link.payment_no)
    assert (await books.attempt(link.payment_no)).state == A.CLOSED


async def test_an_opened_sibling_is_closed_at_its_channel(books, alipay):
    bill_no = await books.issue()
    link = await books.start(bill_no, channel="alipay_wap")
    alipay.open(link.payment_no)
    view = await books.start(bill_no, channel="wechat_jsapi")
    books.channel.pay(view.payment_no)
    await asking.work_on(view.payment_no)
    await asking.work_on(link.payment_no)
    assert (await books.attempt(link.payment_no)).state == A.CLOSED
    assert alipay.orders[link.payment_no].state == "CLOSED"


async def test_a_link_opened_and_paid_after_the_bill_was_paid_is_owed_back(books, alipay):
    bill_no = await books.issue()
    link = await books.start(bill_no, channel="alipay_wap")
    view = await books.start(bill_no, channel="wechat_jsapi")
    books.channel.pay(view.payment_no)
    await asking.work_on(view.payment_no)
    alipay.open(link.payment_no)
    alipay.pay(link.payment_no)
    await asking.work_on(link.payment_no)
    assert (await books.attempt(link.payment_no)).state == A.PAID
    owed = await Refund.get()
    assert (owed.attempt_id, owed.amount_fen, owed.cause) == (
        (await books.attempt(link.payment_no)).id,
        1000,
        "surplus",
    )
