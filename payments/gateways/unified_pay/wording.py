"""Between our numbers and the platform's text: money, moments, bill lines. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from kernel import clock
from payments.gateways.unified_pay.book import DemandLine
from payments.gateways.unified_pay.profile import Profile
from payments.money import fen_from_yuan, yuan_text

_FEN_DIGITS = 12


def amount_text(profile: Profile, amount_fen: int) -> str:
    """Money as this platform writes it."""
    return yuan_text(amount_fen) if profile.amount.unit == "yuan" else str(amount_fen)


def amount_fen(profile: Profile, text: str) -> int | None:
    """Fen from what the platform wrote (`80.0`, `80`, `0.01`); None for anything else, zero and negative amounts included."""
    try:
        if profile.amount.unit == "yuan":
            found = fen_from_yuan(text)
        else:
            found = int(text) if text.isascii() and text.isdigit() and len(text) <= _FEN_DIGITS else 0
    except ValueError:
        return None
    return found if found > 0 else None


def moment(date: str, time: str) -> datetime | None:
    """An instant from YYYYMMDD and HHMMSS in Beijing time; None when it is none."""
    if not (
        date.isascii() and date.isdigit() and len(date) == 8 and time.isascii() and time.isdigit() and len(time) == 6
    ):
        return None
    try:
        local = datetime.strptime(date + time, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the zone follows
    except ValueError:
        return None
    return local.replace(tzinfo=clock.local(clock.now()).tzinfo)


def items(profile: Profile, lines: Sequence[DemandLine]) -> list[Mapping[str, str]]:
    """The facts of the bill's items: equal codes summed, nothing with amount zero."""
    summed: dict[str, DemandLine] = {}
    for line in lines:
        known = summed.get(line.code)
        summed[line.code] = line if known is None else DemandLine(
            code=line.code, name=known.name, quantity=known.quantity + line.quantity, amount_fen=known.amount_fen + line.amount_fen
        )  # fmt: skip
    return [
        {
            "item_code": plain(line.code),
            "item_name": plain(line.name),
            "item_amount": amount_text(profile, line.amount_fen),
            "item_unit": profile.defaults.item_unit,
            "item_quantity": str(line.quantity),
        }
        for line in summed.values()
        if line.amount_fen
    ]


def plain(text: str) -> str:
    """A text that cannot be mistaken for the separators of an item list."""
    return text.replace("|", "／").replace("#", "＃")


def in_hours(profile: Profile, now: datetime) -> bool:
    """Whether the platform takes orders at this moment; the hours may pass midnight."""
    opens, shuts = _minutes(profile.hours.open), _minutes(profile.hours.shut)
    local = clock.local(now)
    at = local.hour * 60 + local.minute
    return opens <= at < shuts if opens < shuts else at >= opens or at < shuts


def over_for_certain(profile: Profile, ends_at: datetime, now: datetime) -> bool:
    """Whether an order that ended then cannot be paid any more, clocks that differ included."""
    return now >= ends_at + timedelta(seconds=profile.order.margin_seconds)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
