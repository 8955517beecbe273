"""Proving who one is: the phone through WeChat's button, name and number through the population register. Raises
the assurance level, never lowers it.
"""

from datetime import timedelta

from backend.formats import identity_number, names, phones
from backend.identity import attempts
from backend.identity.actor import NAME_AND_ID, PHONE, Actor, AssuranceTooLow
from backend.identity.models import Account, Verification
from backend.identity.ports import RegisterOutcome, runtime
from backend.identity.views import Me, me_of
from kernel import clock, crypto, db, ids
from kernel.idempotency import Idempotency, run_once
from kernel.masks import mask_id_number, mask_name, mask_phone
from kernel.problems import Conflict, FieldError, Forbidden, Invalid, NotFound, PartnerDown, Problem

_DAY = timedelta(days=1)


class IdentityMismatch(Invalid):
    """The register answered and does not agree; `errors` points at the field to correct."""

    code, title = "identity-mismatch", "姓名和身份证号码没有通过核验"


class IdentityBlocked(Forbidden):
    """The register knows the person, but the phone is not the right way for them."""

    code, title = "identity-blocked", "这个身份信息不能在手机上核验"


class IdentityNeedsClerk(Conflict):
    """The register cannot write this name; a person must compare it. Not a rejection."""

    code, title = "identity-needs-clerk", "您的姓名需要由窗口人员核对"


class IdentityFixed(Conflict):
    """The account already belongs to a verified person."""

    code, title = "identity-already-verified", "这个账号已经实名，不能改成其他人"


async def bind_phone(*, actor: Actor, code: str) -> Me:
    """Stores the number WeChat vouches for and lifts the account to level 1. The code is single-use, so a repeat
    needs a new tap.
    """
    await attempts.take(
        scope="bind_phone",
        subject=actor.account_ref,
        limit=runtime().settings.phone_tries_per_day,
        window=_DAY,
        detail="今天换绑手机号的次数已用完，请明天再试",
    )
    openid = await _openid(actor)
    try:
        phone = await runtime().wechat.phone_for(code=code, openid=openid)
    except PartnerDown:
        await attempts.give_back(scope="bind_phone", subject=actor.account_ref)
        raise
    number = phones.normalise(phone.number) if phone.country_code == "86" else phone.number
    async with db.transaction():
        account = await _locked(actor)
        account.phone_sealed = crypto.seal(number, context=f"identity_account.phone:{account.ref}")
        account.phone_mask = mask_phone(number)
        account.phone_index = crypto.blind_index(f"{phone.country_code}:{number}", purpose="identity_account.phone")
        account.phone_country_code = phone.country_code
        account.phone_verified_at = clock.now()
        account.assurance_level = max(account.assurance_level, PHONE)
        await account.save()
        return me_of(account)


async def verify_identity(*, actor: Actor, name: str, id_number: str, idem: Idempotency | None = None) -> Me:
    """Checks name and number with the population register and lifts the account to level 2.

    Three beats: the question is written down, the register is asked outside any transaction, the answer is written
    down.
    Raises Invalid (every fault of the input at once), AssuranceTooLow while no phone is bound: the window must be
    able to reach whom it serves, and takes no case without a number. Further TooMany, IdentityMismatch, IdentityBlocked, IdentityNeedsClerk,
    IdentityFixed, PartnerDown. An unclear answer concludes nothing.
    """
    checked_name, checked_number = _checked(name, id_number)
    index = crypto.blind_index(checked_number, purpose="identity_account.id")
    if not await _is_new(actor, index):
        if not await _is_named(actor, checked_name):
            await _count(actor, checked_number)
            raise _problem(RegisterOutcome.NAME_MISMATCH)
        return await run_once(idem, Me, lambda: _same(actor))
    await _count(actor, checked_number)
    request_no = await _asked(actor, index)
    outcome = await runtime().register.verify(name=checked_name, id_number=checked_number, request_no=request_no)
    if outcome is RegisterOutcome.MATCH:
        return await run_once(idem, Me, lambda: _matched(actor, request_no, checked_name, checked_number, index))
    async with db.transaction():
        await _answered(request_no, outcome)
    if outcome is RegisterOutcome.UNAVAILABLE:
        await _uncount(actor, checked_number)
    raise _problem(outcome)


def _checked(name: str, id_number: str) -> tuple[str, str]:
    errors = [FieldError("/name", fault) for fault in names.faults(name)]
    errors += [FieldError("/id_number", fault) for fault in identity_number.faults(id_number)]
    if errors:
        raise Invalid(errors=errors)
    return names.normalise(name), identity_number.normalise(id_number)


