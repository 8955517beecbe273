"""Puts the product together for a process: tables, settings, partners, who subscribes to what. Nothing happens at import time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import notifications
import payments
from backend import bridges, notices, payment_papers
from backend.cases import handlers as case_handlers
from backend.cases import runtime as cases
from backend.cases.settings import CasesSettings
from backend.delivery import handlers as delivery_handlers
from backend.delivery import runtime as delivery
from backend.delivery.carriers.ems import Ems
from backend.delivery.planner import Planner
from backend.delivery.settings import EmsSettings
from backend.delivery.settings import Settings as DeliverySettings
from backend.identity import handlers as identity_handlers
from backend.identity import ports as identity
from backend.identity.register import RegisterClient
from backend.identity.settings import IdentitySettings, RegisterSettings
from backend.identity.wechat import WechatAdapter
from backend.onewindow import handlers as onewindow_handlers
from backend.onewindow import ports as onewindow
from backend.onewindow.settings import OneWindowSettings
from backend.papers import registry as papers
from backend.papers.settings import PapersSettings
from kernel import config, crypto, db, environment, housekeeping, http, migrate, storage
from kernel.cache import RedisSettings
from kernel.http import Partner
from kernel.jobs import Job
from kernel.limits import Limiter
from kernel.outbox import Topic
from kernel.settings import DatabaseSettings, DeploymentSettings
from kernel.storage import StorageSettings
from kernel.wechat import WeChat, WeChatSettings
from kernel.wechat_push import PushDoor
from notifications import handlers as notification_handlers
from payments import handlers as payment_handlers

# Label of each slice → the modules that hold its tables. Migrations live beside them.
APPS: dict[str, list[str]] = {
    "kernel": ["kernel.models"],
    "payments": ["payments.models", "payments.nontax_models", "payments.reconciliation.models"],
    "notifications": ["notifications.models"],
    "catalog": ["backend.catalog.models"],
    "identity": ["backend.identity.models"],
    "cases": ["backend.cases.models"],
    "onewindow": ["backend.onewindow.models"],
    "delivery": ["backend.delivery.models"],
    "papers": ["backend.papers.models"],
}

SETTINGS: tuple[type[Any], ...] = (
    DatabaseSettings, DeploymentSettings, crypto.CryptoSettings, RedisSettings, StorageSettings, WeChatSettings,
    IdentitySettings, RegisterSettings, CasesSettings, payments.PaymentSettings, payments.WeChatPaySettings,
    payments.AlipaySettings, payments.UnifiedPaySettings, OneWindowSettings, DeliverySettings, EmsSettings,
    notifications.NotificationSettings, PapersSettings,
)  # fmt: skip

_HANDLERS = (
    housekeeping, payment_handlers, notification_handlers, identity_handlers, case_handlers, onewindow_handlers,
    delivery_handlers, notices,
)  # fmt: skip
_SANDBOX_HOSTS = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Running:
    """What the edges of a started process need."""

    limiter: Limiter
    push_door: PushDoor


_running: Running | None = None


def running() -> Running:
    """The started process's parts."""
    if _running is None:
        raise RuntimeError("wiring.start() has not run")
    return _running


def load_settings(environ: Mapping[str, str] | None = None) -> dict[type[Any], Any]:
    """Every setting of the product by its class. Raises ConfigError with all complaints, production rules included."""
    values = dict(zip(SETTINGS, config.load(*SETTINGS, environ=environ), strict=True))
    if values[DeploymentSettings].deployment == "production":
        complaints = _production_complaints(values)
        if complaints:
            raise config.ConfigError(complaints)
    return values


def _production_complaints(values: dict[type[Any], Any]) -> list[str]:
    complaints: list[str] = [
        *values[payments.WeChatPaySettings].production_complaints(),
        *values[payments.AlipaySettings].production_complaints(),
        *values[payments.UnifiedPaySettings].production_complaints(),
        *values[PapersSettings].production_complaints(),
    ]
    for kind in (WeChatSettings, RegisterSettings, OneWindowSettings, EmsSettings):
        if any(host in values[kind].base_url for host in _SANDBOX_HOSTS):
            rule = next(rule for field, rule in config.rules(kind) if field.name == "base_url")
            complaints.append(f"{rule.env}：正式环境不能使用沙箱地址")
    if values[DatabaseSettings].url.startswith("sqlite:"):
        complaints.append("DATABASE_URL：正式环境请使用 PostgreSQL")
    return complaints


