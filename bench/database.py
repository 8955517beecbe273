"""PostgreSQL with fsync on, pgbench with the product's SQL on it, and the audit of its rows afterwards."""

import re
import subprocess
from pathlib import Path
from typing import Any

import asyncpg

from bench import machine
from bench.data import DRAFT_BASE, County, case_no
from tests.journeys.stack import free_block
from tests.services import Postgres

SCRIPTS = Path(__file__).parent / "pgfloor"
CLIENTS = 16
_TPS = re.compile(r"tps = ([\d.]+) \(without")
_DONE = re.compile(r"number of transactions actually processed: (\d+)")


class Durable(Postgres):
    """A throw-away cluster that syncs as production does, on a port below the ephemeral ones."""

    def __init__(self) -> None:
        super().__init__(durable=True)

    def start(self) -> None:
        """Takes its port at the last moment."""
        if self.process is None:
            self.port = free_block(1)
        super().start()

    @property
    def root(self) -> int:
        """Root of its process tree."""
        return self.process.pid


async def remember_owners(connection: asyncpg.Connection, county: County) -> None:
    """A small table from which pgbench learns who owns a number."""
    await connection.execute(
        "CREATE TABLE bench_owner (n int PRIMARY KEY, ref varchar(26), account_id bigint, materials bigint[])"
    )
    rows = [(n, p.ref, p.account_id, list(p.material_ids)) for n, p in enumerate(county.people)]
    await connection.copy_records_to_table("bench_owner", records=rows)
    await connection.execute("ANALYZE bench_owner")


def pgbench(
    server: Postgres,
    database: str,
    script: str,
    cpu: int,
    county: County,
    *,
    seconds: float,
    first: int = 0,
    span: int = 0,
) -> dict[str, float]:
    """One round of pgbench: transactions per second and how many there were. `span` > 0 gives each client that many drafts."""
    length = ["-t", str(span)] if span else ["-T", str(max(1, round(seconds)))]
    variables = {"stored": county.stored, "people": len(county.people), "first": first, "span": span, "i": 0}
    command = [
        "pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-h", "127.0.0.1", "-p", str(server.port), "-U", "zsb",
        *length, "-f", str(SCRIPTS / f"{script}.sql"), *(f"-D{k}={v}" for k, v in variables.items()), database,
    ]  # fmt: skip
    done = subprocess.run(machine.pinned(cpu, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench {script}: {done.stderr[-500:]}")
    return {"rps": float(_TPS.search(done.stdout)[1]), "done": int(_DONE.search(done.stdout)[1])}


_AUDIT = {
    "submitted": "SELECT count(*) FROM cases_case WHERE state <> 'DRAFT' AND case_no >= $1",
    "events": "SELECT count(*) FROM cases_event e JOIN cases_case c ON c.id = e.case_id WHERE c.case_no >= $1",
    "attachments": "SELECT count(*) FROM cases_attachment a JOIN cases_case c ON c.id = a.case_id WHERE c.case_no >= $1",
    "parcels": "SELECT count(*) FROM delivery_parcel WHERE case_no >= $1",
    "promises": "SELECT count(*) FROM kernel_outbox WHERE payload::text IS NOT NULL AND lane >= 'case:' || $1",
    "keys": "SELECT count(*) FROM kernel_idempotency WHERE answer IS NOT NULL AND $1 <> ''",
    "half_done": "SELECT count(*) FROM cases_case WHERE state = 'DRAFT' AND (seq <> 0 OR submitted_at IS NOT NULL) AND case_no >= $1",
}
PER_CASE = {"submitted": 1, "events": 1, "attachments": 3, "parcels": 1, "promises": 3, "keys": 1, "half_done": 0}


async def audit(connection: asyncpg.Connection, acknowledged: int) -> dict[str, Any]:
    """Every acknowledged submission has all its rows, and nothing else has any."""
    found = {name: int(await connection.fetchval(sql, case_no(DRAFT_BASE))) for name, sql in _AUDIT.items()}
    wrong = {
        name: f"{found[name]} instead of {acknowledged * times}"
        for name, times in PER_CASE.items()
        if found[name] != acknowledged * times
    }
    return {"acknowledged": acknowledged, "rows": found, "violations": wrong}