async def _is_new(actor: Actor, index: str) -> bool:
    """False when this very number is already verified here: then nobody needs to be asked again."""
    account = await Account.get_or_none(id=actor.account_id) if actor.role == "citizen" else None
    if account is None:
        raise NotFound
    if account.assurance_level < NAME_AND_ID:
        if account.phone_sealed is None:
            raise AssuranceTooLow(
                "请先绑定手机号，再完成实名认证。",
                extra={
                    "required_level": PHONE,
                    "current_level": account.assurance_level,
                    "action": "bind_phone",
                },
            )
        return True
    if account.id_index != index:
        raise IdentityFixed("如需更换实名信息，请本人带身份证到政务服务大厅办理")
    return False


async def _is_named(actor: Actor, name: str) -> bool:
    """Whether the verified account carries this name; the register is not asked again, but its answer still counts."""
    account = await Account.get(id=actor.account_id)
    sealed = account.name_sealed
    return sealed is not None and crypto.unseal_text(sealed, context=f"identity_account.name:{account.ref}") == name


async def _same(actor: Actor) -> Me:
    return me_of(await Account.get(id=actor.account_id))


async def _count(actor: Actor, number: str) -> None:
    settings = runtime().settings
    detail = "今天核验身份的次数已用完，请明天再试，或带身份证到政务服务大厅办理"
    await attempts.take(
        scope="verify_account",
        subject=actor.account_ref,
        limit=settings.verify_tries_per_day,
        window=_DAY,
        detail=detail,
    )
    # The second counter stops somebody with many accounts from guessing the name that belongs to a number.
    await attempts.take(
        scope="verify_number", subject=number, limit=settings.verify_tries_per_number, window=_DAY, detail=detail
    )


async def _uncount(actor: Actor, number: str) -> None:
    """An outage of the register costs nobody a try: five of them would lock people out for the rest of the day."""
    await attempts.give_back(scope="verify_account", subject=actor.account_ref)
    await attempts.give_back(scope="verify_number", subject=number)


async def _asked(actor: Actor, index: str) -> str:
    async with db.transaction():
        row = await Verification.create(ref=ids.public_id(), account_id=actor.account_id, id_index=index)
    return row.ref


async def _answered(request_no: str, outcome: RegisterOutcome) -> None:
    await db.execute(
        "UPDATE identity_verification SET outcome = ?, answered_at = ? WHERE ref = ?",
        outcome.value,
        db.at(clock.now()),
        request_no,
    )


async def _matched(actor: Actor, request_no: str, name: str, number: str, index: str) -> Me:
    account = await _locked(actor)
    if account.assurance_level >= NAME_AND_ID and account.id_index != index:
        raise IdentityFixed  # another request of the same account was faster
    account.name_sealed = crypto.seal(name, context=f"identity_account.name:{account.ref}")
    account.name_mask = mask_name(name)
    account.id_sealed = crypto.seal(number, context=f"identity_account.id:{account.ref}")
    account.id_mask = mask_id_number(number)
    account.id_index = index
    account.id_type = identity_number.parse(number).id_type.value
    account.identity_verified_at = clock.now()
    account.assurance_level = max(account.assurance_level, NAME_AND_ID)
    await account.save()
    await _answered(request_no, RegisterOutcome.MATCH)
    return me_of(account)


async def _locked(actor: Actor) -> Account:
    account = await db.lock(Account, id=actor.account_id) if actor.role == "citizen" else None
    if account is None:
        raise NotFound
    return account


async def _openid(actor: Actor) -> str:
    account = await Account.get_or_none(id=actor.account_id) if actor.role == "citizen" else None
    if account is None or account.openid_sealed is None:
        raise NotFound
    return crypto.unseal_text(account.openid_sealed, context=f"identity_account.openid:{account.ref}")


def _problem(outcome: RegisterOutcome) -> Problem:
    match outcome:
        case RegisterOutcome.NAME_MISMATCH:
            message = "姓名与身份证号码不一致，请对照身份证核对姓名的每个字"
            return IdentityMismatch(message, errors=[FieldError("/name", message)])
        case RegisterOutcome.UNKNOWN:
            message = "没有查到这个身份证号码，请逐位核对；刚办证或刚迁户口的，请几天后再试"
            return IdentityMismatch(message, errors=[FieldError("/id_number", message)])
        case RegisterOutcome.DECEASED:
            return IdentityBlocked("人口信息中登记的状态有误，请本人或家人带身份证和户口簿到户籍派出所核对")
        case RegisterOutcome.MINOR:
            return IdentityBlocked("未满 18 周岁，请由父母或其他监护人用自己的账号代为办理")
        case RegisterOutcome.NEEDS_CLERK:
            return IdentityNeedsClerk(
                "姓名中有生僻字，人口信息里暂时无法显示，请带身份证到任一便民服务中心由工作人员核对"
            )
        case _:
            return PartnerDown("身份核验系统暂时没有回应，没有扣除您已填写的内容，请几分钟后再试")
