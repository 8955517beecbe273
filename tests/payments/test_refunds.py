"""Refunds: who asks and who agrees, how much there is to give back, and what each answer of the channel means."""

from datetime import timedelta

import pytest

import payments
from kernel import db
from kernel.problems import Conflict, Invalid, NotFound
from kernel.state_machine import IllegalTransition
from payments import ledger, refund_asking, refund_janitor, refund_settlement, settlement
from payments.four_eyes import SamePerson
from payments.models import Attempt, Difference, PaymentEvent, Refund
from payments.refund_states import RefundState
from payments.refunds import RefundNotPossible
from tests.payments.conftest import OWNER, SUBJECT, events, ledger_rows


async def paid(books, key: str = "fee:1", **more) -> tuple[str, str]:
    bill_no = await books.issue(key=key, subject=f"{SUBJECT}{key}", **more)
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no))
    return bill_no, view.payment_no


async def ask(payment_no: str, fen: int | None = None) -> str:
    return await payments.request_refund(
        payment_no=payment_no, amount_fen=fen, reason="收错了", requested_by="王会计", rule_ref="第三条"
    )


async def agreed(payment_no: str, fen: int | None = None) -> str:
    refund_no = await ask(payment_no, fen)
    await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
    return refund_no


async def row(refund_no: str) -> Refund:
    return await Refund.get(refund_no=refund_no)


async def hear(books, refund_no: str, state: str, **changed):
    books.channel.refunds.finish(refund_no, state)
    return await refund_settlement.apply_refund_evidence(books.channel.refunds.notice(refund_no, **changed))


async def test_a_refund_from_asking_to_the_money_being_back(books):
    bill_no, payment_no = await paid(books)
    refund_no = await ask(payment_no)
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "paid"
    await refund_janitor.check_refunds()
    assert books.channel.refunds.count("refund") == 0, "nothing moves before another person agrees"
    await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
    assert await ledger.turnover(ledger.refund_reserved()) == 1000
    await refund_janitor.check_refunds()
    assert (await row(refund_no)).state == "processing"
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "refunding"
    assert await hear(books, refund_no, "SUCCESS") == "settled"
    assert await hear(books, refund_no, "SUCCESS") == "already"
    assert ((await books.bill(bill_no)).state, (await books.attempt(payment_no)).state) == ("refunded", "refunded")
    assert await ledger.turnover(ledger.channel_receivable("wechat")) == 0
    assert await ledger.turnover(ledger.refund_reserved()) == 0
    told = await events("refund.succeeded")
    assert [(e["payload"]["refund_no"], e["payload"]["amount_fen"]) for e in told] == [(refund_no, 1000)]
    (seen,), _ = await payments.refunds_page()
    assert (seen.reason, seen.rule_ref, seen.requested_by, seen.decided_by) == ("收错了", "第三条", "王会计", "李主任")
    assert "收错了" not in (await row(refund_no)).reason, "a person's own words are stored sealed"


async def test_parts_of_a_payment(books):
    bill_no, payment_no = await paid(books)
    for part, state in ((300, "part_refunded"), (700, "refunded")):
        refund_no = await agreed(payment_no, part)
        books.clock.advance(seconds=61)
        await refund_janitor.check_refunds()
        await hear(books, refund_no, "SUCCESS")
        assert ((await books.bill(bill_no)).state, (await books.attempt(payment_no)).state) == (state, state)


async def test_what_counts_against_the_limit(books):
    _, payment_no = await paid(books)
    first = await ask(payment_no, 800)
    with pytest.raises(RefundNotPossible):
        await ask(payment_no, 300)
    await payments.deny_refund(refund_no=first, denied_by="李主任", reason="已制证")
    second = await agreed(payment_no, 800)
    await refund_janitor.check_refunds()
    await hear(books, second, "ABNORMAL")
    with pytest.raises(RefundNotPossible):
        await ask(payment_no, 300)  # abnormal keeps the money
    await payments.record_offline_refund(refund_no=second, document="回单", recorded_by="王会计", approved_by="李主任")
    with pytest.raises(RefundNotPossible):
        await ask(payment_no, 300)
    assert await ask(payment_no, 200)


