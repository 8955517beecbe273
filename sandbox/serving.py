"""Runs one partner on a free loopback port, for tests; the program that runs all of them is `sandbox.__main__`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sandbox.partner import Partner, Run
from sandbox.store import Database

P = TypeVar("P", bound=Partner)


@asynccontextmanager
async def serving(
    build: Callable[[Run], P], folder: Path, *, product_url: str = "http://127.0.0.1:8000"
) -> AsyncIterator[P]:
    """`async with serving(build, tmp_path) as partner:`; the same folder again continues the same state."""
    database = Database(folder / "state.sqlite3")
    partner = build(Run(folder=folder, database=database, base_port=0, product_url=product_url))
    await partner.start()
    try:
        yield partner
    finally:
        await partner.stop()
        database.close()
