"""Whether this process can serve: database reachable, schema current, storage writable. Used by /readyz and `doctor`."""

import payments
from backend import wiring
from backend.wiring import APPS
from kernel import clock, config, db, environment, http, migrate, outbox, storage
from kernel.problems import DatabaseUnavailable
from kernel.settings import DatabaseSettings

_SCHEMA_SECONDS = 30.0
_LATE_MS = 15 * 60_000
_schema: tuple[float, str] | None = None


async def parts() -> dict[str, str]:
    """Each part with "ok" or what is wrong, in Chinese."""
    return {"数据库": await _database(), "数据库结构": await _schema_state(), "文件存储": await _storage()}


async def _database() -> str:
    try:
        await db.fetch("SELECT 1 AS one")
    except Exception as error:
        if not db.is_outage(error) and not isinstance(error, DatabaseUnavailable):
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
        if not db.is_outage(error) and not isinstance(error, DatabaseUnavailable):
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


async def examination() -> dict[str, str]:
    """What `doctor` looks at: this process's needs, partners, work that waits too long, money that waits for a person."""
    found = await parts()
    found["软件包"] = "；".join(environment.complaints()) or "ok"
    found["设置名称"] = "；".join(config.unknown(*wiring.SETTINGS)) or "ok"
    for name, url in wiring.partner_addresses().items():
        found[name] = "ok" if await http.reachable(url) else f"连接不上 {url}"
    now = clock.now_ms()
    oldest = max((now - row["oldest_ms"] for row in await outbox.backlog()), default=0)
    found["待发送的消息"] = "ok" if oldest < _LATE_MS else f"最早的已等待 {oldest // 60_000} 分钟，请用 outbox 命令查看"
    dead = await outbox.dead(limit=100)
    found["死信"] = "ok" if not dead else f"{len(dead)} 条，请用 outbox 命令查看原因"
    differences = await payments.open_differences()
    found["资金差异"] = "ok" if not differences else f"{len(differences)} 条待处理，请用 parked 命令查看"
    return found
