"""`python -m bench reconcile`: a day of a million lines against a million payments, on either engine; time, CPU and memory.

The file is a WeChat Pay trade bill on disk, so everything is measured but the download. One line in a thousand is missing, one has
another amount and one is unknown to us: the answer must be exactly that, and the peak of memory must not depend on the lines.
"""

import argparse
import asyncio
import gzip
import json
import os
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import structlog

from backend.wiring import APPS
from bench import machine
from kernel import crypto, db, migrate, storage
from kernel.settings import DatabaseSettings
from kernel.storage import StorageSettings
from payments import runtime
from payments.gateways.statement_port import Fetched, StatementKind
from payments.gateways.wechat_pay.statement_file import trade_lines
from payments.models import Attempt, Bill
from payments.reconciliation import comparing, workplace
from payments.reconciliation.models import ReconLine
from payments.settings import PaymentSettings
from tests.conftest import CRYPTO

MCHID, APPID, DAY = "1900000109", "wxd678efh567hg6787", date(2026, 11, 19)
START = datetime(2026, 11, 18, 16, tzinfo=UTC)  # the first moment of that day in Beijing
EVERY, SUM = 1000, 1000
# Beyond what the process has before it begins: the scratch file's cache, one page of rows, one batch of lines.
MOST_MORE_MB = 160
RESULTS = Path(__file__).parent / "results"
_COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,"
    "商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)


def number(n: int) -> str:
    """A payment number; consecutive ones are far apart in every index, as random ones are."""
    return f"{n * 2654435761 % 2**32:010d}{n:016d}"


def txn(n: int) -> str:
    return f"4200{n:024d}"


def write_file(path: Path, lines: int, *, payment_no: Callable[[int], str] = number) -> None:
    """The channel's file: of every thousand one line is missing, one has a fen more, and one more is unknown to us."""
    total = count = 0
    with gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1) as file:
        file.write(f"\ufeff{_COLUMNS}\r\n")
        for n in range(lines):
            if n % EVERY == 1:
                continue
            ours = payment_no(n) if n % EVERY != 3 else f"UNKNOWN{n:019d}"
            fen = SUM + (n % EVERY == 2)
            yuan, total, count = f"{fen // 100}.{fen % 100:02d}", total + fen, count + 1
            row = [
                "2026-11-19 12:00:00", APPID, MCHID, "0", "", txn(n), ours, "oUpF8uMuAJO", "JSAPI", "SUCCESS", "OTHERS", "CNY", yuan,
                "0.00", "0", "0", "0.00", "0.00", "", "", "工本费\\ 快递费", "", "0.06000", "0.60%", yuan, "0.00", "",
            ]  # fmt: skip
            file.write(",".join(f"`{value}" for value in row) + "\r\n")
        file.write("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n")
        yuan, fees = f"{total // 100}.{total % 100:02d}", f"{count * 6 // 100}.{count * 6 % 100:02d}000"
        file.write(f"`{count}.0,`{yuan},`0.00,`0.00,`{fees},`{yuan},`0.00\r\n")


class OnDisk:
    """The port with a file that is already here, and an order book that knows nothing when asked."""

    channel = "wechat"
    kinds = (StatementKind.TRADE,)
    ready_hour, settles_in_sums = 10, False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.statements = self

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched:
        path = into / "trade.gz"
        shutil.copy(self._path, path)
        return Fetched(path=path, sha256="0" * 64, proof="sha1", bytes=path.stat().st_size)

    def lines(self, path: Path, kind: StatementKind) -> Any:
        return trade_lines(path, mchid=MCHID, app_id=APPID)


