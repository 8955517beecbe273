"""Messages on their way through WeChat: every answer, no answer, and a worker that dies in the middle."""

import asyncio

import pytest

import notifications
from kernel import clock, db
from notifications import delivering, quota
from notifications.channels.wechat_subscribe import WechatSubscribe
from notifications.directory import index_of
from notifications.models import Delivery
from tests.notifications.conftest import H5, MAPPINGS, ZHANG, channel_state, template_id, work
from tests.notifications.telling import books, failures, granted, tell


async def test_an_allowed_message_reaches_the_phone_as_the_template_says(phone):
    await granted(phone, "progress")
    await tell()
    await work()
    assert await channel_state() == ["accepted"]
    assert await books(phone) == (1, 0, 1)
    sent = phone.messages[0]
    assert sent["template_id"] == template_id("progress")
    assert sent["page"] == "biz/case/index?case=620981261120101000012"
    assert sent["data"] == {
        "character_string1": "620981261120101000012",
        "thing2": "老年人优待证补办",
        "phrase3": "已受理",
        "time4": "2026年11月20日 10:00",
        "thing5": "请在小程序中查看详情",
    }


async def test_without_permission_only_the_inbox_has_it_and_wechat_is_not_asked(phone):
    await tell()
    await work()
    assert await channel_state() == ["no_quota"]
    assert await channel_state("inbox") == ["delivered"]
    assert phone.messages == []
    assert await failures() == []


async def test_somebody_without_wechat_has_the_inbox(phone):
    await tell(to=H5)
    await work()
    assert await channel_state() == ["no_address"]


async def test_a_template_that_is_not_set_up_is_not_configured(phone):
    values = {"case_no": "620981261120101000012", "item": "证", "amount": 1000, "cause": "已撤回"}
    await notifications.notify(
        key="k", recipient_ref=ZHANG, template="refund", values=values, page="", link_ref="620981261120101000012"
    )
    await work()
    assert await channel_state() == ["not_configured"]


async def test_three_messages_on_two_permissions_are_two(phone):
    await granted(phone, "progress", times=2)
    for number in range(3):
        await tell(f"case:1:{number}")
    await work()
    assert await channel_state() == ["accepted", "accepted", "no_quota"]
    assert len(phone.messages) == 2


async def test_a_long_term_template_is_not_counted(phone):
    phone.partner.subscriptions.put_template(
        {"template_id": "LONG", "title": "x", "long_term": True, "keys": list(MAPPINGS["progress"].values())}
    )
    await notifications.put_wechat_template(
        name="progress", template_id="LONG", term="long_term", mapping=MAPPINGS["progress"]
    )
    phone.partner.subscriptions.tap(phone.partner.people.find("zhangguilan"), {"templates": ["LONG"], "push": False})
    async with db.transaction():
        await quota.accept(address_index=index_of(phone.openid), template_id="LONG", tapped_at_s=1)
    for number in range(3):
        await tell(f"case:1:{number}")
    await work()
    assert await channel_state() == ["accepted"] * 3


# -- answers -------------------------------------------------------------------------------------------------------


async def test_43101_empties_the_books_and_is_not_tried_again(phone):
    async with db.transaction():
        for second in range(3):  # we believe in three, WeChat knows of none
            await quota.accept(
                address_index=index_of(phone.openid), template_id=template_id("progress"), tapped_at_s=second
            )
    await tell("case:1:1")
    await tell("case:1:2")
    await work()
    assert await channel_state() == ["refused", "no_quota"]
    assert await books(phone) == (0, 0, 0)
    assert await failures() == []


@pytest.mark.parametrize("code", [47003, 40037, 40003, 43107, 43108])
async def test_our_own_mistakes_are_parked_and_reported_not_repeated(phone, code):
    await granted(phone, "progress")
    phone.fault({"code": code}, times=None)
    number = await tell()
    await work()
    assert await channel_state() == ["parked"]
    assert await books(phone) == (1, 0, 0)
    assert await failures() == [{"message_no": number, "channel": "wechat_subscribe", "state": "parked"}]


async def test_a_value_wechat_would_refuse_is_parked_without_a_call(phone):
    await granted(phone, "progress")
    await tell(case_no="办件一号")
    await work()
    assert await channel_state() == ["parked"]
    assert phone.messages == []
    assert await books(phone) == (1, 0, 0)


async def test_a_page_that_is_not_released_yet_is_left_out(phone):
    await granted(phone, "progress")
    phone.partner.config["pages"] = ["pages/home/index"]
    await tell()
    await work()
    assert await channel_state() == ["accepted"]
    assert phone.messages[0]["page"] is None
    assert await books(phone) == (1, 0, 1)


@pytest.mark.parametrize(
    ("code", "least_seconds", "most_seconds"),
    [(-1, 1, 60), (40001, 400, 800), (48001, 400, 800), (45047, 400, 800), (45009, 0, 86_400 + 400), (47001, 1, 60)],
)
async def test_what_may_pass_is_tried_again_later_with_its_permission_given_back(
    phone, frozen_clock, code, least_seconds, most_seconds
):
    await granted(phone, "progress")
    phone.fault({"code": code}, times=2 if code == 40001 else 1)
    await tell()
    await work()
    assert await channel_state() == ["queued"]
    assert await books(phone) == (1, 0, 0)
    rows = await db.fetch("SELECT run_at FROM kernel_outbox WHERE state = 0")
    wait = rows[0]["run_at"] / 1000 - clock.now().timestamp()
    assert least_seconds <= wait <= most_seconds * 1.25
    frozen_clock.advance(seconds=wait + 1)
    await work()
    assert await channel_state() == ["accepted"]


