"""Case numbers (办件编号, 21 digits) and the query password; nothing here reads or writes a case.

Layout: region 6 + date YYMMDD 6 + kind 1 + serial of that day 7 + check digit 1 (ISO 7064 MOD 11,10). The serial is
issued by the database and unique, never taken from a cache: a counter with an expiry restarts after a loss and gives
the same number to two people.
"""

import re
import secrets
from datetime import date

from kernel import ids
from kernel.clock import today
from kernel.crypto import blind_index, constant_equal
from kernel.problems import Problem

CASE_NO_DIGITS = 21
MAX_SERIAL = 9_999_999
QUERY_PASSWORD_DIGITS = 6
# 办件类型 of GB/T 39046 A.6: 1 即办件, 2 承诺件, 9 其他.
KIND_DIGITS = {"instant": "1", "promised": "2"}
OTHER_KIND = "9"
_CASE_NO = re.compile(r"[0-9]{21}", re.ASCII)
_REGION = re.compile(r"[0-9]{12}", re.ASCII)


class NumbersExhausted(Problem):
    """The day's serials of a region are used up: refused loudly, because a longer number would be cut by a receiver."""

    status = 503
    code = "case-numbers-exhausted"
    title = "今天的办件编号已用完"


def check_digit(digits: str) -> str:
    """ISO 7064 MOD 11,10 over a string of decimal digits.

    Finds every single wrong digit and every swap of neighbours.
    """
    product = 10
    for digit in digits:
        total = (int(digit) + product) % 10 or 10
        product = (total * 2) % 11
    return str((11 - product) % 10)


def is_case_no(text: str) -> bool:
    """Whether the text has the form of our number and a right check digit; says nothing about its existence."""
    return bool(_CASE_NO.fullmatch(text)) and check_digit(text[:-1]) == text[-1]


def compose(*, region_code: str, on: date, project_type: str, serial: int) -> str:
    """Put a number together; region_code is the 12-digit code, serial counts from 1 within a region and a day."""
    if not _REGION.fullmatch(region_code):
        raise ValueError("a region code has 12 digits")
    if serial < 1:
        raise ValueError("a serial counts from 1")
    if serial > MAX_SERIAL:
        raise NumbersExhausted("请明天再试，或到政务服务大厅窗口办理。")
    body = f"{region_code[:6]}{on:%y%m%d}{KIND_DIGITS.get(project_type, OTHER_KIND)}{serial:07d}"
    return body + check_digit(body)


async def new_case_no(*, region_code: str, project_type: str) -> str:
    """Issue the next number of today (Asia/Shanghai) in the county of the region."""
    on = today()
    serial = await ids.next_serial(f"case:{region_code[:6]}:{on:%y%m%d}")
    return compose(region_code=region_code, on=on, project_type=project_type, serial=serial)


def new_query_password() -> str:
    """Six random digits; a constant or derived password would let everybody read cases."""
    return f"{secrets.randbelow(10**QUERY_PASSWORD_DIGITS):06d}"


def query_password_hash(*, case_no: str, password: str) -> str:
    """A keyed hash bound to the case, so that a stolen table of hashes cannot be searched without the key."""
    return blind_index(f"{case_no}:{password}", purpose="cases.query-password")


def query_password_matches(*, case_no: str, password: str, stored_hash: str) -> bool:
    """Compare in constant time; an empty stored hash (no password issued yet) never matches."""
    given = query_password_hash(case_no=case_no, password=password)
    return constant_equal(given, stored_hash or "-" * len(given))
