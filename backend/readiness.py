"""Whether this process can serve: database reachable, schema current, storage reachable. Used by /readyz and `doctor`."""

from collections.abc import Iterable, Sequence

import payments
from backend import wiring
from backend.delivery import assignment, reviews
from backend.onewindow import queries as onewindow
from backend.wiring import APPS
from kernel import clock, config, db, environment, http, migrate, outbox, storage
from kernel.problems import DatabaseUnavailable
from kernel.settings import DatabaseSettings

_SCHEMA_SECONDS = 30.0
_LATE_MS = 15 * 60_000
_MANY = 100
_SKEW_SECONDS = 60
_STATEMENT_DAYS = 2  # before the channel's hour the day before yesterday is the latest there can be
_CALLS_SECONDS, _CALLS_LEAST = 3600, 3
# Outcomes of a call to the one-window platform that brought nothing: not even a refusal of what we said.
_UNHEARD = frozenset({"not_sent", "no_answer", "sign", "later"})
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
    found["机器时钟"] = await clock_state(wiring.partner_addresses().values())
    return found | await waiting()


async def clock_state(urls: Iterable[str]) -> str:
    """Our clock against those of our partners: beyond five minutes they refuse our signatures, and we theirs."""
    skews = [skew for url in urls if (skew := await http.clock_skew(url)) is not None]
    worst = max(skews, key=abs, default=0.0)
    if abs(worst) <= _SKEW_SECONDS:
        return "ok"
    return f"比合作方{'慢' if worst > 0 else '快'} {abs(worst):.0f} 秒，请用 chrony 对时；超过 300 秒微信支付和一窗会互相拒绝签名"


async def waiting() -> dict[str, str]:
    """Work that is late and work that only a person can end; each line says how many and what to do."""
    late = max((clock.now_ms() - row["oldest_ms"] for row in await outbox.backlog()), default=0)
    return {
        "待发送的消息": "ok" if late < _LATE_MS else f"最早的已等待 {late // 60_000} 分钟，请用 outbox 命令查看",
        "死信": _none(await outbox.dead(limit=_MANY), "请用 outbox 命令查看原因，改好后用 outbox --revive 重新排队"),
        "一窗调用": await _calls(),
        "一窗报送": _none(await onewindow.parked(limit=_MANY), "请用 parked 命令查看原因，改好后用 resend 重新发送"),
        "一窗事件": _none(
            await onewindow.for_review(limit=_MANY), "请用 parked 命令查看，用 confirm-result 确认办结结果"
        ),
        "寄送复核": _none(await reviews.list_reviews(limit=_MANY), "请用 reviews 命令查看和处理"),
        "包裹分配": _none(
            await assignment.parcels_without_courier(limit=_MANY),
            "没有投递员，请用 parcels 命令查看，用 parcels assign 分配",
        ),
        "应退的款": _none(await payments.refunds_unfinished(limit=_MANY), "系统正在退回，用 refund list 查看进度"),
        "退款待人处理": _none(
            await payments.refunds_for_people(limit=_MANY),
            "请用 refund list --waiting 查看，用 refund approve、deny、retry、abnormal 或 offline 处理",
        ),
        "资金差异": _none(await payments.open_differences(limit=_MANY), "请用 reconcile list 查看和处理"),
        "对账": await _reconciled(),
    }


async def _reconciled() -> str:
    """The last statement of every channel, files that do not come, and differences that are an alarm."""
    troubles = []
    for channel in payments.channels_with_statements():
        name, now = payments.reconciliation.CHANNELS[channel], await payments.reconciliation.standing(channel)
        if now.late:
            late = now.late[0]
            troubles.append(
                f"{name} {late.day} 的账单没有对完（{late.label} {late.reason or ''}）".replace(" ）", "）")
            )
        elif now.last_day is not None and (clock.today() - now.last_day).days > _STATEMENT_DAYS:
            troubles.append(f"{name} 最后对到 {now.last_day}，请检查后台任务是否在运行")
        if now.critical:
            troubles.append(f"{name} 有 {now.critical} 条严重差异，请用 reconcile list 查看")
    return "；".join(troubles) or "ok"


def _none(rows: Sequence[object], remedy: str) -> str:
    """Nothing waits, or how much does; a list that was cut says so."""
    count = f"{_MANY} 条以上" if len(rows) >= _MANY else f"{len(rows)} 条"
    return f"{count}待处理：{remedy}" if rows else "ok"


async def _calls() -> str:
    """One failure is the network; an hour of nothing else is a wrong address, key or a platform that is down."""
    lately = await onewindow.lately(seconds=_CALLS_SECONDS)
    if len(lately) < _CALLS_LEAST or any(call.outcome not in _UNHEARD for call in lately):
        return "ok"
    last = lately[0]
    reason = " ".join(part for part in (last.code, last.message) if part) or "没有回应"
    return f"最近 {len(lately)} 次调用全部失败，最后一次 {last.verb}：{reason}。请核对 ONEWINDOW_ 开头的设置并联系平台"
