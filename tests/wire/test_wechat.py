"""Our WeChat client and push door against the sandbox's WeChat over real HTTP."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from kernel import http
from kernel.http import NoAnswer, Partner
from kernel.wechat import WeChat, WeChatError, WeChatSettings
from kernel.wechat_push import PushDoor, PushRefused, read_event
from sandbox.serving import serving
from sandbox.wechat import build

PROGRESS = "sandbox-progress-".ljust(43, "0")
VALUES = {
    "character_string1": "620981261120101000012",
    "thing2": "老年人优待证补办",
    "phrase3": "已受理",
    "time4": "2026年11月20日 10:00",
    "thing5": "请留意后续通知",
}


@pytest.fixture
async def sandbox(tmp_path):
    async with serving(build, tmp_path) as partner:
        yield partner
    await http.close()


def settings(partner, **changes) -> WeChatSettings:
    console = partner.environment()
    values = {
        "base_url": console["WECHAT_BASE_URL"],
        "appid": console["WECHAT_APPID"],
        "secret": console["WECHAT_SECRET"],
        "push_token": console["WECHAT_PUSH_TOKEN"],
        "push_aes_key": console["WECHAT_PUSH_AES_KEY"],
    }
    return WeChatSettings(**{**values, **changes})


@pytest.fixture
def wechat(sandbox, database):
    return WeChat(settings(sandbox), Partner("wechat", sandbox.url, total_seconds=2))


def person(sandbox):
    return sandbox.people.find("zhangguilan")


def tap(sandbox, **wish) -> None:
    sandbox.subscriptions.tap(person(sandbox), {"templates": [PROGRESS], "push": False, **wish})


async def send(wechat, sandbox, **changes) -> None:
    message = {"openid": person(sandbox)["openid"], "template_id": PROGRESS, "values": VALUES, "page": "biz/case/index"}
    await wechat.send_subscribe_message(**(message | changes))


def fault(sandbox, call, effect, times=1) -> None:
    sandbox.faults.order({"match": {"call": call}, "times": times, "effect": effect})


async def test_a_code_gives_the_openid_once(sandbox, wechat):
    code = sandbox.people.issue_code(person(sandbox), "login")["code"]
    assert (await wechat.code2session(code)).openid == person(sandbox)["openid"]
    with pytest.raises(WeChatError) as raised:
        await wechat.code2session(code)
    assert raised.value.errcode == 40163
    assert raised.value.rid


async def test_a_phone_code_gives_the_number_to_its_owner_only(sandbox, wechat):
    def code() -> str:
        return sandbox.people.issue_code(person(sandbox), "phone", phone="13900000001", country_code="86")["code"]

    phone = await wechat.phone_number(code=code(), openid=person(sandbox)["openid"])
    assert (phone.number, phone.country_code) == ("13900000001", "86")
    for wrong in ({"code": code(), "openid": "oSomebodyElse"}, {"code": "x", "openid": person(sandbox)["openid"]}):
        with pytest.raises(WeChatError) as raised:
            await wechat.phone_number(**wrong)
        assert raised.value.errcode == 40029


async def test_a_message_is_accepted_while_quota_lasts(sandbox, wechat):
    tap(sandbox)
    await send(wechat, sandbox)
    with pytest.raises(WeChatError) as raised:
        await send(wechat, sandbox)
    assert raised.value.errcode == 43101


async def test_the_field_that_wechat_complains_about_is_named(sandbox, wechat):
    tap(sandbox)
    with pytest.raises(WeChatError) as raised:
        await send(wechat, sandbox, values=VALUES | {"phrase3": "ABC"})
    assert (raised.value.errcode, raised.value.field) == (47003, "phrase3")


async def test_a_token_lost_between_two_calls_costs_one_more_call(sandbox, wechat):
    tap(sandbox)
    tap(sandbox)
    await send(wechat, sandbox)
    sandbox.tokens.invalidate()
    await send(wechat, sandbox)


async def test_a_dropped_answer_is_unknown_and_the_message_may_have_arrived(sandbox, wechat):
    tap(sandbox)
    fault(sandbox, "send", {"drop": "after"})
    with pytest.raises(NoAnswer):
        await send(wechat, sandbox)
    assert len(sandbox.subscriptions.messages(person(sandbox)["openid"])) == 1


async def test_a_wrong_secret_is_a_refusal(sandbox, database):
    wrong = WeChat(settings(sandbox, secret="wrong"))
    with pytest.raises(WeChatError) as raised:
        await send(wrong, sandbox)
    assert raised.value.errcode == 40125


@pytest.mark.parametrize("format", ["json", "xml"])
async def test_pushes_of_the_sandbox_are_believed_and_read(sandbox, database, format):
    door = PushDoor(settings(sandbox))
    entries = [{"TemplateId": PROGRESS, "SubscribeStatusString": "accept", "PopupScene": "0"}]
    message = sandbox.pusher.event(person(sandbox)["openid"], "subscribe_msg_popup_event", entries)
    asked = sandbox.pusher.request(message, format=format)
    query = dict(parse_qsl(urlsplit(asked["url"]).query))
    assert await door.receive(query, asked["body"].encode())
    plain = read_event(json.dumps(message).encode())
    assert plain.entries == tuple(entries)


@pytest.mark.parametrize(
    "how", [{"tamper": t} for t in ("signature", "wrong_appid", "truncated", "stale")] + [{"mode": "plain"}]
)
async def test_bad_pushes_of_the_sandbox_are_refused(sandbox, database, how):
    door = PushDoor(settings(sandbox))
    asked = sandbox.pusher.request(sandbox.pusher.event("o1", "x"), **how)
    with pytest.raises(PushRefused):
        await door.receive(dict(parse_qsl(urlsplit(asked["url"]).query)), asked["body"].encode())
