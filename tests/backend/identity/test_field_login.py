"""Couriers and agents come in by the same rule, each by their own door, and a stranger's guesses do not shut them out."""

import pytest

from backend.identity import attempts, field_accounts, field_login, login, queries
from backend.identity.models import Session
from kernel import crypto, db
from kernel.problems import Conflict, Invalid, NotFound, TooMany
from tests.backend.identity.accounts import HOME, LOGIN, PASSWORD, enter, make

ROLES = pytest.mark.parametrize(("role", "other"), [("courier", "agent"), ("agent", "courier")])
ELSEWHERE = "198.51.100.7"


@pytest.fixture
def quick_passwords(monkeypatch):
    """Hundreds of tries: what is tested here is the counting, not the hash."""

    async def verify(password, stored):
        return stored is not None and password == stored

    async def keep(password):
        return password

    monkeypatch.setattr(crypto, "verify_password", verify)
    monkeypatch.setattr(crypto, "hash_password", keep)


async def guess(role, *, ip, times=1, login_name=LOGIN):
    """Wrong passwords; every one must be answered as such."""
    for _ in range(times):
        with pytest.raises(field_login.WrongPassword):
            await enter(role, password="wrong", ip=ip, login_name=login_name)


async def test_a_courier_gets_the_carriers_account(partners):
    me = await make("courier")
    assert me.name == "赵**"
    answer = await enter("courier")
    actor = await login.authenticate(token=answer.access_token)
    assert (actor.role, actor.carrier, actor.account_ref) == ("courier", "ems", me.courier_ref)
    assert answer.citizen is None and answer.agent is None and answer.courier == me
    assert await queries.courier_me(actor=actor) == me
    with pytest.raises(NotFound):
        await queries.agent_me(actor=actor)


async def test_an_agent_gets_the_account_of_the_roster(partners):
    me = await make("agent")
    answer = await enter("agent")
    actor = await login.authenticate(token=answer.access_token)
    assert (actor.role, actor.carrier, actor.account_ref) == ("agent", None, me.agent_ref)
    assert (actor.assurance_level, answer.citizen, answer.courier) == (0, None, None)
    assert answer.agent == me == await queries.agent_me(actor=actor)
    assert (me.name, me.kind_label, me.skills) == ("赵**", "代办员", ("优待证",))
    for of_a_courier in (
        queries.courier_me(actor=actor),
        queries.courier(me.agent_ref),
        queries.courier_by_login(LOGIN),
    ):
        with pytest.raises(NotFound):
            await of_a_courier


@ROLES
async def test_a_login_name_is_typed_as_people_type(partners, role, other):
    await make(role)
    assert await enter(role, login_name=f" {LOGIN.upper()} ")


@ROLES
async def test_the_other_door_answers_as_to_a_wrong_password(partners, role, other):
    """Same words and the same count as for a name that nobody has."""
    await make(role)
    for name in (LOGIN, "nobody"):
        for _ in range(5):
            with pytest.raises(field_login.WrongPassword) as refused:
                await enter(other, login_name=name)
            assert refused.value.detail == field_login.WrongPassword().detail
        with pytest.raises(TooMany):
            await enter(other, login_name=name)
    assert await Session.all().count() == 0
    assert await enter(role), "and the own door does not know of it"


@ROLES
async def test_a_login_name_serves_one_role_only(partners, role, other):
    await make(role)
    for taken in (role, other):
        with pytest.raises(field_accounts.LoginNameTaken):
            await make(taken)
    assert issubclass(field_accounts.LoginNameTaken, Conflict)


@ROLES
async def test_a_login_lasts_twelve_hours_and_is_renewed_meanwhile(partners, frozen_clock, role, other):
    me = await make(role)
    answer = await enter(role)
    frozen_clock.advance(hours=11, minutes=59)
    answer = await login.refresh(refresh_token=answer.refresh_token)
    assert (answer.courier or answer.agent) == me and answer.expires_in == 60
    frozen_clock.advance(minutes=2)
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=answer.refresh_token)


@ROLES
async def test_logout_ends_one_login_and_logout_all_every_one_of_the_person(partners, role, other):
    await login.login_wechat(code="code-citizen-with-the-same-number")
    await make(role)
    await make(other, login_name="somebody-else")
    answers = [await enter(role) for _ in range(3)]
    theirs = await enter(other, login_name="somebody-else")
    await login.logout(actor=await login.authenticate(token=answers[0].access_token))
    assert await login.authenticate(token=answers[0].access_token) is None
    assert await login.logout_all(actor=await login.authenticate(token=answers[1].access_token)) == 2
    assert await login.authenticate(token=answers[2].access_token) is None
    assert await login.authenticate(token=theirs.access_token)
    assert await Session.filter(revoked_at=None).count() == 2


@ROLES
async def test_disabling_ends_everything_at_once_and_only_in_the_right_role(partners, role, other):
    await make(role)
    answer = await enter(role)
    with pytest.raises(NotFound):
        await field_accounts.disable(role=other, login_name=LOGIN)
    assert await login.authenticate(token=answer.access_token)
    await field_accounts.disable(role=role, login_name=LOGIN)
    assert await login.authenticate(token=answer.access_token) is None
    with pytest.raises(login.SessionEnded):
        await login.refresh(refresh_token=answer.refresh_token)
    with pytest.raises(field_login.WrongPassword):
        await enter(role)


@ROLES
async def test_a_new_password_ends_the_old_sessions(partners, role, other):
    await make(role)
    answer = await enter(role)
    with pytest.raises(NotFound):
        await field_accounts.set_password(role=other, login_name=LOGIN, password="another-2026")
    await field_accounts.set_password(role=role, login_name=LOGIN, password="another-2026")
    assert await login.authenticate(token=answer.access_token) is None
    with pytest.raises(field_login.WrongPassword):
        await enter(role)
    assert await enter(role, password="another-2026")


