"""Phone and real name: what lifts the assurance level, what the register may answer, and what is never stored in
clear.
"""

import hashlib

import pytest

from backend.identity import login, queries, verification
from backend.identity.actor import AssuranceTooLow
from backend.identity.models import Account, Verification
from backend.identity.ports import RegisterOutcome
from kernel import db
from kernel.idempotency import Idempotency
from kernel.problems import Invalid, NotFound, PartnerDown, Problem, TooMany
from tests.backend.identity import accounts
from tests.backend.identity.fakes import LI, WANG


async def verify(actor, person=WANG, idem=None):
    """With a phone bound before, as the phone's screens do it."""
    if (await queries.person(actor.account_ref)).phone is None:
        await verification.bind_phone(actor=actor, code="phone-13900000001")
    return await verification.verify_identity(actor=actor, name=person[0], id_number=person[1], idem=idem)


async def level(actor):
    return (await queries.person(actor.account_ref)).assurance_level


async def test_wechats_phone_button_gives_level_one(citizen):
    me = await verification.bind_phone(actor=citizen, code="phone-13900000001")
    assert (me.assurance_level, me.phone) == (1, "139****0001")
    assert (await queries.person(citizen.account_ref)).phone == "13900000001"
    assert "13900000001" not in str(await db.fetch("SELECT * FROM identity_account"))


async def test_a_foreign_number_is_kept_as_it_is(citizen):
    me = await verification.bind_phone(actor=citizen, code="phone-852+61234567")
    assert me.phone.endswith("67") and (await Account.get()).phone_country_code == "852"


async def test_name_and_number_give_level_two_and_only_masks_are_shown(citizen, register):
    me = await verify(citizen)
    assert (me.assurance_level, me.assurance_label) == (2, "已实名")
    assert (me.name, me.id_number, me.id_type_label) == ("王**", "570***********3020", "居民身份证")
    assert me.identity_verified_at.utcoffset().total_seconds() == 8 * 3600
    person = await queries.person(citizen.account_ref)
    assert (person.name, person.id_number, person.id_type) == (*WANG, "resident_id")
    stored = str(await db.fetch("SELECT * FROM identity_account")) + str(
        await db.fetch("SELECT * FROM identity_verification")
    )
    assert WANG[0] not in stored and WANG[1] not in stored
    assert register.questions[0][:2] == WANG


async def test_the_next_request_sees_the_new_level(partners):
    answer = await login.login_wechat(code="code-x")
    await verify(await login.authenticate(token=answer.access_token))
    assert (await login.authenticate(token=answer.access_token)).assurance_level == 2


async def test_the_input_is_normalised_before_the_register_is_asked(citizen, register):
    await verify(citizen, (" 李大年 ", "57010119740923019x"))
    assert register.questions[0][:2] == LI


async def test_every_fault_of_the_input_is_told_and_the_register_not_bothered(citizen, register):
    with pytest.raises(Invalid) as refused:
        await verification.verify_identity(actor=citizen, name="王", id_number="570101190013410011")
    assert [e.pointer for e in refused.value.errors] == ["/name", "/id_number", "/id_number"]
    assert register.questions == [] and await Verification.all().count() == 0


@pytest.mark.parametrize(
    ("outcome", "status", "code", "words"),
    [
        (RegisterOutcome.NAME_MISMATCH, 422, "identity-mismatch", "核对姓名"),
        (RegisterOutcome.UNKNOWN, 422, "identity-mismatch", "没有查到"),
        (RegisterOutcome.DECEASED, 403, "identity-blocked", "派出所"),
        (RegisterOutcome.MINOR, 403, "identity-blocked", "监护人"),
        (RegisterOutcome.NEEDS_CLERK, 409, "identity-needs-clerk", "生僻字"),
        (RegisterOutcome.UNAVAILABLE, 503, "partner-down", "几分钟后"),
    ],
)
async def test_each_answer_of_the_register_has_its_own_words(citizen, register, outcome, status, code, words):
    register.outcomes[WANG[1]] = outcome
    with pytest.raises(Problem) as refused:
        await verify(citizen)
    problem = refused.value
    assert (problem.status, problem.code) == (status, code) and words in problem.detail
    assert WANG[0] not in problem.detail and WANG[1] not in problem.detail
    assert await level(citizen) == 1 and (await queries.person(citizen.account_ref)).name is None
    assert (await Verification.get()).outcome == outcome.value


async def test_an_unclear_answer_can_be_tried_again_and_succeeds(citizen, register):
    register.outcomes[WANG[1]] = RegisterOutcome.UNAVAILABLE
    with pytest.raises(PartnerDown):
        await verify(citizen)
    del register.outcomes[WANG[1]]
    assert (await verify(citizen)).assurance_level == 2


