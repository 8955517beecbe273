"""Telling Zhang something, and reading what came of it from the tables."""

import json
from datetime import UTC, datetime

import notifications
from kernel import db
from notifications import quota
from notifications.directory import index_of
from tests.notifications.conftest import ZHANG, template_id

VALUES = {
    "case_no": "620981261120101000012",
    "item": "老年人优待证补办",
    "status": "已受理",
    "at": datetime(2026, 11, 20, 2, 0, tzinfo=UTC),
}


async def tell(key: str = "case:1:2", *, to: str = ZHANG, template: str = "progress", **values) -> str:
    return await notifications.notify(
        key=key,
        recipient_ref=to,
        template=template,
        values=VALUES | values,
        page="biz/case/index?case=620981261120101000012",
        link_ref="620981261120101000012",
    )


async def granted(phone, *names: str, times: int = 1) -> None:
    """The person allows it and WeChat's push has reached us."""
    phone.allows(*names, times=times)
    async with db.transaction():
        for name in names:
            for number in range(times):
                await quota.accept(
                    address_index=index_of(phone.openid), template_id=template_id(name), tapped_at_s=number
                )


async def books(phone, name: str = "progress") -> tuple[int, int, int]:
    rows = await db.fetch(
        "SELECT granted, reserved, consumed FROM notifications_quota WHERE address_index = ? AND template_id = ?",
        index_of(phone.openid),
        template_id(name),
    )
    return (rows[0]["granted"], rows[0]["reserved"], rows[0]["consumed"])


async def failures() -> list[dict]:
    rows = await db.fetch("SELECT payload FROM kernel_outbox WHERE topic = 'message.failed'")
    return [json.loads(row["payload"]) for row in rows]
