"""What other packages and the phone get to see of an account: frozen structs without any row, secrets or unmasked
list values.
"""

from datetime import datetime

import msgspec

from backend.formats.identity_number import ID_TYPE_LABELS, IdType
from backend.identity.actor import ASSURANCE_LABELS
from backend.identity.models import Account, Courier
from kernel import clock


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The citizen's own account, masked: the phone screen never needs the full number."""

    assurance_level: int
    assurance_label: str
    name: str | None
    phone: str | None
    id_type: str | None
    id_type_label: str | None
    id_number: str | None
    identity_verified_at: datetime | None


class CourierMe(msgspec.Struct, frozen=True, kw_only=True):
    """The courier's own account."""

    courier_ref: str
    name: str
    carrier: str
    areas: tuple[str, ...]


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New tokens and whose they are; exactly one of `citizen` and `courier` is set."""

    access_token: str
    refresh_token: str
    expires_in: int
    citizen: Me | None = None
    courier: CourierMe | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person in clear text, for the slices that must send the data on (forwarding, delivery). Never logged,
    never listed.
    """

    account_ref: str
    assurance_level: int
    name: str | None
    name_mask: str | None
    id_type: str | None
    id_number: str | None
    id_mask: str | None
    phone: str | None
    phone_mask: str | None


def me_of(account: Account) -> Me:
    """The account as its owner sees it."""
    return Me(
        assurance_level=account.assurance_level,
        assurance_label=ASSURANCE_LABELS[account.assurance_level],
        name=account.name_mask,
        phone=account.phone_mask,
        id_type=account.id_type,
        id_type_label=ID_TYPE_LABELS[IdType(account.id_type)] if account.id_type else None,
        id_number=account.id_mask,
        identity_verified_at=clock.local(account.identity_verified_at) if account.identity_verified_at else None,
    )


def courier_me_of(courier: Courier) -> CourierMe:
    """The courier's account as its owner sees it."""
    return CourierMe(
        courier_ref=courier.ref, name=courier.name_mask, carrier=courier.carrier, areas=tuple(courier.areas)
    )