def attempts(lines: int, bill_id: int, fields: list[str]) -> Any:
    """Rows of paid attempts in the order of `fields`, spread over the day."""
    at = {"created_at": START, "expires_at": START + timedelta(days=1), "ladder_from_at": START, "sent_at": START}
    fixed: dict[str, Any] = {
        **at, "bill_id": bill_id, "channel": "wechat", "product": "jsapi", "amount_fen": SUM, "currency": "CNY",
        "payer_ref": "someone", "state": "paid", "request_body": "", "sends": 1, "checks": 0, "review_required": False,
        "event_seq": 3,
    }  # fmt: skip
    for n in range(lines):
        if n % EVERY == 3:
            continue
        paid = START + timedelta(milliseconds=n * 86_400_000 // lines)
        row = fixed | {"payment_no": number(n), "channel_txn_id": txn(n), "paid_at": paid}
        yield tuple(row.get(name) for name in fields)


async def fill(url: str, lines: int) -> None:
    """A bill with a million paid attempts: far from life, but what the comparison reads of it is the same."""
    bill = await Bill.create(
        bill_no="B", dedupe_key="B", unit_code="U", kind="administrative", subject="case:1", owner_ref="o", title="t",
        gross_fen=SUM, due_fen=SUM, currency="CNY", late_policy="refund", state="paid", expires_at=START,
    )  # fmt: skip
    fields = [column for column in Attempt._meta.fields_db_projection.values() if column != "id"]
    rows = attempts(lines, bill.id, fields)
    if db.engine() == "postgres":
        import asyncpg

        connection = await asyncpg.connect(url)
        await connection.copy_records_to_table("payments_attempt", records=rows, columns=fields)
        await connection.execute("ANALYZE payments_attempt")
        await connection.close()
        return
    with sqlite3.connect(url.removeprefix("sqlite://")) as connection:
        marks = ", ".join("?" * len(fields))
        connection.executemany(
            f"INSERT INTO payments_attempt ({', '.join(fields)}) VALUES ({marks})",
            (tuple(v.isoformat(" ") if isinstance(v, datetime) else v for v in row) for row in rows),
        )


async def measure(url: str, file: Path, folder: Path, lines: int) -> dict[str, Any]:
    """The comparison of the day, and whether it found exactly what was planted."""
    await db.connect(DatabaseSettings(url=url, command_seconds=60), APPS)
    try:
        storage.configure(StorageSettings(), data_folder=folder)
        workplace.use(folder / "statements")
        runtime.use(PaymentSettings(fee_rates=("wechat=60",)), {"wechat": OnDisk(file)})  # type: ignore[dict-item]
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        wall, cpu = time.perf_counter(), time.process_time()
        (run,) = await comparing.compare_day(channel="wechat", day=DAY, progress=say)
        seconds = time.perf_counter() - wall
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found = {}
        for row in await db.fetch("SELECT class_name, COUNT(*) AS n FROM payments_difference GROUP BY class_name"):
            found[row["class_name"]] = int(row["n"])
        return {
            "engine": db.engine(), "lines": run.line_count, "ours": run.ours_count, "matched": run.matched_count, "found": found,
            "state": str(run.state), "seconds": round(seconds, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
            "cpu_us_per_line": round((time.process_time() - cpu) * 1e6 / max(1, run.line_count), 1), "before_mb": before_mb,
            "peak_mb": peak_mb, "more_mb": peak_mb - before_mb, "kept_lines": await ReconLine.all().count(),
            "right": found == expected(lines), "bounded": peak_mb - before_mb <= MOST_MORE_MB,
        }  # fmt: skip
    finally:
        await db.close()


def expected(lines: int) -> dict[str, int]:
    """What was planted."""
    of = {place: sum(1 for n in range(lines) if n % EVERY == place) for place in (1, 2, 3)}
    return {"LOCAL_ONLY": of[1], "AMOUNT_HIGH": of[2], "CHANNEL_ONLY": of[3]}


def say(text: str) -> None:
    sys.stderr.write(f"· {text}\n")


async def _prepared(url: str, lines: int) -> None:
    settings = DatabaseSettings(url=url, command_seconds=60)
    await migrate.migrate(settings, APPS)
    await db.connect(settings, APPS)
    try:
        await fill(url, lines)
    finally:
        await db.close()


def on_engine(engine: str, lines: int) -> dict[str, Any]:
    """Prepares in a child, so that its memory is not ours, and measures in this process."""
    folder = Path(mkdtemp(prefix="bench-reconcile-"))
    server = None
    try:
        url = f"sqlite://{folder / 'bench.sqlite3'}"
        if engine == "postgres":
            from bench.database import Durable

            server = Durable()
            server.sql("postgres", "CREATE DATABASE reconcile")
            url = server.url("reconcile")
        say(f"{engine}：准备 {lines} 笔支付和账单")
        child = os.fork()
        if child == 0:
            write_file(folder / "trade.gz", lines)
            asyncio.run(_prepared(url, lines))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise RuntimeError("preparing failed")
        return asyncio.run(measure(url, folder / "trade.gz", folder, lines))
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Exit status 1 when something else was found than was planted, or the memory grew with the lines."""
    parser = argparse.ArgumentParser(prog="bench reconcile", description="一天一百万行对账的时间和内存")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--record", action="store_true", help="把结果记入 bench/results/")
    chosen = parser.parse_args(arguments)
    crypto.configure(CRYPTO)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    result = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine.describe(),
        **on_engine(chosen.engine, chosen.lines),
    }
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    sys.stdout.write(text)
    if chosen.record:
        (RESULTS / f"{result['at'][:16].replace(':', '')}-reconcile-{chosen.engine}.json").write_text(
            text, encoding="utf-8"
        )
    return 0 if result["right"] and result["bounded"] else 1
