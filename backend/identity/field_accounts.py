"""Accounts of couriers and agents: created, given a new password, disabled and listed by an operator's command."""

import re
from datetime import date
from typing import Any

from backend.formats import names, phones
from backend.identity import sessions
from backend.identity.actor import FieldRole
from backend.identity.models import FieldWorker
from backend.identity.views import (
    AgentKind,
    AgentMe,
    CourierMe,
    RosterEntry,
    agent_me_of,
    courier_me_of,
    roster_entry_of,
)
from kernel import clock, crypto, db, ids
from kernel.masks import mask_name, mask_phone
from kernel.problems import Conflict, FieldError, Invalid, NotFound

ROLE_LABELS: dict[FieldRole, str] = {"courier": "快递员", "agent": "代办员"}

_LOGIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{2,39}")
_CARRIER = re.compile(r"[a-z][a-z0-9_]{1,15}")
_AREA = re.compile(r"\d{2,12}")
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 8, 128
_LONGEST_ORGANISATION, _LONGEST_SKILL, _MOST_SKILLS = 120, 40, 20
# Part of what is sealed, not a name of a table: rows were sealed under it when only couriers had such accounts.
_SEALED_AS = "identity_courier"


class LoginNameTaken(Conflict):
    """A login name is never reused, not even after the account was disabled, nor by the other role."""

    code, title = "login-name-taken", "这个登录名已经有人使用，请换一个"


async def create_courier(
    *, login_name: str, password: str, carrier: str, name: str, phone: str | None, areas: tuple[str, ...]
) -> CourierMe:
    """A new courier of `carrier` (its code, for example "ems") who serves the region prefixes in `areas`.

    Raises Invalid, LoginNameTaken.
    """
    faults = []
    if not _CARRIER.fullmatch(carrier):
        faults.append(FieldError("/carrier", "快递公司代码为小写字母开头的 2 至 16 位，例如 ems"))
    row = await _create(
        "courier", login_name=login_name, password=password, name=name, phone=phone, areas=areas, faults=faults,
        carrier=carrier,
    )  # fmt: skip
    return courier_me_of(row)


async def create_agent(
    *,
    login_name: str,
    password: str,
    name: str,
    phone: str | None,
    areas: tuple[str, ...],
    kind: AgentKind,
    organisation: str,
    skills: tuple[str, ...],
    serving_since_on: date,
) -> AgentMe:
    """A new agent of the roster: for whom they work, where, what they are good at and since when they serve.

    Raises Invalid, LoginNameTaken.
    """
    employer, good_at = organisation.strip(), tuple(dict.fromkeys(skill.strip() for skill in skills))
    row = await _create(
        "agent", login_name=login_name, password=password, name=name, phone=phone, areas=areas,
        faults=_agent_faults(employer, good_at, serving_since_on), kind=kind.value, organisation=employer,
        skills=list(good_at), serving_since_on=serving_since_on,
    )  # fmt: skip
    return agent_me_of(row)


async def set_password(*, role: FieldRole, login_name: str, password: str) -> None:
    """A new password; every open session of the account ends. Raises Invalid, NotFound."""
    if fault := _password_fault(password):
        raise Invalid(errors=[FieldError("/password", fault)])
    password_hash = await crypto.hash_password(password)
    async with db.transaction():
        worker = await _locked(role, login_name)
        worker.password_hash = password_hash
        await worker.save(update_fields=["password_hash"])
        await sessions.end_all(field_worker_id=worker.id, reason="password_changed")


async def disable(*, role: FieldRole, login_name: str) -> None:
    """The person may no longer log in and is logged out at once; doing it twice changes nothing. Raises NotFound."""
    async with db.transaction():
        worker = await _locked(role, login_name)
        if worker.disabled_at is None:
            worker.disabled_at = clock.now()
            await worker.save(update_fields=["disabled_at"])
        await sessions.end_all(field_worker_id=worker.id, reason="disabled")


async def roster(*, role: FieldRole) -> tuple[RosterEntry, ...]:
    """Every account of the role, disabled ones too, by login name. A county has some dozens of them."""
    return tuple(roster_entry_of(row) for row in await FieldWorker.filter(role=role).order_by("login_name"))


async def _create(
    role: FieldRole,
    *,
    login_name: str,
    password: str,
    name: str,
    phone: str | None,
    areas: tuple[str, ...],
    faults: list[FieldError],
    **of_the_role: Any,
) -> FieldWorker:
    login = login_name.strip().lower()
    if errors := _faults(login, password, name, phone, areas) + faults:
        raise Invalid(errors=errors)
    password_hash = await crypto.hash_password(password)
    ref, full_name = ids.public_id(), names.normalise(name)
    number = phones.normalise(phone) if phone else None
    async with db.transaction():
        if await FieldWorker.filter(login_name=login).exists():
            raise LoginNameTaken
        return await FieldWorker.create(
            ref=ref,
            login_name=login,
            password_hash=password_hash,
            role=role,
            areas=list(areas),
            name_sealed=crypto.seal(full_name, context=f"{_SEALED_AS}.name:{ref}"),
            name_mask=mask_name(full_name),
            phone_sealed=crypto.seal(number, context=f"{_SEALED_AS}.phone:{ref}") if number else None,
            phone_mask=mask_phone(number) if number else None,
            **of_the_role,
        )


async def _locked(role: FieldRole, login_name: str) -> FieldWorker:
    worker = await db.lock(FieldWorker, login_name=login_name.strip().lower(), role=role)
    if worker is None:
        raise NotFound(f"没有这个登录名的{ROLE_LABELS[role]}")
    return worker


def _faults(login: str, password: str, name: str, phone: str | None, areas: tuple[str, ...]) -> list[FieldError]:
    errors = []
    if not _LOGIN_NAME.fullmatch(login):
        errors.append(FieldError("/login_name", "登录名为 3 至 40 位小写字母、数字、下划线、点或短横线"))
    if fault := _password_fault(password):
        errors.append(FieldError("/password", fault))
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
    return errors


def _agent_faults(organisation: str, skills: tuple[str, ...], serving_since_on: date) -> list[FieldError]:
    errors = []
    if not 2 <= len(organisation) <= _LONGEST_ORGANISATION:
        errors.append(FieldError("/organisation", f"请写所属单位，2 至 {_LONGEST_ORGANISATION} 个字"))
    if len(skills) > _MOST_SKILLS or not all(1 <= len(skill) <= _LONGEST_SKILL for skill in skills):
        errors.append(FieldError("/skills", f"擅长事项最多 {_MOST_SKILLS} 项，每项 1 至 {_LONGEST_SKILL} 个字"))
    if serving_since_on > clock.today():
        errors.append(FieldError("/serving_since_on", "开始服务的日期不能晚于今天"))
    return errors


def _password_fault(password: str) -> str | None:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        return f"密码应为 {_SHORTEST_PASSWORD} 至 {_LONGEST_PASSWORD} 位"
    if password.isdigit() or len(set(password)) < 4:  # three different characters are a pattern
        return "密码太简单，请混合字母和数字"
    return None
