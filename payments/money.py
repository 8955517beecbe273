"""Fen as integers, and yuan as text at the edges. No float and no Decimal ever reaches a row; rates and fees live elsewhere."""

import re

# One attempt may not exceed this; it keeps every sum far below the bigint limit and catches yuan written as fen.
MAX_FEN = 10**11
CURRENCY = "CNY"

_YUAN = re.compile(r"(-?)(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,2}))?")


def checked_fen(amount_fen: object, *, minimum: int = 1) -> int:
    """The amount if it is a plain int in range. Raises ValueError for bool, float, text, too small and too large."""
    if type(amount_fen) is not int:
        raise ValueError("an amount is a plain int of fen")
    if not minimum <= amount_fen <= MAX_FEN:
        raise ValueError("an amount is out of range")
    return amount_fen


def yuan_text(amount_fen: int) -> str:
    """1000 → "10.00". For screens, receipts and channels that speak yuan."""
    sign = "-" if amount_fen < 0 else ""
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{yuan}.{fen:02d}"


def fen_from_yuan(text: str) -> int:
    """ "10.00" → 1000. Raises ValueError for anything but plain digits with at most two decimals."""
    match = _YUAN.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError("not an amount in yuan")
    sign, yuan, decimals = match.groups()
    amount = int(yuan) * 100 + int((decimals or "").ljust(2, "0"))
    return -amount if sign else amount