@ROLES
async def test_unknown_and_wrong_look_alike_and_are_counted(partners, frozen_clock, role, other):
    await make(role)
    for name in (LOGIN, "nobody"):
        await guess(role, ip=HOME, times=5, login_name=name)
        with pytest.raises(TooMany) as refused:
            await enter(role, login_name=name)
        assert 0 < refused.value.retry_after_seconds <= 900
    frozen_clock.advance(minutes=15)
    assert await enter(role)


@ROLES
async def test_a_strangers_guesses_do_not_shut_the_person_out(partners, quick_passwords, frozen_clock, role, other):
    """Not even when they go on all day."""
    await make(role)
    refused = 0
    for _ in range(24 * 4):
        try:
            await guess(role, ip=ELSEWHERE, times=6)
        except TooMany:
            refused += 1
        frozen_clock.advance(minutes=14, seconds=50)
        assert await enter(role)
    assert refused == 24 * 4


async def test_one_network_has_twenty_wrong_tries_a_day(partners, quick_passwords, frozen_clock):
    await make("agent")
    for _ in range(4):
        await guess("agent", ip=ELSEWHERE, times=5)
        frozen_clock.advance(minutes=15)
    with pytest.raises(TooMany) as refused:
        await enter("agent", ip=ELSEWHERE)
    assert 22 * 3600 < refused.value.retry_after_seconds <= 23 * 3600
    frozen_clock.advance(hours=23)
    assert await enter("agent", ip=ELSEWHERE)


async def test_many_networks_together_have_a_hundred_and_a_known_one_is_not_held_by_them(
    partners, quick_passwords, frozen_clock
):
    await make("agent")
    assert await enter("agent")
    for n in range(25):
        await guess("agent", ip=f"203.0.113.{n}", times=4)
    for ip in ("203.0.113.200", ELSEWHERE):
        with pytest.raises(TooMany) as refused:
            await enter("agent", ip=ip)
        assert 23 * 3600 < refused.value.retry_after_seconds <= 24 * 3600
    assert await enter("agent"), "from here the person came in before"
    await guess("agent", ip=HOME, times=5)
    with pytest.raises(TooMany):
        await enter("agent")
    frozen_clock.advance(days=1)
    assert await enter("agent", ip=ELSEWHERE)


async def test_a_network_is_known_for_a_week(partners, quick_passwords, frozen_clock):
    await make("agent")
    assert await enter("agent")
    frozen_clock.advance(days=6, hours=23)
    for n in range(25):
        await guess("agent", ip=f"203.0.113.{n}", times=4)
    assert await enter("agent")
    frozen_clock.advance(days=7)
    await attempts.sweep()
    for n in range(25):
        await guess("agent", ip=f"203.0.113.{n}", times=4)
    with pytest.raises(TooMany):
        await enter("agent")


async def test_a_new_password_starts_at_zero(partners, quick_passwords):
    """What the refusal advises must help."""
    await make("courier")
    for n in range(25):
        await guess("courier", ip=f"203.0.113.{n}", times=4)
    with pytest.raises(TooMany) as refused:
        await enter("courier")
    assert "重置密码" in refused.value.detail
    await field_accounts.set_password(role="courier", login_name=LOGIN, password="another-2026")
    assert await enter("courier", password="another-2026")


async def test_ones_own_logins_are_not_counted(partners, quick_passwords):
    await make("courier")
    for n in range(120):
        assert await enter("courier", ip=f"10.0.{n}.1")
    for _ in range(30):
        assert await enter("courier")


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2001:db8:1:2::3", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::3", "2001:db8:1:3::3", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_who_moves_within_a_network_of_ipv6_is_one(one, two, same):
    assert (field_login.network(one) == field_login.network(two)) == same


async def test_neither_name_nor_network_nor_password_is_stored_with_the_counts(partners):
    await make("agent")
    await enter("agent")
    await guess("agent", ip=HOME)
    rows = str(await db.fetch("SELECT scope, subject FROM identity_attempt"))
    assert "field_login_known" in rows
    for secret in (LOGIN, HOME, PASSWORD, "argon2"):
        assert secret not in rows


@ROLES
async def test_bad_data_of_an_account_are_refused_all_at_once(partners, frozen_clock, role, other):
    wrong = {
        "courier": {"carrier": "EMS!"},
        "agent": {
            "organisation": " ", "skills": ("x" * 41,), "serving_since_on": frozen_clock.now().date().replace(year=2999),
        },
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await make(role, login_name="a b", password="12345678", name="赵", phone="123", areas=("62x",), **wrong[role])
    assert {e.pointer for e in refused.value.errors} == {
        "/login_name", "/password", "/name", "/phone", "/areas/0", *(f"/{name}" for name in wrong[role])
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await make(role, areas=())
    assert [e.pointer for e in refused.value.errors] == ["/areas"]


async def test_the_list_of_a_role_holds_that_role_only_and_no_clear_name(partners):
    await make("agent")
    await make("agent", login_name="an.other", name="李大年", skills=())
    await make("courier", login_name="ems.zhao")
    await field_accounts.disable(role="agent", login_name=LOGIN)
    rows = await field_accounts.roster(role="agent")
    assert [(r.login_name, r.name, r.disabled_at is None) for r in rows] == [
        ("an.other", "李**", True), (LOGIN, "赵**", False)
    ]  # fmt: skip
    assert {r.carrier for r in rows} == {None} and {r.kind_label for r in rows} == {"代办员"}
    (courier,) = await field_accounts.roster(role="courier")
    assert (courier.carrier, courier.organisation, courier.skills) == ("ems", None, None)
