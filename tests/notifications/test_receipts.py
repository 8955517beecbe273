"""What WeChat pushes about messages: permissions given and taken, and receipts in every order."""

import asyncio
import json

import pytest

from kernel import db, outbox
from notifications import delivering
from tests.notifications.conftest import channel_state, pushed, template_id, work
from tests.notifications.telling import books, failures, granted, tell


def event(phone, name: str, template: str = "progress", **entry) -> bytes:
    return json.dumps(
        {
            "ToUserName": "gh",
            "FromUserName": phone.openid,
            "CreateTime": 1795053600,
            "MsgType": "event",
            "Event": name,
            "List": {"TemplateId": template_id(template), **entry},
        }
    ).encode()


def popup(phone, said: str = "accept") -> bytes:
    return event(phone, "subscribe_msg_popup_event", SubscribeStatusString=said, PopupScene="0")


def sent(phone, code: str = "0", status: str = "success") -> bytes:
    return event(phone, "subscribe_msg_sent_event", MsgID="1", ErrorCode=code, ErrorStatus=status)


async def test_a_pushed_tap_is_a_permission_once(phone):
    await pushed(popup(phone), 1)
    await pushed(popup(phone), 2)  # a copy in another envelope
    assert await books(phone) == (1, 0, 0)
    await pushed(popup(phone, "reject"), 3)
    assert await books(phone) == (1, 0, 0)
    rows = await db.fetch("SELECT handled_at, note FROM kernel_inbox")
    assert all(row["handled_at"] and row["note"] == "subscribe_msg_popup_event" for row in rows)


async def test_switching_off_in_the_settings_takes_all_of_it(phone):
    await pushed(popup(phone))
    await pushed(event(phone, "subscribe_msg_change_event", SubscribeStatusString="reject"), 2)
    await tell()
    await work()
    assert await channel_state() == ["no_quota"]


@pytest.mark.parametrize(("code", "state"), [("0", "delivered"), ("43004", "failed")])
async def test_a_receipt_ends_the_message(phone, code, state):
    await granted(phone, "progress")
    await tell()
    await work()
    await pushed(sent(phone, code, "success" if code == "0" else "user is blocked"))
    assert await channel_state() == [state]
    assert await books(phone) == (1, 0, 1)
    assert len(await failures()) == (state == "failed")
    await pushed(sent(phone), 2)
    assert await channel_state() == [state]


async def test_a_receipt_ends_the_doubt(phone):
    await granted(phone, "progress")
    phone.fault({"drop": "after"})
    await tell()
    await work()
    assert await channel_state() == ["unknown"]
    await pushed(sent(phone))
    assert await channel_state() == ["delivered"]
    assert await books(phone) == (1, 0, 1)


async def test_a_receipt_may_overtake_the_answer(phone):
    await granted(phone, "progress")
    number = await tell()
    phone.fault({"delay_ms": 800})
    slow = asyncio.create_task(delivering.deliver(number, attempts=1))
    await asyncio.sleep(0.4)
    await db.execute("UPDATE kernel_outbox SET state = 1 WHERE topic = 'notifications.deliver'")
    await pushed(sent(phone))
    assert await channel_state() == ["delivered"]
    await slow
    assert await channel_state() == ["delivered"]
    assert await books(phone) == (1, 0, 1)


async def test_a_receipt_of_somebody_else_or_of_nothing_changes_nothing(phone):
    await granted(phone, "progress")
    await tell()
    await work()
    await pushed(sent(phone).replace(phone.openid.encode(), b"oSomebodyElse0000000000000000"), 1)
    await pushed(event(phone, "subscribe_msg_sent_event", "payment", ErrorCode="0"), 2)
    await pushed(event(phone, "subscribe_msg_sent_event", ErrorCode="not a number"), 3)
    assert await channel_state() == ["failed"], "only the last one was about this message, and it is no success"


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"{}",
        b'{"Event": "new_thing", "FromUserName": "o", "CreateTime": 1}',
        b"<xml><Event>x</Event></xml>",
    ],
)
async def test_unknown_pushes_are_noted_and_ignored(phone, body):
    await pushed(body)
    rows = await db.fetch("SELECT handled_at, note FROM kernel_inbox")
    assert rows[0]["handled_at"]
    assert "unreadable" in rows[0]["note"] or "ignored" in rows[0]["note"]
    assert await outbox.dead() == []


async def test_openids_are_nowhere_in_clear(phone):
    await pushed(popup(phone))
    phone.allows("progress")
    await tell()
    await work()
    for table in ("message", "delivery", "quota", "tap", "template"):
        assert phone.openid not in repr(await db.fetch(f"SELECT * FROM notifications_{table}"))
    assert phone.openid not in repr(await db.fetch("SELECT * FROM kernel_outbox"))
    assert phone.openid not in repr(await db.fetch("SELECT * FROM kernel_inbox"))