def partner_addresses(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each partner is, by its Chinese name, for `doctor`."""
    values = load_settings(environ)
    alipay: payments.AlipaySettings = values[payments.AlipaySettings]
    return {
        "微信": values[WeChatSettings].base_url,
        "人口库": values[RegisterSettings].base_url,
        "微信支付": values[payments.WeChatPaySettings].base_url,
        **({"支付宝": alipay.base_url} if alipay.enabled else {}),
        "一窗受理平台": values[OneWindowSettings].base_url,
        "邮政快递": values[EmsSettings].base_url,
    }


async def start(values: dict[type[Any], Any] | None = None) -> Running:
    """Opens the database and hands every slice its partners. Raises ConfigError, DatabaseUnavailable or SchemaOutdated.

    Whatever it raises, nothing stays open: the database driver's thread would keep a failed process alive for ever.
    """
    values = values or load_settings()
    if wrong := environment.complaints():
        raise config.ConfigError(wrong)
    try:
        return await _start(values)
    except BaseException:
        await stop()
        raise


async def _start(values: dict[type[Any], Any]) -> Running:
    global _running
    deployment: DeploymentSettings = values[DeploymentSettings]
    crypto.configure(values[crypto.CryptoSettings])
    storage.configure(values[StorageSettings], data_folder=deployment.data_folder)
    await db.connect(values[DatabaseSettings], APPS)
    if missing := await migrate.pending(APPS, values[DatabaseSettings]):
        raise SchemaOutdated(f"数据库结构缺少 {len(missing)} 个迁移，请先运行 python -m backend migrate")
    _configure_slices(values, deployment)
    if unwelcome := environment.imported():
        raise config.ConfigError([f"加载了不允许的模块：{'、'.join(unwelcome)}"])
    _running = Running(Limiter(values[RedisSettings]), PushDoor(values[WeChatSettings]))
    return _running


class SchemaOutdated(Exception):
    """The database belongs to an older version of the product."""


def _configure_slices(values: dict[type[Any], Any], deployment: DeploymentSettings) -> None:
    wechat = WeChat(values[WeChatSettings])
    register = values[RegisterSettings]
    identity.configure(
        settings=values[IdentitySettings],
        wechat=WechatAdapter(wechat),
        register=RegisterClient(register, Partner("register", register.base_url)),
    )
    payments.configure(
        values[payments.PaymentSettings],
        values[payments.WeChatPaySettings],
        values[payments.AlipaySettings],
        values[payments.UnifiedPaySettings],
    )
    payments.keep_statements_in(deployment.data_folder / "statements")
    notifications.configure(
        settings=values[notifications.NotificationSettings],
        directory=bridges.PeopleDirectory(),
        wechat=wechat,
        push_configured=bool(values[WeChatSettings].push_token),
    )
    cases.configure(
        values[CasesSettings],
        planner=Planner(),
        work_folder=deployment.data_folder / "uploads",
        production=deployment.deployment == "production",
    )
    window = values[OneWindowSettings]
    onewindow.configure(settings=window, partner=Partner("onewindow", window.base_url), parcels=bridges.ParcelReports())
    ems = values[EmsSettings]
    delivery.configure(settings=values[DeliverySettings], carriers={"ems": Ems(ems, Partner("ems", ems.base_url))})
    papers.configure(values[PapersSettings], {payment_papers.KIND: payment_papers.tell})


async def stop() -> None:
    """Closes everything in the reverse order."""
    global _running
    if _running is not None:
        await _running.limiter.close()
        _running = None
    await cases.close()
    await http.close()
    await db.close()


def topics() -> tuple[Topic, ...]:
    """Every outbox topic with its handler."""
    return tuple(topic for module in _HANDLERS for topic in module.TOPICS)


def subscriptions() -> dict[str, tuple[str, ...]]:
    """Event → the topics that hear it, over all slices."""
    merged: dict[str, tuple[str, ...]] = {}
    for module in _HANDLERS:
        for event, names in module.SUBSCRIPTIONS.items():
            merged[event] = merged.get(event, ()) + names
    return merged


def recurring() -> tuple[Job, ...]:
    """Every timer of the product."""
    return tuple(job for module in _HANDLERS for job in module.JOBS)
