"""The end of a world: partners are well again, time passes until everything is settled, and the books are compared with theirs."""

from typing import Any

import payments
from kernel import clock, db
from kernel.problems import Problem
from payments.models import Attempt, Bill, PaymentEvent, Refund
from payments.states import ACTIVE
from tests.chaos.world import NEWS, World

ROUNDS, AT_LEAST_S = 260, 240.0
CHANNELS = {"wechat": "wechat_pay", "alipay": "alipay"}
_OVER = ("denied", "success", "success_offline", "failed")


async def settle(world: World) -> list[str]:
    """Lets time pass until nothing is under way; answers what never came to an end."""
    world.lives.disarm()
    network = world.network
    network.rough, network.meanwhile = 0.0, None
    for name, partner in world.partners.items():
        partner.faults.delete()
        wish: dict[str, Any] = {"balance_fen": None}
        if name == "wechat_pay":
            wish |= {"auto_refund": "SUCCESS", "probe_first_notice": False, "sign_errors": "business"}
        else:
            wish |= {"refund_outcome": "done"}
        await network.control(name, "POST", "/config", wish)
    for round_no in range(ROUNDS):
        await network.pump()
        await world.worker()
        await world.timers()
        await _people(world)
        notices = any(partner.store.next_callback_at() is not None for partner in world.partners.values())
        if not notices and not await _under_way() and not await _promised():
            return []
        await _sleep(world, round_no)
    return [f"never came to an end: {what}" for what in [*await _under_way(), *await _promised()]]


async def _sleep(world: World, round_no: int) -> None:
    """To the next thing that is due, but never less than some minutes: nobody is in a hurry any more."""
    now = clock.now()
    rows = await db.fetch(
        "SELECT next_check_at FROM payments_attempt WHERE next_check_at IS NOT NULL UNION ALL "
        "SELECT next_check_at FROM payments_refund WHERE next_check_at IS NOT NULL"
    )
    due = [db.instant(row["next_check_at"]) or now for row in rows]
    seconds = (min(due) - now).total_seconds() if due else 0.0
    world.clock.advance(min(max(seconds, AT_LEAST_S), 90_000.0) + 1 + round_no)


async def _people(world: World) -> None:
    """What only people do: the partner's bank ends refunds, our office decides, retries and repairs."""
    for partner, key in (("wechat_pay", "out_refund_no"), ("alipay", "out_request_no")):
        for refund in (await world.network.control(partner, "GET", "/refunds"))["refunds"]:
            if refund["status"] == "PROCESSING":
                await world.network.control(partner, "POST", f"/refunds/{refund[key]}/finish", {"status": "SUCCESS"})
    for attempt in await Attempt.filter(state__in=[str(s) for s in ACTIVE], review_required=True).order_by("id"):
        await _conclude(world, attempt)
    for refund in await Refund.filter(state__in=["requested", "failed", "abnormal"]).order_by("id"):
        try:
            await _decide(refund)
        except Problem as refused:
            world.say(f"people: {refund.state} {refund.refund_no}: {refused.code}")


async def _conclude(world: World, attempt: Attempt) -> None:
    """Seven days without a conclusion: an operator looks the order up at the channel and writes down that it was never paid."""
    order = await world.network.control(CHANNELS[attempt.channel], "GET", f"/orders/{attempt.payment_no}")
    if order is None or not order["payments"]:
        await payments.conclude_closed(payment_no=attempt.payment_no, actor="李主任", document="对账单")


async def _decide(refund: Refund) -> None:
    if refund.state == "requested" and not refund.automatic:
        await payments.approve_refund(refund_no=refund.refund_no, approved_by="李主任")
    elif refund.state == "failed" and (refund.automatic or refund.source == "surplus"):
        await payments.retry_refund(refund_no=refund.refund_no, requested_by="赵会计")
    elif refund.state == "abnormal":
        try:
            await payments.repair_abnormal_refund(
                refund_no=refund.refund_no,
                actor="李主任",
                bank_type="ICBC_DEBIT",
                account="6222020000000000",
                holder="王䶮",
            )
        except Problem:
            await payments.record_offline_refund(
                refund_no=refund.refund_no, document="回单1", recorded_by="王会计", approved_by="李主任"
            )


