"""Times, amounts and numbers as Alipay writes them, and the real durations of its life cycles before scaling; no state."""

import datetime as dt
import re
import secrets
import string
from decimal import Decimal

CHINA = dt.timezone(dt.timedelta(hours=8))

TRADE_LIFE_SECONDS = 15 * 86400
REFUND_AGE_SECONDS = 365 * 86400
REFUND_GAP_SECONDS = 3
BILL_URL_SECONDS = 30
# A scaled-down afternoon must still leave a person (or a slow test) the time to press "pay".
SHORTEST_LIFE_SECONDS = 60.0

_MINUTE, _HOUR = 60, 3600
# After the first send; documented as "24 h 22 m", the intervals add up to 24 h 24 m.
REPEAT_GAPS_SECONDS = (4 * _MINUTE, 10 * _MINUTE, 10 * _MINUTE, _HOUR, 2 * _HOUR, 6 * _HOUR, 15 * _HOUR)
ANSWER_SECONDS = 5.0

STAMP = "%Y-%m-%d %H:%M:%S"
_STAMP = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]")
_TIMEOUT = re.compile(r"([1-9][0-9]*)([mhd])|1c")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}
_AMOUNT = re.compile(r"[0-9]+\.[0-9]{2}")
MOST_FEN = 100_000_000_00


def life(seconds: float, scale: float) -> float:
    """A validity period after scaling, never shorter than a minute."""
    return min(seconds, max(seconds * scale, SHORTEST_LIFE_SECONDS))


def stamp(at: float, form: str = STAMP) -> str:
    """Beijing time."""
    return dt.datetime.fromtimestamp(at, CHINA).strftime(form)


def parse_stamp(text: str) -> float | None:
    """`yyyy-MM-dd HH:mm:ss` in Beijing time → unix seconds; None for anything else."""
    if _STAMP.fullmatch(text) is None:
        return None
    try:
        return dt.datetime.strptime(text, STAMP).replace(tzinfo=CHINA).timestamp()
    except ValueError:
        return None


def timeout_seconds(text: str, now: float) -> float | None:
    """`timeout_express` (`1m` to `15d`, no decimals, `1c` = until midnight) → seconds; None for anything else."""
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        return None
    if text == "1c":
        day = dt.datetime.fromtimestamp(now, CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
        return (day + dt.timedelta(days=1)).timestamp() - now
    seconds = float(int(match[1]) * _UNIT_SECONDS[match[2]])
    return seconds if seconds <= TRADE_LIFE_SECONDS else None


def fen_of(text: object) -> int | None:
    """A yuan string with exactly two decimals between 0.01 and 100000000.00 → fen; None for anything else."""
    if not isinstance(text, str) or _AMOUNT.fullmatch(text) is None or len(text) > 12:
        return None
    fen = int(Decimal(text) * 100)
    return fen if 1 <= fen <= MOST_FEN else None


def yuan(fen: int) -> str:
    """Fen → yuan with two decimals; negative amounts keep their sign."""
    return f"{Decimal(fen) / 100:.2f}"


def digits(length: int) -> str:
    """A random number of so many digits."""
    return "".join(secrets.choice(string.digits) for _ in range(length))
