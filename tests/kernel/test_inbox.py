"""A partner's message is stored once, before it is acknowledged, and handled by the worker."""

from kernel import db, inbox
from kernel.outbox import Topic
from kernel.worker import Worker


async def test_a_message_is_handled_once_however_often_it_arrives(database):
    handled = []

    async def handler(delivery):
        message = await inbox.load(delivery.payload["inbox_id"])
        async with db.transaction():
            handled.append(message.body)
            await inbox.mark_handled(message.id, "ok")
            await delivery.finish()

    first = await inbox.receive(partner="bank", external_id="EV-1", headers={"a": "b"}, body=b"\x00paid")
    again = await inbox.receive(partner="bank", external_id="EV-1", headers={"a": "b"}, body=b"\x00paid")
    assert (first, again) == (True, False)
    await Worker(topics=[Topic(name="inbox.bank", handler=handler)], subscriptions={}).run_until_idle()
    assert handled == [b"\x00paid"]
    assert (await db.fetch("SELECT note FROM kernel_inbox"))[0]["note"] == "ok"


async def test_the_body_lies_sealed_in_the_database(database):
    await inbox.receive(partner="bank", external_id="EV-1", headers={}, body="张三".encode())
    assert "张三" not in (await db.fetch("SELECT body FROM kernel_inbox"))[0]["body"]


async def test_a_nonce_is_new_only_once_per_partner(database):
    assert await inbox.remember_nonce("bank", "n")
    assert not await inbox.remember_nonce("bank", "n")
    assert await inbox.remember_nonce("carrier", "n")
