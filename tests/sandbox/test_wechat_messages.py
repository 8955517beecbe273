"""Subscribe messages and message push: quotas by taps, value rules, and what the product's callback receives."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import xmltodict
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import check_signature

from sandbox.serving import serving
from sandbox.wechat import WeChat, build
from sandbox.wechat_push import PATH
from sandbox.wechat_templates import DEMO_TEMPLATES
from sandbox.wechat_values import complaint
from tests.sandbox.test_wechat import Caller

PROGRESS = str(DEMO_TEMPLATES[0]["template_id"])
CORRECTION = str(DEMO_TEMPLATES[1]["template_id"])
GOOD = {
    "character_string1": "620981202611200100019",
    "thing2": "老年人优待证补办",
    "phrase3": "已受理",
    "time4": "2026年1月5日 15:01",
    "thing5": "请留意后续通知",
}


class Product:
    """Stands where the product's callback would be; remembers what came and answers as told."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        app = web.Application()
        app.router.add_post(PATH, self._post)
        app.router.add_get(PATH, self._get)
        self.server = TestServer(app)

    async def _post(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.query), await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(text="success")

    async def _get(self, request: web.Request) -> web.Response:
        return web.Response(text=request.query["echostr"])

    def events(self, wechat: WeChat) -> list[dict[str, Any]]:
        """Decrypted with the library that the product uses too, which knows nothing of the sandbox."""
        crypto = WeChatCrypto(wechat.identity.token, wechat.identity.aes_key, wechat.appid)
        found = []
        for query, body in self.received:
            check_signature(wechat.identity.token, query["signature"], query["timestamp"], query["nonce"])
            envelope = json.loads(body)
            text = crypto.decrypt_message(envelope, query["msg_signature"], query["timestamp"], query["nonce"])
            found.append(json.loads(text))
        return found


@pytest.fixture
async def product() -> AsyncIterator[Product]:
    product = Product()
    await product.server.start_server()
    yield product
    await product.server.close()


@pytest.fixture
async def caller(tmp_path: Path, product: Product) -> AsyncIterator[Caller]:
    address = str(product.server.make_url("/"))
    async with serving(build, tmp_path, product_url=address) as wechat, aiohttp.ClientSession() as http:
        caller = Caller(wechat, http)
        await caller.control("/config", sent_event_after_s=0, time_scale=0.001)
        yield caller


@pytest.fixture
def openid(caller: Caller) -> str:
    return str(caller.wechat.people.find("张桂兰")["openid"])


async def send(caller: Caller, openid: str, **changes: object) -> dict[str, Any]:
    data = {key: {"value": value} for key, value in GOOD.items()}
    body = {"touser": openid, "template_id": PROGRESS, "data": data, **changes}
    caller.wechat.config["time_scale"] = 1  # tokens must live
    answer = await caller.post("/cgi-bin/message/subscribe/send", body, access_token=await caller.token())
    caller.wechat.config["time_scale"] = 0.001
    return answer


async def tap(caller: Caller, *templates: str, **how: object) -> dict[str, Any]:
    return await caller.control("/persons/张桂兰/subscriptions", templates=list(templates), **how)


