"""WeChat's transport against a small fake: tokens, the single retry, and errors that give nothing away (DP10)."""

import asyncio
import traceback

import pytest
import structlog
from aiohttp import web

from kernel import db, http
from kernel.config import ConfigError, load_one
from kernel.http import NoAnswer, NotSent, Partner
from kernel.wechat import MISCONFIGURED, WeChat, WeChatError, WeChatSettings
from tests.kernel.wechat_fake import APPID, OPENID, SECRET, FakeWeChat


@pytest.fixture
async def fake(database):
    fake = FakeWeChat()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    fake.wechat = wechat(fake)
    yield fake
    await http.close()
    await runner.cleanup()


def wechat(fake: FakeWeChat, **options) -> WeChat:
    settings = WeChatSettings(base_url=fake.url, appid=APPID, secret=SECRET, message_state="trial")
    return WeChat(settings, Partner("wechat", fake.url, **options))


def phone_answer(**changes) -> dict:
    info = {
        "phoneNumber": "13900000001",
        "purePhoneNumber": "13900000001",
        "countryCode": "86",
        "watermark": {"timestamp": 1, "appid": APPID},
    }
    return {"errcode": 0, "errmsg": "ok", "phone_info": info | changes}


async def send(wechat: WeChat, **changes) -> None:
    message = {
        "openid": OPENID,
        "template_id": "T1",
        "values": {"thing1": "优待证"},
        "page": "biz/case/index",
    } | changes
    await wechat.send_subscribe_message(**message)


# -- login ---------------------------------------------------------------------------------------------------------


async def test_login_carries_no_token_and_fetches_none(fake):
    fake.answers = [{"openid": OPENID, "session_key": "k==", "unionid": "u"}]
    login = await fake.wechat.code2session("code")
    assert (login.openid, login.unionid) == (OPENID, "u")
    assert fake.paths == ["/sns/jscode2session"]
    assert dict(fake.calls[0].query) == {
        "appid": APPID,
        "secret": SECRET,
        "js_code": "code",
        "grant_type": "authorization_code",
    }


async def test_a_login_hands_out_no_session_key_and_shows_no_openid(fake):
    fake.answers = [{"openid": OPENID, "session_key": "k=="}]
    login = await fake.wechat.code2session("code")
    assert not hasattr(login, "session_key")
    assert OPENID not in repr(login)


@pytest.mark.parametrize("answer", [{}, {"errcode": 0}, {"openid": ""}, {"openid": 5}, {"session_key": "k"}])
async def test_an_answer_without_openid_is_a_failure(fake, answer):
    fake.answers = [answer]
    with pytest.raises(WeChatError):
        await fake.wechat.code2session("code")


@pytest.mark.parametrize("code", [40029, 40163, 45011, 40226, -1, 45009])
async def test_a_refusal_keeps_its_code_and_the_id_for_support(fake, code):
    fake.answers = [{"errcode": code, "errmsg": "no rid: 65000000-1234abcd-0000ffff"}]
    with pytest.raises(WeChatError) as raised:
        await fake.wechat.code2session("code")
    assert raised.value.errcode == code
    assert raised.value.rid == "65000000-1234abcd-0000ffff"


async def test_a_code_with_odd_characters_arrives_as_it_was(fake):
    fake.answers = [{"openid": OPENID}]
    await fake.wechat.code2session("a&b=c%2F+ 中")
    assert fake.calls[0].query["js_code"] == "a&b=c%2F+ 中"


# -- phone ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", ["86", 86])
async def test_the_phone_number_comes_with_its_country_as_text(fake, country):
    fake.answers = [phone_answer(countryCode=country)]
    phone = await fake.wechat.phone_number(code="c", openid=OPENID)
    assert (phone.number, phone.country_code) == ("13900000001", "86")
    assert "139" not in repr(phone)
    assert fake.bodies[-1] == {"code": "c", "openid": OPENID}
    assert fake.calls[-1].query["access_token"] == "TOKEN1"


@pytest.mark.parametrize(
    "answer",
    [
        phone_answer(watermark={"timestamp": 1, "appid": "wxother"}),
        phone_answer(watermark={}),
        phone_answer(purePhoneNumber=None),
        {"errcode": 0, "phone_info": {}},
        {"errcode": 0},
    ],
)
async def test_a_number_of_another_mini_program_or_half_a_number_is_refused(fake, answer):
    fake.answers = [answer]
    with pytest.raises(WeChatError):
        await fake.wechat.phone_number(code="c", openid=OPENID)


