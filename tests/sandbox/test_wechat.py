"""WeChat as the product meets it: token families, login codes, phone codes, wrong calls and ordered faults."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.serving import serving
from sandbox.wechat import WeChat, build

RID = re.compile(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$")


class Caller:
    """Speaks to the sandbox as a server would, over real HTTP."""

    def __init__(self, wechat: WeChat, http: aiohttp.ClientSession) -> None:
        self.wechat = wechat
        self.http = http

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        async with self.http.get(self.wechat.url + path, params=query) as answer:
            return await answer.json(content_type=None)

    async def post(self, path: str, body: object, **query: str) -> dict[str, Any]:
        async with self.http.post(self.wechat.url + path, json=body, params=query) as answer:
            return await answer.json(content_type=None)

    async def control(self, path: str, **body: object) -> dict[str, Any]:
        async with self.http.post(f"{self.wechat.url}/_control{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def credentials(self, **changes: object) -> dict[str, Any]:
        return {"appid": self.wechat.appid, "secret": self.wechat.secret, **changes}

    async def stable(self, **changes: object) -> dict[str, Any]:
        return await self.post("/cgi-bin/stable_token", self.credentials(grant_type="client_credential", **changes))

    async def plain(self, **changes: object) -> dict[str, Any]:
        return await self.get("/cgi-bin/token", **self.credentials(grant_type="client_credential", **changes))

    async def token(self) -> str:
        return str((await self.stable())["access_token"])

    async def log_in(self, code: str, **changes: str) -> dict[str, Any]:
        query = self.credentials(js_code=code, grant_type="authorization_code", **changes)
        return await self.get("/sns/jscode2session", **query)

    async def login_code(self, who: str = "zhangguilan", **body: object) -> str:
        return str((await self.control(f"/persons/{who}/login_code", **body))["code"])

    async def works(self, token: str) -> int:
        """0 when a call with the token gets past the token layer (the openid is refused then)."""
        answer = await self.get("/wxa/checksession", access_token=token, openid="nobody")
        return 0 if answer["errcode"] == 40003 else int(answer["errcode"])


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with serving(build, tmp_path) as wechat, aiohttp.ClientSession() as http:
        yield Caller(wechat, http)


class TestTokens:
    async def test_a_stable_token_stays_the_same_until_five_minutes_before_its_end(self, caller: Caller) -> None:
        first = await caller.stable()
        assert first["expires_in"] == 7200
        await caller.control("/clock", offset_s=6890)
        again = await caller.stable()
        assert again["access_token"] == first["access_token"]
        assert again["expires_in"] >= 300
        await caller.control("/clock", offset_s=6910)
        renewed = await caller.stable()
        assert renewed["access_token"] != first["access_token"]
        assert renewed["expires_in"] == 7200
        assert await caller.works(first["access_token"]) == 0  # five minutes of overlap
        await caller.control("/clock", offset_s=7300)
        assert await caller.works(first["access_token"]) in (40001, 42001)

    async def test_each_plain_token_retires_the_one_before_after_five_minutes(self, caller: Caller) -> None:
        first, second = await caller.plain(), await caller.plain()
        assert first["access_token"] != second["access_token"]
        assert await caller.works(first["access_token"]) == 0
        await caller.control("/clock", offset_s=301)
        assert await caller.works(first["access_token"]) == 40001
        assert await caller.works(second["access_token"]) == 0

    async def test_the_two_families_do_not_disturb_each_other(self, caller: Caller) -> None:
        stable = await caller.token()
        await caller.plain()
        await caller.control("/clock", offset_s=400)
        assert await caller.works(stable) == 0

    async def test_force_refresh_kills_at_once_and_is_rationed(self, caller: Caller) -> None:
        # The ration is one of a day in Beijing: shortly before its midnight the day would end under this test.
        ahead = 3600 if datetime.now(UTC).hour == 15 else 0
        await caller.control("/clock", offset_s=ahead)
        old = await caller.token()
        assert (await caller.stable(force_refresh=True))["access_token"] != old
        assert await caller.works(old) == 40001
        assert (await caller.stable(force_refresh=True))["errcode"] == 45011
        for number in range(2, 22):
            await caller.control("/clock", offset_s=ahead + number * 31)
            answer = await caller.stable(force_refresh=True)
        assert answer["errcode"] == 45009

    @pytest.mark.parametrize(
        ("changes", "errcode"),
        [
            ({"grant_type": "x"}, 40002),
            ({"appid": "wx1"}, 40013),
            ({"secret": "wrong"}, 40125),
            ({"secret": ""}, 41004),
        ],
    )
    async def test_wrong_credentials(self, caller: Caller, changes: dict[str, str], errcode: int) -> None:
        body = {"grant_type": "client_credential", **caller.credentials(), **changes}
        answer = await caller.post("/cgi-bin/stable_token", body)
        assert answer["errcode"] == errcode
        assert RID.search(answer["errmsg"])

    async def test_missing_unknown_expired_and_silently_lost_tokens(self, caller: Caller) -> None:
        assert (await caller.get("/wxa/checksession"))["errcode"] == 41001
        assert await caller.works("nonsense") == 40001
        token = await caller.token()
        await caller.control("/clock", offset_s=7201)
        assert await caller.works(token) == 42001
        await caller.control("/clock", offset_s=0)
        await caller.control("/faults", match={"call": "checksession"}, effect={"invalidate_token": True})
        assert await caller.works(token) == 40001
        assert await caller.works(await caller.token()) == 0


class TestLogin:
    async def test_a_code_gives_openid_and_session_key_without_errcode_once(self, caller: Caller) -> None:
        code = await caller.login_code()
        answer = await caller.log_in(code, access_token="superfluous")
        assert set(answer) == {"openid", "session_key"}
        assert (await caller.log_in(code))["errcode"] == 40163

    async def test_the_same_person_keeps_the_openid_and_gets_a_new_session_key(self, caller: Caller) -> None:
        first = await caller.log_in(await caller.login_code("张桂兰"))
        second = await caller.log_in(await caller.login_code("zhangguilan"))
        assert first["openid"] == second["openid"]
        token = await caller.token()
        results = [await self._check(caller, token, first["openid"], one["session_key"]) for one in (first, second)]
        assert results == [87009, 0]

    async def _check(self, caller: Caller, token: str, openid: str, session_key: str) -> int:
        signature = hmac.new(session_key.encode(), b"", hashlib.sha256).hexdigest()
        query = {"openid": openid, "signature": signature, "sig_method": "hmac_sha256"}
        return int((await caller.get("/wxa/checksession", access_token=token, **query))["errcode"])

    async def test_unknown_old_and_foreign_codes(self, caller: Caller) -> None:
        assert (await caller.log_in("nonsense"))["errcode"] == 40029
        assert (await caller.log_in(""))["errcode"] == 41008
        assert (await caller.log_in(await caller.login_code(appid="wx-of-somebody-else")))["errcode"] == 40029
        code = await caller.login_code()
        assert (await caller.log_in(code, appid="wx1"))["errcode"] == 40013
        await caller.control("/clock", offset_s=301)
        assert (await caller.log_in(code))["errcode"] == 40029

    async def test_a_high_risk_person_is_blocked(self, caller: Caller) -> None:
        await caller.control("/persons", key="zhaolei", high_risk=True)
        assert (await caller.log_in(await caller.login_code("zhaolei")))["errcode"] == 40226

    async def test_more_than_a_hundred_logins_a_minute_are_too_many(self, caller: Caller) -> None:
        person = caller.wechat.people.find("zhaolei")
        for _ in range(100):
            caller.wechat.people.log_in(person)
        assert (await caller.log_in(await caller.login_code("zhaolei")))["errcode"] == 45011

    async def test_unionid_and_an_answer_without_openid_can_be_ordered(self, caller: Caller) -> None:
        await caller.control("/config", with_unionid=True)
        assert "unionid" in await caller.log_in(await caller.login_code())
        await caller.control("/faults", effect={"without": "openid"})
        answer = await caller.log_in(await caller.login_code())
        assert "openid" not in answer
        assert "errcode" not in answer

    async def test_a_used_code_stays_used_after_a_restart(self, tmp_path: Path) -> None:
        async with aiohttp.ClientSession() as http:
            async with serving(build, tmp_path) as wechat:
                caller = Caller(wechat, http)
                code = await caller.login_code()
                first = await caller.log_in(code)
            async with serving(build, tmp_path) as wechat:
                caller = Caller(wechat, http)
                assert (await caller.log_in(code))["errcode"] == 40163
                assert (await caller.log_in(await caller.login_code()))["openid"] == first["openid"]


class TestPhone:
    async def _phone(self, caller: Caller, code: str, **more: str) -> dict[str, Any]:
        token = await caller.token()
        return await caller.post("/wxa/business/getuserphonenumber", {"code": code, **more}, access_token=token)

    async def _code(self, caller: Caller, who: str = "zhangguilan", **body: object) -> str:
        return str((await caller.control(f"/persons/{who}/phone_code", **body))["code"])

    async def test_a_phone_code_gives_the_number_once(self, caller: Caller) -> None:
        openid = caller.wechat.people.find("zhangguilan")["openid"]
        code = await self._code(caller)
        answer = await self._phone(caller, code, openid=openid)
        info = answer["phone_info"]
        assert (answer["errcode"], info["purePhoneNumber"], info["countryCode"]) == (0, "13900000001", "86")
        assert info["watermark"]["appid"] == caller.wechat.appid
        assert (await self._phone(caller, code))["errcode"] == 40029

    async def test_a_login_code_somebody_elses_code_and_an_old_code_are_refused(self, caller: Caller) -> None:
        assert (await self._phone(caller, await caller.login_code()))["errcode"] == 40029
        other = caller.wechat.people.find("zhaolei")["openid"]
        code = await self._code(caller)
        assert (await self._phone(caller, code, openid=other))["errcode"] == 40029
        await caller.control("/clock", offset_s=301)
        assert (await self._phone(caller, code))["errcode"] == 40029

    async def test_foreign_numbers_number_codes_and_a_wrong_watermark(self, caller: Caller) -> None:
        await caller.control("/config", country_code_number=True, watermark_appid="wx-wrong")
        info = (await self._phone(caller, await self._code(caller, phone="61234567", country_code="852")))["phone_info"]
        assert (info["phoneNumber"], info["purePhoneNumber"], info["countryCode"]) == ("+85261234567", "61234567", 852)
        assert info["watermark"]["appid"] == "wx-wrong"


class TestManners:
    async def test_wrong_method_wrong_body_and_unknown_path(self, caller: Caller) -> None:
        assert (await caller.get("/cgi-bin/stable_token"))["errcode"] == 43302
        assert (await caller.post("/sns/jscode2session", {}))["errcode"] == 43301
        async with caller.http.post(caller.wechat.url + "/cgi-bin/stable_token", data=b"not json") as answer:
            assert (await answer.json())["errcode"] == 47001
        async with caller.http.post(caller.wechat.url + "/cgi-bin/stable_token", data=b"") as answer:
            assert (await answer.json())["errcode"] == 44002
        async with caller.http.get(caller.wechat.url + "/cgi-bin/nowhere") as answer:
            assert answer.status == 404

    @pytest.mark.parametrize("errcode", [45009, 40243, -1, 40001])
    async def test_any_errcode_can_be_ordered_for_the_next_calls(self, caller: Caller, errcode: int) -> None:
        await caller.control("/faults", match={"call": "stable_token"}, times=2, effect={"code": errcode})
        codes = [(await caller.stable()).get("errcode") for _ in range(3)]
        assert codes == [errcode, errcode, None]

    async def test_an_ordered_login_failure_does_not_burn_the_code(self, caller: Caller) -> None:
        code = await caller.login_code()
        await caller.control("/faults", match={"call": "jscode2session"}, effect={"code": -1})
        assert (await caller.log_in(code))["errcode"] == -1
        assert "openid" in await caller.log_in(code)

    async def test_json_may_come_as_text_plain_and_html_instead_of_json(self, caller: Caller) -> None:
        await caller.control("/faults", effect={"content_type": "text/plain"})
        await caller.control("/faults", effect={"body": "html", "status": 502})
        token = "/cgi-bin/token"
        query = caller.credentials(grant_type="client_credential")
        async with caller.http.get(caller.wechat.url + token, params=query) as answer:
            assert answer.content_type == "text/plain"
            assert "access_token" in await answer.json(content_type=None)
        async with caller.http.get(caller.wechat.url + token, params=query) as answer:
            assert (answer.status, answer.content_type) == (502, "text/html")

    async def test_unknown_people_are_refused_in_chinese(self, caller: Caller) -> None:
        async with caller.http.post(caller.wechat.url + "/_control/persons/nobody/login_code") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "沙箱里没有这个人：nobody"})
