"""`python -m tests.reliability.kill_campaign --kills 200 [--postgres] [--seed N]`: the kill test at any length; exit code 1 when anything was lost or doubled."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.reliability import campaign
from tests.reliability.house import House
from tests.services import Postgres, Redis


async def play(arguments: argparse.Namespace, folder: Path, server: Postgres | None, redis: Redis | None) -> int:
    url = server.url("zsb") if server else f"sqlite://{folder / 'zsb.sqlite3'}"
    house = House(folder, url, redis_url=redis.url if redis else None)
    if server:
        house.server = server
    try:
        await house.start()
        report = await campaign.kill(
            house, seed=arguments.seed, kills=arguments.kills, at_once=arguments.at_once,
            database_every=arguments.database_every if server else 0,
        )  # fmt: skip
    finally:
        await house.stop()
    print(f"{'PostgreSQL' if arguments.postgres else 'SQLite'}: {report}")
    return 1 if report.found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    parser.add_argument("--at-once", type=int, default=4, help="stories that run at the same time")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL and Redis instead of SQLite")
    parser.add_argument("--database-every", type=int, default=0, help="every n-th kill takes PostgreSQL with it")
    parser.add_argument("--keep", type=Path, help="keep logs and database in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zsb-kill-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not arguments.postgres:
            return asyncio.run(play(arguments, folder, None, None))
        server, redis = Postgres(durable=True), Redis()
        try:
            server.sql("postgres", "CREATE DATABASE zsb")
            return asyncio.run(play(arguments, folder, server, redis))
        finally:
            redis.stop()
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
