"""Reads of the identity slice: one's own account, and a person in clear text for the slices that must send the
data on.
"""

from collections.abc import Sequence
from typing import Any

from backend.identity.actor import Actor
from backend.identity.models import Account, FieldWorker
from backend.identity.views import AgentMe, CourierMe, Me, Person, agent_me_of, courier_me_of, me_of
from kernel import crypto, rows
from kernel.problems import NotFound
from kernel.rows import Read


async def me(*, actor: Actor) -> Me:
    """The citizen's own account, masked."""
    account = await Account.get_or_none(id=actor.account_id) if actor.role == "citizen" else None
    if account is None:
        raise NotFound
    return me_of(account)


async def courier_me(*, actor: Actor) -> CourierMe:
    """The courier's own account."""
    row = await FieldWorker.get_or_none(id=actor.account_id) if actor.role == "courier" else None
    if row is None:
        raise NotFound
    return courier_me_of(row)


async def agent_me(*, actor: Actor) -> AgentMe:
    """The agent's own account."""
    row = await FieldWorker.get_or_none(id=actor.account_id) if actor.role == "agent" else None
    if row is None:
        raise NotFound
    return agent_me_of(row)


_PERSON = (
    "SELECT assurance_level, name_sealed, name_mask, id_type, id_sealed, id_mask, phone_sealed, phone_mask "
    "FROM identity_account WHERE ref = ?"
)


async def person(account_ref: str) -> Person:
    """The person in clear text; the caller needs them for a partner and must not store, list or log them. Raises
    NotFound.
    """
    return await rows.one(reading(account_ref))


def reading(account_ref: str) -> Read[Person]:
    """`person` as a SELECT that travels with others."""

    def made(found: Sequence[Sequence[Any]]) -> Person:
        if not found:
            raise NotFound
        level, name, name_mask, id_type, id_number, id_mask, phone, phone_mask = found[0]
        return Person(
            account_ref=account_ref,
            assurance_level=level,
            name=_open(name, "name", account_ref),
            name_mask=name_mask,
            id_type=id_type,
            id_number=_open(id_number, "id", account_ref),
            id_mask=id_mask,
            phone=_open(phone, "phone", account_ref),
            phone_mask=phone_mask,
        )

    return Read(_PERSON, (account_ref,), made)


async def openid(account_ref: str) -> str | None:
    """The WeChat address of an account, for payment and subscribe messages; None when it has none."""
    account = await Account.get_or_none(ref=account_ref)
    return _open(account.openid_sealed, "openid", account.ref) if account else None


async def name_mask(account_ref: str) -> str | None:
    """The masked name of an account; None when its owner has not proved one, or there is no such account."""
    account = await Account.get_or_none(ref=account_ref)
    return account.name_mask if account else None


async def courier(courier_ref: str) -> CourierMe:
    """A courier by public id, masked. Raises NotFound."""
    row = await FieldWorker.get_or_none(ref=courier_ref, role="courier")
    if row is None:
        raise NotFound
    return courier_me_of(row)


async def courier_by_login(login_name: str) -> CourierMe:
    """A courier that may still log in, by login name, for the commands that assign parcels. Raises NotFound."""
    row = await FieldWorker.get_or_none(login_name=login_name.strip().lower(), role="courier", disabled_at=None)
    if row is None:
        raise NotFound("没有这个登录名的快递员，或账号已停用")
    return courier_me_of(row)


def _open(sealed: str | None, column: str, ref: str) -> str | None:
    return crypto.unseal_text(sealed, context=f"identity_account.{column}:{ref}") if sealed else None