async def _under_way() -> list[str]:
    found = [
        f"attempt {a.payment_no} {a.state} {a.last_error}"
        for a in await Attempt.filter(state__in=[str(s) for s in ACTIVE])
    ]
    for refund in await Refund.exclude(state__in=list(_OVER)):
        found.append(f"refund {refund.refund_no} {refund.state} {refund.last_error}")
    for refund in await Refund.filter(state="failed", automatic=True):
        if not await Refund.filter(follows_id=refund.id).exists():
            found.append(f"refund {refund.refund_no} failed and was not made again")
    return found


async def _promised() -> list[str]:
    rows = await db.fetch("SELECT topic, key, error FROM kernel_outbox WHERE state = 0")
    return [f"promise {row['key']} {row['error']}" for row in rows]


async def compare(world: World) -> list[str]:
    """Everything that is wrong with the books at the end, in words; empty when all is well."""
    found = list((await payments.ledger_check()).violations)
    for channel, partner in CHANNELS.items():
        orders = (await world.network.control(partner, "GET", "/orders"))["orders"]
        refunds = (await world.network.control(partner, "GET", "/refunds"))["refunds"]
        found += await _payments(channel, orders)
        found += await _refunds(channel, refunds)
        found += await _receivable(channel, orders, refunds)
    found += await _nothing_left()
    world.outcome |= await _outcome()
    found += await _told(world)
    return found


def _txn(channel: str, order: dict[str, Any]) -> str:
    return str(order["payments"][0]["transaction_id"] if channel == "wechat" else order["trade_no"])


def _fen(order: dict[str, Any]) -> int:
    return int(order["payments"][0].get("total_fen", order["amount_fen"]))


async def _payments(channel: str, orders: list[dict[str, Any]]) -> list[str]:
    """Invariant 7 and 8: what was paid there is here exactly once, and nothing is paid here that is not paid there."""
    found = []
    paid_there = {_txn(channel, order): order for order in orders if order["payments"]}
    rows = await db.fetch(
        "SELECT dedupe_key FROM payments_ledger_txn WHERE kind IN ('pay', 'suspense') AND (dedupe_key LIKE ? OR dedupe_key LIKE ?)",
        f"pay:{channel}:%", f"line:{channel}:%",
    )  # fmt: skip
    here = [row["dedupe_key"].rsplit(":", 1)[1] for row in rows]
    for txn, order in paid_there.items():
        if here.count(txn) != 1:
            word = "LOST" if txn not in here else "DOUBLED"
            found.append(
                f"{word}: {channel} {order['out_trade_no']} was paid once there and {here.count(txn)} times here"
            )
    found += [f"INVENTED: {channel} {txn} was never paid there" for txn in set(here) - set(paid_there)]
    made = {order["out_trade_no"]: order["times_created"] for order in orders}
    numbers = {a.payment_no for a in await Attempt.filter(channel=channel)}
    found += [f"an order there has no row here: {channel} {number}" for number in set(made) - numbers]
    return found


async def _refunds(channel: str, refunds: list[dict[str, Any]]) -> list[str]:
    """What was given back there is given back here, with the same amount, and the other way round."""
    key = "out_refund_no" if channel == "wechat" else "out_request_no"
    ours = {row.refund_no: row for row in await Refund.filter(channel=channel)}
    there = {refund[key]: refund for refund in refunds}
    found = [f"a refund there has no row here: {channel} {number}" for number in set(there) - set(ours)]
    gone = {number for number, refund in there.items() if refund["status"] == "SUCCESS"}
    kept = {number for number, row in ours.items() if row.state == "success"}
    found += [
        f"LOST: refund {number} succeeded there, here it is {ours[number].state}"
        for number in (gone - kept) & set(ours)
    ]
    found += [f"INVENTED: refund {number} did not succeed there" for number in kept - gone]
    found += [
        f"refund {number} has another amount there" for number in set(there) & set(ours)
        if there[number]["refund_fen"] != ours[number].amount_fen
    ]  # fmt: skip
    return found


