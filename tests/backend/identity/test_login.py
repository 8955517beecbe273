"""Logging in, staying in and going out; a dead token never opens anything."""

import asyncio

import pytest

from backend.identity import handlers, login, queries
from backend.identity.models import Account, RefreshReplay, Session
from kernel import db
from tests.backend.identity import fakes


async def test_the_first_login_creates_the_account_and_the_second_finds_it(partners):
    first = await login.login_wechat(code="code-openid-a")
    second = await login.login_wechat(code="code-openid-a#2", device="another phone")
    assert first.access_token != second.access_token
    one, two = [await login.authenticate(token=a.access_token) for a in (first, second)]
    assert one.account_ref == two.account_ref and one.session_id != two.session_id
    assert one.role == "citizen" and one.assurance_level == 0 and one.carrier is None
    assert first.citizen.assurance_label == "未验证" and first.expires_in == 30 * 60


async def test_two_first_logins_at_once_meet_on_one_account(partners):
    await asyncio.gather(*(login.login_wechat(code=f"code-openid-a#{n}") for n in range(5)))
    assert await Account.all().count() == 1 and await Session.all().count() == 5


async def test_a_used_code_opens_nothing(partners):
    await login.login_wechat(code="code-openid-a")
    with pytest.raises(login.CodeRefused):
        await login.login_wechat(code="code-openid-a")
    assert await Session.all().count() == 1


async def test_neither_token_nor_openid_is_stored(partners):
    answer = await login.login_wechat(code="code-openid-secret")
    row = str(await db.fetch("SELECT * FROM identity_session")) + str(await db.fetch("SELECT * FROM identity_account"))
    for secret in (answer.access_token, answer.refresh_token, "openid-secret"):
        assert secret not in row
    account = await Account.get()
    assert await queries.openid(account.ref) == "openid-secret"
    assert await queries.openid("nobody") is None


@pytest.mark.parametrize("token", ["", "x", "é" * 20, "a" * 500, "令牌"])
async def test_nonsense_is_nobody(partners, token):
    assert await login.authenticate(token=token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=token, idempotency_key="k")


async def test_a_refresh_token_is_no_access_token(partners):
    answer = await login.login_wechat(code="code-openid-a")
    assert await login.authenticate(token=answer.refresh_token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=answer.access_token)


async def test_thirty_idle_minutes_end_the_access_token_but_not_the_session(partners, frozen_clock):
    answer = await login.login_wechat(code="code-openid-a")
    frozen_clock.advance(minutes=29)
    assert await login.authenticate(token=answer.access_token)
    frozen_clock.advance(minutes=29)
    assert await login.authenticate(token=answer.access_token), "use moves the idle limit"
    frozen_clock.advance(minutes=31)
    assert await login.authenticate(token=answer.access_token) is None
    again = await login.refresh(refresh_token=answer.refresh_token)
    assert await login.authenticate(token=again.access_token)


async def test_last_used_is_written_at_most_once_a_minute(partners, frozen_clock):
    answer = await login.login_wechat(code="code-openid-a")

    async def last_used():
        return (await Session.get()).last_used_at

    start = await last_used()
    frozen_clock.advance(seconds=30)
    await login.authenticate(token=answer.access_token)
    assert await last_used() == start
    frozen_clock.advance(seconds=31)
    await login.authenticate(token=answer.access_token)
    assert (await last_used() - start).total_seconds() == 61


async def test_seven_days_end_everything_however_busy(partners, frozen_clock):
    answer = await login.login_wechat(code="code-openid-a")
    for _ in range(6):
        frozen_clock.advance(days=1)
        answer = await login.refresh(refresh_token=answer.refresh_token)
    frozen_clock.advance(hours=23, minutes=50)
    answer = await login.refresh(refresh_token=answer.refresh_token)
    assert answer.expires_in == 600, "the last access token ends with the session"
    frozen_clock.advance(minutes=11)
    assert await login.authenticate(token=answer.access_token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=answer.refresh_token)


async def test_refresh_kills_the_old_access_token(partners):
    first = await login.login_wechat(code="code-openid-a")
    second = await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1")
    assert await login.authenticate(token=first.access_token) is None
    assert await login.authenticate(token=second.access_token)


async def test_a_lost_answer_is_given_again_for_a_minute(partners, frozen_clock):
    first = await login.login_wechat(code="code-openid-a")
    second = await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1")
    frozen_clock.advance(seconds=59)
    assert await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1") == second
    assert await login.authenticate(token=second.access_token)


async def test_the_same_refresh_twice_at_once_is_one_rotation(partners):
    first = await login.login_wechat(code="code-openid-a")
    answers = await asyncio.gather(
        *(login.refresh(refresh_token=first.refresh_token, idempotency_key="k1") for _ in range(4))
    )
    assert all(a == answers[0] for a in answers)
    assert await login.authenticate(token=answers[0].access_token)


@pytest.mark.parametrize(("key", "seconds"), [("another", 1), (None, 1), ("k1", 61)])
async def test_any_other_reuse_ends_the_family_for_thief_and_owner(partners, frozen_clock, key, seconds):
    first = await login.login_wechat(code="code-openid-a")
    second = await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1")
    frozen_clock.advance(seconds=seconds)
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=first.refresh_token, idempotency_key=key)
    assert await login.authenticate(token=second.access_token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=second.refresh_token, idempotency_key="k2")
    with pytest.raises(login.SessionEnded):  # the sealed answer is gone as well
        await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1")
    assert (await Session.get()).revoked_reason == "refresh_reused"


async def test_another_family_of_the_same_person_lives_on(partners):
    phone = await login.login_wechat(code="code-openid-a")
    tablet = await login.login_wechat(code="code-openid-a#2")
    await login.refresh(refresh_token=phone.refresh_token)
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=phone.refresh_token)
    assert await login.authenticate(token=tablet.access_token)


async def test_logout_ends_one_session_logout_all_every_one(partners):
    answers = [await login.login_wechat(code=f"code-openid-a#{n}") for n in range(3)]
    stranger = await login.login_wechat(code="code-openid-b")
    await login.logout(actor=await login.authenticate(token=answers[0].access_token))
    assert await login.authenticate(token=answers[0].access_token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=answers[0].refresh_token)
    assert await login.logout_all(actor=await login.authenticate(token=answers[1].access_token)) == 2
    assert await login.authenticate(token=answers[2].access_token) is None
    assert await login.authenticate(token=stranger.access_token)


async def test_the_sweep_forgets_answers_after_a_minute_and_dead_families_after_a_week(partners, frozen_clock):
    first = await login.login_wechat(code="code-openid-a")
    await login.refresh(refresh_token=first.refresh_token, idempotency_key="k1")
    frozen_clock.advance(seconds=61)
    await handlers.sweep()
    assert (await RefreshReplay.get()).answer_sealed is None
    frozen_clock.advance(days=15)
    await handlers.sweep()
    assert await Session.all().count() == 0 and await RefreshReplay.all().count() == 0
    assert await Account.all().count() == 1


def test_the_fakes_are_synthetic():
    assert all(number.startswith("57") for _, number in (fakes.WANG, fakes.LI))
