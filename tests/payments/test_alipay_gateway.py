"""The Alipay gateway call by call over a prepared wire: what each answer concludes about an order or a refund."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from structlog.testing import capture_logs

from kernel import logs
from kernel.http import NoAnswer, NotSent
from payments.gateways.alipay import requests
from payments.gateways.base import CloseOutcome, Order, OrderDraft, Outcome
from payments.gateways.refund_port import RefundDraft, RefundOrder, RefundOutcome
from tests.payments import alipay_side as alipay

NO, RNO, TXN = "01JD3K5R9W7YQ2M4N6P8T0V1X3", "01JD3REFUND00000000000001", "2026111922001412345678901234"
PAID = {
    "code": "10000", "msg": "Success", "out_trade_no": NO, "trade_no": TXN, "trade_status": "TRADE_SUCCESS",
    "total_amount": "10.00", "send_pay_date": "2026-11-19 10:00:00", "buyer_open_id": "074a1CcT",
}  # fmt: skip
R, S = RefundOutcome, Outcome


@pytest.fixture
def play(frozen_clock):
    """Runs one call of the gateway against one prepared answer."""
    gateway, wire = alipay.gateway()
    gateway.clock = frozen_clock

    async def run(call: str, method: str, node=None, *, product: str = "mini", raw=None, **how):
        wire.answers[:] = [raw if raw is not None else alipay.answer(method, node, **how)]
        side = gateway.refunds if method in (requests.REFUND, requests.REFUND_QUERY) else gateway
        thing = refund(gateway) if side is gateway.refunds else order(gateway, product, frozen_clock)
        return await getattr(side, call)(thing)

    run.gateway, run.wire = gateway, wire
    return run


def order(gateway, product: str, standing) -> Order:
    draft = OrderDraft(
        payment_no=NO, product=product, amount_fen=1000, currency="CNY", description="工本费",
        expires_at=standing.now() + timedelta(minutes=30), payer_id="074a1CcT" if product == "mini" else "",
    )  # fmt: skip
    return Order(payment_no=NO, product=product, amount_fen=1000, currency="CNY", body=gateway.order_body(draft))


def refund(gateway) -> RefundOrder:
    draft = RefundDraft(
        refund_no=RNO,
        payment_no=NO,
        channel_txn_id=TXN,
        amount_fen=300,
        paid_fen=1000,
        currency="CNY",
        reason="重复缴费",
    )
    return RefundOrder(
        refund_no=RNO, payment_no=NO, channel_txn_id=TXN, amount_fen=300, currency="CNY",
        body=gateway.refunds.body(draft),
    )  # fmt: skip


async def test_a_page_is_prepared_without_any_call(play, frozen_clock):
    said = await play.gateway.prepare(order(play.gateway, "wap", frozen_clock))
    assert (said.outcome, play.wire.sent) == (S.ACCEPTED, [])
    found = dict(parse_qsl(urlsplit(said.client_action["url"]).query))
    assert (found["method"], found["notify_url"]) == (requests.WAP_PAY, alipay.NOTIFY)
    assert json.loads(found["biz_content"])["product_code"] == "QUICK_WAP_WAY"


async def test_an_order_for_the_mini_program(play):
    said = await play("prepare", requests.CREATE, {"code": "10000", "out_trade_no": NO, "trade_no": TXN})
    assert (said.outcome, said.client_action) == (S.ACCEPTED, {"tradeNO": TXN})
    assert play.wire.sent[0]["notify_url"] == alipay.NOTIFY


@pytest.mark.parametrize(
    ("node", "how", "outcome"),
    [
        ({"code": "10000", "out_trade_no": "other", "trade_no": TXN}, {}, S.NO_REPLY),
        ({"code": "10000", "out_trade_no": NO}, {}, S.NO_REPLY),
        ({"code": "10000", "out_trade_no": NO, "trade_no": TXN}, {"signer": None}, S.NO_REPLY),
        ({"code": "10000", "out_trade_no": NO, "trade_no": TXN}, {"signer": "somebody"}, S.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"}, {}, S.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.CONTEXT_INCONSISTENT"}, {}, S.REFUSED),
        ({"code": "40004", "sub_code": "ACQ.CONTEXT_INCONSISTENT"}, {"signer": None}, S.NO_REPLY),
        ({"code": "20000", "sub_code": "isp.unknow-error"}, {}, S.NO_REPLY),
        ({"code": "40002", "sub_code": "isv.invalid-signature"}, {"signer": None}, S.NO_REPLY),
    ],
)
async def test_what_an_order_concludes(play, node, how, outcome):
    assert (await play("prepare", requests.CREATE, node, **how)).outcome is outcome


async def test_what_the_network_concludes(play):
    lost = NoAnswer("alipay", "x", "timeout")
    assert (await play("prepare", requests.CREATE, raw=lost)).outcome is S.NO_REPLY
    assert (await play("prepare", requests.CREATE, raw=NotSent("alipay", "x", "refused"))).outcome is S.NOT_SENT
    assert (await play("query", requests.QUERY, raw=lost)).outcome is S.NO_REPLY
    assert (await play("close", requests.CLOSE, raw=lost)).outcome is CloseOutcome.UNKNOWN
    assert (await play("send", requests.REFUND, raw=lost)).outcome is R.NO_REPLY
    assert (await play("send", requests.REFUND, raw=NotSent("alipay", "x", "refused"))).outcome is R.NOT_SENT


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, S.PAID),
        ({"trade_status": "TRADE_FINISHED"}, S.PAID),
        ({"trade_status": "WAIT_BUYER_PAY", "send_pay_date": None}, S.NOTPAY),
        ({"trade_status": "TRADE_CLOSED", "send_pay_date": None}, S.CLOSED),
        ({"trade_status": "TRADE_CLOSED"}, S.PAID),  # paid, then refunded in full
        ({"trade_status": "SOMETHING_NEW"}, S.NO_REPLY),
        ({"trade_status": None}, S.NO_REPLY),
        ({"total_amount": "10.0x"}, S.NO_REPLY),
        ({"total_amount": 10.00}, S.NO_REPLY),
        ({"out_trade_no": "other"}, S.NO_REPLY),
        ({"code": "10003"}, S.NO_REPLY),
    ],
)
async def test_what_a_trade_says(play, changed, outcome):
    said = await play("query", requests.QUERY, PAID | changed)
    assert said.outcome is outcome
    if outcome is S.PAID:
        assert (said.amount_fen, said.channel_txn_id) == (1000, TXN)
        assert said.occurred_at.isoformat() == "2026-11-19T10:00:00+08:00"


async def test_no_such_trade_is_proven_only_when_signed(play):
    node = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
    for signer, proven in (("alipay", True), (None, False)):
        said = await play("query", requests.QUERY, node, signer=signer)
        assert (said.outcome, said.proven) == (S.NOT_FOUND, proven)


@pytest.mark.parametrize(
    ("node", "how", "outcome"),
    [
        ({"code": "10000", "out_trade_no": NO, "trade_no": TXN}, {}, CloseOutcome.CLOSED),
        ({"code": "10000", "out_trade_no": "other"}, {}, CloseOutcome.UNKNOWN),
        ({"code": "10000", "out_trade_no": NO}, {"signer": None}, CloseOutcome.UNKNOWN),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, {}, CloseOutcome.UNKNOWN),
        ({"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}, {}, CloseOutcome.UNKNOWN),
        ({"code": "40004", "sub_code": "ACQ.REASON_TRADE_STATUS_INVALID"}, {}, CloseOutcome.UNKNOWN),
    ],
)
async def test_what_a_close_concludes(play, node, how, outcome):
    assert (await play("close", requests.CLOSE, node, **how)).outcome is outcome


REFUNDED = {"code": "10000", "out_trade_no": NO, "trade_no": TXN, "fund_change": "Y", "refund_fee": "9.00"}


@pytest.mark.parametrize(
    ("node", "how", "outcome"),
    [
        (REFUNDED, {}, R.SUCCESS),
        (REFUNDED | {"fund_change": "N"}, {}, R.NO_REPLY),
        ({n: v for n, v in REFUNDED.items() if n != "fund_change"}, {}, R.NO_REPLY),
        (REFUNDED | {"out_trade_no": "other"}, {}, R.NO_REPLY),
        (REFUNDED, {"signer": None}, R.NO_REPLY),
        (REFUNDED, {"signer": "somebody"}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, {}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH"}, {}, R.NOT_ENOUGH),
        ({"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH"}, {"signer": None}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_ALLOW_REFUND"}, {}, R.REFUSED),
        ({"code": "40004", "sub_code": "ACQ.DISCORDANT_REPEAT_REQUEST"}, {}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.TRADE_HAS_CLOSE"}, {}, R.NO_REPLY),
    ],
)
async def test_what_asking_for_a_refund_concludes(play, node, how, outcome):
    said = await play("send", requests.REFUND, node, **how)
    assert said.outcome is outcome
    assert said.amount_fen is None  # refund_fee is the running total of the trade
    assert json.loads(play.wire.sent[0]["biz_content"]) == {
        "out_trade_no": NO, "refund_amount": "3.00", "out_request_no": RNO, "refund_reason": "重复缴费",
    }  # fmt: skip


ASKED = {
    "code": "10000", "out_trade_no": NO, "trade_no": TXN, "out_request_no": RNO, "refund_amount": "3.00",
    "total_amount": "10.00", "refund_status": "REFUND_SUCCESS", "gmt_refund_pay": "2026-11-19 11:00:00",
}  # fmt: skip


@pytest.mark.parametrize(
    ("node", "how", "outcome"),
    [
        (ASKED, {}, R.SUCCESS),
        ({"code": "10000"}, {}, R.NOT_FOUND),
        ({n: v for n, v in ASKED.items() if n != "refund_status"}, {}, R.NOT_FOUND),
        (ASKED | {"refund_status": "REFUND_PROCESSING"}, {}, R.NO_REPLY),
        (ASKED | {"out_request_no": "other"}, {}, R.NO_REPLY),
        (ASKED | {"out_trade_no": "other"}, {}, R.NO_REPLY),
        (ASKED | {"refund_amount": "3"}, {}, R.SUCCESS),
        (ASKED | {"refund_amount": ""}, {}, R.NO_REPLY),
        (ASKED, {"signer": None}, R.NO_REPLY),
        ({"code": "10000"}, {"signer": None}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, {}, R.NO_REPLY),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, {}, R.NO_REPLY),
    ],
)
async def test_what_asking_about_a_refund_concludes(play, node, how, outcome):
    said = await play("query", requests.REFUND_QUERY, node, **how)
    assert said.outcome is outcome
    if outcome is R.SUCCESS:
        assert (said.amount_fen, said.proven) == (300, True)
        assert said.occurred_at.isoformat() == "2026-11-19T11:00:00+08:00"


async def test_abnormal_refunds_are_not_known_here(play):
    with pytest.raises(ValueError):
        play.gateway.refunds.repair_body(None)
    assert not play.gateway.refunds.capabilities.can_repair_abnormal
    said = await play.gateway.refunds.repair_abnormal(refund(play.gateway), channel_refund_id="", body=b"")
    assert (said.outcome, play.wire.sent) == (R.NOT_SENT, [])


async def test_what_is_logged_reaches_the_log(play):
    """Fields outside the list are dropped by the log's first wall, and then nobody can say what Alipay answered."""
    with capture_logs() as lines:
        await play("prepare", requests.CREATE, {"code": "40002", "sub_code": "isv.invalid-signature"}, signer=None)
        await play.gateway.verify_notification({}, alipay.signed_notice(alipay.notice_fields(NO)))
        await play("query", requests.QUERY, PAID | {"code": "20000", "sub_code": "isp.unknow-error"})
    assert {line["event"] for line in lines} == {"alipay.answer", "alipay.configuration", "alipay.notice"}
    assert {name for line in lines for name in line} - {"log_level"} <= logs._FIELDS
