"""A small process that tests start and kill: it counts on a shared database, or works the outbox until it is killed."""

import asyncio
import os
import signal
import sys

from kernel import crypto, db, ids
from kernel.models import InboxRow
from kernel.outbox import Delivery, Topic
from kernel.worker import Worker
from tests.conftest import CRYPTO, TESTED_APPS, settings_for


def url_of_this_database() -> str:
    """The address of the database that the calling test is connected to."""
    from tortoise.connection import get_connection

    connection = get_connection(db.CONNECTION)
    if db.engine() == "sqlite":
        return f"sqlite://{connection.filename}"
    return f"postgres://zsb@127.0.0.1:{connection.port}/{connection.database}"


async def count(times: int) -> None:
    for _ in range(times):
        async with db.transaction():
            known = await db.fetch("SELECT value FROM kernel_serial WHERE scope = 'shared'")
            if db.engine() == "sqlite":  # read, then write: SQLite's writer lock must already be held
                value = known[0]["value"] if known else 0
                await db.execute(
                    "INSERT INTO kernel_serial (scope, value) VALUES ('shared', ?) "
                    "ON CONFLICT (scope) DO UPDATE SET value = excluded.value",
                    value + 1,
                )
            else:
                await ids.next_serial("shared")


async def effect(delivery: Delivery) -> None:
    await asyncio.sleep(0.01)
    async with db.transaction():
        await ids.next_serial(delivery.key)
        if delivery.lane:
            await InboxRow.create(partner=delivery.lane, external_id=delivery.key, headers={}, body="")
        await delivery.finish()


async def kill_myself(delivery: Delivery) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def work() -> None:
    topics = [Topic(name="kill.effect", handler=effect), Topic(name="kill.process", handler=kill_myself)]
    await Worker(topics=topics, subscriptions={}, lease_seconds=1.5).run()


async def main(what: str, url: str, *rest: str) -> None:
    crypto.configure(CRYPTO)
    await db.connect(settings_for(url), TESTED_APPS)
    try:
        await (count(int(rest[0])) if what == "count" else work())
    finally:
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
