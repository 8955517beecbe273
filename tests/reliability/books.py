"""The audit: the product's database, read past the product, against the sandboxes' own books. Every difference is one English sentence."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from backend.notices import PARCEL_WORDS
from deploy.local.people import Cast, Json
from tests.reliability.citizens import Citizen

FEES_FEN = {"administrative": 1000, "delivery": 600}
# What every case leaves in the inbox, and what it may leave: who has acted before a reminder is written needs none.
TOLD, REMINDED = Counter(progress=5, result=1), Counter(payment=1, correction=1)
Row = dict[str, Any]


class Database:
    """Reads beside the product, with the engine's own driver."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def rows(self, sql: str) -> list[Row]:
        if self.url.startswith("sqlite://"):
            connection = sqlite3.connect(self.url.removeprefix("sqlite://"), timeout=10)
            try:
                cursor = connection.execute(sql)
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            finally:
                connection.close()
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def one(self, sql: str) -> Any:
        return next(iter((await self.rows(sql))[0].values()))


class Audit:
    """Compares both sides for the stories that were finished. `found` lists everything that is not as it must be."""

    def __init__(self, database: Database, partners: Cast, citizens: Sequence[Citizen], data_folder: Path) -> None:
        self.database, self.partners, self.citizens, self.data_folder = database, partners, citizens, data_folder
        self.found: list[str] = []

    async def run(self) -> list[str]:
        for part in (
            self.cases, self.bills, self.ledger, self.attempts_and_orders, self.forwardings, self.parcels, self.messages,
            self.files, self.promises,
        ):  # fmt: skip
            await part()
        return self.found

    def must(self, fact: bool, sentence: str) -> None:
        if not fact:
            self.found.append(sentence)

    def once_each(self, what: str, wanted: Iterable[Any], there: Iterable[Any]) -> None:
        """Nothing lost, nothing doubled."""
        wanted_count, there_count = Counter(wanted), Counter(there)
        for key, times in sorted((wanted_count - there_count).items(), key=str):
            self.found.append(f"{what}: {key} is missing {times} times")
        for key, times in sorted((there_count - wanted_count).items(), key=str):
            self.found.append(f"{what}: {key} is there {times} times too often")

    @property
    def case_nos(self) -> list[str]:
        return [citizen.case_no for citizen in self.citizens]

    async def cases(self) -> None:
        """One case per story, granted, its events numbered without a gap."""
        rows = await self.database.rows("SELECT id, case_no, state, seq, data_version FROM cases_case")
        self.once_each("case", self.case_nos, (row["case_no"] for row in rows))
        events = await self.database.rows("SELECT case_id, seq, kind FROM cases_event ORDER BY case_id, seq")
        for row in rows:
            numbers = [event["seq"] for event in events if event["case_id"] == row["id"]]
            self.must(row["state"] == "GRANTED", f"case {row['case_no']} is {row['state']}, not GRANTED")
            self.must(row["data_version"] == 2, f"case {row['case_no']} has data version {row['data_version']}, not 2")
            self.must(
                numbers == list(range(1, row["seq"] + 1)), f"case {row['case_no']}: events {numbers} of {row['seq']}"
            )

    async def bills(self) -> None:
        """Two bills per case, each paid in full, nothing owed back."""
        rows = await self.database.rows("SELECT subject, kind, state, due_fen FROM payments_bill")
        wanted = [(f"case:{case_no}", kind, "paid", fen) for case_no in self.case_nos for kind, fen in FEES_FEN.items()]
        self.once_each("bill", wanted, ((r["subject"], r["kind"], r["state"], r["due_fen"]) for r in rows))
        self.must(await self.database.one("SELECT COUNT(*) FROM payments_refund") == 0, "money is owed back")
        open_ones = await self.database.rows(
            "SELECT class_name, detail FROM payments_difference WHERE state = 'open' AND class_name NOT LIKE 'SECURITY%'"
        )
        self.must(not open_ones, f"open differences: {open_ones}")

    async def ledger(self) -> None:
        """Every posting is balanced and the channel's account holds exactly what the bank took."""
        unbalanced = await self.database.rows(
            "SELECT txn_id, SUM(amount_fen) AS fen FROM payments_ledger_entry GROUP BY txn_id HAVING SUM(amount_fen) <> 0"
        )
        self.must(not unbalanced, f"postings that do not add up: {unbalanced}")
        orders = (await self.partners.partner(3).do("GET", "/orders"))["orders"]
        taken = sum(order["amount_fen"] for order in orders if order["state"] == "SUCCESS")
        paid = await self.database.one(
            "SELECT COALESCE(SUM(e.amount_fen), 0) FROM payments_ledger_entry e JOIN payments_ledger_account a "
            "ON a.id = e.account_id WHERE a.code LIKE 'channel:%:receivable'"
        )
        wanted = sum(FEES_FEN.values()) * len(self.citizens)
        self.must(taken == wanted, f"the bank took {taken} fen, {wanted} were due")
        self.must(int(paid) == taken, f"the ledger knows {paid} fen, the bank took {taken}")

    async def attempts_and_orders(self) -> None:
        """One order at the channel per bill; repeats carried the same bytes."""
        orders = {o["out_trade_no"]: o for o in (await self.partners.partner(3).do("GET", "/orders"))["orders"]}
        attempts = await self.database.rows(
            "SELECT b.bill_no, a.payment_no, a.state, a.amount_fen, a.channel_txn_id FROM payments_attempt a "
            "JOIN payments_bill b ON b.id = a.bill_id"
        )
        paid = [row for row in attempts if row["state"] == "paid"]
        bills = [row["bill_no"] for row in await self.database.rows("SELECT bill_no FROM payments_bill")]
        self.once_each("paid attempt of bill", bills, (row["bill_no"] for row in paid))
        self.once_each(
            "paid order", (row["payment_no"] for row in paid), (n for n, o in orders.items() if o["state"] == "SUCCESS")
        )
        for number, order in orders.items():
            self.must(
                len(order["body_sha256"]) == 1, f"order {number} was sent with {len(order['body_sha256'])} bodies"
            )
            self.must(len(order["payments"]) <= 1, f"order {number} was paid {len(order['payments'])} times")
        waiting = [row for row in attempts if row["state"] not in ("paid", "closed", "rejected")]
        self.must(not waiting, f"attempts without an end: {waiting}")

    async def forwardings(self) -> None:
        """One project per case; push and supplement each arrived once, with the digest we remember; nothing is parked."""
        window = self.partners.partner(4)
        listed = (await window.do("GET", "/cases"))["cases"]
        self.once_each("project", self.case_nos, (case["clientRef"] for case in listed))
        ours = await self.database.rows(
            "SELECT case_no, verb, subject, state, wire_version, body_sha256 FROM onewindow_forwarding"
        )
        for case in listed:
            full = await window.do("GET", f"/cases/{case['projectNo']}")
            sent = [row for row in ours if row["case_no"] == case["clientRef"]]
            arrived = {int(version): (d["verb"], d["digest"]) for version, d in full["digests"].items()}
            remembered = {r["wire_version"]: r["verb"] for r in sent if r["verb"] in ("case.push", "case.supplement")}
            self.must(
                {version: verb for version, (verb, _) in arrived.items()}
                == {1: "case.push", 2: "case.supplement"}
                == remembered,
                f"project of {case['clientRef']}: the platform has {arrived}, we remember {remembered}",
            )
            self.must(
                len(full["supplements"]) == 1, f"project of {case['clientRef']}: {len(full['supplements'])} supplements"
            )
            proofs = [d for d in full["deliveries"].values() if any(e["canonical"] == "DELIVERED" for e in d["events"])]
            self.must(len(proofs) == 1, f"project of {case['clientRef']}: {len(proofs)} delivery receipts")
            events = await self.database.one(
                f"SELECT COUNT(*) FROM onewindow_event WHERE project_no = '{case['projectNo']}' AND state = 'applied'"
            )
            self.must(
                events == full["seq"], f"project of {case['clientRef']}: {events} of {full['seq']} events applied"
            )
        unsettled = [row for row in ours if row["state"] != "acknowledged"]
        self.must(not unsettled, f"messages to the platform without an end: {unsettled}")
        await self._same_bytes()

    async def _same_bytes(self) -> None:
        """In the platform's own log every version of every case came with one body, however often it came."""
        bodies: dict[tuple[str, str], set[str]] = {}
        for line in (await self._requests(4, "case.push")) + (await self._requests(4, "case.supplement")):
            if line.get("number"):
                bodies.setdefault((line["call"], line["number"]), set()).add(line["body_sha256"])
        doubled = {key: len(found) for key, found in bodies.items() if len(found) > 1}
        self.must(not doubled, f"one version, several bodies: {doubled}")

    async def _requests(self, offset: int, call: str) -> list[Json]:
        found: list[Json] = []
        after = 0
        while True:
            page = await self.partners.partner(offset).do("GET", f"/requests?call={call}&after={after}&limit=1000")
            if not page["requests"]:
                return found
            found += [{**line, "call": call} for line in page["requests"]]
            after = page["next_after"]

    async def parcels(self) -> None:
        """One waybill per case on both sides, one hand-over, one valid receipt."""
        theirs = (await self.partners.partner(5).do("GET", "/parcels"))["parcels"]
        ours = await self.database.rows("SELECT id, case_no, delivery_no, waybill_no, state FROM delivery_parcel")
        self.once_each("parcel", self.case_nos, (row["case_no"] for row in ours))
        self.once_each(
            "waybill", ((row["delivery_no"], row["waybill_no"]) for row in ours),
            ((p["logisticsOrderNo"], p["waybillNo"]) for p in theirs),
        )  # fmt: skip
        ids = [row["id"] for row in ours]
        for table in ("delivery_handover", "delivery_receipt"):
            rows = await self.database.rows(f"SELECT parcel_id FROM {table}")
            self.once_each(table, ids, (row["parcel_id"] for row in rows))
        self.must(all(row["state"] == "DELIVERED" for row in ours), f"parcels under way: {[r['state'] for r in ours]}")
        reviews = await self.database.rows("SELECT kind, detail FROM delivery_review WHERE outcome IS NULL")
        self.must(not reviews, f"open reviews of parcels: {reviews}")

    async def messages(self) -> None:
        """Each public change stands exactly once in the inbox and at most once on the phone."""
        rows = await self.database.rows("SELECT link_ref, template, key FROM notifications_message")
        events = await self.database.rows("SELECT key FROM kernel_outbox WHERE topic LIKE 'notices.%'")
        known = {row["key"] for row in events}
        self.must({row["key"] for row in rows} <= known, "a message without its event")
        moves = await self.database.rows(
            "SELECT p.case_no, e.to_state FROM delivery_parcel_event e JOIN delivery_parcel p ON p.id = e.parcel_id "
            "WHERE e.from_state <> e.to_state"
        )
        for citizen in self.citizens:
            mine = Counter(row["template"] for row in rows if row["link_ref"].endswith(citizen.case_no))
            told = Counter({name: times for name, times in mine.items() if name not in REMINDED})
            travelled = sum(
                1 for move in moves if move["case_no"] == citizen.case_no and move["to_state"] in PARCEL_WORDS
            )
            wanted = TOLD + Counter(delivery=travelled)
            self.must(travelled >= 4, f"{citizen.person}: the parcel moved {travelled} times")
            self.must(
                told == wanted and mine - told <= REMINDED,
                f"{citizen.person} was told {dict(mine)}, not {dict(wanted)}",
            )
            await self._pushes(citizen)
        states = Counter(r["state"] for r in await self.database.rows("SELECT state FROM notifications_delivery"))
        bad = {state for state in states if state in ("queued", "sending", "failed", "parked", "expired")}
        self.must(not bad, f"deliveries of messages: {dict(states)}")

    async def _pushes(self, citizen: Citizen) -> None:
        """Never more on the phone than in the inbox, word by word."""
        inbox = [(message["title"], message["text"]) for message in await citizen.inbox()]
        sent = (await self.partners.partner(1).do("GET", f"/persons/{citizen.person}/messages"))["messages"]
        for (title, word), times in Counter((m["title"], m["data"].get("phrase3", "")) for m in sent).items():
            written = sum(1 for known, text in inbox if known == title and word in text)
            self.must(
                times <= written, f"{citizen.person}: {title} {word} pushed {times} times, written {written} times"
            )

    async def files(self) -> None:
        """Every photo that a case refers to is on the disk with the hash we noted."""
        rows = await self.database.rows(
            "SELECT DISTINCT m.storage_key, m.stored_sha256 FROM cases_attachment a JOIN cases_material m ON m.id = a.material_id"
        )
        for row in rows:
            path = self.data_folder / "objects" / row["storage_key"]
            there = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == row["stored_sha256"]
            self.must(there, f"photo {row['storage_key']} is not what was stored")

    async def promises(self) -> None:
        """No promise is dead or forgotten, every verified message was handled, no command is half remembered."""
        self.found += await unkept(self.database)
        unhandled = await self.database.rows("SELECT partner, external_id FROM kernel_inbox WHERE handled_at IS NULL")
        self.must(not unhandled, f"stored but never handled: {unhandled}")
        half = await self.database.one("SELECT COUNT(*) FROM kernel_idempotency WHERE answer IS NULL")
        self.must(half == 0, f"{half} idempotency rows without an answer")


async def unkept(database: Database) -> list[str]:
    """Sentences about promises that are dead or still wait."""
    dead = [f"dead: {row}" for row in await dead_rows(database)]
    return dead + [f"still waiting: {row}" for row in await waiting_rows(database)]


async def dead_rows(database: Database) -> list[str]:
    rows = await database.rows("SELECT topic, key, attempts, crashes, error FROM kernel_outbox WHERE state = 2")
    return [f"{r['topic']} {r['key']} after {r['attempts']} tries, {r['crashes']} crashes: {r['error']}" for r in rows]


async def waiting_rows(database: Database) -> list[str]:
    """Promises that are not kept yet; ticks of timers come and go."""
    rows = await database.rows(
        "SELECT topic, key, attempts, crashes, error FROM kernel_outbox WHERE state = 0 AND topic NOT LIKE 'job.%'"
    )
    return [f"{r['topic']} {r['key']} after {r['attempts']} tries: {r['error'] or ''}" for r in rows]