async def test_a_failed_refund_frees_the_money(books):
    bill_no, payment_no = await paid(books)
    refund_no = await agreed(payment_no, 800)
    books.channel.refunds.faults["refund"] = ["refuse"]
    await refund_janitor.check_refunds()
    assert (await row(refund_no)).state == "failed"
    assert await ledger.turnover(ledger.refund_reserved()) == 0
    assert (await events("refund.failed"))[0]["payload"]["state"] == "failed"
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).next_step.startswith("退款没有成功")
    assert await ask(payment_no, 1000)


async def test_an_approval_is_taken_back_before_anything_was_sent(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await payments.deny_refund(refund_no=refund_no, denied_by="李主任", reason="弄错了")
    assert await ledger.turnover(ledger.refund_reserved()) == 0
    await refund_janitor.check_refunds()
    assert books.channel.refunds.calls == []
    with pytest.raises(IllegalTransition):
        await payments.approve_refund(refund_no=refund_no, approved_by="李主任")


async def test_money_owed_by_rule_is_not_denied(books):
    bill_no, _ = await paid(books)
    async with db.transaction():
        await payments.void_bills(subject=(await books.bill(bill_no)).subject, reason="已撤回")
    refund = await Refund.get()
    assert (refund.state, refund.cause, refund.automatic) == ("approved", "withdrawal", True)
    with pytest.raises(Conflict):
        await payments.deny_refund(refund_no=refund.refund_no, denied_by="李主任", reason="不退")


async def test_refused_asks(books):
    bill_no, payment_no = await paid(books)
    unpaid = await books.start(await books.issue(key="unpaid"))
    for call, wrong in (
        (ask(unpaid.payment_no), RefundNotPossible),
        (ask("NOSUCHNUMBER"), NotFound),
        (ask(payment_no, 1001), RefundNotPossible),
        (ask(payment_no, -1), RefundNotPossible),
        (payments.request_refund(payment_no=payment_no, reason=" ", requested_by="王"), Invalid),
        (payments.request_refund(payment_no=payment_no, reason="x", cause="surplus", requested_by="王"), Invalid),
        (
            payments.request_refund(payment_no=payment_no, reason="x", requested_by="王", way="offline"),
            RefundNotPossible,
        ),
        (payments.approve_refund(refund_no="NOSUCHNUMBER", approved_by="李"), NotFound),
        (payments.retry_refund(refund_no=await ask(payment_no, 1), requested_by="王"), Conflict),
    ):
        with pytest.raises(wrong):
            await call
    assert (await books.bill(bill_no)).state == "paid"


async def test_the_payer_asks_and_reads_how_it_stands(books):
    bill_no, _ = await paid(books)
    seen = await payments.request_refund_of_bill(owner_ref=OWNER, bill_no=bill_no, reason="不办了", idem=None)
    assert (seen.status, seen.label, seen.finished) == ("refunding", "退款申请待审核", False)
    assert [r.refund_no for r in await payments.refunds_for_people()] == [seen.refund_no]
    with pytest.raises(RefundNotPossible):
        await payments.request_refund_of_bill(owner_ref=OWNER, bill_no=bill_no, reason="不办了", idem=None)
    with pytest.raises(NotFound):
        await payments.request_refund_of_bill(owner_ref="somebody", bill_no=bill_no, reason="不办了", idem=None)
    await payments.deny_refund(refund_no=seen.refund_no, denied_by="李主任", reason="证已制作")
    (after,) = (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).refunds
    assert (after.status, after.label, after.finished) == ("paid", "退款申请未通过", True)
    assert (await events("refund.denied"))[0]["payload"]["cause"] == "request"


async def test_a_part_payment_that_goes_back_is_due_again(books):
    """The bill stays payable: what went back is owed again."""
    bill_no, payment_no = await paid(books)
    await db.execute("UPDATE payments_bill SET gross_fen = 1500, due_fen = 1500 WHERE bill_no = ?", bill_no)
    await db.execute("UPDATE payments_bill_line SET price_fen = 1500, amount_fen = 1500")
    unit = ledger.unit_income((await books.bill(bill_no)).unit_code)
    async with db.transaction():
        entries = [ledger.Entry(ledger.bill_due(bill_no), 500), ledger.Entry(unit, -500)]
        await ledger.post(kind="publish", dedupe_key="more", occurred_at=books.clock.now(), entries=entries)
    await db.execute("UPDATE payments_bill SET state = 'part_paid' WHERE bill_no = ?", bill_no)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, refund_no, "SUCCESS")
    bill = await books.bill(bill_no)
    assert (bill.state, await ledger.balance(ledger.bill_due(bill_no))) == ("open", 1500)
    assert (await row(refund_no)).reopened


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"amount_fen": 999}, "REFUND_AMOUNT"),
        ({"currency": "USD"}, "REFUND_AMOUNT"),
        ({"payment_no": "ANOTHER"}, "SECURITY_REFUND_OTHER_PAYMENT"),
        ({"merchant_id": "1234567890"}, "SECURITY_FOREIGN_MERCHANT"),
    ],
)
async def test_a_statement_that_does_not_fit_settles_nothing(books, changed, found):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    before = await ledger_rows()
    await hear(books, refund_no, "SUCCESS", event_id="EV-wrong", **changed)
    assert (await row(refund_no)).state == "processing"
    assert await ledger_rows() == before
    assert [d.class_name for d in await Difference.all()] == [found]
    assert await hear(books, refund_no, "SUCCESS") == "settled", "the honest notice still counts"


