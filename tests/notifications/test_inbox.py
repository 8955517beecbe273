"""The in-app inbox: always there, only one's own, newest first."""

import asyncio
from datetime import UTC, datetime

import pytest

import notifications
from kernel import db
from kernel.problems import Invalid
from tests.notifications.conftest import H5, NOBODY, ZHANG, channel_state, template_id, work

VALUES = {
    "case_no": "620981261120101000012",
    "item": "老年人优待证补办",
    "status": "已受理",
    "at": datetime(2026, 11, 20, 2, 0, tzinfo=UTC),
}


async def tell(key: str, to: str = H5, **values) -> str:
    return await notifications.notify(
        key=key,
        recipient_ref=to,
        template="progress",
        values=VALUES | values,
        page="biz/case/index?case=620981261120101000012",
        link_ref="620981261120101000012",
    )


async def test_a_message_is_in_the_inbox_as_soon_as_its_fact_is_committed(offline):
    number = await tell("case:1:2")
    page = await notifications.inbox_page(recipient_ref=H5)
    assert [message.message_no for message in page.messages] == [number]
    message = page.messages[0]
    assert message.title == "办理进度提醒"
    assert "已受理" in message.text
    assert message.page.startswith("biz/case/index")
    assert not message.read
    assert [(c.channel, c.status, c.label) for c in message.channels] == [("inbox", "delivered", "已送达")]
    assert page.unread == 1


async def test_a_fact_that_is_rolled_back_tells_nobody(offline):
    with pytest.raises(RuntimeError):
        async with db.transaction():
            await tell("case:1:2")
            raise RuntimeError
    assert (await notifications.inbox_page(recipient_ref=H5)).messages == ()
    assert await db.fetch("SELECT id FROM kernel_outbox") == []


async def test_the_same_fact_told_twice_is_one_message(offline):
    first = await tell("case:1:2")
    assert await tell("case:1:2", status="别的") == first
    assert len((await notifications.inbox_page(recipient_ref=H5)).messages) == 1
    assert len(await db.fetch("SELECT id FROM kernel_outbox WHERE topic = 'notifications.deliver'")) == 1


async def test_the_same_fact_told_at_once_is_one_message(offline):
    numbers = await asyncio.gather(*(tell("case:1:2") for _ in range(8)))
    assert len(set(numbers)) == 1


async def test_text_and_values_are_sealed(offline):
    await tell("case:1:2", status="王小芳的申请")
    rows = await db.fetch("SELECT * FROM notifications_message")
    assert "王小芳" not in repr(rows)
    assert "优待证" not in repr(rows)


async def test_pages_go_on_where_the_last_one_ended(offline):
    numbers = [await tell(f"case:1:{n}") for n in range(7)]
    await tell("case:2:1", to=NOBODY)
    seen, cursor = [], None
    while True:
        page = await notifications.inbox_page(recipient_ref=H5, cursor=cursor, limit=3)
        seen += [message.message_no for message in page.messages]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == numbers[::-1]


async def test_another_persons_message_is_no_cursor_and_cannot_be_marked(offline):
    theirs = await tell("case:2:1", to=NOBODY)
    mine = await tell("case:1:1")
    page = await notifications.inbox_page(recipient_ref=H5, cursor=theirs)
    assert [message.message_no for message in page.messages] == [mine]
    assert await notifications.mark_read(recipient_ref=H5, message_nos=(theirs,)) == 0
    assert (await notifications.inbox_page(recipient_ref=NOBODY)).unread == 1


async def test_reading_some_or_all(offline):
    numbers = [await tell(f"case:1:{n}") for n in range(3)]
    assert await notifications.mark_read(recipient_ref=H5, message_nos=(numbers[0],)) == 1
    assert await notifications.mark_read(recipient_ref=H5, message_nos=(numbers[0],)) == 0
    assert await notifications.mark_read(recipient_ref=H5, message_nos=()) == 0
    page = await notifications.inbox_page(recipient_ref=H5)
    assert [message.read for message in page.messages] == [False, False, True]
    assert page.unread == 2
    assert await notifications.mark_read(recipient_ref=H5) == 2


