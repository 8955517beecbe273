"""Numbers nobody can guess and serials that never restart: random public ids, and counters issued by the database."""

import base64
import secrets

from kernel import db

_UPPER = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's alphabet: no I, L, O, U to misread


def public_id() -> str:
    """26 lower-case characters holding 128 random bits; safe in URLs."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def number() -> str:
    """26 characters of [0-9A-Z] holding 128 random bits: bill, payment and delivery numbers, valid for every payment channel."""
    value = secrets.randbits(128)
    digits = []
    for _ in range(26):
        value, rest = divmod(value, 32)
        digits.append(_UPPER[rest])
    return "".join(reversed(digits))


async def next_serial(scope: str) -> int:
    """The next number of a counter, starting at 1. It lives in the database and is never reset; a gap after a crash is harmless.

    Call it outside a long transaction: the counter's row stays locked until the surrounding transaction ends.
    """
    rows = await db.fetch(
        "INSERT INTO kernel_serial (scope, value) VALUES (?, 1) "
        "ON CONFLICT (scope) DO UPDATE SET value = kernel_serial.value + 1 RETURNING value",
        scope,
    )
    value: int = rows[0]["value"]
    return value
