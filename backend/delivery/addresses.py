"""Where a parcel goes: region names complete down to the county, a receiver that can be reached, sealing and masks."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from backend.cases.ports import Recipient
from backend.catalog import queries as catalog
from backend.catalog import region_codes
from backend.delivery.carriers.base import Party
from backend.delivery.models import Parcel
from backend.formats import phones
from kernel import crypto
from kernel.masks import mask_address, mask_name, mask_phone
from kernel.problems import FieldError, Invalid, NotFound

_NAME_LENGTH, _ADDRESS_LENGTH = 40, 120
_SHORTEST_ADDRESS = 3
_NO_CITY = ("市辖区", "县")


@dataclass(frozen=True)
class Place:
    """A region by its names. `below` are town and village, which stand at the head of the address for the courier."""

    code: str
    province: str
    city: str
    county: str
    below: str


async def place(region_code: str, *, pointer: str) -> Place:
    """The names of a region, at least down to the county. Raises Invalid with the pointer of the field."""
    try:
        if len(region_code) != region_codes.LENGTH:
            raise ValueError
        names = await _names(region_code)
    except (ValueError, NotFound):
        raise Invalid(errors=[FieldError(pointer, "没有找到这个地区，请重新选择")]) from None
    if "county" not in names:
        raise Invalid(errors=[FieldError(pointer, "请选择到县（市、区），最好到乡镇、街道")])
    return Place(
        code=region_code,
        province=names["province"],
        city=names.get("city", names["province"]),
        county=names["county"],
        below=names.get("town", "") + names.get("village", ""),
    )


async def _names(region_code: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for prefix in region_codes.prefixes(region_code):
        code = region_codes.padded(prefix)
        try:
            names[region_codes.level(code)] = (await catalog.region(code)).name
        except NotFound:
            if region_codes.level(code) != "city":
                raise
    # The municipalities (北京、上海、天津、重庆) have no city of their own between province and district.
    if names.get("city") in _NO_CITY:
        del names["city"]
    return names


def check_recipient(recipient: Recipient) -> Recipient:
    """The receiver with tidy texts. Raises Invalid with every wrong field at once, never repeating a value."""
    name, address = _tidy(recipient.name), _tidy(recipient.address)
    errors = list(_faults(name, address, recipient.phone))
    if errors:
        raise Invalid(errors=errors)
    return Recipient(
        name=name, phone=phones.normalise(recipient.phone), region_code=recipient.region_code, address=address
    )


def _faults(name: str, address: str, phone: str) -> Sequence[FieldError]:
    errors = []
    if not 1 <= len(name) <= _NAME_LENGTH:
        errors.append(FieldError("/delivery/recipient/name", f"请填写收件人姓名，不超过 {_NAME_LENGTH} 个字"))
    if not phones.is_mobile(phone):
        errors.append(FieldError("/delivery/recipient/phone", "收件人手机号应为 11 位数字"))
    if not _SHORTEST_ADDRESS <= len(address) <= _ADDRESS_LENGTH:
        errors.append(
            FieldError("/delivery/recipient/address", f"请填写到门牌号，{_SHORTEST_ADDRESS} 至 {_ADDRESS_LENGTH} 个字")
        )
    return errors


def _tidy(text: str) -> str:
    """One line without control or direction characters: it is printed on a label and sent to the carrier."""
    kept = "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) not in ("Cc", "Cf", "Co"))
    return " ".join(kept.split())


def seal(parcel: Parcel, recipient: Recipient, where: Place) -> None:
    """Puts the receiver into a new parcel: sealed for this parcel, with masks beside."""
    full = f"{where.below}{recipient.address}"
    city = "" if where.city == where.province else where.city
    parcel.region_code, parcel.region_name = where.code, f"{where.province}{city}{where.county}"
    parcel.name_sealed = crypto.seal(recipient.name, context=_context("name", parcel))
    parcel.phone_sealed = crypto.seal(recipient.phone, context=_context("phone", parcel))
    parcel.address_sealed = crypto.seal(full, context=_context("address", parcel))
    parcel.name_mask, parcel.phone_mask = mask_name(recipient.name), mask_phone(recipient.phone)
    parcel.address_mask = mask_address(f"{parcel.region_name}{full}")[:200]


async def receiver(parcel: Parcel) -> Party:
    """The receiver in clear text, for the carrier only."""
    where = await place(parcel.region_code or "", pointer="/delivery/recipient/region_code")
    return Party(
        name=_open(parcel.name_sealed, "name", parcel),
        phone=_open(parcel.phone_sealed, "phone", parcel),
        province=where.province,
        city=where.city,
        county=where.county,
        address=_open(parcel.address_sealed, "address", parcel),
    )


def full_address(parcel: Parcel) -> str:
    """The whole address in one line, for the courier who carries it. No look-up: his list shows many."""
    return f"{parcel.region_name or ''}{_open(parcel.address_sealed, 'address', parcel)}"


def _open(sealed: str | None, column: str, parcel: Parcel) -> str:
    return crypto.unseal_text(sealed, context=_context(column, parcel)) if sealed else ""


def _context(column: str, parcel: Parcel) -> str:
    return f"delivery_parcel.{column}:{parcel.delivery_no}"
