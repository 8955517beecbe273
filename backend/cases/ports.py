"""What the cases slice asks of others and they ask of it, as plain values and protocols.

Wiring puts the real ones in.
"""

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

import msgspec


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who receives a parcel, as typed by the applicant."""

    name: str
    phone: str
    region_code: str
    address: str


class DeliveryWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the applicant wants the result: fetched at the window, or mailed for the quoted fee."""

    way: Literal["pickup", "mail"]
    quote_no: str | None = None
    recipient: Recipient | None = None


class DeliveryPlanner(Protocol):
    """The delivery slice's part in a submission.

    It joins the transaction, checks the quote and issues the courier bill.
    """

    async def plan(self, *, case_no: str, account_ref: str, wish: DeliveryWish) -> None: ...


class Verdict(StrEnum):
    """What a malware scanner says about a file."""

    CLEAN = "clean"
    INFECTED = "infected"
    UNCHECKED = "unchecked"


class MalwareScanner(Protocol):
    """A second opinion on a file that already was decoded; `UNCHECKED` is refused in production."""

    async def verdict(self, path: Path) -> Verdict: ...


class NoScanner:
    """The honest answer where no scanner is installed; allowed only outside production."""

    async def verdict(self, path: Path) -> Verdict:
        """Says that nobody looked."""
        return Verdict.UNCHECKED


class Outcome(StrEnum):
    """The four ways an office can conclude; adapters map their result codes onto these and never guess."""

    GRANTED = "granted"
    REFUSED = "refused"
    RETURNED = "returned"
    VOID = "void"


class SuspensionKind(StrEnum):
    """特别程序 (hearing, inspection, appraisal …) or 挂起; both stop the promise clock."""

    SPECIAL = "special"
    SUSPENDED = "suspended"


class Applied(StrEnum):
    """What a fact did. None of these is an error: the sender is always answered with success."""

    APPLIED = "applied"
    ALREADY = "already"
    LATE = "late"


class Shortcoming(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a correction list: which material and what is wrong with it; an empty code means the form."""

    material_code: str
    problem: str


class CertificateFact(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as named in the office's decision."""

    name: str
    number: str
    issuer: str = ""
    valid_to: str = ""


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """The applicant as verified at submission; a later change of the account does not change the case."""

    name: str
    id_type: str
    id_number: str
    phone: str


class PackageMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """One file for one requirement, ready to be handed to the platform."""

    code: str
    name: str
    material_id: str
    mime: str
    bytes: int
    sha256: str
    storage_key: str


class PackageCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """The answered correction a supplement belongs to."""

    number: int
    source_ref: str | None
    codes: tuple[str, ...]


class CasePackage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the platform needs of a case, decrypted; it lives in memory only and is never logged or published."""

    case_no: str
    account_ref: str
    state: str
    data_version: int
    item_code: str
    item_version_id: int
    item_name: str
    region_code: str
    submitted_at: datetime
    applicant: Applicant
    form: dict[str, object]
    materials: tuple[PackageMaterial, ...]
    deferred_codes: tuple[str, ...]
    deferred_until_on: date | None
    delivery: DeliveryWish | None
    correction: PackageCorrection | None
    withdraw_reason: str
