"""A notice is verified, stored and acknowledged; settling is the worker's work, exactly once."""

import json

import pytest
import structlog

import payments
from kernel import db
from kernel.worker import Worker
from payments import handlers, notices, runtime
from payments.gateways.base import Ack, EvidenceKind, Refusal, Rejected, VerifiedNotice
from payments.gateways.refund_port import RefundOutcome
from payments.models import Difference
from payments.settings import PaymentSettings
from payments.states import BillState
from tests.payments.conftest import events


def body(payment_no: str, event_id: str = "EV-1") -> bytes:
    return json.dumps({"id": event_id, "no": payment_no}).encode()


async def receive(raw: bytes, signature: str = "good"):
    return await payments.receive_notice(channel="wechat", headers={"Wechatpay-Signature": signature}, raw=raw)


async def work() -> None:
    await Worker(topics=handlers.TOPICS, subscriptions={}).run_until_idle()


async def test_stored_then_settled(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    for _ in range(3):
        assert (await receive(body(view.payment_no))).status == 204
    assert (await books.bill(bill_no)).state == BillState.OPEN  # acknowledging is not settling
    inbox = await events("inbox.wechat-pay")
    assert [row["lane"] for row in inbox] == [f"payment:{view.payment_no}"]
    assert view.payment_no not in json.dumps(inbox[0]["payload"])
    await db.execute("UPDATE kernel_outbox SET state = 1 WHERE topic LIKE 'bill.%'")
    await work_inbox_only()
    assert (await books.bill(bill_no)).state == BillState.PAID
    rows = await db.fetch("SELECT note FROM kernel_inbox")
    assert [row["note"] for row in rows] == ["settled"]


async def work_inbox_only() -> None:
    from kernel.outbox import Topic

    async def taken(delivery) -> None:
        """The event's subscribers belong to other packages."""

    await Worker(topics=[*handlers.TOPICS, Topic(name="bill.paid", handler=taken)], subscriptions={}).run_until_idle()


async def test_refused_notices_leave_no_rows_and_few_lines(books, channel):
    runtime.use(PaymentSettings(refusals_per_minute=3), {"wechat": channel})
    books.clock.advance(minutes=7)  # a minute of its own
    with structlog.testing.capture_logs() as lines:
        for n in range(50):
            assert (await receive(body(f"N{n}"), "forged")).status == 401
    assert len([line for line in lines if line["event"] == "payments.notice_refused"]) == 3
    assert await db.fetch("SELECT id FROM kernel_inbox") == []
    assert await Difference.all().count() == 0


async def test_a_database_that_is_away_makes_the_partner_send_again(books, channel, monkeypatch):
    view = await books.start(await books.issue())
    answers: list[Rejected] = []

    def ack(verdict):
        answers.append(verdict)
        return Ack(503, {}, b"")

    async def away(**_):
        raise payments.notices.DatabaseUnavailable

    monkeypatch.setattr(channel, "ack", ack)
    monkeypatch.setattr(notices.inbox, "receive", away)
    assert (await receive(body(view.payment_no))).status == 503
    assert answers == [Rejected(reason=Refusal.NOT_STORED)]


async def test_a_channel_we_do_not_have(books):
    with pytest.raises(payments.ChannelUnavailable):
        await payments.receive_notice(channel="alipay", headers={}, raw=b"")


async def test_a_refund_we_never_asked_for_is_a_difference(books, channel, monkeypatch):
    plain = channel.open_stored

    def refund(raw):
        said = channel.refunds.say("R1", EvidenceKind.NOTICE, RefundOutcome.SUCCESS, "P1")
        event_id = plain(raw).event_id
        return VerifiedNotice(
            event_id=event_id, event_type="REFUND.SUCCESS", evidence=None, refund=said, refund_no="R1", payment_no="P1"
        )

    monkeypatch.setattr(channel, "open_stored", refund)
    assert (await receive(body("P1"))).status == 204
    await work()
    assert [d.class_name for d in await Difference.all()] == ["REFUND_CHANNEL_ONLY"]
    assert [d["class"] for d in await payments.open_differences()] == ["REFUND_CHANNEL_ONLY"]
