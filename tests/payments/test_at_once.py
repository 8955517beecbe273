"""A usual notice is stored and settled by one statement on PostgreSQL; both ways leave the same rows, whatever comes between."""

import asyncio
import itertools
import json
import re

import pytest

import payments
from kernel import clock, db, together
from kernel.outbox import Topic
from kernel.worker import Worker
from payments import at_once, handlers, settlement
from payments.models import Attempt, Bill
from payments.states import ACTIVE, AttemptState, BillState
from tests.conftest import ENGINE
from tests.payments.conftest import events

only_postgres = pytest.mark.skipif(ENGINE != "postgres", reason="SQLite has one body")
TAKE = at_once.take
_numbers = itertools.count(1)


@pytest.fixture
def at_once_used(books, monkeypatch):
    """How many statements settled a notice whole."""
    done = []
    send = together.OneStatement.send

    async def counted(self, claim):
        await send(self, claim)
        done.append(1)

    monkeypatch.setattr(together.OneStatement, "send", counted)
    return done


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets something happen after the look and before the statement."""

    def plan(happening):
        send = together.OneStatement.send

        async def late(self, claim):
            await happening()
            await send(self, claim)

        monkeypatch.setattr(together.OneStatement, "send", late)

    return plan


async def receive(payment_no, event_id=None):
    raw = json.dumps({"id": event_id or f"EV-{payment_no}", "no": payment_no}).encode()
    return await payments.receive_notice(channel="wechat", headers={"Wechatpay-Signature": "good"}, raw=raw)


async def work():
    async def taken(delivery):
        """Subscribers belong to other packages."""

    more = [Topic(name=name, handler=taken) for name in ("bill.paid", "bill.refund_due")]
    await Worker(topics=[*handlers.TOPICS, *more], subscriptions={}).run_until_idle()


async def paid(books, **more):
    """A bill, its attempt, and the payer has paid at the channel."""
    bill_no = await books.issue(key=f"fee:{next(_numbers)}", **more)
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    return bill_no, view.payment_no


# -- the same rows ----------------------------------------------------------------------------------------------------

TABLES = {
    "payments_bill": "bill_no = '{bill}'",
    "payments_attempt": "bill_id = (SELECT id FROM payments_bill WHERE bill_no = '{bill}')",
    "payments_evidence": "payment_no IN {all}",
    "payments_ledger_txn": "bill_no = '{bill}'",
    "payments_ledger_entry": "txn_id IN (SELECT id FROM payments_ledger_txn WHERE bill_no = '{bill}')",
    "payments_ledger_account": "code LIKE '%{bill}%' OR code IN (SELECT 'surplus:' || payment_no FROM payments_attempt WHERE payment_no IN {all})",
    "payments_event": "object_no = '{bill}' OR object_no IN {all}",
    "payments_refund": "bill_id = (SELECT id FROM payments_bill WHERE bill_no = '{bill}')",
    "payments_difference": "bill_no = '{bill}'",
    "kernel_outbox": "lane = 'bill:{bill}'",
    "kernel_inbox": "external_id LIKE '%{first}'",
}
SEALED_OR_OWN = {"id", "request_body", "body", "refund_no", "dedupe_key", "active_slot", "run_at", "done_ms", "lease"}


async def rows_of(bill_no):
    """Every row about one bill with the numbers blanked out; a row that points at evidence says at which."""
    numbers = [a.payment_no for a in await Attempt.filter(bill__bill_no=bill_no).order_by("id")]
    every = "(" + ", ".join(f"'{n}'" for n in numbers) + ")"
    evidence = [
        r["id"] for r in await db.fetch(f"SELECT id FROM payments_evidence WHERE payment_no IN {every} ORDER BY id")
    ]
    accounts = {r["id"]: r["code"] for r in await db.fetch("SELECT id, code FROM payments_ledger_account")}
    found = {}
    for table, where in TABLES.items():
        sql = where.format(bill=bill_no, all=every, first=numbers[0])
        found[table] = []
        for stored in await db.fetch(f"SELECT * FROM {table} WHERE {sql} ORDER BY id"):
            row = {k: v for k, v in stored.items() if k not in SEALED_OR_OWN}
            if row.get("evidence_id"):
                row["evidence_id"] = evidence.index(row["evidence_id"])
            if "account_id" in row:
                row["account_id"] = accounts[row["account_id"]]
            for name in ("bill_id", "attempt_id", "txn_id"):
                if name in row:
                    row[name] = row[name] is not None
            found[table].append(_blanked(str(row), bill_no, numbers))
    return found


def _blanked(text, bill_no, numbers):
    text = text.replace(bill_no, "BILL")
    for n, number in enumerate(numbers):
        text = text.replace(number, f"PAY{n}")
    return re.sub(r"4200\d+", "TXN", re.sub(r"case:\d+", "CASE", text))


async def usual(books):
    return await paid(books)


async def before_the_reply(books):
    """The notice overtakes the answer to our request: the attempt is still unknown."""
    books.channel.faults["prepare"] = ["after"]
    return await paid(books)


async def being_closed(books):
    bill_no, number = await paid(books)
    await Attempt.filter(payment_no=number).update(state="closing", close_wanted="x")
    return bill_no, number


async def closed_before(books):
    bill_no, number = await paid(books)
    await Attempt.filter(payment_no=number).update(state="closed", active_slot=None, next_check_at=None)
    return bill_no, number


async def under_review(books):
    bill_no, number = await paid(books)
    await Attempt.filter(payment_no=number).update(review_required=True)
    return bill_no, number


async def too_much(books):
    bill_no, number = await paid(books)
    books.channel.orders[number].amount_fen += 1
    return bill_no, number


async def too_little(books):
    bill_no, number = await paid(books)
    books.channel.orders[number].amount_fen -= 1
    return bill_no, number


async def another_payer(books):
    bill_no, number = await paid(books)
    books.channel.orders[number].payer = "somebody else"
    return bill_no, number


async def two_orders(books):
    bill_no, number = await paid(books)
    await Attempt.filter(payment_no=number).update(active_slot=f"another:{number}")
    await books.start(bill_no)
    return bill_no, number


async def given_up(books):
    bill_no, number = await paid(books, subject=f"case:{next(_numbers)}")
    async with db.transaction():
        await payments.void_bills(subject=(await books.bill(bill_no)).subject, reason="withdrawn")
    return bill_no, number


async def expired(books, **more):
    bill_no, number = await paid(books, days=0.01, **more)
    await Attempt.filter(payment_no=number).update(state="closed", active_slot=None, next_check_at=None)
    await Bill.filter(bill_no=bill_no).update(state="expired", expired_at=clock.now())
    return bill_no, number


async def expired_but_accepted(books):
    return await expired(books, late_policy="accept")


async def settled_by_a_query(books):
    bill_no, number = await paid(books)
    await settlement.apply_evidence(books.channel.answer(number))
    return bill_no, number


SCENES = (usual, before_the_reply, being_closed, closed_before, under_review, too_much, too_little, another_payer, two_orders,
          given_up, expired, expired_but_accepted, settled_by_a_query)  # fmt: skip
WHOLE = (usual, before_the_reply, being_closed)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_both_ways_leave_the_same_rows(books, at_once_used, monkeypatch, scene):
    async def never(*_, **__):
        return at_once.Taken.NOT_HERE

    await receive((await paid(books))[1])
    await work()  # the account of the channel is open
    at_once_used.clear()
    seen = []
    for way in (TAKE, never):
        monkeypatch.setattr(at_once, "take", way)
        bill_no, number = await scene(books)
        for event_id in (None, None, f"EVENT-{number}"):  # the copy, and the same payment in another notice
            assert (await receive(number, event_id)).status == 204
        await work()
        seen.append(await rows_of(bill_no))
    assert seen[0] == seen[1]
    assert sum(at_once_used) == (1 if ENGINE == "postgres" and scene in WHOLE else 0)


# -- one statement ----------------------------------------------------------------------------------------------------


async def test_a_usual_notice_is_one_look_and_one_statement_and_a_copy_one_look(books, at_once_used, monkeypatch):
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books)
    at_once_used.clear()
    borrowed = []
    acquired = db.transactions._acquired

    async def counted(pool):
        borrowed.append(1)
        return await acquired(pool)

    monkeypatch.setattr(db.transactions, "_acquired", counted)
    await receive(number)
    first = len(borrowed)
    await receive(number)
    if ENGINE == "postgres":
        assert (first, len(borrowed) - first, sum(at_once_used)) == (2, 1, 1)
        assert (await books.bill(bill_no)).state == BillState.PAID
        assert not await db.fetch("SELECT 1 AS one FROM kernel_outbox WHERE lane = ?", f"payment:{number}")
    else:
        assert (await books.bill(bill_no)).state == BillState.OPEN  # acknowledging is not settling
        await work()
        assert (await books.bill(bill_no)).state == BillState.PAID


@pytest.mark.parametrize("with_query", [False, True])
async def test_ten_copies_and_a_query_at_once_settle_once(books, with_query):
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books)
    at_the_same_time = [receive(number, f"EV-{number}-{n % 3}") for n in range(10)]
    if with_query:
        at_the_same_time.insert(5, settlement.apply_evidence(books.channel.answer(number)))
    answers = await asyncio.gather(*at_the_same_time)
    assert {getattr(a, "status", 204) for a in answers} == {204}
    await work()
    assert (await books.bill(bill_no)).state == BillState.PAID
    posted = await db.fetch("SELECT dedupe_key FROM payments_ledger_txn WHERE payment_no = ?", number)
    assert len(posted) == 1 and len([e for e in await events("bill.paid") if e["payload"]["bill_no"] == bill_no]) == 1
    notes = await db.fetch("SELECT note FROM kernel_inbox WHERE external_id LIKE ?", f"EV-{number}-%")
    assert len(notes) == 3 and {row["note"] for row in notes} <= {"settled", "already"}


# -- between the look and the statement -------------------------------------------------------------------------------


@only_postgres
@pytest.mark.parametrize(
    "what", ["another order", "given up", "moved account", "moved attempt", "earlier message", "settled"]
)
async def test_what_happened_meanwhile_is_the_transactions(books, at_once_used, meanwhile, what):
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books, subject=f"case:{next(_numbers)}")
    subject = (await books.bill(bill_no)).subject
    at_once_used.clear()

    async def happens():
        if what == "another order":
            await Attempt.filter(payment_no=number).update(active_slot=f"another:{number}")
            await books.start(bill_no)
        elif what == "given up":
            async with db.transaction():
                await payments.void_bills(subject=subject, reason="withdrawn")
        elif what == "moved account":
            await db.execute("UPDATE payments_ledger_account SET balance_fen = balance_fen WHERE bounded")
        elif what == "moved attempt":
            await db.execute("UPDATE payments_attempt SET checks = checks + 1 WHERE payment_no = ?", number)
        elif what == "earlier message":
            await db.execute(
                "INSERT INTO kernel_outbox (topic, key, lane, payload, run_at, created_ms) VALUES ('bill.paid', 'x', ?, '{}', 0, 0)",
                f"payment:{number}",
            )
        else:
            await settlement.apply_evidence(books.channel.answer(number))

    meanwhile(happens)
    assert (await receive(number)).status == 204
    assert (
        at_once_used == []
        and len(await db.fetch("SELECT 1 AS one FROM kernel_outbox WHERE topic = 'inbox.wechat-pay' AND state = 0"))
        == 1
    )
    await work()
    bill = await books.bill(bill_no)
    assert bill.state == (BillState.WITHDRAWN if what == "given up" else BillState.PAID)
    assert not await Attempt.filter(
        bill_id=bill.id, state__in=[s for s in ACTIVE if s != AttemptState.CLOSING]
    ).exists()


@only_postgres
async def test_an_order_begun_while_the_statement_waits_is_closed_too(books, at_once_used):
    """The statement's snapshot is older than the other order: only the bill's new version tells."""
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books)
    at_once_used.clear()
    await Attempt.filter(payment_no=number).update(active_slot=f"another:{number}")
    held, go = asyncio.Event(), asyncio.Event()

    async def other():
        async with db.transaction():
            row = await db.lock(Bill, bill_no=bill_no)
            held.set()
            await go.wait()
            offer, payer = (
                payments.runtime.offer("wechat_jsapi"),
                payments.checkout.Payer(account_ref="o", channel_id="x", address=None),
            )
            await payments.checkout._attempt(row, offer, payer)

    holder = asyncio.create_task(other())
    await held.wait()
    coming = asyncio.create_task(receive(number))
    await asyncio.sleep(0.1)
    assert not coming.done()
    go.set()
    await asyncio.gather(holder, coming)
    assert at_once_used == []
    await work()
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert await Attempt.filter(bill_id=(await books.bill(bill_no)).id, close_wanted__isnull=False).count() == 1


@only_postgres
async def test_a_bill_held_for_long_does_not_keep_its_notice_out(books, at_once_used):
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books)
    at_once_used.clear()
    held, go = asyncio.Event(), asyncio.Event()

    async def hold():
        async with db.transaction():
            await db.lock(Bill, bill_no=bill_no)
            held.set()
            await go.wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    assert (await receive(number)).status == 204
    go.set()
    await holder
    assert at_once_used == [] and (await books.bill(bill_no)).state == BillState.OPEN
    await work()
    assert (await books.bill(bill_no)).state == BillState.PAID


@only_postgres
async def test_who_hangs_up_while_the_statement_waits_leaves_nothing_half(books):
    await receive((await paid(books))[1])
    await work()
    bill_no, number = await paid(books)
    before = await rows_of(bill_no)
    held, go = asyncio.Event(), asyncio.Event()

    async def hold():
        async with db.transaction():
            await db.lock(Bill, bill_no=bill_no)
            held.set()
            await go.wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    coming = asyncio.create_task(receive(number))
    await asyncio.sleep(0.1)
    coming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await coming
    go.set()
    await holder
    assert await rows_of(bill_no) == before
    assert (await receive(number)).status == 204
    await work()
    assert (await books.bill(bill_no)).state == BillState.PAID and not db.in_transaction()


@only_postgres
async def test_a_bug_in_the_short_way_leaves_the_notice_to_the_worker(books, monkeypatch):
    async def broken(*_, **__):
        raise LookupError("a bug")

    bill_no, number = await paid(books)
    monkeypatch.setattr(at_once, "_looked", broken)
    assert (await receive(number)).status == 204
    await work()
    assert (await books.bill(bill_no)).state == BillState.PAID


@only_postgres
async def test_no_row_says_who_paid(books):
    await receive((await paid(books))[1])
    await work()
    _, number = await paid(books)
    books.channel.orders[number].payer = ""
    await receive(number)
    for table in ("payments_evidence", "payments_event", "kernel_outbox", "kernel_inbox"):
        assert "oUpF8" not in repr(await db.fetch(f"SELECT * FROM {table}"))