async def test_a_used_up_daily_quota_waits_for_the_next_day_in_beijing(phone, frozen_clock):
    frozen_clock.advance(hours=9)  # 19:00 in Beijing
    await granted(phone, "progress")
    phone.fault({"code": 45009})
    await tell()
    await work()
    row = await Delivery.get(channel="wechat_subscribe")
    assert row.code == 45009
    rows = await db.fetch("SELECT run_at FROM kernel_outbox WHERE state = 0")
    assert rows[0]["run_at"] / 1000 - clock.now().timestamp() > 4 * 3600 * 0.79


async def test_wechat_that_cannot_be_reached_is_asked_again(phone, frozen_clock):
    await granted(phone, "progress")
    await phone.wechat._client.tokens.get()
    good = phone.wechat._partner.base_url
    phone.wechat._partner.base_url = "http://127.0.0.1:1"
    await tell()
    await work()
    assert await channel_state() == ["queued"]
    phone.wechat._partner.base_url = good
    frozen_clock.advance(seconds=60)
    await work()
    assert await channel_state() == ["accepted"]
    assert len(phone.messages) == 1


async def test_an_unclear_token_fetch_is_no_unclear_message(phone, frozen_clock):
    await granted(phone, "progress")
    phone.fault({"drop": "after"}, call="stable_token")
    await tell()
    await work()
    assert await channel_state() == ["queued"]
    frozen_clock.advance(seconds=60)
    await work()
    assert await channel_state() == ["accepted"]


# -- no answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "effect", [{"drop": "after"}, {"drop": "before"}, {"delay_ms": 2500}, {"status": 502}, {"body": "html"}]
)
async def test_an_unclear_outcome_keeps_the_permission_and_is_never_sent_again(phone, frozen_clock, effect):
    await granted(phone, "progress", times=2)
    phone.fault(effect)
    await tell()
    await work()
    assert await channel_state() == ["unknown"]
    assert await books(phone) == (2, 1, 0)
    frozen_clock.advance(hours=1)
    await work()
    assert len(phone.messages) <= 1
    assert await channel_state() == ["unknown"]


async def test_a_worker_that_died_during_the_call_leaves_an_unknown_message(phone, monkeypatch):
    class Died(BaseException):
        """kill -9, as near as one process can come."""

    async def dies(self, ready):
        raise Died

    await granted(phone, "progress")
    number = await tell()
    monkeypatch.setattr(WechatSubscribe, "send", dies)
    with pytest.raises(Died):
        await delivering.deliver(number, attempts=1)
    assert await channel_state() == ["sending"]
    monkeypatch.undo()
    await delivering.deliver(number, attempts=2)
    assert await channel_state() == ["unknown"]
    assert phone.messages == []
    assert await books(phone) == (1, 1, 0)


async def test_a_slow_holder_may_still_say_what_became_of_it(phone):
    await granted(phone, "progress")
    number = await tell()
    phone.fault({"delay_ms": 800})
    slow = asyncio.create_task(delivering.deliver(number, attempts=1))
    await asyncio.sleep(0.4)
    await delivering.deliver(number, attempts=2)  # a second worker finds "sending"
    assert await channel_state() == ["unknown"]
    await slow
    assert await channel_state() == ["accepted"]
    assert await books(phone) == (1, 0, 1)
    assert len(phone.messages) == 1


async def test_unknown_ends_after_a_day_as_unconfirmed_and_used(phone, frozen_clock):
    await granted(phone, "progress")
    phone.fault({"drop": "before"})
    await tell()
    await work()
    frozen_clock.advance(hours=23)
    await delivering.settle_unknown()
    assert await channel_state() == ["unknown"]
    frozen_clock.advance(hours=2)
    await delivering.settle_unknown()
    assert await channel_state() == ["unconfirmed"]
    assert await books(phone) == (1, 0, 1)


async def test_a_message_nobody_wants_any_more_is_not_sent(phone, directory, frozen_clock):
    await granted(phone, "progress")
    number = await tell()
    frozen_clock.advance(hours=49)
    await work()
    assert await channel_state() == ["expired"]
    assert phone.messages == []
    assert await failures() == [{"message_no": number, "channel": "wechat_subscribe", "state": "expired"}]


async def test_the_messages_of_one_person_leave_in_order(phone):
    await granted(phone, "progress", times=5)
    for number in range(5):
        await tell(f"case:1:{number}", hint=f"第{number}条")
    await work()
    assert [message["data"]["thing5"] for message in phone.messages] == [f"第{number}条" for number in range(5)]


async def test_delivering_again_after_success_changes_nothing(phone):
    await granted(phone, "progress", times=2)
    number = await tell()
    await work()
    await delivering.deliver(number, attempts=2)
    assert len(phone.messages) == 1
    assert await books(phone) == (2, 0, 1)
