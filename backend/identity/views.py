"""What other packages and the phone get to see of an account: frozen structs without any row, secrets or unmasked
list values.
"""

from datetime import date, datetime
from enum import StrEnum

import msgspec

from backend.formats.identity_number import ID_TYPE_LABELS, IdType
from backend.identity.actor import ASSURANCE_LABELS
from backend.identity.models import Account, FieldWorker
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


class AgentKind(StrEnum):
    """What kind of agent: somebody who runs errands for people, or the grid worker of a neighbourhood."""

    PROXY = "proxy"
    GRID = "grid"


AGENT_KIND_LABELS = {AgentKind.PROXY: "代办员", AgentKind.GRID: "网格员"}


class AgentMe(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own account, as it stands in the roster (代办员花名册)."""

    agent_ref: str
    name: str
    kind: AgentKind
    kind_label: str
    organisation: str
    areas: tuple[str, ...]
    skills: tuple[str, ...]
    serving_since_on: date


class RosterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an operator's list of couriers or agents, masked; what belongs to the other role is None."""

    login_name: str
    name: str
    areas: tuple[str, ...]
    disabled_at: datetime | None
    carrier: str | None
    kind_label: str | None
    organisation: str | None
    skills: tuple[str, ...] | None
    serving_since_on: date | None


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New tokens and whose they are; exactly one of `citizen`, `courier` and `agent` is set."""

    access_token: str
    refresh_token: str
    expires_in: int
    citizen: Me | None = None
    courier: CourierMe | None = None
    agent: AgentMe | None = None


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


def courier_me_of(row: FieldWorker) -> CourierMe:
    """The courier's account as its owner sees it. The table's CHECK promises the carrier."""
    if row.carrier is None:
        raise ValueError("no courier")
    return CourierMe(courier_ref=row.ref, name=row.name_mask, carrier=row.carrier, areas=tuple(row.areas))


def agent_me_of(row: FieldWorker) -> AgentMe:
    """The agent's account as its owner sees it. The table's CHECK promises the roster's columns."""
    if row.kind is None or row.organisation is None or row.serving_since_on is None:
        raise ValueError("no agent")
    kind = AgentKind(row.kind)
    return AgentMe(
        agent_ref=row.ref,
        name=row.name_mask,
        kind=kind,
        kind_label=AGENT_KIND_LABELS[kind],
        organisation=row.organisation,
        areas=tuple(row.areas),
        skills=tuple(row.skills or ()),
        serving_since_on=row.serving_since_on,
    )


def roster_entry_of(row: FieldWorker) -> RosterEntry:
    """The account as an operator sees it in a list."""
    return RosterEntry(
        login_name=row.login_name,
        name=row.name_mask,
        areas=tuple(row.areas),
        disabled_at=row.disabled_at,
        carrier=row.carrier,
        kind_label=AGENT_KIND_LABELS[AgentKind(row.kind)] if row.kind else None,
        organisation=row.organisation,
        skills=tuple(row.skills) if row.skills is not None else None,
        serving_since_on=row.serving_since_on,
    )