async def test_an_old_copy_of_a_notice_does_not_undo_what_a_person_did(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, refund_no, "ABNORMAL")
    old = books.channel.refunds.notice(refund_no)
    await payments.repair_abnormal_refund(refund_no=refund_no, actor="王会计")
    assert await refund_settlement.apply_refund_evidence(old) == "already"
    assert (await row(refund_no)).state == "processing"
    await hear(books, refund_no, "SUCCESS")


async def test_a_repair_that_is_refused_leaves_the_refund_abnormal(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, refund_no, "ABNORMAL")
    books.channel.refunds.faults["repair"] = ["refuse"]
    await payments.repair_abnormal_refund(refund_no=refund_no, actor="王会计")
    assert (await row(refund_no)).state == "abnormal"


async def test_a_failed_refund_was_paid_after_all(books):
    bill_no, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, refund_no, "CLOSED")
    again = await payments.retry_refund(refund_no=refund_no, requested_by="王会计")
    await hear(books, refund_no, "SUCCESS")
    assert ((await row(refund_no)).state, (await row(again)).state) == ("success", "denied")
    assert (await books.bill(bill_no)).state == "refunded"
    assert [(d.class_name, d.state) for d in await Difference.all()] == [("REFUND_STATUS_OURS_FAILED", "auto_fixed")]


async def test_after_a_failure_what_is_left_goes_back_even_when_a_part_went_another_way_meanwhile(books):
    bill_no, payment_no = await paid(books)
    failed = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, failed, "CLOSED")
    part = await agreed(payment_no, 400)
    books.clock.advance(seconds=61)
    await refund_janitor.check_refunds()
    await hear(books, part, "SUCCESS")
    again = await payments.retry_refund(refund_no=failed, requested_by="王会计")
    assert (await row(again)).amount_fen == 600
    await payments.approve_refund(refund_no=again, approved_by="李主任")
    books.clock.advance(seconds=61)
    await refund_janitor.check_refunds()
    await hear(books, again, "SUCCESS")
    assert (await books.bill(bill_no)).state == "refunded"


async def test_after_a_failure_nothing_is_sent_again_when_nothing_is_left(books):
    _, payment_no = await paid(books)
    failed = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, failed, "CLOSED")
    await agreed(payment_no)
    with pytest.raises(RefundNotPossible):
        await payments.retry_refund(refund_no=failed, requested_by="王会计")


