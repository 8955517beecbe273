"""From the code on the phone to our session, over WeChat's real wire: each refusal has its own words for the person."""

import pytest

from backend.identity import login, ports, queries, verification
from backend.identity.models import Session
from backend.identity.settings import IdentitySettings
from backend.identity.wechat import PhoneCodeRefused, WechatAdapter, WechatBlocked, WechatDown
from kernel import db, http
from kernel.http import Partner
from kernel.problems import TooMany
from kernel.wechat import WeChat, WeChatSettings
from sandbox.serving import serving
from sandbox.wechat import build
from tests.backend.identity.fakes import FakeRegister


@pytest.fixture
async def sandbox(tmp_path, database):
    async with serving(build, tmp_path) as partner:
        console = partner.environment()
        settings = WeChatSettings(
            base_url=console["WECHAT_BASE_URL"],
            appid=console["WECHAT_APPID"],
            secret=console["WECHAT_SECRET"],
            push_token=console["WECHAT_PUSH_TOKEN"],
            push_aes_key=console["WECHAT_PUSH_AES_KEY"],
        )
        wechat = WeChat(settings, Partner("wechat", partner.url, total_seconds=2))
        ports.configure(settings=IdentitySettings(), wechat=WechatAdapter(wechat), register=FakeRegister())
        yield partner
    await http.close()


def code(sandbox, kind="login", **more):
    return sandbox.people.issue_code(sandbox.people.find("zhangguilan"), kind, **more)["code"]


async def test_a_code_opens_one_session_and_the_phone_button_proves_the_number(sandbox):
    used = code(sandbox)
    answer = await login.login_wechat(code=used)
    actor = await login.authenticate(token=answer.access_token)
    assert await queries.openid(actor.account_ref) == sandbox.people.find("zhangguilan")["openid"]
    me = await verification.bind_phone(actor=actor, code=code(sandbox, "phone", phone="13900000001", country_code="86"))
    assert (me.assurance_level, me.phone) == (1, "139****0001")
    with pytest.raises(login.CodeRefused):
        await login.login_wechat(code=used)
    with pytest.raises(PhoneCodeRefused):
        await verification.bind_phone(actor=actor, code="login-codes-do-not-fit-here")
    assert await Session.all().count() == 1


async def test_wechats_session_key_is_kept_nowhere(sandbox):
    await login.login_wechat(code=code(sandbox))
    tables = ("identity_account", "identity_session")
    columns = {name for table in tables for row in await db.fetch(f"SELECT * FROM {table}") for name in row}
    assert not any("session_key" in name or "unionid" in name for name in columns)


@pytest.mark.parametrize(
    ("effect", "problem"),
    [
        ({"code": 45011}, TooMany),
        ({"code": 40226}, WechatBlocked),
        ({"code": 40029}, login.CodeRefused),
        ({"status": 503}, WechatDown),
        ({"body": "garbage"}, WechatDown),
        ({"drop": "before"}, WechatDown),
    ],
)
async def test_each_refusal_has_its_own_words_and_opens_nothing(sandbox, effect, problem):
    sandbox.faults.order({"match": {"call": "jscode2session"}, "times": 5, "effect": effect})
    with pytest.raises(problem) as refused:
        await login.login_wechat(code=code(sandbox))
    assert any("\u4e00" <= character <= "\u9fff" for character in refused.value.detail)
    assert await Session.all().count() == 0
