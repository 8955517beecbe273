"""Times and numbers as WeChat Pay writes them, and the real durations of its life cycles before scaling; no state."""

import datetime as dt

CHINA = dt.timezone(dt.timedelta(hours=8))

PREPAY_SECONDS = 2 * 3600
H5_SECONDS = 5 * 60
ORDER_LIFE_SECONDS = 7 * 86400
REFUND_AGE_SECONDS = 365 * 86400
REFUND_GAP_SECONDS = 60
MAX_REFUNDS = 50
# A scaled-down afternoon must still leave a person (or a slow test) the time to press "pay".
SHORTEST_LIFE_SECONDS = 60.0

_MINUTE, _HOUR = 60, 3600
# After the first send; together 24 h 4 m.
REPEAT_GAPS_SECONDS = (
    *(15, 15, 30, 3 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE, 30 * _MINUTE, 30 * _MINUTE, 30 * _MINUTE, 60 * _MINUTE),
    *(3 * _HOUR, 3 * _HOUR, 3 * _HOUR, 6 * _HOUR, 6 * _HOUR),
)
ANSWER_SECONDS = 5.0


def life(seconds: float, scale: float) -> float:
    """A validity period after scaling, never shorter than a minute."""
    return min(seconds, max(seconds * scale, SHORTEST_LIFE_SECONDS))


def rfc3339(at: float) -> str:
    """Second precision, +08:00."""
    return dt.datetime.fromtimestamp(int(at), CHINA).isoformat()


def china_digits(at: float, form: str) -> str:
    return dt.datetime.fromtimestamp(at, CHINA).strftime(form)