async def _receivable(channel: str, orders: list[dict[str, Any]], refunds: list[dict[str, Any]]) -> list[str]:
    """What the channel holds for us is what was paid there less what was given back there."""
    there = sum(_fen(order) for order in orders if order["payments"])
    there -= sum(refund["refund_fen"] for refund in refunds if refund["status"] == "SUCCESS")
    rows = await db.fetch(
        "SELECT COALESCE(SUM(e.amount_fen), 0) AS fen FROM payments_ledger_entry e "
        "JOIN payments_ledger_account a ON a.id = e.account_id WHERE a.code = ?",
        f"channel:{channel}:receivable",
    )
    here = int(rows[0]["fen"])
    return [f"{channel} holds {there} fen there, {here} fen here"] if here != there else []


async def _nothing_left() -> list[str]:
    """No surplus that nobody gives back, nothing set aside, no payer charged twice, no promise on the dead list."""
    rows = await db.fetch(
        "SELECT a.code, SUM(e.amount_fen) AS fen FROM payments_ledger_account a JOIN payments_ledger_entry e ON e.account_id = a.id "
        "WHERE a.code LIKE 'surplus:%' OR a.code LIKE 'suspense:%' OR a.code = 'refund:reserved' GROUP BY a.code HAVING SUM(e.amount_fen) <> 0"
    )
    found = [f"{row['code']} still holds {-int(row['fen'])} fen" for row in rows]
    for bill in await Bill.all().order_by("id"):
        attempts = await Attempt.filter(bill_id=bill.id)
        paid = sum(a.amount_fen for a in attempts if a.channel_txn_id)
        back = sum(r.amount_fen for r in await Refund.filter(bill_id=bill.id, state__in=["success", "success_offline"]))
        kept = paid - back
        most = 0 if bill.void_reason is not None or bill.state in ("expired", "refunded") else bill.due_fen
        if kept > most:
            found.append(f"DOUBLED: bill {bill.bill_no} ({bill.state}) keeps {kept} fen of its payer, {most} are due")
        if bill.state == "paid" and kept != bill.due_fen:
            found.append(f"LOST: bill {bill.bill_no} is paid and keeps {kept} fen")
    dead = await db.fetch("SELECT topic, key, error FROM kernel_outbox WHERE state = 2")
    return found + [f"dead promise {row['topic']} {row['key']}: {row['error']}" for row in dead]


async def _told(world: World) -> list[str]:
    """Every piece of news is promised once and heard at least once; after a kill the listener may hear it again, as it must expect."""
    found = []
    into_paid = await PaymentEvent.filter(object_kind="bill", target="paid").exclude(source="paid").count()
    counts = {name: await _rows(name) for name in NEWS}
    if counts["bill.paid"] != into_paid:
        found.append(f"bill.paid was promised {counts['bill.paid']} times for {into_paid} settlements")
    succeeded = await Refund.filter(state__in=["success", "success_offline"]).count()
    if counts["refund.succeeded"] != succeeded:
        found.append(f"refund.succeeded was promised {counts['refund.succeeded']} times for {succeeded} refunds")
    for name in NEWS:
        heard = sum(1 for key in world.told if key.startswith(f"told.{name}|"))
        if heard != counts[name]:
            found.append(f"{name}: {counts[name]} promised, {heard} heard")
        if not world.lives.kills and any(n != 1 for key, n in world.told.items() if key.startswith(f"told.{name}|")):
            found.append(f"{name} was told twice although nobody was killed")
    return found


async def _rows(topic: str) -> int:
    return int((await db.fetch("SELECT COUNT(*) AS n FROM kernel_outbox WHERE topic = ?", topic))[0]["n"])


async def _outcome() -> dict[str, int]:
    """How much happened, so that nobody believes in quiet worlds."""
    found = {}
    for name, table, column in (
        ("bill", "payments_bill", "state"),
        ("attempt", "payments_attempt", "state"),
        ("refund", "payments_refund", "state"),
        ("difference", "payments_difference", "class_name"),
    ):
        for row in await db.fetch(f"SELECT {column} AS word, COUNT(*) AS n FROM {table} GROUP BY {column}"):
            found[f"{name} {row['word']}"] = int(row["n"])
    return found
