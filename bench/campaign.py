"""`python -m bench campaign`: a school's evening — 20,000 bills issued, paid through notices, told, and reconciled with the day's statement.

Bills are issued by the product's own code, notices are signed and verified, the worker works every `bill.paid`, and the statement is
compared line by line; only the orders at the channel are rows, because nobody's cashier is measured. One payment in a thousand is missing
in the statement, one has another amount there and one stands under a number we do not know: the answer must be exactly that.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import shutil
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import asyncpg
import structlog

import payments
from backend.wiring import APPS
from bench import load, machine, notices, reconcile
from bench.database import Durable
from bench.product import Product
from bench.reconcile import RESULTS, say
from deploy.local.processes import Managed, python
from kernel import clock, config, crypto, db, storage
from kernel.settings import DatabaseSettings
from kernel.storage import StorageSettings
from payments import runtime
from payments.reconciliation import comparing, workplace
from payments.settings import PaymentSettings

DATABASE, FEE, SLICE, LANES = "campaign", "BENCH-BOOK", 2000, 16
MOST_SECONDS = 300


class Evening:
    """One run: what was started, and how long each part took."""

    def __init__(self, folder: Path, bills: int, stack: contextlib.AsyncExitStack) -> None:
        self.folder, self.bills, self.stack = folder, bills, stack
        self.seconds: dict[str, float] = {}
        self.cpu_us: dict[str, float] = {}
        self.violations: list[str] = []

    async def start(self) -> None:
        """The database, the sandbox's settings, the API and the worker."""
        self.postgres = Durable()
        self.stack.callback(self.postgres.stop)
        self.postgres.sql("postgres", f"CREATE DATABASE {DATABASE}")
        self.product = Product(self.folder, self.postgres.url(DATABASE))
        self.stack.push_async_callback(self.product.stop)
        await self.product.prepare()
        self.till = notices.Till(self.folder)
        self.product.environment |= self.till.environment(self.product.environment)
        (keys,) = config.load(crypto.CryptoSettings, environ=self.product.environment)
        crypto.configure(keys)
        await db.connect(DatabaseSettings(url=self.postgres.url(DATABASE)), APPS)
        self.stack.push_async_callback(db.close)
        self.connection = await asyncpg.connect(self.postgres.url(DATABASE))
        self.stack.push_async_callback(self.connection.close)
        runtime.use(PaymentSettings(fee_rates=("wechat=60",)), {})
        await self.product.start_api(machine.cpus()[0])
        self.worker = Managed(
            "后台任务", python("-m", "backend", "worker"), self.product.environment, self.folder / "logs" / "worker.log"
        )
        self.product.children.append(self.worker)
        await self.worker.start()

    @contextlib.contextmanager
    def timed(self, part: str) -> Any:
        say(f"{part}：{self.bills} 张")
        began, roots = (
            time.perf_counter(),
            {"api": self.product.api_pid, "database": self.postgres.root, "worker": self.worker_pid},
        )
        before = {name: machine.cpu_us(pid) for name, pid in roots.items()} | {"command": time.process_time() * 1e6}
        yield
        self.seconds[part] = round(time.perf_counter() - began, 1)
        after = {name: machine.cpu_us(pid) for name, pid in roots.items()} | {"command": time.process_time() * 1e6}
        self.cpu_us[part] = {name: round((after[name] - before[name]) / self.bills) for name in after}

    @property
    def worker_pid(self) -> int:
        assert self.worker.process is not None
        return self.worker.process.pid

    async def issue(self) -> None:
        """Every bill by `issue_bill` in a transaction of its own, as an import does."""
        item = await payments.propose_price(
            unit_code=notices.UNIT, fee_code=FEE, kind="administrative", name="作业本费", unit_name="人", price_fen=notices.FEN,
            valid_from_on=date(2020, 1, 1), approval_price="基准", proposed_by="a",
        )  # fmt: skip
        await payments.approve_price(fee_item_id=item, approved_by="b")
        line = payments.Line(fee_code=FEE, name="作业本费", quantity=1, price_fen=notices.FEN)
        end = clock.now() + timedelta(days=7)
        numbers = iter(range(self.bills))

        async def some() -> None:
            for n in numbers:
                await payments.issue_bill(
                    subject=f"bench:{n}", owner_ref=f"pupil{n}", unit_code=notices.UNIT, kind="administrative", lines=[line],
                    expires_at=end, dedupe_key=f"campaign:{n}",
                )  # fmt: skip

        await asyncio.gather(*(some() for _ in range(LANES)))

    async def order(self) -> None:
        """Each bill gets one order that is open at the channel; its history as if it had been sent."""
        await self.connection.execute(_ORDERS)
        await self.connection.execute(_ORDERED)
        await notices.accounts(self.connection, clock.now())
        await self.connection.execute("VACUUM ANALYZE")
        self.till.filled = self.bills

    async def pay(self) -> None:
        """All notices, in slices: one that is signed too early is refused."""
        for first in range(0, self.bills, SLICE):
            shots = self.till.shots(self.product.api_port, list(range(first, min(first + SLICE, self.bills))))
            result = await load.fire(self.product.api_port, iter(shots), seconds=120)
            if result.errors:
                self.violations.append(f"{result.errors} notices were refused: {result.complaints[:1]}")

    async def tell(self) -> None:
        """The worker has worked what the payments promised."""
        while await self.connection.fetchval(
            "SELECT count(*) FROM kernel_outbox WHERE state = 0 AND (topic LIKE 'inbox.%' OR key LIKE 'bill.paid:%')"
        ):
            await asyncio.sleep(0.2)

    async def compare(self) -> None:
        """The day's statement against the books."""
        path = self.folder / "trade.gz"
        reconcile.write_file(path, self.bills, payment_no=notices.payment_no)
        storage.configure(StorageSettings(), data_folder=self.folder)
        workplace.use(self.folder / "statements")
        runtime.use(PaymentSettings(fee_rates=("wechat=60",)), {"wechat": reconcile.OnDisk(path)})  # type: ignore[dict-item]
        await comparing.compare_day(channel="wechat", day=reconcile.DAY)
        rows = await db.fetch("SELECT class_name, COUNT(*) AS n FROM payments_difference GROUP BY class_name")
        found = {row["class_name"]: int(row["n"]) for row in rows}
        if found != expected(self.bills):
            self.violations.append(f"differences: {found} instead of {expected(self.bills)}")

    async def check(self) -> None:
        """Settled = acknowledged = ledger, and the books agree with themselves."""
        audit = await notices.audit(self.connection, self.bills)
        self.violations += [f"{name}: {text}" for name, text in audit["violations"].items()]
        self.violations += [str(one) for one in (await payments.ledger_check()).violations]

    def memory_mb(self) -> dict[str, int]:
        """The highest resident memory of each process so far."""
        command = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return {"api": _peak_mb(self.product.api_pid), "worker": _peak_mb(self.worker_pid), "command": command}


