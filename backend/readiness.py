"""Whether this process can serve: database reachable, schema current, storage writable. Used by /readyz and `doctor`."""

from backend.wiring import APPS
from kernel import clock, config, db, migrate, storage
from kernel.settings import DatabaseSettings

_SCHEMA_SECONDS = 30.0
_schema: tuple[float, str] | None = None


async def parts() -> dict[str, str]:
    """Each part with "ok" or what is wrong, in Chinese."""
    return {"数据库": await _database(), "数据库结构": await _schema_state(), "文件存储": await _storage()}


async def _database() -> str:
    try:
        await db.fetch("SELECT 1 AS one")
    except Exception as error:
        if not db.is_outage(error) and not isinstance(error, db.DatabaseUnavailable):
            raise
        return "连接不上"
    return "ok"


async def _schema_state() -> str:
    """Read at most every half minute: the migrations do not change under a running process."""
    global _schema
    if _schema is not None and clock.monotonic() - _schema[0] < _SCHEMA_SECONDS and _schema[1] == "ok":
        return "ok"
    try:
        missing = await migrate.pending(APPS, config.load_one(DatabaseSettings))
    except Exception as error:
        if not db.is_outage(error) and not isinstance(error, db.DatabaseUnavailable):
            raise
        return "连接不上"
    state = "ok" if not missing else f"缺少 {len(missing)} 个迁移，请先运行 python -m backend migrate"
    _schema = (clock.monotonic(), state)
    return state


async def _storage() -> str:
    try:
        await storage.exists("probe/ready")
    except storage.StorageUnavailable:
        return "无法访问"
    return "ok"
