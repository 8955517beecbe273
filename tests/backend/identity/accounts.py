"""Accounts of couriers and agents for tests, and their way in."""

from datetime import date

from backend.identity import field_accounts, field_login
from backend.identity.views import AgentKind

LOGIN, PASSWORD = "zhao.jianjun", "yumen-2026-ok"
HOME = "192.0.2.1"
_BOTH = {
    "login_name": LOGIN, "password": PASSWORD, "name": "赵建军", "phone": "13900000009", "areas": ("620981101",),
}  # fmt: skip
_OF_ROLE = {
    "courier": {"carrier": "ems"},
    "agent": {
        "kind": AgentKind.PROXY, "organisation": "玉门镇便民服务中心", "skills": ("优待证",),
        "serving_since_on": date(2022, 3, 1),
    },
}  # fmt: skip


async def make(role, **changes):
    """An account of this role, as its owner sees it."""
    create = field_accounts.create_courier if role == "courier" else field_accounts.create_agent
    return await create(**_BOTH | _OF_ROLE[role] | changes)


async def enter(role, *, login_name=LOGIN, password=PASSWORD, ip=HOME):
    """One knock at the door of this role."""
    return await field_login.log_in(role=role, login_name=login_name, password=password, ip=ip)
