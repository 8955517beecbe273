"""Development only: writes the migration file of one app from its models, without a database."""

import importlib
import importlib.util
from pathlib import Path

from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector

from kernel import db
from kernel.settings import DatabaseSettings


async def write(apps: dict[str, list[str]], label: str) -> list[str]:
    """Writes what the models of `label` have and its migrations lack; answers what was written."""
    module = apps[label][0].rsplit(".", 1)[0]
    package = importlib.import_module(module)
    folder = Path(str(package.__file__)).parent / "migrations"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    importlib.invalidate_caches()
    chosen = {label: apps[label]}
    config = db.orm_config(DatabaseSettings(url="sqlite:///nowhere.sqlite3"), chosen)
    await Tortoise.init(config=config, init_connections=False, _enable_global_fallback=True)
    assert Tortoise.apps is not None  # noqa: S101 - init has just set it
    detector = MigrationAutodetector(Tortoise.apps, config["apps"])
    writers = await detector.changes()
    return [f"{label}: 写入 {writer.write()}" for writer in writers] or [f"{label}: 没有变化"]