class TestQuota:
    async def test_one_accepted_tap_is_one_message(self, caller: Caller, openid: str) -> None:
        assert (await send(caller, openid))["errcode"] == 43101
        assert (await tap(caller, PROGRESS))[PROGRESS] == "accept"
        assert await send(caller, openid) == {"errcode": 0, "errmsg": "ok"}
        assert (await send(caller, openid))["errcode"] == 43101
        async with caller.http.get(caller.wechat.url + "/_control/persons/zhangguilan/messages") as answer:
            messages = (await answer.json())["messages"]
        assert [(one["title"], one["data"]["phrase3"]) for one in messages] == [("办理进度提醒", "已受理")]

    async def test_a_refusal_or_switching_off_leaves_nothing(self, caller: Caller, openid: str) -> None:
        await tap(caller, PROGRESS, choice="reject")
        assert (await send(caller, openid))["errcode"] == 43101
        await tap(caller, PROGRESS)
        await caller.control("/persons/张桂兰/turn_off", templates=[PROGRESS])
        assert (await send(caller, openid))["errcode"] == 43101

    async def test_a_remembered_choice_answers_without_a_popup(self, caller: Caller, openid: str) -> None:
        async with caller.http.post(
            caller.wechat.url + "/_control/persons/zhangguilan/subscriptions",
            json={"templates": [PROGRESS], "choice": None},
        ) as answer:
            assert answer.status == 409
        await tap(caller, PROGRESS, always=True)
        assert (await tap(caller, PROGRESS, choice=None))[PROGRESS] == "accept"
        assert [(await send(caller, openid))["errcode"] for _ in range(3)] == [0, 0, 43101]

    async def test_a_long_term_template_needs_one_consent_and_does_not_mix(self, caller: Caller, openid: str) -> None:
        template = {**DEMO_TEMPLATES[0], "template_id": "long", "long_term": True}
        await caller.control("/templates", **template)
        assert (await send(caller, openid, template_id="long"))["errcode"] == 43101
        await tap(caller, "long")
        assert [(await send(caller, openid, template_id="long"))["errcode"] for _ in range(3)] == [0, 0, 0]
        async with caller.http.post(
            caller.wechat.url + "/_control/persons/zhangguilan/subscriptions", json={"templates": ["long", PROGRESS]}
        ) as answer:
            assert answer.status == 400

    async def test_msgid_is_answered_only_when_configured(self, caller: Caller, openid: str) -> None:
        await caller.control("/config", answer_msgid=True)
        await tap(caller, PROGRESS)
        assert (await send(caller, openid))["msgid"] > 0

    async def test_a_lost_answer_still_consumed_the_quota(self, caller: Caller, openid: str) -> None:
        await tap(caller, PROGRESS)
        await caller.control("/faults", match={"call": "send"}, effect={"drop": "after"})
        with pytest.raises(aiohttp.ClientConnectionError):
            await send(caller, openid)
        assert (await send(caller, openid))["errcode"] == 43101


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "errcode"),
        [
            ({"touser": "nobody"}, 40003),
            ({"template_id": "nope"}, 40037),
            ({"page": "pages/nowhere"}, 41030),
            ({"data": []}, 47003),
            ({"miniprogram_state": "beta"}, 47003),
            ({"lang": "de_DE"}, 47003),
        ],
    )
    async def test_wrong_arguments(self, caller: Caller, openid: str, changes: dict[str, object], errcode: int) -> None:
        await caller.control("/config", pages=["pages/case/case"])
        await tap(caller, PROGRESS)
        assert (await send(caller, openid, **changes))["errcode"] == errcode
        good = await send(caller, openid, page="pages/case/case?no=1", miniprogram_state="trial", lang="zh_CN")
        assert good["errcode"] == 0  # the refused call did not cost the quota

    async def test_the_first_bad_field_is_named(self, caller: Caller, openid: str) -> None:
        await tap(caller, PROGRESS)
        for value, text in (("", "data.thing2.value is emtpy"), ("一" * 21, "data.thing2.value invalid")):
            data = {key: {"value": one} for key, one in {**GOOD, "thing2": value}.items()}
            answer = await send(caller, openid, data=data)
            assert answer["errcode"] == 47003
            assert answer["errmsg"].startswith(f"argument invalid! {text}")

    @pytest.mark.parametrize(
        ("key", "good", "bad"),
        [
            ("thing1", "老年人优待证 A1!", "换\n行"),
            ("number1", "12.50", "一"),
            ("letter1", "ABC", "A1"),
            ("symbol1", "#!", "#!#!#!"),
            ("character_string01", "A-1_2", "编号1"),
            ("time1", "2019年10月1日 15:01~16:30", "25:00"),
            ("date1", "2026-01-05", "2026-13-05"),
            ("amount1", "¥10.00元", "十元"),
            ("phone_number1", "139****0001", "1" * 18),
            ("car_number1", "甘F12345", "甘F1234567"),
            ("name1", "张*", "一" * 11),
            ("phrase1", "派送中", "已受理1"),
        ],
    )
    def test_value_rules(self, key: str, good: str, bad: str) -> None:
        assert complaint(key, good) is None
        assert complaint(key, bad) == f"data.{key}.value invalid"
        assert complaint(key, "") == f"data.{key}.value is emtpy"
        assert complaint(key, 5) == f"data.{key}.value invalid"

    def test_an_enum_takes_only_values_of_its_list(self) -> None:
        assert complaint("enum1", "邮寄", allowed=("邮寄", "自取")) is None
        assert complaint("enum1", "送货", allowed=("邮寄", "自取")) == "data.enum1.value invalid"

    @given(st.text(min_size=21))
    def test_no_thing_is_longer_than_twenty(self, value: str) -> None:
        assert complaint("thing1", value) is not None

    @given(
        st.text(alphabet=st.characters(categories=["Cc"]), min_size=1, max_size=5), st.sampled_from(["thing1", "name1"])
    )
    def test_control_characters_fit_nowhere(self, value: str, key: str) -> None:
        assert complaint(key, "好" + value) is not None


