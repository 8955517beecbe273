"""What every test may ask for: a fresh database on the engine under test, a clock that stands still, keys that are not secret."""

import asyncio
import base64
import itertools
import os
import shutil

import pytest

from backend.wiring import APPS
from kernel import clock, crypto, db, migrate
from kernel.settings import DatabaseSettings
from tests.clock import FrozenClock
from tests.services import Postgres, Redis

ENGINE = os.environ.get("TEST_ENGINE", "sqlite")
_apps = os.environ.get("TEST_APPS")
TESTED_APPS = {label: APPS[label] for label in _apps.split(",")} if _apps else APPS
_names = (f"t{n}" for n in itertools.count())
# Making a database costs ten times what emptying one does: they are emptied and used again.
_emptied: list[str] = []
_EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE t text; filled boolean; BEGIN
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations' LOOP
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', t) INTO filled;
    IF filled THEN EXECUTE format('TRUNCATE %I RESTART IDENTITY CASCADE', t); END IF;
  END LOOP;
END $$"""

CRYPTO = crypto.CryptoSettings(
    field_keys=("t1:" + base64.b64encode(bytes(range(32))).decode(),),
    blind_index_key=base64.b64encode(bytes(range(32, 64))).decode(),
)


@pytest.fixture(scope="session", autouse=True)
def _keys():
    crypto.configure(CRYPTO)


@pytest.fixture(scope="session")
def postgres():
    """A throw-away PostgreSQL for the whole session."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis():
    """A throw-away Redis for the whole session."""
    server = Redis()
    yield server
    server.stop()


def settings_for(url: str) -> DatabaseSettings:
    # Test databases are thrown away: they need no protection against a power cut.
    return DatabaseSettings(url=url, synchronous="OFF", pool_size=8, acquire_seconds=5.0, command_seconds=10.0)


@pytest.fixture(scope="session")
def template(request, tmp_path_factory):
    """A migrated, empty database to copy from."""
    if ENGINE == "sqlite":
        path = tmp_path_factory.mktemp("template") / "template.sqlite3"
        asyncio.run(migrate.migrate(settings_for(f"sqlite://{path}"), TESTED_APPS))
        return path
    server = request.getfixturevalue("postgres")
    server.sql("postgres", "CREATE DATABASE template_zsb")
    asyncio.run(migrate.migrate(settings_for(server.url("template_zsb")), TESTED_APPS))
    return "template_zsb"


@pytest.fixture
def database_url(request, template, tmp_path):
    """The URL of a fresh, migrated database that no connection is open to yet."""
    if ENGINE == "sqlite":
        path = tmp_path / "test.sqlite3"
        shutil.copy(template, path)
        yield f"sqlite://{path}"
        return
    server = request.getfixturevalue("postgres")
    if _emptied:
        name = _emptied.pop()
    else:
        name = next(_names)
        server.sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    server.sql(name, _EMPTY)
    _emptied.append(name)


@pytest.fixture
async def database(database_url):
    """This process is connected to a fresh, migrated database on the engine under test."""
    await db.connect(settings_for(database_url), TESTED_APPS)
    yield
    await db.close()


@pytest.fixture
def frozen_clock():
    """Time stands still until the test moves it."""
    standing = FrozenClock()
    clock.set_clock(standing)
    yield standing
    clock.set_clock(None)
