"""Reads of the identity slice: one's own account, and a person in clear text for the slices that must send the
data on.
"""

from backend.identity.actor import Actor
from backend.identity.models import Account, Courier
from backend.identity.views import CourierMe, Me, Person, courier_me_of, me_of
from kernel import crypto
from kernel.problems import NotFound


async def me(*, actor: Actor) -> Me:
    """The citizen's own account, masked."""
    account = await Account.get_or_none(id=actor.account_id) if actor.role == "citizen" else None
    if account is None:
        raise NotFound
    return me_of(account)


async def courier_me(*, actor: Actor) -> CourierMe:
    """The courier's own account."""
    row = await Courier.get_or_none(id=actor.account_id) if actor.role == "courier" else None
    if row is None:
        raise NotFound
    return courier_me_of(row)


async def person(account_ref: str) -> Person:
    """The person in clear text; the caller needs them for a partner and must not store, list or log them. Raises
    NotFound.
    """
    account = await Account.get_or_none(ref=account_ref)
    if account is None:
        raise NotFound
    return Person(
        account_ref=account.ref,
        assurance_level=account.assurance_level,
        name=_open(account.name_sealed, "name", account.ref),
        name_mask=account.name_mask,
        id_type=account.id_type,
        id_number=_open(account.id_sealed, "id", account.ref),
        id_mask=account.id_mask,
        phone=_open(account.phone_sealed, "phone", account.ref),
        phone_mask=account.phone_mask,
    )


async def openid(account_ref: str) -> str | None:
    """The WeChat address of an account, for payment and subscribe messages; None when it has none."""
    account = await Account.get_or_none(ref=account_ref)
    return _open(account.openid_sealed, "openid", account.ref) if account else None


async def courier(courier_ref: str) -> CourierMe:
    """A courier by public id, masked. Raises NotFound."""
    row = await Courier.get_or_none(ref=courier_ref)
    if row is None:
        raise NotFound
    return courier_me_of(row)


async def courier_by_login(login_name: str) -> CourierMe:
    """A courier that may still log in, by login name, for the commands that assign parcels. Raises NotFound."""
    row = await Courier.get_or_none(login_name=login_name.strip().lower(), disabled_at=None)
    if row is None:
        raise NotFound("没有这个登录名的快递员，或账号已停用")
    return courier_me_of(row)


def _open(sealed: str | None, column: str, ref: str) -> str | None:
    return crypto.unseal_text(sealed, context=f"identity_account.{column}:{ref}") if sealed else None
