"""Courier accounts, which belong to the carrier: created, given a new password and disabled by an operator's
command.
"""

import re

from backend.formats import names, phones
from backend.identity import sessions
from backend.identity.models import Courier
from backend.identity.views import CourierMe, courier_me_of
from kernel import clock, crypto, db, ids
from kernel.masks import mask_name, mask_phone
from kernel.problems import Conflict, FieldError, Invalid, NotFound

_LOGIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{2,39}")
_CARRIER = re.compile(r"[a-z][a-z0-9_]{1,15}")
_AREA = re.compile(r"\d{2,12}")
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 8, 128


class LoginNameTaken(Conflict):
    """A login name is never reused, not even after the account was disabled."""

    code, title = "login-name-taken", "这个登录名已经有人使用，请换一个"


async def create_courier(
    *, login_name: str, password: str, carrier: str, name: str, phone: str | None, areas: tuple[str, ...]
) -> CourierMe:
    """A new courier of `carrier` (its code, for example "ems") who serves the region prefixes in `areas`."""
    login = login_name.strip().lower()
    _check(login=login, password=password, carrier=carrier, name=name, phone=phone, areas=areas)
    password_hash = await crypto.hash_password(password)
    ref, full_name = ids.public_id(), names.normalise(name)
    number = phones.normalise(phone) if phone else None
    async with db.transaction():
        if await Courier.filter(login_name=login).exists():
            raise LoginNameTaken
        courier = await Courier.create(
            ref=ref,
            login_name=login,
            password_hash=password_hash,
            carrier=carrier,
            areas=list(areas),
            name_sealed=crypto.seal(full_name, context=f"identity_courier.name:{ref}"),
            name_mask=mask_name(full_name),
            phone_sealed=crypto.seal(number, context=f"identity_courier.phone:{ref}") if number else None,
            phone_mask=mask_phone(number) if number else None,
        )
    return courier_me_of(courier)


async def set_courier_password(*, login_name: str, password: str) -> None:
    """A new password; every open session of the courier ends. Raises NotFound."""
    if fault := _password_fault(password):
        raise Invalid(errors=[FieldError("/password", fault)])
    password_hash = await crypto.hash_password(password)
    async with db.transaction():
        courier = await _locked(login_name)
        courier.password_hash = password_hash
        await courier.save(update_fields=["password_hash"])
        await sessions.end_all(courier_id=courier.id, reason="password_changed")


async def disable_courier(*, login_name: str) -> None:
    """The courier may no longer log in and is logged out at once; doing it twice changes nothing. Raises NotFound."""
    async with db.transaction():
        courier = await _locked(login_name)
        if courier.disabled_at is None:
            courier.disabled_at = clock.now()
            await courier.save(update_fields=["disabled_at"])
        await sessions.end_all(courier_id=courier.id, reason="disabled")


async def _locked(login_name: str) -> Courier:
    courier = await db.lock(Courier, login_name=login_name.strip().lower())
    if courier is None:
        raise NotFound("没有这个登录名的快递员")
    return courier


def _check(*, login: str, password: str, carrier: str, name: str, phone: str | None, areas: tuple[str, ...]) -> None:
    errors = []
    if not _LOGIN_NAME.fullmatch(login):
        errors.append(FieldError("/login_name", "登录名为 3 至 40 位小写字母、数字、下划线、点或短横线"))
    if fault := _password_fault(password):
        errors.append(FieldError("/password", fault))
    if not _CARRIER.fullmatch(carrier):
        errors.append(FieldError("/carrier", "快递公司代码为小写字母开头的 2 至 16 位，例如 ems"))
    errors += [FieldError("/name", fault) for fault in names.faults(name)]
    if phone is not None and not phones.is_mobile(phone):
        errors.append(FieldError("/phone", "手机号应为 11 位数字"))
    if not areas:
        errors.append(FieldError("/areas", "请至少写一个负责的区划代码，例如 620981"))
    errors += [
        FieldError(f"/areas/{index}", "区划代码应为 2 至 12 位数字")
        for index, area in enumerate(areas)
        if not _AREA.fullmatch(area)
    ]
    if errors:
        raise Invalid(errors=errors)


def _password_fault(password: str) -> str | None:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        return f"密码应为 {_SHORTEST_PASSWORD} 至 {_LONGEST_PASSWORD} 位"
    if password.isdigit() or len(set(password)) < 4:  # three different characters are a pattern
        return "密码太简单，请混合字母和数字"
    return None
