"""The port between parcels and a carrier: plain values in and out, and the honest answer "we do not know"."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.delivery.states import Canonical

# What stands on the parcel. Never the name of the certificate: on a doorstep that would tell the neighbours.
CONTENTS = "证照"
DOCUMENT_GRAMS = 100


class CarrierUnclear(Exception):
    """Nobody knows whether it happened (time-out, half answer, an unknown code). Ask again with the same number."""


class OrderExists(CarrierUnclear):
    """The carrier knows our number but does not tell the waybill: repeating cannot help, a person has to ask."""


class CarrierRefused(Exception):
    """The carrier answered, and the answer is no. `reason` is the carrier's own text, without personal data."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code)
        self.code, self.reason = code, reason


class BadCallback(Exception):
    """Not from the carrier, or damaged: nothing is stored and nothing acknowledged."""


@dataclass(frozen=True)
class Party:
    """One end of the way. Region names must be complete before a carrier is asked."""

    name: str
    phone: str
    province: str
    city: str
    county: str
    address: str

    @property
    def whole_address(self) -> str:
        """The address as one line; the municipalities' province and city are the same word."""
        city = "" if self.city == self.province else self.city
        return f"{self.province}{city}{self.county}{self.address}"


@dataclass(frozen=True)
class Order:
    """One booking. `delivery_no` is the carrier's idempotency key; `created_at` never changes on a retry."""

    delivery_no: str
    created_at: datetime
    sender: Party
    receiver: Party
    grams: int = DOCUMENT_GRAMS


@dataclass(frozen=True)
class CarrierEvent:
    """One normalised line of a track; unique by carrier, waybill, code and time."""

    carrier: str
    waybill_no: str
    code: str
    canonical: Canonical
    at: datetime
    place: str
    text: str


@dataclass(frozen=True)
class Callback:
    """A verified message. `external_id` recognises a copy, `reply_token` is what the answer must repeat."""

    external_id: str
    reply_token: str
    events: tuple[CarrierEvent, ...]


@dataclass(frozen=True)
class CarrierReply:
    """The exact HTTP answer the carrier expects."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Carrier(Protocol):
    """What every carrier can do. Methods that call out never run inside a transaction."""

    code: str

    async def quote(self, *, sender: Party, receiver: Party, grams: int) -> int:
        """The carrier's own price in fen. Raises CarrierUnclear, CarrierRefused; never invents one."""
        ...

    async def create(self, order: Order) -> str:
        """Books under our number and gives the waybill; the same number again gives the same waybill.

        Raises CarrierRefused (certain) or CarrierUnclear (ask again with the same number).
        """
        ...

    async def cancel(self, *, delivery_no: str, waybill_no: str, reason: str) -> bool:
        """True when cancelled, False when it is too late. Raises CarrierUnclear."""
        ...

    async def track(self, waybill_no: str) -> tuple[CarrierEvent, ...]:
        """The whole track known now; empty means unknown, not "nothing moved". Raises CarrierUnclear."""
        ...

    def parse_callback(self, headers: Mapping[str, str], raw: bytes) -> Callback:
        """Verifies first. Raises BadCallback."""
        ...

    def acknowledge(self, reply_token: str, *, accepted: bool) -> CarrierReply:
        """The answer to a callback; not accepted makes the carrier send it again."""
        ...