# -- subscribe message ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"errcode": 0, "errmsg": "ok"}, {"errcode": 0, "errmsg": "ok", "msgid": 3}])
async def test_a_message_says_which_version_and_language_to_open(fake, answer):
    fake.answers = [answer]
    await send(fake.wechat)
    assert fake.bodies[-1] == {
        "touser": OPENID,
        "template_id": "T1",
        "page": "biz/case/index",
        "data": {"thing1": {"value": "优待证"}},
        "miniprogram_state": "trial",
        "lang": "zh_CN",
    }


async def test_a_message_without_page_sends_none(fake):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat, page=None)
    assert "page" not in fake.bodies[-1]


async def test_the_wrong_field_is_named_its_value_is_not(fake):
    fake.answers = [{"errcode": 47003, "errmsg": "argument invalid! data.thing1.value is emtpy 王小芳 rid: 1-2"}]
    with pytest.raises(WeChatError) as raised:
        await send(fake.wechat)
    assert raised.value.field == "thing1"
    assert "王小芳" not in str(raised.value) + raised.value.reason


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=502, text="<html>bad gateway</html>"),
        web.Response(status=200, text="<html>maintenance</html>", content_type="text/html"),
        web.Response(status=200, text="[]"),
        web.Response(status=200, text=""),
        web.Response(status=200, text="{}"),
    ],
)
async def test_a_page_instead_of_an_answer_leaves_the_outcome_unknown(fake, answer):
    fake.answers = [answer]
    with pytest.raises(NoAnswer):
        await send(fake.wechat)


async def test_an_unknown_path_is_a_refusal_without_code(fake):
    fake.answers = [web.Response(status=404)]
    with pytest.raises(WeChatError) as raised:
        await send(fake.wechat)
    assert raised.value.errcode is None


# -- the token -----------------------------------------------------------------------------------------------------


async def test_fifty_callers_at_once_make_one_token_fetch(fake):
    fake.answers = [{"errcode": 0}]
    fake.token_delay = 0.05
    await asyncio.gather(*(send(fake.wechat) for _ in range(50)))
    assert fake.paths.count("/cgi-bin/stable_token") == 1


async def test_another_process_waits_for_the_token_of_the_first(fake):
    fake.answers = [{"errcode": 0}]
    fake.token_delay = 0.15
    await asyncio.gather(send(wechat(fake)), send(wechat(fake)), send(wechat(fake)))
    assert fake.paths.count("/cgi-bin/stable_token") == 1


async def test_the_token_is_fetched_in_the_normal_mode_and_stored_sealed(fake):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat)
    assert fake.bodies[0] == {
        "grant_type": "client_credential",
        "appid": APPID,
        "secret": SECRET,
        "force_refresh": False,
    }
    rows = await db.fetch("SELECT * FROM kernel_partner_token")
    assert len(rows) == 1
    assert "TOKEN1" not in repr(rows)


async def test_a_token_below_five_minutes_is_renewed_and_the_same_one_again_is_no_error(fake, frozen_clock):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat)
    frozen_clock.advance(seconds=6890)
    await send(fake.wechat)
    assert fake.tokens == 1
    frozen_clock.advance(seconds=20)
    fake.tokens = 0  # WeChat renews by itself and may answer the same value
    await send(fake.wechat)
    assert fake.paths.count("/cgi-bin/stable_token") == 2


async def test_while_the_next_token_cannot_be_fetched_the_old_one_is_used_to_its_end(fake, frozen_clock):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat)
    frozen_clock.advance(seconds=7000)
    fake.token_answers = [web.Response(status=502)]
    await send(fake.wechat)
    assert fake.calls[-1].query["access_token"] == "TOKEN1"
    frozen_clock.advance(seconds=300)
    fake.token_answers = [web.Response(status=502)]
    with pytest.raises(NoAnswer):
        await send(fake.wechat)


async def test_a_refused_token_is_fetched_anew_and_the_call_repeated_once(fake):
    fake.answers = [{"errcode": 0}]
    fake.dead = {"TOKEN1"}
    await send(fake.wechat)
    assert [request.query.get("access_token") for request in fake.calls] == [None, "TOKEN1", None, "TOKEN2"]


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_a_token_refused_for_ever_ends_after_two_calls(fake, code):
    fake.answers = [{"errcode": code, "errmsg": "invalid credential"}]
    with pytest.raises(WeChatError) as raised:
        await send(fake.wechat)
    assert raised.value.errcode == code
    assert fake.paths.count("/cgi-bin/message/subscribe/send") == 2
    assert fake.paths.count("/cgi-bin/stable_token") == 2


async def test_a_refused_token_does_not_throw_away_the_newer_one_of_another_process(fake):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat)
    holder = fake.wechat._client.tokens
    await holder.drop("TOKEN0")
    assert await holder.get() == "TOKEN1"
    await holder.drop("TOKEN1")
    assert await holder.get() == "TOKEN2"