async def test_without_wechat_the_channel_says_so_and_nothing_is_alarmed(offline):
    await tell("case:1:2")
    await work()
    assert await channel_state() == ["not_configured"]
    assert await channel_state("inbox") == ["delivered"]
    page = await notifications.inbox_page(recipient_ref=H5)
    assert page.messages[0].channels[1].label == "这种提醒方式暂未开通"
    assert await db.fetch("SELECT id FROM kernel_outbox WHERE topic = 'message.failed'") == []


async def test_wrong_values_are_a_bug_and_leave_nothing(offline):
    with pytest.raises(ValueError, match="unknown"):
        await tell("case:1:2", applicant="王小芳")
    with pytest.raises(KeyError):
        await notifications.notify(key="k", recipient_ref=H5, template="x", values={}, page="", link_ref="")
    assert await db.fetch("SELECT id FROM notifications_message") == []


# -- subscriptions -------------------------------------------------------------------------------------------------


async def test_the_phone_learns_which_templates_it_may_ask_for(phone):
    views = {view.template: view for view in await notifications.subscriptions(recipient_ref=ZHANG)}
    assert set(views) == {"progress", "correction", "payment", "result", "delivery"}
    assert views["payment"].title == "待缴费提醒"
    assert views["payment"].template_id == template_id("payment")
    assert (views["payment"].available, views["payment"].accepted) == (0, False)
    assert await notifications.subscriptions(recipient_ref=NOBODY)


async def test_with_push_the_phones_report_is_only_a_hint(phone):
    results = {template_id("progress"): "accept"}
    assert await notifications.record_subscriptions(recipient_ref=ZHANG, results=results) == 0
    views = {view.template: view for view in await notifications.subscriptions(recipient_ref=ZHANG)}
    assert views["progress"].available == 0


async def test_without_push_the_phones_report_counts_once(phone, directory, frozen_clock):
    notifications.configure(
        settings=notifications.NotificationSettings(), directory=directory, wechat=phone.wechat, push_configured=False
    )
    results = {template_id("progress"): "accept", template_id("payment"): "reject", template_id("result"): "filter"}
    assert await notifications.record_subscriptions(recipient_ref=ZHANG, results=results) == 1
    assert await notifications.record_subscriptions(recipient_ref=ZHANG, results=results) == 0
    assert await notifications.record_subscriptions(recipient_ref=NOBODY, results=results) == 0
    views = {view.template: view for view in await notifications.subscriptions(recipient_ref=ZHANG)}
    assert [views[name].available for name in ("progress", "payment", "result")] == [1, 0, 0]


@pytest.mark.parametrize("results", [{"no-such-template": "accept"}, {template_id("progress"): "maybe"}])
async def test_a_report_that_makes_no_sense_is_refused(phone, results):
    with pytest.raises(Invalid) as raised:
        await notifications.record_subscriptions(recipient_ref=ZHANG, results=results)
    assert len(raised.value.errors) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x"},
        {"mapping": {}},
        {"mapping": {"no_such_field": "thing1"}},
        {"mapping": {"item": "short_thing1"}},
        {"term": "sometimes"},
        {"template_id": ""},
    ],
)
async def test_a_template_that_could_never_be_sent_is_refused_when_it_is_entered(offline, wrong):
    right = {"name": "progress", "template_id": "T", "term": "one_time", "mapping": {"item": "thing1"}}
    with pytest.raises(ValueError, match=r"progress|x"):
        await notifications.put_wechat_template(**(right | wrong))
    await notifications.put_wechat_template(**right)
    await notifications.put_wechat_template(**(right | {"template_id": "T2"}))
    assert [view.template_id for view in await notifications.subscriptions(recipient_ref=H5)] == ["T2"]