async def test_the_money_went_back_twice(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    await hear(books, refund_no, "CLOSED")
    again = await payments.retry_refund(refund_no=refund_no, requested_by="王会计")
    await payments.approve_refund(refund_no=again, approved_by="李主任")
    books.clock.advance(seconds=62)
    await refund_janitor.check_refunds()
    await hear(books, again, "SUCCESS")
    await hear(books, refund_no, "SUCCESS")
    assert [(d.class_name, d.state) for d in await Difference.all()] == [("REFUND_TWICE", "open")]
    assert await ledger.turnover(ledger.suspense("wechat")) == -1000


async def test_a_young_call_is_left_alone_and_a_dead_one_is_sent_again(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    assert await refund_asking._begin(refund_no)  # the process dies here
    assert await refund_asking.work_on(refund_no) == "nothing"
    books.clock.advance(seconds=16)
    await refund_janitor.check_refunds()
    assert ((await row(refund_no)).state, books.channel.refunds.refunds[refund_no].asked) == ("processing", 1)


async def test_nothing_left_this_machine(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    books.channel.refunds.faults["refund"] = ["not_sent"]
    await refund_janitor.check_refunds()
    assert ((await row(refund_no)).state, (await row(refund_no)).sends) == ("sending", 0)
    books.clock.advance(seconds=62)
    await refund_janitor.check_refunds()
    assert (await row(refund_no)).state == "processing"


async def test_a_refusal_after_a_lost_answer_concludes_nothing(books):
    """The first try may have arrived; only "no such refund" makes the next refusal conclusive."""
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    books.channel.refunds.faults["refund"] = ["after", "refuse"]
    await refund_janitor.check_refunds()
    refund = await row(refund_no)
    refund.state, refund.sent_at = RefundState.SENDING, None
    await refund.save()
    await refund_asking.work_on(refund_no)
    assert (await row(refund_no)).state == "unknown"
    books.channel.refunds.finish(refund_no)
    assert await refund_asking.work_on(refund_no) == "settled"


async def test_after_a_week_of_silence_a_person_is_asked_and_may_ask_again(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    asked = []
    for _ in range(220):
        before = books.channel.refunds.count("refund_query")
        await refund_janitor.check_refunds()
        if books.channel.refunds.count("refund_query") > before:
            asked.append(books.clock.now())
        books.clock.advance(hours=1)
    assert (await row(refund_no)).review_required
    assert [d.class_name for d in await Difference.all()] == ["REFUND_STUCK"]
    assert 20 < len(asked) < 40
    assert [r.refund_no for r in await payments.refunds_for_people()] == [refund_no]
    assert await payments.retry_refund(refund_no=refund_no, requested_by="王会计") == refund_no
    books.channel.refunds.finish(refund_no)
    await refund_janitor.check_refunds()
    assert (await row(refund_no)).state == "success"


async def test_the_channel_is_not_asked_sooner_than_it_answers(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    await refund_janitor.check_refunds()
    sent = (await row(refund_no)).sent_at
    assert (await row(refund_no)).next_check_at >= sent + timedelta(seconds=60)


async def test_a_bug_in_a_gateway_tells_us_nothing(books):
    _, payment_no = await paid(books)
    refund_no = await agreed(payment_no)
    books.channel.refunds.faults["refund"] = ["crash"]
    await refund_janitor.check_refunds()
    assert (await row(refund_no)).state == "unknown"


@pytest.mark.parametrize(("to", "state", "back"), [("bill", "part_paid", 0), ("payer", "open", 400)])
async def test_suspended_money_is_explained_by_two_people(books, to, state, back):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no, amount_fen=400))
    acts = {"payment_no": view.payment_no, "to": to, "document": "对账单"}
    with pytest.raises(SamePerson):
        await payments.explain_suspense(**acts, actor="王会计", approved_by="王会计")
    assert await payments.explain_suspense(**acts, actor="王会计", approved_by="李主任") == 400
    with pytest.raises(Conflict):
        await payments.explain_suspense(**acts, actor="王会计", approved_by="李主任")
    assert (await books.bill(bill_no)).state == state
    assert await ledger.turnover(ledger.suspense("wechat")) == 0
    assert sum(r.amount_fen for r in await Refund.all()) == back
    assert [d.state for d in await Difference.all()] == ["resolved"]
    await refund_janitor.check_refunds()
    for refund in await Refund.all():
        await hear(books, refund.refund_no, "SUCCESS")
        assert (await Attempt.get(payment_no=view.payment_no)).state == "refunded"


async def test_the_refused_approval_stays_in_the_history(books):
    _, payment_no = await paid(books)
    refund_no = await ask(payment_no)
    with pytest.raises(SamePerson):
        await payments.approve_refund(refund_no=refund_no, approved_by="王 会计")
    assert (await PaymentEvent.get(object_no=refund_no)).action == "approve_refused"