async def test_an_outage_of_the_register_costs_nobody_a_try(citizen, register):
    """Phones repeat a 503 by themselves: a few seconds of outage used to lock people out for the rest of the day."""
    register.outcomes[WANG[1]] = RegisterOutcome.UNAVAILABLE
    for _ in range(12):
        with pytest.raises(PartnerDown):
            await verify(citizen)
    register.outcomes[WANG[1]] = RegisterOutcome.NAME_MISMATCH
    for _ in range(5):
        with pytest.raises(verification.IdentityMismatch):
            await verify(citizen)
    with pytest.raises(TooMany):
        await verify(citizen)


async def test_the_question_is_on_record_before_it_is_asked(citizen, register):
    async def dies(**_):
        assert (await Verification.get()).outcome == "asked"
        raise RuntimeError("the process died here")

    register.verify = dies
    with pytest.raises(RuntimeError):
        await verify(citizen)
    assert (await Verification.get()).answered_at is None, "a crash leaves the open question visible"


async def test_five_tries_a_day_per_account(citizen, register, frozen_clock):
    register.outcomes[WANG[1]] = RegisterOutcome.NAME_MISMATCH
    for _ in range(5):
        with pytest.raises(verification.IdentityMismatch):
            await verify(citizen)
    with pytest.raises(TooMany) as refused:
        await verify(citizen)
    assert refused.value.retry_after_seconds == 24 * 3600 and len(register.questions) == 5
    frozen_clock.advance(days=1)
    del register.outcomes[WANG[1]]
    assert (await verify(citizen)).assurance_level == 2


async def test_many_accounts_cannot_guess_the_name_of_one_number(partners, register):
    register.outcomes[WANG[1]] = RegisterOutcome.NAME_MISMATCH
    for n in range(10):
        answer = await login.login_wechat(code=f"code-guesser-{n}")
        with pytest.raises(verification.IdentityMismatch):
            await verify(await login.authenticate(token=answer.access_token))
    answer = await login.login_wechat(code="code-guesser-11")
    with pytest.raises(TooMany):
        await verify(await login.authenticate(token=answer.access_token))


async def test_verifying_again_as_the_same_person_asks_nobody(citizen, register):
    await verify(citizen)
    assert (await verify(citizen)).assurance_level == 2
    assert len(register.questions) == 1


async def test_another_name_with_the_same_number_is_a_mismatch_and_costs_a_try(citizen, register):
    await verify(citizen)
    for _ in range(4):
        with pytest.raises(verification.IdentityMismatch) as refused:
            await verify(citizen, ("王秀英", WANG[1]))
        assert [e.pointer for e in refused.value.errors] == ["/name"]
    with pytest.raises(TooMany):
        await verify(citizen, ("王秀英", WANG[1]))
    assert (await verify(citizen)).name == "王**" and len(register.questions) == 1


async def test_a_verified_account_cannot_become_somebody_else(citizen):
    await verify(citizen)
    with pytest.raises(verification.IdentityFixed):
        await verify(citizen, LI)
    assert (await queries.person(citizen.account_ref)).name == WANG[0]


async def test_one_person_may_have_two_accounts(partners):
    for openid in ("code-phone", "code-tablet"):
        answer = await login.login_wechat(code=openid)
        assert (await verify(await login.authenticate(token=answer.access_token))).assurance_level == 2


async def test_a_repeated_request_gets_the_first_answer(citizen, register):
    idem = Idempotency("citizen:me/identity", "k1", hashlib.sha256(b"body").hexdigest())
    first = await verify(citizen, idem=idem)
    assert await verify(citizen, idem=idem) == first and len(register.questions) == 1


async def test_a_phone_bound_later_keeps_level_two(citizen):
    await verify(citizen)
    assert (await verification.bind_phone(actor=citizen, code="phone-13900000002")).assurance_level == 2


async def test_the_phone_comes_before_the_name(citizen, register):
    """Without a number the window takes no case: who proves only the name would pay and then be refused."""
    with pytest.raises(AssuranceTooLow) as refused:
        await verification.verify_identity(actor=citizen, name=WANG[0], id_number=WANG[1])
    assert refused.value.status == 428 and "请先绑定手机号，再完成实名认证" in refused.value.detail
    assert refused.value.extra == {"required_level": 1, "current_level": 0, "action": "bind_phone"}
    assert register.questions == [] and await Verification.all().count() == 0
    assert (await verify(citizen)).assurance_level == 2, "and no try was lost"


@pytest.mark.parametrize("role", ["courier", "agent"])
async def test_field_workers_have_no_citizen_account(partners, role):
    """Also where their number is a citizen's: the two are counted apart."""
    await accounts.make(role)
    actor = await login.authenticate(token=(await accounts.enter(role)).access_token)
    await Account.create(id=actor.account_id, ref="a-citizen")
    for call in (queries.me(actor=actor), verify(actor), verification.bind_phone(actor=actor, code="phone-139")):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        await queries.person("nobody")