class TestPush:
    async def test_a_tap_and_a_delivery_are_pushed_encrypted(
        self, caller: Caller, product: Product, openid: str
    ) -> None:
        await tap(caller, PROGRESS, CORRECTION)
        await caller.wechat.callbacks.settle()
        await send(caller, openid)
        await caller.wechat.callbacks.settle()
        popup, sent = product.events(caller.wechat)
        assert popup["Event"] == "subscribe_msg_popup_event"
        assert [one["SubscribeStatusString"] for one in popup["List"]] == ["accept", "accept"]
        assert sent["Event"] == "subscribe_msg_sent_event"
        assert sent["FromUserName"] == openid
        # One entry is an object, not a list: WeChat's trap.
        assert (sent["List"]["ErrorCode"], sent["List"]["ErrorStatus"]) == ("0", "success")

    async def test_a_push_is_repeated_until_success(self, caller: Caller, product: Product) -> None:
        product.answers = [web.Response(status=500), web.Response(text="fail")]
        await tap(caller, PROGRESS)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if caller.wechat.store.callbacks()[0]["state"] == "done":
                break
        assert len(product.received) == 3
        assert len({event["CreateTime"] for event in product.events(caller.wechat)}) == 1

    async def test_a_push_is_given_up_after_three_tries(self, caller: Caller, product: Product) -> None:
        product.answers = [web.Response(status=500) for _ in range(5)]
        await caller.control("/persons/张桂兰/turn_off", templates=[PROGRESS])
        for _ in range(100):
            await asyncio.sleep(0.01)
            if caller.wechat.store.callbacks()[0]["state"] == "given_up":
                break
        assert len(product.received) == 3
        event = product.events(caller.wechat)[0]
        assert (event["Event"], event["List"]["SubscribeStatusString"]) == ("subscribe_msg_change_event", "reject")

    async def test_deliberate_copies_failures_and_an_early_sent_event(
        self, caller: Caller, product: Product, openid: str
    ) -> None:
        await caller.control("/config", push_copies=2, create_time_text=True)
        await tap(caller, PROGRESS, push=False)
        await caller.control(
            "/faults",
            match={"call": "send"},
            effect={"push": "before_answer", "sent": {"code": "43101", "status": "user refuse"}},
        )
        await send(caller, openid)
        event = product.events(caller.wechat)[0]
        assert (event["List"]["ErrorCode"], event["CreateTime"].isdigit()) == ("43101", True)
        await tap(caller, PROGRESS)
        await caller.wechat.callbacks.settle()
        assert len(product.received) == 3

    @pytest.mark.parametrize("mode", ["secure", "plain", "compatible"])
    @pytest.mark.parametrize("format", ["json", "xml"])
    async def test_all_shapes(self, caller: Caller, mode: str, format: str) -> None:
        entries = [{"TemplateId": "a", "SubscribeStatusString": "accept", "PopupScene": "0"}] * 2
        made = await caller.control(
            "/push", event="subscribe_msg_popup_event", list=entries, mode=mode, format=format, deliver=False
        )
        body = made["requests"][0]["body"]
        shaped = json.loads(body) if format == "json" else xmltodict.parse(body)["xml"]
        assert ("Encrypt" in shaped) is (mode != "plain")
        if mode != "secure":
            lists = shaped["List"] if format == "json" else shaped["SubscribeMsgPopupEvent"]["List"]
            assert len(lists) == 2
        if mode == "secure" and format == "xml":
            wechat = caller.wechat
            crypto = WeChatCrypto(wechat.identity.token, wechat.identity.aes_key, wechat.appid)
            query = dict(part.split("=") for part in made["requests"][0]["url"].split("?")[1].split("&"))
            text = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
            assert xmltodict.parse(text)["xml"]["Event"] == "subscribe_msg_popup_event"

    @pytest.mark.parametrize("tamper", ["signature", "wrong_appid", "truncated"])
    async def test_tampered_pushes_cannot_be_read(self, caller: Caller, product: Product, tamper: str) -> None:
        await caller.control("/push", event="subscribe_msg_sent_event", list=[], tamper=tamper)
        with pytest.raises(Exception):  # noqa: B017 - the library raises several kinds
            product.events(caller.wechat)

    async def test_several_events_out_of_order_and_unknown_ones(self, caller: Caller, product: Product) -> None:
        answer = await caller.control(
            "/push",
            events=[{"event": "first"}, {"event": "never_heard_of", "fields": {"X": 1}}],
            reversed=True,
            copies=2,
        )
        assert [one["status"] for one in answer["answers"]] == [200] * 4
        assert [event["Event"] for event in product.events(caller.wechat)] == ["never_heard_of"] * 2 + ["first"] * 2

    async def test_the_callback_address_is_checked_with_an_echo(self, caller: Caller) -> None:
        assert (await caller.control("/check_address"))["accepted"] is True

    async def test_an_unreachable_product_is_reported(self, caller: Caller) -> None:
        answer = await caller.control("/push", event="x", url="http://127.0.0.1:9/")
        assert answer["answers"][0]["status"] == 0
