"""What goes wrong with Alipay, and with Alipay beside WeChat Pay, over the real wire: numbers as in docs/scenarios.md."""

import pytest
import structlog

from kernel import clock, db
from payments import asking, refund_asking, runtime
from payments.gateways.statement_port import Fetched, StatementKind
from tests.payments.scenarios.stage import differences, security_events


@pytest.mark.parametrize(
    "tamper",
    [
        "sha1_as_rsa2", "sha1_as_rsa", "sha256_as_rsa", "no_sign_type", "no_sign", "other_key", "app_key", "body_byte",
        "signature_byte", "duplicate_field", "json", "encoded_twice",
    ],
)  # fmt: skip
async def test_s23_a_notice_that_is_not_signed_as_prescribed(street, tamper):
    _, view = await street.waiting()
    with structlog.testing.capture_logs() as lines:
        said = await street.notify(view.payment_no, event="TRADE_SUCCESS", tamper=tamper)
        await street.deliver()
    assert (said["status"], said["body"]) == (400, "fail")
    assert len(security_events(lines)) == 1
    assert await street.states(view) == ("open", "pending")
    assert await db.fetch("SELECT id FROM kernel_inbox") == []


@pytest.mark.parametrize("over", ["non_empty", "all", "with_sign_type"])
async def test_s24_a_notice_with_signs_chinese_and_empty_values(street, over):
    bill_no, view = await street.waiting()
    await street.pay(view.payment_no, notify=False)
    hard = {"subject": "a&b=c+d%20 工本费", "body": "", "passback_params": "k%3dv%26x", "point_amount": ""}
    said = await street.notify(view.payment_no, event="TRADE_SUCCESS", sign_over=over, override=hard)
    assert (said["status"], said["body"]) == (200, "success")
    await street.deliver()
    assert (await street.bill(bill_no)).state == "paid"


@pytest.mark.parametrize("event", ["TRADE_CLOSED", "TRADE_FINISHED", "WAIT_BUYER_PAY"])
async def test_s25_a_later_word_never_takes_a_payment_back(street, event):
    bill_no, payment_no = await street.paid()
    said = await street.notify(payment_no, event=event)
    assert said["body"] == "success"
    await street.deliver()
    assert ((await street.bill(bill_no)).state, (await street.attempt(payment_no)).state) == ("paid", "paid")
    assert await differences() == []


async def test_s25_after_our_own_refund_it_stays_refunded(street):
    bill_no, payment_no = await street.paid()
    await street.ask_back(payment_no)
    await street.settle_everything()
    assert (await street.bill(bill_no)).state == "refunded"
    for event in ("TRADE_CLOSED", "TRADE_SUCCESS", "TRADE_FINISHED"):
        await street.notify(payment_no, event=event)
    await street.deliver()
    assert ((await street.bill(bill_no)).state, (await street.attempt(payment_no)).state) == ("refunded", "refunded")


async def test_s26_a_forged_copy_that_comes_first_does_not_block_the_real_one(street):
    bill_no, view = await street.waiting()
    await street.pay(view.payment_no, notify=False)
    same = {"event": "TRADE_SUCCESS", "event_id": "2026111900222100005012345678901234"}
    assert (await street.notify(view.payment_no, tamper="other_key", **same))["body"] == "fail"
    assert (await street.notify(view.payment_no, **same))["body"] == "success"
    await street.deliver()
    assert (await street.bill(bill_no)).state == "paid"


async def test_s41_a_repeated_refund_is_the_same_refund(street):
    """The first answer is lost and the first question is empty: the same number is sent again and answered `fund_change=N`."""
    bill_no, payment_no = await street.paid()
    await street.config(refund_query_after_s=60, time_scale=1)
    await street.fault("alipay.trade.refund", {"drop": "after"})
    refund_no = await street.ask_back(payment_no, 300)
    await refund_asking.work_on(refund_no)
    assert (await street.refund()).state == "unknown"
    await refund_asking.work_on(refund_no)  # asked, not found, sent again, nothing moved
    assert (await street.refund()).state == "unknown"
    assert (await street.there(refund_no))["times_asked"] == 2
    await street.settle_everything()
    there = await street.there(refund_no)
    assert (there["times_asked"], there["status"]) == (2, "SUCCESS")
    row = await street.refund()
    assert (row.state, row.amount_fen) == ("success", 300)
    order = await street.control("GET", f"/orders/{payment_no}")
    assert order["refunded_fen"] == 300
    assert (await street.bill(bill_no)).state == "part_refunded"


async def test_s53_an_address_that_has_ended_is_asked_for_again(street, tmp_path):
    await street.paid()
    day, port = clock.today(), runtime.gateway("alipay").statements
    await street.control("POST", f"/statements/{day}", {"ready": True})
    await street.fault("bill_download", {"status": 404})
    found = await port.fetch(day=day, kind=StatementKind.TRADE, into=tmp_path)
    assert isinstance(found, Fetched)
    assert [line.amount_fen for line in port.lines(found.path, StatementKind.TRADE)] == [1000]
    asked = (await street.control("GET", "/requests?call=alipay.data.dataservice.bill.downloadurl.query"))["requests"]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("changed", "word", "found"),
    [
        ({"total_amount": "0.01"}, "success", ["AMOUNT_LOW"]),
        ({"total_amount": "99.00"}, "success", ["AMOUNT_HIGH"]),
        ({"buyer_open_id": "somebodyelsesopenid000000"}, "success", ["PAYER"]),
        ({"out_trade_no": "NEVERMADEBYUS0000000000001"}, "success", ["CHANNEL_ONLY"]),
        ({"seller_id": "2088999999999999"}, "fail", ["SECURITY_FOREIGN_MERCHANT"]),
        ({"app_id": "2021999999999999"}, "fail", ["SECURITY_FOREIGN_MERCHANT"]),
    ],
)
async def test_s22_a_good_signature_over_a_wrong_content(street, changed, word, found):
    _, view = await street.waiting()
    with structlog.testing.capture_logs() as lines:
        said = await street.notify(view.payment_no, event="TRADE_SUCCESS", override=changed)
        await street.deliver()
    assert said["body"] == word
    assert security_events(lines) == await differences() == found
    assert await street.states(view) == ("open", "pending")
    to_a_person = found[0] in ("AMOUNT_LOW", "AMOUNT_HIGH", "PAYER")
    assert (await street.attempt(view.payment_no)).review_required == to_a_person


@pytest.mark.parametrize("first", ["wechat", "alipay"])
async def test_s30_both_channels_paid_for_one_bill(street, first):
    bill_no = await street.issue()
    page = await street.start(bill_no)
    other = await street.start(bill_no, "wechat_jsapi")
    pays = {"alipay": (street, page), "wechat": (street.wechat, other)}
    winner, loser = pays[first], pays["alipay" if first == "wechat" else "wechat"]
    for side, view in (winner, loser):
        await side.pay(view.payment_no, notify=False)
    for _, view in (winner, loser):
        await asking.work_on(view.payment_no)
    assert (await street.bill(bill_no)).state == "paid"
    await street.settle_everything()
    refund = await street.refund()
    assert (refund.state, refund.amount_fen, refund.attempt_id) == (
        "success", 1000, (await street.attempt(loser[1].payment_no)).id,
    )  # fmt: skip
    assert (await street.attempt(winner[1].payment_no)).state == "paid"
    assert (await street.bill(bill_no)).state == "paid"
    paid_events = await db.fetch("SELECT id FROM kernel_outbox WHERE topic = 'bill.paid'")
    assert len(paid_events) == 1