_ORDERS = f"""INSERT INTO payments_attempt (created_at, bill_id, payment_no, channel, product, amount_fen, currency, payer_ref, state,
 active_slot, request_body, expires_at, sent_at, sends, ladder_from_at, next_check_at, checks, review_required, event_seq)
SELECT now(), id, 'P' || lpad((row_number() OVER (ORDER BY id) - 1)::text, 25, '0'), 'wechat', 'jsapi', due_fen, 'CNY', owner_ref,
 'pending', id || ':wechat_jsapi:' || owner_ref, repeat('x', 600), expires_at, now(), 1, now(), now() + interval '1 hour', 0, false, 2
FROM payments_bill WHERE dedupe_key LIKE 'campaign:%' AND due_fen = {notices.FEN}"""
_ORDERED = """INSERT INTO payments_event (created_at, object_kind, object_no, seq, action, source, target, by)
SELECT now(), 'attempt', payment_no, s.seq, s.action, s.source, s.target, s.by FROM payments_attempt,
 (VALUES (1, 'send', 'created', 'sending', 'payer'), (2, 'accepted', 'sending', 'pending', 'channel')) s (seq, action, source, target, by)"""


def expected(bills: int) -> dict[str, int]:
    """What was planted. A line under a number that we do not know also leaves its payment without a line."""
    planted = reconcile.expected(bills)
    return planted | {"LOCAL_ONLY": planted["LOCAL_ONLY"] + planted["CHANNEL_ONLY"]}


def _peak_mb(root: int) -> int:
    peaks = []
    for pid in machine.tree(root):
        with contextlib.suppress(OSError):  # a child that has just ended
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return sum(peaks) // 1024


async def run(bills: int) -> dict[str, Any]:
    """The whole evening."""
    folder = Path(mkdtemp(prefix="bench-campaign-"))
    try:
        async with contextlib.AsyncExitStack() as stack:
            evening = Evening(folder, bills, stack)
            await evening.start()
            began = time.perf_counter()
            for part in (evening.issue, evening.order, evening.pay, evening.tell, evening.compare):
                with evening.timed(part.__name__):
                    await part()
            seconds = round(time.perf_counter() - began, 1)
            await evening.check()
            if seconds > MOST_SECONDS:
                evening.violations.append(f"{seconds} s instead of {MOST_SECONDS} at most")
            return {
                "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": machine.describe(), "bills": bills, "seconds": seconds,
                "parts": evening.seconds, "cpu_us_each": evening.cpu_us, "peak_mb": evening.memory_mb(),
                "violations": evening.violations,
            }  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Exit status 1 when a row, a fen or a difference is other than it must be."""
    parser = argparse.ArgumentParser(
        prog="bench campaign", description="两万张缴费单：开单、缴费、通知、对账，一条命令"
    )
    parser.add_argument("--bills", type=int, default=20_000)
    parser.add_argument("--record", action="store_true", help="把结果记入 bench/results/")
    chosen = parser.parse_args(arguments)
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with contextlib.redirect_stdout(sys.stderr):  # what is started says so; the answer alone goes to stdout
        result = asyncio.run(run(chosen.bills))
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    sys.stdout.write(text)
    if chosen.record:
        (RESULTS / f"{result['at'][:16].replace(':', '')}-campaign.json").write_text(text, encoding="utf-8")
    return 1 if result["violations"] else 0
