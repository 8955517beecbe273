"""The regional profile: what differs from one finance platform to the next, read from a data file and checked as a whole."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from payments.gateways.unified_pay import checks

_SHIPPED = Path(__file__).parent / "profiles"


class ProfileInvalid(ValueError):
    """The profile cannot be used; `complaints` names everything that is wrong, in Chinese."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("；".join(complaints))
        self.complaints = tuple(complaints)


# An unknown name in a table is a mistake, not an extension.


class Transport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages travel. `path` (http only) may name the message number."""

    kind: Literal["tcp", "http"]
    connect_seconds: float = 3.0
    total_seconds: float = 8.0
    path: str = ""
    content_type: str = "application/octet-stream"


class Framing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands around a message on the wire; the length counts the whole frame, itself included."""

    kind: Literal["length-prefixed", "none"]
    length_digits: int = 8
    magic: str = ""
    number_digits: int = 4
    most_bytes: int = 1 << 20


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What vouches for a message. `none` makes pushes mere hints."""

    kind: Literal["sha256-secret-first", "hmac-sha256", "none"]
    letters: Literal["lower", "upper"] = "lower"


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fields become a message: `voucher` (CFX with a base64 voucher) or `plain` (nested elements below `root`)."""

    kind: Literal["voucher", "plain"]
    charset: str
    root: str = "CFX"


class PayCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a 缴款码 is made and what it must look like. It is compared as text, never computed with."""

    template: str
    pattern: str


class OrderRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order's own life, and how long after its end it is certainly over."""

    life_seconds: int
    margin_seconds: int


class Amount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the wire speaks yuan or fen."""

    unit: Literal["yuan", "fen"]


class Hours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the platform takes new orders, Beijing time, HH:MM; 00:00 to 24:00 means always."""

    open: str
    shut: str


class Items(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How bill lines are written: joined by `each`, or repeated elements at `path`."""

    each: str = ""
    path: str = ""
    fields: dict[str, str] = {}


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words for what we do not send: the payer's real name stays with us unless the platform demands it."""

    payer: str
    item_unit: str


class Unit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collecting unit in the finance bureau's words."""

    code: str
    name: str


class Listing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repeated groups of an answer: every order of a bill."""

    path: str
    read: dict[str, str]


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call: what is sent, and where in the answer our words are found."""

    send: str
    answer: str = ""
    items: bool = False
    fields: dict[str, str]
    read: dict[str, str]
    orders: Listing | None = None


class Push(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The confirmation that comes by itself, and how it is taken."""

    read: dict[str, str]
    accepted: str
    again: str
    number: str = ""
    answer: str = ""


class Refunds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What refunds of this region can do."""

    most_days: int
    most_parts: int
    least_interval_seconds: int
    first_query_seconds: int


class StatementLayout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The daily file: text lines with a header, one line per movement, and totals."""

    ready_hour: int
    separator: str
    time: str
    total_word: str
    payment_word: str
    refund_word: str
    columns: dict[str, str]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a region defines. `name` is the file's."""

    name: str
    title: str
    unconfirmed: list[str]
    transport: Transport
    framing: Framing
    proof: Proof
    envelope: Envelope
    pay_code: PayCode
    order: OrderRules
    amount: Amount
    hours: Hours
    items: Items
    defaults: Defaults
    units: dict[str, Unit]
    results: dict[str, list[str]]
    words: dict[str, dict[str, str]]
    operations: dict[str, Operation]
    push: Push
    refunds: Refunds | None = None
    statement: StatementLayout | None = None

    def means(self, result: str, *meanings: str) -> bool:
        """Whether a result code has one of these meanings here."""
        return any(result in self.results.get(meaning, ()) for meaning in meanings)

    def word(self, kind: str, theirs: str) -> str:
        """Our word for one of theirs; "" when the profile does not know it: then nothing may be concluded."""
        return self.words.get(kind, {}).get(theirs, "")


def load(source: str) -> Profile:
    """The profile by the name of a shipped one, or from the path of a county's own file. Raises ProfileInvalid with every complaint."""
    path = Path(source) if source.endswith(".toml") else _SHIPPED / f"{source}.toml"
    tables = _read(path)
    base = tables.pop("extends", None)
    if base is not None:
        tables = _merged(_read(_SHIPPED / f"{base}.toml"), tables)
    return build({"name": path.stem, **tables})


def build(tables: Mapping[str, Any]) -> Profile:
    """A checked profile from its tables. Raises ProfileInvalid with every complaint."""
    hints, complaints, values = Profile.__annotations__, [], dict[str, Any]()
    complaints += [f"不认识的配置 {name}" for name in tables if name not in hints]
    for field in msgspec.structs.fields(Profile):
        if field.name not in tables:
            complaints += [f"缺少 {field.name}"] if field.required else []
            continue
        try:
            values[field.name] = msgspec.convert(tables[field.name], type=field.type)
        except msgspec.ValidationError as error:
            complaints.append(f"{field.name}：{error}")
    if complaints:
        raise ProfileInvalid(complaints)
    profile = Profile(**values)
    if complaints := checks.complaints(profile):
        raise ProfileInvalid(complaints)
    return profile


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileInvalid([f"读不到模板文件 {path.name}（{error.strerror}）"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileInvalid([f"模板文件 {path.name} 不是 TOML：{error}"]) from None


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A county's own file on top of a shipped one: tables are merged, values replace."""
    found = dict(base)
    for name, value in own.items():
        old = found.get(name)
        found[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found
