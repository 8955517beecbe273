"""What worlds stand on: a database of either engine that is emptied before each, and what a process sets up once."""

import asyncio
import functools
import logging
import shutil
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from kernel import crypto, migrate
from kernel.settings import DatabaseSettings
from tests.chaos import world
from tests.services import Postgres

CRYPTO = crypto.CryptoSettings(
    field_keys=("t1:MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",),
    blind_index_key="MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=",
)
_EMPTY = """
DO $$ DECLARE t text; filled boolean; BEGIN
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations' LOOP
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', t) INTO filled;
    IF filled THEN EXECUTE format('TRUNCATE %I RESTART IDENTITY CASCADE', t); END IF;
  END LOOP;
END $$"""


def prepare() -> None:
    """Once per process."""
    logging.disable(logging.CRITICAL)
    crypto.configure(CRYPTO)
    # Each life reads its keys again, and checking an RSA key takes longer than most of what a life does.
    serialization.load_pem_private_key = functools.cache(serialization.load_pem_private_key)


class Ground:
    """The database that every world of a campaign is played on, emptied before each."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine, self._folder = engine, folder
        self._server = Postgres() if engine == "postgres" else None
        if self._server:
            self._server.sql("postgres", "CREATE DATABASE chaos")
            self.url = self._server.url("chaos")
        else:
            self._template = folder / "template.sqlite3"
            self.url = f"sqlite://{folder / 'world.sqlite3'}"
        asyncio.run(
            migrate.migrate(self._settings(self.url if self._server else f"sqlite://{self._template}"), world.SLICES)
        )
        self.settings = self._settings(self.url)

    @staticmethod
    def _settings(url: str) -> DatabaseSettings:
        return DatabaseSettings(url=url, synchronous="OFF", pool_size=8, acquire_seconds=5.0, command_seconds=20.0)

    def empty(self) -> None:
        if self._server:
            self._server.sql("chaos", _EMPTY)
            return
        for end in ("", "-wal", "-shm"):
            (self._folder / f"world.sqlite3{end}").unlink(missing_ok=True)
        shutil.copy(self._template, self._folder / "world.sqlite3")

    def close(self) -> None:
        if self._server:
            self._server.stop()
