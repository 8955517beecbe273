"""M37 「主动推送审批结果」·「“两微一端”推送」: one message per change of public status, another way when one fails, nothing lost or doubled."""

import asyncio
from collections import Counter

from tests.rows.county import API, WORKER, until

WECHAT = 1


async def granted_case(citizen) -> None:
    """Fetched at the window, so that the story ends with the decision."""
    await citizen.paid_case()
    await citizen.correct()
    await citizen.decide()


async def about(citizen) -> list[dict]:
    return [m for m in await citizen.messages() if m["link_ref"] == f"case:{citizen.case_no}"]


async def until_told(citizen, word: str) -> list[dict]:
    async def look() -> list[dict] | None:
        found = await about(citizen)
        return found if any(word in m["text"] for m in found) else None

    return await until(f"消息“{word}”", look, seconds=40)


async def until_carried(citizen) -> list[dict]:
    """Every message has ended its way on every channel."""

    async def look() -> list[dict] | None:
        found = await about(citizen)
        standing = [{c["channel"]: c["status"] for c in m["channels"]} for m in found]
        on_the_way = [one for one in standing if one.get("wechat_subscribe", "queued") in ("queued", "sending")]
        return None if on_the_way else found

    return await until("消息发送结束", look, seconds=40)


def channel(message: dict, name: str) -> dict:
    return next(c for c in message["channels"] if c["channel"] == name)


async def sent(citizen) -> list[dict]:
    """What really arrived on her phone."""
    arrived = (await citizen.cast.partner(WECHAT).do("GET", f"/persons/{citizen.person}/messages"))["messages"]
    return [m for m in arrived if citizen.case_no in str(m)]


async def test_M37_each_change_of_status_is_one_message_with_a_state_per_channel(county):
    citizen = await county.citizen()
    await citizen.subscribe()
    await granted_case(citizen)
    await until_told(citizen, "准予")
    found = await until_carried(citizen)
    for word in ("已提交", "已缴费", "已受理", "准予"):
        assert sum(word in m["text"] for m in found) == 1, word
    assert sum(m["template"] == "correction" for m in found) == 1
    # What was only passed through is not a change a person sees: the status that follows at once is.
    changes = [
        payload for topic, _, _, payload in await county.promises()
        if topic == "case.status_changed" and payload["case_no"] == citizen.case_no and not payload["passing"]
    ]  # fmt: skip
    told = [m for m in found if m["template"] in ("progress", "result", "correction") and "已缴费" not in m["text"]]
    assert len(told) == len(changes)
    for message in found:
        assert {c["channel"] for c in message["channels"]} >= {"inbox", "wechat_subscribe"}
        assert channel(message, "inbox")["label"] == "已送达"
    arrived = Counter(str(sorted(m["data"].items(), key=str)) for m in await sent(citizen))
    assert arrived
    assert set(arrived.values()) == {1}
    assert len(arrived) == sum(channel(m, "wechat_subscribe")["status"] in ("sent", "delivered") for m in found)


async def test_M37_who_did_not_subscribe_still_finds_every_message(county):
    citizen = await county.citizen()
    await citizen.applied()
    await until_told(citizen, "已提交")
    found = await until_carried(citizen)
    assert {channel(m, "wechat_subscribe")["label"] for m in found} == {"您还没有订阅这类提醒"}
    assert {channel(m, "inbox")["label"] for m in found} == {"已送达"}
    assert await sent(citizen) == []


async def test_M37_a_channel_that_refuses_does_not_lose_the_message(county):
    citizen = await county.citizen()
    await citizen.subscribe()
    wechat = citizen.cast.partner(WECHAT)
    fault = await wechat.do("POST", "/faults", {"match": {"call": "send"}, "times": None, "effect": {"code": 43101}})
    try:
        await citizen.applied()
        await until_told(citizen, "已提交")
        found = await until_carried(citizen)
    finally:
        await wechat.do("DELETE", f"/faults/{fault['id']}" if "id" in fault else "/faults")
    assert "您未订阅或已关闭这类提醒" in {channel(m, "wechat_subscribe")["label"] for m in found}
    assert {channel(m, "inbox")["label"] for m in found} == {"已送达"}


async def test_M37_a_worker_killed_between_commit_and_send_loses_and_doubles_nothing(county):
    citizen = await county.citizen()
    await citizen.subscribe()
    await county.kill(WORKER)
    await citizen.applied()  # committed, and nobody there to send
    assert await about(citizen) == []
    await county.start(WORKER)
    await until_told(citizen, "已提交")
    found = await until_carried(citizen)
    assert sum("已提交" in m["text"] for m in found) == 1
    assert sum("已提交" in str(m) for m in await sent(citizen)) == 1


async def test_M37_a_worker_killed_in_the_middle_of_sending_doubles_nothing(county):
    """WeChat has the message or not; nobody knows, so it is never sent again, and the inbox has it in any case."""
    citizen = await county.citizen()
    await citizen.subscribe()
    wechat = citizen.cast.partner(WECHAT)
    await wechat.do("POST", "/faults", {"match": {"call": "send"}, "times": 1, "effect": {"delay_ms": 2500}})
    await citizen.applied()
    await until_told(citizen, "已提交")
    await asyncio.sleep(0.4)
    await county.kill(WORKER)
    await county.start(WORKER)
    await county.kill(API)
    await county.start(API)
    found = await until_carried(citizen)
    assert sum("已提交" in m["text"] for m in found) == 1
    assert sum("已提交" in str(m) for m in await sent(citizen)) <= 1


async def test_M37_what_is_no_change_of_status_is_no_message_and_messages_are_private(county):
    citizen, neighbour = await county.citizen(), await county.citizen(proven=False)
    await citizen.open()
    await citizen.call("PUT", f"/cases/{citizen.case_no}", {"form": {"reason": "遗失"}, "materials": []})
    assert await about(citizen) == [], "a draft is nobody's news"
    await citizen.call("POST", f"/cases/{citizen.case_no}/submission", await citizen.submission(pickup=True))
    mine = await until_told(citizen, "已提交")
    assert await neighbour.messages() == []
    assert (await county.stranger().refused("GET", "/messages")).status == 401
    read = await neighbour.call("POST", "/messages/read", {"message_nos": [mine[0]["message_no"]]})
    assert read["count"] == 0