async def test_fifty_callers_with_one_dead_token_fetch_one_new_one(fake):
    fake.answers = [{"errcode": 0}]
    await send(fake.wechat)
    fake.dead = {"TOKEN1"}
    await asyncio.gather(*(send(fake.wechat) for _ in range(50)))
    assert fake.tokens == 2


async def test_a_failed_fetch_fails_the_queue_behind_it_at_once(fake):
    fake.token_delay = 0.05
    fake.token_answers = [web.Response(status=502)] * 50
    results = await asyncio.gather(*(send(fake.wechat) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(result, NoAnswer) for result in results)
    assert len(fake.calls) == 1


@pytest.mark.parametrize("code", sorted(MISCONFIGURED))
async def test_a_wrong_secret_is_a_refusal_and_the_lease_is_given_back(fake, code):
    fake.token_answers = [{"errcode": code, "errmsg": "invalid appsecret"}]
    fake.answers = [{"errcode": 0}]
    with pytest.raises(WeChatError) as raised:
        await send(fake.wechat)
    assert raised.value.errcode == code
    await send(fake.wechat)


@pytest.mark.parametrize(
    "answer", [{"access_token": "", "expires_in": 7200}, {"expires_in": 1}, {"access_token": "x"}, []]
)
async def test_half_a_token_is_no_token(fake, answer):
    fake.token_answers = [answer]
    with pytest.raises(NoAnswer):
        await send(fake.wechat)


async def test_a_lease_whose_holder_died_is_taken_over(fake, frozen_clock):
    fake.answers = [{"errcode": 0}]
    holder = fake.wechat._client.tokens
    assert await holder._claim("dead")
    assert not await holder._claim("mine")
    frozen_clock.advance(seconds=11)
    await send(fake.wechat)


async def test_a_lease_from_a_clock_that_jumped_is_taken_over(fake, frozen_clock):
    fake.answers = [{"errcode": 0}]
    holder = fake.wechat._client.tokens
    frozen_clock.advance(hours=1)
    assert await holder._claim("dead")
    frozen_clock.advance(hours=-1)
    await send(fake.wechat)


async def test_a_caller_who_is_cancelled_gives_the_lease_back(fake):
    fake.answers = [{"errcode": 0}]
    fake.token_delay = 0.2
    task = asyncio.create_task(send(fake.wechat))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fake.token_delay = 0
    await send(fake.wechat)


async def test_wechat_is_never_called_inside_a_transaction(fake):
    with pytest.raises(RuntimeError):
        async with db.transaction():
            await send(fake.wechat)


# -- what stays inside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"errcode": 40001, "errmsg": "no"},
        {"errcode": 45009, "errmsg": "no"},
        web.Response(status=500),
        web.Response(status=404),
    ],
)
async def test_no_error_and_no_log_holds_url_token_secret_or_openid(fake, answer):
    fake.answers = [answer]
    with structlog.testing.capture_logs() as lines, pytest.raises(Exception) as raised:
        await send(fake.wechat)
    with pytest.raises(WeChatError) as login:
        fake.answers = [{"errcode": 40029, "errmsg": "no"}]
        await fake.wechat.code2session("code")
    shown = repr(lines) + "".join(traceback.format_exception(raised.value)) + repr(login.value)
    for secret in ("TOKEN", SECRET, OPENID, "access_token=", fake.url):
        assert secret not in shown
    seen: list[BaseException | None] = [raised.value]
    while seen[-1] is not None:
        assert not getattr(seen[-1], "response", None)
        assert not getattr(seen[-1], "request", None)
        seen.append(seen[-1].__cause__ or seen[-1].__context__)


async def test_wechat_down_is_not_sent_or_no_answer(fake):
    gone = WeChat(WeChatSettings(base_url="http://127.0.0.1:1", appid=APPID, secret=SECRET))
    with pytest.raises(NotSent):
        await gone.code2session("code")


async def test_endpoints_on_another_host_are_refused(fake):
    for address in ("https://mp.weixin.qq.com/cgi-bin/x", "https://api.weixin.qq.com/a?access_token=x"):
        with pytest.raises(ValueError, match="another host"):
            await fake.wechat._client.post(address, data={})


def test_half_a_push_configuration_is_a_complaint():
    base = {"WECHAT_BASE_URL": "http://x", "WECHAT_APPID": "a", "WECHAT_SECRET": "b"}
    for more in ({"WECHAT_PUSH_TOKEN": "t"}, {"WECHAT_PUSH_TOKEN": "t", "WECHAT_PUSH_AES_KEY": "short"}):
        with pytest.raises(ConfigError):
            load_one(WeChatSettings, base | more)
    assert SECRET not in repr(load_one(WeChatSettings, base | {"WECHAT_SECRET": SECRET}))
